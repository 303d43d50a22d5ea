// The deadlines of a client's connection on a real loop: short ones, and the loop runs until nothing is left.
#include <doctest/doctest.h>

#include "net/timer.h"
#include "support.h"

using namespace penstock;
using namespace penstock::test;

namespace {

DownstreamSettings slow() {  // everything that is not under test is far away
  DownstreamSettings out;
  out.header_timeout_ms = out.body_timeout_ms = out.idle_timeout_ms = out.linger_ms = 3'600'000;
  return out;
}

// Runs the loop until the connection is closed, or for as long as `limit_ms`.
void run(net::Loop& loop, Client& client, uint64_t limit_ms = 5'000) {
  struct Watch {
    net::Loop& loop;
    Client& client;
    uint64_t until;
    net::Timer timer{loop, [](void* self) { static_cast<Watch*>(self)->look(); }, this};
    void look() {
      if (client.closed || loop.now_ms() >= until) return loop.stop();
      timer.start(1);
    }
  } watch{loop, client, loop.now_ms() + limit_ms};
  watch.timer.start(1);
  loop.run();
}

constexpr std::string_view get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

}  // namespace

TEST_CASE("a connection that never says anything is closed without a word after header_timeout") {
  net::Loop loop;
  auto settings = slow();
  settings.header_timeout_ms = 20;
  Client client(loop, settings);
  run(loop, client);
  CHECK(client.streams.empty());
  CHECK(client.wire.sent.empty());
  CHECK(client.wire.end == Wire::End::graceful);
}

TEST_CASE("a head that is not over in time is refused with request.timeout") {
  net::Loop loop;
  auto settings = slow();
  settings.header_timeout_ms = 20;
  Client client(loop, settings);
  client.prepare = [](Recorder& made) {
    made.at_bad_head = [](Recorder& r) {
      answer(r, status_of(r.error.reason), "slow");
      r.release();
    };
  };
  feed(client.wire, "GET / HT");
  run(loop, client);
  CHECK(client.log() == "bad request.timeout");
  CHECK(client.stream().error.kind == ErrorKind::timeout);
  CHECK(client.wire.sent.starts_with("HTTP/1.1 408 "));
}

TEST_CASE("a later head has its time from its first byte, not from the request before") {
  net::Loop loop;
  auto settings = slow();
  settings.header_timeout_ms = 40;
  Client client(loop, settings);
  client.prepare = [](Recorder& made) {
    made.at_head = [](Recorder& r) {
      answer(r);
      r.release();
    };
  };
  feed(client.wire, get);
  run(loop, client, 80);
  CHECK(client.closed == 0);
  feed(client.wire, "G");
  client.prepare = nullptr;
  run(loop, client, 20);
  CHECK(client.streams.size() == 1);
  uint64_t before = loop.now_ms();
  while (client.streams.size() == 1 && loop.now_ms() < before + 5'000) run(loop, client, 10);
  CHECK(client.stream(1).log() == "bad request.timeout");
  answer(client.stream(1));
  client.stream(1).release();
}

TEST_CASE("an idle connection is closed without a word after idle_timeout") {
  net::Loop loop;
  auto settings = slow();
  settings.idle_timeout_ms = 20;
  Client client(loop, settings);
  feed(client.wire, get);
  answer(client.stream());
  client.stream().release();
  client.wire.take();
  run(loop, client);
  CHECK(client.closed == 1);
  CHECK(client.streams.size() == 1);
  CHECK(client.wire.sent.empty());
}

TEST_CASE("a connection that was asked twice lets go of its memory before idle_timeout, and closes then") {
  net::Loop loop;
  auto settings = slow();
  settings.idle_timeout_ms = 2'500;  // the memory goes after 2 s
  Client client(loop, settings);
  for (size_t i = 0; i < 2; ++i) {
    feed(client.wire, get);
    answer(client.stream(i));
    client.stream(i).release();
  }
  const uint64_t begin_ms = loop.now_ms();
  run(loop, client);
  CHECK(client.closed == 1);
  CHECK(loop.now_ms() - begin_ms >= 2'500);
}

TEST_CASE("no timeout runs while an answer is under way") {
  net::Loop loop;
  DownstreamSettings settings;
  settings.header_timeout_ms = settings.body_timeout_ms = settings.idle_timeout_ms = 10;
  Client client(loop, settings);
  feed(client.wire, get);
  run(loop, client, 60);
  CHECK(client.closed == 0);
  answer(client.stream());
  client.stream().release();
  run(loop, client);
  CHECK(client.closed == 1);
}

TEST_CASE("a body that stops coming ends the request with 408, one that is paused does not") {
  net::Loop loop;
  auto settings = slow();
  settings.body_timeout_ms = 20;
  Client client(loop, settings);
  feed(client.wire, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhel");
  client.stream().stream->pause(PauseReason::sink_full);
  run(loop, client, 60);
  CHECK(client.closed == 0);
  client.stream().stream->resume(PauseReason::sink_full);
  run(loop, client);
  CHECK(client.stream().error.reason == reason::request_timeout);
  CHECK(client.wire.sent.starts_with("HTTP/1.1 408 Request Timeout\r\n"));
  CHECK(client.wire.end == Wire::End::graceful);
}

TEST_CASE("a client that waits for 100 Continue is not timed out before it got it") {
  net::Loop loop;
  auto settings = slow();
  settings.body_timeout_ms = 20;
  Client client(loop, settings);
  feed(client.wire, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n");
  run(loop, client, 60);
  CHECK(client.closed == 0);
  Message interim(client.stream().stream->arena());
  interim.status = 100;
  client.stream().stream->send_informational(interim);
  client.stream().stream->flush();
  CHECK(client.wire.take() == "HTTP/1.1 100 Continue\r\n\r\n");
  run(loop, client);
  CHECK(client.stream().error.reason == reason::request_timeout);
}

TEST_CASE("draining closes an idle client when its grace is over") {
  net::Loop loop;
  Client client(loop, slow());
  client.connection->drain(20);
  run(loop, client);
  CHECK(client.closed == 1);
}

TEST_CASE("requests that wait until their client has taken the answers before them are not idle") {
  net::Loop loop;
  auto settings = slow();
  settings.idle_timeout_ms = 20;
  settings.buffer_size = 1;
  Client client(loop, settings);
  client.prepare = [](Recorder& made) {
    made.at_head = [](Recorder& r) {
      answer(r, 200, "ok");
      r.release();
    };
  };
  client.wire.transport->block();
  feed(client.wire, fmt::format("{0}{0}{0}", get));
  CHECK(client.streams.size() == 1);
  run(loop, client, 100);
  CHECK(client.closed == 0);
  client.wire.transport->room();
  turn(loop);
  CHECK(client.streams.size() == 3);
  run(loop, client);
  CHECK(client.closed == 1);
  CHECK(client.limits.of(Limit::idle_timeout) == 1);
}
