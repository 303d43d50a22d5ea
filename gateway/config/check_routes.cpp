// What is wrong between routes: two that nothing decides between, a public one that takes what an
// authenticated one leaves, authentication in plain text.
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <unordered_map>

#include "config/compile.h"
#include "config/patterns.h"

namespace penstock::config {
namespace {

bool share_listener(const Route& a, const Route& b) {
  if (a.listeners.empty() || b.listeners.empty()) return true;
  for (const NameRef& x : a.listeners)
    for (const NameRef& y : b.listeners)
      if (x.name == y.name) return true;
  return false;
}

bool share_method(const Match& a, const Match& b) {
  if (a.methods.empty() || b.methods.empty()) return true;
  for (const std::string& method : a.methods)
    if (std::find(b.methods.begin(), b.methods.end(), method) != b.methods.end()) return true;
  return false;
}

// Both test one name in ways that no single value satisfies.
bool exclude_each_other(const std::vector<ValueCondition>& a, const std::vector<ValueCondition>& b) {
  using Kind = ValueCondition::Kind;
  for (const ValueCondition& x : a)
    for (const ValueCondition& y : b) {
      if (x.name != y.name) continue;
      if (x.kind == Kind::exact && y.kind == Kind::exact && x.value != y.value) return true;
      if ((x.kind == Kind::absent) != (y.kind == Kind::absent)) return true;
    }
  return false;
}

bool undecided(const Route& a, const Route& b) {
  return share_listener(a, b) && share_method(a.match, b.match) &&
         !exclude_each_other(a.match.headers, b.match.headers) &&
         !exclude_each_other(a.match.query, b.match.query);
}

void report_equal(const Route& route, const Route& other, Build& build) {
  Diagnostic& diagnostic = build.diagnostics.error(
      "equal-routes", route.at, "routes." + route.name,
      fmt::format("routes '{}' and '{}' match the same requests and nothing decides between them", other.name,
                  route.name));
  diagnostic.related = other.at;
  diagnostic.related_note = fmt::format("'{}' at", other.name);
  diagnostic.hint = "add a condition to one, or priority: N";
}

// Routes can be equal only within one host form, path shape, number of conditions and priority.
void check_equal_routes(Build& build) {
  std::unordered_map<std::string, std::vector<const Route*>> groups;
  for (const Route& route : build.config.routes) {
    std::set<std::string> keys;
    std::vector<std::string> hosts;
    for (const HostPattern& host : route.match.hosts) hosts.push_back(shape_of(host));
    if (hosts.empty()) hosts.emplace_back();
    for (const std::string& host : hosts)
      for (const PathPattern& path : route.match.paths)
        keys.insert(
            fmt::format("{} {} {} {}", condition_count(route.match), route.priority, host, shape_of(path)));
    bool reported = false;
    for (const std::string& key : keys) {
      std::vector<const Route*>& group = groups[key];
      for (const Route* other : group) {
        if (reported) break;
        if (!undecided(route, *other)) continue;
        report_equal(route, *other, build);
        reported = true;
      }
      group.push_back(&route);
    }
  }
}

bool forwards(const Route& route) {
  return std::holds_alternative<UpstreamTarget>(route.target) ||
         std::holds_alternative<SplitTarget>(route.target) || route.version.has_value();
}

bool hosts_overlap(const Match& a, const Match& b) {
  if (a.hosts.empty() || b.hosts.empty()) return true;
  for (const HostPattern& x : a.hosts)
    for (const HostPattern& y : b.hosts)
      if (may_overlap(x, y)) return true;
  return false;
}

bool paths_overlap(const Match& a, const Match& b) {
  for (const PathPattern& x : a.paths)
    for (const PathPattern& y : b.paths)
      if (may_overlap(x, y)) return true;
  return false;
}

// Whether `open` answers requests that `guarded` would only refuse for its method, a header or the query.
bool takes_leftovers(const Route& open, const Route& guarded) {
  const Match& match = guarded.match;
  bool left = !match.headers.empty() || !match.query.empty();
  if (!match.methods.empty()) {
    left = left || open.match.methods.empty();
    for (const std::string& method : open.match.methods)
      left = left || std::find(match.methods.begin(), match.methods.end(), method) == match.methods.end();
  }
  return left && share_listener(open, guarded) && hosts_overlap(open.match, match) &&
         paths_overlap(open.match, match);
}

void check_public_leftovers(Build& build) {
  std::vector<const Route*> open;
  for (const Route& route : build.config.routes)
    if (!route.auth && forwards(route)) open.push_back(&route);
  for (const Route& route : build.config.routes) {
    if (!route.auth || condition_count(route.match) == 0) continue;
    const auto taker = std::find_if(open.begin(), open.end(),
                                    [&](const Route* other) { return takes_leftovers(*other, route); });
    if (taker == open.end()) continue;
    Diagnostic& diagnostic = build.diagnostics.warning(
        "public-leftovers", route.at, "routes." + route.name,
        fmt::format("requests on the path of '{}' that fail its methods, headers or query go to the public "
                    "route '{}'",
                    route.name, (*taker)->name));
    diagnostic.related = (*taker)->at;
    diagnostic.related_note = fmt::format("'{}' at", (*taker)->name);
  }
}

void check_plain_text(Build& build) {
  for (const Listener& listener : build.config.listeners) {
    if (listener.tls || listener.redirect || listener.address.loopback || listener.address.host.empty())
      continue;
    const Route* first = nullptr;
    size_t count = 0;
    for (const Route& route : build.config.routes) {
      const bool here = route.listeners.empty() ||
                        std::any_of(route.listeners.begin(), route.listeners.end(),
                                    [&](const NameRef& ref) { return ref.name == listener.name; });
      if (!route.auth || !here) continue;
      if (first == nullptr) first = &route;
      ++count;
    }
    if (first == nullptr) continue;
    build.diagnostics
        .warning(
            "plain-text-auth", listener.address_at, "listeners." + listener.name,
            fmt::format("credentials can be read on the way: listener '{}' is plain text on {} and serves "
                        "route '{}'{}, which asks for them",
                        listener.name, listener.address.host, first->name,
                        count > 1 ? fmt::format(" and {} more", count - 1) : ""))
        .hint = "give the listener tls:, or bind it to a loopback address";
  }
}

bool speaks_http1_alone(const std::string& name, const Build& build) {
  return std::any_of(build.config.upstreams.begin(), build.config.upstreams.end(), [&](const Upstream& each) {
    return each.name == name && each.protocol == UpstreamProtocol::http_1_1;
  });
}

void check_grpc_upstream(const Route& route, const std::string& upstream, Position at,
                         const std::string& path, Build& build) {
  if (!speaks_http1_alone(upstream, build)) return;
  build.diagnostics
      .warning("grpc-needs-h2", at, path,
               fmt::format("'{}' translates gRPC-Web to gRPC, which upstream '{}' is not asked in",
                           route.name, upstream))
      .hint = "give the upstream protocol: h2";
}

void check_grpc_target(const Route& route, const Target& target, const std::string& path, Build& build) {
  if (const auto* one = std::get_if<UpstreamTarget>(&target); one != nullptr && !one->secret)
    check_grpc_upstream(route, one->upstream, one->at, path + ".upstream", build);
  if (const auto* split = std::get_if<SplitTarget>(&target); split != nullptr)
    for (const SplitSide& side : split->sides)
      check_grpc_upstream(route, side.upstream, side.at, path + ".split", build);
}

bool own_target(const Route& route, const VersionEntry& version) {
  const auto place = [](const Target& target) {
    return std::visit(
        [](const auto& each) {
          if constexpr (std::is_same_v<std::decay_t<decltype(each)>, std::monostate>)
            return Position{};
          else
            return each.at;
        },
        target);
  };
  return !(place(route.target) == place(version.target));
}

void check_grpc_web(Build& build) {
  for (const Route& route : build.config.routes) {
    if (route.grpc_web == Route::GrpcWeb::kept) continue;
    check_grpc_target(route, route.target, "routes." + route.name, build);
    if (!route.version) continue;
    for (const VersionEntry& version : route.version->versions)
      if (own_target(route, version))
        check_grpc_target(route, version.target, route.version->path + ".versions." + version.name, build);
  }
}

}  // namespace

void check_routes(Build& build) {
  check_equal_routes(build);
  check_public_leftovers(build);
  check_plain_text(build);
  check_grpc_web(build);
}

}  // namespace penstock::config
