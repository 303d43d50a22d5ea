// The header and its layout, by the compilers that authors of plugins have.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "plugins/harness.h"
#include "shell.h"

using penstock::plugin::testing::Folder;

namespace {

const std::string source = PENSTOCK_SOURCE_DIR;
const std::string sdk = source + "/plugins/sdk";
const std::string warnings = " -fsyntax-only -Wall -Wextra -Wpedantic -Werror ";

std::string text_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

void replace(const std::string& path, const std::string& old, const std::string& by) {
  std::string text = text_of(path);
  const size_t at = text.find(old);
  REQUIRE(at != text.npos);
  std::ofstream(path) << text.replace(at, old.size(), by);
}

// What the compiler says; empty: it takes it.
std::string refused(const std::string& compiler, const std::string& file, const std::string& headers = sdk) {
  const Said said = said_by(compiler + warnings + "-I " + headers + " " + file);
  return said.good ? "" : said.text + "(refused)";
}

}  // namespace

TEST_CASE("the header and the layout of 0.9 are C11 for gcc and clang") {
  for (const char* compiler : {"gcc -std=c11", "clang-19 -std=c11"}) {
    CAPTURE(compiler);
    CHECK(refused(compiler, source + "/tests/plugins/programs/header.c") == "");
    CHECK(refused(compiler, source + "/tests/abi/layout.c") == "");
  }
}

TEST_CASE("the SDK is C++17, C++20 and C++23 for g++ and clang++") {
  for (const std::string compiler : {"g++", "clang++-19"})
    for (const std::string standard : {"17", "20", "23"}) {
      CAPTURE(compiler);
      CAPTURE(standard);
      CHECK(refused(compiler + " -std=c++" + standard, source + "/tests/plugins/programs/header.cpp") == "");
    }
}

TEST_CASE("a layout that is another one than it was does not compile") {
  const std::pair<const char*, const char*> changes[] = {
      {"gw_str (*header_get)(gw_req*, uint32_t block, gw_id name, uint32_t index);", ""},
      {"gw_rc (*get_int)(const gw_node*, int64_t* out);", "int32_t get_int;"},
      {"uint32_t struct_size, ctx_size;", "uint32_t ctx_size, struct_size;"},
      {"GW_RESPOND = 1", "GW_RESPOND = 5"}};
  size_t tried = 0;
  for (const auto& [old, by] : changes) {
    Folder folder;
    std::filesystem::copy(sdk, folder.path, std::filesystem::copy_options::recursive);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path)) {
      if (entry.path().extension() != ".h" || text_of(entry.path()).find(old) == std::string::npos) continue;
      replace(entry.path(), old, by);
      ++tried;
      CAPTURE(old);
      CHECK(refused("gcc -std=c11", source + "/tests/abi/layout.c", folder.path) != "");
      break;
    }
  }
  CHECK(tried >= 3);
}

TEST_CASE("the generator knows every struct of the header, and today's layout holds what 0.9 promised") {
  const Said made = said_by("/usr/bin/python3 " + source + "/tests/abi/layout.py gcc");
  REQUIRE_MESSAGE(made.good, made.text);
  size_t structs = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(sdk)) {
    if (entry.path().extension() != ".h") continue;
    const std::string text = text_of(entry.path());
    const std::regex begins("typedef struct (gw_[a-z0-9_]+) \\{");
    for (std::sregex_iterator at(text.begin(), text.end(), begins), end; at != end; ++at, ++structs) {
      const std::string name = (*at)[1].str();
      CAPTURE(name);
      CHECK(made.text.find("offsetof(" + name + ", ") != made.text.npos);
    }
  }
  CHECK(structs >= 20);
  // Sizes may have grown; every member and every constant is where it was.
  std::istringstream lines(text_of(source + "/tests/abi/layout_0_9.inc"));
  size_t kept = 0;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("static_assert(") || line.find(" >= ") != line.npos) continue;
    CAPTURE(line);
    CHECK(made.text.find(line + "\n") != made.text.npos);
    ++kept;
  }
  CHECK(kept > 200);
}
