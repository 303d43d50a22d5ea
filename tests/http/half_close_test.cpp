// Clients that end their side while their exchange is open: one that waits is served, one that is gone is
// noticed, and neither keeps a backend for long.
#include <doctest/doctest.h>

#include <string>

#include "net/timer.h"
#include "support.h"

using namespace penstock;
using namespace penstock::test;

namespace {

const std::string get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const std::string interim = "HTTP/1.1 100 Continue\r\n\r\n";

DownstreamSettings quick() {
  DownstreamSettings settings;
  settings.linger_ms = 10;
  settings.half_close_timeout_ms = 80;
  return settings;
}

void run_for(net::Loop& loop, uint64_t ms) {
  net::Timer stop(loop, [](void* raw) { static_cast<net::Loop*>(raw)->stop(); }, &loop);
  stop.start(ms);
  loop.run();
}

// Until the stream is lost.
void run_out(net::Loop& loop, Client& client) {
  for (int i = 0; i < 1'000 && client.stream().open; ++i) run_for(loop, 10);
}

void begin_answer(Recorder& recorder) {
  Message message(recorder.stream->arena());
  message.status = 200;
  message.body = BodyKind::unknown;
  recorder.stream->send_head(message, EndStream::no);
  recorder.stream->flush();
}

void send(Recorder& recorder, std::string_view bytes) {
  recorder.stream->send_data(bytes);
  recorder.stream->flush();
}

}  // namespace

TEST_CASE("a client whose FIN came is probed once, so that one that went is noticed") {
  net::Loop loop;
  auto settings = quick();
  settings.half_close_timeout_ms = 60'000;
  Client client(loop, settings);
  feed(client.wire, get);
  feed_end(client.wire);
  run_for(loop, 100);
  CHECK(client.wire.take() == interim);
  CHECK(client.stream().open);
  answer(client.stream());
  client.stream().release();
  CHECK(client.wire.sent.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(client.closed == 1);
}

TEST_CASE("whose place is wanted is probed at once, and only if it ended its side") {
  net::Loop loop;
  auto settings = quick();
  settings.half_close_timeout_ms = settings.linger_ms = 60'000;
  Client client(loop, settings);
  feed(client.wire, get);
  client.connection->probe();
  CHECK(client.wire.take().empty());
  feed_end(client.wire);
  client.connection->probe();
  CHECK(client.wire.take() == interim);
  client.connection->probe();
  CHECK(client.wire.take().empty());
  CHECK(client.stream().open);
  answer(client.stream());
  client.stream().release();
}

TEST_CASE("a client that ended its side is given up when no answer comes in half_close_timeout") {
  net::Loop loop;
  Client client(loop, quick());
  std::string request = get, probe = interim;
  bool announced = false;
  SUBCASE("after its request") {}
  SUBCASE("with a stray byte behind it") { request += "X"; }
  SUBCASE("with a whole request behind it") { request += get; }
  SUBCASE("while nothing more is read of it") {
    client.settings.pipelined_size = 100;
    request += std::string(200, 'X');
    announced = true;
  }
  SUBCASE("and cannot be probed, because it speaks HTTP/1.0") {
    request = "GET / HTTP/1.0\r\n\r\n";
    probe.clear();
  }
  feed(client.wire, request);
  CHECK(client.wire.paused == announced);
  announced ? feed_end_announced(client.wire) : feed_end(client.wire);
  run_out(loop, client);
  CHECK(client.wire.sent == probe);
  CHECK(client.stream().error.reason == reason::client_closed);
  CHECK(client.stream().error.limit == Limit::half_close_timeout);
  CHECK(client.limits.of(Limit::half_close_timeout) == 1);
  CHECK(client.closed == 1);
  CHECK(client.streams.size() == 1);
}

TEST_CASE("a client that ended its side may read a long answer, but not keep a silent one") {
  net::Loop loop;
  Client client(loop, quick());
  feed(client.wire, get);
  begin_answer(client.stream());
  feed_end(client.wire);
  for (int i = 0; i < 20; ++i) {
    run_for(loop, 15);
    send(client.stream(), "x");
  }
  REQUIRE(client.stream().open);
  client.wire.take();
  run_out(loop, client);
  CHECK(client.wire.sent.empty());
  CHECK(client.stream().error.limit == Limit::half_close_timeout);
  CHECK(client.closed == 1);
}

TEST_CASE("what still waits for a client that ended its side is not half_close_timeout's") {
  net::Loop loop;
  Client client(loop, quick());
  feed(client.wire, get);
  begin_answer(client.stream());
  client.wire.transport->block();
  send(client.stream(), "it does not take this");
  feed_end(client.wire);
  run_for(loop, 200);
  CHECK(client.stream().open);
  client.wire.transport->room();
  run_out(loop, client);
  CHECK(client.stream().error.limit == Limit::half_close_timeout);
}

TEST_CASE("each pipelined request of a client that ended its side has its own time") {
  net::Loop loop;
  Client client(loop, quick());
  feed(client.wire, get + get + get);
  feed_end(client.wire);
  for (size_t i = 0; i < 3; ++i) {
    run_for(loop, 50);
    REQUIRE(client.streams.size() == i + 1);
    REQUIRE(client.stream(i).open);
    answer(client.stream(i));
    client.stream(i).release();
  }
  turn(loop);
  CHECK(client.closed == 1);
  CHECK(client.limits.of(Limit::half_close_timeout) == 0);
}

TEST_CASE("a tunnel whose client ended its side goes on") {
  net::Loop loop;
  Client client(loop, quick());
  feed(client.wire, "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: y\r\n\r\n");
  Message message(client.stream().stream->arena());
  message.status = 101;
  message.upgrade = "y";
  client.stream().stream->send_head(message, EndStream::no);
  client.stream().stream->flush();
  feed_end(client.wire);
  run_for(loop, 200);
  CHECK(client.stream().open);
  CHECK(client.stream().log().ends_with("end"));
  client.stream().release();
}

TEST_CASE(
    "a body that the backend takes slowly is not given up because its client ended its side behind it") {
  net::Loop loop;
  Client client(loop, quick());
  feed(client.wire, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhel");
  client.stream().stream->pause(PauseReason::sink_full);
  run_for(loop, 200);
  CHECK(client.stream().open);
  feed_end_announced(client.wire);
  run_for(loop, 40);
  client.stream().stream->resume(PauseReason::sink_full);
  feed(client.wire, "lo hell");
  client.stream().stream->pause(PauseReason::sink_full);
  run_for(loop, 60);
  CHECK(client.stream().open);
  run_for(loop, 200);  // the pause is the backend's, whose time has limits of its own
  CHECK(client.stream().open);
  client.stream().stream->resume(PauseReason::sink_full);
  feed(client.wire, "!!");
  feed_end(client.wire);
  run_out(loop, client);  // now the answer is
  CHECK(client.stream().error.limit == Limit::half_close_timeout);
}
