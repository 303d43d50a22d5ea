#include <algorithm>
#include <set>

#include "server/building.h"

namespace penstock::server {
namespace {

const proxy::Filter* configure(Building& building, const plugin::InstanceSpec& spec,
                               const config::Version* version = nullptr) {
  PluginTargets targets(building, version);
  auto filter = building.host.configure(spec, building.types, targets, building.diagnostics);
  if (!filter) return nullptr;
  return building.snapshot.filters.emplace_back(std::move(filter)).get();
}

plugin::InstanceSpec spec_of(const Building& building, const config::PluginInstance& instance) {
  return {
      .name = instance.name,
      .type = instance.type,
      .node = instance.node,
      .path = instance.path,
      .at = instance.at,
      .at_text = building.at(instance.at),
      .on_error = instance.on_error == config::OnError::skip ? proxy::OnError::skip : proxy::OnError::fail,
      .type_at = instance.type_at,
      .on_error_at = instance.on_error_at,
      .files = building.config.files,
      .configured = building.snapshot.filters,
      .configuration = building.snapshot.config,
      .type_secret = instance.type_secret};
}

// An instance that the configuration does not name: a route's version, an access log.
plugin::InstanceSpec unnamed_spec(const Building& building, std::string name, std::string type,
                                  const config::Node& node, const std::string& path, config::Position at) {
  return {.name = std::move(name),
          .type = std::move(type),
          .node = node,
          .path = path,
          .at = at,
          .at_text = building.at(at),
          .type_at = at,
          .on_error_at = at,
          .files = building.config.files,
          .configured = building.snapshot.filters,
          .configuration = building.snapshot.config};
}

bool authenticates(const Building& building, const config::PluginInstance& instance) {
  const plugin::TypeSet::Type* type = building.types.find(instance.type);
  return type && type->plugin->authenticate;
}

std::vector<const proxy::Filter*> configure_logs(Building& building,
                                                 const std::vector<config::LogInstance>& logs) {
  std::vector<const proxy::Filter*> filters;
  for (const config::LogInstance& log : logs) {
    auto spec = unnamed_spec(building, log.name, "logging", log.node, log.path, log.at);
    if (const proxy::Filter* filter = configure(building, spec)) filters.push_back(filter);
  }
  return filters;
}

}  // namespace

void build_filters(Building& building) {
  // Authenticators first: who is configured later hears what they read (gw.config credential).
  for (const bool authenticators : {true, false}) {
    for (const config::PluginInstance& instance : building.config.plugins) {
      if (authenticates(building, instance) == authenticators)
        building.plugins[instance.name] = configure(building, spec_of(building, instance));
    }
  }
  building.access_log = configure_logs(building, building.config.access_log);
  for (const config::Route& route : building.config.routes) {
    if (route.access_log) building.access_logs[route.name] = configure_logs(building, *route.access_log);
    if (!route.version) continue;
    const config::Version& version = *route.version;
    auto spec = unnamed_spec(building, "version", "version", version.node, version.path, version.at);
    building.versions[route.name] = configure(building, spec, &version);
  }
}

void number_filters(proxy::Snapshot& snapshot) {
  std::set<const proxy::Filter*> used;
  auto use = [&](const proxy::Chain& chain) {
    for (const proxy::ChainLink& link : chain.all()) used.insert(link.filter);
  };
  use(snapshot.base_chain);
  for (const auto& route : snapshot.routes) use(route->chain);
  std::erase_if(snapshot.filters, [&](const auto& filter) { return !used.contains(filter.get()); });
  uint32_t index = 0;
  for (const auto& filter : snapshot.filters) filter->index = index++;
}

}  // namespace penstock::server
