#include "config/schema.h"

namespace penstock::config {
namespace {

// Takes the first step off a path: "a.b[].c" -> "a", "[]" and "*" are steps of their own.
std::string_view take_step(std::string_view& path) {
  if (path.starts_with('.')) path.remove_prefix(1);
  const size_t end = path.starts_with("[]") ? 2 : path.find_first_of(".[");
  const std::string_view step = path.substr(0, end);
  path.remove_prefix(step.size());
  return step;
}

}  // namespace

std::string_view name(ValueType type) {
  switch (type) {
    case ValueType::group:
    case ValueType::names:
    case ValueType::fields:
    case ValueType::subtree:
    case ValueType::same_as: return "a map";
    case ValueType::list: return "a list";
    case ValueType::text: return "a text";
    case ValueType::name: return "a name";
    case ValueType::host: return "a host name";
    case ValueType::path:
    case ValueType::prefix: return "a path";
    case ValueType::regex: return "a regular expression";
    case ValueType::pattern_text: return "a text";
    case ValueType::attribute: return "an attribute";
    case ValueType::header_name: return "a header name";
    case ValueType::protocol: return "a protocol";
    case ValueType::method: return "a method";
    case ValueType::mode: return "a file mode";
    case ValueType::file: return "a file name";
    case ValueType::flag: return "true or false";
    case ValueType::integer: return "a whole number";
    case ValueType::size: return "a size";
    case ValueType::byte_rate: return "bytes a second";
    case ValueType::duration: return "a duration";
    case ValueType::percent: return "a percentage";
    case ValueType::choice: return "a word";
    case ValueType::date: return "a date";
    case ValueType::address: return "an address with a port";
    case ValueType::host_port: return "host:port";
    case ValueType::network: return "a network";
  }
  return "a value";
}

Schema::Schema() {
  nodes_.push_back(std::make_unique<SchemaNode>());
  for (const SchemaRow& row : schema_rows()) reach(row.path)->row = &row;
}

SchemaNode* Schema::reach(std::string_view path) {
  SchemaNode* node = nodes_.front().get();
  while (!path.empty()) {
    const std::string_view step = take_step(path);
    SchemaNode*& next = step == "[]" ? node->item : step == "*" ? node->any_key : node->keys[step];
    if (next == nullptr) {
      nodes_.push_back(std::make_unique<SchemaNode>());
      next = nodes_.back().get();
    }
    node = next;
  }
  return node;
}

const SchemaNode* Schema::find(std::string_view path) const {
  const SchemaNode* node = nodes_.front().get();
  while (!path.empty() && node != nullptr) {
    const std::string_view step = take_step(path);
    if (step == "[]")
      node = node->item;
    else if (step == "*")
      node = node->any_key;
    else {
      const auto found = node->keys.find(step);
      node = found == node->keys.end() ? nullptr : found->second;
    }
  }
  return node;
}

}  // namespace penstock::config
