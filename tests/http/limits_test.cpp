// The limits of a listener's connections and of a backend's answers, each with its reason and its counter.
#include <doctest/doctest.h>

#include "http/http1/held_bytes.h"
#include "net/timer.h"
#include "support.h"

using namespace penstock;
using namespace penstock::test;

namespace {

constexpr std::string_view get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

std::string get_target(size_t size) {
  return "GET /" + std::string(size - 1, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n";
}

std::string trailing(std::string_view trailers) {
  return fmt::format("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n{}\r\n",
                     trailers);
}

void answer_refusals(Client& client) {
  client.prepare = [](Recorder& made) {
    made.at_bad_head = [](Recorder& r) {
      answer(r, status_of(r.error.reason), "no");
      r.release();
    };
  };
}

// A few turns of the loop, as long as it is needed until the stream is lost.
void run_for(net::Loop& loop, uint64_t ms) {
  net::Timer timer(loop, [](void* self) { static_cast<net::Loop*>(self)->stop(); }, &loop);
  timer.start(ms);
  loop.run();
}

}  // namespace

TEST_CASE("a target of uri_size passes, one byte more is 414, however it comes") {
  for (bool bytewise : {false, true}) {
    net::Loop loop;
    DownstreamSettings settings;
    settings.uri_size = 2'000;
    auto send = [&](Client& client, std::string_view bytes) {
      bytewise ? feed_each_byte(client.wire, bytes) : feed(client.wire, bytes);
    };
    Client good(loop, settings);
    send(good, get_target(2'000));
    CHECK(good.stream().events.at(0).starts_with("GET x /aaa"));
    CHECK(good.limits.of(Limit::uri_size) == 0);
    answer(good.stream());
    good.stream().release();

    Client bad(loop, settings);
    answer_refusals(bad);
    send(bad, get_target(2'001));
    CHECK(bad.log() == "bad request.uri_too_long");
    CHECK(bad.wire.sent.starts_with("HTTP/1.1 414 "));
    CHECK(bad.limits.of(Limit::uri_size) == 1);
  }
}

TEST_CASE("a target that never ends is refused when it is over uri_size, not when the head is full") {
  net::Loop loop;
  DownstreamSettings settings;
  settings.uri_size = 2'000;
  Client client(loop, settings);
  answer_refusals(client);
  feed(client.wire, "GET /" + std::string(3'000, 'a'));
  CHECK(client.log() == "bad request.uri_too_long");
}

TEST_CASE("header_size and header_count are counted each by its name") {
  net::Loop loop;
  DownstreamSettings settings;
  settings.header_size = 1'024;
  settings.header_count = 3;
  Client size(loop, settings), count(loop, settings);
  answer_refusals(size);
  answer_refusals(count);
  feed(size.wire, "GET / HTTP/1.1\r\nHost: x\r\nA: " + std::string(2'000, 'a') + "\r\n\r\n");
  CHECK(size.log() == "bad request.header_too_large");
  CHECK(size.limits.of(Limit::header_size) == 1);
  feed(count.wire, "GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n");
  CHECK(count.log() == "bad request.header_too_large");
  CHECK(count.limits.of(Limit::header_count) == 1);
  CHECK(count.limits.of(Limit::header_size) == 0);
}

TEST_CASE("trailers have their own size and count") {
  net::Loop loop;
  DownstreamSettings settings;
  settings.trailer_size = 1'024;
  settings.trailer_count = 2;
  Client good(loop, settings), many(loop, settings), large(loop, settings);
  feed(good.wire, trailing("A: 1\r\nB: 2\r\n"));
  CHECK(good.stream().log().ends_with("trailers a=1 b=2 | end"));
  answer(good.stream());
  good.stream().release();
  feed(many.wire, trailing("A: 1\r\nB: 2\r\nC: 3\r\n"));
  CHECK(many.stream().error.reason == reason::request_header_too_large);
  CHECK(many.wire.sent.starts_with("HTTP/1.1 431 "));
  CHECK(many.limits.of(Limit::trailer_count) == 1);
  feed(large.wire, trailing("A: " + std::string(1'100, 'a') + "\r\n"));
  CHECK(large.stream().error.reason == reason::request_header_too_large);
  CHECK(large.limits.of(Limit::trailer_size) == 1);
}

// 2,000 of them may stay for header_timeout: a head of 2 KB held 5 KiB of blocks.
TEST_CASE("a head that comes slowly holds little more than its own size") {
  for (size_t step : {1u, 7u, 100u, 3'000u}) {
    net::Loop loop;
    Client client(loop, {});
    std::string head = "GET / HTTP/1.1\r\nHost: x\r\n";
    for (int i = 0; i < 98; ++i) head += fmt::format("x-{}: {}\r\n", i, std::string(40, 'v'));
    for (size_t at = 0; at < head.size(); at += step) feed(client.wire, head.substr(at, step));
    CHECK(client.log().empty());
    CHECK(client.connection->held_bytes() < head.size() * 5 / 4);
    CHECK(loop.blocks().in_use() == 0);
    feed(client.wire, "\r\n");
    CHECK(client.stream().head->headers.size() == 98);
    CHECK(client.stream().head->authority == "x");
  }
}

TEST_CASE("the last request of max_requests is answered with Connection: close") {
  net::Loop loop;
  DownstreamSettings settings;
  settings.max_requests = 3;
  Client client(loop, settings);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(client.wire.end == Wire::End::open);
    CHECK(client.limits.of(Limit::max_requests) == 0);
    feed(client.wire, get);
    answer(client.stream(i));
    CHECK((client.wire.take().find("connection: close\r\n") != std::string::npos) == (i == 2));
    if (i < 2) client.stream(i).release();
  }
  CHECK(client.limits.of(Limit::max_requests) == 1);
  feed(client.wire, get);  // what comes behind it is not looked at
  client.stream(2).release();
  CHECK(client.streams.size() == 3);
  CHECK(client.wire.end == Wire::End::graceful);
}

TEST_CASE("pipelined bytes over their size are counted once a pause") {
  net::Loop loop;
  DownstreamSettings settings;
  settings.pipelined_size = 100;
  Client client(loop, settings);
  feed(client.wire, get);
  for (int i = 0; i < 8; ++i) feed(client.wire, get);
  CHECK(client.wire.paused);
  CHECK(client.limits.of(Limit::pipelined_size) == 1);
}

TEST_CASE("a body slower than min_body_rate is refused with 408, though it never pauses") {
  net::Loop loop;
  DownstreamSettings settings;
  settings.min_body_rate = 100'000;
  settings.rate_grace_ms = 50;
  Client client(loop, settings);
  feed(client.wire, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
  for (int i = 0; i < 2'000 && client.stream().open; ++i) {
    feed(client.wire, "x");
    run_for(loop, 5);
  }
  CHECK(client.stream().error.reason == reason::request_timeout);
  CHECK(client.stream().error.limit == Limit::min_body_rate);
  CHECK(client.limits.of(Limit::min_body_rate) == 1);
  CHECK(client.wire.sent.starts_with("HTTP/1.1 408 "));
}

TEST_CASE("held bytes give their memory back when they are used up") {
  BlockPool pool;
  http1::HeldBytes held(pool);
  held.append(std::string(100'000, 'x'));
  CHECK(held.memory() >= 100'000);
  held.keep_last(0);
  held.drop_used();
  CHECK(held.memory() == 0);
}

TEST_CASE("the time in which nobody reads a body does not count against its rate") {
  net::Loop loop;
  DownstreamSettings settings;
  settings.min_body_rate = 100'000;
  settings.rate_grace_ms = 1'000;
  Client client(loop, settings);
  feed(client.wire, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhel");
  client.stream().stream->pause(PauseReason::sink_full);
  run_for(loop, 1'200);
  CHECK(client.stream().open);
  client.stream().stream->resume(PauseReason::sink_full);
  feed(client.wire, "lo hello");
  CHECK(client.stream().log().ends_with("| end"));
  answer(client.stream());
  client.stream().release();
}

TEST_CASE("timeouts of heads, bodies and idle connections are counted") {
  net::Loop loop;
  DownstreamSettings settings;
  settings.header_timeout_ms = settings.body_timeout_ms = settings.idle_timeout_ms = 20;
  Client silent(loop, settings), head(loop, settings), body(loop, settings), idle(loop, settings);
  answer_refusals(head);
  feed(head.wire, "GET / HT");
  feed(body.wire, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhel");
  feed(idle.wire, get);
  answer(idle.stream());
  idle.stream().release();
  while (!silent.closed || !head.closed || !body.closed || !idle.closed) run_for(loop, 10);
  CHECK(silent.limits.of(Limit::header_timeout) == 1);
  CHECK(head.limits.of(Limit::header_timeout) == 1);
  CHECK(body.limits.of(Limit::body_timeout) == 1);
  CHECK(idle.limits.of(Limit::idle_timeout) == 1);
}

TEST_CASE("a connection says since when it waits for a request") {
  net::Loop loop;
  Client client(loop);
  uint64_t accepted = loop.now_ms();
  CHECK(client.connection->waiting_since_ms() == accepted);
  run_for(loop, 30);
  feed(client.wire, "GET / HT");  // of the first request the time runs since the accept
  CHECK(client.connection->waiting_since_ms() == accepted);
  feed(client.wire, "TP/1.1\r\nHost: x\r\n\r\n");
  CHECK(client.connection->waiting_since_ms() == UINT64_MAX);
  CHECK(client.connection->held_bytes() > 0);
  answer(client.stream());
  client.stream().release();
  CHECK(client.connection->waiting_since_ms() == loop.now_ms());
  CHECK(client.connection->held_bytes() == 0);
  run_for(loop, 30);
  feed(client.wire, "GET");
  CHECK(client.connection->waiting_since_ms() == loop.now_ms());
}

TEST_CASE("who has not taken all of its answer waits for no request, and nobody gets its place") {
  net::Loop loop;
  Client client(loop);
  std::string_view next;
  SUBCASE("nothing behind it") {}
  SUBCASE("with a part of its next head") { next = "GET / HT"; }
  feed(client.wire, get);
  client.wire.transport->block();
  answer(client.stream());
  client.stream().release();
  if (!next.empty()) feed(client.wire, next);
  CHECK(client.waiting.empty());
  client.wire.transport->room_but_for(1);
  CHECK(client.waiting.empty());
  client.wire.transport->room();
  CHECK(!client.waiting.empty());
  client.connection->shed(Limit::max_connections);
  CHECK(client.wire.end == Wire::End::graceful);
}

TEST_CASE("shedding answers 503 where nothing was answered, and cuts an answer under way") {
  net::Loop loop;
  Client waiting(loop), answering(loop), idle(loop);
  feed(waiting.wire, get);
  waiting.connection->shed(Limit::buffered);
  CHECK(waiting.wire.sent.starts_with("HTTP/1.1 503 "));
  CHECK(waiting.limits.of(Limit::buffered) == 1);
  feed(answering.wire, get);
  BlockPool pool;
  Arena arena(pool);
  Message head(arena);
  fill_response(head, 200, 10);
  answering.stream().stream->send_head(head, EndStream::no);
  answering.stream().stream->send_data("hello");
  answering.stream().stream->flush();
  answering.connection->shed(Limit::buffered);
  CHECK(answering.stream().error.reason == reason::overload);
  CHECK(answering.wire.end != Wire::End::open);
  idle.connection->shed(Limit::buffered);
  CHECK(idle.closed == 1);
  CHECK(idle.wire.sent.empty());
  CHECK(idle.limits.of(Limit::buffered) == 1);
}

TEST_CASE("a connection says since when its body is too slow, and is cut at once for its place") {
  net::Loop loop;
  Client client(loop);
  CHECK(client.connection->slow_body_since_ms() == UINT64_MAX);
  feed(client.wire, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhel");
  uint64_t last = loop.now_ms();
  run_for(loop, 30);
  CHECK(client.connection->slow_body_since_ms() == last);
  CHECK(client.connection->waiting_since_ms() == UINT64_MAX);
  feed(client.wire, "l");
  CHECK(client.connection->slow_body_since_ms() == last);
  client.stream().stream->pause(PauseReason::sink_full);  // now it is we who do not read
  CHECK(client.connection->slow_body_since_ms() == UINT64_MAX);
  client.stream().stream->resume(PauseReason::sink_full);
  client.connection->shed(Limit::max_connections);
  CHECK(client.stream().error.reason == reason::overload);
  CHECK(client.wire.sent.empty());
  CHECK(client.wire.end == Wire::End::aborted);
  CHECK(client.closed == 1);
}

// --- answers ---

namespace {

// What a backend says to one request, under these settings.
struct Answered {
  net::Loop loop;
  Backend backend;
  Recorder handler;
  Answered(const UpstreamSettings& settings, std::string_view bytes) : backend(loop, settings) {
    Stream* stream = backend.open(handler);
    BlockPool pool;
    Arena arena(pool);
    Message request(arena);
    fill_request(request);
    stream->send_head(request, EndStream::yes);
    stream->flush();
    feed(backend.wire, bytes);
    if (handler.open) handler.release();
  }
};

}  // namespace

TEST_CASE("an answer over a limit of its upstream says which one, and none of it is passed on") {
  UpstreamSettings settings;
  settings.header_size = 1'024;
  settings.header_count = 2;
  settings.trailer_size = 1'024;
  settings.trailer_count = 1;
  settings.max_informational = 2;
  const std::string long_value(2'000, 'a');
  const std::string interim = "HTTP/1.1 103 Early Hints\r\n\r\n";
  struct Case {
    std::string answer;
    Limit limit;
  };
  const std::vector<Case> cases{
      {"HTTP/1.1 200 OK\r\nA: " + long_value + "\r\n\r\n", Limit::upstream_header_size},
      {"HTTP/1.1 200 " + long_value, Limit::upstream_header_size},
      {"HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n", Limit::upstream_header_count},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: " + long_value + "\r\n\r\n",
       Limit::upstream_trailer_size},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: 1\r\nB: 2\r\n\r\n",
       Limit::upstream_trailer_count},
      {interim + interim + interim, Limit::upstream_max_informational},
  };
  for (const Case& one : cases) {
    CAPTURE(name(one.limit));
    Answered answered(settings, one.answer);
    CHECK(answered.handler.error.limit == one.limit);
    CHECK(answered.handler.error.reason == reason::upstream_too_large);
    CHECK(answered.handler.error.retry == Retry::no);
    CHECK(answered.backend.closed == 1);
  }
  Answered good(settings, interim + interim + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: 1\r\n\r\n");
  CHECK(good.handler.error.limit == Limit::none);
  CHECK(good.backend.idle == 1);
}
