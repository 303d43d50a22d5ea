// TLS to backends: what the files of an upstream hold, read anew with each snapshot.
#include <unistd.h>

#include <algorithm>
#include <array>

#include "server/building.h"

namespace penstock::server {
namespace {

TlsPlace place_of(const net::TlsProblem& problem, const config::UpstreamTls& tls, const std::string& path) {
  switch (problem.of) {
    case net::TlsProblem::Of::certificate: return {tls.cert.at, path + ".cert", "bad-certificate"};
    case net::TlsProblem::Of::ca: return {tls.ca.path.empty() ? tls.at : tls.ca.at, path + ".ca", "bad-ca"};
    default: return {tls.at, path, "bad-tls"};
  }
}

bool readable(const config::UpstreamTls& tls) {
  return std::ranges::all_of(std::array{&tls.ca, &tls.cert, &tls.key}, [](const config::FilePath* file) {
    return file->path.empty() || ::access(file->path.c_str(), R_OK) == 0;
  });
}

std::vector<std::string> alpn_of(config::UpstreamProtocol protocol) {
  switch (protocol) {
    case config::UpstreamProtocol::http_1_1: break;
    case config::UpstreamProtocol::http_2: return {"h2"};
    case config::UpstreamProtocol::automatic: return {"h2", "http/1.1"};
  }
  return {"http/1.1"};
}

}  // namespace

std::shared_ptr<const net::TlsClientContext> load_upstream_tls(Building& building,
                                                               const config::Upstream& upstream,
                                                               const std::string& path) {
  if (!upstream.tls) return nullptr;
  const config::UpstreamTls& tls = *upstream.tls;
  // What is missing was reported at its own place already.
  if (tls.cert.path.empty() != tls.key.path.empty()) return nullptr;
  if (!building.diagnostics.ok() && !readable(tls)) return nullptr;
  net::TlsClientSettings settings;
  settings.identity = {tls.cert.path, tls.key.path, {}};
  settings.ca = tls.ca.path;
  settings.server_name = tls.server_name;
  settings.min_version = version_of(tls.min_version);
  settings.alpn = alpn_of(upstream.protocol);
  std::vector<net::TlsProblem> problems;
  auto context = net::TlsClientContext::load(std::move(settings), building.authorities, problems);
  for (const net::TlsProblem& problem : problems)
    report(problem, place_of(problem, tls, path + ".tls"), building);
  return context;
}

}  // namespace penstock::server
