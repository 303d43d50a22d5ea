#include <fmt/format.h>

#include <map>

#include "config/compile.h"
#include "config/merge.h"

namespace penstock::config {
namespace {

void compile_endpoints(const Node& list, const std::string& path, Upstream& upstream, Build& build) {
  if (list.children.empty())
    build.diagnostics.error("missing-key", list.key_at, path, "'endpoints' is empty");
  std::map<std::pair<std::string, uint16_t>, Position> seen;
  for (const Node& node : list.children) {
    const Node* address = node.unusable ? nullptr : usable(node, "address");
    if (address == nullptr) continue;
    const auto parsed = parse_host_port(address->text);
    if (!parsed) continue;
    Endpoint endpoint;
    endpoint.host = parsed->host;
    endpoint.port = parsed->port;
    endpoint.at = address->at;
    take(&node, "weight", endpoint.weight);
    const auto [first, fresh] = seen.emplace(std::pair(endpoint.host, endpoint.port), endpoint.at);
    if (!fresh)
      report_duplicate(endpoint.at, first->second, path,
                       fmt::format("endpoint '{}' stands here twice", shown(*address)), build);
    upstream.endpoints.push_back(std::move(endpoint));
  }
}

void compile_discover(const Node& node, const std::string& path, Upstream& upstream, Build& build) {
  DnsDiscovery dns;
  dns.at = node.key_at;
  const Node* name = node.find("dns");
  const Node* port = node.find("port");
  if (name == nullptr) {
    bool later = false;  // another provider, which has been answered already
    for (const Node& child : node.children) later = later || (child.unusable && child.key != "port");
    if (!later)
      build.diagnostics.error("missing-key", node.key_at, path, "'discover' names no provider").hint =
          "write { dns: NAME, port: N }";
    return;
  }
  if (port == nullptr)
    build.diagnostics
        .error("missing-key", node.key_at, path + ".port", "'port' is missing, DNS addresses have none")
        .hint = "write { dns: NAME, port: N }";
  take(&node, "dns", dns.name);
  if (const Node* number = usable(node, "port"); number != nullptr && number->is_scalar()) {
    const auto parsed = parse_port(number->text);  // other providers take the name of a port
    if (!parsed)
      build.diagnostics
          .error("bad-number", number->at, path + ".port",
                 fmt::format("port '{}' {}", shown(*number), parsed.error().message))
          .hint = parsed.error().hint;
    else
      dns.port = *parsed;
  }
  if (!name->unusable && name->is_scalar() && !parse_host_port(fmt::format("{}:1", name->text)).has_value())
    build.diagnostics.error("bad-host", name->at, path + ".dns",
                            fmt::format("dns '{}' is no host name", shown(*name)));
  upstream.discover = std::move(dns);
}

void compile_protocol(const Node& node, const std::string& path, Upstream& upstream, Build& build) {
  if (const Node* protocol = usable(node, "protocol"); protocol != nullptr && protocol->is_scalar())
    upstream.protocol = protocol->text == "h2"     ? UpstreamProtocol::http_2
                        : protocol->text == "auto" ? UpstreamProtocol::automatic
                                                   : UpstreamProtocol::http_1_1;
  const Node* http2 = usable(node, "http2");
  take(http2, "max_concurrent_streams", upstream.http2.max_concurrent_streams);
  take_size(http2, "stream_window", upstream.http2.stream_window);
  take_size(http2, "connection_window", upstream.http2.connection_window);
  take_size(http2, "max_frame_size", upstream.http2.max_frame_size);
  take_size(http2, "header_table_size", upstream.http2.header_table_size);
  take_or_none(http2, "max_control_frames", upstream.http2.max_control_frames);
  take(http2, "ping_interval", upstream.http2.ping_interval);
  take(http2, "ping_timeout", upstream.http2.ping_timeout);
  const bool may_be_http2 = upstream.protocol == UpstreamProtocol::http_2 ||
                            (upstream.protocol == UpstreamProtocol::automatic && upstream.tls.has_value());
  if (http2 != nullptr && !may_be_http2)
    build.diagnostics
        .warning("no-effect", http2->at, path + ".http2",
                 "http2 has no effect, this upstream is not spoken to in it")
        .hint = "protocol: h2";
}

// By ALPN a backend is offered what the upstream's requests speak.
void check_grpc_over_tls(const Upstream& upstream, const std::string& path, Build& build) {
  const auto& check = upstream.health_check;
  if (!check || check->kind != HealthCheck::Kind::grpc || !upstream.tls) return;
  if (upstream.protocol != UpstreamProtocol::http_1_1) return;
  build.diagnostics
      .error("health-check", check->at, path + ".health_check",
             "a grpc check speaks HTTP/2, which this upstream does not offer over TLS")
      .hint = "protocol: h2, or auto";
}

void compile_one(const Node& own, const Node* defaults, Build& build) {
  const Node node = defaults == nullptr ? own : merge_defaults(*defaults, own);
  Upstream upstream;
  upstream.name = node.key;
  upstream.at = node.key_at;
  const std::string path = "upstreams." + node.key;
  const Node* endpoints = node.find("endpoints");
  const Node* discover = node.find("discover");
  if ((endpoints == nullptr) == (discover == nullptr))
    build.diagnostics
        .error("upstream-source", node.key_at, path,
               endpoints == nullptr
                   ? fmt::format("upstream '{}' has neither endpoints nor discover", node.key)
                   : fmt::format("upstream '{}' has both endpoints and discover", node.key))
        .hint = "give exactly one of the two";
  if (endpoints != nullptr && !endpoints->unusable)
    compile_endpoints(*endpoints, path + ".endpoints", upstream, build);
  if (discover != nullptr && !discover->unusable)
    compile_discover(*discover, path + ".discover", upstream, build);
  if (const Node* balance = usable(node, "balance"); balance != nullptr && balance->is_scalar()) {
    upstream.balance = balance->text == "round_robin" ? Balance::round_robin
                       : balance->text == "random"    ? Balance::random
                                                      : Balance::least_request;
    upstream.balance_at = balance->at;
  }
  const Node* keepalive = usable(node, "keepalive");
  take(keepalive, "max_idle", upstream.keepalive.max_idle);
  take(keepalive, "idle_timeout", upstream.keepalive.idle_timeout);
  const Node* limits = usable(node, "limits");
  take_size(limits, "header_size", upstream.limits.header_size);
  take(limits, "header_count", upstream.limits.header_count);
  take_size(limits, "trailer_size", upstream.limits.trailer_size);
  take(limits, "trailer_count", upstream.limits.trailer_count);
  take(limits, "max_informational", upstream.limits.max_informational);
  upstream.tls = compile_upstream_tls(usable(node, "tls"), path + ".tls", build);
  compile_protocol(node, path, upstream, build);
  upstream.health_check = compile_health_check(usable(node, "health_check"), path + ".health_check", build);
  check_grpc_over_tls(upstream, path, build);
  build.config.upstreams.push_back(std::move(upstream));
}

}  // namespace

void compile_upstreams(const Node& root, const Node* defaults, Build& build) {
  const Node* map = usable(root, "upstreams");
  if (map == nullptr) return;
  for (const Node& node : map->children)
    if (!node.unusable && node.is_map()) compile_one(node, defaults, build);
}

}  // namespace penstock::config
