// API keys, and what is a wrong configuration of the authenticators.
#include <doctest/doctest.h>

#include "plugins/tokens.h"

using namespace penstock::plugin::testing;

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

TEST_CASE("a key that comes twice is refused, however it is spelt and wherever the second one stands") {
  World w;
  REQUIRE(w.load(shipped("auth")) == "");
  w.snapshot.consumers.add_api_key(w.consumer("mobile-app"), "secret");
  auto* keys = w.make("api_key", "keys", R"({"header": "X-Token", "query": "api_key", "cookie": "key"})");
  REQUIRE(keys != nullptr);
  CHECK(keys->credential_headers() == std::vector<std::string>{"x-token"});
  CHECK(keys->credential_query() == std::vector<std::string>{"api_key"});
  CHECK(keys->credential_cookies() == std::vector<std::string>{"key"});
  using Fields = std::vector<std::pair<std::string_view, std::string_view>>;
  const auto said = [&](const char* query, const Fields& fields) {
    Request r(w);
    if (*query != 0) r.query(query);
    for (const auto& [name, value] : fields) r.header(name, value);
    const AuthVerdict verdict = r.auth(*keys);
    if (verdict == AuthVerdict::accept) return std::string("accept");
    return verdict == AuthVerdict::absent ? "absent" : std::string(r.context.auth.refuse_reason);
  };
  const std::string repeated = "auth.key.repeated";
  for (const char* query :
       {"api_key=secret&api_key=secret", "api_key=&api_key=secret", "api_key=secret&api_key",
        "api%5Fkey=secret&api_key=x", "api_key=secret&%61pi_key=x", "a=1&api%5fkey=secret&b&%61pi_ke%79="}) {
    CAPTURE(query);
    CHECK(said(query, {}) == repeated);
  }
  for (const char* cookies : {"key=secret; key=x", "key=; key=secret", "a=b; key=secret;key=secret;c=d",
                              "key=secret; key =x", "key=secret; key"}) {
    CAPTURE(cookies);
    CHECK(said("", {{"cookie", cookies}}) == repeated);
  }
  CHECK(said("", {{"cookie", "key=secret"}, {"cookie", "key=x"}}) == repeated);
  CHECK(said("", {{"x-token", ""}, {"x-token", "secret"}}) == repeated);
  CHECK(said("api_key=secret", {{"x-token", "secret"}}) == repeated);
  CHECK(said("", {{"x-token", "x"}, {"cookie", "key=secret"}}) == repeated);
  CHECK(said("api_key=x", {{"cookie", "key=secret"}}) == repeated);
  CHECK(said("api%5fkey=secret", {}) == "accept");
  CHECK(said("api_key=&api_keys=x", {{"cookie", "keys=x; key=secret; Key=x"}}) == "accept");
  CHECK(said("api_key", {{"x-token", ""}, {"cookie", "key="}}) == "absent");
}

TEST_CASE("settings of which nothing is left are refused, since they would check nothing") {
  JwtWorld w;
  const auto refused = [&](const char* key, const json& value, const char* place) {
    CAPTURE(key);
    CAPTURE(value.dump());
    CHECK(w.make("jwt", "idp", json{{"secret", shared_secret}, {key, value}}.dump().c_str()) == nullptr);
    CHECK_MESSAGE(w.messages().find(std::string(place) + ": ") != w.messages().npos, w.messages());
    CHECK_MESSAGE(w.messages().find("is empty") != w.messages().npos, w.messages());
  };
  for (const char* key : {"issuer", "audience", "algorithms"}) {
    const std::string place = std::string("plugins.idp.") + key;
    for (const json& value : {json(""), json::array(), json(nullptr)}) refused(key, value, place.c_str());
    refused(key, json::array({"RS256", ""}), (place + "[1]").c_str());
  }
  for (const char* key : {"consumer_claim", "groups_claim", "header", "jwks_file"})
    refused(key, "", (std::string("plugins.idp.") + key).c_str());
  refused("require", json::object(), "plugins.idp.require");
  refused("require", {{"scope", ""}}, "plugins.idp.require.scope");
  refused("require", nullptr, "plugins.idp.require");
  for (const char* carrier : {"header", "query", "cookie"}) {
    CHECK(w.make("api_key", "keys", json{{carrier, ""}}.dump().c_str()) == nullptr);
    CHECK(w.messages().find("is empty") != w.messages().npos);
  }
}

TEST_CASE("a wrong auth configuration is refused with the place") {
  JwtWorld w;
  w.write("weak.pem", KeyPair(EVP_RSA_gen(1024)).pem());
  w.write("koblitz.pem", KeyPair(EVP_EC_gen("secp256k1")).pem());
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
  refused({{"jwks_file", "broken.json"}}, "broken.json: key 1 has an 'x' that is not the 32 bytes of P-256");
  refused({{"jwks_file", "none.json"}}, "no key for");
  refused({{"public_key_file", "weak.pem"}}, "less than 2048 bits");
  refused({{"public_key_file", "koblitz.pem"}}, "neither RSA nor EC");
  refused({{"public_key_file", "keys.json"}}, "no public key");
  refused({{"jwks_uri", "idp/keys"}}, "no absolute URL");
  refused({{"jwks_uri", "https://me:word@idp/keys"}}, "no place for credentials");
  refused({{"jwks_uri", "http://idp/keys"}, {"jwks_file", "keys.json"}}, "exactly one of");
  refused({{"jwks_uri", "http://idp/keys"}, {"algorithms", {"HS256"}}}, "HS256 needs `secret`");
  refused({{"jwks_uri", "http://idp/keys"}, {"jwks_refresh", "1s"}}, "shorter than jwks_min_interval");
  refused({{"jwks_uri", "http://idp/keys"}, {"jwks_wait", "10s"}}, "must be from");
  refused({{"jwks_file", "keys.json"}, {"algorithms", {"none"}}}, "'none' is not one of");
  refused({{"jwks_file", "keys.json"}, {"algorithms", {"HS256"}}}, "HS256 needs `secret`");
  refused({{"public_key_file", "key.pem"}, {"algorithms", {"ES256"}}}, "none of them fits");
  refused({{"secret", shared_secret}, {"leeway", "2h"}}, "must be from 0s to 1h");
  refused({{"secret", shared_secret}, {"algorithms", {"HS256", "HS512"}}},
          "HS512 needs a longer `secret`: 64 bytes");
  refused({{"secret", shared_secret}, {"scopes", {"orders.read", "a b"}}}, "'a b' is no scope");
  refused({{"secret", shared_secret}, {"scopes", "a\"b"}}, "is no scope");
  refused({{"secret", shared_secret}, {"max_token_size", "1MiB"}}, "must be from 1KiB to 64KiB");
  refused({{"secret", shared_secret}, {"cache_size", 70000}}, "must be from 0 to 65536");
  refused({{"jwks_file", "keys.json"}, {"max_keys", 3}}, "more keys than max_keys allows: 4");
  refused({{"secret", shared_secret}, {"query", "a b"}, {"cookie", ""}}, "is empty");
  CHECK(w.make("jwt", "idp", json{{"secret", "too short"}}.dump().c_str()) == nullptr);
  CHECK(w.messages().find("too short") == std::string::npos);  // secrets stay out of messages
  CHECK(w.make("api_key", "keys", "{}", penstock::proxy::OnError::skip) == nullptr);
  CHECK(w.messages().find("bad-on-error") != std::string::npos);
}
