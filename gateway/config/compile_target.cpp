// Where a route goes: its own target, and those of its versions.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

#include "config/compile.h"

namespace penstock::config {
namespace {

SplitTarget compile_split(const Node& node, const Node* key, const std::string& path, Build& build) {
  SplitTarget split;
  split.at = node.key_at;
  uint64_t sum = 0;
  for (const Node& child : node.children) {
    SplitSide side{child.key, 1, child.key_at};
    take(&node, child.key, side.weight);
    sum += side.weight;
    split.sides.push_back(std::move(side));
  }
  if (sum == 0)
    build.diagnostics.error("bad-split", node.key_at, path + ".split",
                            split.sides.empty() ? "'split' has no sides" : "all weights of 'split' are 0");
  if (key != nullptr && key->is_scalar() && !key->unusable)
    if (auto attribute = parse_attribute(key->text)) {
      split.key = std::move(*attribute);
      split.secret_key = key->secret;
    }
  return split;
}

RedirectTarget compile_redirect(const Node& node, const std::string& path, Build& build) {
  RedirectTarget redirect;
  redirect.at = node.key_at;
  uint32_t status = redirect.status;
  take(&node, "status", status);
  redirect.status = static_cast<uint16_t>(status);
  if (usable(node, "scheme") != nullptr) take(&node, "scheme", redirect.scheme.emplace());
  redirect.host = host_text(usable(node, "host"), path + ".host", build);
  redirect.path = path_template(usable(node, "path"), path + ".path", build);
  redirect.query = template_of(usable(node, "query"));
  if (redirect.query && (holds_control(*redirect.query) ||
                         usable(node, "query")->text.find_first_of(" \t#") != std::string::npos))
    build.diagnostics
        .error("bad-value", usable(node, "query")->at, path + ".query",
               "'query' holds a blank, a '#' or a control character")
        .hint = "these are written %20, %23, %0A";
  if (!redirect.scheme && !redirect.host && !redirect.path && !redirect.query && node.children.size() < 2)
    build.diagnostics.error("bad-value", node.key_at, path, "'redirect' changes nothing and would loop")
        .hint = "give scheme, host, path or query";
  return redirect;
}

RespondTarget compile_respond(const Node& node, const std::string& path, Build& build) {
  RespondTarget respond;
  respond.at = node.key_at;
  uint32_t status = respond.status;
  take(&node, "status", status);
  respond.status = static_cast<uint16_t>(status);
  take(&node, "body", respond.body);
  respond.headers = header_templates(usable(node, "headers"), path + ".headers", Direction::response, build);
  if ((status == 204 || status == 304) && !respond.body.empty())
    build.diagnostics.error("bad-value", node.key_at, path,
                            fmt::format("an answer with status {} has no body", status));
  return respond;
}

// "v2", "2" and "2.0" are the same name: compared number by number, final zeros do not count. Empty for a
// name that is not numeric.
std::string numeric_form(std::string_view name) {
  if (name.starts_with('v')) name.remove_prefix(1);
  std::vector<uint64_t> numbers;
  while (!name.empty()) {
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error != std::errc()) return {};
    numbers.push_back(number);
    name.remove_prefix(static_cast<size_t>(end - name.data()));
    if (name.empty()) break;
    if (name[0] != '.' || name.size() == 1) return {};
    name.remove_prefix(1);
  }
  while (numbers.size() > 1 && numbers.back() == 0) numbers.pop_back();
  std::string form;
  for (const uint64_t number : numbers) form += fmt::format("{}.", number);
  return form;
}

// Both become a Link header.
void check_links(const Node& version, const std::string& path, Build& build) {
  for (const std::string_view key : {"link", "successor"}) {
    const Node* link = usable(version, key);
    if (link == nullptr || !link->is_scalar()) continue;
    if (!holds_control(link->text) && link->text.find_first_of(" \t<>\"") == std::string::npos) continue;
    build.diagnostics.error("bad-value", link->at, fmt::format("{}.{}", path, key),
                            fmt::format("{} '{}' is no URL", key, shown(*link)));
  }
}

class VersionCheck {
 public:
  VersionCheck(const Node& node, const std::string& path, Build& build)
      : node_(node), path_(path), build_(build) {}

  void run(const std::vector<VersionEntry>& versions) {
    check_names(versions);
    check_default();
    check_sources();
  }

 private:
  void check_names(const std::vector<VersionEntry>& versions) {
    std::string policy = "reject";
    take(&node_, "unknown", policy);
    if (versions.empty() && usable(node_, "versions") != nullptr)
      error(*usable(node_, "versions"), "versions", "'versions' is empty");
    for (const VersionEntry& version : versions) {
      const std::string form = numeric_form(version.name);
      if (form.empty() && policy == "nearest_lower")
        build_.diagnostics.error("bad-version", version.at, path_ + ".versions",
                                 fmt::format("nearest_lower needs numeric names, not '{}'", version.name));
      const std::string key = form.empty() ? version.name : form;
      const auto [first, fresh] = names_.emplace(key, &version);
      if (fresh) continue;
      report_duplicate(version.at, first->second->at, path_ + ".versions",
                       fmt::format("'{}' and '{}' are the same version", first->second->name, version.name),
                       build_);
    }
    if (policy == "default" && node_.find("default") == nullptr)
      error(*node_.find("unknown"), "unknown", "'unknown: default' needs a default");
  }

  void check_default() {
    const Node* fallback = usable(node_, "default");
    if (fallback == nullptr || !fallback->is_scalar() || names_.empty()) return;
    const std::string form = numeric_form(fallback->text);
    if (names_.contains(form.empty() ? fallback->text : form)) return;
    std::vector<std::string_view> names;
    for (const auto& [unused, version] : names_) names.push_back(version->name);
    report_unknown_name({fallback->text, fallback->at, fallback->secret}, "unknown-version",
                        "the default version is", names, path_ + ".default", build_);
  }

  void check_sources() {
    const Node* from = usable(node_, "from");
    if (from != nullptr && from->children.empty()) error(*from, "from", "'from' is empty");
    for (const NameRef& source : names_in(from)) {
      const auto attribute = parse_attribute(source.name);
      const bool good = source.name == "accept" || (attribute && (attribute->kind == AttributeKind::path ||
                                                                  attribute->kind == AttributeKind::header ||
                                                                  attribute->kind == AttributeKind::query ||
                                                                  attribute->kind == AttributeKind::cookie));
      if (good) continue;
      build_.diagnostics
          .error("bad-attribute", source.at, path_ + ".from",
                 fmt::format("a version cannot be read from '{}'", shown(source)))
          .hint = "write path.version, header.NAME, query.NAME, cookie.NAME or accept";
    }
  }

  void error(const Node& at, std::string_view key, std::string message) {
    build_.diagnostics.error("bad-version", at.key_at, fmt::format("{}.{}", path_, key), std::move(message));
  }

  const Node& node_;
  const std::string& path_;
  Build& build_;
  std::map<std::string, const VersionEntry*> names_;
};

}  // namespace

Target compile_target(const Node& map, const std::string& path, Build& build) {
  static constexpr std::array<std::string_view, 4> kinds{"upstream", "split", "redirect", "respond"};
  const Node* first = nullptr;
  for (const std::string_view kind : kinds) {
    const Node* given = map.find(kind);
    if (given == nullptr) continue;
    if (first != nullptr)
      build.diagnostics
          .error("several-targets", given->key_at, fmt::format("{}.{}", path, kind),
                 fmt::format("'{}' stands beside '{}', a target is exactly one", kind, first->key))
          .hint = "keep one of upstream, split, redirect and respond";
    else
      first = given;
  }
  const Node* key = map.find("split_by");
  if (key != nullptr && map.find("split") == nullptr)
    build.diagnostics.error("no-split", key->key_at, path + ".split_by", "'split_by' stands without a split");
  if (first == nullptr) return {};
  if (first->unusable) return UpstreamTarget{{}, first->at};  // answered already: a target, of no name
  if (first->key == "upstream") return UpstreamTarget{first->text, first->at, first->secret};
  if (first->key == "split") return compile_split(*first, key, path, build);
  if (first->key == "redirect") return compile_redirect(*first, path + ".redirect", build);
  return compile_respond(*first, path + ".respond", build);
}

std::optional<Version> compile_version(const Node& route, const Target& own, const std::string& path,
                                       Build& build) {
  const Node* node = usable(route, "version");
  if (node == nullptr) return std::nullopt;
  Version version;
  version.node = *node;
  version.path = path + ".version";
  version.at = node->key_at;
  if (const Node* versions = usable(node, "versions")) {
    for (const Node& child : versions->children) {
      VersionEntry entry;
      entry.name = child.key;
      entry.at = child.key_at;
      const std::string place = fmt::format("{}.versions.{}", version.path, child.key);
      if (child.is_map()) entry.target = compile_target(child, place, build);
      check_links(child, place, build);
      if (std::holds_alternative<std::monostate>(entry.target)) entry.target = own;
      if (std::holds_alternative<std::monostate>(entry.target) && !child.unusable)
        build.diagnostics
            .error("no-target", child.key_at, place, fmt::format("version '{}' has no target", child.key))
            .hint = "give it, or the route, one of upstream, split, redirect and respond";
      version.versions.push_back(std::move(entry));
    }
  }
  VersionCheck(*node, version.path, build).run(version.versions);
  return version;
}

}  // namespace penstock::config
