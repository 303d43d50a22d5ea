// `penstock plugin ...` and the installed package, as an author of plugins uses them.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/waiting.h"
#include "shell.h"

using namespace e2e;
using nlohmann::json;

namespace {

Ran plugin(std::vector<std::string> words) {
  words.insert(words.begin(), {binary("penstock"), "plugin"});
  return run(words);
}
std::string shipped(const std::string& name) { return binary("plugins/" + name + ".so"); }
std::string odd(const std::string& name) { return binary("tests/tools/" + name + ".so"); }

// One sentence, with the file's name in front and this in it.
void refused(const std::string& file, const std::string& part, std::vector<std::string> options = {}) {
  options.insert(options.begin(), {"check", file});
  const Ran ran = plugin(options);
  CAPTURE(ran.out);
  CAPTURE(ran.err);
  CHECK(ran.exit_code == 4);
  CHECK(ran.out.starts_with(file + ": "));
  CHECK(ran.out.find(part) != std::string::npos);
  CHECK(std::ranges::count(ran.out, '\n') == 1);
}

// Builds and the like; a Failure shows what was said.
std::string must(const std::string& command) {
  const Said said = said_by(command);
  if (!said.good) throw Failure(command + ":\n" + said.text);
  return said.text;
}

// Penstock as `cmake --install` puts it somewhere.
struct Installed {
  TempFolder folder;
  std::string prefix = folder.file("prefix");
  Installed() { must("cmake --install " + binary("") + " --prefix " + prefix); }
  std::string penstock() const { return prefix + "/bin/penstock"; }
};

}  // namespace

TEST_CASE("plugin check finds every shipped plugin good, and tells what an empty configuration lacks") {
  for (const char* name : {"api_version", "auth", "rate_limit", "logging"}) {
    CAPTURE(name);
    const Ran ran = plugin({"check", shipped(name)});
    CHECK(ran.exit_code == 0);
    CHECK(ran.out.starts_with(shipped(name) + ": good: "));
    CHECK(ran.err == "");
  }
  CHECK(plugin({"check", shipped("rate_limit")}).out.find("type rate_limit needs configuration: ") !=
        std::string::npos);
  CHECK(plugin({"check", source("tests/abi/plugin_0_9.so")}).exit_code == 0);
}

TEST_CASE("plugin info names types, hooks, needs and keys") {
  const Ran human = plugin({"info", shipped("rate_limit")});
  CHECK(human.exit_code == 0);
  for (const char* part : {"plugin ABI 0.9", "type rate_limit ", "  hooks     ", "on_request_headers",
                           "  needs     gw.http/0", "  key       limits", ", required: "}) {
    CAPTURE(part);
    CHECK(human.out.find(part) != std::string::npos);
  }
  const Ran ran = plugin({"info", shipped("auth"), "--json"});
  const json found = json::parse(ran.out, nullptr, false);
  REQUIRE(found.is_object());
  CHECK(found["abi"] == "0.9");
  CHECK(found["sha256"].get<std::string>().size() == 64);
  REQUIRE(found["types"].size() == 2);
  for (const json& type : found["types"]) {
    CHECK(type["authenticator"] == true);
    CHECK(type["schema"]["title"] == type["type"]);
  }
  CHECK(found["problems"].empty());
}

TEST_CASE("a file that is no plugin is refused in one sentence") {
  TempFolder folder;
  refused(folder.file("none.so"), "cannot be read: No such file");
  refused(folder.write("text.so", "hello"), "is no shared object");
  refused(odd("no_entry"), "it has no symbol gw_plugin_entry");
  const Ran ran = plugin({"info", folder.file("none.so"), "--json"});
  CHECK(ran.exit_code == 4);
  CHECK(json::parse(ran.out)["problems"].size() == 1);
}

TEST_CASE("a plugin whose code crashes, hangs or leaves is refused by what it did, and where") {
  refused(odd("crash_loading"), "crashed with SIGSEGV (Segmentation fault) while it was loaded");
  refused(odd("abort_schema"), "crashed with SIGABRT (Aborted) while type 'odd' was asked for its schema");
  refused(odd("crash_configure"),
          "crashed with SIGSEGV (Segmentation fault) while type 'odd' was configured");
  refused(odd("crash_destroy"), "while an instance of type 'odd' was destroyed");
  refused(odd("crash_unloading"), "while it was unloaded");
  refused(odd("exit_loading"), "ended the process with exit code 0 while it was loaded");
  refused(odd("hang_loading"), "took longer than 1s while it was loaded", {"--timeout", "1s"});
  refused(odd("hang_configure"), "took longer than 3500ms while type 'odd' was configured",
          {"--timeout=3500ms"});
}

TEST_CASE("what only an author can mend is found too") {
  refused(odd("exports_more"),
          "exports more than gw_plugin_entry, which two plugins could share by accident: "
          "another_symbol");
  refused(odd("missing_symbol"), "cannot be loaded: undefined symbol: nobody_has_this");
  refused(odd("borrowed_symbol"),
          "uses symbols that neither it nor a library that it is linked with has: "
          "uv_loop_new");
  refused(odd("wrong_schema"), "the schema of type 'odd' is no JSON object");
  refused(odd("no_hook"), "type 'odd' has no hook");
  refused(odd("no_version"), "the version of type 'odd' is not 1 to 64 visible characters");
  const Ran unique = plugin({"check", odd("unique")});  // of a template; others are seen as well
  CHECK(unique.exit_code == 4);
  CHECK(unique.out.find("STB_GNU_UNIQUE, so it can never be unloaded") != std::string::npos);
  // `info` shows what there is; the daemon would load it.
  const Ran ran = plugin({"info", odd("exports_more")});
  CHECK(ran.exit_code == 0);
  CHECK(ran.out.find("another_symbol") != std::string::npos);
}

TEST_CASE("what a plugin prints does not mix with what is said of it") {
  const Ran ran = plugin({"check", odd("prints"), "--json"});
  CHECK(ran.exit_code == 0);
  CHECK(json::parse(ran.out, nullptr, false).is_object());
  CHECK(ran.err.find("I was loaded") != std::string::npos);
}

TEST_CASE("a process that a plugin leaves behind keeps nobody waiting") {
  const Ran ran =
      plugin({"check", odd("leaves_process")});  // one that waited for it would say that it is late
  CHECK(ran.exit_code == 0);
  CHECK(ran.out == odd("leaves_process") + ": good: odd 1.0.0 (plugin ABI 0.9)\n");
}

TEST_CASE("plugin new refuses names that cannot be and folders that are there") {
  TempFolder folder;
  const std::string in = "cd " + folder.path() + " && " + binary("penstock") + " plugin new ";
  const auto said = [&](const std::string& words) { return run({"/bin/sh", "-c", in + words}); };
  for (const char* name : {"My-Plugin", "9lives", "../up", "test", "''"}) {
    CAPTURE(name);
    CHECK(said(name).exit_code == 2);
  }
  CHECK(std::filesystem::is_empty(folder.path()));
  CHECK(said("mine").exit_code == 0);
  const std::string before = folder.read("mine/mine.cpp");
  const Ran again = said("mine --c");
  CHECK(again.exit_code == 2);
  CHECK(again.err.find("mine is there already; nothing was changed") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(folder.file("mine/mine.c")));
  CHECK(folder.read("mine/mine.cpp") == before);
}

TEST_CASE("a new plugin builds against an installed penstock, passes its check and serves") {
  Installed installed;
  for (const std::string options : {"", " --c"}) {
    CAPTURE(options);
    TempFolder folder;
    must("cd " + folder.path() + " && " + installed.penstock() + " plugin new my_first" + options);
    must("cd " + folder.path() + "/my_first && CMAKE_PREFIX_PATH=" + installed.prefix +
         " cmake -S . -B build && cmake --build build");
    const std::string built = folder.file("my_first/build/plugins/my_first.so");
    const Ran checked = run({installed.penstock(), "plugin", "check", built});
    CHECK(checked.out == built + ": good: my_first 0.1.0 (plugin ABI 0.9)\n");
    CHECK(checked.exit_code == 0);
    // Its sample configuration is good as it is; to serve it, a port that is free here.
    const std::string sample = folder.file("my_first/gateway.yaml");
    const Ran good = run({installed.penstock(), "check", "-c", sample, "--strict"});
    CHECK_MESSAGE(good.exit_code == 0, good.out);
    std::string text = folder.read("my_first/gateway.yaml");
    const size_t at = text.find("127.0.0.1:8080");
    REQUIRE(at != text.npos);
    folder.write("my_first/gateway.yaml", text.replace(at, 14, "127.0.0.1:0"));
    Process daemon({installed.penstock(), "run", "-c", sample}, Process::Read::standard_error);
    const std::string line = daemon.wait_for_line("listener http on http");
    daemon.wait_for_line("penstock: ready");
    const Response answer = get(static_cast<uint16_t>(std::stoi(line.substr(line.rfind(':') + 1))), "/any");
    CHECK(answer.status == 200);
    CHECK(answer.header("x-my_first") == "it works");
    daemon.signal(2);
    CHECK(daemon.wait() == 0);
  }
}

TEST_CASE("a new plugin builds against the sources alone") {
  TempFolder folder;
  must("cd " + folder.path() + " && " + binary("penstock") +
       " plugin new from_sources --c && cmake -S from_sources " +
       "-B out -DPENSTOCK_SDK=" + source("plugins/sdk") + " && cmake --build out");
  CHECK(plugin({"check", folder.file("out/plugins/from_sources.so")}).exit_code == 0);
}

TEST_CASE("an installed tree has what an author needs") {
  Installed installed;
  for (const char* file :
       {"include/penstock_plugin.h", "include/penstock_plugin.hpp", "include/penstock/hooks.hpp"})
    CHECK_MESSAGE(std::filesystem::exists(installed.prefix + "/" + file), file);
  size_t config = 0, plugins = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(installed.prefix)) {
    const std::string name = entry.path().filename();
    config += name == "penstockConfig.cmake" || name == "penstockConfigVersion.cmake" ||
              name == "penstock_add_plugin.cmake" || name == "penstock_plugin.map";
    plugins += entry.path().extension() == ".so";
  }
  CHECK(config == 4);
  CHECK(plugins >= 4);
  // A version that is too new is not this one.
  TempFolder folder;
  folder.write("CMakeLists.txt",
               "cmake_minimum_required(VERSION 3.25)\nproject(x LANGUAGES C)\n"
               "find_package(penstock 99 REQUIRED)\n");
  CHECK(run({"/bin/sh", "-c",
             "CMAKE_PREFIX_PATH=" + installed.prefix + " cmake -S " + folder.path() + " -B " + folder.path() +
                 "/build 2>/dev/null"})
            .exit_code != 0);
}
