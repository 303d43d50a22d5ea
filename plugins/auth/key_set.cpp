#include "key_set.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <nlohmann/json.hpp>

#include "token.h"

namespace auth {
namespace {

using nlohmann::json;

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
template <class T, auto Free>
using Owned = std::unique_ptr<T, Freed<Free>>;

const unsigned char* bytes(std::string_view s) { return reinterpret_cast<const unsigned char*>(s.data()); }

std::string text_of(const json& object, const char* name) {
  const auto it = object.find(name);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

EVP_PKEY* make_key(const char* type, OSSL_PARAM_BLD* builder) {
  const Owned<OSSL_PARAM, OSSL_PARAM_free> params(OSSL_PARAM_BLD_to_param(builder));
  const Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free> context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (params == nullptr || context == nullptr || EVP_PKEY_fromdata_init(context.get()) <= 0 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) <= 0) {
    return nullptr;
  }
  return key;
}

EVP_PKEY* rsa_key(const json& jwk) {
  const auto n = decode_base64url(text_of(jwk, "n"));
  const auto e = decode_base64url(text_of(jwk, "e"));
  if (!n || !e || n->empty() || e->empty() || n->size() > 2048 || e->size() > 8) return nullptr;
  const Owned<BIGNUM, BN_free> modulus(BN_bin2bn(bytes(*n), static_cast<int>(n->size()), nullptr));
  const Owned<BIGNUM, BN_free> exponent(BN_bin2bn(bytes(*e), static_cast<int>(e->size()), nullptr));
  const Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free> builder(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get());
  return make_key("RSA", builder.get());
}

EVP_PKEY* ec_key(const json& jwk) {
  const auto x = decode_base64url(text_of(jwk, "x"));
  const auto y = decode_base64url(text_of(jwk, "y"));
  if (!x || !y || x->size() != 32 || y->size() != 32) return nullptr;
  const std::string point = '\x04' + *x + *y;
  const Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free> builder(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0);
  OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size());
  return make_key("EC", builder.get());
}

bool for_signatures(const json& jwk) {
  const std::string use = text_of(jwk, "use");
  if (!use.empty() && use != "sig") return false;
  const auto ops = jwk.find("key_ops");
  if (ops == jwk.end() || !ops->is_array()) return true;
  for (const auto& op : *ops) {
    if (op == "verify") return true;
  }
  return false;
}

// ECDSA signatures stand as r || s in a JWS (RFC 7518 3.4) and as DER in OpenSSL.
std::string der_signature(std::string_view raw) {
  BIGNUM* r = BN_bin2bn(bytes(raw), 32, nullptr);
  BIGNUM* s = BN_bin2bn(bytes(raw) + 32, 32, nullptr);
  const Owned<ECDSA_SIG, ECDSA_SIG_free> signature(ECDSA_SIG_new());
  if (signature == nullptr || ECDSA_SIG_set0(signature.get(), r, s) != 1) {
    BN_free(r);
    BN_free(s);
    return {};
  }
  unsigned char* out = nullptr;
  const int size = i2d_ECDSA_SIG(signature.get(), &out);
  if (size <= 0) return {};
  std::string der(reinterpret_cast<char*>(out), static_cast<size_t>(size));
  OPENSSL_free(out);
  return der;
}

bool verify_public(EVP_PKEY* key, std::string_view input, std::string_view signature) {
  const Owned<EVP_MD_CTX, EVP_MD_CTX_free> context(EVP_MD_CTX_new());
  const bool valid =
      context != nullptr && EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key) == 1 &&
      EVP_DigestVerify(context.get(), bytes(signature), signature.size(), bytes(input), input.size()) == 1;
  ERR_clear_error();  // a wrong signature leaves entries in this thread's queue
  return valid;
}

}  // namespace

std::string KeySet::add_secret(std::string secret) {
  // RFC 7518 3.2: a key of the hash's size or larger.
  if (secret.size() < 32) return "is shorter than the 32 bytes that HS256 needs";
  keys_.push_back({Algorithm::hs256, {}, nullptr, std::move(secret)});
  return {};
}

std::string KeySet::add(PublicKey key, std::string kid) {
  if (EVP_PKEY_is_a(key.get(), "RSA")) {
    if (EVP_PKEY_get_bits(key.get()) < 2048) return "has an RSA key of less than 2048 bits";
    keys_.push_back({Algorithm::rs256, std::move(kid), std::move(key), {}});
    return {};
  }
  char curve[64];
  if (EVP_PKEY_is_a(key.get(), "EC") &&
      EVP_PKEY_get_utf8_string_param(key.get(), OSSL_PKEY_PARAM_GROUP_NAME, curve, sizeof curve, nullptr) ==
          1 &&
      std::string_view(curve) == "prime256v1") {
    keys_.push_back({Algorithm::es256, std::move(kid), std::move(key), {}});
    return {};
  }
  return "has a key that is neither RSA nor EC on P-256";
}

std::string KeySet::add_public_key(const std::string& pem) {
  const Owned<BIO, BIO_free> in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  PublicKey key(PEM_read_bio_PUBKEY(in.get(), nullptr, nullptr, nullptr));
  if (key == nullptr) {
    const Owned<BIO, BIO_free> again(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    const Owned<X509, X509_free> certificate(PEM_read_bio_X509(again.get(), nullptr, nullptr, nullptr));
    if (certificate != nullptr) key.reset(X509_get_pubkey(certificate.get()));
  }
  ERR_clear_error();
  if (key == nullptr) return "holds no public key or certificate in PEM";
  return add(std::move(key), {});
}

std::string KeySet::add_jwks(const std::string& text) {
  const json set = json::parse(text, nullptr, false);
  if (!set.is_object() || !set.contains("keys") || !set["keys"].is_array()) return "is no JSON Web Key Set";
  for (const json& jwk : set["keys"]) {
    if (!jwk.is_object() || !for_signatures(jwk)) continue;
    const std::string kty = text_of(jwk, "kty"), alg = text_of(jwk, "alg"), kid = text_of(jwk, "kid");
    EVP_PKEY* made = nullptr;
    if (kty == "RSA" && (alg.empty() || alg == "RS256")) {
      made = rsa_key(jwk);
    } else if (kty == "EC" && text_of(jwk, "crv") == "P-256" && (alg.empty() || alg == "ES256")) {
      made = ec_key(jwk);
    } else {
      continue;
    }
    ERR_clear_error();
    if (made == nullptr) return "has a broken key" + (kid.empty() ? "" : " '" + kid + "'");
    if (std::string wrong = add(PublicKey(made), kid); !wrong.empty()) return wrong;
  }
  return keys_.empty() ? "has no key for RS256 or ES256" : std::string();
}

bool KeySet::fits(Algorithm algorithm) const {
  for (const Key& key : keys_) {
    if (key.algorithm == algorithm) return true;
  }
  return false;
}

bool KeySet::check(const Key& key, std::string_view input, std::string_view signature) {
  if (key.algorithm == Algorithm::hs256) {
    unsigned char mac[32];
    unsigned int size = 0;
    return signature.size() == sizeof mac &&
           HMAC(EVP_sha256(), key.secret.data(), static_cast<int>(key.secret.size()), bytes(input),
                input.size(), mac, &size) != nullptr &&
           size == sizeof mac && CRYPTO_memcmp(mac, signature.data(), sizeof mac) == 0;
  }
  if (key.algorithm == Algorithm::rs256) return verify_public(key.key.get(), input, signature);
  if (signature.size() != 64) return false;
  const std::string der = der_signature(signature);
  return !der.empty() && verify_public(key.key.get(), input, der);
}

KeySet::Outcome KeySet::verify(Algorithm algorithm, std::string_view kid, std::string_view input,
                               std::string_view signature) const {
  Outcome outcome = Outcome::no_key;
  for (const Key& key : keys_) {
    if (key.algorithm != algorithm) continue;
    if (!kid.empty() && !key.kid.empty() && key.kid != kid) continue;
    if (check(key, input, signature)) return Outcome::valid;
    outcome = Outcome::invalid;
  }
  return outcome;
}

}  // namespace auth
