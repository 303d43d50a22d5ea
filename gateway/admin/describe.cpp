#include "admin/describe.h"

#include <fmt/format.h>

#include <ctime>

namespace penstock::admin {
namespace {

template <class Items, class Text>
std::string joined(const Items& items, Text text) {
  std::string out;
  for (const auto& item : items) {
    if (!out.empty()) out += '|';
    out += text(item);
  }
  return out;
}

void add(std::string& out, std::string_view key, const std::string& value) {
  if (value.empty()) return;
  if (!out.empty()) out += ' ';
  out += fmt::format("{}={}", key, value);
}

void add_conditions(std::string& out, std::string_view kind,
                    const std::vector<config::ValueCondition>& conditions) {
  using Kind = config::ValueCondition::Kind;
  for (const config::ValueCondition& condition : conditions) {
    std::string value = condition.kind == Kind::present  ? "present"
                        : condition.kind == Kind::absent ? "absent"
                        : condition.kind == Kind::regex  ? "/" + condition.value + "/"
                                                         : condition.value;
    add(out, fmt::format("{}.{}", kind, condition.name), value);
  }
}

std::string_view path_key(config::PathPattern::Kind kind) {
  switch (kind) {
    case config::PathPattern::Kind::exact:
    case config::PathPattern::Kind::templated: return "path";
    case config::PathPattern::Kind::regex: return "path_regex";
    case config::PathPattern::Kind::prefix: return "path_prefix";
  }
  return "path";
}

std::string_view name_of(upstream::BalancePolicy policy) {
  switch (policy) {
    case upstream::BalancePolicy::round_robin: return "round_robin";
    case upstream::BalancePolicy::random: return "random";
    case upstream::BalancePolicy::least_request: return "least_request";
  }
  return "least_request";
}

std::string describe_transport(const upstream::ClusterSettings& cluster) {
  std::string out;
  if (cluster.tls) {
    const std::string& name = cluster.tls->settings().server_name;
    out = name.empty() ? ", TLS" : ", TLS to " + name;
  }
  return out + ", " + describe_protocols(protocols_of(cluster));
}

std::vector<std::string_view> protocols_of(http::Protocols protocols) {
  switch (protocols) {
    case http::Protocols::http1: return {"http/1.1"};
    case http::Protocols::http2: return {"h2"};
    case http::Protocols::both: return {"h2", "http/1.1"};
  }
  return {};
}

}  // namespace

std::string_view name_of(proxy::Explanation::On on) {
  switch (on) {
    case proxy::Explanation::On::unknown: return "unknown";
    case proxy::Explanation::On::limit: return "limit";
    case proxy::Explanation::On::fetch: return "fetch";
    case proxy::Explanation::On::time: return "time";
    case proxy::Explanation::On::random: return "random";
  }
  return "unknown";
}

std::string describe_match(const config::Match& match) {
  std::string out;
  add(out, "host", joined(match.hosts, [](const config::HostPattern& host) {
        return host.kind == config::HostPattern::Kind::wildcard ? "*" + host.text : host.text;
      }));
  for (auto kind : {config::PathPattern::Kind::exact, config::PathPattern::Kind::templated,
                    config::PathPattern::Kind::regex, config::PathPattern::Kind::prefix}) {
    std::vector<std::string> texts;
    for (const config::PathPattern& path : match.paths)
      if (path.kind == kind) texts.push_back(path.text);
    add(out, path_key(kind), joined(texts, [](const std::string& text) { return text; }));
  }
  add(out, "methods", joined(match.methods, [](const std::string& method) { return method; }));
  add_conditions(out, "headers", match.headers);
  add_conditions(out, "query", match.query);
  return out;
}

std::string describe_auth(const proxy::Explanation& said, const proxy::RequestContext& request) {
  using Said = proxy::Explanation::Verdict;
  switch (said.verdict) {
    case Said::accept:
      return fmt::format("accepts {}", request.auth.consumer ? std::string_view(request.auth.consumer->name)
                                                             : request.auth.identity);
    case Said::absent: return "absent";
    case Said::depends: return "cannot be known here";
    default:
      return fmt::format("refuses {}", request.auth.refuse_reason.empty() ? std::string_view("auth.refused")
                                                                          : request.auth.refuse_reason);
  }
}

std::string describe_settings(const upstream::ClusterSettings& cluster, const proxy::Route& route) {
  uint32_t ms = route.first_byte_timeout_ms;
  std::string first_byte = ms % 1000 ? fmt::format("{}ms", ms) : fmt::format("{}s", ms / 1000);
  return fmt::format("{}{}, first_byte {}, retries {}", name_of(cluster.balance), describe_transport(cluster),
                     first_byte, route.config->retries.attempts);
}

std::string describe_check(const upstream::ClusterSettings& cluster) {
  if (!cluster.health_check) return {};
  const upstream::CheckQuestion& question = cluster.health_check->question;
  const std::string port = question.port ? fmt::format(" on port {}", question.port) : std::string();
  switch (question.kind) {
    case upstream::CheckKind::tcp: return fmt::format(", checked by a connection{}", port);
    case upstream::CheckKind::grpc:
      return fmt::format(", checked by gRPC{}{}{}", question.service.empty() ? "" : " ", question.service,
                         port);
    case upstream::CheckKind::http: break;
  }
  return fmt::format(", checked by {} {}{}", question.method, question.path, port);
}

std::string describe_split(const proxy::Snapshot& snapshot, const proxy::Target& target) {
  uint64_t before = 0;
  return joined(target.sides, [&](const proxy::Target::Side& side) {
    uint64_t weight = side.until - before;
    before = side.until;
    return fmt::format("{}:{}", snapshot.clusters[side.cluster].name, weight);
  });
}

std::vector<std::string_view> protocols_of(const upstream::ClusterSettings& cluster) {
  if (cluster.http.protocol == http::Protocol::http2) return {"h2"};
  if (cluster.http.protocol == http::Protocol::by_alpn && cluster.tls) return {"h2", "http/1.1"};
  return {"http/1.1"};
}

std::string describe_protocols(const std::vector<std::string_view>& protocols) {
  return fmt::format("{}", fmt::join(protocols, " or "));
}

std::string endpoint_name(const config::Endpoint& endpoint) {
  bool v6 = endpoint.host.find(':') != std::string::npos;
  return fmt::format(fmt::runtime(v6 ? "[{}]:{}" : "{}:{}"), endpoint.host, endpoint.port);
}

Explained::Listener describe_listener(const proxy::ListenerInfo& listener, const std::string& host) {
  Explained::Listener out{listener.name,
                          listener.at,
                          listener.scheme,
                          listener.address.port(),
                          {},
                          0,
                          protocols_of(listener.http.protocols)};
  if (!listener.tls) return out;
  const auto& facts = listener.tls->certificates()[listener.tls->select(host)];
  out.certificate = joined(facts.names, [](const std::string& name) { return name; });
  if (out.certificate.empty()) out.certificate = "without names";
  out.certificate_days = (facts.not_after - static_cast<int64_t>(std::time(nullptr))) / 86'400;
  return out;
}

}  // namespace penstock::admin
