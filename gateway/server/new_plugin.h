// `penstock plugin new`: a folder with a plugin that builds as it is, made from plugins/sdk/template.
#pragma once
#include <expected>
#include <string>

#include "server/options.h"

namespace penstock::server {

// In the current folder; never over something that is there. What to do next, or why not in one sentence.
std::expected<std::string, std::string> new_plugin(const std::string& name, PluginTask::Language language);

}  // namespace penstock::server
