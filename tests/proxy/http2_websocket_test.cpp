// WebSockets between the versions: extended CONNECT (RFC 8441) on one side, the upgrade of HTTP/1.1 on the
// other, or the same on both.
#include <doctest/doctest.h>

#include "http/http2_frames.h"
#include "proxy/pipe.h"
#include "proxy/websocket.h"

using namespace penstock;
using namespace penstock::proxy;
using namespace penstock::proxy::testing;
namespace h2 = penstock::test::h2;

namespace {

constexpr int open_head = h2::end_headers;

h2::Fields extended_connect(const h2::Fields& more = {{"sec-websocket-version", "13"}},
                            std::string_view protocol = "websocket") {
  h2::Fields out{{":method", "CONNECT"},
                 {":protocol", std::string(protocol)},
                 {":scheme", "http"},
                 {":path", "/chat"},
                 {":authority", "x"}};
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

// A client of HTTP/2.
struct Http2Client : Pipe {
  h2::Reader reader;

  Http2Client() {
    connection =
        http::make_http2_downstream(loop, std::make_unique<test::ScriptedTransport>(client), settings, *this);
    send(h2::hello() + h2::frame(h2::settings, h2::ack, 0));
    got();
  }
  std::string got() {
    turn();
    std::string text = reader.text(client.take());
    constexpr std::string_view id = "x-request-id=";
    if (size_t at = text.find(id); at != text.npos)
      text.replace(at + id.size(), text.find_first_of(" |", at) - at - id.size(), "ID");
    constexpr std::string_view date = "date=";
    if (size_t at = text.find(date); at != text.npos) text.replace(at, text.find(" GMT", at) + 5 - at, "");
    return text;
  }
  std::string sent(std::string_view bytes) {
    send(bytes);
    return got();
  }
  std::string key() {
    const std::string& all = backend().sent;
    constexpr std::string_view name = "sec-websocket-key: ";
    const size_t at = all.find(name);
    REQUIRE(at != all.npos);
    REQUIRE(all.find(name, at + 1) == all.npos);
    return all.substr(at + name.size(), all.find("\r\n", at) - at - name.size());
  }
  // The answer that is right for the key that the backend was given.
  std::string switched(std::string_view more = {}) {
    http::Message request(arena), response(arena);
    const std::string its_key = key();
    request.headers.add(http::HeaderId::sec_websocket_key, its_key);
    set_handshake_accept(request, response);
    return "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "
           "websocket\r\nSec-WebSocket-Accept: " +
           std::string(response.headers.get(http::HeaderId::sec_websocket_accept)) + "\r\n" +
           std::string(more) + "\r\n";
  }
  void open_tunnel() {
    send(h2::head(1, extended_connect(), open_head));
    answer(switched());
    REQUIRE(got() == "HEADERS 1 :status=200 x-request-id=ID");
    backend().take();
  }

  BlockPool pool;
  Arena arena{pool};
};

// A backend of HTTP/2; its SETTINGS say what it takes.
struct Http2Backend : Pipe {
  h2::Reader reader;

  Http2Backend() { connector->settings.protocol = http::Protocol::http2; }
  void ask(std::string_view more = {}) {
    send(
        "GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: "
        "websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
        std::string(more) + "\r\n");
  }
  void its_settings(const std::vector<std::pair<uint16_t, uint32_t>>& values) {
    answer(h2::setting(values) + h2::frame(h2::settings, h2::ack, 0));
  }
  std::string asked() {
    turn();
    std::string bytes = backend().take();
    if (bytes.starts_with(h2::preface)) bytes.erase(0, h2::preface.size());
    return reader.text(bytes);
  }
};

}  // namespace

TEST_CASE("a WebSocket over HTTP/2 to a backend of HTTP/1.1: our key, its accept checked, neither shown") {
  Http2Client pipe;
  CHECK(pipe.sent(h2::head(1,
                           extended_connect({{"sec-websocket-version", "13"},
                                             {"sec-websocket-protocol", "chat"},
                                             {"sec-websocket-key", "the client's own is none"},
                                             {"origin", "http://o"}}),
                           open_head)) == "");
  const std::string& sent = pipe.backend().sent;
  CHECK(sent.starts_with("GET /chat HTTP/1.1\r\nhost: x\r\n"));
  for (std::string_view field : {"sec-websocket-version: 13\r\n", "sec-websocket-protocol: chat\r\n",
                                 "upgrade: websocket\r\nconnection: upgrade\r\n"})
    CHECK(sent.find(field) != std::string::npos);
  CHECK(pipe.key().size() == 24);
  pipe.answer(pipe.switched("Sec-WebSocket-Protocol: chat\r\n") + "hello");
  CHECK(pipe.got() == "HEADERS 1 :status=200 sec-websocket-protocol=chat x-request-id=ID | DATA 1 5");
  CHECK(pipe.worker.metrics.active_tunnels == 1);
  pipe.backend().take();
  pipe.send(h2::body(1, "you"));
  CHECK(pipe.backend().take() == "you");
  pipe.send(h2::body(1, "bye", h2::end_stream));
  CHECK(pipe.backend().take() == "bye");
  CHECK(pipe.backend().shut_down);
  pipe.answer("bye, too");
  pipe.end_of_backend();
  CHECK(pipe.got() == "DATA 1 8 | DATA 1 0 END");
  CHECK(pipe.at_rest());
  CHECK(pipe.log->last_status == 101);
}

TEST_CASE("each tunnel has a key of its own") {
  Http2Client a;
  a.send(h2::head(1, extended_connect(), open_head) + h2::head(3, extended_connect(), open_head));
  REQUIRE(a.connector->wires.size() == 2);
  const auto key_in = [](const std::string& sent) {
    return sent.substr(sent.find("sec-websocket-key: ") + 19, 24);
  };
  CHECK(key_in(a.backend(0).sent) != key_in(a.backend(1).sent));
}

TEST_CASE("ends and resets go through between the versions") {
  Http2Client pipe;
  pipe.open_tunnel();
  SUBCASE("the backend ends first") {
    pipe.end_of_backend();
    CHECK(pipe.got() == "DATA 1 0 END");
    pipe.send(h2::body(1, "still"));
    CHECK(pipe.backend().take() == "still");
    pipe.send(h2::body(1, "", h2::end_stream));
    CHECK(pipe.backend().shut_down);
  }
  SUBCASE("the backend resets") {
    pipe.reset_of_backend();
    CHECK(pipe.got() == "RST 1 8");
  }
  SUBCASE("the client resets") {
    pipe.send(h2::reset(1, 8));
    CHECK(pipe.backend().end != Wire::End::open);
    CHECK(pipe.backend().end != Wire::End::graceful);
  }
  SUBCASE("the client's connection is gone") {
    pipe.reset_of_client();
    CHECK(pipe.backend().end != Wire::End::open);
  }
  CHECK(pipe.at_rest());
}

TEST_CASE("a full backend stops the tunnel's window, and no other stream") {
  Http2Client pipe;
  pipe.open_tunnel();
  pipe.backend().transport->block();
  std::string got;
  for (int i = 0; i < 4; ++i) got += pipe.sent(h2::body(1, std::string(16'000, 'x')));
  CHECK(got.find("WINDOW 1 ") == got.npos);
  pipe.send(h2::head(3, h2::get("/other")));
  CHECK(pipe.backend(1).sent.starts_with("GET /other "));
  pipe.backend().transport->room();
  CHECK(pipe.got().find("WINDOW 1 64000") != std::string::npos);
  CHECK(pipe.backend().take().size() == 64'000);
}

TEST_CASE("what would look like a tunnel and is none is refused") {
  Http2Client pipe;
  SUBCASE("a backend that passes over the Upgrade") {
    pipe.send(h2::head(1, extended_connect(), open_head));
    pipe.answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    CHECK(pipe.got().starts_with("HEADERS 1 :status=502 "));
    CHECK(pipe.log->last_reason == "upstream.protocol");
  }
  SUBCASE("a backend with another accept") {
    pipe.send(h2::head(1, extended_connect(), open_head));
    pipe.answer(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "
        "websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
    CHECK(pipe.got().starts_with("HEADERS 1 :status=502 "));
    CHECK(pipe.log->last_reason == "upstream.protocol");
  }
  SUBCASE("a protocol that the route does not let through") {
    CHECK(pipe.sent(h2::head(1, extended_connect({}, "connect-udp"), open_head))
              .starts_with("HEADERS 1 :status=501 "));
    CHECK(pipe.log->last_reason == "request.upgrade");
    CHECK(pipe.connector->wires.empty());
  }
  SUBCASE("a route that lets none through") {
    pipe.route_config.upgrade.clear();
    CHECK(pipe.sent(h2::head(1, extended_connect(), open_head)).starts_with("HEADERS 1 :status=501 "));
    CHECK(pipe.connector->wires.empty());
  }
  SUBCASE("a route that answers itself") {
    pipe.route->target = nullptr;
    auto target = std::make_unique<Target>();
    target->kind = Target::Kind::respond;
    target->respond.status = 200;
    pipe.route->target = target.get();
    pipe.snapshot->targets.push_back(std::move(target));
    CHECK(pipe.sent(h2::head(1, extended_connect(), open_head)).starts_with("HEADERS 1 :status=501 "));
    CHECK(pipe.log->last_reason == "request.upgrade");
  }
  SUBCASE("another version of WebSocket") {
    const std::string got =
        pipe.sent(h2::head(1, extended_connect({{"sec-websocket-version", "8"}}), open_head));
    CHECK(got.starts_with("HEADERS 1 :status=426 "));
    CHECK(got.find("sec-websocket-version=13") != std::string::npos);
  }
  SUBCASE("a refusal is passed on as it is") {
    pipe.send(h2::head(1, extended_connect(), open_head));
    pipe.answer("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    CHECK(pipe.got() == "HEADERS 1 :status=403 content-length=2 x-request-id=ID | DATA 1 2 END | RST 1 0");
  }
  CHECK(pipe.at_rest());
  CHECK(pipe.worker.metrics.tunnels() == 0);
}

TEST_CASE("a client of HTTP/1.1 gets its WebSocket from a backend of HTTP/2") {
  Http2Backend pipe;
  pipe.ask("Sec-WebSocket-Protocol: chat\r\n");
  pipe.its_settings({{8, 1}});
  const std::string asked = pipe.asked();
  CHECK(asked.find("HEADERS 1 :method=CONNECT :protocol=websocket :scheme=http") != asked.npos);
  CHECK(asked.find("sec-websocket-protocol=chat") != asked.npos);
  CHECK(asked.find("sec-websocket-key") == asked.npos);
  pipe.answer(h2::head(1, {{":status", "200"}, {"sec-websocket-protocol", "chat"}}, h2::end_headers));
  CHECK(without_id(pipe.client.take()) ==
        "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-protocol: chat\r\nsec-websocket-accept: "
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nx-request-id: ID\r\nupgrade: websocket\r\nconnection: "
        "upgrade\r\n\r\n");
  pipe.send("hello");
  CHECK(pipe.asked() == "DATA 1 5");
  pipe.answer(h2::body(1, "you"));
  CHECK(pipe.client.take() == "you");
  SUBCASE("the client ends first") {
    test::feed_end(pipe.client);
    CHECK(pipe.asked() == "DATA 1 0 END");
    pipe.answer(h2::body(1, "bye", h2::end_stream));
    CHECK(pipe.client.take() == "bye");
    CHECK(pipe.client.end == Wire::End::graceful);
  }
  SUBCASE("the backend ends first") {
    pipe.answer(h2::body(1, "bye", h2::end_stream));
    CHECK(pipe.client.take() == "bye");
    CHECK(pipe.client.shut_down);
    pipe.send("more");
    CHECK(pipe.asked() == "DATA 1 4");
    test::feed_end(pipe.client);
    CHECK(pipe.asked() == "DATA 1 0 END");
  }
  SUBCASE("the client resets") {
    pipe.reset_of_client();
    CHECK(pipe.asked() == "RST 1 8");
  }
  SUBCASE("the backend resets") {
    pipe.answer(h2::reset(1, 8));
    CHECK(pipe.client.end == Wire::End::aborted);
  }
  CHECK(pipe.at_rest());
}

TEST_CASE("a backend of HTTP/2 that takes no WebSockets: a refusal with its reason, never a plain request") {
  Http2Backend pipe;
  pipe.ask();
  pipe.its_settings({});
  CHECK(pipe.asked().find("HEADERS") == std::string::npos);
  CHECK(pipe.client.take().starts_with("HTTP/1.1 502 "));
  CHECK(pipe.log->last_reason == "upstream.upgrade");
  CHECK(pipe.at_rest());
}
