#include "server/build_snapshot.h"

#include "server/building.h"

namespace penstock::server {

std::shared_ptr<proxy::Snapshot> build_snapshot(std::shared_ptr<const config::Config> config,
                                                plugin::Host& host,
                                                std::shared_ptr<const plugin::TypeSet> types,
                                                config::Diagnostics& diagnostics) {
  auto snapshot = std::make_shared<proxy::Snapshot>();
  snapshot->config = config;
  snapshot->libraries = std::const_pointer_cast<plugin::TypeSet>(types);
  Building building{*config, host, *types, diagnostics, *snapshot, {}, {}, {}, {}, {}};
  build_clusters(building);
  build_stores(building);
  build_filters(building);
  build_listeners(building);
  if (!diagnostics.ok()) return nullptr;
  build_consumers(building);
  build_routes(building);
  if (!diagnostics.ok()) return nullptr;
  std::vector<std::string> listeners;
  for (const auto& listener : snapshot->listeners) listeners.push_back(listener->name);
  snapshot->router = std::make_unique<proxy::Router>(snapshot->routes, listeners);
  number_filters(*snapshot);
  return snapshot;
}

void set_addresses(proxy::Snapshot& snapshot, const std::function<net::Address(size_t)>& address_of) {
  const auto& listeners = snapshot.config->listeners;
  for (size_t i = 0; i < listeners.size(); ++i) snapshot.listeners[i]->address = address_of(i);
  for (size_t i = 0; i < listeners.size(); ++i) {
    if (!listeners[i].redirect) continue;
    for (const auto& to : snapshot.listeners)
      if (to->name == listeners[i].redirect->name) snapshot.listeners[i]->redirect_port = to->address.port();
  }
}

}  // namespace penstock::server
