// The configuration as a positioned tree of our own: what the YAML reader makes, what validation walks and
// what a plugin gets as its subtree. Plain values, owned by whoever holds the root; nothing here knows YAML.
// Made on the control thread and read-only afterwards. The text of a node marked `secret` must never be
// printed: messages use shown().
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::config {

// A place in the configuration. `file` indexes Config::files; line and column count from 1, column in bytes;
// line 0 means: nowhere (a built-in default).
struct Position {
  uint32_t file = 0;
  uint32_t line = 0;
  uint32_t column = 0;

  bool known() const { return line != 0; }
  bool operator==(const Position&) const = default;
};

enum class NodeKind : uint8_t { null, scalar, list, map };

struct Node {
  NodeKind kind = NodeKind::null;
  bool quoted = false;      // written in quotes or as a block: never a null
  bool secret = false;      // from ${...}, or under credentials or one of secret_keys
  bool secret_key = false;  // `key` stands where a secret is expected
  bool unusable = false;    // a diagnostic was given: no more is said about it, its value is not used
  Position at;              // of the value; of the key where the value is empty
  Position key_at;          // of the key in the parent map; line 0 for list items and the root
  Position alias_at;        // of the *alias through which this came, line 0 without one
  std::string key;          // in the parent map
  std::string text;         // of a scalar, after ${...} was replaced
  std::vector<Node> children;

  bool is_map() const { return kind == NodeKind::map; }
  bool is_list() const { return kind == NodeKind::list; }
  bool is_scalar() const { return kind == NodeKind::scalar; }
  bool is_null() const { return kind == NodeKind::null; }

  // The child of a map with that key, or null.
  const Node* find(std::string_view name) const {
    if (kind != NodeKind::map) return nullptr;
    for (const Node& child : children)
      if (child.key == name) return &child;
    return nullptr;
  }
  Node* find(std::string_view name) { return const_cast<Node*>(static_cast<const Node*>(this)->find(name)); }
};

// What stands under these keys is never printed, but for the file or attribute that a `key` may name; under
// `credentials` only the keys right below it are.
inline constexpr std::array<std::string_view, 4> secret_keys{"secret", "key", "password", "api_keys"};
inline constexpr std::string_view credentials_key = "credentials";
inline constexpr std::string_view hidden_text = "(hidden)";

// The text of a scalar for a message: itself, or "(hidden)" for a secret. Its key likewise.
std::string_view shown(const Node& node);
std::string_view shown_key(const Node& node);

// Where `node` stands below `root`, such as "limits[0].rate"; empty for the root itself or a stranger.
// Searched by address: for messages, not for the data path.
std::string path_within(const Node& root, const Node& node);

}  // namespace penstock::config
