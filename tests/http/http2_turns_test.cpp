// Requests of several clients on one loop begin in turns: who is next, that nobody starves, and what happens
// meanwhile to those who wait.
#include <doctest/doctest.h>

#include <array>

#include "http2_frames.h"
#include "support.h"

using namespace penstock;
using namespace penstock::test;
using namespace penstock::test::h2;

namespace {

// One turn of the loop in which `events` come as those of sockets do.
template <class Fn>
void turn_with(net::Loop& loop, Fn events) {
  turn_by(loop, [&] {
    loop.post(events);
    loop.serve();
  });
}

// Asks for /1, /3 and so on by its streams' numbers; every request is answered at once unless held.
struct One {
  Client client;
  Reader reader;
  uint32_t next = 1;
  bool held = false;

  explicit One(net::Loop& loop) : client(loop, {}, Client::Speaks::http2) {
    client.prepare = [this](Recorder& made) {
      made.at_head = [this](Recorder& r) {
        if (!held && r.events.back().ends_with(" END")) serve(r);
      };
      made.at_end = [](Recorder& r) { serve(r); };
      made.at_bad_head = [](Recorder& r) { r.release(); };
    };
    feed(client.wire, hello());
    turn(loop);
    got();
    feed(client.wire, frame(h2::settings, ack, 0));
  }
  static void serve(Recorder& r) {
    answer(r, 200, "");
    r.release();
  }
  void ask(size_t count) {
    std::string all;
    for (; count > 0; --count, next += 2) all += head(next, get("/" + std::to_string(next)));
    feed(client.wire, all);
  }
  void ask_with_bodies(size_t count) {
    std::string all;
    for (; count > 0; --count, next += 2)
      all += head(next, request("POST", "/"), end_headers) + body(next, "a", end_stream);
    feed(client.wire, all);
  }
  size_t begun() const { return client.streams.size(); }
  bool in_order() const {
    for (size_t i = 0; i < begun(); ++i)
      if (client.streams[i]->log() != "GET x /" + std::to_string(2 * i + 1) + " END") return false;
    return true;
  }
  std::string got() { return reader.text(client.wire.take()); }
};

size_t count(std::string_view text, std::string_view what) {
  size_t found = 0;
  for (size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++found;
  return found;
}

using Counts = std::array<size_t, 3>;

// The first has a hundred requests, of which a share has begun; the others wait behind the rest of it.
struct Three {
  net::Loop loop;
  One first{loop}, second{loop}, third{loop};

  Three() {
    turn_with(loop, [&] {
      first.ask(100);
      second.ask(40);
      third.ask(1);
      first_share = begun();
    });
  }
  Counts begun() const { return {first.begun(), second.begun(), third.begun()}; }
  void finish() {
    for (int i = 0; i < 10; ++i) turn(loop);
  }
  Counts first_share{};
};

}  // namespace

TEST_CASE("a turn begins one batch of requests of all clients together, the others wait in order") {
  Three three;
  net::Loop& loop = three.loop;
  CHECK(three.first_share == Counts{32, 0, 0});
  CHECK(three.begun() == Counts{32, 0, 0});
  turn(loop);
  CHECK(three.begun() == Counts{64, 0, 0});
  turn(loop);
  CHECK(three.begun() == Counts{64, 32, 0});
  // Who comes now is behind all of them; who waits has its place for what it asks meanwhile.
  One fourth(loop);
  CHECK(three.begun() == Counts{96, 32, 1});
  turn_with(loop, [&] {
    fourth.ask(1);
    three.second.ask(1);
    CHECK(fourth.begun() == 0);
  });
  CHECK(three.begun() == Counts{100, 41, 1});
  CHECK(fourth.begun() == 1);
  turn(loop);
  for (One* each : {&three.first, &three.second, &three.third, &fourth}) {
    CHECK(each->in_order());
    CHECK(count(each->got(), ":status=200") == each->begun());
    CHECK(each->client.connection->open_streams() == 0);
  }
  // Nobody waits any more: the next begins within its read.
  turn_with(loop, [&] {
    three.third.ask(1);
    CHECK(three.third.begun() == 2);
  });
}

TEST_CASE("nobody starves, whatever others ask for all the time") {
  net::Loop loop;
  std::array<std::unique_ptr<One>, 3> eager;
  for (auto& each : eager) each = std::make_unique<One>(loop);
  One bodies(loop), modest(loop);
  for (size_t round = 1; round <= 10; ++round) {
    size_t turns = 0;
    for (; modest.begun() < round; ++turns) {
      REQUIRE(turns <= eager.size() + 1);
      turn_with(loop, [&] {
        for (auto& each : eager) each->ask(80 - (each->next / 2 - each->begun()));
        bodies.ask_with_bodies(40);  // cannot wait: their bytes are there
        if (turns == 0) modest.ask(1);
      });
    }
  }
  CHECK(modest.in_order());
  for (auto& each : eager) CHECK(each->in_order());
  CHECK(bodies.begun() >= 400);
}

TEST_CASE("a connection that is lost while its requests wait leaves the line, and each of them is told of") {
  Three three;
  One& gone = three.second;
  const char* log = "bad client.closed";
  SUBCASE("a FIN") { feed_end(gone.client.wire); }
  SUBCASE("a reset") { feed_error(gone.client.wire, {ErrorKind::reset, ErrorSource::downstream}); }
  SUBCASE("closed from this side") {
    gone.client.connection->close();
    log = "bad drain.timeout";
  }
  SUBCASE("its place is wanted") {
    gone.client.connection->shed(Limit::max_connections);
    log = "bad overload";
  }
  CHECK(gone.client.closed == 1);
  REQUIRE(gone.begun() == 40);
  for (const auto& each : gone.client.streams) CHECK(each->log() == log);
  three.finish();
  CHECK(three.begun() == Counts{100, 40, 1});
  CHECK(three.first.in_order());
  CHECK(three.third.in_order());
}

TEST_CASE("one that is destroyed while it waits keeps nobody from their turn") {
  Three three;
  three.second.client.connection.reset();
  three.finish();
  CHECK(three.begun() == Counts{100, 0, 1});
}

TEST_CASE("while its requests wait a client is answered in all else, and is not the one who is awaited") {
  Three three;
  One& waits = three.second;
  CHECK(waits.client.waiting.empty());
  CHECK(waits.client.connection->waiting_since_ms() == UINT64_MAX);
  turn_with(three.loop, [&] {
    feed(waits.client.wire, frame(h2::ping, none, 0, "whatever") + setting({{4, 1000}}) + reset(1, 8));
  });
  turn_with(three.loop, [&] {
    const std::string frames = waits.client.wire.take();
    CHECK(frames.find(frame(h2::settings, ack, 0)) != frames.npos);
    CHECK(waits.reader.text(frames).starts_with("PING ACK"));
  });
  three.finish();
  // Taken back before its turn came: it goes to nobody but the log.
  CHECK(waits.client.stream(0).log() == "bad client.closed");
  CHECK(waits.client.stream(1).log() == "GET x /3 END");
  CHECK(count(waits.got(), ":status=200") == 39);
}

TEST_CASE("a request whose body comes while it waits begins with the first of it") {
  Three three;
  One late(three.loop);
  turn_with(three.loop, [&] {
    late.ask(1);
    feed(late.client.wire, head(3, request("POST", "/p"), end_headers));
    CHECK(late.begun() == 0);
    feed(late.client.wire, body(3, "ab"));
    CHECK(late.client.log() == "POST x /p chunked | data ab");
    feed(late.client.wire, body(3, "c", end_stream));
    CHECK(late.client.log() == "POST x /p chunked | data abc | end");
  });
  three.finish();
  REQUIRE(late.begun() == 2);
  CHECK(late.client.stream(1).log() == "GET x /1 END");
}

TEST_CASE("a connection that is drained while its requests wait ends when they were served") {
  Three three;
  One& drained = three.second;
  drained.client.connection->drain(0);
  turn_with(three.loop, [] {});
  REQUIRE(drained.begun() < 40);
  const std::string told = drained.got();
  CHECK(told.find("GOAWAY") != told.npos);
  CHECK(told.find("PING") != told.npos);
  turn_with(three.loop,
            [&] { feed(drained.client.wire, frame(h2::ping, ack, 0, drained.reader.last_ping())); });
  three.finish();
  CHECK(drained.begun() == 40);
  CHECK(drained.in_order());
  CHECK(count(told + drained.got(), ":status=200") == 40);
  CHECK(drained.client.closed == 1);
}

TEST_CASE("a client of HTTP/1.1 does not wait for those of HTTP/2") {
  Three three;
  Client other(three.loop);
  turn_with(three.loop, [&] {
    feed(other.wire, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(other.log() == "GET x /a END");
  });
}
