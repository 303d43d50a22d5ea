#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "server/building.h"

namespace penstock::server {
namespace {

upstream::BalancePolicy policy(config::Balance balance) {
  switch (balance) {
    case config::Balance::round_robin: return upstream::BalancePolicy::round_robin;
    case config::Balance::random: return upstream::BalancePolicy::random;
    case config::Balance::least_request: return upstream::BalancePolicy::least_request;
  }
  return upstream::BalancePolicy::least_request;
}

http::Protocol protocol_of(config::UpstreamProtocol protocol) {
  switch (protocol) {
    case config::UpstreamProtocol::http_1_1: break;
    case config::UpstreamProtocol::http_2: return http::Protocol::http2;
    case config::UpstreamProtocol::automatic: return http::Protocol::by_alpn;
  }
  return http::Protocol::http1;
}

// One visitor a kind; each fills the target.
struct Filler {
  Building& building;
  proxy::Target& out;

  void operator()(const std::monostate&) {}
  void operator()(const config::UpstreamTarget& target) {
    out.kind = proxy::Target::Kind::upstream;
    out.cluster = building.clusters.at(target.upstream);
    out.at = building.at(target.at);
  }
  void operator()(const config::SplitTarget& target) {
    out.kind = proxy::Target::Kind::split;
    uint64_t until = 0;
    for (const config::SplitSide& side : target.sides) {
      until += side.weight;
      out.sides.push_back({building.clusters.at(side.upstream), until});
    }
    if (target.key) out.split_by = proxy::compile(*target.key, building.host.names());
    out.at = building.at(target.at);
  }
  void operator()(const config::RedirectTarget& target) {
    out.kind = proxy::Target::Kind::redirect;
    out.redirect.status = target.status;
    out.redirect.scheme = target.scheme;
    out.redirect.host = target.host;
    if (target.path) out.redirect.path.emplace(*target.path, building.host.names());
    if (target.query) out.redirect.query.emplace(*target.query, building.host.names());
    out.at = building.at(target.at);
  }
  void operator()(const config::RespondTarget& target) {
    out.kind = proxy::Target::Kind::respond;
    out.respond.status = target.status;
    out.respond.body = target.body;
    for (const config::HeaderTemplate& header : target.headers)
      out.respond.headers.emplace_back(header.name, proxy::TextTemplate(header.value, building.host.names()));
    out.at = building.at(target.at);
  }
};

void take_http2(const config::UpstreamHttp2& from, http::Http2Settings& to) {
  to.max_concurrent_streams = from.max_concurrent_streams;
  to.stream_window = static_cast<uint32_t>(from.stream_window);
  to.connection_window = static_cast<uint32_t>(from.connection_window);
  to.max_frame_size = static_cast<uint32_t>(from.max_frame_size);
  to.header_table_size = static_cast<uint32_t>(from.header_table_size);
  to.max_control_frames = from.max_control_frames;
  to.ping_interval_ms = static_cast<uint32_t>(from.ping_interval.count());
  to.ping_timeout_ms = static_cast<uint32_t>(from.ping_timeout.count());
}

upstream::CheckKind kind_of(config::HealthCheck::Kind kind) {
  switch (kind) {
    case config::HealthCheck::Kind::http: return upstream::CheckKind::http;
    case config::HealthCheck::Kind::tcp: return upstream::CheckKind::tcp;
    case config::HealthCheck::Kind::grpc: return upstream::CheckKind::grpc;
  }
  return upstream::CheckKind::http;
}

upstream::CheckSettings check_of(const config::HealthCheck& from) {
  upstream::CheckSettings to;
  upstream::CheckQuestion& question = to.question;
  question.kind = kind_of(from.kind);
  question.port = static_cast<uint16_t>(from.port);
  question.host = from.host;
  question.method = from.method;
  const size_t mark = from.path.find('?');
  question.path = from.path.substr(0, mark);
  question.has_query = mark != from.path.npos;
  if (question.has_query) question.query = from.path.substr(mark + 1);
  question.headers = from.headers;
  question.status.clear();
  for (const config::StatusRange& range : from.status) question.status.push_back({range.first, range.last});
  question.body = from.body;
  question.service = from.service;
  to.pace.interval_ms = static_cast<uint32_t>(from.interval.count());
  to.pace.timeout_ms = static_cast<uint32_t>(from.timeout.count());
  to.pace.jitter = from.jitter;
  to.pace.healthy = from.healthy;
  to.pace.unhealthy = from.unhealthy;
  to.pace.body_size = static_cast<uint32_t>(from.body_size);
  return to;
}

}  // namespace

namespace {

uint32_t add_cluster(Building& building, const config::Upstream& upstream, const std::string& path) {
  upstream::ClusterSettings settings;
  settings.name = upstream.name;
  settings.balance = policy(upstream.balance);
  settings.max_idle = upstream.keepalive.max_idle;
  settings.idle_timeout_ms = static_cast<uint32_t>(upstream.keepalive.idle_timeout.count());
  settings.http.header_size = static_cast<uint32_t>(upstream.limits.header_size);
  settings.http.header_count = upstream.limits.header_count;
  settings.http.trailer_size = static_cast<uint32_t>(upstream.limits.trailer_size);
  settings.http.trailer_count = upstream.limits.trailer_count;
  settings.http.max_informational = upstream.limits.max_informational;
  settings.http.protocol = protocol_of(upstream.protocol);
  settings.tls = load_upstream_tls(building, upstream, path);
  take_http2(upstream.http2, settings.http.http2);
  if (upstream.health_check) settings.health_check = check_of(*upstream.health_check);
  const auto index = static_cast<uint32_t>(building.snapshot.clusters.size());
  building.snapshot.clusters.push_back(std::move(settings));
  building.snapshot.cluster_positions.push_back(building.at(upstream.at));
  return index;
}

}  // namespace

void build_clusters(Building& building) {
  for (const config::Upstream& upstream : building.config.upstreams)
    building.clusters.emplace(upstream.name, add_cluster(building, upstream, "upstreams." + upstream.name));
}

const proxy::Target* add_target(Building& building, const config::Target& target) {
  if (std::holds_alternative<std::monostate>(target)) return nullptr;
  auto made = std::make_unique<proxy::Target>();
  std::visit(Filler{building, *made}, target);
  return building.snapshot.targets.emplace_back(std::move(made)).get();
}

// Not among Building::clusters: no target may name it. Instances without a name of their own may share one,
// and then the place in the configuration tells them apart.
plugin::TargetSink::Asked PluginTargets::add_asked(config::Upstream upstream, const std::string& path) {
  auto& asked = building_.snapshot.asked;
  if (std::ranges::count(asked, upstream.name, &config::Upstream::name) > 0) upstream.name = ":" + path;
  const uint32_t cluster = add_cluster(building_, upstream, path);
  return {cluster, asked.emplace_back(std::move(upstream)).name};
}

// The node of a version's entry is the entry's map; what it means was compiled by config/ already.
uint32_t PluginTargets::add_target(const config::Node& node) {
  auto id_of = [&](const config::Target& target) -> uint32_t {
    // While the configuration is in error, names may lead nowhere: nothing is made of it then.
    if (!building_.diagnostics.ok()) return 0;
    return server::add_target(building_, target) ? static_cast<uint32_t>(building_.snapshot.targets.size())
                                                 : 0;
  };
  if (version_) {
    for (const config::VersionEntry& entry : version_->versions)
      if (entry.name == node.key) return id_of(entry.target);
    return 0;
  }
  const config::Node* named = node.is_map() ? node.find("upstream") : &node;
  if (!named || !named->is_scalar()) return 0;
  if (!building_.clusters.contains(named->text)) {
    building_.diagnostics.error("unknown-upstream", named->at, {},
                                fmt::format("'{}' is not defined under upstreams", config::shown(*named)));
    return 0;
  }
  return id_of(config::UpstreamTarget{named->text, named->at});
}

}  // namespace penstock::server
