// The files of plugins/sdk/template, as the build put them into the program (embed.cmake there).
#pragma once
#include <span>
#include <string_view>

namespace penstock::server {

struct TemplateFile {
  std::string_view name;  // "README.md"
  std::string_view text;  // with @NAME@ and the like
};

std::span<const TemplateFile> plugin_templates();

}  // namespace penstock::server
