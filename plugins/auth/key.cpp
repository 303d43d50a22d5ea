#include "key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>

#include <nlohmann/json.hpp>

#include "owned.h"
#include "token.h"

namespace auth {
namespace {

using nlohmann::json;

constexpr int min_rsa_bits = 2048,
              max_rsa_bits = 8192;  // the longest costs a third of a millisecond a signature
constexpr size_t max_modulus_bytes = max_rsa_bits / 8;
constexpr size_t max_exponent_bytes = 8;  // OpenSSL has no larger ones with long moduli

struct Curve {
  std::string_view jwk, group;  // its name in a JWK, and OpenSSL's
  KeyKind kind;
  size_t bytes;
};
constexpr Curve curves[] = {{"P-256", "prime256v1", KeyKind::p256, 32},
                            {"P-384", "secp384r1", KeyKind::p384, 48},
                            {"P-521", "secp521r1", KeyKind::p521, 66}};
constexpr Curve edwards[] = {{"Ed25519", "ED25519", KeyKind::ed25519, 32},
                             {"Ed448", "ED448", KeyKind::ed448, 57}};

std::optional<KeyKind> kind_of(const EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "RSA")) return KeyKind::rsa;
  if (EVP_PKEY_is_a(key, "RSA-PSS")) return KeyKind::rsa_pss;
  for (const Curve& curve : edwards) {
    if (EVP_PKEY_is_a(key, curve.group.data())) return curve.kind;
  }
  char group[64];
  // A curve that is given by its numbers has no name, and is refused: which one it is was the signer's word.
  if (!EVP_PKEY_is_a(key, "EC") ||
      EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, nullptr) != 1)
    return std::nullopt;
  for (const Curve& curve : curves) {
    if (curve.group == group) return curve.kind;
  }
  return std::nullopt;
}

std::string rsa_weakness(EVP_PKEY* key) {
  if (EVP_PKEY_get_bits(key) < min_rsa_bits) return "is an RSA key of less than 2048 bits";
  if (EVP_PKEY_get_bits(key) > max_rsa_bits) return "is an RSA key of more than 8192 bits";
  BIGNUM *n = nullptr, *e = nullptr;
  EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n);
  EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e);
  const Owned<BIGNUM, BN_free> modulus(n), exponent(e);
  if (n == nullptr || BN_is_odd(n) == 0) return "has an RSA modulus that cannot be: 'n' is even";
  if (e == nullptr || BN_is_odd(e) == 0 || BN_is_one(e) == 1)
    return "has an RSA exponent that cannot be: 'e' is even or 1";
  return {};
}

// What makes signatures by it worth nothing. OpenSSL's own check of RSA keys looks for primes in the modulus,
// which takes seconds with the longest.
std::string weakness(EVP_PKEY* key, KeyKind kind) {
  if (kind == KeyKind::rsa || kind == KeyKind::rsa_pss) return rsa_weakness(key);
  const Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free> context(EVP_PKEY_CTX_new(key, nullptr));
  const bool sound = context != nullptr && EVP_PKEY_public_check(context.get()) == 1;
  return sound ? std::string() : "is no sound public key";
}

ReadKey checked(PublicKey key) {
  const auto kind = kind_of(key.get());
  if (!kind) return {std::nullopt, "is neither RSA nor EC on P-256, P-384 or P-521 nor Ed25519 nor Ed448"};
  if (std::string weak = weakness(key.get(), *kind); !weak.empty()) return {std::nullopt, std::move(weak)};
  Key out;
  out.kind = *kind;
  out.key = std::move(key);
  return {std::move(out), {}};
}

// ---- JSON Web Keys ----

// The text of a member; a member of another type is as good as none, and named by whoever needs it.
std::string text_of(const json& object, const char* name) {
  const auto it = object.find(name);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

// "an 'n'", "a 'k'".
std::string titled(std::string_view name) {
  const bool vowel = std::string_view("aenxAENX").find(name.front()) != std::string_view::npos;
  return std::string(vowel ? "an '" : "a '") + std::string(name) + "'";
}

// The bytes of a member, or an empty text and in `problem` what is wrong with it.
std::string bytes_of(const json& jwk, const char* name, std::string& problem) {
  const auto it = jwk.find(name);
  std::optional<std::string> out;
  if (it != jwk.end() && it->is_string()) out = decode_base64url(it->get_ref<const std::string&>());
  if (out && !out->empty()) return *out;
  if (problem.empty())
    problem = it == jwk.end() ? "lacks '" + std::string(name) + "'"
                              : "has " + titled(name) + " that is no base64url";
  return {};
}

PublicKey make_key(const char* type, OSSL_PARAM_BLD* builder) {
  const Owned<OSSL_PARAM, OSSL_PARAM_free> params(OSSL_PARAM_BLD_to_param(builder));
  const Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free> context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (params == nullptr || context == nullptr || EVP_PKEY_fromdata_init(context.get()) <= 0 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) <= 0) {
    return nullptr;
  }
  return PublicKey(key);
}

ReadKey rsa_key(const json& jwk) {
  std::string problem;
  const std::string n = bytes_of(jwk, "n", problem), e = bytes_of(jwk, "e", problem);
  if (!problem.empty()) return {std::nullopt, problem};
  if (n.size() > max_modulus_bytes) return {std::nullopt, "has an 'n' of more than 8192 bits"};
  if (e.size() > max_exponent_bytes) return {std::nullopt, "has an 'e' of more than 64 bits"};
  const Owned<BIGNUM, BN_free> modulus(BN_bin2bn(bytes(n), static_cast<int>(n.size()), nullptr));
  const Owned<BIGNUM, BN_free> exponent(BN_bin2bn(bytes(e), static_cast<int>(e.size()), nullptr));
  const Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free> builder(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get());
  PublicKey key = make_key("RSA", builder.get());
  return key != nullptr ? checked(std::move(key))
                        : ReadKey{std::nullopt, "has an 'n' and an 'e' that are no key"};
}

std::string length_problem(const char* name, const Curve& curve) {
  return "has " + titled(name) + " that is not the " + std::to_string(curve.bytes) + " bytes of " +
         std::string(curve.jwk);
}

ReadKey ec_key(const json& jwk, const Curve& curve) {
  std::string problem;
  const std::string x = bytes_of(jwk, "x", problem), y = bytes_of(jwk, "y", problem);
  if (!problem.empty()) return {std::nullopt, problem};
  if (x.size() != curve.bytes) return {std::nullopt, length_problem("x", curve)};
  if (y.size() != curve.bytes) return {std::nullopt, length_problem("y", curve)};
  const std::string point = '\x04' + x + y;
  const Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free> builder(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, curve.group.data(), 0);
  OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size());
  PublicKey key = make_key("EC", builder.get());
  return key != nullptr ? checked(std::move(key))
                        : ReadKey{std::nullopt, "has an 'x' and a 'y' that are no point of its curve"};
}

ReadKey edwards_key(const json& jwk, const Curve& curve) {
  std::string problem;
  const std::string x = bytes_of(jwk, "x", problem);
  if (!problem.empty()) return {std::nullopt, problem};
  if (x.size() != curve.bytes) return {std::nullopt, length_problem("x", curve)};
  PublicKey key(EVP_PKEY_new_raw_public_key_ex(nullptr, curve.group.data(), nullptr, bytes(x), x.size()));
  return key != nullptr ? checked(std::move(key)) : ReadKey{std::nullopt, "has an 'x' that is no key"};
}

ReadKey secret_key(const json& jwk) {
  std::string problem;
  Key out;
  out.secret = bytes_of(jwk, "k", problem);
  if (!problem.empty()) return {std::nullopt, problem};
  return {std::move(out), {}};
}

template <size_t N>
const Curve* curve_named(const Curve (&all)[N], std::string_view name) {
  for (const Curve& curve : all) {
    if (curve.jwk == name) return &curve;
  }
  return nullptr;
}

// By its type and curve; nothing for those that we do not know (RFC 7517 5: to be ignored).
ReadKey by_type(const json& jwk, const std::string& kty) {
  if (kty == "RSA") return rsa_key(jwk);
  if (kty == "oct") return secret_key(jwk);
  const std::string crv = text_of(jwk, "crv");
  if ((kty == "EC" || kty == "OKP") && crv.empty()) return {std::nullopt, "lacks 'crv'"};
  if (kty == "EC") {
    const Curve* curve = curve_named(curves, crv);
    return curve != nullptr ? ec_key(jwk, *curve) : ReadKey{};
  }
  const Curve* curve = kty == "OKP" ? curve_named(edwards, crv) : nullptr;
  return curve != nullptr ? edwards_key(jwk, *curve) : ReadKey{};
}

bool is_text_if_there(const json& jwk, const char* name) {
  const auto it = jwk.find(name);
  return it == jwk.end() || it->is_string();
}

// RFC 7517 4.2 and 4.3.
bool for_signatures(const json& jwk, std::string& problem) {
  if (const std::string use = text_of(jwk, "use"); !use.empty() && use != "sig") return false;
  const auto ops = jwk.find("key_ops");
  if (ops == jwk.end()) return true;
  if (!ops->is_array()) {
    problem = "has a 'key_ops' that is no list";
    return false;
  }
  return std::find(ops->begin(), ops->end(), json("verify")) != ops->end();
}

}  // namespace

bool Key::fits(Algorithm algorithm) const {
  if (!meets(algorithm, kind) || (only && *only != algorithm)) return false;
  return kind != KeyKind::secret || secret.size() >= scheme_of(algorithm).hash_bytes;
}

ReadKey read_pem(const std::string& pem) {
  const auto source = [&pem] {
    return Owned<BIO, BIO_free>(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  };
  PublicKey key(PEM_read_bio_PUBKEY(source().get(), nullptr, nullptr, nullptr));
  if (key == nullptr) {
    const Owned<X509, X509_free> certificate(PEM_read_bio_X509(source().get(), nullptr, nullptr, nullptr));
    if (certificate != nullptr) key.reset(X509_get_pubkey(certificate.get()));
  }
  ReadKey out;
  out.problem = "holds no public key or certificate in PEM";
  if (key != nullptr) out = checked(std::move(key));
  ERR_clear_error();
  return out;
}

ReadKey read_jwk(const json& jwk, Secrets secrets) {
  if (!jwk.is_object()) return {std::nullopt, "is no map"};
  for (const char* name : {"kty", "kid", "alg", "use", "crv"}) {
    if (!is_text_if_there(jwk, name)) return {std::nullopt, "has " + titled(name) + " that is no text"};
  }
  const std::string kty = text_of(jwk, "kty"), alg = text_of(jwk, "alg");
  if (kty.empty()) return {std::nullopt, "lacks 'kty'"};
  std::string problem;
  if (!for_signatures(jwk, problem)) return {std::nullopt, problem};
  const auto only = algorithm_named(alg);
  if (!alg.empty() && !only) return {};
  // Secrets serve many purposes (encryption, other protocols); one that does not say that it signs is not for
  // us.
  if (kty == "oct" && (secrets == Secrets::passed_over || !only)) return {};
  ReadKey out = by_type(jwk, kty);
  ERR_clear_error();
  if (!out.key) return out;
  out.key->kid = text_of(jwk, "kid");
  out.key->only = only;
  if (!only || out.key->fits(*only)) return out;
  const bool type_fits = meets(*only, out.key->kind);
  return {std::nullopt, type_fits ? "has a 'k' shorter than the hash of " + alg
                                  : "has an 'alg' that does not fit it: " + alg};
}

}  // namespace auth
