#include <doctest/doctest.h>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/websocket.h"

using namespace e2e;

TEST_CASE("a WebSocket client talks to its backend through the gateway") {
  Backend backend;
  Gateway gateway(
      basics("routes: [{ name: all, match: { path_prefix: / }, public: true, upstream: u }]\n"
             "upstreams: { u: { endpoints: \"" +
             backend.endpoint() + "\" } }\n"));
  WebSocket socket(gateway.port(), "/socket");
  CHECK(socket.echo("hello") == "hello");
  std::string large(100'000, 'w');
  CHECK(socket.echo(large) == large);
}

TEST_CASE("plugins judge the handshake of a WebSocket") {
  Backend backend;
  Gateway gateway(
      basics("plugins: { keys: { type: api_key, header: x-api-key } }\n"
             "routes: [{ name: all, match: { path_prefix: / }, auth: keys, upstream: u }]\n"
             "upstreams: { u: { endpoints: \"" +
             backend.endpoint() + "\" } }\n"));
  CHECK_THROWS_WITH(WebSocket(gateway.port(), "/socket"), doctest::Contains("401"));
}

TEST_CASE("only the protocols that a route lets through are upgraded") {
  Backend backend;
  Gateway gateway(
      basics("routes: [{ name: all, match: { path_prefix: / }, public: true, upstream: u }]\n"
             "upstreams: { u: { endpoints: \"" +
             backend.endpoint() + "\" } }\n"));
  Response response = get(gateway.port(), "/x", "connection: upgrade\r\nupgrade: h2c\r\n");
  CHECK(response.status == 200);
  CHECK(response.body.find("h2c") == std::string::npos);
}
