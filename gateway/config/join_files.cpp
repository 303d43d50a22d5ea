#include "config/join_files.h"

#include <fmt/format.h>

#include <utility>

namespace penstock::config {
namespace {

bool joins(std::string_view key) {
  return key == "listeners" || key == "routes" || key == "upstreams" || key == "plugins" ||
         key == "consumers";
}

bool is_list_key(std::string_view key) { return key == "listeners" || key == "routes" || key == "consumers"; }

// A list of one may stand without brackets.
void bracket(Node& node) {
  if (!is_list_key(node.key) || !node.is_map()) return;
  Node only = std::move(node);
  node = Node{};
  node.kind = NodeKind::list;
  node.at = only.at;
  node.key_at = std::exchange(only.key_at, Position{});
  node.key = std::exchange(only.key, {});
  node.children.push_back(std::move(only));
}

void report_twice(const Node& again, const Node& first, std::string path, Diagnostics& diagnostics) {
  Diagnostic& diagnostic = diagnostics.error("duplicate-name", again.key_at, std::move(path),
                                             fmt::format("'{}' stands in two files", again.key));
  diagnostic.related = first.key_at;
  diagnostic.related_note = "first defined at";
}

void join_children(Node& into, Node&& more, Diagnostics& diagnostics) {
  for (Node& child : more.children) {
    const Node* first = into.is_map() ? into.find(child.key) : nullptr;
    if (first != nullptr)
      report_twice(child, *first, into.key + "." + child.key, diagnostics);
    else
      into.children.push_back(std::move(child));
  }
}

}  // namespace

Node join_files(std::vector<Node> roots, Diagnostics& diagnostics) {
  if (roots.empty()) return Node{};
  Node joined = std::move(roots.front());
  for (size_t i = 1; i < roots.size(); ++i) {
    for (Node& child : roots[i].children) {
      Node* first = joined.find(child.key);
      if (first == nullptr) {
        joined.children.push_back(std::move(child));
        continue;
      }
      if (!joins(child.key)) {
        report_twice(child, *first, child.key, diagnostics);
        continue;
      }
      bracket(*first);
      bracket(child);
      if (first->kind == child.kind) {
        join_children(*first, std::move(child), diagnostics);
      } else {
        report_twice(child, *first, child.key, diagnostics);
      }
    }
  }
  return joined;
}

}  // namespace penstock::config
