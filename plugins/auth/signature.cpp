// Key::verifies: the arithmetic. Nothing here is kept between calls, so that it may run on any thread.
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>

#include "key.h"
#include "owned.h"

namespace auth {
namespace {

const EVP_MD* digest_of(Hash hash) {
  switch (hash) {
    case Hash::none: return nullptr;
    case Hash::sha256: return EVP_sha256();
    case Hash::sha384: return EVP_sha384();
    case Hash::sha512: return EVP_sha512();
  }
  return nullptr;
}

bool verify_mac(const std::string& secret, const Scheme& scheme, std::string_view input,
                std::string_view signature) {
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  return HMAC(digest_of(scheme.hash), secret.data(), static_cast<int>(secret.size()), bytes(input),
              input.size(), mac, &size) != nullptr &&
         size == scheme.hash_bytes && signature.size() == size &&
         CRYPTO_memcmp(mac, signature.data(), size) == 0;
}

// r || s, each as long as the curve's order, in a JWS (RFC 7518 3.4), and DER in OpenSSL. Empty: of another
// length.
std::string der_signature(std::string_view raw, size_t coordinate) {
  if (raw.size() != 2 * coordinate) return {};
  const int half = static_cast<int>(coordinate);
  BIGNUM* r = BN_bin2bn(bytes(raw), half, nullptr);
  BIGNUM* s = BN_bin2bn(bytes(raw) + half, half, nullptr);
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

// RFC 7518 3.5: MGF1 with the hash of the signature, and a salt of its size.
bool use_pss(EVP_PKEY_CTX* context, const EVP_MD* digest) {
  return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_mgf1_md(context, digest) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1;
}

bool verify_public(EVP_PKEY* key, const Scheme& scheme, std::string_view input, std::string_view signature) {
  const EVP_MD* digest = digest_of(scheme.hash);
  const Owned<EVP_MD_CTX, EVP_MD_CTX_free> context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* settings = nullptr;  // the context's own
  const bool valid =
      context != nullptr && EVP_DigestVerifyInit(context.get(), &settings, digest, nullptr, key) == 1 &&
      (scheme.family != Family::pss || use_pss(settings, digest)) &&
      EVP_DigestVerify(context.get(), bytes(signature), signature.size(), bytes(input), input.size()) == 1;
  ERR_clear_error();  // a wrong signature leaves entries in this thread's queue
  return valid;
}

}  // namespace

bool Key::verifies(Algorithm algorithm, std::string_view input, std::string_view signature) const {
  if (!fits(algorithm)) return false;
  const Scheme scheme = scheme_of(algorithm);
  switch (scheme.family) {
    case Family::hmac: return verify_mac(secret, scheme, input, signature);
    case Family::ecdsa: {
      const std::string der = der_signature(signature, scheme.coordinate);
      return !der.empty() && verify_public(key.get(), scheme, input, der);
    }
    case Family::pkcs1:
    case Family::pss:
      // The length of the modulus (RFC 8017 8.1.2), also where leading zeros could be left out.
      if (signature.size() != static_cast<size_t>(EVP_PKEY_get_size(key.get()))) return false;
      return verify_public(key.get(), scheme, input, signature);
    case Family::eddsa: return verify_public(key.get(), scheme, input, signature);
  }
  return false;
}

}  // namespace auth
