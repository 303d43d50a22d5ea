// What a verified token says, in the form in which requests use it. Made when a token is seen for the first
// time on a worker; what depends on the time (exp, nbf) is judged at each use.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "fault.h"
#include "penstock_plugin.hpp"

namespace auth {

struct Verified {
  std::string token;
  int64_t expires_ns = INT64_MAX, not_before_ns = INT64_MIN;
  Fault rights = Fault::none;  // what it lacks: known, but not allowed
  std::string consumer;
  std::vector<std::string> groups;
  std::vector<gw_str> group_views;
  std::vector<std::pair<std::string, std::string>>
      claims;  // "claim.sub" -> value; scalars and lists, flattened; plain text only
  std::vector<std::pair<gw_id, uint32_t>> wanted;  // attribute -> index in claims
  uint32_t epoch = 0;                              // of the attribute names that `wanted` was made from

  // Sets the claims that anybody has asked for by name.
  void set_attributes(gw::request& r);
};

// The claim of that name, or, when there is none, the one that the dots lead to: realm_access.roles.
const nlohmann::json* find_claim(const nlohmann::json& payload, const std::string& name);
// A claim as text: lists joined by commas; empty for objects and null.
std::string claim_text(const nlohmann::json& value);
// Without control bytes: it may go into logs and headers.
bool plain_text(std::string_view text);
// Equals the text, or contains it as a word or list member.
bool claim_contains(const nlohmann::json& value, std::string_view text);
void flatten_claims(const nlohmann::json& payload, std::vector<std::pair<std::string, std::string>>& out);

}  // namespace auth
