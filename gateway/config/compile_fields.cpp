#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "config/compile.h"
#include "config/wording.h"

namespace penstock::config {

const Node* usable(const Node& map, std::string_view key) {
  const Node* node = map.find(key);
  return node == nullptr || node->unusable || node->is_null() ? nullptr : node;
}

const Node* usable(const Node* map, std::string_view key) {
  return map == nullptr ? nullptr : usable(*map, key);
}

void take(const Node* map, std::string_view key, std::string& out) {
  const Node* node = usable(map, key);
  if (node != nullptr && node->is_scalar()) out = node->text;
}

void take(const Node* map, std::string_view key, Duration& out) {
  const Node* node = usable(map, key);
  if (node == nullptr || !node->is_scalar()) return;
  if (const auto value = parse_duration(node->text)) out = *value;
}

void take(const Node* map, std::string_view key, uint32_t& out) {
  const Node* node = usable(map, key);
  if (node == nullptr || !node->is_scalar()) return;
  const auto value = parse_integer(node->text);
  if (value && *value >= 0 && *value <= UINT32_MAX) out = static_cast<uint32_t>(*value);
}

void take_size(const Node* map, std::string_view key, uint64_t& out) {
  const Node* node = usable(map, key);
  if (node == nullptr || !node->is_scalar()) return;
  if (const auto value = parse_size(node->text)) out = *value;
}

bool flag(const Node* map, std::string_view key, bool fallback) {
  const Node* node = usable(map, key);
  if (node == nullptr || !node->is_scalar()) return fallback;
  return parse_flag(node->text).value_or(fallback);
}

std::vector<NameRef> names_in(const Node* list) {
  std::vector<NameRef> names;
  if (list == nullptr) return names;
  for (const Node& item : list->children)
    if (item.is_scalar() && !item.unusable) names.push_back({item.text, item.at, item.secret});
  return names;
}

std::string_view shown(const NameRef& ref) { return ref.secret ? hidden_text : std::string_view(ref.name); }

std::optional<Template> template_of(const Node* node) {
  if (node == nullptr || !node->is_scalar() || node->unusable) return std::nullopt;
  auto parsed = parse_template(node->text);
  if (!parsed) return std::nullopt;
  parsed->at = node->at;
  parsed->secret = node->secret;
  return std::move(*parsed);
}

std::optional<Template> path_template(const Node* node, const std::string& path, Build& build) {
  auto made = template_of(node);
  if (!made) return made;
  if (!node->text.starts_with('/'))
    build.diagnostics.error("bad-path", node->at, path,
                            fmt::format("path '{}' does not begin with '/'", shown(*node)));
  for (const TemplatePiece& piece : made->pieces) {
    if (piece.kind != TemplatePiece::Kind::attribute) continue;
    const AttributeKind kind = piece.attribute.kind;
    // path.NAME is canonical, still percent-encoded bytes; the others are names, consumer.id of a token its
    // claim.
    if (kind == AttributeKind::path || kind == AttributeKind::api_version ||
        kind == AttributeKind::consumer_id || kind == AttributeKind::route_name)
      continue;
    const std::string name = node->secret ? std::string(hidden_text) : to_text(piece.attribute);
    build.diagnostics
        .error("bad-attribute", node->at, path,
               fmt::format("a path cannot be made of {{{}}}, whose value may be any bytes", name))
        .hint = "allowed are {path.NAME}, {api.version}, {consumer.id} and {route.name}";
  }
  return made;
}

void report_repeated_header(const std::string& name, Position at, const std::string& path, SeenHeaders& seen,
                            Build& build) {
  const auto [first, fresh] = seen.emplace(name, at);
  if (!fresh)
    report_duplicate(at, first->second, path, fmt::format("header '{}' stands here a second time", name),
                     build);
}

std::vector<HeaderTemplate> header_templates(const Node* map, const std::string& path, Build& build) {
  std::vector<HeaderTemplate> headers;
  SeenHeaders seen;
  if (map == nullptr) return headers;
  for (const Node& child : map->children) {
    const auto name = parse_header_name(child.key);
    if (!name) {
      build.diagnostics.error("bad-header", child.key_at, fmt::format("{}.{}", path, child.key),
                              fmt::format("'{}' {}", child.key, name.error().message));
      continue;
    }
    report_repeated_header(*name, child.key_at, fmt::format("{}.{}", path, child.key), seen, build);
    if (auto value = template_of(&child)) headers.push_back({*name, std::move(*value)});
  }
  return headers;
}

FilePath readable_file(const Node& node, const std::string& path, std::string_view what, Build& build) {
  FilePath file{build.sources.resolve(node.at.file, node.text), node.at};
  struct stat info{};
  std::string problem;
  if (::stat(file.path.c_str(), &info) != 0 || ::access(file.path.c_str(), R_OK) != 0)
    problem = std::strerror(errno);
  else if (!S_ISREG(info.st_mode))
    problem = "it is not a file";
  if (!problem.empty())
    build.diagnostics
        .error("missing-file", node.at, path,
               fmt::format("cannot read {} {}: {}", what,
                           node.secret ? hidden_text : std::string_view(file.path), problem))
        .hint = "create the file, or correct the path (it is relative to the file that names it)";
  return file;
}

void report_unknown_name(const NameRef& ref, std::string_view code, std::string message,
                         const std::vector<std::string_view>& defined, const std::string& path,
                         Build& build) {
  build.diagnostics
      .error(code, ref.at, path,
             fmt::format("{} '{}', which is not defined {}", message, shown(ref), defined_names(defined)))
      .hint = ref.secret ? "" : did_you_mean(ref.name, defined);
}

void report_duplicate(Position again, Position first, std::string path, std::string message, Build& build) {
  Diagnostic& diagnostic =
      build.diagnostics.error("duplicate-name", again, std::move(path), std::move(message));
  diagnostic.related = first;
  diagnostic.related_note = "first defined at";
}

}  // namespace penstock::config
