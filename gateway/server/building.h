// Inside of build_snapshot: what its parts share while one snapshot is made. Main thread.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "config/diagnostic.h"
#include "net/tls_client.h"
#include "plugin/host.h"
#include "proxy/snapshot.h"

namespace penstock::server {

struct Building {
  const config::Config& config;
  plugin::Host& host;
  const plugin::TypeSet& types;
  config::Diagnostics& diagnostics;
  proxy::Snapshot& snapshot;

  net::AuthorityFiles authorities;
  std::map<std::string, uint32_t> clusters;  // by upstream name, into Snapshot::clusters
  // Instances by name; null: its configuration was refused and reported.
  std::map<std::string, const proxy::Filter*> plugins;
  std::map<std::string, const proxy::Filter*> versions;  // by route
  std::vector<const proxy::Filter*> access_log;
  std::map<std::string, std::vector<const proxy::Filter*>> access_logs;  // of routes with their own

  std::string at(config::Position position) const { return config::to_text(config, position); }
};

// build_store.cpp: before the instances that may ask for one.
void build_stores(Building& building);

// build_filters.cpp: configures every instance and reports what they refuse.
void build_filters(Building& building);
// Drops those that no chain uses and numbers the others.
void number_filters(proxy::Snapshot& snapshot);

// build_targets.cpp
void build_clusters(Building& building);
// Null for a target that the configuration left in error.
const proxy::Target* add_target(Building& building, const config::Target& target);
// Targets that a plugin asks for: of the version's entries, or read from its own nodes. Silent while the
// configuration is in error, since names may lead nowhere then and that was reported.
class PluginTargets final : public plugin::TargetSink {
 public:
  PluginTargets(Building& building, const config::Version* version)
      : building_(building), version_(version) {}
  uint32_t add_target(const config::Node& node) override;
  Asked add_asked(config::Upstream upstream, const std::string& path) override;

 private:
  Building& building_;
  const config::Version* version_;  // null for plugins under plugins:
};

// build_listeners.cpp
void build_listeners(Building& building);
// Where a problem stands in the configuration.
struct TlsPlace {
  config::Position at;
  std::string path;
  std::string_view code;
};
net::TlsVersion version_of(config::TlsVersion version);
void report(const net::TlsProblem& problem, const TlsPlace& place, Building& building);

// build_upstream_tls.cpp; null: plain, or wrong and reported.
// `path`: of the upstream, for messages.
std::shared_ptr<const net::TlsClientContext> load_upstream_tls(Building& building,
                                                               const config::Upstream& upstream,
                                                               const std::string& path);

// build_routes.cpp: only for a configuration without errors so far.
void build_consumers(Building& building);
void build_routes(Building& building);

}  // namespace penstock::server
