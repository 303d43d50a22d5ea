#include <doctest/doctest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>

#include "plugins/harness.h"

using namespace penstock::plugin;
using namespace penstock::plugin::testing;
using penstock::proxy::Action;
using penstock::proxy::AuthVerdict;
using penstock::proxy::Explanation;

namespace {

std::string output_of(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen((command + " 2>&1").c_str(), "r"), &::pclose);
  std::string out;
  std::array<char, 4096> buffer;
  for (size_t n; (n = std::fread(buffer.data(), 1, buffer.size(), pipe.get())) > 0;)
    out.append(buffer.data(), n);
  return out;
}

void copy(const std::string& from, const std::string& to) {
  std::filesystem::copy_file(from, to, std::filesystem::copy_options::overwrite_existing);
}

Action act(World& w, const penstock::proxy::Filter& filter, const char* what) {
  Request r(w);
  return r.header("do", what).run(filter);
}
AuthVerdict verdict(World& w, const penstock::proxy::Filter& filter, const char* what) {
  Request r(w);
  return r.header("do", what).auth(filter);
}

}  // namespace

TEST_CASE("each shipped plugin exports one symbol") {
  for (const char* name : {"api_version", "auth", "rate_limit", "logging"}) {
    CAPTURE(name);
    const std::string symbols = output_of("nm -D --defined-only " + shipped(name));
    CHECK(std::count(symbols.begin(), symbols.end(), '\n') == 1);
    CHECK(symbols.ends_with(" gw_plugin_entry\n"));
  }
}

TEST_CASE("the shipped plugins register the types of the language, with schemas that are JSON") {
  World w;
  for (const char* name : {"api_version", "auth", "rate_limit", "logging"})
    REQUIRE(w.load(shipped(name)) == "");
  CHECK(w.types.names() ==
        std::vector<std::string>{"api_key", "basic", "jwt", "logging", "mtls", "rate_limit", "version"});
  for (const auto& [name, type] : w.types.all()) {
    CAPTURE(name);
    const gw_str text = type.plugin->schema();
    const auto schema = nlohmann::json::parse(std::string_view(text.ptr, text.len), nullptr, false);
    REQUIRE(schema.is_object());
    CHECK(schema["title"] == name);
    CHECK(schema["$schema"] == "http://json-schema.org/draft-07/schema#");
    for (const auto& [key, property] : schema["properties"].items()) CHECK(property.is_object());
  }
  const auto limits = nlohmann::json::parse(w.types.find("rate_limit")->plugin->schema().ptr);
  CHECK(limits["required"] == nlohmann::json::array({"key"}));
}

TEST_CASE("a library that cannot be used is refused in one sentence that says why") {
  World w;
  const auto refused = [&](const std::string& path, const char* part) {
    const std::string said = w.load(path);
    CAPTURE(said);
    CHECK(said.starts_with(path + ": "));
    CHECK(said.find(part) != said.npos);
    CHECK(said.find('\n') == said.npos);
  };
  refused(test_plugin("missing"), "cannot be read: No such file");
  refused("/", "no regular file");
  refused(std::string(PENSTOCK_SOURCE_DIR) + "/CMakeLists.txt", "is no shared object");
  refused(test_plugin("no_entry"), "has no symbol gw_plugin_entry");
  refused(test_plugin("wrong_magic"), "wrong magic");
  refused(test_plugin("other_abi"), "was built for plugin ABI 77.9, this daemon (0.1.0) has 0.9");
  refused(test_plugin("needs_more"),
          "needs gw.fetch/7, which this daemon (0.1.0, plugin ABI 0.9) does not have");
  refused(test_plugin("failing_init"), "its init failed");
  CHECK(w.types.names().empty());
}

TEST_CASE("a truncated library is refused and harms nobody") {
  Folder folder;
  World w;
  const std::string path = folder.path + "/cut.so";
  copy(shipped("rate_limit"), path);
  const auto whole = std::filesystem::file_size(path);
  for (const auto size : {whole / 8, uintmax_t{3000}, uintmax_t{100}, uintmax_t{30}}) {
    std::filesystem::resize_file(path, size);
    CHECK(w.load(path) == path + ": is cut off");
  }
}

TEST_CASE("two libraries with one type are an error that names both") {
  Folder folder;
  World w;
  REQUIRE(w.load(test_plugin("torture")) == "");
  const std::string other = folder.path + "/again.so";
  copy(test_plugin("torture"), other);
  CHECK(w.load(other) == "");  // the same bytes are the same library
  FILE* file = std::fopen(other.c_str(), "ab");
  std::fputc(0, file);
  std::fclose(file);
  const std::string said = w.load(other);
  CHECK(said == other + ": type 'torture' is registered by " + test_plugin("torture") + " already");
}

TEST_CASE("the user's file is never mapped: it may be overwritten while its code runs") {
  Folder folder;
  const std::string path = folder.path + "/limits.so";
  copy(shipped("rate_limit"), path);
  for (const std::string& state_dir : {folder.path + "/state", std::string()}) {
    CAPTURE(state_dir);
    World w(HostSettings{.state_dir = state_dir});
    REQUIRE(w.load(path) == "");
    auto* filter = w.make("rate_limit", "l", R"({"key": "client.address", "limits": "1/h"})");
    REQUIRE(filter != nullptr);
    const auto size = std::filesystem::file_size(path);
    std::filesystem::resize_file(path, 0);
    std::filesystem::resize_file(path, size);
    Request r(w);
    CHECK(r.run(*filter) == Action::next);
    CHECK(output_of("cat /proc/self/maps").find(path) == std::string::npos);
    copy(shipped("rate_limit"), path);
  }
  CHECK_FALSE(std::filesystem::is_empty(folder.path + "/state/plugins"));
}

TEST_CASE("an unwritable state folder is no obstacle") {
  World w(HostSettings{.state_dir = "/proc/nowhere"});
  CHECK(w.load(shipped("rate_limit")) == "");
}

TEST_CASE("an unknown type is an error with the nearest right word") {
  World w;
  REQUIRE(w.load(shipped("rate_limit")) == "");
  CHECK(w.make("rate_limt", "l", "{}") == nullptr);
  REQUIRE(w.diagnostics.all().size() == 1);
  CHECK(w.diagnostics.all()[0].code == "unknown-plugin-type");
  CHECK(w.diagnostics.all()[0].hint.find("rate_limit") != std::string::npos);
}

TEST_CASE("a type of the language that no library brings yet is not called unknown") {
  for (const char* type : {"cors", "ip_restriction"}) {
    World w;
    REQUIRE(w.load(shipped("rate_limit")) == "");
    CHECK(w.make(type, "l", "{}") == nullptr);
    REQUIRE(w.diagnostics.all().size() == 1);
    CHECK(w.diagnostics.all()[0].code == "not-supported-yet");
    CHECK(w.diagnostics.all()[0].message ==
          "the plugin type '" + std::string(type) + "' is not supported yet");
  }
}

TEST_CASE("whatever a request hook returns or throws, it is a verdict or an error") {
  World w;
  REQUIRE(w.load(test_plugin("torture")) == "");
  auto* filter = w.make("torture", "t", "{}");
  REQUIRE(filter != nullptr);
  CHECK(act(w, *filter, "nothing") == Action::next);
  CHECK(act(w, *filter, "forbidden-writes") == Action::next);
  for (const char* what : {"throw", "throw-int", "error", "junk", "buffer", "detach", "respond-nothing",
                           "accept", "accept-nothing", "pause-no-ticket"}) {
    CAPTURE(what);
    CHECK(act(w, *filter, what) == Action::error);
  }
  CHECK(w.log.find("plugin t (torture) [req-1]: on_request_headers threw: on purpose") != std::string::npos);
  CHECK(w.log.find("on_request_headers failed: it returned 4711") != std::string::npos);

  Request answer(w);
  CHECK(answer.header("do", "respond").run(*filter) == Action::respond);
  CHECK(answer.context.local.status == 418);
  CHECK(answer.context.local.members == "\"pot\":1");
  CHECK(answer.context.local.headers->name == "x-first");
  CHECK(answer.context.local.headers->next->name == "x-second");
  Request withdrawn(w);
  CHECK(withdrawn.header("do", "problem-but-continue").run(*filter) == Action::next);
  CHECK(withdrawn.context.local.status == 0);

  Request late(w);
  late.header("do", "response-throw").respond(*filter);
  CHECK(late.action == Action::error);
  Request last(w);
  last.header("do", "complete-throw");
  filter->on_complete(last.call(*filter), {});
  CHECK(w.log.find("on_complete threw: last") != std::string::npos);
}

TEST_CASE("an authenticator accepts only with a consumer; everything else is no accept") {
  World w;
  w.consumer("alice");
  REQUIRE(w.load(test_plugin("torture")) == "");
  auto* filter = w.make("torture_auth", "a", "{}");
  REQUIRE(filter != nullptr);
  CHECK(verdict(w, *filter, "accept") == AuthVerdict::accept);
  CHECK(verdict(w, *filter, "nothing") == AuthVerdict::absent);
  CHECK(verdict(w, *filter, "record-but-absent") == AuthVerdict::absent);
  for (const char* what : {"throw", "throw-int", "error", "junk", "buffer", "respond-nothing",
                           "accept-nothing", "pause-no-ticket", "respond"}) {
    CAPTURE(what);
    CHECK(verdict(w, *filter, what) == AuthVerdict::error);
  }
  // What an earlier authenticator recorded does not help a later one.
  Request r(w);
  r.context.auth.consumer = w.snapshot.consumers.by_name("alice");
  CHECK(r.header("do", "accept-nothing").auth(*filter) == AuthVerdict::error);
}

TEST_CASE("a plugin that cannot be configured makes no filter") {
  World w;
  REQUIRE(w.load(test_plugin("torture")) == "");
  CHECK(w.make("torture", "t", R"({"mode": "error"})") == nullptr);
  CHECK(w.messages().find("did not accept this configuration (-1)") != std::string::npos);
  CHECK(w.make("torture", "t", R"({"mode": "throw"})") == nullptr);
  CHECK(w.make("torture", "t", R"({"mode": []})") == nullptr);
  CHECK(w.messages().find("mode: must be a text") != std::string::npos);
}

TEST_CASE("without an explain hook the verdict depends on something unknown") {
  World w;
  REQUIRE(w.load(test_plugin("torture")) == "");
  auto* filter = w.make("torture", "t", "{}");
  CHECK_FALSE(filter->has(penstock::proxy::Filter::explain_hook));
}

TEST_CASE("a paused request goes on once, on its own thread, whoever resumes it and however often") {
  World w;
  REQUIRE(w.load(test_plugin("torture")) == "");
  auto* filter = w.make("torture", "t", "{}");
  const auto resume = [&] { return std::string(w.types.find("torture")->plugin->schema().ptr, 1); };
  const auto turn = [&] {
    w.loop.post([&] { w.loop.stop(); });
    w.loop.run();
  };
  Request r(w);
  REQUIRE(r.header("do", "pause").run(*filter) == Action::pause);
  CHECK(w.host.tickets().waiting() == 1);
  std::string first, second;
  std::jthread([&] {
    first = resume();
    second = resume();
  }).join();
  CHECK(first == "1");
  CHECK(second == "0");
  CHECK_FALSE(r.resumed);
  turn();
  REQUIRE(r.resumed);
  CHECK(filter->on_resume(r.call(*filter), r.resume_data) == Action::next);
  CHECK(w.host.tickets().waiting() == 0);
  CHECK(resume() == "0");
}

TEST_CASE("the ticket of a request that ended is stale, also when it was resumed a moment before") {
  World w;
  REQUIRE(w.load(test_plugin("torture")) == "");
  auto* filter = w.make("torture", "t", "{}");
  const auto resume = [&] { return std::string(w.types.find("torture")->plugin->schema().ptr, 1); };
  for (const bool resumed_before : {false, true}) {
    CAPTURE(resumed_before);
    auto r = std::make_unique<Request>(w);
    REQUIRE(r->header("do", "pause").run(*filter) == Action::pause);
    if (resumed_before) CHECK(resume() == "1");
    filter->on_complete(r->call(*filter), {});
    r.reset();
    CHECK(resume() == "0");
    w.loop.post([&] { w.loop.stop(); });
    w.loop.run();
    CHECK(w.host.tickets().waiting() == 0);
  }
  Request idle(w);
  CHECK(idle.header("do", "ticket-no-pause").run(*filter) == Action::next);
  CHECK(resume() == "0");
}

TEST_CASE("a request that cannot wait gets no ticket") {
  World w;
  REQUIRE(w.load(test_plugin("torture")) == "");
  auto* filter = w.make("torture", "t", "{}");
  Request r(w);
  r.context.resumable = nullptr;
  CHECK(r.header("do", "pause").run(*filter) == Action::error);
}

TEST_CASE("an alarm resumes the ticket after its time") {
  World w;
  struct Waiting final : penstock::proxy::Resumable {
    explicit Waiting(penstock::net::Loop& l) : loop(l) {}
    bool resume(void* data) override {
      got = data;
      loop.stop();
      return true;
    }
    penstock::net::Loop& loop;
    void* got = nullptr;
  } waiting(w.loop);
  int something = 0;
  const gw_ticket ticket = w.host.tickets().take(waiting, w.loop);
  CHECK(w.host.tickets().resume_after(ticket, 1'000'000, &something));
  CHECK_FALSE(w.host.tickets().resume_after(ticket, 1'000'000, &something));
  w.loop.run();
  CHECK(waiting.got == &something);
  CHECK_FALSE(w.host.tickets().resume(ticket, nullptr));
}

TEST_CASE("metrics count over threads and reloads, names and labels are bounded") {
  Metrics metrics;
  gw_metric* counter = metrics.declare("a", "x_total", "help", "result", "ok", {}, SeriesKind::counter);
  REQUIRE(counter != nullptr);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 10'000; ++i) counter->add(1);
      });
    }
  }
  CHECK(metrics.declare("a", "x_total", "help", "result", "ok", {}, SeriesKind::counter) == counter);
  const double bounds[] = {0.1, 1};
  gw_metric* histogram = metrics.declare("a", "y_seconds", "help", "", "", bounds, SeriesKind::histogram);
  for (const double value : {0.05, 0.1, 0.5, 7.0}) histogram->observe(value);
  const auto samples = metrics.collect();
  REQUIRE(samples.size() == 2);
  CHECK(samples[0].count == 80'000);
  CHECK(samples[1].count == 4);
  CHECK(samples[1].sum == doctest::Approx(7.65));
  CHECK(samples[1].buckets == std::vector<std::pair<double, uint64_t>>{{0.1, 2}, {1, 3}});
  CHECK(metrics.declare("a", "bad name", "", "", "", {}, SeriesKind::counter) == nullptr);
  CHECK(metrics.declare("a", "x_total", "", "result", "ok", bounds, SeriesKind::histogram) == nullptr);
  for (size_t i = 2; i < Metrics::max_series; ++i) {
    REQUIRE(metrics.declare("a", "n_total", "", "i", std::to_string(i), {}, SeriesKind::counter) != nullptr);
  }
  CHECK(metrics.declare("a", "n_total", "", "i", "one more", {}, SeriesKind::counter) == nullptr);
}

TEST_CASE("the example builds by its own CMake project and guards a route") {
  Folder folder;
  const std::string source = std::string(PENSTOCK_SOURCE_DIR) + "/plugins/sdk/example";
  const std::string built = output_of("cmake -G Ninja -S " + source + " -B " + folder.path +
                                      " && cmake --build " + folder.path + " --target key_auth");
  const std::string path = folder.path + "/plugins/key_auth.so";
  REQUIRE_MESSAGE(std::filesystem::exists(path), built);
  const std::string symbols = output_of("nm -D --defined-only " + path);
  CHECK(std::count(symbols.begin(), symbols.end(), '\n') == 1);
  const std::string lines = output_of("wc -l < " + source + "/key_auth.cpp");
  CHECK(std::stoi(lines) <= 30);

  World w;
  const auto& alice = w.consumer("alice", {"staff"});
  REQUIRE(w.load(path) == "");
  auto* filter = w.make("key_auth", "mine", R"({"keys": {"k-1": "alice", "k-2": "nobody-configured"}})");
  REQUIRE_MESSAGE(filter != nullptr, w.messages());
  Request good(w), unknown(w), none(w), guest(w);
  CHECK(good.header("x-api-key", "k-1").auth(*filter) == AuthVerdict::accept);
  CHECK(good.context.auth.consumer == &alice);
  CHECK(unknown.header("x-api-key", "k-9").auth(*filter) == AuthVerdict::refuse);
  CHECK(unknown.context.auth.refuse_reason == "auth.key.unknown");
  CHECK(none.auth(*filter) == AuthVerdict::absent);
  CHECK(guest.header("x-api-key", "k-2").auth(*filter) == AuthVerdict::accept);
  CHECK(guest.context.auth.identity == "mine:nobody-configured");
  CHECK(w.make("key_auth", "mine", R"({"key": {}})") == nullptr);
  CHECK(w.messages().find("'keys' is missing") != std::string::npos);
}
