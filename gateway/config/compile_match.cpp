#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "config/compile.h"
#include "config/patterns.h"

namespace penstock::config {
namespace {

using ParsePath = Parsed<PathPattern> (*)(std::string_view);

void compile_paths(const Node* list, ParsePath parse, Match& match) {
  for (const NameRef& text : names_in(list)) {
    auto pattern = parse(text.name);
    if (!pattern) continue;
    pattern->at = text.at;
    match.paths.push_back(std::move(*pattern));
  }
}

// Exactly one of the three forms; none at all is the prefix "/".
void compile_all_paths(const Node& node, const std::string& path, Match& match, Build& build) {
  static constexpr std::array<std::string_view, 3> forms{"path", "path_prefix", "path_regex"};
  const Node* first = nullptr;
  for (const std::string_view form : forms) {
    const Node* given = node.find(form);
    if (given == nullptr) continue;
    if (first != nullptr)
      build.diagnostics
          .error("several-paths", given->key_at, fmt::format("{}.{}", path, form),
                 fmt::format("'{}' stands beside '{}'", form, first->key))
          .hint = "give one of path, path_prefix and path_regex; a list of one form means 'or'";
    first = given;
  }
  compile_paths(usable(node, "path"), parse_path_pattern, match);
  compile_paths(usable(node, "path_prefix"), parse_prefix_pattern, match);
  const Node* regex = usable(node, "path_regex");
  if (regex != nullptr && regex->is_scalar()) {
    if (auto pattern = parse_regex_pattern(regex->text)) {
      pattern->at = regex->at;
      match.paths.push_back(std::move(*pattern));
    }
  }
  if (match.paths.empty()) {
    match.paths.push_back(*parse_prefix_pattern("/"));
    match.paths.back().at = node.key_at;
    match.paths.back().every_target = true;
  }
}

void compile_methods(const Node* list, Match& match) {
  for (const NameRef& method : names_in(list))
    if (std::count(match.methods.begin(), match.methods.end(), method.name) == 0)
      match.methods.push_back(method.name);
  const auto has = [&](std::string_view name) {
    return std::count(match.methods.begin(), match.methods.end(), name) > 0;
  };
  if (has("GET") && !has("HEAD")) match.methods.push_back("HEAD");
}

enum class NameForm : uint8_t { header, query };

std::vector<ValueCondition> compile_conditions(const Node* map, NameForm form, const std::string& path,
                                               Build& build) {
  std::vector<ValueCondition> conditions;
  SeenHeaders seen;
  if (map == nullptr) return conditions;
  for (const Node& node : map->children) {
    ValueCondition condition;
    condition.at = node.key_at;
    condition.name = node.key;
    const std::string place = fmt::format("{}.{}", path, node.key);
    if (form == NameForm::header) {
      const auto name = parse_header_name(node.key);
      if (!name) {
        build.diagnostics.error("bad-header", node.key_at, place,
                                fmt::format("'{}' {}", node.key, name.error().message));
        continue;
      }
      condition.name = *name;
      report_repeated_header(*name, node.key_at, place, seen, build);
    }
    if (node.unusable) continue;
    const Node* exact = node.find("exact");
    const Node* regex = node.find("regex");
    if (node.is_scalar()) {
      condition.kind = node.text == "absent" ? ValueCondition::Kind::absent : ValueCondition::Kind::present;
    } else if ((exact == nullptr) == (regex == nullptr)) {
      build.diagnostics.error("bad-value", node.key_at, place,
                              fmt::format("'{}' needs exactly one of exact and regex", node.key));
      continue;
    } else {
      condition.kind = exact != nullptr ? ValueCondition::Kind::exact : ValueCondition::Kind::regex;
      take(&node, exact != nullptr ? "exact" : "regex", condition.value);
    }
    conditions.push_back(std::move(condition));
  }
  return conditions;
}

}  // namespace

Match compile_match(const Node& node, const std::string& path, Build& build) {
  Match match;
  for (const NameRef& text : names_in(usable(node, "host"))) {
    auto host = parse_host_pattern(text.name);
    if (!host) continue;
    host->at = text.at;
    match.hosts.push_back(std::move(*host));
  }
  compile_all_paths(node, path, match, build);
  compile_methods(usable(node, "methods"), match);
  match.headers = compile_conditions(usable(node, "headers"), NameForm::header, path + ".headers", build);
  match.query = compile_conditions(usable(node, "query"), NameForm::query, path + ".query", build);
  return match;
}

}  // namespace penstock::config
