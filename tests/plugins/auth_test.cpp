#include <doctest/doctest.h>

#include "auth/token.h"
#include "auth/token_cache.h"
#include "config/parse_values.h"
#include "plugins/tokens.h"
#include "proxy/text_template.h"

using namespace penstock::plugin::testing;

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
  CHECK(auth::bearer("Bearer\tabc") == "\tabc");  // bearer, but no token
  CHECK_FALSE(auth::bearer("Bearerabc"));
  CHECK_FALSE(auth::bearer("Bearer-x abc"));
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
  CHECK(said({{"sub", std::string(1024, 's')}}) == "accept idp:" + std::string(1024, 's'));
  CHECK(said({{"sub", std::string(1025, 's')}}) == "refuse 401 auth.jwt.claim");
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
  const std::string good = "Bearer " + token("HS256", claims());
  CHECK(w.verdict(filter, "Bearer\t" + good.substr(7)) == "refuse 401 auth.jwt.malformed");
  CHECK(w.verdict(filter, "bEaReR " + good.substr(7)) == "accept idp:svc-1");
  for (const std::string& other : {good, std::string(), std::string("Basic dXNlcjpwYXNz")}) {
    Request after(w), before(w);
    after.header("authorization", good).header("authorization", other);
    before.header("authorization", other).header("authorization", good);
    for (Request* twice : {&after, &before}) {
      CHECK(twice->auth(filter) == AuthVerdict::refuse);
      CHECK(twice->context.auth.refuse_reason == "auth.jwt.repeated");
      CHECK(
          twice->context.auth.challenge ==
          "Bearer realm=\"idp\", error=\"invalid_token\", error_description=\"The request has more than one "
          "token\"");
    }
  }
  CHECK(filter.challenge() == "Bearer realm=\"idp\"");
  CHECK(filter.credential_headers() == std::vector<std::string>{"authorization"});
  auto& capitals = w.jwt({{"secret", shared_secret}, {"header", "AUTHORIZATION"}});
  CHECK(w.verdict(capitals, good) == "accept idp:svc-1");
  CHECK(w.verdict(capitals, good.substr(7)) == "absent");  // without a scheme it is none of ours
  CHECK(capitals.credential_headers() == std::vector<std::string>{"authorization"});
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
  auth::TokenCache cache(1000);  // 1,024
  int evicted = 0;
  for (int i = 0; i < 5000; ++i) {
    auth::Verified v;
    v.token = "header.payload.signature-" + std::to_string(10000 + i);
    v.consumer = std::to_string(i);
    v.groups = {"group-" + std::to_string(i)};
    v.group_views = {gw::str(v.groups[0])};
    if (cache.insert(std::move(v), 0).evicted) ++evicted;
  }
  int found = 0;
  for (int i = 0; i < 5000; ++i) {
    auth::Verified* v = cache.find("header.payload.signature-" + std::to_string(10000 + i));
    if (v == nullptr) continue;
    ++found;
    REQUIRE(v->consumer == std::to_string(i));
    REQUIRE(gw::view(v->group_views[0]) == "group-" + std::to_string(i));
  }
  CHECK(found > 900);
  CHECK(found <= 1024);
  CHECK(evicted == 5000 - found);
  CHECK(cache.find("another.payload.signature-14999") == nullptr);
  auth::TokenCache none(0);
  CHECK(none.find("a.b.c") == nullptr);
  CHECK_FALSE(none.takes("a.b.c"));
}

TEST_CASE("refused tokens are known by the whole of them") {
  auth::RefusedTokens refused;
  refused.insert("a.b.c", auth::Fault::issuer);
  CHECK(refused.find("a.b.c") == auth::Fault::issuer);
  for (const char* other : {"", "a.b", "a.b.d", "b.b.c", "a.b.cc"})
    CHECK(refused.find(other) == auth::Fault::none);
  const std::string longer(2000, 'x');
  refused.insert(longer, auth::Fault::key);
  for (size_t i = 0; i < longer.size(); ++i) {
    std::string changed = longer;
    changed[i] = 'y';
    REQUIRE(refused.find(changed) == auth::Fault::none);
  }
  CHECK(refused.find(longer) == auth::Fault::key);
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

TEST_CASE("a claim in a header template is the token's, which only the configuration asked for") {
  JwtWorld w;
  auto& filter = w.jwt({{"secret", shared_secret}});
  const penstock::proxy::TextTemplate text(*penstock::config::parse_template("<{claim.tenant}>"), w.names);
  Request r(w);
  r.header("authorization", "Bearer " + token("HS256", claims({{"tenant", "acme"}}))).auth(filter);
  CHECK(text.render(r.context) == "<acme>");
}

TEST_CASE("a claim with a control byte is no attribute") {
  JwtWorld w;
  auto& filter = w.jwt({{"secret", shared_secret}});
  for (const char* name : {"claim.bad", "claim.list", "claim.good"}) w.names.attribute_id(name);
  Request r(w);
  const json payload = claims({{"bad", "a\r\nx-admin: 1"}, {"list", {"a", "\x7f"}}, {"good", "a b"}});
  CHECK(r.header("authorization", "Bearer " + token("HS256", payload)).auth(filter) == AuthVerdict::accept);
  CHECK(r.attribute("claim.bad").data() == nullptr);
  CHECK(r.attribute("claim.list").data() == nullptr);
  CHECK(r.attribute("claim.good") == "a b");
}
