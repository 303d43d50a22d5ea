// One key that may sign tokens: from PEM, from a JSON Web Key (RFC 7517, RFC 7518 6, RFC 8037 2) or a shared
// secret.
#pragma once
#include <openssl/evp.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "algorithms.h"

namespace auth {

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using PublicKey = std::unique_ptr<EVP_PKEY, FreeKey>;

struct Key {
  KeyKind kind = KeyKind::secret;
  std::string kid;                // empty: none
  std::optional<Algorithm> only;  // a JWK's `alg`: for this one alone
  PublicKey key;                  // all kinds but secrets
  std::string secret;

  // Of the right type, curve, size and purpose.
  bool fits(Algorithm algorithm) const;
  // Whether the bytes are the signature of `input`. Any thread; the key is only read.
  bool verifies(Algorithm algorithm, std::string_view input, std::string_view signature) const;
};

// A key, or what is wrong with it, or neither: it is for something else, or of a type that we do not know.
struct ReadKey {
  std::optional<Key> key;
  std::string problem;
};

// Whether a set of keys may hold shared secrets: those that come over the network may not.
enum class Secrets : uint8_t { taken, passed_over };

ReadKey read_pem(const std::string& pem);  // a public key or a certificate
ReadKey read_jwk(const nlohmann::json& jwk, Secrets secrets);

}  // namespace auth
