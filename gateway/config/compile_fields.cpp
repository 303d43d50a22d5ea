#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "config/compile.h"
#include "config/patterns.h"
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

void take_or_none(const Node* map, std::string_view key, uint32_t& out) {
  const Node* node = usable(map, key);
  if (node != nullptr && node->is_scalar() && node->text == "none")
    out = 0;
  else
    take(map, key, out);
}

void take_rate_or_none(const Node* map, std::string_view key, uint64_t& out) {
  const Node* node = usable(map, key);
  if (node == nullptr || !node->is_scalar()) return;
  if (node->text == "none") out = 0;
  if (const auto value = parse_byte_rate(node->text)) out = *value;
}

void take_size(const Node* map, std::string_view key, uint64_t& out) {
  const Node* node = usable(map, key);
  if (node == nullptr || !node->is_scalar()) return;
  if (const auto value = parse_size(node->text)) out = *value;
}

std::optional<Address> listen_address(const Node* node, Build& build) {
  if (node == nullptr || !node->is_scalar()) return std::nullopt;
  if (!node->text.starts_with("unix:")) {
    const auto parsed = parse_address(node->text);
    return parsed ? std::optional(*parsed) : std::nullopt;
  }
  const auto path = parse_unix_address(node->text);
  if (!path) return std::nullopt;
  Address address;
  address.unix_path = build.sources.resolve(node->at.file, *path);
  address.loopback = true;
  return address;
}

void take_mode(const Node* map, uint32_t& out, const Address& address, const std::string& path,
               Build& build) {
  const Node* node = usable(map, "socket_mode");
  if (node == nullptr || !node->is_scalar()) return;
  if (const auto value = parse_mode(node->text)) out = *value;
  if (address.unix_path.empty())
    build.diagnostics
        .warning("no-effect", node->key_at, path + ".socket_mode",
                 "socket_mode has no effect, the address is no unix socket")
        .hint = "take it out, or write address: unix:PATH";
  else if ((out & 0222) == 0)  // connect() asks for the right to write, unix(7)
    build.diagnostics
        .warning("no-effect", node->at, path + ".socket_mode",
                 "socket_mode lets nobody write, so nobody but root can connect")
        .hint = "0600 lets the owner connect, 0660 the group too";
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

bool is_control(char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F; }

bool holds_control(std::string_view text) { return std::any_of(text.begin(), text.end(), is_control); }

bool holds_control(const Template& made) {
  return std::any_of(made.pieces.begin(), made.pieces.end(),
                     [](const TemplatePiece& piece) { return holds_control(piece.text); });
}

bool is_visible_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

std::optional<std::string> host_text(const Node* node, const std::string& path, Build& build) {
  if (node == nullptr || !node->is_scalar()) return std::nullopt;
  if (node->text.empty() || node->text.find_first_of("/?#@") != std::string::npos ||
      !is_visible_ascii(node->text))
    build.diagnostics.error("bad-host", node->at, path, fmt::format("host '{}' is no host", shown(*node)));
  return node->text;
}

// The template with a letter for each attribute: what is known of every text that it makes.
static std::string text_around(const Template& made) {
  std::string text;
  for (const TemplatePiece& piece : made.pieces)
    text += piece.kind == TemplatePiece::Kind::literal ? piece.text : "x";
  return text;
}

void report_unwritable_path(const Node& node, std::string_view text, const std::string& path, Build& build) {
  const auto good = parse_written_path(text);
  if (good) return;
  // What is wrong quotes the text.
  const std::string what = node.secret ? "is not written as paths are" : good.error().message;
  build.diagnostics.error("bad-path", node.at, path, fmt::format("path '{}' {}", shown(node), what)).hint =
      node.secret ? std::string() : good.error().hint;
}

std::optional<Template> path_template(const Node* node, const std::string& path, Build& build) {
  auto made = template_of(node);
  if (!made) return made;
  report_unwritable_path(*node, text_around(*made), path, build);
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

// http/ writes these from what it knows of the message, whatever stands in its fields.
void report_own_field(const std::string& name, Position at, const std::string& path, Direction direction,
                      Build& build) {
  static constexpr std::array<std::string_view, 9> framing{
      "connection",       "content-length", "transfer-encoding", "te",     "keep-alive",
      "proxy-connection", "upgrade",        "http2-settings",    "trailer"};
  const bool request = direction == Direction::request;
  const bool framed = std::find(framing.begin(), framing.end(), name) != framing.end();
  if (!framed && !(request && (name == "host" || name == "expect"))) return;
  build.diagnostics
      .error("bad-header", at, path,
             fmt::format("'{}' is written by the gateway itself for every {}", name,
                         request ? "request" : "response"))
      .hint = name == "host"                 ? "use rewrite: { host: NAME }"
              : name == "upgrade" && request ? "use upgrade: [NAME], or upgrade: [] to let none pass"
                                             : "take it out, it would have no effect";
}

std::vector<HeaderTemplate> header_templates(const Node* map, const std::string& path, Direction direction,
                                             Build& build) {
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
    const std::string place = fmt::format("{}.{}", path, child.key);
    report_repeated_header(*name, child.key_at, place, seen, build);
    report_own_field(*name, child.key_at, place, direction, build);
    auto value = template_of(&child);
    if (!value) continue;
    if (holds_control(*value))
      build.diagnostics
          .error("bad-header", child.at, place,
                 fmt::format("the value of '{}' holds a control character, which no header may", child.key))
          .hint = "a header is one line: no line break, no NUL";
    headers.push_back({*name, std::move(*value)});
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
