#include "admin/plugin_report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace penstock::admin {
namespace {

using Json = nlohmann::ordered_json;

// A plugin's own words: what is no JSON object is left out rather than spoiling the rest.
Json status_of(const PluginFacts& facts) {
  Json status = Json::parse(facts.status, nullptr, false);
  return status.is_object() ? status : Json::object();
}

std::string text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string plugins_json(const std::vector<PluginFacts>& all) {
  Json list = Json::array();
  for (const PluginFacts& facts : all)
    list.push_back({{"name", facts.name},
                    {"type", facts.type},
                    {"at", facts.at},
                    {"routes", facts.routes},
                    {"status", status_of(facts)}});
  return text({{"plugins", list}});
}

std::string versions_json(const std::vector<PluginFacts>& all) {
  Json list = Json::array();
  for (const PluginFacts& facts : all) {
    Json status = status_of(facts);
    if (!status.contains("versions")) continue;
    list.push_back({{"plugin", facts.name}, {"routes", facts.routes}, {"versions", status["versions"]}});
  }
  return text({{"instances", list}});
}

std::string versions_table(const std::string& json) {
  const Json all = Json::parse(json, nullptr, false);
  if (!all.is_object() || !all.contains("instances")) return {};
  std::string out = fmt::format("{:<20} {:<10} {:<20} {:>12}  {}\n", "PLUGIN", "VERSION", "CONSUMER",
                                "REQUESTS", "LAST SEEN");
  for (const Json& instance : all["instances"]) {
    for (const Json& version : instance["versions"]) {
      const auto line = [&](const std::string& consumer, const Json& use) {
        out += fmt::format("{:<20} {:<10} {:<20} {:>12}  {}\n", instance.value("plugin", ""),
                           version.value("version", ""), consumer, use.value("requests", uint64_t{0}),
                           use.value("last_seen", "never"));
      };
      line("(all)", version);
      for (const Json& use : version.value("consumers", Json::array())) line(use.value("consumer", ""), use);
    }
  }
  return out;
}

}  // namespace penstock::admin
