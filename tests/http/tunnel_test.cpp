// Upgrades on the client's connection: the tunnel, its early bytes and its end.
#include <doctest/doctest.h>

#include "support.h"

using namespace penstock;
using namespace penstock::test;

namespace {

constexpr std::string_view get = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

void switch_protocol(Recorder& stream) {
  Message head(stream.stream->arena());
  head.status = 101;
  stream.stream->send_head(head, EndStream::no);
  stream.stream->flush();
}

}  // namespace

TEST_CASE("an upgrade turns the connection into a tunnel, early bytes included") {
  for (bool at_once : {true, false}) {
    net::Loop loop;
    Client client(loop);
    auto switch_over = [](Recorder& r) {
      Message head(r.stream->arena());
      head.status = 101;
      head.upgrade = "websocket";
      head.headers.add(HeaderId::sec_websocket_accept, "abc");
      r.stream->send_head(head, EndStream::no);
      r.stream->flush();
    };
    if (at_once) client.prepare = [&](Recorder& made) { made.at_head = switch_over; };
    feed(client.wire,
         "GET /c HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\nearly\r\n\r\n");
    Recorder& stream = client.stream();
    if (!at_once) {
      CHECK(stream.log() == "GET x /c upgrade=websocket END");
      switch_over(stream);
      feed(client.wire, " later");
      turn(loop);
    } else {
      feed(client.wire, " later");
    }
    CHECK(stream.body == "early\r\n\r\n later");
    CHECK(
        client.wire.take() ==
        "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: abc\r\nupgrade: websocket\r\nconnection: "
        "upgrade\r\n\r\n");
    feed(client.wire, "GET / HTTP/1.1\r\n\r\n");
    CHECK(stream.body.ends_with("GET / HTTP/1.1\r\n\r\n"));
    stream.stream->send_data("raw");
    stream.stream->flush();
    CHECK(client.wire.take() == "raw");
    feed_end(client.wire);
    CHECK(stream.events.back() == "end");
    stream.stream->send_data("bye");
    stream.stream->send_end();
    CHECK(client.wire.take() == "bye");
    CHECK(client.wire.shut_down);
    stream.release();
    CHECK(client.wire.end == Wire::End::graceful);
  }
}

TEST_CASE("a refused upgrade leaves an HTTP connection") {
  net::Loop loop;
  Client client(loop);
  feed(client.wire,
       fmt::format("GET /c HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n{}", get));
  answer(client.stream(0));
  client.stream(0).release();
  turn(loop);
  CHECK(client.stream(1).log() == "GET x /a END");
  answer(client.stream(1));
  client.stream(1).release();
}

TEST_CASE("101 without an upgrade to answer is never sent") {
  net::Loop loop;
  Client client(loop);
  feed(client.wire, get);
  switch_protocol(client.stream());
  turn(loop);
  CHECK(client.stream().error.reason == reason::internal_error);
  CHECK(client.wire.sent.empty());
}

TEST_CASE("a tunnel that is left with a side open is cut by a reset") {
  net::Loop loop;
  Client client(loop);
  feed(client.wire, "GET /c HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  switch_protocol(client.stream());
  client.stream().release();
  CHECK(client.wire.end == Wire::End::aborted);
}

TEST_CASE("a client that ends its side before the 101 is told to the tunnel afterwards") {
  net::Loop loop;
  Client client(loop);
  feed(client.wire, "GET /c HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly");
  feed_end(client.wire);
  CHECK(client.stream().open);
  switch_protocol(client.stream());
  turn(loop);
  CHECK(client.stream().log() == "GET x /c upgrade=websocket END | data early | end");
  client.stream().stream->send_end();
  client.stream().release();
  CHECK(client.wire.end == Wire::End::graceful);
}

TEST_CASE("a tunnel whose TLS end may be forged is broken off and not ended") {
  net::Loop loop;
  Client client(loop);
  feed(client.wire, "GET /c HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  switch_protocol(client.stream());
  feed(client.wire, "half");
  feed_truncated_end(client.wire);
  turn(loop);
  CHECK(client.stream().log().find("| end") == std::string::npos);
  CHECK(client.stream().log().find("data half | ") != std::string::npos);
  CHECK(!client.stream().open);
}

TEST_CASE("a whole request whose TLS end may be forged is answered, a part of one is broken off") {
  net::Loop loop;
  Client client(loop);
  SUBCASE("whole") {
    feed(client.wire, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody");
    feed_truncated_end(client.wire);
    turn(loop);
    CHECK(client.stream().open);
    Message head(client.stream().stream->arena());
    head.status = 204;
    client.stream().stream->send_head(head, EndStream::yes);
    client.stream().release();
    CHECK(client.wire.sent.starts_with("HTTP/1.1 204"));
    CHECK(client.wire.end == Wire::End::graceful);
  }
  SUBCASE("a part") {
    feed(client.wire, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nbody");
    feed_truncated_end(client.wire);
    turn(loop);
    CHECK(!client.stream().open);
  }
}
