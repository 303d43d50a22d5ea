#include "config/node.h"

#include <fmt/format.h>

namespace penstock::config {
namespace {

// Depth is bounded by the reader, so is the recursion.
bool append_path(const Node& from, const Node& wanted, std::string& path) {
  if (&from == &wanted) return true;
  for (size_t i = 0; i < from.children.size(); ++i) {
    const Node& child = from.children[i];
    const size_t length = path.size();
    if (from.is_list())
      path += fmt::format("[{}]", i);
    else
      path += fmt::format("{}{}", path.empty() ? "" : ".", shown_key(child));
    if (append_path(child, wanted, path)) return true;
    path.resize(length);
  }
  return false;
}

}  // namespace

std::string_view shown(const Node& node) { return node.secret ? hidden_text : std::string_view(node.text); }

std::string_view shown_key(const Node& node) {
  return node.secret_key ? hidden_text : std::string_view(node.key);
}

std::string path_within(const Node& root, const Node& node) {
  std::string path;
  append_path(root, node, path);
  return path;
}

}  // namespace penstock::config
