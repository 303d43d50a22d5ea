// Plugin binaries of released versions of the ABI, as they were built then: they load and work.
#include <doctest/doctest.h>

#include "plugins/harness.h"

using namespace penstock::plugin;
using namespace penstock::plugin::testing;
using penstock::proxy::Action;
using penstock::proxy::AuthVerdict;
using penstock::proxy::Explanation;
using penstock::proxy::Summary;

namespace {

const std::string kept_0_9 = std::string(PENSTOCK_SOURCE_DIR) + "/tests/abi/plugin_0_9.so";

const penstock::http::Field* field(const penstock::http::Message& head, std::string_view name) {
  for (const auto& one : head.headers.fields())
    if (one.name == name) return &one;
  return nullptr;
}

struct Waiting final : penstock::proxy::Resumable {
  explicit Waiting(penstock::net::Loop& l) : loop(l) {}
  bool resume(void* what) override {
    data = what;
    loop.stop();
    return true;
  }
  penstock::net::Loop& loop;
  void* data = nullptr;
};

}  // namespace

TEST_CASE("a plugin of 0.9 loads and is configured") {
  World w;
  REQUIRE(w.load(kept_0_9) == "");
  CHECK(w.types.names() == std::vector<std::string>{"kept_0_9", "kept_auth_0_9"});
  REQUIRE_MESSAGE(w.make("kept_0_9", "a", R"({"header": "x-key", "rate": "2/h", "delay": "1ms"})") != nullptr,
                  w.messages());
  CHECK(w.make("kept_0_9", "b", R"({"header": "x key"})") == nullptr);
  CHECK(w.messages().find("is no name for a header") != std::string::npos);
  CHECK(w.make("kept_0_9", "c", R"({"raet": "2/h"})") == nullptr);
  CHECK(w.messages().find("'raet' is not known") != std::string::npos);
  w.host.notify(Event::reopen_logs);
}

TEST_CASE("the hooks of a plugin of 0.9 do what they did") {
  World w;
  REQUIRE(w.load(kept_0_9) == "");
  auto* filter = w.make("kept_0_9", "a", R"({"rate": "2/h", "delay": "1ms", "upstream": "u"})");
  REQUIRE_MESSAGE(filter != nullptr, w.messages());
  Waiting waiting(w.loop);

  Request plain(w);
  REQUIRE(plain.header("x-key", "k").run(*filter) == Action::next);
  REQUIRE(field(plain.head, "x-seen") != nullptr);
  CHECK(field(plain.head, "x-seen")->value == "203.0.113.9");
  CHECK(plain.context.target == w.snapshot.targets[0].get());
  CHECK(plain.respond(*filter) == "x-seen: 0.9\n");
  CHECK(plain.explain(*filter).verdict == Explanation::Verdict::depends);
  Summary summary;
  summary.status = 200;
  filter->on_complete(plain.call(*filter), summary);
  CHECK(w.counted("kept_0_9_requests_total", "a", "all") == 1);
  CHECK(w.log.find("plugin a (kept_0_9) [req-1]") != std::string::npos);

  Request paused(w);
  paused.context.resumable = &waiting;
  REQUIRE(paused.header("x-key", "k").header("x-wait", "1").run(*filter) == Action::pause);
  w.loop.serve();
  CHECK(filter->on_resume(paused.call(*filter), waiting.data) == Action::next);
  CHECK(field(paused.head, "x-wait") == nullptr);
  filter->on_complete(paused.call(*filter), {});

  Request limited(w);
  CHECK(limited.header("x-key", "k").run(*filter) == Action::respond);
  CHECK(limited.context.local.status == 429);
  CHECK(limited.context.local.members == "\"kept\":true");
  REQUIRE(limited.context.local.headers != nullptr);
  CHECK(limited.context.local.headers->value == "0.9");
}

TEST_CASE("the authenticator of a plugin of 0.9 judges as it did") {
  World w;
  auto& alice = w.consumer("alice");
  w.snapshot.consumers.add_api_key(alice, "k-1");
  REQUIRE(w.load(kept_0_9) == "");
  auto* filter = w.make("kept_auth_0_9", "keys", "{}");
  REQUIRE_MESSAGE(filter != nullptr, w.messages());
  CHECK(filter->challenge() == "Kept realm=\"0.9\"");
  CHECK(filter->credential_headers() == std::vector<std::string>{"x-key"});
  Request good(w), wrong(w), none(w);
  CHECK(good.header("x-key", "k-1").auth(*filter) == AuthVerdict::accept);
  CHECK(good.context.auth.consumer == &alice);
  CHECK(wrong.header("x-key", "k-2").auth(*filter) == AuthVerdict::refuse);
  CHECK(wrong.context.auth.refuse_reason == "auth.kept.unknown");
  CHECK(none.auth(*filter) == AuthVerdict::absent);
}
