#include "config/load.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "config/compile.h"
#include "config/join_files.h"
#include "config/schema.h"
#include "config/schema_walk.h"
#include "config/yaml_reader.h"

namespace penstock::config {
namespace {

// All files as trees; nothing where one cannot be read, whose syntax error then stands alone.
std::optional<std::vector<Node>> read_all(Loaded& loaded) {
  std::vector<Node> roots;
  Diagnostics found;
  Diagnostics stopped;
  for (uint32_t i = 0; i < loaded.sources.files().size(); ++i) {
    Diagnostics here;
    std::optional<Node> root = read_yaml(i, loaded.sources.files()[i].text, here, loaded.sources.secrets);
    (root ? found : stopped).append(std::move(here));
    if (root) roots.push_back(std::move(*root));
  }
  if (!stopped.all().empty()) {
    loaded.diagnostics = std::move(stopped);
    loaded.sources.masking = Masking::by_text;
    return std::nullopt;
  }
  loaded.diagnostics.append(std::move(found));
  return roots;
}

void compile(const Node& root, Loaded& loaded) {
  Build build{loaded.sources, loaded.diagnostics, loaded.config};
  const Node* defaults = usable(root, "defaults");
  compile_process(root, build);
  compile_listeners(root, build);
  compile_consumers(root, build);
  compile_plugins(root, build);
  compile_upstreams(root, usable(defaults, "upstream"), build);
  compile_routes(root, usable(defaults, "route"), build);
  check_listeners(build);
  check_references(build);
  check_routes(build);
  // TLS without a certificate was answered already; whoever loads certificates need not say it again.
  for (Listener& listener : build.config.listeners)
    if (listener.tls && listener.tls->certificates.empty()) listener.tls.reset();
}

void run(Loaded& loaded, const Environment& environment) {
  for (const SourceFile& file : loaded.sources.files()) loaded.config.files.push_back(file.name);
  if (!loaded.diagnostics.ok()) return;
  std::optional<std::vector<Node>> roots = read_all(loaded);
  if (!roots) return;
  Node root = join_files(std::move(*roots), loaded.diagnostics);
  replace_references(root, loaded.sources, environment, loaded.diagnostics);
  walk_schema(root, Schema(), loaded.diagnostics);
  compile(root, loaded);
  loaded.diagnostics.sort();
}

}  // namespace

Loaded load(const std::string& path, const Environment& environment) {
  Loaded loaded;
  loaded.sources.read(path, loaded.diagnostics);
  run(loaded, environment);
  return loaded;
}

Loaded load_text(const std::string& name, std::string text, const Environment& environment) {
  Loaded loaded;
  loaded.sources.add(name, std::move(text), loaded.diagnostics);
  run(loaded, environment);
  return loaded;
}

std::string to_text(const Config& config, Position at) {
  if (!at.known() || at.file >= config.files.size()) return "built-in";
  return fmt::format("{}:{}:{}", config.files[at.file], at.line, at.column);
}

std::string to_text(const Attribute& attribute) {
  switch (attribute.kind) {
    case AttributeKind::client_address: return "client.address";
    case AttributeKind::consumer_id: return "consumer.id";
    case AttributeKind::consumer_groups: return "consumer.groups";
    case AttributeKind::request_method: return "request.method";
    case AttributeKind::request_id: return "request.id";
    case AttributeKind::header: return "header." + attribute.name;
    case AttributeKind::query: return "query." + attribute.name;
    case AttributeKind::cookie: return "cookie." + attribute.name;
    case AttributeKind::path: return "path." + attribute.name;
    case AttributeKind::claim: return "claim." + attribute.name;
    case AttributeKind::api_version: return "api.version";
    case AttributeKind::route_name: return "route.name";
    case AttributeKind::upstream_name: return "upstream.name";
    case AttributeKind::endpoint_address: return "endpoint.address";
  }
  return {};
}

}  // namespace penstock::config
