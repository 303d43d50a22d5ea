// A plugin's file is replaced under load and the daemon told by HUP: nobody notices but by newer answers, and
// whatever is wrong with the new file leaves the old one serving.
#include <doctest/doctest.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "base/sanitized.h"
#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/metrics.h"

using namespace e2e;
namespace fs = std::filesystem;

namespace {

std::string text_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

std::string test_plugin(const std::string& name) { return binary("tests/plugins/" + name + ".so"); }

std::string build_text(int build) { return "build=" + std::to_string(100000 + build); }

// The same library built anew: another number in its text.
std::string bytes_of(int build) {
  std::string bytes = text_of(test_plugin("versioned"));
  const size_t at = bytes.find("build=000000");
  if (at == bytes.npos) throw Failure("versioned.so has no number to replace");
  return bytes.replace(at, 12, build_text(build));
}

enum class How : bool { in_place, by_rename };
void replace(const std::string& path, const std::string& bytes, How how) {
  const std::string written = how == How::in_place ? path : path + ".new";
  std::ofstream(written, std::ios::binary | std::ios::trunc) << bytes;
  if (how == How::by_rename) fs::rename(written, path);
}

struct Plugged {
  explicit Plugged(int build) { replace(path, bytes_of(build), How::in_place); }
  std::string configuration(const std::string& settings = {}) const {
    return basics("plugin_libraries: [" + path + "]\nplugins: { v: { type: versioned" + settings +
                  " } }\n"
                  "routes: [{ name: all, match: { path_prefix: / }, public: true, plugins: v, "
                  "respond: { status: 500 } }]\n");
  }
  TempFolder folder;
  std::string path = folder.file("mine.so");
};

bool reloaded(const std::string& line) { return line.find("reloaded") != std::string::npos; }

// Private copies of the library in the state folder, and the different ones of them in the process' memory.
size_t copies(const Gateway& gateway) {
  size_t count = 0;
  for (const auto& entry : fs::directory_iterator(gateway.folder().file("state/plugins")))
    count += entry.path().filename().string().starts_with("mine-") ? 1 : 0;
  return count;
}
size_t mapped(Gateway& gateway) {
  std::ifstream maps("/proc/" + std::to_string(gateway.process().pid()) + "/maps");
  std::set<std::string> names;
  for (std::string line; std::getline(maps, line);)
    if (const size_t at = line.find("/mine-"); at != line.npos) names.insert(line.substr(at));
  return names.size();
}

std::string answer(uint16_t port) { return get(port, "/").body; }

// Clients that ask without a pause. Each sees builds in their order, and nothing but builds.
class Load {
 public:
  explicit Load(uint16_t port) {
    for (int i = 0; i < 4; ++i) threads_.emplace_back([this, port] { ask(port); });
  }
  ~Load() { end(); }
  void end() {
    stop_ = true;
    threads_.clear();
  }
  uint64_t answers() const { return answers_; }
  int failures() const { return failures_; }

 private:
  void ask(uint16_t port) {
    try {
      Client client(port);
      std::string last = build_text(0);
      while (!stop_) {
        client.send("GET /load HTTP/1.1\r\nhost: a\r\n\r\n");
        Response response = client.read_response();
        if (response.status != 200 || response.body < last || !response.body.starts_with("build=1"))
          ++failures_;
        last = response.body;
        ++answers_;
      }
    } catch (const Failure&) {
      ++failures_;
    }
  }
  std::atomic<bool> stop_ = false;
  std::atomic<uint64_t> answers_ = 0;
  std::atomic<int> failures_ = 0;
  std::vector<std::jthread> threads_;
};

}  // namespace

TEST_CASE("twenty builds of a plugin follow each other under load without one failed request") {
  Plugged plugged(1);
  Gateway gateway(plugged.configuration());
  Load load(gateway.port());
  size_t memory = 0;
  for (int build = 2; build <= 21; ++build) {
    const uint64_t before = load.answers();
    await("requests between two reloads", [&] { return load.answers() > before + 50; });
    replace(plugged.path, bytes_of(build), build % 2 ? How::by_rename : How::in_place);
    REQUIRE(reloaded(gateway.reload(plugged.configuration())));
    await("an answer of the new build", [&] { return answer(gateway.port()) == build_text(build); });
    if (build == 6) memory = gateway.resident_bytes();
  }
  load.end();
  CHECK(load.failures() == 0);
  CHECK(load.answers() > 1000);
  await("old builds are unmapped", [&] { return mapped(gateway) == 1; });
  CHECK(copies(gateway) == 1);
  if (!penstock::address_sanitizer && !penstock::thread_sanitizer)
    CHECK(gateway.resident_bytes() < memory + memory / 4);
  CHECK(gateway.stop(SIGTERM) == 0);
  CHECK(copies(gateway) == 0);
}

TEST_CASE("a request that waits in an old build ends in it, and then the build is unmapped") {
  Plugged plugged(1);
  Gateway gateway(plugged.configuration());
  Client waiting(gateway.port());
  waiting.send("GET / HTTP/1.1\r\nhost: a\r\ndo: wait\r\n\r\n");
  std::string line = gateway.process().wait_for_line("waits with ");
  const std::string ticket = line.substr(line.find("with ") + 5);
  for (int build = 2; build <= 3; ++build) {
    replace(plugged.path, bytes_of(build), How::in_place);
    REQUIRE(reloaded(gateway.reload(plugged.configuration())));
    await("an answer of the new build", [&] { return answer(gateway.port()) == build_text(build); });
  }
  await("the build in between is unmapped", [&] { return mapped(gateway) == 2; });
  CHECK(copies(gateway) == 2);
  CHECK(get(gateway.port(), "/", "do: wake\r\nticket: " + ticket + "\r\n").body == build_text(3));
  CHECK(waiting.read_response().body == build_text(1));
  waiting.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  CHECK(waiting.read_response().body == build_text(3));
  await("the old build is unmapped", [&] { return mapped(gateway) == 1; });
  CHECK(copies(gateway) == 1);
}

TEST_CASE("whatever is wrong with a new build is told in a sentence and leaves the old one serving") {
  Plugged plugged(1);
  Gateway gateway(plugged.configuration());
  const auto refused = [&](const std::string& settings, const std::string& part) {
    CAPTURE(part);
    const std::string line = gateway.reload(plugged.configuration(settings));
    CHECK(line.find("reload refused: ") != std::string::npos);
    CHECK(line.find("was not changed") != std::string::npos);
    CHECK(gateway.process().output().find(part) != std::string::npos);
    CHECK(answer(gateway.port()) == build_text(1));
  };
  const std::string good = bytes_of(2);
  replace(plugged.path, good.substr(0, 3000), How::in_place);
  refused("", "mine.so: is cut off");
  replace(plugged.path, "#!/bin/sh\n", How::by_rename);
  refused("", "mine.so: is no shared object");
  replace(plugged.path, text_of(test_plugin("other_abi")), How::by_rename);
  refused("", "was built for plugin ABI 77.9");
  replace(plugged.path, text_of(test_plugin("failing_init")), How::by_rename);
  refused("", "its init failed");
  replace(plugged.path, good, How::by_rename);
  refused(", fail: configure", "this build was told to fail");
  refused(", fail: worker_start", "a plugin could not start on a worker");
  fs::remove(plugged.path);
  refused("", "mine.so");
  await("nothing is left of what was refused", [&] { return mapped(gateway) == 1; });
  CHECK(copies(gateway) == 1);
  replace(plugged.path, good, How::by_rename);
  REQUIRE(reloaded(gateway.reload(plugged.configuration())));
  await("an answer of the new build", [&] { return answer(gateway.port()) == build_text(2); });
}

TEST_CASE("a state folder that forbids execution: the copies are in memory, reloads go on") {
  TempFolder state;
  const std::vector<std::string> mount{
      "unshare", "-m", "sh", "-c", "mount -t tmpfs -o noexec none \"$0\" && exec \"$@\"", state.path()};
  std::vector<std::string> probe = mount;
  probe.push_back("true");
  if (run(probe).exit_code != 0) {
    MESSAGE("no mount may be made here; tests/plugins/life_test.cpp tries copies in memory without one");
    return;
  }
  Plugged plugged(1);
  std::vector<std::string> command = mount;
  const std::string configuration =
      plugged.folder.write("gateway.yaml", "state_dir: " + state.path() + "\n" + plugged.configuration());
  for (const std::string& word : {binary("penstock"), std::string("run"), std::string("-c"), configuration})
    command.push_back(word);
  Process process(command, Process::Read::standard_error);
  const std::string line = process.wait_for_line("listener http on http://127.0.0.1:");
  const auto port = static_cast<uint16_t>(std::stoi(line.substr(line.rfind(':') + 1)));
  process.wait_for_line("penstock: ready");
  CHECK(answer(port) == build_text(1));
  const std::string proc = "/proc/" + std::to_string(process.pid());
  CHECK(text_of(proc + "/maps").find("/memfd:mine.so") != std::string::npos);
  CHECK(fs::is_empty(proc + "/root" + state.path() + "/plugins"));
  replace(plugged.path, bytes_of(2), How::in_place);
  process.signal(SIGHUP);
  CHECK(reloaded(process.wait_for_line("penstock: reload")));
  await("an answer of the new build", [&] { return answer(port) == build_text(2); });
  process.signal(SIGTERM);
  CHECK(process.wait() == 0);
}
