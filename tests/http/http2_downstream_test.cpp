// HTTP/2 from the client's side: streams, bodies, windows and ends, frame by frame.
#include <doctest/doctest.h>

#include "http2_client.h"

using namespace penstock;
using namespace penstock::test;
using namespace penstock::test::h2;

namespace {

constexpr std::string_view answered = "HEADERS 1 :status=200 content-length=2 date=D | DATA 1 2 END";

void send_head(Recorder& r, uint16_t status, EndStream end = EndStream::no, const Fields& fields = {}) {
  BlockPool pool;
  Arena arena(pool);
  Message message(arena);
  message.status = status;
  message.body = end == EndStream::yes ? BodyKind::none : BodyKind::unknown;
  message.headers.add(HeaderId::date, "D");
  for (const auto& [name, value] : fields) message.headers.add(name, value);
  r.stream->send_head(message, end);
}

}  // namespace

TEST_CASE("a request over HTTP/2 is the message that it would be over HTTP/1.1") {
  Peer peer;
  CHECK(peer.send(head(1, request("GET", "/a?q=1", {{"accept", "x"}, {"te", "trailers"}}))).empty());
  CHECK(peer.stream().log() == "GET x /a?q=1 te accept=x END");
  CHECK(peer.stream().head->version == Version::http_2);
  CHECK(peer.stream().turn_ends == 1);
  answer(peer.stream());
  peer.stream().release();
  CHECK(peer.got() == answered);
  CHECK(peer.reader.body(1) == "ok");
  CHECK(peer.client.connection->open_streams() == 0);
  CHECK(peer.send(head(3, get("/b"))).empty());
  CHECK(peer.stream(1).log() == "GET x /b END");
}

TEST_CASE("it begins with the settings that the listener has") {
  net::Loop loop;
  DownstreamSettings settings;
  settings.http2.max_concurrent_streams = 7;
  Client client(loop, settings, Client::Speaks::http2);
  turn(loop);
  const std::string expected =
      setting({{3, 7}, {4, 64 * 1024}, {5, 16 * 1024}, {6, 32 * 1024}, {1, 4096}, {8, 1}, {9, 1}}) +
      window(0, 1024 * 1024 - 65535);
  CHECK(client.wire.take() == expected);
}

TEST_CASE("however the bytes are cut, the same is read") {
  Peer peer;
  peer.answer_all();
  const std::string post = hpack(request("POST", "/p"));
  const std::string all = frame(headers, padded | 0x20, 1, "\2" + number(0, 5) + post.substr(0, 1) + "pp") +
                          frame(continuation, none, 1, post.substr(1, 1)) + frame(continuation, none, 1) +
                          frame(continuation, end_headers, 1, post.substr(2)) +
                          frame(ping, none, 0, "12345678") + body(1, "\3abppp", padded) +
                          frame(priority, none, 1, number(3, 4) + "w") + window(1, 9) + body(1, "cd") +
                          frame(static_cast<Type>(0xbe), none, 1, "nobody") + head(1, {{"x-sum", "1"}}) +
                          frame(static_cast<Type>(16), none, 0, number(3, 4) + "u=1") + head(3, get());
  feed_each_byte(peer.client.wire, all);
  CHECK(peer.stream(0).log() == "POST x /p chunked | data abcd | trailers x-sum=1 | end");
  CHECK(peer.stream(1).log() == "GET x / END");
  Peer other;
  other.answer_all();
  CHECK(other.send(all) == peer.got());
  CHECK(other.client.log() == peer.client.log());
}

TEST_CASE("answers of a turn leave in one write") {
  Peer peer;
  peer.send(head(1, get()) + head(3, get()) + head(5, get()));
  const size_t before = peer.client.wire.writes.size();
  for (size_t i = 0; i < 3; ++i) {
    answer(peer.stream(i));
    peer.stream(i).release();
  }
  CHECK(peer.client.wire.writes.size() == before);
  turn(peer.loop);
  CHECK(peer.client.wire.writes.size() == before + 1);
}

TEST_CASE("a body goes by its window, and its handler hears of room") {
  Peer peer;
  peer.send(head(1, get()));
  const std::string large(100'000, 'a');
  BlockPool pool;
  Arena arena(pool);
  Message message(arena);
  fill_response(message, 200, large.size());
  Recorder& r = peer.stream();
  r.stream->send_head(message, EndStream::no);
  {
    std::string lent = large;  // gone after flush()
    r.stream->send_data(lent);
    r.stream->send_end();
    r.stream->flush();
  }
  peer.got();
  CHECK(peer.reader.body(1).size() == 65'535);
  CHECK(r.stream->unsent() == large.size() - 65'535);
  CHECK(r.drained == 0);
  CHECK(peer.send(window(1, 20'000)).empty());  // the connection has none
  CHECK(peer.send(window(0, 20'000)) == "DATA 1 16384 | DATA 1 3616");
  CHECK(r.drained == 1);  // the low mark
  CHECK(peer.send(window(0, 100'000) + window(1, 100'000)) == "DATA 1 14465 END");
  CHECK(r.drained == 1);  // it is over
  CHECK(peer.reader.body(1) == large);
  r.release();
  CHECK(peer.client.closed == 0);
}

TEST_CASE("what waited for a full transport goes on to its end once that takes all again") {
  Peer peer;
  peer.send(setting({{4, 1 << 20}}) + window(0, 1 << 20) + head(1, get()));
  const std::string large(700'000, 'a');
  peer.client.wire.transport->block();
  send_head(peer.stream(), 200);
  peer.stream().stream->send_data(large);
  peer.stream().stream->send_end();
  peer.stream().stream->flush();
  peer.got();
  CHECK(peer.reader.body(1).size() < large.size());
  peer.client.wire.transport->room();  // nothing else calls for more: neither windows nor another answer
  for (int i = 0; i < 20; ++i) peer.got();
  CHECK(peer.reader.body(1).size() == large.size());
  peer.stream().release();
  CHECK(peer.client.connection->open_streams() == 0);
}

TEST_CASE("a stream that waits for its window keeps no other waiting") {
  Peer peer;
  peer.send(setting({{4, 0}}) + head(1, get()) + head(3, get()));
  for (size_t i = 0; i < 2; ++i) {
    answer(peer.stream(i));
    peer.stream(i).release();
  }
  CHECK(peer.got() ==
        "HEADERS 1 :status=200 content-length=2 date=D | HEADERS 3 :status=200 content-length=2 date=D");
  CHECK(peer.send(window(3, 10)) == "DATA 3 2 END");
  CHECK(peer.send(window(1, 1)) == "DATA 1 1");
  CHECK(peer.send(window(1, 1)) == "DATA 1 1 END");
}

TEST_CASE("a long body is lent to the transport, a short one copied") {
  Peer peer;
  peer.send(head(1, get()) + head(3, get()));
  const size_t before = peer.client.wire.segments.size();
  send_head(peer.stream(), 200);
  const std::string large(60'000, 'b');
  peer.stream().stream->send_data(large);
  peer.stream().stream->flush();
  REQUIRE(peer.client.wire.segments.size() == before + 1);  // without waiting for the end of the turn
  CHECK(peer.client.wire.segments.back() == 8);             // a head and a body for each of four frames
}

TEST_CASE("the window of a request goes back when the other side has taken the bytes") {
  struct Slow final : StreamHandler {
    size_t waits = 0;
    Stream* stream = nullptr;
    void on_head(Message&, EndStream) override {}
    void on_bad_head(const Error&, Message&) override {}
    void on_informational(Message&) override {}
    void on_data(std::string_view bytes) override { waits += bytes.size(); }
    void on_trailers(Headers&) override {}
    void on_end() override {}
    void on_turn_end() override {}
    void on_drained() override {}
    void on_reset(const Error&) override { stream = nullptr; }
    size_t undelivered() const override { return waits; }
  };
  struct Owner final : DownstreamOwner {
    std::vector<std::unique_ptr<Slow>> made;
    StreamHandler& on_stream(Stream& stream, DownstreamConnection&) override {
      made.push_back(std::make_unique<Slow>());
      made.back()->stream = &stream;
      return *made.back();
    }
    void on_closed(DownstreamConnection&) override {}
  } owner;
  net::Loop loop;
  Wire wire;
  Reader reader;
  const DownstreamSettings settings;
  auto connection = make_http2_downstream(loop, std::make_unique<ScriptedTransport>(wire), settings, owner);
  auto send = [&](const std::string& bytes) {
    feed(wire, bytes);
    turn(loop);
    return reader.text(wire.take());
  };
  send(hello());
  send(frame(h2::settings, ack, 0));
  const std::string part(16'384, 'x');
  std::string all = head(1, request("POST", "/"), end_headers);
  for (int i = 0; i < 4; ++i) all += body(1, part);
  CHECK(send(all).empty());  // its window is used up, and nothing of it comes back
  // Another stream is not stalled by it, nor the connection by both.
  owner.made.front()->waits = 65'536 - 40'000;
  owner.made.front()->stream->resume(PauseReason::sink_full);
  turn(loop);
  CHECK(reader.text(wire.take()) == "WINDOW 1 40000");
  CHECK(send(head(3, request("POST", "/"), end_headers) + body(3, part)).empty());
  owner.made.back()->waits = 0;
  std::string more;
  for (int i = 0; i < 3; ++i) more += body(3, part);
  CHECK(send(more).empty());
  std::string windows;
  for (uint32_t id = 5; id < 40; id += 2) {
    std::string one = head(id, request("POST", "/"), end_headers);
    for (int i = 0; i < 4; ++i) one += body(id, part);
    windows += send(one);
  }
  CHECK(windows.find("WINDOW 0 ") != std::string::npos);
  CHECK(wire.end == Wire::End::open);
  connection->close();
}

TEST_CASE("trailers, interim answers and answers without a body") {
  Peer peer;
  peer.send(head(1, request("HEAD", "/")) + head(3, get()) +
            head(5, request("POST", "/", {{"expect", "100-continue"}}), end_headers));
  CHECK(peer.stream(2).log() == "POST x / chunked expect");
  BlockPool pool;
  Arena arena(pool);
  Message message(arena);
  fill_response(message, 200, 12);
  message.body = BodyKind::none;
  message.headers.add(HeaderId::date, "D");
  peer.stream(0).stream->send_head(message, EndStream::yes);
  peer.stream(0).stream->flush();
  peer.stream(0).release();
  CHECK(peer.got() == "HEADERS 1 :status=200 content-length=12 date=D END");
  Message hints(arena);
  hints.status = 103;
  hints.headers.add(HeaderId::link, "a");
  peer.stream(1).stream->send_informational(hints);
  peer.stream(1).stream->flush();
  CHECK(peer.got() == "HEADERS 3 :status=103 link=a");
  send_head(peer.stream(1), 200, EndStream::no, {{"trailer", "x-sum"}});
  peer.stream(1).stream->send_data("abc");
  Headers trailers(arena);
  trailers.add("x-sum", "6");
  trailers.add(HeaderId::connection, "close");
  peer.stream(1).stream->send_trailers(trailers);
  peer.stream(1).stream->flush();
  peer.stream(1).release();
  CHECK(peer.got() == "HEADERS 3 :status=200 date=D trailer=x-sum | DATA 3 3 | HEADERS 3 x-sum=6 END");
  Message go_on(arena);
  go_on.status = 100;
  peer.stream(2).stream->send_informational(go_on);
  peer.stream(2).stream->flush();
  CHECK(peer.got() == "HEADERS 5 :status=100");
  send_head(peer.stream(2), 204, EndStream::yes);
  peer.stream(2).stream->flush();
  peer.stream(2).release();
  // Its request is not over, and nobody wants the rest.
  CHECK(peer.got() == "HEADERS 5 :status=204 date=D END | RST 5 0");
  CHECK(peer.client.closed == 0);
}

TEST_CASE("trailers that come when all data has left end the stream") {
  Peer peer;
  peer.send(head(1, get()));
  send_head(peer.stream(), 200);
  peer.stream().stream->send_data("abc");
  peer.stream().stream->flush();
  CHECK(peer.got() == "HEADERS 1 :status=200 date=D | DATA 1 3");
  BlockPool pool;
  Arena arena(pool);
  Headers trailers(arena);
  trailers.add("grpc-status", "0");
  peer.stream().stream->send_trailers(trailers);
  peer.stream().stream->flush();
  peer.stream().release();
  CHECK(peer.got() == "HEADERS 1 grpc-status=0 END");
}

TEST_CASE("how an answer that is none ends its stream, and no other") {
  struct Case {
    std::string_view name;
    std::function<void(Recorder&)> act;
    const char* sent;
    const char* log;
  };
  const Case cases[] = {
      {"released without an answer", [](Recorder& r) { r.release(); }, "RST 1 2", ""},
      {"reset", [](Recorder& r) { r.reset_stream(); }, "RST 1 2", ""},
      {"released within its body",
       [](Recorder& r) {
         send_head(r, 200);
         r.stream->send_data("a");
         r.stream->flush();
         r.release();
       },
       "HEADERS 1 :status=200 date=D | DATA 1 1 | RST 1 2", ""},
      {"a 101", [](Recorder& r) { send_head(r, 101); }, "RST 1 2", " | reset internal.error"},
      {"a line end in a field", [](Recorder& r) { send_head(r, 200, EndStream::no, {{"a", "b\r\nc: d"}}); },
       "RST 1 2", " | reset internal.error"},
      {"more than its length",
       [](Recorder& r) {
         BlockPool pool;
         Arena arena(pool);
         Message message(arena);
         fill_response(message, 200, 1);
         message.headers.add(HeaderId::date, "D");
         r.stream->send_head(message, EndStream::no);
         r.stream->send_data("ab");
         r.stream->flush();
       },
       "RST 1 2", " | reset internal.error"},
      {"less than its length",
       [](Recorder& r) {
         BlockPool pool;
         Arena arena(pool);
         Message message(arena);
         fill_response(message, 200, 3);
         message.headers.add(HeaderId::date, "D");
         r.stream->send_head(message, EndStream::no);
         r.stream->send_data("ab");
         r.stream->send_end();
         r.stream->flush();
       },
       "RST 1 2", " | reset internal.error"}};
  for (const Case& each : cases) {
    CAPTURE(each.name);
    Peer peer;
    peer.send(head(1, get()));
    each.act(peer.stream());
    const std::string got = peer.got();
    CHECK(got.ends_with(each.sent));
    CHECK(peer.stream().log() == std::string("GET x / END") + each.log);
    peer.answer_all();
    CHECK(peer.send(head(3, get())) == "HEADERS 3 :status=200 content-length=2 date=D | DATA 3 2 END");
  }
}

TEST_CASE("a client that resets is told to the handler; within the read of its head nobody is asked") {
  Peer peer;
  peer.send(head(1, get()));
  CHECK(peer.send(reset(1, 8)).empty());
  CHECK(peer.stream().log() == "GET x / END | reset client.closed");
  peer.answer_all();
  CHECK(peer.send(head(3, get()) + reset(3, 8)).empty());
  CHECK(peer.stream(1).log() == "bad client.closed");
  CHECK(peer.send(head(5, request("POST", "/"), end_headers) + body(5, "a") + reset(5, 0)).empty());
  CHECK(peer.stream(2).log() == "POST x / chunked | data a | reset client.closed");
  CHECK(peer.client.connection->open_streams() == 0);
}

TEST_CASE("a lost connection, a FIN and a close are told to every handler once") {
  for (int how = 0; how < 4; ++how) {
    CAPTURE(how);
    Peer peer;
    peer.send(head(1, get()) + head(3, request("POST", "/"), end_headers));
    switch (how) {
      case 0: feed_end(peer.client.wire); break;
      case 1: feed_error(peer.client.wire, {ErrorKind::reset, ErrorSource::downstream}); break;
      case 2: peer.client.connection->close(); break;
      case 3: peer.client.connection->shed(Limit::max_connections); break;
    }
    CHECK(peer.client.closed == 1);
    const char* reasons[] = {"client.closed", "client.closed", "drain.timeout", "overload"};
    for (size_t i = 0; i < 2; ++i) {
      CHECK(peer.stream(i).log().ends_with(std::string("| reset ") + reasons[how]));
      if (how == 2) CHECK(peer.stream(i).error.source == ErrorSource::internal);
    }
    CHECK((peer.client.wire.end == Wire::End::graceful) == (how == 0 || how == 2));
  }
}

TEST_CASE("a drain takes no request back: a GOAWAY, a PING, then the last one") {
  Peer peer;
  peer.send(head(1, get()));
  peer.client.connection->drain(0);
  CHECK(peer.got() == "GOAWAY 2147483647 0 | PING");
  CHECK(peer.send(head(3, get())).empty());  // was under way
  CHECK(peer.send(frame(ping, ack, 0, peer.reader.last_ping())) == "GOAWAY 3 0");
  CHECK(peer.send(head(5, get())).empty());  // came too late, and its client knows
  CHECK(peer.client.streams.size() == 2);
  for (size_t i = 0; i < 2; ++i) {
    answer(peer.stream(i));
    peer.stream(i).release();
  }
  CHECK(peer.got() ==
        std::string(answered) + " | HEADERS 3 :status=200 content-length=2 date=D | DATA 3 2 END");
  CHECK(peer.client.closed == 1);
  CHECK(peer.client.wire.end == Wire::End::graceful);
}

TEST_CASE("the answer that is to be the connection's last begins a drain, and so does the last request") {
  Peer peer;
  peer.send(head(1, get()));
  peer.stream().stream->close_after();
  answer(peer.stream());
  peer.stream().release();
  CHECK(peer.got() == "GOAWAY 2147483647 0 | PING | " + std::string(answered));
  DownstreamSettings settings;
  settings.max_requests = 1;
  Peer few(settings);
  few.answer_all();
  CHECK(few.send(head(1, get())).starts_with("GOAWAY 2147483647 0 | PING"));
  CHECK(few.client.limits.of(Limit::max_requests) == 1);
}

TEST_CASE("HTTP/2 with prior knowledge begins where HTTP/1 is awaited, however its preface is cut") {
  for (bool cut : {false, true}) {
    net::Loop loop;
    DownstreamSettings settings;
    settings.protocols = Protocols::both;
    Client client(loop, settings);
    const std::string all = hello() + head(1, get());
    cut ? feed_each_byte(client.wire, all) : feed(client.wire, all);
    REQUIRE(client.streams.size() == 1);
    CHECK(client.log() == "GET x / END");
    CHECK(client.stream().stream->version() == Version::http_2);
    answer(client.stream());
    client.stream().release();
    turn(loop);
    Reader reader;
    CHECK(reader.text(client.wire.take()) == "SETTINGS | WINDOW 0 983041 | " + std::string(answered));
  }
}

TEST_CASE("what only begins like HTTP/2 is HTTP/1, and where it is not spoken nobody looks") {
  for (bool both : {false, true})
    for (std::string_view sent : {"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
                                  "PRI * HTTP/1.1\r\nHost: x\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nXM\r\n\r\n"}) {
      CAPTURE(sent);
      net::Loop loop;
      DownstreamSettings settings;
      settings.protocols = both ? Protocols::both : Protocols::http1;
      Client client(loop, settings), whole(loop, settings);
      feed_each_byte(client.wire, sent);
      feed(whole.wire, sent);
      REQUIRE(client.streams.size() == 1);
      CHECK(client.log() == whole.log());
      CHECK(client.log().starts_with("POST") == sent.starts_with("POST"));
      CHECK(client.stream().stream->version() != Version::http_2);
      for (Client* each : {&client, &whole}) each->stream().release();
    }
}
