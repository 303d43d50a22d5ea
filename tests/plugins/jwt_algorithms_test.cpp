// Every algorithm with what other implementations wrote (tests/plugins/data, made by programs/make_tokens.*),
// and that each meets keys of its own kind alone.
#include <doctest/doctest.h>
#include <openssl/rsa.h>

#include <fstream>
#include <map>

#include "auth/key_set.h"
#include "auth/token.h"
#include "plugins/tokens.h"

using namespace penstock::plugin::testing;
using auth::Algorithm;
using auth::KeySet;

namespace {

json data(const char* name) {
  std::ifstream in(std::string(PENSTOCK_SOURCE_DIR) + "/tests/plugins/data/" + name);
  return json::parse(in);
}

KeySet set_of(const std::vector<json>& keys, auth::Secrets secrets = auth::Secrets::taken) {
  KeySet out;
  std::vector<std::string> problems;
  CHECK(out.add_jwks(json{{"keys", keys}}.dump(), secrets, 64, problems) == "");
  CHECK(problems == std::vector<std::string>{});
  return out;
}

std::vector<std::string> problems_of(const json& key) {
  KeySet set;
  std::vector<std::string> problems;
  set.add_jwks(json{{"keys", json::array({key})}}.dump(), auth::Secrets::taken, 64, problems);
  CHECK(set.empty());
  return problems;
}

KeySet::Outcome outcome(const KeySet& set, Algorithm algorithm, const std::string& text,
                        std::string_view kid = {}) {
  const auto token = auth::split_token(text);
  REQUIRE(token);
  return set.verify(algorithm, kid, token->signing_input, token->signature);
}

constexpr auto valid = KeySet::Outcome::valid;
constexpr auto no_key = KeySet::Outcome::no_key;
constexpr auto invalid = KeySet::Outcome::invalid;

Algorithm named(const std::string& title) {
  const auto algorithm = auth::algorithm_named(std::string_view(title).substr(0, title.find(' ')));
  REQUIRE(algorithm);
  return *algorithm;
}

}  // namespace

TEST_CASE("tokens of jose and PyJWT, of each algorithm, are accepted") {
  for (const char* file : {"jose.json", "pyjwt.json"}) {
    const json vectors = data(file);
    JwtWorld w;
    w.write("all.json", json{{"keys", vectors["keys"]}}.dump());
    auto& filter = w.jwt({{"jwks_file", "all.json"},
                          {"issuer", "https://idp.example.com/"},
                          {"audience", "orders-api"},
                          {"scopes", {"orders.read", "orders.write"}}});
    CHECK(vectors["tokens"].size() == 14);
    for (const auto& [title, token] : vectors["tokens"].items()) {
      CAPTURE(file);
      CAPTURE(title);
      const std::string good = "Bearer " + token.get<std::string>();
      CHECK(w.verdict(filter, good) == "accept idp:svc-1");
      CHECK(w.verdict(filter, good, now + 60) == "refuse 401 auth.jwt.expired");
      for (size_t i = good.rfind('.') + 1; i < good.size(); i += 17) {
        std::string bad = good;
        bad[i] = bad[i] == 'A' ? 'B' : 'A';
        CHECK(w.verdict(filter, bad).starts_with("refuse 401 auth.jwt."));
      }
    }
  }
}

TEST_CASE("a signature is worth something under its own algorithm and key alone") {
  const json vectors = data("pyjwt.json");
  json untied = json::array();
  for (json key : vectors["keys"]) {
    if (key["kty"] != "oct") key.erase("alg");
    key.erase("kid");
    untied.push_back(key);
  }
  const KeySet all = set_of(untied.get<std::vector<json>>());
  for (const auto& [title, token] : vectors["tokens"].items()) {
    for (size_t i = 0; i < auth::algorithm_count; ++i) {
      const auto tried = static_cast<Algorithm>(i);
      CAPTURE(title);
      CAPTURE(auth::name_of(tried));
      const bool same = tried == named(title) || (title == "EdDSA" && tried == Algorithm::ed25519) ||
                        (title == "EdDSA Ed448" && tried == Algorithm::ed448);
      CHECK(outcome(all, tried, token) == (same ? valid : invalid));
    }
  }
}

TEST_CASE("a key of another type, curve, purpose or name is not even tried") {
  const json vectors = data("pyjwt.json");
  const auto key = [&](const char* kid) {
    for (const json& each : vectors["keys"])
      if (each["kid"] == kid) return each;
    REQUIRE_MESSAGE(false, kid);
    return json();
  };
  const auto token = [&](const char* title) { return vectors["tokens"][title].get<std::string>(); };
  const std::string rs = token("RS256"), es = token("ES256");
  CHECK(outcome(set_of({key("py-RS256")}), Algorithm::rs256, rs) == valid);
  CHECK(outcome(set_of({key("py-RS256")}), Algorithm::hs256, rs) == no_key);
  CHECK(outcome(set_of({key("py-RS256")}), Algorithm::es256, rs) == no_key);
  CHECK(outcome(set_of({key("py-ES384")}), Algorithm::es256, es) == no_key);
  CHECK(outcome(set_of({key("py-ES256")}), Algorithm::es384, es) == no_key);
  CHECK(outcome(set_of({key("py-EdDSA")}), Algorithm::ed448, token("EdDSA")) == no_key);
  CHECK(outcome(set_of({key("py-ES256")}), Algorithm::es256, es, "other") == no_key);
  json tied = key("py-RS256");
  tied["alg"] = "PS256";
  CHECK(outcome(set_of({tied}), Algorithm::rs256, rs) == no_key);
  for (const json& purpose : {json{{"use", "enc"}}, json{{"key_ops", {"sign"}}}, json{{"alg", "RSA-OAEP"}}}) {
    json other = key("py-RS256");
    other.update(purpose);
    CHECK(outcome(set_of({other, key("py-ES256")}), Algorithm::rs256, rs) == no_key);
  }
  json signs = key("py-RS256");
  signs["key_ops"] = {"sign", "verify"};
  signs["x5c"] = "not read";
  CHECK(outcome(set_of({signs}), Algorithm::rs256, rs) == valid);
}

TEST_CASE("shared secrets of a set need a purpose, length, and a file of our own") {
  const std::string k = base64url(shared_secret);
  const std::string good = token("HS256", claims());
  const json plain{{"kty", "oct"}, {"k", k}}, tied{{"kty", "oct"}, {"k", k}, {"alg", "HS256"}};
  CHECK(outcome(set_of({tied}), Algorithm::hs256, good) == valid);
  CHECK(outcome(set_of({plain, ec_jwk("e")}), Algorithm::hs256, good) == no_key);
  CHECK(outcome(set_of({tied, ec_jwk("e")}, auth::Secrets::passed_over), Algorithm::hs256, good) == no_key);
  CHECK(problems_of({{"kty", "oct"}, {"k", k}, {"alg", "HS384"}, {"kid", "s"}}) ==
        std::vector<std::string>{"key 1 ('s') has a 'k' shorter than the hash of HS384"});
  KeySet secret;
  CHECK(secret.add_secret(std::string(47, 's')) == "");
  CHECK(secret.fits(Algorithm::hs256));
  CHECK_FALSE(secret.fits(Algorithm::hs384));
  CHECK(secret.add_secret(std::string(64, 's')) == "");
  CHECK(secret.fits(Algorithm::hs512));
}

TEST_CASE("several keys of one kid are all tried") {
  const KeySet both = set_of({rsa_jwk(rsa(), "k"), rsa_jwk(other_rsa(), "k")});
  CHECK(outcome(both, Algorithm::rs256, token("RS256", claims()), "k") == valid);
  CHECK(outcome(both, Algorithm::rs256, token("RS256", claims(), {}, &other_rsa()), "k") == valid);
}

TEST_CASE("a broken key is named with the member that is wrong") {
  const json good = rsa_jwk(rsa(), "r"), point = ec_jwk("e");
  const std::string zeros32 = base64url(std::string(32, '\0'));
  const auto with = [](json key, const char* name, const json& value) {
    key[name] = value;
    return key;
  };
  const auto without = [](json key, const char* name) {
    key.erase(name);
    return key;
  };
  const struct {
    json key;
    const char* problem;
  } cases[] = {
      {json(7), "key 1 is no map"},
      {without(good, "kty"), "key 1 ('r') lacks 'kty'"},
      {with(good, "kty", 3), "key 1 ('r') has a 'kty' that is no text"},
      {with(good, "kid", 3), "key 1 has a 'kid' that is no text"},
      {with(good, "kid", std::string("a\nb")), nullptr},
      {without(good, "n"), "key 1 ('r') lacks 'n'"},
      {with(good, "n", 3), "key 1 ('r') has an 'n' that is no base64url"},
      {with(good, "e", "A=="), "key 1 ('r') has an 'e' that is no base64url"},
      {with(good, "e", "AQ"), "key 1 ('r') has an RSA exponent that cannot be: 'e' is even or 1"},
      {with(good, "e", "Ag"), "key 1 ('r') has an RSA exponent that cannot be: 'e' is even or 1"},
      {with(good, "e", base64url(std::string(9, '\1'))), "key 1 ('r') has an 'e' of more than 64 bits"},
      {with(good, "n", base64url(std::string(1025, '\xff'))),
       "key 1 ('r') has an 'n' of more than 8192 bits"},
      {with(good, "n", base64url(std::string(128, '\xff'))),
       "key 1 ('r') is an RSA key of less than 2048 bits"},
      {with(good, "n", base64url(std::string(255, '\xff') + '\xfe')),
       "key 1 ('r') has an RSA modulus that cannot be: 'n' is even"},
      {with(good, "key_ops", "verify"), "key 1 ('r') has a 'key_ops' that is no list"},
      {with(good, "alg", "ES256"), "key 1 ('r') has an 'alg' that does not fit it: ES256"},
      {without(point, "crv"), "key 1 ('e') lacks 'crv'"},
      {without(point, "y"), "key 1 ('e') lacks 'y'"},
      {with(point, "x", "AAAA"), "key 1 ('e') has an 'x' that is not the 32 bytes of P-256"},
      {with(point, "crv", "P-384"), "key 1 ('e') has an 'x' that is not the 48 bytes of P-384"},
      {with(point, "x", zeros32), "key 1 ('e') has an 'x' and a 'y' that are no point of its curve"},
      {json{{"kty", "OKP"}, {"crv", "Ed25519"}, {"x", "AA"}},
       "key 1 has an 'x' that is not the 32 bytes of Ed25519"},
  };
  for (const auto& [key, problem] : cases) {
    CAPTURE(key.dump());
    if (problem != nullptr) CHECK(problems_of(key) == std::vector<std::string>{problem});
  }
  // Unknown types and curves are for others.
  for (const json& foreign : {with(good, "kty", "LMS"), with(point, "crv", "secp256k1"),
                              json{{"kty", "OKP"}, {"crv", "X25519"}, {"x", zeros32}}})
    CHECK(problems_of(foreign) == std::vector<std::string>{});
}

TEST_CASE("a set is bounded and one text has one reading") {
  KeySet set;
  std::vector<std::string> problems;
  const auto said = [&](const std::string& text) {
    return set.add_jwks(text, auth::Secrets::taken, 2, problems);
  };
  const json key = ec_jwk("e");
  CHECK(said(json{{"keys", {key, key, key}}}.dump()) == "has more keys than max_keys allows: 3");
  CHECK(said(R"({"keys": [], "keys": []})") == "is no JSON Web Key Set");
  CHECK(said(std::string("{\"keys\": []}\0x", 14)) == "is no JSON Web Key Set");
  CHECK(said(R"({"keys": [], "x": )" + std::string(16, '[') + std::string(16, ']') + "}") ==
        "is no JSON Web Key Set");
  CHECK(said(R"({"keys": [)") == "is no JSON Web Key Set");
  CHECK(said(R"({"keys": []})") == "has no key for any algorithm that we know");
  CHECK(problems.empty());
  CHECK(set.empty());
}

TEST_CASE("a key that is bound to PSS meets PSS alone, and the salt is as long as the hash") {
  EVP_PKEY* made = nullptr;
  EVP_PKEY_CTX* maker = EVP_PKEY_CTX_new_from_name(nullptr, "RSA-PSS", nullptr);
  EVP_PKEY_keygen_init(maker);
  EVP_PKEY_CTX_set_rsa_keygen_bits(maker, 2048);
  REQUIRE(EVP_PKEY_keygen(maker, &made) == 1);
  EVP_PKEY_CTX_free(maker);
  const KeyPair pair(made);
  KeySet set;
  REQUIRE(set.add_public_key(pair.pem()) == "");
  CHECK(set.fits(Algorithm::ps384));
  CHECK_FALSE(set.fits(Algorithm::rs256));
  const auto signature = [&](int salt) {
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    EVP_PKEY_CTX* settings = nullptr;
    EVP_DigestSignInit(context, &settings, EVP_sha256(), nullptr, pair.key);
    EVP_PKEY_CTX_set_rsa_pss_saltlen(settings, salt);
    std::string out(256, '\0');
    size_t size = out.size();
    EVP_DigestSign(context, reinterpret_cast<unsigned char*>(out.data()), &size, bytes("input"), 5);
    EVP_MD_CTX_free(context);
    return out;
  };
  CHECK(set.verify(Algorithm::ps256, "", "input", signature(32)) == valid);
  CHECK(set.verify(Algorithm::ps256, "", "input", signature(0)) == invalid);
  CHECK(set.verify(Algorithm::ps256, "", "input", signature(RSA_PSS_SALTLEN_MAX)) == invalid);
}
