#include "config/merge.h"

#include <algorithm>
#include <array>
#include <span>

namespace penstock::config {
namespace {

constexpr std::array<std::string_view, 5> target_keys{"upstream", "split", "split_by", "redirect", "respond"};
constexpr std::array<std::string_view, 2> rewrite_path_keys{"path", "path_prefix"};
// What is checked, and what goes with a path alone: how often stays.
constexpr std::array<std::string_view, 3> check_keys{"path", "tcp", "grpc"};
constexpr std::array<std::string_view, 5> path_check_keys{"method", "headers", "status", "body", "body_size"};

bool among(std::span<const std::string_view> keys, std::string_view key) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

bool has_any(const Node& map, std::span<const std::string_view> keys) {
  return std::any_of(map.children.begin(), map.children.end(),
                     [&](const Node& child) { return among(keys, child.key); });
}

// Where headers are the keys: a route's own x-tenant replaces a default X-Tenant.
constexpr std::array<std::string_view, 4> header_maps{"set", "add", "headers", "identity_headers"};

bool same_header(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

Node* find_same(Node& map, std::string_view key) {
  if (!among(header_maps, map.key)) return map.find(key);
  const auto same =
      std::ranges::find_if(map.children, [&](Node& child) { return same_header(child.key, key); });
  return same == map.children.end() ? nullptr : &*same;
}

}  // namespace

Node merge_defaults(const Node& defaults, const Node& own) {
  if (!defaults.is_map() || !own.is_map() || own.key == "balance") return own;
  const bool own_target = has_any(own, target_keys);
  const bool own_path = own.key == "rewrite" && has_any(own, rewrite_path_keys);
  const bool own_check = own.key == "health_check" && has_any(own, check_keys);
  const bool other_check = own_check && own.find("path") == nullptr;
  Node merged = own;
  for (const Node& child : defaults.children) {
    if (own_target && among(target_keys, child.key)) continue;
    if (own_path && among(rewrite_path_keys, child.key)) continue;
    if (own_check && among(check_keys, child.key)) continue;
    if (other_check && among(path_check_keys, child.key)) continue;
    if (Node* same = find_same(merged, child.key))
      *same = merge_defaults(child, *same);
    else
      merged.children.push_back(child);
  }
  return merged;
}

}  // namespace penstock::config
