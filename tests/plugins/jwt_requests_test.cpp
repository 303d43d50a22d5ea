// The jwt plugin in requests: where the token may stand, what is answered, what is remembered, and several
// issuers.
#include <doctest/doctest.h>

#include "plugins/allocation_count.h"
#include "plugins/tokens.h"

using namespace penstock::plugin::testing;

namespace {

std::string said(Request& r, const penstock::proxy::Filter& filter) {
  const AuthVerdict verdict = r.auth(filter);
  if (verdict == AuthVerdict::absent) return "absent";
  if (verdict == AuthVerdict::accept) return "accept";
  return std::string(r.context.auth.refuse_reason);
}

std::string challenge_of(JwtWorld& w, const penstock::proxy::Filter& filter, const std::string& token) {
  Request r(w);
  r.header("authorization", "Bearer " + token);
  REQUIRE(r.auth(filter) == AuthVerdict::refuse);
  return std::string(r.context.auth.challenge);
}

}  // namespace

TEST_CASE("a token may come by a header, a query parameter or a cookie, and once") {
  JwtWorld w;
  const std::string good = token("HS256", claims()), bearer = "Bearer " + good;
  auto& own = w.jwt({{"secret", shared_secret}, {"header", "x-token"}});
  auto& any = w.jwt({{"secret", shared_secret},
                     {"header", "authorization"},
                     {"query", "access_token"},
                     {"cookie", "session"}});
  CHECK(any.credential_headers() == std::vector<std::string>{"authorization"});
  CHECK(any.credential_query() == std::vector<std::string>{"access_token"});
  CHECK(any.credential_cookies() == std::vector<std::string>{"session"});
  struct Case {
    const penstock::proxy::Filter& filter;
    std::string header, value, query, cookie;
    const char* expected;
  };
  const std::string in_query = "access_token=" + good, in_cookie = "a=b; session=" + good;
  const Case cases[] = {
      {own, "x-token", good, "", "", "accept"},
      {own, "x-token", bearer, "", "", "accept"},
      {own, "authorization", bearer, "", "", "absent"},
      {own, "x-token", "", "", "", "absent"},
      {any, "authorization", bearer, "", "", "accept"},
      {any, "authorization", good, "", "", "absent"},
      {any, "accept", "*/*", in_query, "", "accept"},
      {any, "accept", "*/*", "", in_cookie, "accept"},
      {any, "authorization", "Basic dXNlcjpwYXNz", "", in_cookie, "accept"},
      {any, "authorization", bearer, in_query, "", "auth.jwt.repeated"},
      {any, "authorization", bearer, "", in_cookie, "auth.jwt.repeated"},
      {any, "authorization", "Bearer", "", in_cookie, "auth.jwt.repeated"},
      {any, "accept", "*/*", in_query + "&access%5Ftoken=", "", "auth.jwt.repeated"},
      {any, "accept", "*/*", "", in_cookie + "; session=", "auth.jwt.repeated"},
      {any, "accept", "*/*", "access_token=", "session=", "absent"},
      {any, "accept", "*/*", "access_token=x", "", "auth.jwt.malformed"},
  };
  for (const Case& each : cases) {
    CAPTURE(each.header + ": " + each.value.substr(0, 12) + "? " + each.query.substr(0, 20) + " " +
            each.cookie.substr(0, 20));
    Request r(w);
    r.header(each.header, each.value);
    if (!each.query.empty()) r.query(each.query);
    if (!each.cookie.empty()) r.header("cookie", each.cookie);
    CHECK(said(r, each.filter) == each.expected);
  }
}

TEST_CASE("the challenge says what is wrong, and which scopes it takes") {
  JwtWorld w;
  auto& filter = w.jwt({{"secret", shared_secret}, {"scopes", {"orders.read", "orders.write"}}});
  const std::string start = "Bearer realm=\"idp\"";
  CHECK(filter.challenge() == start);
  CHECK(challenge_of(w, filter, "x.y.z") ==
        start + ", error=\"invalid_token\", error_description=\"The token is malformed\"");
  CHECK(challenge_of(w, filter,
                     token("HS256", claims({{"exp", now - 1}, {"scope", "orders.read orders.write"}}))) ==
        start + ", error=\"invalid_token\", error_description=\"The token has expired\"");
  const std::string lacking =
      start +
      ", error=\"insufficient_scope\", error_description=\"The token lacks a scope that is "
      "needed\", scope=\"orders.read orders.write\"";
  CHECK(challenge_of(w, filter, token("HS256", claims())) == lacking);
  auto& required =
      w.jwt({{"secret", shared_secret}, {"require", {{"scope", "orders.read"}, {"tenant", "acme"}}}});
  CHECK(challenge_of(w, required, token("HS256", claims())) ==
        start +
            ", error=\"insufficient_scope\", error_description=\"A claim of the token does not allow this "
            "request\", "
            "scope=\"orders.read\"");
}

TEST_CASE("scopes are words of scope or scp, all of them; who is known and lacks one is forbidden") {
  JwtWorld w;
  auto& filter = w.jwt({{"secret", shared_secret}, {"scopes", {"orders.read", "orders.write"}}});
  const auto verdict = [&](json more, int64_t at = now) {
    return w.verdict(filter, "Bearer " + token("HS256", claims(std::move(more))), at);
  };
  const std::string accepted = "accept idp:svc-1", lacking = "refuse 403 auth.jwt.scope";
  CHECK(verdict({{"scope", "orders.write other orders.read"}}) == accepted);
  CHECK(verdict({{"scp", {"orders.write", "orders.read"}}}) == accepted);
  CHECK(verdict({{"scp", "orders.write orders.read"}}) == accepted);
  CHECK(verdict({{"scope", "orders.read"}, {"scp", {"orders.write"}}}) == accepted);
  CHECK(verdict({{"scope", "orders.read"}}) == lacking);
  CHECK(verdict({{"scope", "orders.reads orders.write"}}) == lacking);
  CHECK(verdict({{"scope", "ORDERS.READ orders.write"}}) == lacking);
  CHECK(verdict({{"scope", 7}}) == lacking);
  CHECK(verdict({}) == lacking);
  CHECK(verdict({{"scope", "orders.read"}}, now + 60) == "refuse 401 auth.jwt.expired");  // 401 before 403
  CHECK(verdict({{"scope", "orders.read"}}) == lacking);
}

TEST_CASE("a token of another issuer is refused before its signature is, by each issuer's own rules") {
  JwtWorld w;
  auto& one = w.jwt({{"jwks_file", "keys.json"}, {"issuer", {"https://a.example", "https://b.example"}}});
  const std::string input = unsigned_part({{"alg", "RS256"}}, claims({{"iss", "https://c.example"}}));
  CHECK(w.verdict(one, "Bearer " + input + ".AA") == "refuse 401 auth.jwt.issuer");
  const auto from = [&](const json& iss) { return "Bearer " + token("RS256", claims({{"iss", iss}})); };
  CHECK(w.verdict(one, from("https://b.example")) == "accept idp:svc-1");
  CHECK(w.verdict(one, from("https://b.example/")) == "refuse 401 auth.jwt.issuer");
  CHECK(w.verdict(one, from({"https://a.example"})) == "refuse 401 auth.jwt.issuer");
  CHECK(w.verdict(one, from(nullptr)) == "refuse 401 auth.jwt.issuer");
}

TEST_CASE("a known token costs no allocation, at its own issuer and at another one") {
  JwtWorld w;
  w.consumer("svc");
  auto& own =
      w.jwt({{"jwks_file", "keys.json"}, {"issuer", "https://idp.example.com/"}, {"groups_claim", "roles"}});
  auto& other = w.jwt({{"jwks_file", "keys.json"}, {"issuer", "https://other.example"}});
  const std::string good = "Bearer " + token("RS256", claims({{"roles", {"a", "b"}}}), {{"kid", "r1"}});
  for (int i = 0; i < 3; ++i) {
    Request r(w);
    r.header("authorization", good);
    const uint64_t before = allocations;
    counting_allocations = i > 0;
    const AuthVerdict foreign = r.auth(other), accepted = r.auth(own);
    counting_allocations = false;
    CHECK(foreign == AuthVerdict::refuse);
    CHECK(accepted == AuthVerdict::accept);
    CHECK(allocations == before);
  }
}

TEST_CASE("what is remembered dies with its instance: a new key set does not know the old one's tokens") {
  JwtWorld w;
  w.write("now.pem", rsa().pem());
  const json config{{"public_key_file", "now.pem"}};
  auto& before = w.jwt(config);
  const std::string old = "Bearer " + token("RS256", claims()),
                    fresh = "Bearer " + token("RS256", claims(), {}, &other_rsa());
  CHECK(w.verdict(before, old) == "accept idp:svc-1");
  CHECK(w.verdict(before, fresh) == "refuse 401 auth.jwt.signature");
  w.write("now.pem", other_rsa().pem());
  auto& after = w.jwt(config);
  CHECK(w.verdict(after, old) == "refuse 401 auth.jwt.signature");
  CHECK(w.verdict(after, fresh) == "accept idp:svc-1");
  CHECK(w.verdict(before, old) == "accept idp:svc-1");
}

TEST_CASE("the cache counts, and can be switched off") {
  JwtWorld w;
  auto& filter = w.jwt({{"secret", shared_secret}, {"cache_size", 4}});
  const auto counted = [&](const char* result) {
    return w.counted("penstock_auth_cache_total", "idp", result);
  };
  const auto ask = [&](penstock::proxy::Filter& f, int i) {
    return w.verdict(f, "Bearer " + token("HS256", claims({{"jti", i}})));
  };
  for (int i = 0; i < 6; ++i) REQUIRE(ask(filter, i) == "accept idp:svc-1");
  CHECK(counted("miss") == 6);
  CHECK(counted("evict") == 2);
  CHECK(counted("hit") == 0);
  REQUIRE(ask(filter, 5) == "accept idp:svc-1");
  CHECK(counted("hit") == 1);
  auto& off = w.jwt({{"secret", shared_secret}, {"cache_size", 0}});
  for (int i = 0; i < 2; ++i) REQUIRE(ask(off, 5) == "accept idp:svc-1");
  CHECK(counted("hit") == 1);
  CHECK(counted("miss") == 8);
}

// callgrind, as in chain_cost_test.cpp: --toggle-collect='run_known_token*' -tc='what a known token costs'
[[gnu::noinline]] bool run_known_token(Request& r, const penstock::proxy::Filter& filter) {
  return r.auth(filter) == AuthVerdict::accept;
}

TEST_CASE("what a known token costs") {
  JwtWorld w;
  auto& filter = w.jwt({{"jwks_file", "keys.json"}, {"issuer", "https://idp.example.com/"}});
  const std::string good = "Bearer " + token("RS256", claims(), {{"kid", "r1"}});
  REQUIRE(w.verdict(filter, good) == "accept idp:svc-1");
  for (int i = 0; i < 1000; ++i) {
    Request r(w);
    r.header("authorization", good);
    REQUIRE(run_known_token(r, filter));
  }
}
