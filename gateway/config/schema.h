// The keys of the language: one row each in one table (schema_table.cpp). Validation walks by it, the
// reference page and the JSON Schema are made from it. Immutable; every thread may read it.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::config {

enum class ValueType : uint8_t {
  group,    // a map of the rows below it
  names,    // a map whose keys are names of ours; values are the row "PATH.*"
  fields,   // a map whose keys are names of others (headers, query parameters); values likewise
  list,     // items are the row "PATH[]"; a single one may stand without brackets
  subtree,  // handed to a plugin; the rows below it are what the core reads of it
  same_as,  // the rows of the path in `allowed`
  text,
  name,  // see parse_name
  host,
  path,
  prefix,
  regex,
  pattern_text,  // a template: text with {attributes}
  attribute,
  header_name,
  protocol,
  method,
  mode,  // 0660
  file,  // a path, relative to the file that names it
  flag,
  integer,  // `allowed` is a range "1..100"
  size,
  byte_rate,  // 240B/s
  duration,
  percent,
  choice,   // one word of `allowed` "a|b|!c", where "!" stands for: not supported yet, as in an address
  date,     // 2026-06-01 or 2026-06-01T10:00Z
  address,  // IP:port to listen on
  host_port,
  network
};
std::string_view name(ValueType type);

// What else is true of a row.
enum RowFlag : uint8_t {
  plain = 0,
  required = 1,    // in its map
  none_ok = 2,     // `none` turns it off
  not_yet = 4,     // known, not supported in this version
  no_default = 8,  // cannot stand under defaults
};

struct SchemaRow {
  std::string_view path;  // "listeners[].limits.header_size", "upstreams.*.balance"
  ValueType type = ValueType::text;
  std::string_view fallback;  // the built-in default as it would be written; empty: none
  // A range or a choice. Of a group: the key that a scalar is short for, and after '|' words that it is not.
  std::string_view allowed;
  std::string_view meaning;  // one line for the reference page
  uint8_t flags = plain;

  bool is(RowFlag flag) const { return (flags & flag) != 0; }
};

std::span<const SchemaRow> schema_rows();

// Plugin types of the language that no library brings yet: known, not supported in this version.
std::span<const std::string_view> later_plugin_types();

// The table as a tree, for walking.
struct SchemaNode {
  const SchemaRow* row = nullptr;  // null only for the root
  std::map<std::string_view, SchemaNode*> keys;
  SchemaNode* any_key = nullptr;  // "*"
  SchemaNode* item = nullptr;     // "[]"
};

class Schema {
 public:
  Schema();
  Schema(const Schema&) = delete;
  Schema& operator=(const Schema&) = delete;
  const SchemaNode& root() const { return *nodes_.front(); }
  // The node of a path as it stands in the table, or null.
  const SchemaNode* find(std::string_view path) const;

 private:
  SchemaNode* reach(std::string_view path);

  std::vector<std::unique_ptr<SchemaNode>> nodes_;
};

}  // namespace penstock::config
