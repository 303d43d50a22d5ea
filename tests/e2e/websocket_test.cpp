#include <doctest/doctest.h>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/metrics.h"
#include "e2e/harness/process.h"
#include "e2e/harness/websocket.h"

using namespace e2e;

namespace {

// python3-websockets as the backend: echoes, compresses when asked, answers pings.
class Server {
 public:
  Server()
      : process_({"/usr/bin/python3", "-W", "ignore", "-c", script}, Process::Read::standard_output),
        endpoint_("127.0.0.1:" + process_.wait_for_line("")) {}
  const std::string& endpoint() const { return endpoint_; }
  void kill() { process_.signal(9); }

 private:
  static constexpr const char* script = R"(
import asyncio, websockets
async def echo(socket, path=None):
    try:
        async for message in socket:
            await socket.send(message)
    except websockets.ConnectionClosed:
        pass
async def main():
    server = await websockets.serve(echo, "127.0.0.1", 0, max_size=None)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Future()
asyncio.run(main())
)";
  Process process_;
  std::string endpoint_;
};

}  // namespace

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

TEST_CASE("a real client and a real server compress and talk through the gateway, and are counted") {
  Server server;
  Gateway gateway(basics(all_to(server.endpoint())));
  {
    WebSocket first(gateway.port(), "/chat"), second(gateway.port(), "/chat");
    std::string large(1'000'000, 'w');
    CHECK(first.echo(large) == large);
    CHECK(second.echo("hello") == "hello");
    await_metric(gateway, "penstock_active_tunnels", 2);
  }
  await_metric(gateway, "penstock_active_tunnels", 0);
  await_metric(gateway, "penstock_tunnels_total", 2);
  await_metric(gateway, "http_client_open_connections", 0);
}

TEST_CASE("a server that dies takes its WebSockets with it, and so does timeouts.idle") {
  Server server;
  Gateway gateway(basics(all_to(server.endpoint(), ", timeouts: { idle: 300ms }")));
  WebSocket idle(gateway.port(), "/chat");
  CHECK(idle.wait_closed() == "closed 1006");
  Gateway patient(basics(all_to(server.endpoint())));
  WebSocket other(patient.port(), "/chat");
  CHECK(other.echo("hello") == "hello");
  server.kill();
  CHECK(other.wait_closed() == "closed 1006");
}

TEST_CASE("a drain waits for WebSockets as long as it may, then ends them") {
  Server server;
  Gateway gateway(basics(all_to(server.endpoint())));
  WebSocket socket(gateway.port(), "/chat");
  CHECK(socket.echo("before") == "before");
  gateway.process().signal(15);
  gateway.process().wait_for_line("penstock: draining");
  CHECK(socket.echo("while it drains") == "while it drains");
  CHECK(socket.wait_closed() == "closed 1006");
  CHECK(gateway.wait() == 0);
}

TEST_CASE("a handshake that is none is refused with a reason") {
  Backend backend;
  Gateway gateway(basics(all_to(backend.endpoint())));
  Response response = get(gateway.port(), "/x", "connection: upgrade\r\nupgrade: websocket\r\n");
  CHECK(response.status == 426);
  CHECK(response.header("sec-websocket-version") == "13");
  CHECK(response.header("upgrade") == "websocket");
  CHECK(response.body.find("request.upgrade") != std::string::npos);
}
