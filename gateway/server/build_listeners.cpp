#include <unistd.h>

#include <algorithm>

#include "server/building.h"
#include "server/listen_sockets.h"

namespace penstock::server {
namespace {

std::vector<std::string> names_of(const std::vector<config::NameRef>& refs) {
  std::vector<std::string> names;
  for (const config::NameRef& ref : refs) names.push_back(ref.name);
  return names;
}

net::ClientAuth client_auth_of(config::ClientAuth::Mode mode) {
  switch (mode) {
    case config::ClientAuth::Mode::none: return net::ClientAuth::none;
    case config::ClientAuth::Mode::optional: return net::ClientAuth::optional;
    case config::ClientAuth::Mode::required: break;
  }
  return net::ClientAuth::required;
}

net::TlsSettings tls_settings(const config::Listener& listener) {
  const config::ListenerTls& tls = *listener.tls;
  net::TlsSettings settings;
  settings.name = listener.name;
  for (const config::CertificatePair& pair : tls.certificates)
    settings.certificates.push_back({pair.certificate.path, pair.key.path, pair.ocsp.path});
  settings.min_version = version_of(tls.min_version);
  settings.max_version = version_of(tls.max_version);
  settings.ciphers = names_of(tls.ciphers);
  settings.ciphersuites = names_of(tls.ciphersuites);
  settings.groups = names_of(tls.groups);
  for (const config::Protocol protocol : listener.protocols) {
    if (protocol == config::Protocol::http_2)
      settings.alpn.push_back("h2");
    else
      settings.alpn.insert(settings.alpn.end(), {"http/1.1", "http/1.0"});
  }
  if (tls.unknown_sni == config::UnknownSni::reject) settings.unknown_name = net::UnknownName::refuse;
  settings.client_auth = client_auth_of(tls.client_auth.mode);
  settings.client_ca = tls.client_auth.ca.path;
  settings.client_crl = tls.client_auth.crl.path;
  settings.client_depth = tls.client_auth.depth;
  if (tls.tickets.use == config::SessionTickets::Use::on)
    settings.ticket_lifetime_s =
        static_cast<uint32_t>(std::max<int64_t>(tls.tickets.rotate.count() / 1000, 1));
  settings.ticket_max_age_s = static_cast<uint32_t>(tls.tickets.max_age.count() / 1000);
  settings.ticket_file = tls.tickets.key_file.path;
  return settings;
}

TlsPlace place_of(const net::TlsProblem& problem, const config::Listener& listener) {
  using Of = net::TlsProblem::Of;
  const config::ListenerTls& tls = *listener.tls;
  const std::string path = "listeners." + listener.name + ".tls";
  const std::string index = "[" + std::to_string(problem.index) + "]";
  switch (problem.of) {
    case Of::listener:
    case Of::ca: break;
    case Of::certificate:
      return {tls.certificates[problem.index].at, path + ".certificates" + index, "bad-certificate"};
    case Of::ocsp:
      return {tls.certificates[problem.index].ocsp.at, path + ".certificates" + index + ".ocsp", "bad-ocsp"};
    case Of::cipher: return {tls.ciphers[problem.index].at, path + ".ciphers" + index, "bad-cipher"};
    case Of::ciphersuite:
      return {tls.ciphersuites[problem.index].at, path + ".ciphersuites" + index, "bad-cipher"};
    case Of::group: return {tls.groups[problem.index].at, path + ".groups" + index, "bad-group"};
    case Of::client_ca: return {tls.client_auth.ca.at, path + ".client_auth.ca", "bad-ca"};
    case Of::client_crl: return {tls.client_auth.crl.at, path + ".client_auth.crl", "bad-crl"};
    case Of::ticket_file: return {tls.tickets.key_file.at, path + ".tickets.key_file", "bad-ticket-keys"};
  }
  return {tls.at, path, "bad-tls"};
}

bool readable(const net::TlsSettings& settings) {
  std::vector<std::string> files{settings.client_ca, settings.client_crl, settings.ticket_file};
  for (const net::CertificateFiles& pair : settings.certificates)
    files.insert(files.end(), {pair.cert, pair.key, pair.ocsp});
  return std::ranges::all_of(
      files, [](const std::string& file) { return file.empty() || ::access(file.c_str(), R_OK) == 0; });
}

std::shared_ptr<const net::TlsServerContext> load_tls(Building& building, const config::Listener& listener) {
  net::TlsSettings settings = tls_settings(listener);
  // A file that is not there was reported at its own place already.
  if (!building.diagnostics.ok() && !readable(settings)) return nullptr;
  std::vector<net::TlsProblem> problems;
  auto context = net::TlsServerContext::load(std::move(settings), problems);
  for (const net::TlsProblem& problem : problems) report(problem, place_of(problem, listener), building);
  return context;
}

std::string hsts_text(const config::Hsts& hsts) {
  std::string text = "max-age=" + std::to_string(hsts.max_age.count() / 1000);
  if (hsts.scope == config::Hsts::Scope::subdomains) text += "; includeSubDomains";
  if (hsts.preload == config::Hsts::Preload::yes) text += "; preload";
  return text;
}

void build_tls(Building& building, const config::Listener& listener, proxy::ListenerInfo& info) {
  const config::ListenerTls& tls = *listener.tls;
  info.tls = load_tls(building, listener);
  info.handshake_timeout_ms = static_cast<uint32_t>(tls.handshake_timeout.count());
  info.max_handshakes = tls.max_handshakes;
  if (tls.hsts) info.hsts = hsts_text(*tls.hsts);
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
  settings.half_close_timeout_ms = ms(limits.half_close_timeout);
  settings.max_requests = limits.max_requests;
  settings.pipelined_size = static_cast<uint32_t>(limits.pipelined_size);
  settings.buffer_size = static_cast<uint32_t>(limits.buffer_size);
  settings.send_timeout_ms = ms(limits.send_timeout);
  settings.min_send_rate = static_cast<uint32_t>(limits.min_send_rate);
  return settings;
}

http::Protocols protocols_of(const std::vector<config::Protocol>& protocols) {
  if (protocols.size() > 1) return http::Protocols::both;
  return protocols.front() == config::Protocol::http_2 ? http::Protocols::http2 : http::Protocols::http1;
}

http::Http2Settings http2_settings(const config::ListenerHttp2& http2) {
  http::Http2Settings settings;
  settings.max_concurrent_streams = http2.max_concurrent_streams;
  settings.max_frame_size = static_cast<uint32_t>(http2.max_frame_size);
  settings.stream_window = static_cast<uint32_t>(http2.stream_window);
  settings.connection_window = static_cast<uint32_t>(http2.connection_window);
  settings.header_table_size = static_cast<uint32_t>(http2.header_table_size);
  settings.max_resets = http2.max_resets;
  settings.max_control_frames = http2.max_control_frames;
  settings.ping_interval_ms = static_cast<uint32_t>(http2.ping_interval.count());
  settings.ping_timeout_ms = static_cast<uint32_t>(http2.ping_timeout.count());
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

net::TlsVersion version_of(config::TlsVersion version) {
  return version == config::TlsVersion::tls_1_3 ? net::TlsVersion::v1_3 : net::TlsVersion::v1_2;
}

void report(const net::TlsProblem& problem, const TlsPlace& place, Building& building) {
  if (problem.severity == net::TlsProblem::Severity::error)
    building.diagnostics.error(place.code, place.at, place.path, problem.message);
  else
    building.diagnostics.warning(place.code, place.at, place.path, problem.message);
}

void build_listeners(Building& building) {
  for (const config::Listener& listener : building.config.listeners) {
    auto info = std::make_unique<proxy::ListenerInfo>();
    info->name = listener.name;
    info->index = static_cast<uint32_t>(building.snapshot.listeners.size());
    info->address = socket_address(listener.address);
    info->scheme = listener.tls ? "https" : "http";
    if (listener.tls) build_tls(building, listener, *info);
    info->http = settings_of(listener.limits);
    info->http.protocols = protocols_of(listener.protocols);
    info->http.http2 = http2_settings(listener.http2);
    info->body_size_limit = listener.limits.body_size;
    info->max_connections = listener.limits.max_connections;
    info->max_connections_per_client = listener.limits.max_connections_per_client;
    info->sending = {static_cast<uint32_t>(listener.limits.send_timeout.count()),
                     static_cast<uint32_t>(listener.limits.min_send_rate)};
    for (const config::Network& network : listener.trusted_proxies)
      if (auto cidr = net::Cidr::parse(cidr_text(network))) info->trusted_proxies.push_back(*cidr);
    info->client_address = listener.client_address;
    info->forwarded = listener.forwarded;
    info->via = listener.via;
    info->at = building.at(listener.at);
    building.snapshot.listeners.push_back(std::move(info));
  }
}

}  // namespace penstock::server
