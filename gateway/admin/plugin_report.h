// What the running plugins are and say of themselves, as the admin API answers it. Pure.
#pragma once
#include <string>
#include <vector>

namespace penstock::admin {

// One instance of the running configuration.
struct PluginFacts {
  std::string name, type, at;       // at: file:line:column
  std::vector<std::string> routes;  // that have it in their chain
  std::string status;               // what it says itself: a JSON object, or empty
};

std::string plugins_json(const std::vector<PluginFacts>& all);
// Of the API versions there are, by the instance that knows them.
std::string versions_json(const std::vector<PluginFacts>& all);
// The same for people: a table of what versions_json() said. Empty: that was no such JSON.
std::string versions_table(const std::string& json);

}  // namespace penstock::admin
