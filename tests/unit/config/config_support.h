// What the configuration tests share: a folder that goes away, an environment that is given, diagnostics as
// short lines to compare with.
#pragma once
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/load.h"
#include "config/render.h"

namespace penstock::config::test {

class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "penstock-config-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string path(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

  std::string write(const std::string& name, std::string_view text, mode_t mode = 0600) const {
    const std::string whole = path(name);
    std::filesystem::create_directories(std::filesystem::path(whole).parent_path());
    std::ofstream(whole, std::ios::binary) << text;
    REQUIRE(::chmod(whole.c_str(), mode) == 0);
    return whole;
  }

 private:
  std::string path_;
};

inline Environment environment(std::map<std::string, std::string, std::less<>> variables = {}) {
  Environment made;
  made.variable = [variables](std::string_view name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional<std::string>(found->second);
  };
  return made;
}

// One listener on the first line, so that what follows begins on line 2.
inline std::string with_listener(std::string_view rest) {
  return "listeners: { name: main, address: '127.0.0.1:0' }\n" + std::string(rest);
}

inline Loaded load_rest(std::string_view rest) {
  return load_text("t.yaml", with_listener(rest), environment());
}

// "3:5 error[unknown-key] message", one a diagnostic.
inline std::vector<std::string> lines(const Loaded& loaded) {
  std::vector<std::string> out;
  for (const Diagnostic& item : loaded.diagnostics.all())
    out.push_back(fmt::format("{}:{} {}[{}] {}", item.at.line, item.at.column, name(item.severity), item.code,
                              item.message));
  return out;
}

inline std::string joined(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += text + "\n";
  return out;
}

}  // namespace penstock::config::test
