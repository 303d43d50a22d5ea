// A whole compiled configuration: immutable, built on the main thread, shared by all workers. A worker uses
// it through a Generation, its own count of who still needs it; the last one to let go posts it back to the
// main thread, where plugin instances are destroyed.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "http/connection.h"
#include "net/address.h"
#include "net/tls_server.h"
#include "proxy/consumers.h"
#include "proxy/route.h"
#include "proxy/router.h"
#include "upstream/cluster.h"

namespace penstock::proxy {

// What a request needs to know of the listener it came by.
struct ListenerInfo {
  std::string name;
  uint32_t index = 0;
  net::Address address;
  std::string scheme;                                // "http" | "https"
  std::shared_ptr<const net::TlsServerContext> tls;  // as it was loaded; null: plain
  uint32_t handshake_timeout_ms = 10'000;
  uint32_t max_handshakes = 1'000;  // of the whole process
  std::string hsts;                 // Strict-Transport-Security; empty: none
  http::DownstreamSettings http;
  uint64_t body_size_limit = 0;
  net::SendLimits sending;
  uint32_t max_connections = 10'000;            // of the whole process
  uint32_t max_connections_per_client = 5'000;  // of the whole process; 0: any number
  std::vector<net::Cidr> trusted_proxies;
  config::ClientAddress client_address = config::ClientAddress::x_forwarded_for;
  config::ForwardedForm forwarded = config::ForwardedForm::x;
  std::string via;             // our name in Via; empty: none is written
  uint16_t redirect_port = 0;  // not 0: every request is sent to https on this port (308)
  std::string at;
};

struct Snapshot {
  uint64_t generation = 0;
  std::shared_ptr<const config::Config> config;
  std::vector<std::unique_ptr<ListenerInfo>> listeners;
  std::vector<std::unique_ptr<Route>> routes;
  std::unique_ptr<Router> router;
  std::vector<upstream::ClusterSettings> clusters;  // Target::cluster indexes these
  std::vector<std::string> cluster_positions;       // file:line:column of each
  std::vector<config::Upstream> asked;              // whom plugins ask over HTTP; each has its cluster, too
  std::vector<std::unique_ptr<Target>> targets;     // id of gw.config target = index + 1
  Consumers consumers;
  std::vector<std::unique_ptr<Filter>> filters;  // Filter::index indexes these
  Chain base_chain;                              // of requests without a route: the global access log
  std::shared_ptr<void> libraries;               // outlives the filters

  const Target* target(uint32_t id) const {
    return id == 0 || id > targets.size() ? nullptr : targets[id - 1].get();
  }
  // Filters go before the libraries whose code they are.
  ~Snapshot() { filters.clear(); }
};

// A worker's use of a snapshot: who pins it (exchanges), its clusters by index and the plugins' per-worker
// state. Plain counter, one thread. Owned by the worker; freed when it is not current any more and nobody
// pins it.
struct Generation {
  std::shared_ptr<const Snapshot> snapshot;
  std::vector<upstream::Cluster*> clusters;  // by Target::cluster; owned by the worker by name
  std::vector<void*> filter_states;          // by Filter::index
  uint32_t users = 0;
};

}  // namespace penstock::proxy
