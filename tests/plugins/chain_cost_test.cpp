// What the four shipped plugins cost together: no heap allocation in the steady state, and a figure for
// callgrind:
//   valgrind --tool=callgrind --toggle-collect='run_chain*' build/release/tests/test_plugins -tc='the four
//   plugins*'
#include <doctest/doctest.h>

#include "plugins/allocation_count.h"
#include "plugins/harness.h"

using namespace penstock::plugin;
using namespace penstock::plugin::testing;
using penstock::proxy::Action;
using penstock::proxy::AuthVerdict;

struct FourPlugins {
  penstock::proxy::Filter *version, *limit, *keys, *log;
};

// Not inlined and with a name of its own: callgrind's switch.
[[gnu::noinline]] bool run_chain(Request& r, const FourPlugins& p) {
  if (p.version->on_request_headers(r.call(*p.version)) != Action::next) return false;
  if (p.keys->authenticate(r.call(*p.keys)) != AuthVerdict::accept) return false;
  r.context.consumer = r.context.auth.consumer;
  r.context.consumer_id = r.context.consumer->name;
  if (p.limit->on_request_headers(r.call(*p.limit)) != Action::next) return false;
  r.context.response = &r.answer;
  p.limit->on_response_headers(r.call(*p.limit));
  p.version->on_response_headers(r.call(*p.version));
  penstock::proxy::Summary s;
  s.status = 200;
  s.total_ns = 412'000;
  s.start_wall_ns = r.context.wall_ns;
  s.route = "orders";
  s.upstream = "orders-v2";
  s.endpoint = "127.0.0.1:9101";
  s.request_id = r.context.request_id;
  p.log->on_complete(r.call(*p.log), s);
  return true;
}

TEST_CASE("the four plugins together allocate nothing in the steady state") {
  Folder folder;
  World w;
  w.files[0] = folder.path + "/gateway.yaml";
  for (const char* name : {"api_version", "auth", "rate_limit", "logging"})
    REQUIRE(w.load(shipped(name)) == "");
  w.snapshot.consumers.add_api_key(w.consumer("mobile-app", {"partners"}),
                                   "0123456789abcdef0123456789abcdef");
  const FourPlugins plugins{
      w.make("version", "v", R"({"from": ["path.version", "header.x-api-version", "query.v"], "default": "v2",
              "versions": {"v1": {"upstream": "a", "deprecated": "2026-06-01"}, "v2": {"upstream": "b"}}})"),
      w.make("rate_limit", "l", R"({"key": "consumer.id", "limits": [{"rate": "1000000/s", "burst": 2000000}],
              "headers": ["ratelimit"]})"),
      w.make("api_key", "keys", "{}"), w.make("logging", "log", R"({"file": "a.log"})")};
  REQUIRE(plugins.log != nullptr);
  for (int i = 0; i < 2000; ++i) {
    Request r(w);
    r.header("host", "api.example.com")
        .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36")
        .header("accept", "*/*")
        .header("x-api-version", "2")
        .header("x-api-key", "0123456789abcdef0123456789abcdef");
    const uint64_t before = allocations;
    counting_allocations = i >= 1000;
    const bool granted = run_chain(r, plugins);
    counting_allocations = false;
    REQUIRE(granted);
    REQUIRE(allocations == before);
  }
  counting_allocations = true;
  const uint64_t before = allocations;
  ::operator delete(::operator new(1));
  counting_allocations = false;
  CHECK(allocations == before + 1);  // the count counts
}
