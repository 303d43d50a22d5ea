// The backend's connection: lent, reused, and given up as soon as anything is not exact.
#include <doctest/doctest.h>

#include "base/reason.h"
#include "support.h"

using namespace penstock;
using namespace penstock::test;

namespace {

constexpr std::string_view ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
constexpr std::string_view asked = "GET / HTTP/1.1\r\nhost: backend\r\n\r\n";

// The request leaves at the latest when the turn ends.
void ask(Backend& backend, Recorder& stream, Method method = Method::get) {
  Message head(stream.stream->arena());
  fill_request(head, method);
  stream.stream->send_head(head, EndStream::yes);
  stream.stream->flush();
  turn(backend.loop);
}

const Error lost{ErrorKind::reset, ErrorSource::downstream, Retry::no, {}, "reset by peer"};

}  // namespace

TEST_CASE("a connection is lent again after a clean exchange") {
  net::Loop loop;
  Backend backend(loop);
  for (size_t i = 1; i <= 3; ++i) {
    Recorder stream;
    REQUIRE(backend.open(stream));
    CHECK(stream.stream->reused() == (i > 1));
    CHECK(!stream.stream->any_byte_sent());
    Recorder second;
    CHECK(backend.open(second) == nullptr);
    ask(backend, stream);
    CHECK(stream.stream->any_byte_sent());
    CHECK(!stream.stream->any_byte_received());
    CHECK(backend.wire.take() == asked);
    feed(backend.wire, ok);
    CHECK(stream.log() == "200 OK length=2 | data ok | end");
    CHECK(stream.turn_ends == 1);
    stream.release();
    CHECK(backend.idle == i);
  }
}

TEST_CASE("a connection may be lent again inside on_idle, while the answer's event is still on the stack") {
  net::Loop loop;
  Backend backend(loop);
  Recorder first, second;
  first.at_end = [](Recorder& r) { r.release(); };
  backend.at_idle = [&] {
    if (backend.idle == 1 && backend.open(second)) ask(backend, second);
  };
  backend.open(first);
  ask(backend, first);
  feed(backend.wire, ok);
  CHECK(first.turn_ends == 0);
  CHECK(second.open);
  CHECK(second.turn_ends == 0);
  CHECK(backend.wire.sent == fmt::format("{0}{0}", asked));
  feed(backend.wire, ok);
  CHECK(second.log() == first.log());
  second.release();
}

TEST_CASE("an idle connection goes when the backend closes or says anything") {
  for (int how = 0; how < 3; ++how) {
    net::Loop loop;
    Backend backend(loop);
    Recorder stream;
    backend.open(stream);
    ask(backend, stream);
    feed(backend.wire, ok);
    stream.release();
    if (how == 0) feed_end(backend.wire);
    if (how == 1) feed(backend.wire, "HTTP/1.1 408 Request Timeout\r\n\r\n");
    if (how == 2) feed_error(backend.wire, lost);
    CHECK(backend.closed == 1);
    CHECK(backend.wire.end == Wire::End::destroyed);
  }
}

TEST_CASE("bytes before the request are garbage, and the request may go elsewhere") {
  net::Loop loop;
  Backend backend(loop);
  Recorder stream;
  backend.open(stream);
  feed(backend.wire, ok);
  CHECK(stream.error.reason == reason::upstream_protocol);
  CHECK(stream.error.retry == Retry::yes);
  CHECK(backend.closed == 1);
}

TEST_CASE("an error says whether another attempt is allowed") {
  struct Case {
    bool sent, received;
    Retry retry;
  };
  for (const Case& each :
       {Case{false, false, Retry::yes}, Case{true, false, Retry::if_reused}, Case{true, true, Retry::no}}) {
    for (bool fin : {true, false}) {
      net::Loop loop;
      Backend backend(loop);
      Recorder stream;
      backend.open(stream);
      if (each.sent) ask(backend, stream);
      if (each.received) feed(backend.wire, "H");
      fin ? feed_end(backend.wire) : feed_error(backend.wire, lost);
      CHECK(stream.error.retry == each.retry);
      CHECK(stream.error.reason == reason::upstream_reset);
      CHECK(stream.error.source == ErrorSource::upstream);
      CHECK(backend.closed == 1);
    }
  }
}

TEST_CASE("an answer before the request is over ends the connection") {
  net::Loop loop;
  Backend backend(loop);
  Recorder stream;
  backend.open(stream);
  Message head(stream.stream->arena());
  fill_request(head, Method::post);
  head.body = BodyKind::length;
  head.has_content_length = true;
  head.content_length = 10;
  stream.stream->send_head(head, EndStream::no);
  stream.stream->send_data("hello");
  stream.stream->flush();
  feed(backend.wire, ok);
  CHECK(stream.events.back() == "end");
  stream.release();
  CHECK(backend.idle == 0);
  CHECK(backend.closed == 1);
}

TEST_CASE("a connection whose request is not with the kernel yet is not lent again") {
  net::Loop loop;
  Backend backend(loop);
  Recorder stream;
  backend.open(stream);
  backend.wire.transport->block();
  ask(backend, stream);
  feed(backend.wire, ok);
  stream.release();
  CHECK(backend.idle == 0);
  CHECK(backend.closed == 1);
}

TEST_CASE("a request that does not fit its declared length never looks whole") {
  for (std::string_view body : {"too long", "a"}) {
    net::Loop loop;
    Backend backend(loop);
    Recorder stream;
    backend.open(stream);
    Message head(stream.stream->arena());
    fill_request(head, Method::post);
    head.body = BodyKind::length;
    head.content_length = 4;
    stream.stream->send_head(head, EndStream::no);
    stream.stream->send_data(body);
    if (body.size() < 4) stream.stream->send_end();
    stream.stream->flush();
    turn(loop);
    CHECK(stream.error.reason == reason::internal_error);
    CHECK(stream.error.retry == Retry::no);
    CHECK(backend.wire.sent.empty());
    CHECK(backend.closed == 1);
  }
}

TEST_CASE("a target that would split the request line is never sent") {
  for (std::string_view path : {"/a b", "/a\r\nx: y", "", "/\x7f"}) {
    net::Loop loop;
    Backend backend(loop);
    Recorder stream;
    backend.open(stream);
    Message head(stream.stream->arena());
    fill_request(head, Method::get, path);
    stream.stream->send_head(head, EndStream::yes);
    stream.stream->flush();
    turn(loop);
    CHECK(stream.error.reason == reason::internal_error);
    CHECK(backend.wire.sent.empty());
  }
}

TEST_CASE("fields of the connection that were added on the way are not sent twice") {
  net::Loop loop;
  Backend backend(loop);
  Recorder stream;
  backend.open(stream);
  Message head(stream.stream->arena());
  fill_request(head);
  for (std::string_view name : {"host", "content-length", "transfer-encoding", "connection", "te", "upgrade",
                                "keep-alive", "expect", "proxy-connection"})
    head.headers.add(name, "1");
  head.headers.add("x", "1");
  stream.stream->send_head(head, EndStream::yes);
  stream.stream->flush();
  CHECK(backend.wire.sent == "GET / HTTP/1.1\r\nhost: backend\r\nx: 1\r\n\r\n");
  stream.reset_stream();
  CHECK(backend.wire.end == Wire::End::aborted);
}

TEST_CASE("a head of 60 KiB is written whole") {
  net::Loop loop;
  Backend backend(loop);
  Recorder stream;
  backend.open(stream);
  Message head(stream.stream->arena());
  fill_request(head);
  std::string value(20'000, 'v'), path = "/" + std::string(4'075, 'p');
  head.path = path;
  for (std::string_view name : {"a", "b", "c"}) head.headers.add(name, value);
  stream.stream->send_head(head, EndStream::yes);
  stream.stream->flush();
  CHECK(backend.wire.sent ==
        fmt::format("GET {0} HTTP/1.1\r\nhost: backend\r\na: {1}\r\nb: {1}\r\nc: {1}\r\n\r\n", path, value));
  stream.reset_stream();
}

TEST_CASE("a 101 that was asked for makes a tunnel that is never lent again") {
  net::Loop loop;
  Backend backend(loop);
  Recorder stream;
  backend.open(stream);
  Message head(stream.stream->arena());
  fill_request(head);
  head.upgrade = "websocket";
  stream.stream->send_head(head, EndStream::yes);
  stream.stream->flush();
  CHECK(backend.wire.take() ==
        "GET / HTTP/1.1\r\nhost: backend\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n");
  feed(backend.wire,
       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nX: 1\r\n\r\nhello");
  feed(backend.wire, " HTTP/1.1 200 OK\r\n\r\n");
  CHECK(stream.log() == "101 Switching Protocols upgrade=websocket x=1 | data hello HTTP/1.1 200 OK\r\n\r\n");
  stream.stream->send_data("raw");
  stream.stream->flush();
  CHECK(backend.wire.take() == "raw");
  feed_end(backend.wire);
  CHECK(stream.events.back() == "end");
  stream.stream->send_end();
  CHECK(backend.wire.shut_down);
  stream.release();
  CHECK(backend.closed == 1);
  CHECK(backend.idle == 0);
}

TEST_CASE("a 101 to something else is refused") {
  for (std::string_view fields :
       {"Upgrade: h2c\r\nConnection: upgrade\r\n", "Upgrade: websocket\r\n", "Connection: upgrade\r\n",
        "Upgrade: websocket, h2c\r\nConnection: upgrade\r\n"}) {
    CAPTURE(fields);
    net::Loop loop;
    Backend backend(loop);
    Recorder stream;
    backend.open(stream);
    Message head(stream.stream->arena());
    fill_request(head);
    head.upgrade = "websocket";
    stream.stream->send_head(head, EndStream::yes);
    stream.stream->flush();
    feed(backend.wire, fmt::format("HTTP/1.1 101 S\r\n{}\r\n", fields));
    CHECK(stream.log() == "reset upstream.protocol");
  }
}

TEST_CASE("release and reset are allowed in every event of an answer") {
  constexpr std::string_view response =
      "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: "
      "chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\nX: 1\r\n\r\n";
  using Member = Recorder::Hook Recorder::*;
  const Member members[] = {&Recorder::at_informational, &Recorder::at_head, &Recorder::at_data,
                            &Recorder::at_trailers,      &Recorder::at_end,  &Recorder::at_turn_end};
  for (Member member : members) {
    for (int how = 0; how < 3; ++how) {
      for (bool bytewise : {false, true}) {
        net::Loop loop;
        Backend backend(loop);
        Recorder stream;
        stream.*member = [&](Recorder& r) {
          if (how == 0) r.release();
          if (how == 1) r.reset_stream();
          if (how == 2) backend.connection->close();
        };
        backend.open(stream);
        ask(backend, stream);
        bytewise ? feed_each_byte(backend.wire, response) : feed(backend.wire, response);
        turn(loop);
        CHECK(!stream.open);
        // With the answer complete, release() gives it back.
        bool clean = how == 0 && (member == &Recorder::at_end || member == &Recorder::at_trailers ||
                                  (member == &Recorder::at_turn_end && !bytewise));
        CHECK(backend.idle == (clean ? 1 : 0));
        CHECK(backend.closed == (clean ? 0 : 1));
      }
    }
  }
}

TEST_CASE("closing tells the stream that is open") {
  net::Loop loop;
  Backend backend(loop);
  Recorder stream;
  backend.open(stream);
  ask(backend, stream);
  backend.connection->close();
  CHECK(stream.error.kind == ErrorKind::cancelled);
  CHECK(stream.error.retry == Retry::no);
  CHECK(backend.closed == 1);
}

TEST_CASE("over TLS an answer that ends with its connection is whole with close_notify alone") {
  for (const bool tunnel : {false, true}) {
    for (const bool cut : {false, true}) {
      CAPTURE(tunnel);
      CAPTURE(cut);
      net::Loop loop;
      Backend backend(loop);
      Recorder stream;
      backend.open(stream);
      Message head(stream.stream->arena());
      fill_request(head);
      if (tunnel) head.upgrade = "websocket";
      stream.stream->send_head(head, EndStream::yes);
      stream.stream->flush();
      turn(loop);
      feed(backend.wire, tunnel ? "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nabc"
                                : "HTTP/1.1 200 OK\r\n\r\nabc");
      cut ? feed_truncated_end(backend.wire) : feed_end(backend.wire);
      if (!cut) {
        CHECK(stream.events.back() == "end");
        stream.release();
        continue;
      }
      CHECK(stream.error.kind == ErrorKind::tls);
      CHECK(stream.error.reason == reason::upstream_reset);
      CHECK(stream.error.retry == Retry::no);
      CHECK(backend.closed == 1);
    }
  }
}

TEST_CASE("where the message tells its own end, an end of TLS without close_notify takes nothing from it") {
  net::Loop loop;
  Backend backend(loop);
  Recorder stream;
  backend.open(stream);
  ask(backend, stream);
  feed(backend.wire, ok);
  feed_truncated_end(backend.wire);
  CHECK(stream.log() == "200 OK length=2 | data ok | end");
  stream.release();
  CHECK(backend.idle == 0);
}

TEST_CASE("a TLS connection says goodbye between two messages, never within one") {
  const net::TlsInfo tls;
  for (const bool within : {false, true}) {
    for (const bool theirs : {false, true}) {
      net::Loop loop;
      Backend backend(loop);
      backend.wire.tls = &tls;
      Recorder stream;
      backend.open(stream);
      ask(backend, stream);
      if (!within) {
        feed(backend.wire, ok);
        stream.release();
      }
      if (theirs)
        feed_end(backend.wire);
      else
        backend.connection->close();
      CHECK(backend.closed == 1);
      CHECK(backend.wire.end == (within ? Wire::End::destroyed : Wire::End::graceful));
    }
  }
}

TEST_CASE("what TLS says of a refusal is the reason that the stream is told") {
  net::Loop loop;
  Backend backend(loop);
  Recorder stream;
  backend.open(stream);
  ask(backend, stream);
  feed_error(backend.wire, {ErrorKind::tls, ErrorSource::upstream, Retry::no, reason::upstream_tls_refused,
                            "the backend asks for a client certificate"});
  CHECK(stream.error.kind == ErrorKind::tls);
  CHECK(stream.error.reason == reason::upstream_tls_refused);
  CHECK(stream.error.retry == Retry::if_reused);
}
