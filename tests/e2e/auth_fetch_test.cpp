// Authenticators that ask somebody: a service's decision, an introspection endpoint, published keys. What
// they say, what they do not say in time, and what then becomes of a request: never a pass.
#include <doctest/doctest.h>

#include <ctime>
#include <nlohmann/json.hpp>
#include <string>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/metrics.h"
#include "e2e/harness/scripted_service.h"
#include "e2e/tls_support.h"
#include "plugins/tokens.h"

using namespace e2e;
using nlohmann::json;
namespace tokens = penstock::plugin::testing;

namespace {

std::string guarded_by(const std::string& plugin, const std::string& endpoint, const std::string& more = {}) {
  return basics("plugins:\n  guard: " + plugin + "\n" + more +
                "routes:\n"
                "  - { name: all, match: { path_prefix: / }, auth: guard, upstream: u }\n"
                "upstreams: { u: { endpoints: \"" +
                endpoint + "\" } }\n");
}

Response ask(Client& client, const std::string& fields, const std::string& target = "/x") {
  client.send("GET " + target + " HTTP/1.1\r\nhost: api.test\r\n" + fields + "\r\n");
  return client.read_response();
}
std::string bearer(const std::string& token) { return "authorization: Bearer " + token + "\r\n"; }

std::string reason(const Response& response) {
  const json problem = json::parse(response.body, nullptr, false);
  return problem.is_object() ? problem.value("reason", "") : "";
}

std::string keys_of(const std::vector<json>& keys) { return json{{"keys", keys}}.dump(); }
std::string signed_token(const char* kid, const tokens::KeyPair& pair) {
  const json claims{{"sub", "svc-1"}, {"exp", static_cast<int64_t>(std::time(nullptr)) + 300}};
  return tokens::token("RS256", claims, json{{"kid", kid}}, &pair);
}

}  // namespace

// --- forward_auth ---

TEST_CASE("forward_auth: the service sees what the request is about, and its 2xx lets it through") {
  Backend backend;
  ScriptedService service;
  service.answer("/check", "204 No Content", "", "X-User: alice\r\nX-Role: admin\r\n");
  Gateway gateway(guarded_by("{ type: forward_auth, url: \"" + service.url("/check") +
                                 "\", consumer_header: x-user, copy: [x-role] }",
                             backend.endpoint()));
  Client client(gateway.port());
  const Response response =
      ask(client, "authorization: Basic abc\r\nx-role: root\r\nx-other: 1\r\n", "/orders/7?a=b");
  CHECK(response.status == 200);
  CHECK(response.body.find("admin") != std::string::npos);
  CHECK(response.body.find("root") == std::string::npos);
  const auto asked = service.take();
  REQUIRE(asked.size() == 1);
  CHECK(asked[0].method == "GET");
  CHECK(asked[0].value("authorization") == "Basic abc");
  CHECK(asked[0].value("x-forwarded-method") == "GET");
  CHECK(asked[0].value("x-forwarded-uri") == "/orders/7?a=b");
  CHECK(asked[0].value("x-forwarded-host") == "api.test");
  CHECK(asked[0].value("x-forwarded-for") == "127.0.0.1");
  CHECK(asked[0].count("x-other") == 0);
  CHECK(metric(gateway, "penstock_plugin_fetches_total{plugin=\"guard\",result=\"answered\"}") == 1);
}

TEST_CASE("forward_auth: everything but a 2xx is a refusal") {
  Backend backend;
  ScriptedService service;
  Gateway gateway(guarded_by("{ type: forward_auth, url: \"" + service.url("/check") + "\", timeout: 9s }",
                             backend.endpoint()));
  struct Row {
    const char* name;
    const char* answer;
    int status;
    const char* reason;
  };
  const Row rows[] = {
      {"401", "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n", 401,
       "auth.forward.refused"},
      {"403", "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 403, "auth.forward.denied"},
      {"302", "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", 503,
       "auth.forward.unavailable"},
      {"500", "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", 503,
       "auth.forward.unavailable"},
      {"malformed", "HTTP/1.1 2OO OK\r\n\r\n", 503, "auth.forward.unavailable"},
      {"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 1\r\n\r\n", 503,
       "auth.forward.unavailable"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    service.raw("/check", row.answer);
    Client client(gateway.port());
    const Response response = ask(client, bearer("abc"));
    CHECK(response.status == row.status);
    CHECK(reason(response) == row.reason);
    CHECK(response.header("www-authenticate") == (row.status == 401 ? "Negotiate" : ""));
  }
  service.raw("/check", "HTTP/1.1 204 No Content\r\n", ScriptedService::After::cut);
  Client client(gateway.port());
  CHECK(ask(client, bearer("abc")).status == 503);
}

TEST_CASE("who is silent is not waited for longer than timeout, and lets nobody in") {
  Backend backend;
  ScriptedService service;
  service.raw("/ask", "");
  const std::string common = "url: \"" + service.url("/ask") + "\", timeout: 100ms";
  for (const std::string& plugin :
       {"{ type: forward_auth, " + common + " }",
        "{ type: introspection, client_id: a, client_secret: b, " + common + " }"}) {
    CAPTURE(plugin);
    Gateway gateway(guarded_by(plugin, backend.endpoint()));
    Client client(gateway.port());
    CHECK(ask(client, bearer("abc")).status == 503);
    await_metric(gateway, "penstock_plugin_fetches_total{plugin=\"guard\",result=\"timeout\"}", 1);
  }
}

TEST_CASE("forward_auth: nobody is asked about a request without credentials, unless so configured") {
  Backend backend;
  ScriptedService service;
  service.answer("/check", "200 OK");
  const auto configuration = [&](const std::string& more) {
    return guarded_by("{ type: forward_auth, url: \"" + service.url("/check") + "\"" + more + " }",
                      backend.endpoint());
  };
  Gateway gateway(configuration(", challenge: 'Form realm=\"x\"'"));
  Client client(gateway.port());
  Response response = ask(client, "");
  CHECK(response.status == 401);
  CHECK(response.header("www-authenticate") == "Form realm=\"x\"");
  response = ask(client, "authorization: a\r\nauthorization: b\r\n");
  CHECK(response.status == 401);
  CHECK(reason(response) == "auth.forward.repeated");
  CHECK(service.take().empty());
  gateway.reload(configuration(", without_credentials: ask"));
  Client later(gateway.port());
  CHECK(ask(later, "").status == 200);
  CHECK(service.take().size() == 1);
}

TEST_CASE("forward_auth: a client that leaves takes its question along") {
  Backend backend;
  ScriptedService service;
  service.raw("/check", "");
  Gateway gateway(guarded_by("{ type: forward_auth, url: \"" + service.url("/check") + "\", timeout: 9s }",
                             backend.endpoint()));
  {
    Client client(gateway.port());
    client.send("GET / HTTP/1.1\r\nhost: a\r\n" + bearer("abc") + "\r\n");
    await("the question", [&] { return service.asked() == 1; });
    client.reset();
  }
  await_metric(gateway, "penstock_plugin_fetches_total{plugin=\"guard\",result=\"cancelled\"}", 1);
}

TEST_CASE("limits.plugin_fetches: one too many is refused and counted") {
  Backend backend;
  ScriptedService service;
  service.raw("/check", "");
  Gateway gateway(guarded_by("{ type: forward_auth, url: \"" + service.url("/check") + "\", timeout: 9s }",
                             backend.endpoint(), "limits: { plugin_fetches: 1 }\n"));
  Client first(gateway.port()), second(gateway.port());
  first.send("GET / HTTP/1.1\r\nhost: a\r\n" + bearer("abc") + "\r\n");
  await("the question", [&] { return service.asked() == 1; });
  CHECK(ask(second, bearer("abc")).status == 503);
  CHECK(reached(gateway, "plugin_fetches") == 1);
  CHECK(metric(gateway, "penstock_plugin_fetches_total{plugin=\"guard\",result=\"limit\"}") == 1);
}

TEST_CASE("a service behind TLS is asked in what it speaks, and not at all with another's certificate") {
  Backend backend, service;
  TestCa ca, stranger;
  ca.sign("a", "DNS:a.test,IP:127.0.0.1");
  std::string protocols, version;
  SUBCASE("HTTP/2") { protocols = "[h2]", version = "2"; }
  SUBCASE("HTTP/1.1") { protocols = "[http/1.1]", version = "1.1"; }
  Gateway front(
      "schema: 1\nworkers: 1\ndrain: { accept_for: 0s, timeout: 5s }\n"
      "listeners: [{ name: http, address: \"127.0.0.1:0\", protocols: " +
      protocols + ", tls: { certificates: [{ " + ca.pair("a") + " }] } }]\n" + all_to(service.endpoint()));
  const auto guarded = [&](const std::string& tls) {
    return guarded_by("{ type: forward_auth, url: { url: \"https://127.0.0.1:" +
                          std::to_string(front.port()) + "/check\"" + tls + " }, timeout: 9s }",
                      backend.endpoint());
  };
  Gateway gateway(guarded(", tls: { " + ca.trust() + " }"));
  Client client(gateway.port());
  CHECK(ask(client, bearer("abc")).status == 200);
  CHECK(metric(gateway,
               "penstock_upstream_open_connections{upstream=\"guard:url\",network_protocol_version=\"" +
                   version + "\"}") == 1);
  for (const std::string& tls :
       {", tls: { " + stranger.trust() + " }", ", tls: { " + ca.trust() + ", server_name: b.test }"}) {
    gateway.reload(guarded(tls));
    Client other(gateway.port());
    CHECK(ask(other, bearer("abc")).status == 503);
  }
  CHECK(metric(gateway, "penstock_plugin_fetches_total{plugin=\"guard\",result=\"tls\"}") == 2);
}

// --- introspection ---

namespace {

std::string introspection(const ScriptedService& service, const std::string& more = {}) {
  return "{ type: introspection, url: \"" + service.url("/introspect") +
         "\", client_id: \"gate way\", client_secret: \"s:cret\"" + more + " }";
}

}  // namespace

TEST_CASE("introspection: an active token is asked about once, with the client's own credentials") {
  Backend backend;
  ScriptedService service;
  service.json("/introspect", R"({"active":true,"sub":"alice","scope":"read write","aud":["orders","x"]})");
  Gateway gateway(
      guarded_by(introspection(service, ", scopes: [read], audience: orders"), backend.endpoint()));
  Client client(gateway.port());
  for (int i = 0; i < 3; ++i) CHECK(ask(client, bearer("abc+/=")).status == 200);
  const auto asked = service.take();
  REQUIRE(asked.size() == 1);
  CHECK(asked[0].method == "POST");
  CHECK(asked[0].value("content-type") == "application/x-www-form-urlencoded");
  CHECK(asked[0].value("authorization") == "Basic Z2F0ZSUyMHdheTpzJTNBY3JldA==");
  CHECK(asked[0].body == "token_type_hint=access_token&token=abc%2B%2F%3D");
  CHECK(ask(client, bearer("other")).status == 200);
  CHECK(service.take().size() == 1);
}

TEST_CASE("introspection: what is not active, not for us or not enough") {
  Backend backend;
  ScriptedService service;
  Gateway gateway(guarded_by(
      introspection(service,
                    ", scopes: [read], audience: orders, negative_cache: 0s, cache: 0s, timeout: 9s"),
      backend.endpoint()));
  const std::string past = std::to_string(std::time(nullptr) - 10);
  struct Row {
    std::string body;
    int status;
    std::string reason;
  };
  const Row rows[] = {
      {R"({"active":false})", 401, "auth.introspection.inactive"},
      {R"({"active":true,"sub":"a","scope":"read","aud":"other"})", 401, "auth.introspection.audience"},
      {R"({"active":true,"sub":"a","scope":"write","aud":"orders"})", 403, "auth.introspection.scope"},
      {R"({"active":true,"scope":"read","aud":"orders"})", 401, "auth.introspection.claim"},
      {R"({"active":true,"sub":"a","scope":"read","aud":"orders","exp":)" + past + "}", 401,
       "auth.introspection.expired"},
      {R"({"active":true,"sub":"a","scope":"read","aud":"orders","exp":"soon"})", 401,
       "auth.introspection.claim"},
      {R"({"active":"true","sub":"a","scope":"read","aud":"orders"})", 503, "auth.introspection.unavailable"},
      {R"({"sub":"a"})", 503, "auth.introspection.unavailable"},
      {"[]", 503, "auth.introspection.unavailable"},
      {"{", 503, "auth.introspection.unavailable"},
      {"", 503, "auth.introspection.unavailable"},
  };
  Client client(gateway.port());
  for (const Row& row : rows) {
    CAPTURE(row.body);
    service.json("/introspect", row.body);
    const Response response = ask(client, bearer("abc"));
    CHECK(response.status == row.status);
    CHECK(reason(response) == row.reason);
  }
  service.answer("/introspect", "401 Unauthorized");
  CHECK(ask(client, bearer("abc")).status == 503);
  service.take();
  CHECK(ask(client, "").status == 401);
  CHECK(reason(ask(client, bearer("a b"))) == "auth.introspection.malformed");
  CHECK(reason(ask(client, bearer("a") + bearer("b"))) == "auth.introspection.repeated");
  CHECK(service.take().empty());
}

TEST_CASE("introspection: what was said of a token is not believed longer than its exp") {
  Backend backend;
  ScriptedService service;
  service.json("/introspect",
               R"({"active":true,"sub":"a","exp":)" + std::to_string(std::time(nullptr) + 8) + "}");
  Gateway gateway(guarded_by(introspection(service), backend.endpoint()));
  Client client(gateway.port());
  CHECK(ask(client, bearer("abc")).status == 200);
  CHECK(ask(client, bearer("abc")).status == 200);
  CHECK(service.take().size() == 1);
  await("the end of the token", [&] { return ask(client, bearer("abc")).status == 401; });
}

// --- jwks_uri ---

namespace {

std::string fetched(const ScriptedService& service, const std::string& more = {}) {
  return "{ type: jwt, jwks_uri: \"" + service.url("/jwks") + "\", algorithms: [RS256]" + more + " }";
}

}  // namespace

TEST_CASE("jwks_uri: keys are there from the start, and a rotated one is fetched when a token names it") {
  Backend backend;
  ScriptedService service;
  service.json("/jwks", keys_of({tokens::rsa_jwk(tokens::rsa(), "one")}));
  Gateway gateway(guarded_by(fetched(service, ", jwks_min_interval: 1s"), backend.endpoint()));
  Client client(gateway.port());
  CHECK(ask(client, bearer(signed_token("one", tokens::rsa()))).status == 200);
  CHECK(service.asked() == 1);

  service.json("/jwks", keys_of({tokens::rsa_jwk(tokens::other_rsa(), "two")}));
  const std::string rotated = signed_token("two", tokens::other_rsa());
  await("the new key", [&] { return ask(client, bearer(rotated)).status == 200; });
  // The old one is gone with its key, though it was verified before.
  CHECK(reason(ask(client, bearer(signed_token("one", tokens::rsa())))) == "auth.jwt.key");
}

TEST_CASE("jwks_uri: tokens with made-up keys do not make the gateway ask again and again") {
  Backend backend;
  ScriptedService service;
  service.json("/jwks", keys_of({tokens::rsa_jwk(tokens::rsa(), "one")}));
  Gateway gateway(guarded_by(fetched(service, ", jwks_min_interval: 1m"), backend.endpoint()));
  Client client(gateway.port());
  CHECK(ask(client, bearer(signed_token("one", tokens::rsa()))).status == 200);
  for (int i = 0; i < 20; ++i)
    CHECK(reason(ask(client, bearer(signed_token(("kid" + std::to_string(i)).c_str(), tokens::rsa())))) ==
          "auth.jwt.key");
  CHECK(service.asked() == 1);
}

TEST_CASE("jwks_uri: the same keys again leave what was verified with them") {
  Backend backend;
  ScriptedService service;
  service.json("/jwks", keys_of({tokens::rsa_jwk(tokens::rsa(), "one")}));
  Gateway gateway(
      guarded_by(fetched(service, ", jwks_refresh: 1s, jwks_min_interval: 1s"), backend.endpoint()));
  Client client(gateway.port());
  const std::string token = signed_token("one", tokens::rsa());
  const auto verified = [&] {
    return metric(gateway, "penstock_auth_cache_total{plugin=\"guard\",result=\"miss\"}");
  };
  CHECK(ask(client, bearer(token)).status == 200);
  const auto once = verified();
  CHECK(once == 1);
  await("three more answers", [&] { return service.asked() >= 4; });
  CHECK(ask(client, bearer(token)).status == 200);
  CHECK(verified() == once);
}

TEST_CASE("jwks_uri: the last good keys stay when the provider is away or talks nonsense") {
  Backend backend;
  ScriptedService service;
  service.json("/jwks", keys_of({tokens::rsa_jwk(tokens::rsa(), "one")}));
  Gateway gateway(guarded_by(fetched(service, ", jwks_refresh: 1s, jwks_min_interval: 1s, jwks_timeout: 2s"),
                             backend.endpoint()));
  Client client(gateway.port());
  const std::string token = signed_token("one", tokens::rsa());
  CHECK(ask(client, bearer(token)).status == 200);
  for (const char* bytes :
       {"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{\"k",
        "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"keys\":[]}", "rubbish\r\n\r\n", ""}) {
    CAPTURE(bytes);
    service.take();
    service.raw("/jwks", bytes);
    await("a question", [&] { return service.asked() >= 2; });
    CHECK(ask(client, bearer(token)).status == 200);
  }
}

TEST_CASE("jwks_uri: before the first keys a token waits, then it is 503 and never a pass") {
  Backend backend;
  ScriptedService service;
  service.raw("/jwks", "");
  Gateway gateway(
      guarded_by(fetched(service, ", jwks_timeout: 500ms, jwks_wait: 100ms, jwks_min_interval: 1s"),
                 backend.endpoint()));
  Client client(gateway.port());
  const std::string token = signed_token("one", tokens::rsa());
  Response response = ask(client, bearer(token));
  CHECK(response.status == 503);
  CHECK(reason(response) == "auth.jwt.keys");
  CHECK(response.header("www-authenticate") == "");
  CHECK(ask(client, "").status == 401);  // who has no token need not wait
  CHECK(reason(ask(client, bearer("a.b.c"))) ==
        "auth.jwt.malformed");  // nor who has none that a key could mend
  service.json("/jwks", keys_of({tokens::rsa_jwk(tokens::rsa(), "one")}));
  await("the keys", [&] { return ask(client, bearer(token)).status == 200; });
}

TEST_CASE("jwks_uri: public keys of every kind are taken, broken ones passed over, secrets never taken") {
  Backend backend;
  ScriptedService service;
  json broken = tokens::rsa_jwk(tokens::other_rsa(), "broken");
  broken["n"] = "AQAB";
  const json secret{
      {"kty", "oct"}, {"kid", "secret"}, {"alg", "HS256"}, {"k", tokens::base64url(tokens::shared_secret)}};
  service.json("/jwks",
               keys_of({broken, secret, tokens::rsa_jwk(tokens::rsa(), "one"), tokens::ec_jwk("two")}));
  Gateway gateway(
      guarded_by("{ type: jwt, jwks_uri: \"" + service.url("/jwks") + "\", jwks_min_interval: 1m }",
                 backend.endpoint()));
  Client client(gateway.port());
  const json claims{{"sub", "svc-1"}, {"exp", static_cast<int64_t>(std::time(nullptr)) + 300}};
  const auto with = [&](const char* algorithm, const char* kid) {
    return bearer(tokens::token(algorithm, claims, json{{"kid", kid}}));
  };
  CHECK(ask(client, with("RS256", "one")).status == 200);
  CHECK(ask(client, with("ES256", "two")).status == 200);
  CHECK(reason(ask(client, with("HS256", "secret"))) == "auth.jwt.algorithm");
  CHECK(reason(ask(client, with("HS256", "one"))) == "auth.jwt.algorithm");
  CHECK(reason(ask(client, bearer(signed_token("broken", tokens::other_rsa())))) == "auth.jwt.key");
}
