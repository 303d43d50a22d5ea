// The keys that may sign a token, and the check of a signature. Made on the main thread, read-only afterwards
// and shared by all workers. An algorithm only ever meets keys of its own type, and only algorithms of this
// list exist: `none` and the use of a public key as an HMAC secret cannot be expressed.
#pragma once
#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace auth {

enum class Algorithm { hs256, rs256, es256 };
constexpr std::array<std::string_view, 3> gw_names(Algorithm) { return {"HS256", "RS256", "ES256"}; }

class KeySet {
 public:
  enum class Outcome { valid, no_key, invalid };

  // Each returns an empty text, or what is wrong.
  std::string add_secret(std::string secret);          // HS256, at least 32 bytes
  std::string add_public_key(const std::string& pem);  // a public key or a certificate
  std::string add_jwks(
      const std::string& json);  // RFC 7517; keys for other uses or of other types are passed over

  bool empty() const { return keys_.empty(); }
  bool fits(Algorithm algorithm) const;

  // `kid` empty: every key that fits the algorithm is tried. Otherwise those of that id and those without
  // one.
  Outcome verify(Algorithm algorithm, std::string_view kid, std::string_view input,
                 std::string_view signature) const;

 private:
  struct FreeKey {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  };
  using PublicKey = std::unique_ptr<EVP_PKEY, FreeKey>;
  struct Key {
    Algorithm algorithm;
    std::string kid;
    PublicKey key;       // RS256, ES256
    std::string secret;  // HS256
  };
  std::string add(PublicKey key, std::string kid);
  static bool check(const Key& key, std::string_view input, std::string_view signature);

  std::vector<Key> keys_;
};

}  // namespace auth
