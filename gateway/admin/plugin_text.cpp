#include "admin/plugin_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace penstock::admin {
namespace {

using Json = nlohmann::ordered_json;
using plugin::InspectedType;
using plugin::Inspection;

// A plugin's text on a terminal: one line, no control bytes, not without end.
std::string shown(std::string_view text) {
  std::string out(text.substr(0, 400));
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return out;
}

std::string text_of(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

// "integer 1 to 9", "one of a, b", "none or string": what a key of a schema takes.
std::string kind_of(const Json& property) {
  if (const auto any = property.find("anyOf"); any != property.end() && any->is_array()) {
    const bool alone_too =
        any->size() == 2 && (*any)[0].is_object() && (*any)[0].value("items", Json()) == (*any)[1];
    if (alone_too) return kind_of((*any)[1]) + ", or a list";
    std::vector<std::string> kinds;
    for (const Json& one : *any) kinds.push_back(kind_of(one));
    return fmt::format("{}", fmt::join(kinds, " or "));
  }
  if (const auto words = property.find("enum"); words != property.end() && words->is_array()) {
    std::vector<std::string> names;
    for (const Json& word : *words) names.push_back(word.is_string() ? word.get<std::string>() : word.dump());
    return fmt::format("one of {}", fmt::join(names, ", "));
  }
  if (const auto value = property.find("const"); value != property.end())
    return value->is_string() ? value->get<std::string>() : value->dump();
  const auto type = property.find("type");
  if (type == property.end()) return "any";
  std::string kind = type->is_string() ? type->get<std::string>() : "map";
  if (kind == "object") kind = "map";
  if (kind == "array") {
    const auto items = property.find("items");
    kind = items != property.end() ? "list of " + kind_of(*items) : "list";
  }
  const auto low = property.find("minimum"), high = property.find("maximum");
  if (low != property.end() && high != property.end())
    kind += fmt::format(" {} to {}", low->dump(), high->dump());
  return kind;
}

std::string keys_of(const InspectedType& type) {
  const Json schema = Json::parse(type.schema, nullptr, false);
  if (!schema.is_object()) return {};
  const auto properties = schema.find("properties");
  if (properties == schema.end() || !properties->is_object()) return {};
  std::vector<std::string> required;
  if (const auto list = schema.find("required"); list != schema.end() && list->is_array())
    for (const Json& one : *list)
      if (one.is_string()) required.push_back(one.get<std::string>());
  size_t width = 0;
  for (const auto& [key, property] : properties->items()) width = std::max(width, key.size());
  std::string out;
  for (const auto& [key, property] : properties->items()) {
    const bool needed = std::ranges::find(required, key) != required.end();
    out += fmt::format("  key       {:<{}}  {}{}", shown(key), width, shown(kind_of(property)),
                       needed ? ", required" : "");
    if (const std::string what = text_of(property, "description"); !what.empty())
      out += fmt::format(": {}", shown(what));
    out += '\n';
  }
  return out;
}

std::string type_text(const InspectedType& type) {
  std::string out =
      fmt::format("type {} {}{}\n", type.name, shown(type.version),
                  type.role == InspectedType::Role::authenticator ? ", an authenticator (for `auth:`)" : "");
  out += fmt::format("  hooks     {}\n", fmt::join(type.hooks, ", "));
  if (!type.needs.empty())
    out += fmt::format("  needs     {}\n", shown(fmt::format("{}", fmt::join(type.needs, ", "))));
  if (type.request_bytes > 0) out += fmt::format("  memory    {} bytes a request\n", type.request_bytes);
  return out + keys_of(type);
}

std::string problems_of(const Inspection& found) {
  std::string out;
  for (const std::string& problem : found.problems)
    out += fmt::format("{}: {}\n", found.path, shown(problem));
  return out;
}

}  // namespace

std::string info_text(const Inspection& found) {
  std::string out;
  if (!found.types.empty()) {
    out = fmt::format("{}: {} bytes, sha256 {}, plugin ABI {}.{}\n", found.path, found.bytes, found.hash,
                      found.abi_major, found.abi_minor);
    for (const InspectedType& type : found.types) out += type_text(type);
  }
  return out + problems_of(found);
}

std::string check_text(const Inspection& found) {
  if (!found.good()) return problems_of(found);
  std::vector<std::string> names;
  for (const InspectedType& type : found.types)
    names.push_back(fmt::format("{} {}", type.name, type.version));
  std::string out = fmt::format("{}: good: {} (plugin ABI {}.{})\n", found.path, fmt::join(names, ", "),
                                found.abi_major, found.abi_minor);
  for (const InspectedType& type : found.types)
    for (const std::string& asked : type.asked)
      out += fmt::format("  type {} needs configuration: {}\n", type.name, shown(asked));
  return out;
}

std::string to_json(const Inspection& found) {
  Json types = Json::array();
  for (const InspectedType& type : found.types) {
    Json schema = Json::parse(type.schema, nullptr, false);
    types.push_back({{"type", type.name},
                     {"version", type.version},
                     {"authenticator", type.role == InspectedType::Role::authenticator},
                     {"hooks", type.hooks},
                     {"needs", type.needs},
                     {"request_bytes", type.request_bytes},
                     {"schema", schema.is_discarded() ? Json() : std::move(schema)},
                     {"asks_for", type.asked}});
  }
  Json out{{"path", found.path}, {"bytes", found.bytes}, {"sha256", found.hash}};
  out["abi"] = found.types.empty() ? Json() : Json(fmt::format("{}.{}", found.abi_major, found.abi_minor));
  out["types"] = std::move(types);
  out["problems"] = found.problems;
  // A plugin's text may be no UTF-8.
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace penstock::admin
