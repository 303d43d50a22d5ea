#include "config/schema_walk.h"

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "config/scalar_check.h"
#include "config/wording.h"

namespace penstock::config {
namespace {

enum class Place : uint8_t { normal, under_defaults };

std::string_view kind_words(const Node& node) {
  switch (node.kind) {
    case NodeKind::null: return "nothing";
    case NodeKind::scalar: return "a single value";
    case NodeKind::list: return "a list";
    case NodeKind::map: return "a map";
  }
  return "something else";
}

class Walker {
 public:
  Walker(const Schema& schema, Diagnostics& diagnostics) : schema_(schema), diagnostics_(diagnostics) {}

  void walk_root(Node& root) { walk_keys(root, schema_.root(), "", Place::normal); }
  void walk_part(Node& node, std::string_view at, const std::string& path) {
    walk(node, *schema_.find(at), path, shown_key(node), Place::normal);
  }

 private:
  // `label` is the nearest key, for messages about list items too.
  void walk(Node& node, const SchemaNode& schema, const std::string& path, std::string_view label,
            Place place) {
    const SchemaRow& row = *schema.row;
    if (node.unusable) return;
    if (row.is(not_yet)) {
      report(node, "not-supported-yet", path, fmt::format("'{}' is not supported yet", label));
      return;
    }
    if (place == Place::under_defaults && row.is(no_default)) {
      report(node, "no-default", path, fmt::format("'{}' has no default, each one says its own", label));
      return;
    }
    if (node.is_null()) {
      report(node, "empty-value", path, fmt::format("'{}' has no value", label));
      return;
    }
    if (row.is(none_ok) && node.is_scalar() && node.text == "none") return;
    walk_value(node, schema, path, label, place);
  }

  void walk_value(Node& node, const SchemaNode& schema, const std::string& path, std::string_view label,
                  Place place) {
    switch (schema.row->type) {
      case ValueType::same_as: {
        const bool defaults = schema.row->path.starts_with("defaults.");
        walk(node, *schema_.find(schema.row->allowed), path, label, defaults ? Place::under_defaults : place);
        return;
      }
      case ValueType::group:
        write_out_short_form(node, *schema.row);
        if (node.is_scalar() && is_own_word(*schema.row, node.text)) return;
        if (expect(node, NodeKind::map, *schema.row, path, label)) walk_keys(node, schema, path, place);
        return;
      case ValueType::subtree:
        if (expect(node, NodeKind::map, *schema.row, path, label)) walk_subtree(node, schema, path, place);
        return;
      case ValueType::names:
      case ValueType::fields:
        if (expect(node, NodeKind::map, *schema.row, path, label)) walk_named(node, schema, path, place);
        return;
      case ValueType::list: walk_list(node, schema, path, label, place); return;
      case ValueType::choice:
        if (node.is_map() && !schema.keys.empty()) {
          walk_keys(node, schema, path, place);
          return;
        }
        check_choice(node, *schema.row, path, label);
        return;
      default: check_scalar(node, *schema.row, path, label); return;
    }
  }

  void walk_keys(Node& map, const SchemaNode& schema, const std::string& path, Place place) {
    for (Node& child : map.children) {
      const auto found = schema.keys.find(child.key);
      if (found == schema.keys.end())
        report_unknown(child, schema, path);
      else
        walk(child, *found->second, join(path, shown_key(child)), shown_key(child), place);
    }
    require(map, schema, path, place);
  }

  // Other keys are the plugin's.
  void walk_subtree(Node& map, const SchemaNode& schema, const std::string& path, Place place) {
    for (Node& child : map.children) {
      const auto found = schema.keys.find(child.key);
      if (found != schema.keys.end())
        walk(child, *found->second, join(path, shown_key(child)), shown_key(child), place);
    }
    require(map, schema, path, place);
  }

  void walk_named(Node& map, const SchemaNode& schema, const std::string& path, Place place) {
    for (Node& child : map.children) {
      if (schema.row->type == ValueType::names) {
        const auto name = parse_name(child.key);
        if (!name)
          diagnostics_
              .error("bad-name", child.key_at, join(path, shown_key(child)),
                     fmt::format("'{}' {}", shown_key(child), name.error().message))
              .hint = name.error().hint;
      }
      walk(child, *schema.any_key, join(path, shown_key(child)), shown_key(child), place);
    }
  }

  void walk_list(Node& node, const SchemaNode& schema, const std::string& path, std::string_view label,
                 Place place) {
    if (!node.is_list()) {
      Node only = std::move(node);
      node = Node{};
      node.kind = NodeKind::list;
      node.at = only.at;
      node.key_at = std::exchange(only.key_at, Position{});
      node.alias_at = only.alias_at;
      node.key = std::exchange(only.key, {});
      node.children.push_back(std::move(only));
    }
    if (schema.item == nullptr) return;  // not supported yet as a whole
    const bool named = schema.item->keys.contains("name");
    for (size_t i = 0; i < node.children.size(); ++i) {
      Node& item = node.children[i];
      const Node* name = named ? item.find("name") : nullptr;
      const bool by_name = name != nullptr && name->is_scalar() && !name->unusable;
      walk(item, *schema.item, by_name ? join(path, shown(*name)) : fmt::format("{}[{}]", path, i), label,
           place);
    }
  }

  void write_out_short_form(Node& node, const SchemaRow& row) {
    if (!node.is_scalar() || row.allowed.empty() || is_own_word(row, node.text)) return;
    Node inner = std::move(node);
    node = Node{};
    node.kind = NodeKind::map;
    node.at = inner.at;
    node.key_at = inner.key_at.known() ? inner.key_at : inner.at;
    node.alias_at = inner.alias_at;
    node.key = std::move(inner.key);
    inner.key = std::string(row.allowed.substr(0, row.allowed.find('|')));
    node.children.push_back(std::move(inner));
  }

  static bool is_own_word(const SchemaRow& row, std::string_view text) {
    const std::vector<std::string_view> words = words_of(row.allowed);
    for (size_t i = 1; i < words.size(); ++i)
      if (words[i] == text) return true;
    return false;
  }

  bool expect(Node& node, NodeKind kind, const SchemaRow& row, const std::string& path,
              std::string_view label) {
    if (node.kind == kind) return true;
    report_at(node, node.at, "wrong-type", path,
              fmt::format("'{}' must be {}, not {}", label, name(row.type), kind_words(node)));
    return false;
  }

  void check_choice(Node& node, const SchemaRow& row, const std::string& path, std::string_view label) {
    const std::vector<std::string_view> words = words_of(row.allowed);
    if (node.is_scalar()) {
      for (const std::string_view word : words)
        if (word == node.text) return;
      for (const std::string_view word : words) {
        if (!word.starts_with('!') || word.substr(1) != node.text) continue;
        report_at(node, node.at, "not-supported-yet", path,
                  fmt::format("{} '{}' is not supported yet", label, shown(node)));
        return;
      }
    }
    if (!words.empty() && words.back() == "!*") {
      report(node, "not-supported-yet", path,
             fmt::format("'{}' other than {} is not supported yet", label, words.front()));
      return;
    }
    if (!expect(node, NodeKind::scalar, row, path, label)) return;
    std::string allowed;
    for (const std::string_view word : words)
      if (!word.starts_with('!')) allowed += fmt::format("{}{}", allowed.empty() ? "" : ", ", word);
    report_at(node, node.at, "bad-value", path,
              fmt::format("{} '{}' is not one of {}", label, shown(node), allowed))
        .hint = node.secret ? "" : did_you_mean(node.text, words);
  }

  void check_scalar(Node& node, const SchemaRow& row, const std::string& path, std::string_view label) {
    if (!expect(node, NodeKind::scalar, row, path, label)) return;
    const ScalarProblem problem = scalar_problem(node.text, row);
    if (problem.code.empty()) return;
    if (node.secret)  // the complaint may quote the value
      report_at(node, node.at, problem.code, path,
                fmt::format("the value of {} is not {}", label, name(row.type)));
    else
      report_at(node, node.at, problem.code, path,
                fmt::format("{} '{}' {}", label, node.text, problem.message))
          .hint = problem.hint;
  }

  void require(const Node& map, const SchemaNode& schema, const std::string& path, Place place) {
    if (place == Place::under_defaults) return;
    for (const auto& [key, child] : schema.keys) {
      if (!child->row->is(required) || map.find(key) != nullptr) continue;
      diagnostics_.error("missing-key", map.key_at.known() ? map.key_at : map.at, join(path, key),
                         path.empty() ? fmt::format("'{}' is missing", key)
                                      : fmt::format("'{}' is missing under {}", key, path));
    }
  }

  void report_unknown(Node& child, const SchemaNode& schema, const std::string& path) {
    std::vector<std::string_view> known;
    for (const auto& [key, unused] : schema.keys) known.push_back(key);
    report(child, "unknown-key", join(path, shown_key(child)),
           path.empty() ? fmt::format("'{}' is not known", shown_key(child))
                        : fmt::format("'{}' is not known under {}", shown_key(child), path))
        .hint = child.secret_key ? "" : did_you_mean(child.key, known);
  }

  Diagnostic& report(Node& node, std::string_view code, const std::string& path, std::string message) {
    return report_at(node, node.key_at.known() ? node.key_at : node.at, code, path, std::move(message));
  }

  Diagnostic& report_at(Node& node, Position at, std::string_view code, const std::string& path,
                        std::string message) {
    node.unusable = true;
    Diagnostic& diagnostic = diagnostics_.error(code, at, path, std::move(message));
    if (node.alias_at.known()) {
      diagnostic.related = node.alias_at;
      diagnostic.related_note = "used by the alias at";
    }
    return diagnostic;
  }

  static std::string join(const std::string& path, std::string_view key) {
    return path.empty() ? std::string(key) : fmt::format("{}.{}", path, key);
  }

  const Schema& schema_;
  Diagnostics& diagnostics_;
};

}  // namespace

void walk_schema(Node& root, const Schema& schema, Diagnostics& diagnostics) {
  Walker(schema, diagnostics).walk_root(root);
}

void walk_part(Node& node, const Schema& schema, std::string_view at, const std::string& path,
               Diagnostics& diagnostics) {
  Walker(schema, diagnostics).walk_part(node, at, path);
}

}  // namespace penstock::config
