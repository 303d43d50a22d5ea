#include "server/new_plugin.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "server/plugin_templates.h"

namespace penstock::server {
namespace {

// It becomes a plugin type, a CMake target and, in capitals, a class. CMake keeps some targets for itself.
std::string name_problem(std::string_view name) {
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz",
                             more = "abcdefghijklmnopqrstuvwxyz0123456789_";
  constexpr std::array<std::string_view, 9> taken{
      "all", "clean", "edit_cache", "help", "install", "package", "package_source", "rebuild_cache", "test"};
  if (name.size() > 64 || name.find_first_not_of(more) != name.npos ||
      letters.find(name.front()) == letters.npos)
    return fmt::format("'{}' is no name for a plugin: a-z, 0-9 and _, first a letter, at most 64", name);
  if (std::ranges::find(taken, name) != taken.end())
    return fmt::format("'{}' is no name for a plugin: CMake uses it", name);
  return {};
}

// my_plugin is MyPlugin.
std::string class_name(std::string_view name) {
  std::string out;
  bool begins = true;
  for (const char c : name) {
    if (c == '_') {
      begins = true;
      continue;
    }
    out += begins && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    begins = false;
  }
  return out;
}

using Words = std::vector<std::pair<std::string_view, std::string>>;

std::string filled(std::string_view text, const Words& words) {
  std::string out(text);
  for (const auto& [word, value] : words)
    for (size_t at = 0; (at = out.find(word, at)) != out.npos; at += value.size())
      out.replace(at, word.size(), value);
  return out;
}

bool write_new(const std::filesystem::path& path, const std::string& text) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "wxe"), &std::fclose);
  return file != nullptr && std::fwrite(text.data(), 1, text.size(), file.get()) == text.size() &&
         std::fflush(file.get()) == 0;
}

}  // namespace

std::expected<std::string, std::string> new_plugin(const std::string& name, PluginTask::Language language) {
  if (std::string wrong = name_problem(name); !wrong.empty()) return std::unexpected(wrong);
  const bool c = language == PluginTask::Language::c;
  const std::string suffix = c ? "c" : "cpp";
  const Words words{{"@NAME@", name},
                    {"@CLASS@", class_name(name)},
                    {"@SUFFIX@", suffix},
                    {"@LANGUAGE@", c ? "C" : "CXX"},
                    {"@VERSION@", PENSTOCK_VERSION}};
  std::error_code error;
  if (!std::filesystem::create_directory(name, error)) {
    return std::unexpected(error ? fmt::format("{}: {}", name, error.message())
                                 : fmt::format("{} is there already; nothing was changed", name));
  }
  for (const TemplateFile& file : plugin_templates()) {
    const bool source = file.name.starts_with("plugin.");
    if (source && file.name != "plugin." + suffix) continue;
    const auto path = std::filesystem::path(name) / (source ? name + "." + suffix : std::string(file.name));
    if (!write_new(path, filled(file.text, words)))
      return std::unexpected(fmt::format("{} cannot be written", path.string()));
  }
  return filled(
      "@NAME@/ has CMakeLists.txt, @NAME@.@SUFFIX@, README.md and gateway.yaml. Next:\n"
      "  cmake -S @NAME@ -B @NAME@/build && cmake --build @NAME@/build\n"
      "  penstock plugin check @NAME@/build/plugins/@NAME@.so\n"
      "  penstock run -c @NAME@/gateway.yaml\n"
      "Where Penstock is not installed, the first one takes -DPENSTOCK_SDK=/path/to/penstock/plugins/sdk\n",
      words);
}

}  // namespace penstock::server
