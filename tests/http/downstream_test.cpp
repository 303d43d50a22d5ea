// The client's connection: its life over several requests, and what it does when somebody goes early.
#include <doctest/doctest.h>

#include "net/timer.h"
#include "support.h"

using namespace penstock;
using namespace penstock::test;

namespace {

constexpr std::string_view get = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
constexpr std::string_view ok = "HTTP/1.1 200 OK\r\ndate: D\r\ncontent-length: 2\r\n\r\nok";

void serve(Recorder& stream) {
  answer(stream);
  stream.release();
}

Message& response(Arena& arena, std::optional<Message>& out, uint16_t status) {
  out.emplace(arena);
  out->status = status;
  out->headers.add(HeaderId::date, "D");
  return *out;
}

}  // namespace

TEST_CASE("a keep-alive connection serves one request after the other") {
  net::Loop loop;
  Client client(loop);
  for (size_t i = 0; i < 3; ++i) {
    feed(client.wire, get);
    Recorder& stream = client.stream(i);
    CHECK(stream.log() == "GET x /a END");
    CHECK(stream.turn_ends == 1);
    serve(stream);
    CHECK(client.wire.take() == ok);
    CHECK(client.wire.end == Wire::End::open);
  }
  CHECK(client.wire.writes.size() == 3);
  CHECK(client.wire.empty_flushes == 3);  // release() after flush()
  feed_end(client.wire);
  CHECK(client.closed == 1);
  CHECK(client.wire.end == Wire::End::graceful);
}

TEST_CASE(
    "little of the next message is read first while long bodies are spliced, and not for long in vain") {
  constexpr size_t length = 100'000;
  const std::string head =
      "PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(length) + "\r\n\r\n";
  net::Loop loop;
  Client client(loop);
  enum class Way { copied, spliced };
  auto send = [&](Way way) {
    feed(client.wire, head);
    way == Way::spliced ? feed_spliced(client.wire, length) : feed(client.wire, std::string(length, 'b'));
    REQUIRE(client.streams.back()->log().ends_with("end"));
    serve(*client.streams.back());
    client.streams.clear();
  };
  CHECK(first_read(client.wire) == 0);
  send(Way::spliced);
  CHECK(first_read(client.wire) == 1024);
  for (int i = 0; i < 3; ++i) {
    send(Way::copied);
    CHECK(first_read(client.wire) == 1024);
  }
  send(Way::copied);  // its head tells that the third one was copied, too
  CHECK(first_read(client.wire) == 0);
  send(Way::spliced);
  CHECK(first_read(client.wire) == 0);
  send(Way::spliced);
  CHECK(first_read(client.wire) == 1024);
  feed(client.wire, get);
  serve(client.stream());
  CHECK(first_read(client.wire) == 0);
}

TEST_CASE("what is under way takes memory, what waits for a request none, however the bytes were cut") {
  net::Loop loop;
  Client client(loop);
  for (std::string_view first : {"G", "\r", "\r\n"}) {
    CAPTURE(first);
    feed(client.wire, first);
    feed(client.wire, first == "G" ? get.substr(1) : first == "\r" ? "\n" : get);
    if (first == "\r") feed(client.wire, get);
    Recorder& stream = *client.streams.back();
    CHECK(stream.log() == "GET x /a END");
    CHECK(loop.blocks().in_use() > 0);
    serve(stream);
    CHECK(client.wire.take() == ok);
    CHECK(loop.blocks().in_use() == 0);
    CHECK(client.connection->held_bytes() == 0);
  }
}

TEST_CASE("one empty line may stand before a request, also when each comes by itself") {
  net::Loop loop;
  Client client(loop);
  feed(client.wire, "\r\n");
  CHECK(client.streams.empty());
  feed(client.wire, "\r\n");
  REQUIRE(client.streams.size() == 1);
  CHECK(client.stream().log().starts_with("bad request.malformed"));
  client.stream().release();
}

TEST_CASE("a new limit on heads holds from a connection's next request on") {
  net::Loop loop;
  Client client(loop);
  feed(client.wire, get);
  serve(client.stream());
  client.settings.header_count = 1;
  feed(client.wire, "GET /b HTTP/1.1\r\nHost: x\r\nA: 1\r\n\r\n");
  CHECK(client.stream(1).error.limit == Limit::header_count);
  client.stream(1).release();
}

TEST_CASE("an idle connection closes, drains, is shed and hears its client's end as any other") {
  for (int how = 0; how < 5; ++how) {
    CAPTURE(how);
    for (bool asked : {false, true}) {
      net::Loop loop;
      Client client(loop);
      if (asked) {
        feed(client.wire, get);
        serve(client.stream());
      }
      CHECK(client.connection->waiting_since_ms() != UINT64_MAX);
      CHECK(client.connection->slow_body_since_ms() == UINT64_MAX);
      client.connection->probe();
      switch (how) {
        case 0: client.connection->close(); break;
        case 1: client.connection->drain(0); break;
        case 2: client.connection->shed(Limit::buffered); break;
        case 3: client.connection->shed(Limit::max_connections); break;
        case 4: feed_end(client.wire); break;
      }
      CHECK(client.closed == 1);
      CHECK(client.wire.end == Wire::End::graceful);
    }
  }
}

TEST_CASE("a request whose connection is closed from this side hears that it was the drain") {
  net::Loop loop;
  Client client(loop);
  feed(client.wire, get);
  client.connection->close();
  CHECK(client.closed == 1);
  CHECK(client.stream().error.reason == reason::drain_timeout);
  CHECK(client.stream().error.source == ErrorSource::internal);
}

TEST_CASE("head and body of an answer leave in one write, a little body in one piece with the head") {
  net::Loop loop;
  Client client(loop);
  feed(client.wire, get);
  answer(client.stream());
  CHECK(client.wire.segments == std::vector<size_t>{1});
  client.stream().release();
}

TEST_CASE("chunks of one turn share their line ends") {
  net::Loop loop;
  Client client(loop);
  feed(client.wire, get);
  Recorder& stream = client.stream();
  std::optional<Message> head;
  response(stream.stream->arena(), head, 200).body = BodyKind::unknown;
  stream.stream->send_head(*head, EndStream::no);
  const std::string large(4096, 'l'), little = "!";
  stream.stream->send_data(large);
  stream.stream->send_data(large);
  stream.stream->send_data(little);
  stream.stream->flush();
  CHECK(client.wire.take().ends_with("\r\n\r\n1000\r\n" + large + "\r\n1000\r\n" + large + "\r\n1\r\n!\r\n"));
  CHECK(client.wire.segments.back() == 5);
  stream.stream->send_data("x");
  stream.stream->send_end();
  stream.stream->flush();
  CHECK(client.wire.take() == "1\r\nx\r\n0\r\n\r\n");
  stream.release();
  CHECK(client.wire.end == Wire::End::open);
}

TEST_CASE("HTTP/1.0 and Connection decide whether the connection stays") {
  struct Case {
    std::string_view request, connection;
    bool stays;
  };
  const Case cases[] = {
      {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "", true},
      {"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "connection: close\r\n", false},
      {"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Close\r\n\r\n", "connection: close\r\n", false},
      {"GET / HTTP/1.0\r\nHost: x\r\n\r\n", "connection: close\r\n", false},
      {"GET / HTTP/1.0\r\nHost: x\r\nConnection: Keep-Alive\r\n\r\n", "connection: keep-alive\r\n", true},
  };
  for (const Case& each : cases) {
    CAPTURE(each.request);
    net::Loop loop;
    Client client(loop);
    feed(client.wire, each.request);
    serve(client.stream());
    CHECK(client.wire.sent ==
          fmt::format("HTTP/1.1 200 OK\r\ndate: D\r\ncontent-length: 2\r\n{}\r\nok", each.connection));
    CHECK(client.wire.end == (each.stays ? Wire::End::open : Wire::End::graceful));
    CHECK(client.closed == (each.stays ? 0 : 1));
  }
}

TEST_CASE("pipelined requests are answered in order, each when the one before is over") {
  net::Loop loop;
  Client client(loop);
  std::string three;
  for (char c : {'1', '2', '3'}) three += fmt::format("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", c);
  feed(client.wire, three);
  CHECK(client.log() == "GET x /1 END");
  feed(client.wire, "GET /4 HTTP/1.1\r\nHo");
  for (size_t i = 0; i < 3; ++i) {
    serve(client.stream(i));
    CHECK(client.streams.size() == i + 1);  // never inside release()
    turn(loop);
  }
  CHECK(client.streams.size() == 3);
  feed(client.wire, "st: x\r\n\r\n");
  CHECK(client.log() == "GET x /1 END || GET x /2 END || GET x /3 END || GET x /4 END");
  serve(client.stream(3));
  CHECK(client.wire.sent == fmt::format("{0}{0}{0}{0}", ok));
  CHECK(!client.wire.paused);
}

TEST_CASE("pipelined requests that are answered at once share the turns with everybody else") {
  net::Loop loop;
  Client client(loop);
  client.prepare = [](Recorder& made) { made.at_head = serve; };
  std::string many;
  for (int i = 0; i < 1'000; ++i) many += fmt::format("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", i);
  feed(client.wire, many);
  feed(client.wire, "GET /last HTTP/1.1\r\n");
  feed(client.wire, "Host: x\r\n\r\n");
  CHECK(client.streams.size() == 16);
  for (int i = 0; i < 100 && client.streams.size() < 1'001; ++i) turn(loop);
  REQUIRE(client.streams.size() == 1'001);
  for (size_t i = 0; i < 1'000; ++i)
    CHECK(client.stream(i).events.front().find(fmt::format("/{} ", i)) != std::string::npos);
  CHECK(!client.wire.paused);
}

TEST_CASE(
    "a body of many little chunks shares the turns, too, and arrives whole, whether or not the client goes "
    "on") {
  for (std::string_view connection : {"keep-alive", "close"}) {
    for (bool fin : {false, true}) {
      CAPTURE(connection);
      CAPTURE(fin);
      net::Loop loop;
      Client client(loop);
      std::string body;
      for (int i = 0; i < 10'000; ++i) body += "1\r\nx\r\n";
      feed(client.wire,
           fmt::format("POST / HTTP/1.1\r\nHost: x\r\nConnection: {}\r\nTransfer-Encoding: chunked\r\n"
                       "\r\n{}0\r\n\r\n",
                       connection, body));
      if (fin) feed_end(client.wire);
      Recorder& stream = client.stream();
      CHECK(stream.body.size() < 3'000);
      for (int i = 0; i < 20 && stream.events.back() != "end"; ++i) turn(loop);
      CHECK(stream.events.back() == "end");
      CHECK(stream.body == std::string(10'000, 'x'));
      serve(stream);
      turn(loop);
      CHECK((client.wire.end == Wire::End::open) == (connection == "keep-alive" && !fin));
    }
  }
}

TEST_CASE("a client that leaves at the end of its turn's share, its answers unread, is gone") {
  net::Loop loop;
  DownstreamSettings settings;
  settings.buffer_size = 15 * ok.size();
  Client client(loop, settings);
  client.prepare = [](Recorder& made) { made.at_head = serve; };
  client.wire.transport->block();
  std::string share;
  for (int i = 0; i < 16; ++i) share += get;
  feed(client.wire, share);
  feed_end(client.wire);
  for (int i = 0; i < 3; ++i) turn(loop);
  CHECK(client.streams.size() == 16);
  CHECK(client.wire.end == Wire::End::graceful);
}

TEST_CASE("the end of a body is told wherever a turn's share ends") {
  for (int chunks = 2'030; chunks < 2'052; ++chunks) {
    CAPTURE(chunks);
    net::Loop loop;
    Client client(loop);
    feed(client.wire, "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    serve(client.stream());
    std::string rest;
    for (int i = 0; i < chunks; ++i) rest += "1\r\nx\r\n";
    feed(client.wire, rest + "0\r\n\r\nPOST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
    for (int i = 0; i < 5; ++i) turn(loop);
    REQUIRE(client.streams.size() == 2);
    CHECK(client.stream(1).log().ends_with("data abc | end"));
    serve(client.stream(1));
    CHECK(client.wire.end == Wire::End::open);
  }
}

TEST_CASE("while its handler is paused the rest of a body waits") {
  net::Loop loop;
  Client client(loop);
  client.prepare = [](Recorder& made) {
    made.at_data = [](Recorder& r) {
      if (r.body.size() == 100) r.stream->pause(PauseReason::sink_full);
    };
  };
  std::string body;
  for (int i = 0; i < 10'000; ++i) body += "1\r\nx\r\n";
  feed(client.wire, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + body + "0\r\n\r\n");
  Recorder& stream = client.stream();
  size_t before = stream.body.size();
  for (int i = 0; i < 20; ++i) turn(loop);
  CHECK(stream.body.size() == before);
  stream.stream->resume(PauseReason::sink_full);
  for (int i = 0; i < 20; ++i) turn(loop);
  CHECK(stream.body.size() == 10'000);
  serve(stream);
}

TEST_CASE("a request that was answered before it was over may be sent to its end, and the next is served") {
  for (bool chunked : {false, true}) {
    net::Loop loop;
    Client client(loop);
    feed(client.wire, fmt::format("POST / HTTP/1.1\r\nHost: x\r\n{}\r\n\r\n",
                                  chunked ? "Transfer-Encoding: chunked" : "Content-Length: 5"));
    serve(client.stream());
    CHECK(client.wire.end == Wire::End::open);
    for (std::string_view part : chunked ? std::vector<std::string_view>{"5\r\nhe", "llo\r\n0\r\n\r", "\n"}
                                         : std::vector<std::string_view>{"he", "llo"}) {
      CHECK(client.streams.size() == 1);
      feed(client.wire, part);
    }
    CHECK(client.stream().body.empty());
    feed(client.wire, get);
    turn(loop);
    REQUIRE(client.streams.size() == 2);
    serve(client.stream(1));
    CHECK(client.wire.sent == fmt::format("{0}{0}", ok));
    CHECK(client.wire.end == Wire::End::open);
  }
}

TEST_CASE(
    "who may still send the rest of an answered request keeps its place like anybody who sends a body") {
  net::Loop loop;
  Client client(loop);
  feed(client.wire, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  CHECK(!client.waiting.empty());
  serve(client.stream());
  CHECK(client.connection->waiting_since_ms() == UINT64_MAX);
  CHECK(client.connection->slow_body_since_ms() == loop.now_ms());
  CHECK(!client.waiting.empty());
  client.connection->drain(0);
  CHECK(client.wire.end == Wire::End::open);
  feed(client.wire, "0\r\n\r\n");
  CHECK(client.wire.end == Wire::End::graceful);
  CHECK(client.waiting.empty());
}

TEST_CASE("the rest of such a request is not waited for, repaired or pipelined past") {
  struct Row {
    const char* name;
    std::string then;
    bool fin;
  };
  for (const auto& [name, then, fin] : {Row{"nothing", "", false}, Row{"the end", "", true},
                                        Row{"what is no chunk", "x\r\n" + std::string(get), false}}) {
    CAPTURE(name);
    net::Loop loop;
    DownstreamSettings settings;
    settings.body_timeout_ms = 20;
    Client client(loop, settings);
    feed(client.wire, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    serve(client.stream());
    if (!then.empty()) feed(client.wire, then);
    if (fin) feed_end(client.wire);
    for (uint64_t until = loop.now_ms() + 5'000; !client.closed && loop.now_ms() < until;) turn(loop);
    CHECK(client.closed == 1);
    CHECK(client.streams.size() == 1);
    CHECK(client.wire.sent == ok);
    CHECK(client.wire.end == Wire::End::graceful);
  }
}

TEST_CASE("what a client pipelines is bounded: reading pauses until it was served") {
  net::Loop loop;
  DownstreamSettings settings;
  settings.pipelined_size = 100;
  Client client(loop, settings);
  feed(client.wire, get);
  std::string more;
  for (int i = 0; i < 5; ++i) more += get;
  feed(client.wire, std::string_view(more).substr(0, 90));
  CHECK(!client.wire.paused);
  feed(client.wire, std::string_view(more).substr(90));
  CHECK(client.wire.paused);
  size_t served = 0;
  while (served < client.streams.size()) {
    serve(client.stream(served++));
    turn(loop);
  }
  CHECK(served == 6);
  CHECK(!client.wire.paused);
}

TEST_CASE("bytes behind a request that is the last one are dropped") {
  net::Loop loop;
  DownstreamSettings settings;
  settings.pipelined_size = 10;
  Client client(loop, settings);
  feed(client.wire, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /evil HTTP/1.1\r\n");
  feed(client.wire, "Host: x\r\n\r\n");
  CHECK(!client.wire.paused);  // they are not held either
  serve(client.stream());
  turn(loop);
  CHECK(client.streams.size() == 1);
  CHECK(client.wire.end == Wire::End::graceful);
}

TEST_CASE("a refused head is answered, and the connection closes gracefully") {
  net::Loop loop;
  Client client(loop);
  client.prepare = [](Recorder& made) {
    made.at_bad_head = [](Recorder& r) {
      CHECK(r.head->method_text == "GET");
      CHECK(r.head->path == "/a");
      CHECK(r.head->headers.get(HeaderId::user_agent) == "me");
      r.stream->close_after();
      answer(r, status_of(r.error.reason), "no");
      r.release();
    };
  };
  feed(client.wire,
       "GET /a HTTP/1.1\r\nUser-Agent: me\r\nHost: x\r\nBad Name: 1\r\n\r\nGET /b HTTP/1.1\r\nHost: "
       "x\r\n\r\n");
  CHECK(client.log() == "bad request.malformed");
  CHECK(client.wire.sent.starts_with("HTTP/1.1 400 Bad Request\r\n"));
  CHECK(client.wire.sent.find("connection: close\r\n") != std::string::npos);
  CHECK(client.wire.end == Wire::End::graceful);
  CHECK(client.wire.linger_ms == client.settings.linger_ms);
}

TEST_CASE("a refused method is known by name") {
  net::Loop loop;
  Client client(loop);
  feed(client.wire, "FROB /x?y HTTP/1.1\r\nHost: x\r\n\r\n");
  Recorder& stream = client.stream();
  CHECK(stream.log() == "bad request.unsupported_method");
  CHECK(stream.head->method_text == "FROB");
  CHECK(stream.head->path == "/x");
  CHECK(stream.head->query == "y");
  serve(stream);
}

TEST_CASE("a body streams in and its end is told once") {
  net::Loop loop;
  Client client(loop);
  feed(client.wire, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello");
  feed(client.wire, "world");
  CHECK(client.log() == "POST x / length=10 | data helloworld | end");
  CHECK(client.stream().stream->bytes_received() == 10);
  CHECK(client.stream().turn_ends == 2);
  serve(client.stream());
  CHECK(client.wire.end == Wire::End::open);
}

TEST_CASE("pausing stops the transport until the last reason is gone, and a pause ends with its stream") {
  net::Loop loop;
  Client client(loop);
  feed(client.wire, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n");
  Stream& stream = *client.stream().stream;
  stream.pause(PauseReason::sink_full);
  stream.pause(PauseReason::waiting);
  stream.resume(PauseReason::sink_full);
  CHECK(client.wire.paused);
  stream.resume(PauseReason::waiting);
  CHECK(!client.wire.paused);
  feed(client.wire, "ab");
  stream.pause(PauseReason::plugin);
  serve(client.stream());
  CHECK(!client.wire.paused);
  CHECK(client.wire.end == Wire::End::open);
}

TEST_CASE("on_drained and unsent come from the transport") {
  net::Loop loop;
  Client client(loop);
  feed(client.wire, get);
  client.wire.transport->block();
  answer(client.stream());
  CHECK(client.stream().stream->unsent() == ok.size());
  client.wire.transport->room();
  CHECK(client.stream().drained == 1);
  CHECK(client.stream().stream->unsent() == 0);
  client.stream().release();
}

TEST_CASE("an answer before the body is over closes the connection after it") {
  net::Loop loop;
  Client client(loop);
  feed(client.wire, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhel");
  answer(client.stream(), 413, "no");
  client.stream().release();
  CHECK(client.wire.sent.find("connection: close\r\n") != std::string::npos);
  CHECK(client.wire.end == Wire::End::graceful);
  CHECK(client.wire.linger_ms > 0);
}

TEST_CASE("a final answer instead of 100 Continue is the last one") {
  net::Loop loop;
  Client client(loop);
  feed(client.wire, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n");
  answer(client.stream());
  CHECK(client.wire.sent.find("connection: close\r\n") != std::string::npos);
  client.stream().release();
  CHECK(client.wire.end == Wire::End::graceful);
}

TEST_CASE("HEAD is answered with the length and without the body") {
  net::Loop loop;
  Client client(loop);
  feed(client.wire, "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
  serve(client.stream());
  CHECK(client.wire.sent == "HTTP/1.1 200 OK\r\ndate: D\r\ncontent-length: 2\r\n\r\n");
  CHECK(client.wire.end == Wire::End::open);
}

TEST_CASE("a body that does not fit its declared length never looks whole") {
  for (std::string_view body : {"too long", "a"}) {
    net::Loop loop;
    Client client(loop);
    feed(client.wire, get);
    Recorder& stream = client.stream();
    std::optional<Message> head;
    fill_response(response(stream.stream->arena(), head, 200), 200, 4);
    stream.stream->send_head(*head, EndStream::no);
    stream.stream->send_data(body);
    if (body.size() < 4) stream.stream->send_end();
    stream.stream->flush();
    CHECK(stream.open);  // told later, not inside the call
    turn(loop);
    CHECK(stream.error.reason == reason::internal_error);
    CHECK(client.wire.end == Wire::End::aborted);
    CHECK(client.wire.sent.find(body) == std::string::npos);
    CHECK(client.closed == 1);
  }
}

TEST_CASE("a value that would split the answer is never sent") {
  net::Loop loop;
  Client client(loop);
  feed(client.wire, get);
  Recorder& stream = client.stream();
  std::optional<Message> head;
  fill_response(response(stream.stream->arena(), head, 200), 200, 0);
  head->headers.add("location", "/\r\nset-cookie: a=b");
  stream.stream->send_head(*head, EndStream::yes);
  stream.stream->flush();
  turn(loop);
  CHECK(stream.error.reason == reason::internal_error);
  CHECK(client.wire.sent.empty());
  CHECK(client.wire.end == Wire::End::aborted);
}

TEST_CASE("a stream that is left early is seen as cut") {
  struct Case {
    BodyKind body;
    std::string_view version;
    bool reset;
    Wire::End end;
  };
  const Case cases[] = {
      {BodyKind::length, "1.1", false, Wire::End::graceful},
      {BodyKind::length, "1.1", true, Wire::End::graceful},
      {BodyKind::unknown, "1.1", false, Wire::End::graceful},
      {BodyKind::unknown, "1.1", true, Wire::End::graceful},
      {BodyKind::unknown, "1.0", false, Wire::End::aborted},
      {BodyKind::unknown, "1.0", true, Wire::End::aborted},
  };
  for (const Case& each : cases) {
    net::Loop loop;
    Client client(loop);
    feed(client.wire, fmt::format("GET / HTTP/{}\r\nHost: x\r\n\r\n", each.version));
    Recorder& stream = client.stream();
    std::optional<Message> head;
    fill_response(response(stream.stream->arena(), head, 200), 200, 10);
    head->body = each.body;
    stream.stream->send_head(*head, EndStream::no);
    stream.stream->send_data("hello");
    each.reset ? stream.reset_stream() : stream.release();
    CHECK(client.wire.end == each.end);
    CHECK(client.wire.sent.find("hello") != std::string::npos);
    CHECK(!client.wire.sent.ends_with("0\r\n\r\n"));
  }
}

TEST_CASE("reset breaks a transfer that looks whole, and one without an answer") {
  for (bool answered : {true, false}) {
    net::Loop loop;
    Client client(loop);
    feed(client.wire, get);
    if (answered) answer(client.stream());
    client.stream().reset_stream();
    CHECK(client.wire.end == Wire::End::aborted);
    CHECK(client.closed == 1);
  }
}

TEST_CASE("a lost client is told once, whenever it happens") {
  for (std::string_view request :
       {get, std::string_view("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhel")}) {
    net::Loop loop;
    Client client(loop);
    feed(client.wire, request);
    feed_error(client.wire, {ErrorKind::reset, ErrorSource::downstream, Retry::no, {}, "reset"});
    CHECK(client.stream().error.reason == reason::client_closed);
    CHECK(!client.stream().open);
    CHECK(client.closed == 1);
    CHECK(client.wire.sent.empty());
  }
}

TEST_CASE("a client that only ended its side gets its answer, one that closed within a body does not") {
  {
    net::Loop loop;
    Client client(loop);
    feed(client.wire, get);
    feed_end(client.wire);
    CHECK(client.stream().open);
    serve(client.stream());
    CHECK(client.wire.sent.ends_with("connection: close\r\n\r\nok"));
    CHECK(client.wire.end == Wire::End::graceful);
  }
  net::Loop loop;
  Client client(loop);
  feed(client.wire, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhel");
  feed_end(client.wire);
  CHECK(client.stream().error.reason == reason::client_closed);
  CHECK(client.closed == 1);
}

TEST_CASE("a client that sends requests and reads no answers is served no further") {
  net::Loop loop;
  Client client(loop);
  client.prepare = [](Recorder& made) { made.at_head = serve; };
  client.wire.transport->block();
  std::string many;
  for (int i = 0; i < 1000; ++i) many += get;
  size_t fed = 0;
  for (; fed < 1'000'000 && !client.wire.paused; fed += 1000) {
    feed(client.wire, many);
    turn(loop);
  }
  CHECK(client.wire.paused);
  while (client.wire.transport->unsent() <= client.settings.buffer_size) {
    size_t before = client.streams.size();
    turn(loop);
    REQUIRE(client.streams.size() > before);
  }
  CHECK(client.wire.transport->unsent() <= client.settings.buffer_size + 2 * ok.size());
  size_t served = client.streams.size();
  turn(loop);
  CHECK(client.streams.size() == served);
  client.wire.transport->room();  // it reads at last: the rest is served
  for (int i = 0; i < 1000 && client.streams.size() < fed; ++i) turn(loop);
  CHECK(client.streams.size() == fed);
  CHECK(!client.wire.paused);
}

TEST_CASE("a backlog that never runs empty does not grow by what was served") {
  net::Loop loop;
  DownstreamSettings settings;
  settings.pipelined_size = 100'000;
  Client client(loop, settings);
  std::string request = "GET / HTTP/1.1\r\nHost: x\r\nx: " + std::string(10'000, 'y') + "\r\n\r\n";
  feed(client.wire, request + request);
  for (size_t i = 0; i < 500; ++i) {
    feed(client.wire, request);
    CHECK(!client.wire.paused);  // never over the bound, which counts what is kept
    serve(client.stream(i));
    turn(loop);
  }
}

TEST_CASE("requests that were pipelined before the client ended its side are all answered") {
  net::Loop loop;
  Client client(loop);
  feed(client.wire, fmt::format("{0}{0}", get));
  feed_end(client.wire);
  serve(client.stream(0));
  turn(loop);
  serve(client.stream(1));
  turn(loop);
  CHECK(client.wire.sent.starts_with(ok));
  CHECK(client.wire.end == Wire::End::graceful);
  CHECK(client.closed == 1);
}

TEST_CASE("a client that ends within a head is answered 400, one before it silently") {
  net::Loop loop;
  Client client(loop);
  feed(client.wire, "GET / HTTP/1.1\r\nHo");
  feed_end(client.wire);
  CHECK(client.log() == "bad request.malformed");
  serve(client.stream());
  Client silent(loop);
  feed_end(silent.wire);
  CHECK(silent.streams.empty());
  CHECK(silent.closed == 1);
}

TEST_CASE("release and reset are allowed in every event") {
  constexpr std::string_view request =
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\nX: 1\r\n\r\n";
  using Member = Recorder::Hook Recorder::*;
  const Member members[] = {&Recorder::at_head, &Recorder::at_data, &Recorder::at_trailers, &Recorder::at_end,
                            &Recorder::at_turn_end};
  for (Member member : members) {
    for (int how = 0; how < 4; ++how) {
      for (bool bytewise : {false, true}) {
        net::Loop loop;
        Client client(loop);
        client.prepare = [&](Recorder& made) {
          made.*member = [&client, how](Recorder& r) {
            if (how == 0) r.release();
            if (how == 1) r.reset_stream();
            if (how == 2) serve(r);
            if (how == 3) client.connection->close();
          };
        };
        std::string twice = fmt::format("{0}{0}", request);
        bytewise ? feed_each_byte(client.wire, twice) : feed(client.wire, twice);
        turn(loop);
        CHECK(!client.streams.empty());
        for (auto& stream : client.streams) CHECK(!stream->open);
        // Only a request that was answered lets another one follow, when its rest came.
        CHECK(client.closed == (how == 2 ? 0 : 1));
        if (how == 2) CHECK(client.streams.size() == 2);
      }
    }
  }
}

TEST_CASE("draining answers what is under way with Connection: close, and idle clients get their grace") {
  net::Loop loop;
  {
    Client client(loop);
    feed(client.wire, get);
    client.connection->drain(1000);
    serve(client.stream());
    CHECK(client.wire.sent.find("connection: close\r\n") != std::string::npos);
    CHECK(client.wire.end == Wire::End::graceful);
  }
  {
    Client client(loop);
    client.connection->drain(0);
    CHECK(client.closed == 1);
  }
  Client client(loop);
  client.connection->drain(60'000);
  CHECK(client.closed == 0);
  feed(client.wire, get);
  serve(client.stream());
  CHECK(client.closed == 1);
}
