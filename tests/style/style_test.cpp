#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "style/checker.h"

using namespace penstock::style;
namespace fs = std::filesystem;

namespace {
std::map<std::string, std::string> sources_under(const std::vector<std::string>& folders) {
  std::map<std::string, std::string> files;
  const fs::path top = PENSTOCK_SOURCE_DIR;
  for (const auto& folder : folders) {
    if (!fs::exists(top / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(top / folder)) {
      auto kind = entry.path().extension();
      if (!entry.is_regular_file() || (kind != ".h" && kind != ".cpp" && kind != ".hpp" && kind != ".c"))
        continue;
      std::stringstream text;
      text << std::ifstream(entry.path(), std::ios::binary).rdbuf();
      files.emplace(fs::relative(entry.path(), top).generic_string(), text.str());
    }
  }
  return files;
}

template <typename Check>
std::string violations_of(const std::map<std::string, std::string>& files, Check check) {
  std::string all;
  for (const auto& [path, text] : files)
    for (const auto& violation : check(path, text))
      all += path + ":" + std::to_string(violation.line) + ": " + violation.text + "\n";
  return all;
}

bool refused(std::string_view path, std::string_view line) { return !check_includes(path, line).empty(); }
}  // namespace

TEST_CASE("an include upwards across the layers is found, one downwards is not") {
  CHECK(refused("gateway/base/a.h", "#include \"net/loop.h\"\n"));
  CHECK(refused("gateway/net/a.h", "#include \"http/stream.h\"\n"));
  CHECK(refused("gateway/upstream/a.h", "#include \"proxy/exchange.h\"\n"));
  CHECK(refused("gateway/proxy/a.cpp", "  #  include \"plugin/loader.h\"\n"));
  CHECK(refused("gateway/plugin/a.cpp", "#include \"server/worker.h\"\n"));
  CHECK_FALSE(
      refused("gateway/proxy/a.cpp", "#include \"upstream/cluster.h\"\n#include \"base/result.h\"\n"));
  CHECK_FALSE(refused("gateway/discovery/a.cpp", "#include \"upstream/endpoint.h\"\n"));
  CHECK_FALSE(
      refused("gateway/server/a.cpp", "#include \"admin/explain.h\"\n#include \"plugin/loader.h\"\n"));
  CHECK_FALSE(refused("gateway/main.cpp", "#include \"server/server.h\"\n"));
}

TEST_CASE("http, config and observe do not know each other") {
  for (std::string_view from : {"http", "config", "observe"})
    for (std::string_view to : {"http", "config", "observe"}) {
      auto path = "gateway/" + std::string(from) + "/a.h",
           line = "#include \"" + std::string(to) + "/b.h\"\n";
      CAPTURE(path);
      CAPTURE(line);
      CHECK(refused(path, line) == (from != to));
    }
}

TEST_CASE("a library stays in the folder that wraps it") {
  CHECK(refused("gateway/http/a.cpp", "#include <uv.h>"));
  CHECK(refused("gateway/server/a.cpp", "#include <openssl/ssl.h>"));
  CHECK(refused("gateway/http/message.cpp", "#include <llhttp.h>"));
  CHECK(refused("gateway/http/connection.cpp", "#include <nghttp2/nghttp2.h>"));
  CHECK(refused("gateway/server/a.cpp", "#include <yaml-cpp/yaml.h>"));
  CHECK(refused("gateway/base/a.cpp", "#include <iostream>"));
  CHECK_FALSE(refused("gateway/net/a.cpp", "#include <uv.h>\n#include <openssl/ssl.h>"));
  CHECK_FALSE(refused("gateway/http/http1/parser.cpp", "#include <llhttp.h>"));
  CHECK_FALSE(refused("gateway/http/http2/session.h", "#include <nghttp2/nghttp2.h>"));
  CHECK_FALSE(refused("plugins/auth/jwt.cpp", "#include <openssl/evp.h>"));
  CHECK_FALSE(refused("gateway/base/a.cpp", "// #include <uv.h> would be wrong here"));
}

TEST_CASE("a plugin includes nothing of the gateway") {
  CHECK(refused("plugins/auth/jwt.cpp", "#include \"base/result.h\""));
  CHECK(refused("plugins/auth/jwt.cpp", "#include \"../../gateway/net/digest.h\""));
  CHECK_FALSE(
      refused("plugins/auth/jwt.cpp", "#include \"penstock_plugin.hpp\"\n#include \"auth/claims.h\""));
}

TEST_CASE("the violation names its line") {
  auto found =
      check_includes("gateway/base/a.h", "#pragma once\n#include <string>\n#include \"proxy/route.h\"\n");
  REQUIRE(found.size() == 1);
  CHECK(found[0].line == 3);
  CHECK(found[0].text.find("proxy/route.h") != std::string::npos);
}

TEST_CASE("marks of unfinished work and waits by the clock are found as whole words") {
  using namespace std::string_literals;
  CHECK_FALSE(check_words("gateway/a.cpp", "int x;  // TO"s + "DO").empty());
  CHECK_FALSE(check_words("tests/a.cpp", "std::this_thread::sle"s + "ep_for(1s);").empty());
  CHECK(check_words("gateway/a.cpp", "// stubborn, todos and a hacksaw").empty());
}

TEST_CASE("the tree keeps to its layers") {
  auto files = sources_under({"gateway", "plugins"});
  CHECK(files.size() > 50);  // the scan found the tree at all
  CHECK(violations_of(files, check_includes) == "");
}

TEST_CASE("the tree holds no unfinished work and no wait by the clock") {
  auto files = sources_under({"gateway", "plugins", "tests", "bench"});
  CHECK(files.size() > 50);
  CHECK(violations_of(files, check_words) == "");
}

TEST_CASE("no source file is over 500 lines") {
  for (const auto& [path, text] : sources_under({"gateway", "plugins"})) {
    CAPTURE(path);
    CHECK(std::ranges::count(text, '\n') <= 500);
  }
}
