#include <doctest/doctest.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>

#include <cstdio>

#include "auth/claims.h"
#include "auth/key_set.h"
#include "auth/token.h"
#include "config/parse_values.h"
#include "plugins/harness.h"
#include "proxy/text_template.h"

using namespace penstock::plugin::testing;
using nlohmann::json;
using penstock::proxy::AuthVerdict;

namespace {

std::string base64url(std::string_view bytes) {
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

const unsigned char* bytes(std::string_view s) { return reinterpret_cast<const unsigned char*>(s.data()); }

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

const KeyPair& rsa() {
  static const KeyPair pair(EVP_RSA_gen(2048));
  return pair;
}
const KeyPair& other_rsa() {
  static const KeyPair pair(EVP_RSA_gen(2048));
  return pair;
}
const KeyPair& ec() {
  static const KeyPair pair(EVP_EC_gen("P-256"));
  return pair;
}

json rsa_jwk(const KeyPair& pair, const char* kid) {
  json out{{"kty", "RSA"}, {"n", base64url(pair.number("n"))}, {"e", base64url(pair.number("e"))}};
  if (kid != nullptr) out["kid"] = kid;
  return out;
}
json ec_jwk(const char* kid) {
  const auto coordinate = [](const char* name) {
    std::string out = ec().number(name);
    out.insert(0, 32 - out.size(), '\0');
    return base64url(out);
  };
  return {{"kty", "EC"},  {"crv", "P-256"},        {"kid", kid},
          {"use", "sig"}, {"x", coordinate("qx")}, {"y", coordinate("qy")}};
}

std::string raw_ecdsa(const std::string& der) {
  const unsigned char* at = bytes(der);
  ECDSA_SIG* signature = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size()));
  std::string out(64, '\0');
  BN_bn2binpad(ECDSA_SIG_get0_r(signature), reinterpret_cast<unsigned char*>(out.data()), 32);
  BN_bn2binpad(ECDSA_SIG_get0_s(signature), reinterpret_cast<unsigned char*>(out.data()) + 32, 32);
  ECDSA_SIG_free(signature);
  return out;
}

std::string hmac(std::string_view secret, std::string_view input) {
  unsigned char mac[32];
  unsigned int size = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()), bytes(input), input.size(), mac, &size);
  return {reinterpret_cast<char*>(mac), size};
}

constexpr std::string_view shared_secret = "0123456789abcdef0123456789abcdef";
constexpr int64_t now = 1'800'000'000;

json claims(json more = {}) {
  json out{{"iss", "https://idp.example.com/"}, {"aud", "orders-api"}, {"sub", "svc-1"}, {"exp", now + 60}};
  out.update(more.is_null() ? json::object() : more);
  return out;
}

std::string unsigned_part(const json& header, const json& payload) {
  return base64url(header.dump()) + "." + base64url(payload.dump());
}
std::string token(const char* alg, const json& payload, json header = json::object(),
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
                              {{"kty", "oct"}, {"k", base64url(shared_secret)}},
                              {{"kty", "OKP"}, {"crv", "Ed25519"}, {"x", "AA"}}}}}
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

}  // namespace

TEST_CASE("base64url is strict: two texts never mean the same bytes") {
  using auth::decode_base64url;
  CHECK(decode_base64url("") == "");
  CHECK(decode_base64url("Zg") == "f");
  CHECK(decode_base64url("Zm8") == "fo");
  CHECK(decode_base64url("Zm9v") == "foo");
  CHECK(decode_base64url("-_8") == "\xfb\xff");
  for (const char* text : {"Z", "Zh", "Zm9", "Zg==", "Zm+v", "Zm/v", "Zm 9v", "Zm9v\n", "\xc3\xa4"}) {
    CAPTURE(text);
    CHECK_FALSE(decode_base64url(text));
  }
}

TEST_CASE("the bearer scheme is recognised in any case and nothing else") {
  CHECK(auth::bearer("Bearer abc") == "abc");
  CHECK(auth::bearer("bEARER   abc") == "abc");
  CHECK(auth::bearer("Bearer") == "");
  CHECK_FALSE(auth::bearer("Bearerabc"));
  CHECK_FALSE(auth::bearer("Basic abc"));
  CHECK_FALSE(auth::bearer(""));
}

TEST_CASE("a token of each algorithm is accepted, and refused with one changed byte anywhere") {
  JwtWorld w;
  auto& set = w.jwt({{"jwks_file", "keys.json"}});
  auto& hs = w.jwt({{"secret", shared_secret}});
  for (const char* alg : {"RS256", "ES256", "HS256"}) {
    CAPTURE(alg);
    auto& filter = std::string_view(alg) == "HS256" ? hs : set;
    const std::string good = token(alg, claims());
    CHECK(w.verdict(filter, "Bearer " + good) == "accept idp:svc-1");
    for (size_t i = 0; i < good.size(); i += good.size() / 37) {
      std::string bad = good;
      bad[i] = bad[i] == 'A' ? 'B' : 'A';
      CAPTURE(i);
      CHECK(w.verdict(filter, "Bearer " + bad).starts_with("refuse 401 auth.jwt."));
    }
    CHECK(w.verdict(filter, "Bearer " + good.substr(0, good.rfind('.') + 1)).starts_with("refuse 401"));
  }
}

TEST_CASE("neither none nor a public key as a secret gets through") {
  JwtWorld w;
  auto& set = w.jwt({{"jwks_file", "keys.json"}, {"algorithms", {"RS256", "ES256"}}});
  auto& pem = w.jwt({{"public_key_file", "key.pem"}});
  for (auto* filter : {&set, &pem}) {
    for (const char* none : {"none", "None", "NONE", ""}) {
      const std::string input = unsigned_part({{"alg", none}}, claims());
      CHECK(w.verdict(*filter, "Bearer " + input + ".") == "refuse 401 auth.jwt.algorithm");
    }
    const std::string input = unsigned_part({{"alg", "HS256"}}, claims());
    for (const std::string& secret : {rsa().pem(), rsa().number("n"), std::string(shared_secret)}) {
      CHECK(w.verdict(*filter, "Bearer " + input + "." + base64url(hmac(secret, input))) ==
            "refuse 401 auth.jwt.algorithm");
    }
  }
  CHECK(w.verdict(pem, "Bearer " + token("ES256", claims())) == "refuse 401 auth.jwt.algorithm");
}

TEST_CASE("kid chooses among keys; without one every fitting key is tried") {
  JwtWorld w;
  auto& filter = w.jwt({{"jwks_file", "keys.json"}});
  CHECK(w.verdict(filter, "Bearer " + token("RS256", claims(), {{"kid", "r1"}})) == "accept idp:svc-1");
  CHECK(w.verdict(filter, "Bearer " + token("RS256", claims(), {}, &other_rsa())) == "accept idp:svc-1");
  CHECK(w.verdict(filter, "Bearer " + token("ES256", claims(), {{"kid", "e2"}})) ==
        "refuse 401 auth.jwt.key");
  CHECK(w.verdict(filter, "Bearer " + token("ES256", claims(), {{"kid", 7}})) ==
        "refuse 401 auth.jwt.malformed");
  CHECK(w.verdict(filter, "Bearer " + token("ES256", claims(), {{"crit", {"b64"}}})) ==
        "refuse 401 auth.jwt.malformed");
}

TEST_CASE("times are judged at each use, a known token too") {
  JwtWorld w;
  auto& filter = w.jwt({{"secret", shared_secret}});
  auto& lenient = w.jwt({{"secret", shared_secret}, {"leeway", "30s"}, {"require_exp", "false"}});
  const std::string good = "Bearer " + token("HS256", claims({{"nbf", now}}));
  CHECK(w.verdict(filter, good, now - 1) == "refuse 401 auth.jwt.not_yet");
  CHECK(w.verdict(filter, good, now) == "accept idp:svc-1");
  CHECK(w.verdict(filter, good, now + 59) == "accept idp:svc-1");
  CHECK(w.verdict(filter, good, now + 60) == "refuse 401 auth.jwt.expired");
  CHECK(w.verdict(lenient, good, now - 30) == "accept idp:svc-1");
  CHECK(w.verdict(lenient, good, now - 31) == "refuse 401 auth.jwt.not_yet");
  CHECK(w.verdict(lenient, good, now + 89) == "accept idp:svc-1");
  CHECK(w.verdict(lenient, good, now + 90) == "refuse 401 auth.jwt.expired");
  json eternal = claims();
  eternal.erase("exp");
  CHECK(w.verdict(filter, "Bearer " + token("HS256", eternal)) == "refuse 401 auth.jwt.claim");
  CHECK(w.verdict(lenient, "Bearer " + token("HS256", eternal)) == "accept idp:svc-1");
  CHECK(w.verdict(filter, "Bearer " + token("HS256", claims({{"exp", "soon"}}))) ==
        "refuse 401 auth.jwt.malformed");
  CHECK(w.verdict(filter, "Bearer " + token("HS256", claims({{"exp", 1e300}}))) == "accept idp:svc-1");
  CHECK(w.verdict(filter, "Bearer " + token("HS256", claims({{"exp", -1e300}}))) ==
        "refuse 401 auth.jwt.expired");
}

TEST_CASE("issuer, audience and required claims") {
  JwtWorld w;
  auto& filter = w.jwt({{"secret", shared_secret},
                        {"issuer", "https://idp.example.com/"},
                        {"audience", {"orders-api", "other"}},
                        {"require", {{"scope", "orders.read"}}}});
  const auto said = [&](json more) {
    return w.verdict(filter, "Bearer " + token("HS256", claims(std::move(more))));
  };
  CHECK(said({{"scope", "orders.read"}}) == "accept idp:svc-1");
  CHECK(said({{"scope", "a orders.read b"}}) == "accept idp:svc-1");
  CHECK(said({{"scope", {"x", "orders.read"}}}) == "accept idp:svc-1");
  CHECK(said({{"scope", "orders.readwrite"}}) == "refuse 403 auth.jwt.claim");
  CHECK(said({}) == "refuse 403 auth.jwt.claim");
  CHECK(said({{"iss", "https://idp.example.com"}}) == "refuse 401 auth.jwt.issuer");
  CHECK(said({{"aud", {"x", "other"}}, {"scope", "orders.read"}}) == "accept idp:svc-1");
  CHECK(said({{"aud", "orders"}}) == "refuse 401 auth.jwt.audience");
  CHECK(said({{"aud", 7}}) == "refuse 401 auth.jwt.audience");
}

TEST_CASE("the consumer claim names a configured consumer or an identity that can be none") {
  JwtWorld w;
  const auto& billing = w.consumer("billing", {"internal"});
  w.snapshot.consumers.add_jwt(billing, "idp", "svc-billing");
  w.consumer("svc-1");
  auto& filter = w.jwt({{"secret", shared_secret}, {"groups_claim", "realm.roles"}});
  const auto said = [&](json more) {
    return w.verdict(filter, "Bearer " + token("HS256", claims(std::move(more))));
  };
  CHECK(said({{"sub", "svc-billing"}}) == "accept billing");
  CHECK(said({}) == "accept idp:svc-1");  // a consumer of that name is somebody else
  CHECK(said({{"realm", {{"roles", {"orders", 5, "admin"}}}}}) == "accept idp:svc-1 idp:orders idp:admin");
  CHECK(said({{"sub", ""}}) == "refuse 401 auth.jwt.claim");
  CHECK(said({{"sub", "a\r\nb"}}) == "refuse 401 auth.jwt.claim");
  CHECK(said({{"sub", json::array({"x"})}}) == "refuse 401 auth.jwt.claim");
  CHECK(said({{"sub", nullptr}}) == "refuse 401 auth.jwt.claim");
}

TEST_CASE("other credentials are absent, broken ones are refused") {
  JwtWorld w;
  auto& filter = w.jwt({{"secret", shared_secret}});
  CHECK(w.verdict(filter, "Basic dXNlcjpwYXNz") == "absent");
  CHECK(w.verdict(filter, "") == "absent");
  CHECK(w.verdict(filter, "Bearer ") == "refuse 401 auth.jwt.malformed");
  CHECK(w.verdict(filter, "Bearer a.b") == "refuse 401 auth.jwt.malformed");
  CHECK(w.verdict(filter, "Bearer a.b.c.d") == "refuse 401 auth.jwt.malformed");
  CHECK(w.verdict(filter, "Bearer " + std::string(20'000, 'x')) == "refuse 401 auth.jwt.malformed");
  Request twice(w);
  const std::string good = "Bearer " + token("HS256", claims());
  twice.header("authorization", good).header("authorization", good);
  CHECK(twice.auth(filter) == AuthVerdict::refuse);
  CHECK(twice.context.auth.refuse_reason == "auth.jwt.repeated");
  CHECK(twice.context.auth.challenge == "Bearer realm=\"idp\", error=\"invalid_token\"");
  CHECK(filter.challenge() == "Bearer realm=\"idp\"");
  CHECK(filter.credential_headers() == std::vector<std::string>{"authorization"});
}

TEST_CASE("claims that somebody asks for are attributes, also when they are asked for later") {
  JwtWorld w;
  auto& filter = w.jwt({{"secret", shared_secret}});
  w.names.attribute_id("claim.tenant");
  const std::string good =
      "Bearer " + token("HS256", claims({{"tenant", "acme"}, {"deep", {{"er", 3}}}, {"l", {"a", "b"}}}));
  Request first(w);
  first.header("authorization", good).auth(filter);
  CHECK(first.attribute("claim.tenant") == "acme");
  w.names.attribute_id("claim.deep.er");
  w.names.attribute_id("claim.l");
  Request second(w);
  second.header("authorization", good).auth(filter);
  CHECK(second.attribute("claim.deep.er") == "3");
  CHECK(second.attribute("claim.l") == "a,b");
  CHECK(second.attribute("claim.none").data() == nullptr);
}

TEST_CASE("the cache is bounded and gives back only the same token") {
  auth::TokenCache cache;
  for (int i = 0; i < 5000; ++i) {
    auth::Verified v;
    v.token = "header.payload." + std::to_string(i) + "-signature-of-the-token";
    v.hash = auth::TokenCache::hash_of(v.token);
    v.consumer = std::to_string(i);
    v.groups = {"group-" + std::to_string(i)};
    v.group_views = {gw::str(v.groups[0])};
    cache.insert(std::move(v), 0);
  }
  int found = 0;
  for (int i = 0; i < 5000; ++i) {
    auth::Verified* v = cache.find("header.payload." + std::to_string(i) + "-signature-of-the-token");
    if (v == nullptr) continue;
    ++found;
    REQUIRE(v->consumer == std::to_string(i));
    REQUIRE(gw::view(v->group_views[0]) == "group-" + std::to_string(i));
  }
  CHECK(found > 0);
  CHECK(found <= 1024);
  CHECK(cache.find("another.payload.4999-signature-of-the-token") == nullptr);
}

TEST_CASE("explain judges a token as the live request does") {
  JwtWorld w;
  auto& filter = w.jwt({{"secret", shared_secret}});
  using Verdict = penstock::proxy::Explanation::Verdict;
  Request good(w), bad(w), none(w);
  CHECK(good.header("authorization", "Bearer " + token("HS256", claims())).explain(filter).verdict ==
        Verdict::accept);
  CHECK(good.context.auth.identity == "idp:svc-1");
  CHECK(bad.header("authorization", "Bearer x.y.z").explain(filter).verdict == Verdict::refuse);
  CHECK(none.explain(filter).verdict == Verdict::absent);
}

TEST_CASE("an API key in a header, a query parameter or a cookie names its consumer") {
  World w;
  REQUIRE(w.load(shipped("auth")) == "");
  const auto& mobile = w.consumer("mobile-app", {"partners"});
  w.snapshot.consumers.add_api_key(mobile, "secret-key-1");
  w.snapshot.consumers.add_api_key(
      mobile, "sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b");  // "secret"
  auto* header = w.make("api_key", "keys", "{}");
  auto* anywhere = w.make("api_key", "any", R"({"header": "X-Token", "query": "api_key", "cookie": "key"})");
  REQUIRE(header != nullptr);
  REQUIRE(anywhere != nullptr);
  CHECK(header->challenge() == "ApiKey realm=\"keys\"");
  CHECK(header->credential_headers() == std::vector<std::string>{"x-api-key"});
  const auto verdict = [](Request& r, const penstock::proxy::Filter& filter) {
    const AuthVerdict said = r.auth(filter);
    if (said == AuthVerdict::accept) return "accept " + r.context.auth.consumer->name;
    return said == AuthVerdict::absent ? std::string("absent")
                                       : "refuse " + std::string(r.context.auth.refuse_reason);
  };
  Request plain(w), hashed(w), wrong(w), repeated(w), none(w), empty(w);
  CHECK(verdict(plain.header("x-api-key", "secret-key-1"), *header) == "accept mobile-app");
  CHECK(verdict(hashed.header("x-api-key", "secret"), *header) == "accept mobile-app");
  CHECK(verdict(wrong.header("x-api-key", "secret-key-2"), *header) == "refuse auth.key.unknown");
  CHECK(verdict(repeated.header("x-api-key", "secret").header("x-api-key", "secret"), *header) ==
        "refuse auth.key.repeated");
  CHECK(verdict(none, *header) == "absent");
  CHECK(verdict(empty.header("x-api-key", ""), *header) == "absent");
  Request token_header(w), query(w), two(w), cookie(w), huge(w);
  CHECK(verdict(token_header.header("x-token", "secret"), *anywhere) == "accept mobile-app");
  CHECK(verdict(query.query("a=1&api_key=secret"), *anywhere) == "accept mobile-app");
  CHECK(verdict(two.query("api_key=secret&api_key=other"), *anywhere) == "refuse auth.key.repeated");
  CHECK(verdict(cookie.header("cookie", "a=b; key=secret"), *anywhere) == "accept mobile-app");
  CHECK(verdict(huge.header("x-token", std::string(5000, 'x')), *anywhere) == "refuse auth.key.unknown");
  CHECK(w.counted("penstock_auth_decisions_total", "keys", "accept") == 2);
  CHECK(w.counted("penstock_auth_decisions_total", "keys", "refuse") == 2);
  CHECK(w.counted("penstock_auth_decisions_total", "keys", "absent") == 2);
}

TEST_CASE("a wrong auth configuration is refused with the place") {
  JwtWorld w;
  w.write("weak.pem", KeyPair(EVP_RSA_gen(1024)).pem());
  w.write("p384.pem", KeyPair(EVP_EC_gen("P-384")).pem());
  w.write("junk.json", "{\"keys\": 7}");
  w.write("broken.json", R"({"keys": [{"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"}]})");
  w.write("none.json", R"({"keys": []})");
  const auto refused = [&](json config, const char* part) {
    CAPTURE(config.dump());
    CHECK(w.make("jwt", "idp", config.dump().c_str()) == nullptr);
    CHECK_MESSAGE(w.messages().find(part) != std::string::npos, w.messages());
  };
  refused(json::object(), "exactly one of");
  refused({{"secret", shared_secret}, {"jwks_file", "keys.json"}}, "exactly one of");
  refused({{"secret", "too short"}}, "shorter than the 32 bytes");
  refused({{"jwks_file", "missing.json"}}, "cannot be read");
  refused({{"jwks_file", "junk.json"}}, "is no JSON Web Key Set");
  refused({{"jwks_file", "broken.json"}}, "broken key");
  refused({{"jwks_file", "none.json"}}, "no key for");
  refused({{"public_key_file", "weak.pem"}}, "less than 2048 bits");
  refused({{"public_key_file", "p384.pem"}}, "neither RSA nor EC");
  refused({{"public_key_file", "keys.json"}}, "no public key");
  refused({{"jwks_uri", "https://idp/keys"}}, "not supported yet");
  refused({{"jwks_file", "keys.json"}, {"algorithms", {"none"}}}, "'none' is not one of");
  refused({{"jwks_file", "keys.json"}, {"algorithms", {"HS256"}}}, "HS256 needs `secret`");
  refused({{"public_key_file", "key.pem"}, {"algorithms", {"ES256"}}}, "none of them fits");
  refused({{"secret", shared_secret}, {"leeway", "2h"}}, "must be from");
  CHECK(w.make("jwt", "idp", json{{"secret", "too short"}}.dump().c_str()) == nullptr);
  CHECK(w.messages().find("too short") == std::string::npos);  // secrets stay out of messages
  CHECK(w.make("api_key", "keys", "{}", penstock::proxy::OnError::skip) == nullptr);
  CHECK(w.messages().find("bad-on-error") != std::string::npos);
}

TEST_CASE("a claim in a header template is the token's, which only the configuration asked for") {
  JwtWorld w;
  auto& filter = w.jwt({{"secret", shared_secret}});
  const penstock::proxy::TextTemplate text(*penstock::config::parse_template("<{claim.tenant}>"), w.names);
  Request r(w);
  r.header("authorization", "Bearer " + token("HS256", claims({{"tenant", "acme"}}))).auth(filter);
  CHECK(text.render(r.context) == "<acme>");
}
