#include "verify.h"

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

#include "strict_json.h"
#include "token.h"

namespace auth {
namespace {

using nlohmann::json;

constexpr size_t max_groups = 64;
constexpr size_t max_consumer_bytes = 1024;  // what gw.consumer set_identity takes

constexpr std::array<FaultText, fault_count> texts{{
    {0, "", ""},
    {401, "auth.jwt.malformed", "The token is malformed"},
    {401, "auth.jwt.repeated", "The request has more than one token"},
    {401, "auth.jwt.algorithm", "The algorithm of the token is not accepted"},
    {401, "auth.jwt.key", "The key of the token is not known"},
    {401, "auth.jwt.signature", "The signature of the token is wrong"},
    {401, "auth.jwt.expired", "The token has expired"},
    {401, "auth.jwt.not_yet", "The token is not valid yet"},
    {401, "auth.jwt.issuer", "The issuer of the token is not accepted"},
    {401, "auth.jwt.audience", "The token is for another audience"},
    {401, "auth.jwt.claim", "The token lacks a claim that is needed"},
    {403, "auth.jwt.claim", "A claim of the token does not allow this request"},
    {403, "auth.jwt.scope", "The token lacks a scope that is needed"},
    {503, "auth.jwt.keys", ""},
}};

// Seconds since 1970 as nanoseconds, held inside the range of the type.
int64_t nanoseconds(double seconds) {
  const double ns = seconds * 1e9;
  if (ns >= 9.2e18) return INT64_MAX;
  if (ns <= -9.2e18) return INT64_MIN;
  return static_cast<int64_t>(ns);
}

bool one_of(const std::vector<std::string>& allowed, const json& value) {
  return value.is_string() &&
         std::find(allowed.begin(), allowed.end(), value.get_ref<const std::string&>()) != allowed.end();
}

// The part of the header that we use. `jwk`, `jku`, `x5u` and `x5c` are not read: keys come from the
// configuration alone.
struct Header {
  Algorithm algorithm{};
  std::string kid;
};

Fault read_header(const std::string& text, const Rules& rules, Header& out) {
  const json header = parse_strict(text);
  // RFC 7515 4.1.11: an extension that must be understood, and we understand none.
  if (!header.is_object() || header.contains("crit")) return Fault::malformed;
  const auto alg = header.find("alg"), kid = header.find("kid");
  if (alg == header.end() || !alg->is_string()) return Fault::malformed;
  if (kid != header.end()) {
    if (!kid->is_string()) return Fault::malformed;
    out.kid = kid->get<std::string>();
  }
  const auto algorithm = algorithm_named(alg->get_ref<const std::string&>());
  if (!algorithm ||
      std::find(rules.algorithms.begin(), rules.algorithms.end(), *algorithm) == rules.algorithms.end())
    return Fault::algorithm;
  out.algorithm = *algorithm;
  return Fault::none;
}

Fault check_signature(const Token& token, const Header& header, const KeySet& keys) {
  switch (keys.verify(header.algorithm, header.kid, token.signing_input, token.signature)) {
    case KeySet::Outcome::no_key: return Fault::key;
    case KeySet::Outcome::invalid: return Fault::signature;
    case KeySet::Outcome::valid: return Fault::none;
  }
  return Fault::signature;
}

bool from_known_issuer(const json& payload, const Rules& rules) {
  if (rules.issuers.empty()) return true;
  const auto iss = payload.find("iss");
  return iss != payload.end() && one_of(rules.issuers, *iss);
}

bool meant_for_us(const json& payload, const Rules& rules) {
  if (rules.audiences.empty()) return true;
  const auto aud = payload.find("aud");
  if (aud == payload.end()) return false;
  if (!aud->is_array()) return one_of(rules.audiences, *aud);
  return std::any_of(aud->begin(), aud->end(), [&](const json& a) { return one_of(rules.audiences, a); });
}

Fault read_times(const json& payload, const Rules& rules, Verified& out) {
  const auto exp = payload.find("exp"), nbf = payload.find("nbf");
  if (exp == payload.end()) {
    if (rules.require_exp) return Fault::missing_claim;
  } else {
    if (!exp->is_number()) return Fault::malformed;
    out.expires_ns = nanoseconds(exp->get<double>());
  }
  if (nbf != payload.end()) {
    if (!nbf->is_number()) return Fault::malformed;
    out.not_before_ns = nanoseconds(nbf->get<double>());
  }
  return Fault::none;
}

// `scope` is the name of RFC 8693 and RFC 9068, `scp` that of several providers; either may be a list.
bool has_scope(const json& payload, std::string_view scope) {
  for (const char* name : {"scope", "scp"}) {
    const auto claim = payload.find(name);
    if (claim != payload.end() && claim_contains(*claim, scope)) return true;
  }
  return false;
}

Fault rights_of(const json& payload, const Rules& rules) {
  for (const auto& [name, text] : rules.require) {
    const json* claim = find_claim(payload, name);
    if (claim == nullptr || !claim_contains(*claim, text)) return Fault::claim;
  }
  const bool all = std::all_of(rules.scopes.begin(), rules.scopes.end(),
                               [&](const std::string& scope) { return has_scope(payload, scope); });
  return all ? Fault::none : Fault::scope;
}

void read_groups(const json& groups, Verified& out) {
  const auto add = [&](std::string group) {
    if (!group.empty() && plain_text(group) && out.groups.size() < max_groups)
      out.groups.push_back(std::move(group));
  };
  if (groups.is_array()) {
    for (const json& group : groups) {
      if (group.is_string()) add(group.get<std::string>());
    }
  } else if (groups.is_string()) {
    std::string_view rest = groups.get_ref<const std::string&>();
    while (!rest.empty()) {
      const std::string_view word = rest.substr(0, rest.find(' '));
      add(std::string(word));
      rest.remove_prefix(word.size() < rest.size() ? word.size() + 1 : word.size());
    }
  }
  for (const std::string& group : out.groups) out.group_views.push_back(gw::str(group));
}

Fault read_identity(const json& payload, const Rules& rules, Verified& out) {
  const json* name = find_claim(payload, rules.consumer_claim);
  if (name == nullptr || name->is_structured()) return Fault::missing_claim;
  out.consumer = claim_text(*name);
  if (out.consumer.empty() || out.consumer.size() > max_consumer_bytes || !plain_text(out.consumer))
    return Fault::missing_claim;
  const json* groups = rules.groups_claim ? find_claim(payload, *rules.groups_claim) : nullptr;
  if (groups != nullptr) read_groups(*groups, out);
  return Fault::none;
}

Fault read_payload(const json& payload, const Rules& rules, Verified& out) {
  if (const Fault fault = read_times(payload, rules, out); fault != Fault::none) return fault;
  if (!meant_for_us(payload, rules)) return Fault::audience;
  out.rights = rights_of(payload, rules);
  return read_identity(payload, rules, out);
}

Fault judge_into(std::string_view text, const KeySet& keys, const Rules& rules, Verified& out) {
  if (text.size() > rules.max_token_bytes) return Fault::malformed;
  const auto token = split_token(text);
  if (!token) return Fault::malformed;
  Header header;
  if (const Fault fault = read_header(token->header, rules, header); fault != Fault::none) return fault;
  const json payload = parse_strict(token->payload);
  // Who issued a token is asked before the arithmetic: not to believe it, but because a token of somebody
  // else's that another authenticator of the route takes should cost no signature here.
  if (payload.is_object() && !from_known_issuer(payload, rules)) return Fault::issuer;
  if (const Fault fault = check_signature(*token, header, keys); fault != Fault::none) return fault;
  if (!payload.is_object()) return Fault::malformed;
  if (const Fault fault = read_payload(payload, rules, out); fault != Fault::none) return fault;
  flatten_claims(payload, out.claims);
  out.token = text;
  return Fault::none;
}

}  // namespace

const FaultText& text_of(Fault fault) { return texts[static_cast<size_t>(fault)]; }

Judged judge(std::string_view token, const KeySet& keys, const Rules& rules) {
  Judged out;
  out.fault = judge_into(token, keys, rules, out.verified);
  return out;
}

Fault judge_now(const Verified& verified, int64_t leeway_ns, int64_t now_ns) {
  if (verified.expires_ns < INT64_MAX - leeway_ns && now_ns >= verified.expires_ns + leeway_ns)
    return Fault::expired;
  if (verified.not_before_ns > INT64_MIN + leeway_ns && now_ns < verified.not_before_ns - leeway_ns)
    return Fault::not_yet;
  return verified.rights;
}

}  // namespace auth
