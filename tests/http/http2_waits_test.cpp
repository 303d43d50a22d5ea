// Whose fault it is that an answer waits, frame by frame: its client's, or that of what goes before it.
#include <doctest/doctest.h>

#include "http2_client.h"

using namespace penstock;
using namespace penstock::test;
using namespace penstock::test::h2;

namespace {

constexpr uint32_t send_timeout_ms = 40;

DownstreamSettings impatient() {
  DownstreamSettings out;
  out.header_timeout_ms = out.body_timeout_ms = out.linger_ms = 3'600'000;
  out.http2.ping_interval_ms = 3'600'000;
  out.http2.max_control_frames = 0;
  out.send_timeout_ms = send_timeout_ms;
  out.idle_timeout_ms = 3 * send_timeout_ms;
  return out;
}

const Fields alone = request("GET", "/", {{"priority", "u=3"}});  // one after the other

void send_head(Recorder& r) {
  BlockPool pool;
  Arena arena(pool);
  Message message(arena);
  message.status = 200;
  message.body = BodyKind::unknown;
  message.headers.add(HeaderId::date, "D");
  r.stream->send_head(message, EndStream::no);
}

void send(Recorder& r, std::string_view bytes) {
  send_head(r);
  r.stream->send_data(bytes);
  r.stream->send_end();
  r.stream->flush();
}

void send_trailers(Recorder& r) {
  BlockPool pool;
  Arena arena(pool);
  Headers trailers(arena);
  trailers.add("grpc-status", "0");
  r.stream->send_trailers(trailers);
  r.stream->flush();
}

// Its client gives `windows` every millisecond, for five times as long as it has.
struct Taking {
  Peer& peer;
  std::string windows;
  std::string all = {};
  uint64_t until = peer.loop.now_ms() + 5 * send_timeout_ms;
  net::Timer timer{peer.loop, [](void* self) { static_cast<Taking*>(self)->take(); }, this};

  void take() {
    if (peer.client.closed || peer.loop.now_ms() >= until) return peer.loop.stop();
    feed(peer.client.wire, windows);
    all += peer.reader.text(peer.client.wire.take()) + " | ";
    timer.start(1);
  }
  std::string run() {
    timer.start(1);
    peer.loop.run();
    return all + peer.got();
  }
};

}  // namespace

TEST_CASE("an answer behind another one in the connection's window is no fault of its client's") {
  for (bool released : {false, true}) {
    CAPTURE(released);
    Peer peer(impatient());
    const std::string large(1'000'000, 'x');
    peer.send(setting({{4, 1 << 24}}) + head(1, alone) + head(3, alone));
    send(peer.stream(0), large);
    send(peer.stream(1), large);
    if (released) peer.stream(1).release();
    const std::string got = Taking{peer, window(0, 1'000)}.run();
    if (!released) CHECK(peer.stream(1).stream->bytes_taken_before() > 65'535);
    CHECK(got.find("RST") == got.npos);
    CHECK(peer.reader.body(1).size() > 65'535);
    CHECK(peer.reader.body(1).size() < large.size());
    peer.send(window(0, 2'000'000));
    for (int i = 0; i < 20; ++i) peer.got();
    CHECK(peer.reader.body(1) == large);
    CHECK(peer.reader.body(3) == large);
  }
}

TEST_CASE("a client that gives its connection no window, or next to none, takes none of its answers") {
  std::string windows;
  SUBCASE("none") {}
  SUBCASE("for its streams alone") { windows = window(1, 1'000) + window(3, 1'000); }
  Peer peer(impatient());
  peer.send(setting({{4, 1 << 20}}) + head(1, get()) + head(3, get()));
  for (size_t i = 0; i < 2; ++i) send(peer.stream(i), std::string(100'000, 'x'));
  const std::string got = Taking{peer, windows}.run();
  CHECK(got.find("RST 1 8") != got.npos);
  CHECK(got.find("RST 3 8") != got.npos);
  CHECK(peer.client.limits.of(Limit::send_timeout) + peer.client.limits.of(Limit::min_send_rate) == 2);
}

TEST_CASE("a stream without a window of its own is its client's fault, whatever others take") {
  Peer peer(impatient());
  peer.send(setting({{4, 1'000}}) + window(0, 1 << 24) + head(1, get()) + head(3, get()));
  for (size_t i = 0; i < 2; ++i) send(peer.stream(i), std::string(1'000'000, 'x'));
  CHECK(peer.stream(1).stream->bytes_taken_before() == 0);
  const std::string got = Taking{peer, window(1, 1'000)}.run();
  CHECK(got.find("RST 3 8") != got.npos);
  CHECK(got.find("RST 1 8") == got.npos);
  CHECK(peer.stream(1).log().ends_with("reset client.slow"));
}

TEST_CASE("the end of an answer that waits for a window has its time, too") {
  struct Case {
    std::string_view name;
    uint32_t window;
    size_t size;
  };
  const Case cases[] = {{"its stream has none left", 2, 2},
                        {"it never had any", 0, 0},
                        {"the connection has none left", 1 << 20, 65'535}};
  for (const Case& each : cases) {
    for (bool released : {false, true}) {
      CAPTURE(each.name);
      CAPTURE(released);
      Peer peer(impatient());
      peer.send(setting({{4, each.window}}) + head(1, get()));
      send_head(peer.stream());
      const std::string whole(each.size, 'x');  // lent until flush()
      peer.stream().stream->send_data(whole);
      peer.stream().stream->flush();
      peer.got();
      CHECK(peer.reader.body(1).size() == each.size);
      peer.stream().stream->send_end();
      peer.stream().stream->flush();
      if (released) peer.stream().release();
      CHECK(peer.got() == "");
      peer.run_to_end();
      CHECK(peer.reader.text(peer.client.wire.take()) == "RST 1 8 | GOAWAY 1 0");
      CHECK(peer.stream().log() == (released ? "GET x / END" : "GET x / END | reset client.slow"));
      CHECK(peer.client.limits.of(Limit::send_timeout) == 1);
    }
  }
}

TEST_CASE("trailers behind nothing need no window") {
  Peer peer(impatient());
  SUBCASE("behind a head") {
    peer.send(setting({{4, 0}}) + head(1, get()));
    send_head(peer.stream());
    send_trailers(peer.stream());
    peer.stream().release();
    CHECK(peer.got() == "HEADERS 1 :status=200 date=D | HEADERS 1 grpc-status=0 END");
  }
  SUBCASE("behind a body that has used it up") {
    peer.send(setting({{4, 2}}) + head(1, get()));
    send_head(peer.stream());
    peer.stream().stream->send_data("ok");
    peer.stream().stream->flush();
    CHECK(peer.got() == "HEADERS 1 :status=200 date=D | DATA 1 2");
    send_trailers(peer.stream());
    peer.stream().release();
    CHECK(peer.got() == "HEADERS 1 grpc-status=0 END");
  }
  SUBCASE("of a request that is not over") {
    peer.send(setting({{4, 2}}) + head(1, request("POST", "/"), end_headers));
    send_head(peer.stream());
    peer.stream().stream->send_data("ok");
    peer.stream().stream->flush();
    peer.got();
    send_trailers(peer.stream());
    peer.stream().release();
    CHECK(peer.got() == "HEADERS 1 grpc-status=0 END | RST 1 0");
  }
  CHECK(peer.client.connection->open_streams() == 0);
  peer.send(head(3, get()));
  send(peer.stream(1), "a");
  CHECK(peer.got().starts_with("HEADERS 3 :status=200"));
}
