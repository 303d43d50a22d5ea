// What a verified token says, in the form in which requests use it, and a bounded cache of such tokens. Made
// when a token is seen for the first time on a worker; one cache a worker, no locks. What depends on the time
// (exp, nbf) is never cached as a verdict.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "penstock_plugin.hpp"

namespace auth {

struct Verified {
  uint64_t hash = 0;
  std::string token;  // empty: a free slot
  int64_t expires_ns = INT64_MAX, not_before_ns = INT64_MIN;
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

class TokenCache {
 public:
  static constexpr size_t sets = 256, ways = 4;
  static constexpr size_t max_token_bytes = 8192;  // longer ones are verified each time

  TokenCache() : slots_(sets * ways) {}
  Verified* find(std::string_view token);
  // Takes the place of an expired or of the oldest entry. The reference is valid until the next insert.
  Verified& insert(Verified verified, int64_t now_ns);
  static uint64_t hash_of(std::string_view token);

 private:
  std::vector<Verified> slots_;
  uint32_t turn_ = 0;
};

}  // namespace auth
