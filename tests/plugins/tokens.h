// Keys and signed tokens for tests, and a world with the jwt plugin in it.
#pragma once
#include <doctest/doctest.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>

#include <cstdio>

#include "plugins/harness.h"

namespace penstock::plugin::testing {

using nlohmann::json;
using penstock::proxy::AuthVerdict;

inline std::string base64url(std::string_view bytes) {
  constexpr char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : bytes) {
    bits = bits << 8 | static_cast<uint8_t>(c);
    for (count += 8; count >= 6; count -= 6) out += alphabet[bits >> (count - 6) & 63];
  }
  if (count > 0) out += alphabet[bits << (6 - count) & 63];
  return out;
}

inline const unsigned char* bytes(std::string_view s) {
  return reinterpret_cast<const unsigned char*>(s.data());
}

// One key pair, made once for all tests: RSA takes a while.
struct KeyPair {
  explicit KeyPair(EVP_PKEY* k) : key(k) {}
  ~KeyPair() { EVP_PKEY_free(key); }
  std::string number(const char* name) const {
    BIGNUM* n = nullptr;
    EVP_PKEY_get_bn_param(key, name, &n);
    std::string out(static_cast<size_t>(BN_num_bytes(n)), '\0');
    BN_bn2bin(n, reinterpret_cast<unsigned char*>(out.data()));
    BN_free(n);
    return out;
  }
  std::string sign(std::string_view input) const {
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    EVP_DigestSignInit(context, nullptr, EVP_sha256(), nullptr, key);
    size_t size = 0;
    EVP_DigestSign(context, nullptr, &size, bytes(input), input.size());
    std::string out(size, '\0');
    EVP_DigestSign(context, reinterpret_cast<unsigned char*>(out.data()), &size, bytes(input), input.size());
    EVP_MD_CTX_free(context);
    out.resize(size);
    return out;
  }
  std::string pem() const {
    BIO* out = BIO_new(BIO_s_mem());
    PEM_write_bio_PUBKEY(out, key);
    char* text = nullptr;
    const long size = BIO_get_mem_data(out, &text);
    std::string result(text, static_cast<size_t>(size));
    BIO_free(out);
    return result;
  }
  EVP_PKEY* key;
};

inline const KeyPair& rsa() {
  static const KeyPair pair(EVP_RSA_gen(2048));
  return pair;
}
inline const KeyPair& other_rsa() {
  static const KeyPair pair(EVP_RSA_gen(2048));
  return pair;
}
inline const KeyPair& ec() {
  static const KeyPair pair(EVP_EC_gen("P-256"));
  return pair;
}

inline json rsa_jwk(const KeyPair& pair, const char* kid) {
  json out{{"kty", "RSA"}, {"n", base64url(pair.number("n"))}, {"e", base64url(pair.number("e"))}};
  if (kid != nullptr) out["kid"] = kid;
  return out;
}
inline json ec_jwk(const char* kid) {
  const auto coordinate = [](const char* name) {
    std::string out = ec().number(name);
    out.insert(0, 32 - out.size(), '\0');
    return base64url(out);
  };
  return {{"kty", "EC"},  {"crv", "P-256"},        {"kid", kid},
          {"use", "sig"}, {"x", coordinate("qx")}, {"y", coordinate("qy")}};
}

inline std::string raw_ecdsa(const std::string& der) {
  const unsigned char* at = bytes(der);
  ECDSA_SIG* signature = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size()));
  std::string out(64, '\0');
  BN_bn2binpad(ECDSA_SIG_get0_r(signature), reinterpret_cast<unsigned char*>(out.data()), 32);
  BN_bn2binpad(ECDSA_SIG_get0_s(signature), reinterpret_cast<unsigned char*>(out.data()) + 32, 32);
  ECDSA_SIG_free(signature);
  return out;
}

inline std::string hmac(std::string_view secret, std::string_view input) {
  unsigned char mac[32];
  unsigned int size = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()), bytes(input), input.size(), mac, &size);
  return {reinterpret_cast<char*>(mac), size};
}

inline constexpr std::string_view shared_secret = "0123456789abcdef0123456789abcdef";
inline constexpr int64_t now = 1'800'000'000;

inline json claims(json more = {}) {
  json out{{"iss", "https://idp.example.com/"}, {"aud", "orders-api"}, {"sub", "svc-1"}, {"exp", now + 60}};
  out.update(more.is_null() ? json::object() : more);
  return out;
}

inline std::string unsigned_part(const json& header, const json& payload) {
  return base64url(header.dump()) + "." + base64url(payload.dump());
}
inline std::string token(const char* alg, const json& payload, json header = json::object(),
                         const KeyPair* pair = nullptr) {
  header["alg"] = alg;
  const std::string input = unsigned_part(header, payload);
  const std::string_view name(alg);
  if (name == "HS256") return input + "." + base64url(hmac(shared_secret, input));
  if (name == "ES256") return input + "." + base64url(raw_ecdsa(ec().sign(input)));
  return input + "." + base64url((pair != nullptr ? pair : &rsa())->sign(input));
}

struct JwtWorld : World {
  JwtWorld() {
    REQUIRE(load(shipped("auth")) == "");
    write("keys.json", json{{"keys",
                             {rsa_jwk(rsa(), "r1"),
                              rsa_jwk(other_rsa(), nullptr),
                              ec_jwk("e1"),
                              {{"kty", "oct"}, {"k", base64url(shared_secret)}}}}}
                           .dump());
    write("key.pem", rsa().pem());
    files[0] = folder.path + "/gateway.yaml";
  }
  void write(const std::string& name, const std::string& text) {
    FILE* file = std::fopen((folder.path + "/" + name).c_str(), "wb");
    std::fwrite(text.data(), 1, text.size(), file);
    std::fclose(file);
  }
  penstock::proxy::Filter& jwt(json config) {
    auto* filter = make("jwt", "idp", config.dump().c_str());
    REQUIRE_MESSAGE(filter != nullptr, messages());
    return *filter;
  }
  // "accept consumer.id" or "refuse status reason" or "absent".
  std::string verdict(penstock::proxy::Filter& filter, const std::string& authorization, int64_t at = now) {
    Request r(*this);
    r.header("authorization", authorization);
    r.context.wall_ns = at * 1'000'000'000;
    const AuthVerdict said = r.auth(filter);
    const auto& record = r.context.auth;
    if (said == AuthVerdict::absent) return "absent";
    if (said == AuthVerdict::refuse) {
      return "refuse " + std::to_string(record.refuse_status) + " " + std::string(record.refuse_reason);
    }
    if (said != AuthVerdict::accept) return "error";
    std::string out =
        "accept " + (record.consumer != nullptr ? record.consumer->name : std::string(record.identity));
    for (const auto group : record.groups) out += " " + std::string(group);
    return out;
  }
  Folder folder;
};

}  // namespace penstock::plugin::testing
