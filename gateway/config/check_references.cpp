// Names that one object uses of another: they must be defined, and what is defined should be used.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "config/compile.h"

namespace penstock::config {
namespace {

using Names = std::vector<std::string_view>;

class References {
 public:
  explicit References(Build& build) : build_(build) {
    for (const Listener& listener : build.config.listeners) listeners_.insert(listener.name);
    for (const PluginInstance& plugin : build.config.plugins) plugins_.insert(plugin.name);
    for (const Upstream& upstream : build.config.upstreams) upstreams_.insert(upstream.name);
    for (const Consumer& consumer : build.config.consumers) {
      consumers_.insert(consumer.name);
      groups_.insert(consumer.groups.begin(), consumer.groups.end());
    }
  }

  void run() {
    for (const Consumer& consumer : build_.config.consumers)
      for (const JwtCredential& jwt : consumer.jwt)
        if (!plugins_.contains(jwt.plugin.name))
          unknown(jwt.plugin, "unknown-plugin", fmt::format("consumer '{}' uses", consumer.name), plugins_,
                  fmt::format("consumers.{}.credentials.jwt", consumer.name));
    for (const Route& route : build_.config.routes) check_route(route);
    warn_unused();
  }

 private:
  void check_route(const Route& route) {
    const std::string path = "routes." + route.name;
    for (const NameRef& listener : route.listeners)
      if (!listeners_.contains(listener.name))
        unknown(listener, "unknown-listener", fmt::format("route '{}' uses", route.name), listeners_,
                path + ".listeners");
    use_plugins(route, route.before_auth, path + ".before_auth");
    use_plugins(route, route.plugins, path + ".plugins");
    if (route.auth) {
      use_plugins(route, route.auth->authenticators, path + ".auth");
      check_access(route, route.auth->allow, path + ".auth.allow");
      check_access(route, route.auth->deny, path + ".auth.deny");
    }
    use_target(route, route.target, path);
    if (route.version)
      for (const VersionEntry& version : route.version->versions)
        use_target(route, version.target, fmt::format("{}.version.versions.{}", path, version.name));
  }

  void use_plugins(const Route& route, const std::vector<NameRef>& names, const std::string& path) {
    std::set<std::string_view> seen;
    for (const NameRef& ref : names) {
      used_plugins_.insert(ref.name);
      if (!plugins_.contains(ref.name))
        unknown(ref, "unknown-plugin", fmt::format("route '{}' uses", route.name), plugins_, path);
      else if (!seen.insert(ref.name).second)
        build_.diagnostics.error("repeated-plugin", ref.at, path,
                                 fmt::format("plugin '{}' stands in this list twice", shown(ref)));
    }
  }

  void use_target(const Route& route, const Target& target, const std::string& path) {
    if (const auto* one = std::get_if<UpstreamTarget>(&target))
      use_upstream(route, {one->upstream, one->at, one->secret}, path + ".upstream");
    else if (const auto* split = std::get_if<SplitTarget>(&target))
      for (const SplitSide& side : split->sides)
        use_upstream(route, {side.upstream, side.at}, path + ".split");
  }

  void use_upstream(const Route& route, const NameRef& ref, const std::string& path) {
    used_upstreams_.insert(ref.name);
    if (!ref.name.empty() && !upstreams_.contains(ref.name))
      unknown(ref, "unknown-upstream", fmt::format("route '{}' uses", route.name), upstreams_, path);
  }

  // A name with a colon comes from a token: PLUGIN:CLAIM or PLUGIN:ROLE.
  void check_access(const Route& route, const AccessList& list, const std::string& path) {
    check_identities(route, list.consumers, consumers_, "unknown-consumer", "consumer", path + ".consumers");
    check_identities(route, list.groups, groups_, "unknown-group", "group", path + ".groups");
  }

  void check_identities(const Route& route, const std::vector<NameRef>& refs,
                        const std::set<std::string, std::less<>>& defined, std::string_view code,
                        std::string_view what, const std::string& path) {
    for (const NameRef& ref : refs) {
      const size_t colon = ref.name.find(':');
      if (colon == ref.name.npos) {
        if (!defined.contains(ref.name))
          unknown(ref, code, fmt::format("route '{}' names {}", route.name, what), defined, path);
      } else if (!plugins_.contains(ref.name.substr(0, colon))) {
        unknown({ref.name.substr(0, colon), ref.at, ref.secret}, "unknown-plugin",
                fmt::format("route '{}' names {} '{}' of", route.name, what, shown(ref)), plugins_, path);
      }
    }
  }

  void unknown(const NameRef& ref, std::string_view code, std::string message,
               const std::set<std::string, std::less<>>& defined, const std::string& path) {
    report_unknown_name(ref, code, std::move(message), Names(defined.begin(), defined.end()), path, build_);
  }

  void warn_unused() {
    for (const PluginInstance& plugin : build_.config.plugins)
      if (!used_plugins_.contains(plugin.name))
        build_.diagnostics.warning("unused-plugin", plugin.at, plugin.path,
                                   fmt::format("no route uses plugin '{}'", plugin.name));
    for (const Upstream& upstream : build_.config.upstreams)
      if (!used_upstreams_.contains(upstream.name))
        build_.diagnostics.warning("unused-upstream", upstream.at, "upstreams." + upstream.name,
                                   fmt::format("no route uses upstream '{}'", upstream.name));
  }

  Build& build_;
  std::set<std::string, std::less<>> listeners_, plugins_, upstreams_, consumers_, groups_;
  std::set<std::string, std::less<>> used_plugins_, used_upstreams_;
};

// path.NAME where the route's patterns have no such parameter would always be empty.
class Parameters {
 public:
  Parameters(const Route& route, Build& build) : route_(route), build_(build) {}

  void run() {
    const std::string path = "routes." + route_.name;
    for (const HeaderEdits* edits : {&route_.request_headers, &route_.response_headers})
      for (const auto* list : {&edits->set, &edits->add})
        for (const HeaderTemplate& header : *list) check(header.value, path);
    for (const IdentityHeader& header : route_.identity_headers)
      check(header.value, {{}, route_.at, header.secret}, path);
    if (route_.rewrite && route_.rewrite->path) check(*route_.rewrite->path, path + ".rewrite.path");
    check_target(route_.target, path);
    if (!route_.version) return;
    for (const VersionEntry& version : route_.version->versions) check_target(version.target, path);
    check_version_source(path + ".version.from");
  }

 private:
  void check_target(const Target& target, const std::string& path) {
    if (const auto* split = std::get_if<SplitTarget>(&target)) {
      if (split->key) check(*split->key, {{}, split->at, split->secret_key}, path + ".split_by");
    } else if (const auto* redirect = std::get_if<RedirectTarget>(&target)) {
      if (redirect->path) check(*redirect->path, path + ".redirect.path");
      if (redirect->query) check(*redirect->query, path + ".redirect.query");
    } else if (const auto* respond = std::get_if<RespondTarget>(&target)) {
      for (const HeaderTemplate& header : respond->headers) check(header.value, path + ".respond.headers");
    }
  }

  void check_version_source(const std::string& path) {
    const Node* from = usable(route_.version->node, "from");
    for (const NameRef& source : names_in(from))
      if (const auto attribute = parse_attribute(source.name))
        check(*attribute, {{}, source.at, source.secret}, path);
  }

  void check(const Template& text, const std::string& path) {
    for (const TemplatePiece& piece : text.pieces)
      if (piece.kind == TemplatePiece::Kind::attribute)
        check(piece.attribute, {{}, text.at, text.secret}, path);
  }

  // `used` tells the place, and whether the name may be shown.
  void check(const Attribute& attribute, const NameRef& used, const std::string& path) {
    if (attribute.kind != AttributeKind::path) return;
    std::set<std::string_view> known;
    for (const PathPattern& pattern : route_.match.paths)
      known.insert(pattern.parameters.begin(), pattern.parameters.end());
    if (known.contains(attribute.name)) return;
    report_unknown_name({"path." + attribute.name, used.at, used.secret}, "unknown-parameter",
                        fmt::format("route '{}' uses", route_.name), Names(known.begin(), known.end()), path,
                        build_);
  }

  const Route& route_;
  Build& build_;
};

// A rate limit counts a caller whose key part is missing by address: on a route where nothing ever sets the
// part it does not do what it says.
class LimitKeys {
 public:
  explicit LimitKeys(Build& build) : build_(build) {
    for (const PluginInstance& plugin : build.config.plugins) plugins_.emplace(plugin.name, &plugin);
  }

  void run() {
    for (const Route& route : build_.config.routes) {
      const std::string path = "routes." + route.name;
      for (const NameRef& ref : route.before_auth)
        check(route, ref, Stage::before_auth, path + ".before_auth");
      for (const NameRef& ref : route.plugins) check(route, ref, Stage::after_auth, path + ".plugins");
    }
  }

 private:
  enum class Stage : uint8_t { before_auth, after_auth };

  void check(const Route& route, const NameRef& ref, Stage stage, const std::string& path) {
    const auto found = plugins_.find(ref.name);
    if (found == plugins_.end() || found->second->type != "rate_limit") return;
    const Node* key = usable(found->second->node, "key");
    if (key == nullptr) return;
    if (key->is_scalar()) check_part(route, ref, stage, *key, path);
    for (const Node& part : key->children)
      if (part.is_scalar()) check_part(route, ref, stage, part, path);
  }

  void check_part(const Route& route, const NameRef& ref, Stage stage, const Node& part,
                  const std::string& path) {
    const auto attribute = parse_attribute(part.text);
    if (!attribute) return;  // the plugin complains
    const std::string why = why_never(route, stage, *attribute);
    if (why.empty()) return;
    build_.diagnostics
        .warning("key-never-set", ref.at, path,
                 fmt::format("the key '{}' of '{}' is never set on route '{}', {}", shown(part), shown(ref),
                             route.name, why))
        .hint = "client.address is counted in its place";
  }

  // Empty where something may set it.
  std::string why_never(const Route& route, Stage stage, const Attribute& attribute) const {
    switch (attribute.kind) {
      case AttributeKind::consumer_id:
      case AttributeKind::consumer_groups:
      case AttributeKind::claim:
        if (stage == Stage::before_auth) return "before_auth comes before the caller is known";
        if (!route.auth) return "which is public";
        return attribute.kind == AttributeKind::claim && only_api_keys(*route.auth) ? "no API key has claims"
                                                                                    : "";
      case AttributeKind::api_version: return route.version ? "" : "which has no versions";
      case AttributeKind::path: {
        for (const PathPattern& pattern : route.match.paths)
          for (const std::string& name : pattern.parameters)
            if (name == attribute.name) return "";
        return "whose paths have no such parameter";
      }
      default: return "";
    }
  }

  bool only_api_keys(const Auth& auth) const {
    return std::all_of(auth.authenticators.begin(), auth.authenticators.end(), [&](const NameRef& ref) {
      const auto found = plugins_.find(ref.name);
      return found != plugins_.end() && found->second->type == "api_key";
    });
  }

  Build& build_;
  std::map<std::string_view, const PluginInstance*> plugins_;
};

// Where no listener asks for client certificates nobody can show one: such a route lets nobody in by them.
class CertificateRoutes {
 public:
  explicit CertificateRoutes(Build& build) : build_(build) {
    for (const PluginInstance& plugin : build.config.plugins)
      if (plugin.type == "mtls") authenticators_.insert(plugin.name);
  }

  void run() {
    for (const Route& route : build_.config.routes) {
      if (!route.auth || asked_for(route)) continue;
      for (const NameRef& ref : route.auth->authenticators)
        if (authenticators_.contains(ref.name)) warn(route, ref);
    }
  }

 private:
  bool asked_for(const Route& route) const {
    return std::ranges::any_of(build_.config.listeners, [&](const Listener& listener) {
      const bool of_route =
          route.listeners.empty() ||
          std::ranges::find(route.listeners, listener.name, &NameRef::name) != route.listeners.end();
      return of_route && listener.tls && listener.tls->client_auth.mode != ClientAuth::Mode::none;
    });
  }

  void warn(const Route& route, const NameRef& ref) {
    build_.diagnostics
        .warning("no-client-certificates", ref.at, fmt::format("routes.{}.auth", route.name),
                 fmt::format("'{}' lets nobody in on route '{}': none of its listeners asks for client "
                             "certificates",
                             shown(ref), route.name))
        .hint = "client_auth: { ca: FILE } under the listener's tls";
  }

  Build& build_;
  std::set<std::string, std::less<>> authenticators_;
};

}  // namespace

void check_references(Build& build) {
  References(build).run();
  for (const Route& route : build.config.routes) Parameters(route, build).run();
  // A route whose auth is wrong looks like a public one.
  if (build.diagnostics.ok()) LimitKeys(build).run();
  if (build.diagnostics.ok()) CertificateRoutes(build).run();
}

}  // namespace penstock::config
