// The keys that may sign a token. Made on the main thread, read-only afterwards and shared by all workers.
// Which keys an algorithm meets is Key::fits: those of its own type, curve and purpose.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "key.h"

namespace auth {

class KeySet {
 public:
  enum class Outcome : uint8_t { valid, no_key, invalid };

  // Each returns an empty text, or what is wrong.
  std::string add_secret(std::string secret);          // HS256 and, if it is long enough, HS384 and HS512
  std::string add_public_key(const std::string& pem);  // a public key or a certificate
  // RFC 7517. Keys for other uses or of other types are passed over, broken ones too, and named in
  // `problems`: whether one of them is an error is the caller's choice.
  std::string add_jwks(std::string_view json, Secrets secrets, size_t max_keys,
                       std::vector<std::string>& problems);

  bool empty() const { return keys_.empty(); }
  size_t size() const { return keys_.size(); }
  bool fits(Algorithm algorithm) const;

  // `kid` empty: every key that fits the algorithm is tried. Otherwise those of that id and those without
  // one. A pure function: any thread.
  Outcome verify(Algorithm algorithm, std::string_view kid, std::string_view input,
                 std::string_view signature) const;

 private:
  std::vector<Key> keys_;
};

}  // namespace auth
