// How a library comes and goes, and what of a plugin's failures reaches anybody else.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <latch>
#include <sstream>
#include <thread>

#include "base/sanitized.h"
#include "plugin/crash_report.h"
#include "plugin/hook_watch.h"
#include "plugins/harness.h"

using namespace penstock::plugin;
using namespace penstock::plugin::testing;
using penstock::proxy::Action;
namespace fs = std::filesystem;

namespace {

std::string text_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

// The plugin with another number in it: the same library, built anew.
void write_build(const std::string& path, int build) {
  std::string bytes = text_of(test_plugin("versioned"));
  const size_t at = bytes.find("build=000000");
  REQUIRE(at != bytes.npos);
  bytes.replace(at + 6, 6, std::to_string(100000 + build));
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

bool mapped(const std::string& name) { return text_of("/proc/self/maps").find(name) != std::string::npos; }

size_t files_in(const std::string& folder) {
  std::error_code none;
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder, none)) ++count;
  return count;
}

std::string answer_of(World& w, const penstock::proxy::Filter& filter) {
  Request r(w);
  CHECK(r.run(filter) == Action::respond);
  return std::string(r.context.local.body);
}

}  // namespace

TEST_CASE("a library that changed is new code; the old one runs on and is unmapped with its last user") {
  Folder folder;
  const std::string path = folder.path + "/mine.so", copies = folder.path + "/state/plugins";
  for (const bool in_memory : {false, true}) {
    CAPTURE(in_memory);
    World w(HostSettings{.state_dir = in_memory ? std::string() : folder.path + "/state"});
    const std::string name = in_memory ? "/memfd:mine.so" : "/state/plugins/mine-";
    write_build(path, 1);
    REQUIRE(w.load(path) == "");
    auto* older = w.make("versioned", "v", "{}");
    REQUIRE(older != nullptr);
    write_build(path, 2);
    TypeSet next;
    {
      auto library = w.host.load(path);
      REQUIRE_MESSAGE(library.has_value(), library.error());
      REQUIRE(next.add(*library) == "");
    }
    CHECK(files_in(copies) == (in_memory ? 0 : 2));
    CHECK(answer_of(w, *older) == "build=100001");
    w.stop_all();
    w.types = next;
    next = {};
    CHECK(files_in(copies) == (in_memory ? 0 : 1));
    auto* newer = w.make("versioned", "v", "{}");
    REQUIRE(newer != nullptr);
    CHECK(answer_of(w, *newer) == "build=100002");
    CHECK(mapped(name));
    w.stop_all();
    w.types = {};
    CHECK_FALSE(mapped(name));
    CHECK(files_in(copies) == 0);
  }
}

TEST_CASE(
    "processes share a folder of copies: a file goes with its last user, and what nobody uses is swept") {
  Folder folder;
  const HostSettings settings{.state_dir = folder.path};
  const std::string copies = folder.path + "/plugins", left = copies + "/old-" + std::string(64, 'a') + ".so";
  fs::create_directory(copies);
  for (const std::string& name : {left, left + ".X1y2Z3", copies + "/notes.txt", copies + "/other.so"})
    std::ofstream(name) << "x";
  {
    World w(settings);
    REQUIRE(w.load(test_plugin("torture")) == "");
    CHECK(files_in(copies) == 3);  // notes.txt, other.so and the copy
    // Locks are an open file's, not a process': this is as good as another one.
    const auto file = read_library(test_plugin("torture"));
    REQUIRE(file.has_value());
    auto other = PrivateCopy::in_folder(copies, "torture", file->hash, file->bytes);
    REQUIRE(other.has_value());
    PrivateCopy::sweep(copies);
    w.types = {};
    CHECK(files_in(copies) == 3);
    REQUIRE(w.load(test_plugin("torture")) == "");
    other.reset();
    CHECK(files_in(copies) == 3);
  }
  CHECK(files_in(copies) == 2);
  CHECK(fs::exists(copies + "/notes.txt"));
}

TEST_CASE("a copy that was tampered with is written anew") {
  Folder folder;
  const HostSettings settings{.state_dir = folder.path};
  World one(settings);
  REQUIRE(one.load(test_plugin("versioned")) == "");
  std::string copy;
  for (const auto& entry : fs::directory_iterator(folder.path + "/plugins")) copy = entry.path().string();
  // Another file of that name: what is mapped is not touched.
  fs::rename(copy, copy + ".kept");
  std::ofstream(copy) << "no library";
  World two(settings);
  CHECK(two.load(test_plugin("versioned")) == "");
  CHECK(text_of(copy) == text_of(test_plugin("versioned")));
}

TEST_CASE("what is thrown outside of requests stays inside, too") {
  World w;
  REQUIRE(w.load(test_plugin("torture")) == "");
  REQUIRE(w.make("torture", "e", R"({"mode": "event"})") != nullptr);
  w.host.notify(Event::reopen_logs);
  CHECK(w.log.find("plugin e (torture): an event's callback threw") != std::string::npos);
  REQUIRE(w.make("torture", "t", R"({"mode": "throw-at-end"})") != nullptr);
  w.stop_all();
  CHECK(w.log.find("plugin t (torture): worker_stop threw: in worker_stop") != std::string::npos);
  CHECK(w.log.find("plugin t (torture): destroy threw: in destroy") != std::string::npos);
}

TEST_CASE("there is an end to the series that plugins declare") {
  World w;
  REQUIRE(w.load(test_plugin("torture")) == "");
  CHECK(w.make("torture", "t", R"({"mode": "many-series"})") != nullptr);
  CHECK(w.host.metrics().size() >= Metrics::max_series);
}

TEST_CASE("host functions answer what cannot be, in every hook") {
  World w;
  REQUIRE(w.load(test_plugin("torture")) == "");
  auto* filter = w.make("torture", "t", "{}");
  REQUIRE(filter != nullptr);
  for (const char* what : {"wrong-arguments", "exhaust-arena", "forbidden-later"}) {
    CAPTURE(what);
    Request r(w);
    CHECK(r.header("do", what).run(*filter) == Action::next);
    r.respond(*filter);
    CHECK(r.action == Action::next);
    filter->on_complete(r.call(*filter), {});
  }
  CHECK(w.log.find("threw") == std::string::npos);
}

TEST_CASE("calls and errors are counted by hook, and one call in 64 is timed") {
  World w;
  REQUIRE(w.load(test_plugin("torture")) == "");
  auto* filter = w.make("torture", "t", "{}");
  REQUIRE(filter != nullptr);
  for (int i = 0; i < 130; ++i) Request(w).run(*filter);
  for (const char* what : {"throw", "junk", "error"}) {
    Request r(w);
    CHECK(r.header("do", what).run(*filter) == Action::error);
  }
  Request late(w);
  late.header("do", "response-junk").respond(*filter);
  CHECK(w.counted("penstock_plugin_calls_total", "t", "on_request_headers") == 133);
  CHECK(w.counted("penstock_plugin_errors_total", "t", "on_request_headers") == 3);
  CHECK(w.counted("penstock_plugin_errors_total", "t", "on_response_headers") == 1);
  CHECK(w.counted("penstock_plugin_duration_seconds", "t", "on_request_headers") == 3);
  // A reload goes on counting; the last instance of the name takes its series along.
  auto* again = w.make("torture", "t", "{}");
  REQUIRE(again != nullptr);
  Request(w).run(*again);
  CHECK(w.counted("penstock_plugin_calls_total", "t", "on_request_headers") == 134);
  w.stop_all();
  for (const MetricSample& sample : w.host.metrics()) CHECK(sample.name.find("penstock_plugin_") != 0);
}

TEST_CASE("a plugin that fails for every request does not flood the log") {
  World w;
  REQUIRE(w.load(test_plugin("torture")) == "");
  auto* filter = w.make("torture", "t", "{}");
  REQUIRE(filter != nullptr);
  // On a thread of its own, whose lines are counted by themselves.
  std::jthread([&] {
    void* state = nullptr;
    filter->worker_start(0, w.loop, &state);
    for (int i = 0; i < 2000; ++i) {
      Request r(w);
      r.header("do", "error").run(*filter);
    }
    filter->worker_stop(0, state);
  }).join();
  CHECK(w.counted("penstock_plugin_errors_total", "t", "on_request_headers") == 2000);
  // A hundred a second; a slow machine may have taken some seconds.
  CHECK(std::count(w.log.begin(), w.log.end(), '\n') < 2000);
}

TEST_CASE("a slow hook is named while it runs, and counted once") {
  World w;
  REQUIRE(w.load(test_plugin("torture")) == "");
  auto* filter = w.make("torture", "t", "{}");
  REQUIRE(filter != nullptr);
  HookWatch watch(w.loop, w.host);
  Request r(w);
  r.header("do", "sleep");
  std::latch looked(1);
  std::jthread worker([&] {
    void* state = nullptr;
    filter->worker_start(0, w.loop, &state);
    r.run(*filter);
    filter->worker_stop(0, state);
    w.loop.post([&] { w.loop.stop(); });
    looked.wait();  // the watch reads what is this thread's
  });
  watch.set_bound(40);
  w.loop.serve();
  watch.stop();
  looked.count_down();
  CHECK(w.log.find("on_request_headers of t (torture, torture.so) has kept worker 0") != std::string::npos);
  CHECK(w.counted("penstock_plugin_slow_hooks_total", "t", "on_request_headers") == 1);
}

#ifndef NDEBUG
TEST_CASE("a debug build names who calls a worker's function on another thread") {
  World w;
  REQUIRE(w.load(test_plugin("torture")) == "");
  auto* filter = w.make("torture", "t", "{}");
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    std::signal(SIGABRT, SIG_DFL);
    Request r(w);
    r.header("do", "call-from-thread").run(*filter);
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string said;
  std::array<char, 1024> buffer;
  for (ssize_t n; (n = ::read(ends[0], buffer.data(), buffer.size())) > 0;)
    said.append(buffer.data(), static_cast<size_t>(n));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WIFSIGNALED(status));
  CHECK(said.find("torture.so called header_count outside of the hook") != std::string::npos);
}
#endif
