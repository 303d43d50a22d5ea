#include <fmt/format.h>

#include <map>

#include "config/compile.h"
#include "config/merge.h"
#include "config/patterns.h"

namespace penstock::config {
namespace {

HeaderEdits compile_edits(const Node* node, const std::string& path, Direction direction, Build& build) {
  HeaderEdits edits;
  edits.set = header_templates(usable(node, "set"), path + ".set", direction, build);
  edits.add = header_templates(usable(node, "add"), path + ".add", direction, build);
  SeenHeaders removed;
  for (const NameRef& name : names_in(usable(node, "remove"))) {
    const auto header = parse_header_name(name.name);
    if (!header) continue;
    report_repeated_header(*header, name.at, path + ".remove", removed, build);
    report_own_field(*header, name.at, path + ".remove", direction, build);
    edits.remove.push_back(*header);
  }
  return edits;
}

std::vector<IdentityHeader> compile_identity(const Node* map, const std::string& path, Build& build) {
  std::vector<IdentityHeader> headers;
  SeenHeaders seen;
  if (map == nullptr) return headers;
  for (const Node& node : map->children) {
    const auto name = parse_header_name(node.key);
    if (!name)
      build.diagnostics.error("bad-header", node.key_at, fmt::format("{}.{}", path, node.key),
                              fmt::format("'{}' {}", node.key, name.error().message));
    if (name) {
      const std::string place = fmt::format("{}.{}", path, node.key);
      report_repeated_header(*name, node.key_at, place, seen, build);
      report_own_field(*name, node.key_at, place, Direction::request, build);
    }
    if (!name || node.unusable || !node.is_scalar()) continue;
    if (auto attribute = parse_attribute(node.text))
      headers.push_back({*name, std::move(*attribute), node.secret});
  }
  return headers;
}

// A second value beside the gateway's own could be taken for the caller's identity.
void check_identity(const Route& route, const std::string& path, Build& build) {
  for (const HeaderTemplate& added : route.request_headers.add)
    for (const IdentityHeader& identity : route.identity_headers)
      if (added.name == identity.name)
        build.diagnostics
            .error("identity-header", added.value.at,
                   fmt::format("{}.request_headers.add.{}", path, added.name),
                   fmt::format("'{}' is an identity header, another value cannot be added", added.name))
            .hint = "take it out of request_headers.add or of identity_headers";
}

std::optional<Rewrite> compile_rewrite(const Node* node, const Match& match, const std::string& path,
                                       Build& build) {
  if (node == nullptr) return std::nullopt;
  Rewrite rewrite;
  rewrite.at = node->key_at;
  rewrite.host = host_text(usable(node, "host"), path + ".host", build);
  if (flag(node, "location", false)) rewrite.location = Rewrite::Location::map_back;
  rewrite.path = path_template(usable(node, "path"), path + ".path", build);
  const Node* prefix = usable(node, "path_prefix");
  if (prefix == nullptr || !prefix->is_scalar()) return rewrite;
  rewrite.path_prefix = prefix->text;
  const std::string place = path + ".path_prefix";
  report_unwritable_path(*prefix, prefix->text, place, build);
  if (node->find("path") != nullptr)
    build.diagnostics.error("several-paths", prefix->key_at, place, "'path_prefix' stands beside 'path'")
        .hint = "keep one of the two";
  for (const PathPattern& pattern : match.paths)
    if (pattern.kind != PathPattern::Kind::prefix) {
      build.diagnostics
          .error("no-prefix", prefix->at, place,
                 fmt::format("path_prefix replaces a matched prefix, but '{}' is none", pattern.text))
          .hint = "use rewrite: { path: ... }";
      break;
    }
  return rewrite;
}

Timeouts compile_timeouts(const Node* node) {
  Timeouts timeouts;
  take(node, "connect", timeouts.connect);
  take(node, "first_byte", timeouts.first_byte);
  take(node, "idle", timeouts.idle);
  if (const Node* total = usable(node, "total"); total != nullptr && total->text != "none")
    take(node, "total", timeouts.total.emplace());
  return timeouts;
}

void compile_retry_on(const Node& list, const std::string& path, Retries& retries, Build& build) {
  retries.on_connect = retries.on_reset = retries.on_timeout = false;
  retries.on_status.clear();
  for (const NameRef& cause : names_in(&list)) {
    const auto status = parse_integer(cause.name);
    if (cause.name == "connect")
      retries.on_connect = true;
    else if (cause.name == "reset")
      retries.on_reset = true;
    else if (cause.name == "timeout")
      retries.on_timeout = true;
    else if (status && *status >= 400 && *status <= 599)
      retries.on_status.push_back(static_cast<uint16_t>(*status));
    else
      build.diagnostics.error(
          "bad-value", cause.at, path,
          fmt::format("retry_on '{}' is none of connect, reset, timeout and a status 400 to 599",
                      shown(cause)));
  }
}

Retries compile_retries(const Node* node, const std::string& path, Build& build) {
  Retries retries;
  take(node, "attempts", retries.attempts);
  if (const Node* causes = usable(node, "retry_on"))
    compile_retry_on(*causes, path + ".retry_on", retries, build);
  if (const Node* budget = usable(node, "budget"))
    if (const auto value = parse_percent(budget->text)) retries.budget = *value;
  take_size(node, "body_limit", retries.body_limit);
  if (flag(node, "unsafe", false)) retries.unsafe = Retries::Unsafe::allowed;
  return retries;
}

// The scalar settings that stand alone.
void compile_settings(const Node& node, const std::string& path, Route& route, Build& build) {
  if (const Node* priority = usable(node, "priority"))
    if (const auto value = parse_integer(priority->text)) route.priority = static_cast<int32_t>(*value);
  if (flag(&node, "forward_credentials", false)) route.forward_credentials = Route::ForwardCredentials::yes;
  if (flag(&node, "grpc_web", false)) route.grpc_web = Route::GrpcWeb::translated;
  if (uint64_t size = 0; usable(usable(node, "limits"), "body_size") != nullptr) {
    take_size(usable(node, "limits"), "body_size", size);
    route.body_size = size;
  }
  take_size(usable(&node, "limits"), "body_buffer", route.body_buffer);
  if (const Node* log = usable(node, "access_log"))
    route.access_log = compile_access_log(*log, path + ".access_log", build);
  if (const Node* upgrade = usable(node, "upgrade")) {
    route.upgrade.clear();
    for (const NameRef& name : names_in(upgrade)) {
      const auto protocol = parse_protocol(name.name);
      if (!protocol) continue;
      if (*protocol == "h2c")
        build.diagnostics
            .error("bad-upgrade", name.at, path + ".upgrade", "h2c would carry requests past the plugins")
            .hint = "HTTP/2 without TLS is never tunnelled; take it out";
      route.upgrade.push_back(*protocol);
    }
  }
}

void require_target(const Node& node, const Route& route, const std::string& path, Build& build) {
  if (!std::holds_alternative<std::monostate>(route.target)) return;
  if (node.find("version") != nullptr) return;  // its versions are held to it
  build.diagnostics.error("no-target", node.at, path, fmt::format("route '{}' has no target", route.name))
      .hint = "give it one of upstream, split, redirect and respond";
}

Route compile_one(const Node& node, const std::string& name, Build& build) {
  Route route;
  route.name = name;
  route.at = node.at;
  const std::string path = "routes." + name;
  Node nothing;
  nothing.kind = NodeKind::map;
  nothing.key_at = node.at;
  const Node* match = usable(node, "match");
  route.match = compile_match(match != nullptr ? *match : nothing, path + ".match", build);
  route.listeners = names_in(usable(node, "listeners"));
  route.auth = compile_auth(node, path, build);
  route.before_auth = names_in(usable(node, "before_auth"));
  route.plugins = names_in(usable(node, "plugins"));
  route.target = compile_target(node, path, build);
  route.version = compile_version(node, route.target, path, build);
  require_target(node, route, path, build);
  route.rewrite = compile_rewrite(usable(node, "rewrite"), route.match, path + ".rewrite", build);
  route.request_headers =
      compile_edits(usable(node, "request_headers"), path + ".request_headers", Direction::request, build);
  route.response_headers =
      compile_edits(usable(node, "response_headers"), path + ".response_headers", Direction::response, build);
  route.identity_headers =
      compile_identity(usable(node, "identity_headers"), path + ".identity_headers", build);
  check_identity(route, path, build);
  route.timeouts = compile_timeouts(usable(node, "timeouts"));
  route.retries = compile_retries(usable(node, "retries"), path + ".retries", build);
  compile_settings(node, path, route, build);
  return route;
}

}  // namespace

void compile_routes(const Node& root, const Node* defaults, Build& build) {
  const Node* list = usable(root, "routes");
  if (list == nullptr) return;
  std::map<std::string, Position> seen;
  for (const Node& own : list->children) {
    if (own.unusable || !own.is_map()) continue;
    const Node node = defaults == nullptr ? own : merge_defaults(*defaults, own);
    std::string name;
    take(&node, "name", name);
    const auto [first, fresh] = seen.emplace(name, node.at);
    if (!fresh && !name.empty())
      report_duplicate(node.at, first->second, "routes." + name,
                       fmt::format("route '{}' is defined twice", name), build);
    build.config.routes.push_back(compile_one(node, name, build));
  }
}

}  // namespace penstock::config
