// The opening handshake of RFC 6455 and the tunnel behind it.
#include <doctest/doctest.h>

#include "proxy/pipe.h"

using namespace penstock;
using namespace penstock::proxy;
using namespace penstock::proxy::testing;

namespace {

// RFC 6455 1.3
constexpr std::string_view key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
constexpr std::string_view accepted = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
constexpr std::string_view version = "Sec-WebSocket-Version: 13\r\n";
constexpr std::string_view upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";

std::string handshake(std::string_view fields = {}, std::string_view method = "GET") {
  std::string out(method);
  out += " /chat HTTP/1.1\r\nHost: x\r\n";
  for (std::string_view part : {upgrade, key, version, fields}) out += part;
  return out + "\r\n";
}
std::string with(std::initializer_list<std::string_view> fields) {
  std::string out = "GET /chat HTTP/1.1\r\nHost: x\r\n";
  for (std::string_view part : fields) out += part;
  return out + "\r\n";
}
std::string switched(std::string_view fields = accepted) {
  std::string out = "HTTP/1.1 101 Switching Protocols\r\n";
  out.append(upgrade).append(fields);
  return out + "\r\n";
}

// An open tunnel; what was sent so far is forgotten.
struct Tunnel : Pipe {
  Tunnel() {
    send(handshake());
    answer(switched());
    REQUIRE(client.take().starts_with("HTTP/1.1 101 "));
    backend().take();
  }
};

}  // namespace

TEST_CASE("a handshake that RFC 6455 asks for goes through, with its extensions and protocols") {
  Pipe pipe;
  pipe.send(handshake("Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"));
  const std::string& sent = pipe.backend().sent;
  for (std::string_view field :
       {"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "sec-websocket-version: 13\r\n",
        "sec-websocket-protocol: chat\r\n", "sec-websocket-extensions: permessage-deflate\r\n",
        "upgrade: websocket\r\nconnection: upgrade\r\n"})
    CHECK(sent.find(field) != std::string::npos);
  pipe.answer(
      switched("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n"));
  CHECK(without_id(pipe.client.sent) ==
        "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        "sec-websocket-protocol: chat\r\nx-request-id: ID\r\nupgrade: websocket\r\nconnection: "
        "upgrade\r\n\r\n");
  CHECK(pipe.worker.metrics.active_tunnels == 1);
}

TEST_CASE("a handshake that is none is refused before any backend hears of it") {
  struct Bad {
    const char* name;
    std::string request;
    std::string_view status;
  };
  const Bad cases[] = {
      {"another method", handshake({}, "OPTIONS"), "400"},
      {"HEAD", handshake({}, "HEAD"), "400"},
      {"no key", with({upgrade, version}), "400"},
      {"two keys", handshake(key), "400"},
      {"a key that is too short", with({upgrade, version, "Sec-WebSocket-Key: dGhlIHNhbXBsZQ==\r\n"}), "400"},
      {"a key of 17 bytes", with({upgrade, version, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZTE=\r\n"}),
       "400"},
      {"a key with bits behind its 16 bytes",
       with({upgrade, version, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n"}), "400"},
      {"a key that is no base64", with({upgrade, version, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j*Q==\r\n"}),
       "400"},
      {"a key with a pad within", with({upgrade, version, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub2=jZQ==\r\n"}),
       "400"},
      {"no version", with({upgrade, key}), "426"},
      {"version 8", with({upgrade, key, "Sec-WebSocket-Version: 8\r\n"}), "426"},
      {"several versions", with({upgrade, key, "Sec-WebSocket-Version: 13, 8\r\n"}), "426"},
      {"the version twice", handshake(version), "426"},
  };
  for (const Bad& each : cases) {
    CAPTURE(each.name);
    Pipe pipe;
    pipe.send(each.request);
    CHECK(pipe.client.sent.substr(9, 3) == each.status);
    CHECK(pipe.connector->wires.empty());
    CHECK(pipe.log->last_reason == "request.upgrade");
    if (each.status == "426") {
      CHECK(pipe.client.sent.find("sec-websocket-version: 13\r\n") != std::string::npos);
      CHECK(pipe.client.sent.find("upgrade: websocket\r\nconnection: upgrade\r\n") != std::string::npos);
    }
    CHECK(pipe.at_rest());
  }
}

TEST_CASE("what asks for no WebSocket is an ordinary request") {
  for (const std::string& request :
       {with({"Upgrade: websocket\r\n", key, version}), with({"Connection: Upgrade\r\n", key, version}),
        "GET /chat HTTP/1.0\r\nHost: x\r\n" + std::string(upgrade) + "\r\n"}) {
    CAPTURE(request);
    Pipe pipe;
    pipe.send(request);
    CHECK(pipe.backend().sent.find("upgrade:") == std::string::npos);
    pipe.answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    CHECK(pipe.client.sent.starts_with("HTTP/1.1 200 "));
  }
}

TEST_CASE("a route that lets no WebSocket through passes the request on without the upgrade") {
  Pipe pipe;
  pipe.route_config.upgrade.clear();
  pipe.send(handshake());
  CHECK(pipe.backend().sent.find("upgrade") == std::string::npos);
}

TEST_CASE("a 101 that does not answer this handshake is a 502") {
  for (const std::string& answer :
       {switched(""), switched("Sec-WebSocket-Accept: aaaaaaaaaaaaaaaaaaaaaaaaaaa=\r\n"),
        switched(std::string(accepted) + std::string(accepted)),
        std::string("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: h2c\r\n") + std::string(accepted) +
            "\r\n",
        std::string("HTTP/1.1 101 S\r\nUpgrade: websocket\r\n") + std::string(accepted) + "\r\n"}) {
    CAPTURE(answer);
    Pipe pipe;
    pipe.send(handshake());
    pipe.answer(answer + "secret");
    CHECK(pipe.client.sent.starts_with("HTTP/1.1 502 "));
    CHECK(pipe.client.sent.find("secret") == std::string::npos);
    CHECK(pipe.log->last_reason == "upstream.protocol");
    CHECK(pipe.worker.metrics.tunnels() == 0);
    CHECK(pipe.at_rest());
    CHECK(pipe.cluster->open_connections() == 0);
  }
}

TEST_CASE("a backend's refusal is an ordinary answer, and the connection stays HTTP") {
  Pipe pipe;
  pipe.send(handshake());
  pipe.answer("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno");
  CHECK(pipe.client.take().ends_with("no"));
  CHECK(pipe.client.end == Wire::End::open);
  pipe.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  pipe.answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  CHECK(pipe.client.sent.ends_with("ok"));
  CHECK(pipe.worker.metrics.tunnels() == 0);
}

TEST_CASE("early bytes are kept on both sides") {
  Pipe pipe;
  pipe.send(handshake() + "early client");
  CHECK(pipe.backend().take().ends_with("\r\n\r\n"));
  pipe.answer(switched() + "early backend");
  CHECK(pipe.client.sent.ends_with("\r\n\r\nearly backend"));
  CHECK(pipe.backend().sent == "early client");
}

TEST_CASE("bytes pass both ways, with back-pressure") {
  Tunnel pipe;
  pipe.send("ping");
  CHECK(pipe.backend().take() == "ping");
  pipe.answer("pong");
  CHECK(pipe.client.take() == "pong");
  std::string block(50'000, 'x');
  SUBCASE("from the client") {
    pipe.backend().transport->block();
    pipe.send(block);
    CHECK_FALSE(pipe.client.paused);
    pipe.send(block);
    CHECK(pipe.client.paused);
    pipe.backend().transport->room();
    CHECK_FALSE(pipe.client.paused);
    CHECK(pipe.backend().sent.size() == 2 * block.size());
  }
  SUBCASE("from the backend") {
    pipe.client.transport->block();
    pipe.answer(block);
    pipe.answer(block);
    CHECK(pipe.backend().paused);
    pipe.client.transport->room();
    CHECK_FALSE(pipe.backend().paused);
    CHECK(pipe.client.sent.size() == 2 * block.size());
  }
}

TEST_CASE("each side's end is told to the other; after both the exchange is over") {
  Tunnel pipe;
  SUBCASE("the client first") {
    feed_end(pipe.client);
    pipe.turn();
    CHECK(pipe.backend().shut_down);
    pipe.answer("last words");
    CHECK(pipe.client.sent == "last words");
    pipe.end_of_backend();
  }
  SUBCASE("the backend first") {
    pipe.end_of_backend();
    CHECK(pipe.client.shut_down);
    pipe.send("last words");
    CHECK(pipe.backend().sent == "last words");
    feed_end(pipe.client);
    pipe.turn();
  }
  CHECK(pipe.at_rest());
  CHECK(pipe.client.end == Wire::End::graceful);
  CHECK(pipe.log->last_status == 101);
  CHECK(pipe.log->last_reason.empty());
}

TEST_CASE("a side that breaks off takes the other with it at once") {
  SUBCASE("the client") {
    Tunnel pipe;
    pipe.reset_of_client();
    CHECK(pipe.backend().end != Wire::End::open);
    CHECK(pipe.at_rest());
    CHECK(pipe.cluster->open_connections() == 0);
  }
  SUBCASE("the backend") {
    Tunnel pipe;
    pipe.reset_of_backend();
    CHECK(pipe.client.end == Wire::End::aborted);
    CHECK(pipe.at_rest());
  }
}

TEST_CASE("a tunnel in which nobody speaks for timeouts.idle is ended on both sides, without a reset") {
  Pipe pipe;
  pipe.route->idle_timeout_ms = 20;
  pipe.route->total_timeout_ms = 10;  // not for tunnels
  pipe.send(handshake());
  pipe.answer(switched());
  struct Look {
    Pipe& pipe;
    net::Timer timer{pipe.loop, [](void* self) { static_cast<Look*>(self)->look(); }, this};
    void look() {
      if (pipe.at_rest()) return pipe.loop.stop();
      timer.start(1);
    }
  } look{pipe};
  look.look();
  pipe.loop.run();
  CHECK(pipe.client.end == Wire::End::graceful);
  CHECK(pipe.backend().end == Wire::End::graceful);
  CHECK(pipe.worker.metrics.tunnels() == 1);
  CHECK(pipe.log->last_reason == "tunnel.idle");
}

TEST_CASE("what a tunnel carried arrives when the gateway ends it") {
  Tunnel pipe;
  pipe.answer("all of this");
  pipe.connection->close();
  pipe.turn();
  CHECK(pipe.client.sent == "all of this");
  CHECK(pipe.client.end == Wire::End::graceful);
  CHECK(pipe.at_rest());
}
