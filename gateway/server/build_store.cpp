// The stores that instances may ask for, as the configuration describes them. They connect when a worker
// starts an instance that has one, not here.
#include <unistd.h>

#include <algorithm>
#include <array>

#include "server/building.h"

namespace penstock::server {
namespace {

TlsPlace place_of(const net::TlsProblem& problem, const config::UpstreamTls& tls) {
  switch (problem.of) {
    case net::TlsProblem::Of::certificate: return {tls.cert.at, "redis.tls.cert", "bad-certificate"};
    case net::TlsProblem::Of::ca: return {tls.ca.path.empty() ? tls.at : tls.ca.at, "redis.tls.ca", "bad-ca"};
    default: return {tls.at, "redis.tls", "bad-tls"};
  }
}

bool readable(const config::UpstreamTls& tls) {
  return std::ranges::all_of(std::array{&tls.ca, &tls.cert, &tls.key}, [](const config::FilePath* file) {
    return file->path.empty() || ::access(file->path.c_str(), R_OK) == 0;
  });
}

std::shared_ptr<const net::TlsClientContext> load_tls(Building& building, const config::UpstreamTls& tls) {
  if (!building.diagnostics.ok() && !readable(tls)) return nullptr;  // that was reported
  net::TlsClientSettings settings;
  settings.identity = {tls.cert.path, tls.key.path, {}};
  settings.ca = tls.ca.path;
  settings.server_name = tls.server_name;
  settings.min_version = version_of(tls.min_version);
  std::vector<net::TlsProblem> problems;
  auto context = net::TlsClientContext::load(std::move(settings), building.authorities, problems);
  for (const net::TlsProblem& problem : problems) report(problem, place_of(problem, tls), building);
  return context;
}

}  // namespace

void build_stores(Building& building) {
  const auto& redis = building.config.redis;
  if (!redis) return building.host.set_redis({});
  store::RedisSettings settings;
  settings.host = redis->host;
  settings.port = redis->port;
  settings.timeout_ms = static_cast<uint32_t>(redis->timeout.count());
  settings.username = redis->username;
  settings.password = redis->password.reveal();
  settings.database = redis->database;
  settings.max_pending = redis->max_pending;
  settings.max_failures = redis->max_failures;
  if (redis->tls) settings.tls = load_tls(building, *redis->tls);
  building.host.set_redis(std::move(settings));
}

}  // namespace penstock::server
