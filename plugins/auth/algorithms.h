// The signature algorithms of JSON Web Signature that are believed (RFC 7518 3.1, RFC 8037, RFC 9864), and
// which kind of key each of them meets. What is not in this list does not exist here: `none`, and a public
// key used as a secret, cannot be expressed.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace auth {

enum class Algorithm : uint8_t {
  hs256,
  hs384,
  hs512,
  rs256,
  rs384,
  rs512,
  ps256,
  ps384,
  ps512,
  es256,
  es384,
  es512,
  eddsa,
  ed25519,
  ed448
};
inline constexpr size_t algorithm_count = 15;

// By the names that stand in tokens and in the configuration.
constexpr std::array<std::string_view, algorithm_count> gw_names(Algorithm) {
  return {"HS256", "HS384", "HS512", "RS256", "RS384", "RS512",   "PS256", "PS384",
          "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519", "Ed448"};
}
constexpr std::string_view name_of(Algorithm algorithm) {
  return gw_names(algorithm)[static_cast<size_t>(algorithm)];
}
inline std::optional<Algorithm> algorithm_named(std::string_view name) {
  for (size_t i = 0; i < algorithm_count; ++i) {
    if (gw_names(Algorithm{})[i] == name) return static_cast<Algorithm>(i);
  }
  return std::nullopt;
}

// Curves and restrictions are part of the kind: a key of another curve is another kind of key.
enum class KeyKind : uint8_t { secret, rsa, rsa_pss, p256, p384, p521, ed25519, ed448 };

enum class Hash : uint8_t { none, sha256, sha384, sha512 };
enum class Family : uint8_t { hmac, pkcs1, pss, ecdsa, eddsa };

struct Scheme {
  Family family;
  Hash hash;           // none: part of the signature scheme itself
  uint8_t hash_bytes;  // of an HMAC its size too, and the least size of its secret (RFC 7518 3.2)
  uint8_t coordinate;  // ECDSA: bytes of r and of s
};
constexpr Scheme scheme_of(Algorithm algorithm) {
  constexpr std::array<Scheme, algorithm_count> schemes{{{Family::hmac, Hash::sha256, 32, 0},
                                                         {Family::hmac, Hash::sha384, 48, 0},
                                                         {Family::hmac, Hash::sha512, 64, 0},
                                                         {Family::pkcs1, Hash::sha256, 32, 0},
                                                         {Family::pkcs1, Hash::sha384, 48, 0},
                                                         {Family::pkcs1, Hash::sha512, 64, 0},
                                                         {Family::pss, Hash::sha256, 32, 0},
                                                         {Family::pss, Hash::sha384, 48, 0},
                                                         {Family::pss, Hash::sha512, 64, 0},
                                                         {Family::ecdsa, Hash::sha256, 32, 32},
                                                         {Family::ecdsa, Hash::sha384, 48, 48},
                                                         {Family::ecdsa, Hash::sha512, 64, 66},
                                                         {Family::eddsa, Hash::none, 0, 0},
                                                         {Family::eddsa, Hash::none, 0, 0},
                                                         {Family::eddsa, Hash::none, 0, 0}}};
  return schemes[static_cast<size_t>(algorithm)];
}

constexpr bool meets(Algorithm algorithm, KeyKind kind) {
  switch (scheme_of(algorithm).family) {
    case Family::hmac: return kind == KeyKind::secret;
    case Family::pkcs1: return kind == KeyKind::rsa;
    case Family::pss: return kind == KeyKind::rsa || kind == KeyKind::rsa_pss;
    case Family::ecdsa:
      return kind == (algorithm == Algorithm::es256   ? KeyKind::p256
                      : algorithm == Algorithm::es384 ? KeyKind::p384
                                                      : KeyKind::p521);
    case Family::eddsa:
      return (kind == KeyKind::ed25519 && algorithm != Algorithm::ed448) ||
             (kind == KeyKind::ed448 && algorithm != Algorithm::ed25519);
  }
  return false;
}

}  // namespace auth
