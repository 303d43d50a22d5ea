#include "key_set.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "claims.h"
#include "strict_json.h"

namespace auth {
namespace {

using nlohmann::json;

// Which one it is, for a message: "key 2 ('main')".
std::string title(size_t index, const json& jwk) {
  constexpr size_t longest = 64;
  std::string out = "key " + std::to_string(index + 1);
  const json* kid = jwk.is_object() && jwk.contains("kid") ? &jwk["kid"] : nullptr;
  if (kid == nullptr || !kid->is_string()) return out;
  const auto& text = kid->get_ref<const std::string&>();
  return text.size() <= longest && plain_text(text) ? out + " ('" + text + "')" : out;
}

}  // namespace

std::string KeySet::add_secret(std::string secret) {
  // RFC 7518 3.2: a key of the hash's size or larger.
  if (secret.size() < scheme_of(Algorithm::hs256).hash_bytes)
    return "is shorter than the 32 bytes that HS256 needs";
  Key key;
  key.secret = std::move(secret);
  keys_.push_back(std::move(key));
  return {};
}

std::string KeySet::add_public_key(const std::string& pem) {
  ReadKey read = read_pem(pem);
  if (!read.key) return read.problem;
  keys_.push_back(std::move(*read.key));
  return {};
}

std::string KeySet::add_jwks(std::string_view text, Secrets secrets, size_t max_keys,
                             std::vector<std::string>& problems) {
  const json set = parse_strict(text);
  if (!set.is_object() || !set.contains("keys") || !set["keys"].is_array()) return "is no JSON Web Key Set";
  const json& all = set["keys"];
  // Without a kid each of them may have to be tried.
  if (all.size() > max_keys) return "has more keys than max_keys allows: " + std::to_string(all.size());
  for (size_t i = 0; i < all.size(); ++i) {
    ReadKey read = read_jwk(all[i], secrets);
    if (read.key) keys_.push_back(std::move(*read.key));
    if (!read.problem.empty()) problems.push_back(title(i, all[i]) + " " + read.problem);
  }
  if (keys_.empty() && problems.empty()) return "has no key for any algorithm that we know";
  return {};
}

bool KeySet::fits(Algorithm algorithm) const {
  return std::any_of(keys_.begin(), keys_.end(), [&](const Key& key) { return key.fits(algorithm); });
}

KeySet::Outcome KeySet::verify(Algorithm algorithm, std::string_view kid, std::string_view input,
                               std::string_view signature) const {
  Outcome outcome = Outcome::no_key;
  for (const Key& key : keys_) {
    if (!key.fits(algorithm)) continue;
    if (!kid.empty() && !key.kid.empty() && key.kid != kid) continue;
    if (key.verifies(algorithm, input, signature)) return Outcome::valid;
    outcome = Outcome::invalid;
  }
  return outcome;
}

}  // namespace auth
