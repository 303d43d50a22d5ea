// The services of the main loop as the configuration has them; and what they are asked.
#include <algorithm>

#include "server/server.h"

namespace penstock::server {

std::optional<LocalSettings> status_settings(const config::Config& config) {
  if (!config.status) return std::nullopt;
  const config::Status& status = *config.status;
  return LocalSettings{"status", status.address, status.max_connections, status.socket_mode,
                       Limit::status_max_connections};
}

std::optional<LocalSettings> admin_settings(const config::Config& config) {
  if (!config.admin) return std::nullopt;
  const config::Admin& admin = *config.admin;
  return LocalSettings{"admin", admin.address, admin.max_connections, admin.socket_mode,
                       Limit::admin_max_connections};
}

std::vector<admin::PluginFacts> Server::plugin_facts() {
  std::vector<admin::PluginFacts> all;
  if (!snapshot_) return all;
  for (const auto& filter : snapshot_->filters) {
    admin::PluginFacts facts{filter->name(), filter->type(), filter->at(), {}, filter->status()};
    const auto is_this = [&](const proxy::ChainLink& link) { return link.filter == filter.get(); };
    for (const auto& route : snapshot_->routes)
      if (std::ranges::any_of(route->chain.all(), is_this)) facts.routes.push_back(route->name);
    all.push_back(std::move(facts));
  }
  return all;
}

}  // namespace penstock::server
