#include "claims.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace auth {
namespace {

using nlohmann::json;
constexpr size_t max_claims = 64;
constexpr int max_depth = 4;
constexpr size_t max_name_bytes = 256;

void flatten(const json& object, const std::string& prefix, int depth,
             std::vector<std::pair<std::string, std::string>>& out) {
  for (const auto& [name, value] : object.items()) {
    if (out.size() >= max_claims) return;
    if (prefix.size() + name.size() > max_name_bytes) continue;  // nobody asks for such a name
    if (value.is_object()) {
      if (depth < max_depth) flatten(value, prefix + name + ".", depth + 1, out);
    } else if (!value.is_null()) {
      std::string text = claim_text(value);
      if (plain_text(text)) out.emplace_back(prefix + name, std::move(text));
    }
  }
}

}  // namespace

void Verified::set_attributes(gw::request& r) {
  const auto& http = *gw::detail::host.http;
  const uint32_t now = http.attribute_epoch(gw::detail::host.host);
  if (now != epoch) {
    wanted.clear();
    for (uint32_t i = 0; i < claims.size(); ++i) {
      const gw_id id = http.attribute_find(gw::detail::host.host, gw::str(claims[i].first));
      if (id != 0) wanted.emplace_back(id, i);
    }
    epoch = now;
  }
  for (const auto& [id, index] : wanted) r.set_attribute(gw::attribute::from_id(id), claims[index].second);
}

const json* find_claim(const json& payload, const std::string& name) {
  if (const auto it = payload.find(name); it != payload.end()) return &*it;
  const json* here = &payload;
  size_t begin = 0;
  while (true) {
    const size_t dot = name.find('.', begin);
    if (!here->is_object()) return nullptr;
    const auto it = here->find(name.substr(begin, dot == std::string::npos ? dot : dot - begin));
    if (it == here->end()) return nullptr;
    here = &*it;
    if (dot == std::string::npos) return here;
    begin = dot + 1;
  }
}

std::string claim_text(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_array()) {
    std::string out;
    for (const json& item : value) {
      if (item.is_structured()) continue;
      if (!out.empty()) out += ',';
      out += claim_text(item);
    }
    return out;
  }
  if (value.is_object() || value.is_null()) return {};
  return value.dump();
}

bool plain_text(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

bool claim_contains(const json& value, std::string_view text) {
  if (value.is_array()) {
    for (const json& item : value) {
      if (!item.is_structured() && claim_text(item) == text) return true;
    }
    return false;
  }
  if (value.is_object()) return false;
  const std::string whole = claim_text(value);
  if (whole == text) return true;
  std::string_view rest = whole;
  while (!rest.empty()) {
    const std::string_view word = rest.substr(0, rest.find(' '));
    if (word == text) return true;
    rest.remove_prefix(word.size() < rest.size() ? word.size() + 1 : word.size());
  }
  return false;
}

void flatten_claims(const json& payload, std::vector<std::pair<std::string, std::string>>& out) {
  flatten(payload, "claim.", 1, out);
}

}  // namespace auth
