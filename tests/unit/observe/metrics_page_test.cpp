// config/metrics.md is written by hand; what it lists is what the sources make.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>

namespace {

using Names = std::set<std::string>;

void collect(const std::string& text, char quote, Names& out) {
  const std::regex quoted(std::string(1, quote) + "((penstock|http|rpc)_[a-z0-9_]+)" + quote);
  for (std::sregex_iterator at(text.begin(), text.end(), quoted), end; at != end; ++at)
    out.insert((*at)[1].str());
}

std::string read(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("config/metrics.md names every metric and its labels, and none that there is not") {
  const std::filesystem::path root = PENSTOCK_SOURCE_DIR;
  Names made, listed;
  for (const char* folder : {"gateway", "plugins"})
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root / folder))
      if (entry.path().extension() == ".cpp" || entry.path().extension() == ".h")
        collect(read(entry.path()), '"', made);
  collect(read(root / "config/metrics.md"), '`', listed);
  CHECK(made.size() > 40);
  for (const std::string& name : made) {
    CAPTURE(name);
    CHECK(listed.contains(name));
  }
  for (const std::string& name : listed) {
    CAPTURE(name);
    CHECK(made.contains(name));
  }
}
