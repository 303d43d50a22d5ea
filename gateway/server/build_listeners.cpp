#include <unistd.h>

#include "server/building.h"
#include "server/listen_sockets.h"

namespace penstock::server {
namespace {

std::shared_ptr<const net::TlsServerContext> load_certificates(Building& building,
                                                               const config::Listener& listener) {
  const config::ListenerTls& tls = *listener.tls;
  std::vector<net::CertificateFiles> files;
  for (const config::CertificatePair& pair : tls.certificates)
    files.push_back({pair.certificate.path, pair.key.path});
  // A file that is not there was reported at its own place already.
  for (const net::CertificateFiles& pair : files) {
    bool readable = ::access(pair.cert.c_str(), R_OK) == 0 && ::access(pair.key.c_str(), R_OK) == 0;
    if (!readable && !building.diagnostics.ok()) return nullptr;
  }
  auto version =
      tls.min_version == config::TlsVersion::tls_1_3 ? net::TlsVersion::v1_3 : net::TlsVersion::v1_2;
  auto context = net::TlsServerContext::load(files, version, {"http/1.1"});
  if (context) return *context;
  const net::TlsServerContext::Failure& failure = context.error();
  bool known = failure.certificate < tls.certificates.size();
  building.diagnostics.error(
      "bad-certificate", known ? tls.certificates[failure.certificate].at : tls.at,
      "listeners." + listener.name + ".tls.certificates[" + std::to_string(failure.certificate) + "]",
      failure.message);
  return nullptr;
}

http::DownstreamSettings settings_of(const config::ListenerLimits& limits) {
  auto ms = [](config::Duration duration) { return static_cast<uint32_t>(duration.count()); };
  http::DownstreamSettings settings;
  settings.header_size = static_cast<uint32_t>(limits.header_size);
  settings.header_count = limits.header_count;
  settings.uri_size = static_cast<uint32_t>(limits.uri_size);
  settings.trailer_size = static_cast<uint32_t>(limits.trailer_size);
  settings.trailer_count = limits.trailer_count;
  settings.header_timeout_ms = ms(limits.header_timeout);
  settings.body_timeout_ms = ms(limits.body_timeout);
  settings.min_body_rate = static_cast<uint32_t>(limits.min_body_rate);
  settings.rate_grace_ms = ms(limits.rate_grace);
  settings.idle_timeout_ms = ms(limits.idle_timeout);
  settings.max_requests = limits.max_requests;
  settings.pipelined_size = static_cast<uint32_t>(limits.pipelined_size);
  settings.buffer_size = static_cast<uint32_t>(limits.buffer_size);
  return settings;
}

std::string cidr_text(const config::Network& network) {
  if (network.unix_peers) return "unix:";
  sockaddr_storage storage{};
  if (network.ipv6) {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
    v6.sin6_family = AF_INET6;
    std::copy_n(network.bytes.begin(), 16, reinterpret_cast<uint8_t*>(&v6.sin6_addr));
  } else {
    auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
    v4.sin_family = AF_INET;
    std::copy_n(network.bytes.begin(), 4, reinterpret_cast<uint8_t*>(&v4.sin_addr));
  }
  auto address = net::Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&storage));
  return address.ip() + "/" + std::to_string(network.prefix_bits);
}

}  // namespace

void build_listeners(Building& building) {
  for (const config::Listener& listener : building.config.listeners) {
    auto info = std::make_unique<proxy::ListenerInfo>();
    info->name = listener.name;
    info->index = static_cast<uint32_t>(building.snapshot.listeners.size());
    info->address = socket_address(listener.address);
    info->scheme = listener.tls ? "https" : "http";
    if (listener.tls) info->tls = load_certificates(building, listener);
    info->http = settings_of(listener.limits);
    info->body_size_limit = listener.limits.body_size;
    info->max_connections = listener.limits.max_connections;
    info->max_connections_per_client = listener.limits.max_connections_per_client;
    info->sending = {static_cast<uint32_t>(listener.limits.send_timeout.count()),
                     static_cast<uint32_t>(listener.limits.min_send_rate)};
    for (const config::Network& network : listener.trusted_proxies)
      if (auto cidr = net::Cidr::parse(cidr_text(network))) info->trusted_proxies.push_back(*cidr);
    info->client_address = listener.client_address;
    info->at = building.at(listener.at);
    building.snapshot.listeners.push_back(std::move(info));
  }
}

}  // namespace penstock::server
