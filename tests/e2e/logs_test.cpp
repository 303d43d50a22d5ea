#include <doctest/doctest.h>

#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"

using namespace e2e;

TEST_CASE("USR1 lets a rotated log begin anew, and no line is lost") {
  Gateway gateway(
      basics("routes: [{ name: r, match: { path_prefix: / }, public: true, respond: { status: 200 } }]\n"));
  std::string log = gateway.folder().file("access.log");
  for (int i = 0; i < 20; ++i) CHECK(get(gateway.port(), "/before").status == 200);
  std::filesystem::rename(log, log + ".1");
  gateway.process().signal(SIGUSR1);
  do CHECK(get(gateway.port(), "/after").status == 200);
  while (!std::filesystem::exists(log));
  CHECK(get(gateway.port(), "/last").status == 200);
  CHECK(gateway.stop(SIGTERM) == 0);
  std::string rotated = gateway.folder().read("access.log.1"), fresh = gateway.folder().read("access.log");
  // The last record may still have been on its way to the writer when the signal came: then it begins the new
  // file.
  std::string all = rotated + fresh;
  size_t before = 0;
  for (size_t at = 0; (at = all.find("/before", at)) != std::string::npos; ++at) ++before;
  CHECK(before == 20);
  CHECK(rotated.find("/before") != std::string::npos);
  CHECK(fresh.find("/last") != std::string::npos);
}

TEST_CASE("a refusal before routing is logged like any other request") {
  Gateway gateway(
      basics("routes: [{ name: r, match: { path: / }, public: true, respond: { status: 200 } }]\n"));
  Client client(gateway.port());
  client.send("nonsense\r\n\r\n");
  CHECK(client.read_response().status == 400);
  CHECK(gateway.stop(SIGTERM) == 0);
  auto line = nlohmann::json::parse(gateway.folder().read("access.log"), nullptr, false);
  REQUIRE(line.is_object());
  CHECK(line["penstock.reason"] == "request.malformed");
  CHECK(line["http.response.status_code"] == 400);
}

TEST_CASE(
    "keys in queries and cookies reach neither the backend nor the log, unless the route forwards them") {
  Backend backend;
  Gateway gateway(
      basics("plugins:\n  keys: { type: api_key, query: api_key, cookie: key }\n"
             "consumers:\n  - { name: app, credentials: { api_keys: [swordfish-1] } }\n"
             "routes:\n"
             "  - { name: drops, match: { path_prefix: / }, auth: keys, upstream: u }\n"
             "  - { name: keeps, match: { path_prefix: /keep }, auth: keys, upstream: u, "
             "forward_credentials: true }\n"
             "upstreams: { u: { endpoints: \"" +
             backend.endpoint() + "\" } }\n"));
  Response query = get(gateway.port(), "/q?a=1&api_key=swordfish-1&b=2");
  CHECK(query.status == 200);
  CHECK(query.body.find("\"target\":\"/q?a=1&b=2\"") != std::string::npos);
  Response cookie = get(gateway.port(), "/c", "cookie: a=b; key=swordfish-1\r\n");
  CHECK(cookie.status == 200);
  CHECK(cookie.body.find("\"cookie\":\"a=b\"") != std::string::npos);
  CHECK(get(gateway.port(), "/r?api_key=swordfish-2").status == 401);
  for (const Response& answer : {query, cookie}) CHECK(answer.body.find("swordfish") == std::string::npos);
  Response kept = get(gateway.port(), "/keep?api_key=swordfish-1");
  CHECK(kept.body.find("\"target\":\"/keep?api_key=swordfish-1\"") != std::string::npos);
  CHECK(gateway.stop(SIGTERM) == 0);
  std::string log = gateway.folder().read("access.log");
  CHECK(log.find("swordfish") == std::string::npos);
  CHECK(log.find("\"url.query\":\"a=1&api_key=***&b=2\"") != std::string::npos);
  CHECK(log.find("\"url.query\":\"api_key=***\"") != std::string::npos);
}
