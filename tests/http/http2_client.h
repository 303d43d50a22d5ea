// A client of HTTP/2 that a test plays frame by frame against our connection over a scripted transport.
#pragma once
#include <string>

#include "http2_frames.h"
#include "net/timer.h"
#include "support.h"

namespace penstock::test::h2 {

struct Peer {
  net::Loop loop;
  Client client;
  Reader reader;

  explicit Peer(DownstreamSettings settings = {}) : client(loop, settings, Client::Speaks::http2) {
    feed(client.wire, hello());
    got();
    send(frame(h2::settings, ack, 0));
  }
  // What came back since the last time.
  std::string got() {
    turn(loop);
    return reader.text(client.wire.take());
  }
  // Sends and says what came back.
  std::string send(std::string_view bytes) {
    feed(client.wire, bytes);
    return got();
  }
  Recorder& stream(size_t i = 0) { return client.stream(i); }
  // Every stream is answered with `status` when its request is over, a bad one as its reason says.
  void answer_all(uint16_t status = 200, std::string_view body = "ok") {
    client.prepare = [=](Recorder& made) {
      auto serve = [=](Recorder& r) {
        answer(r, status, body);
        r.release();
      };
      made.at_head = [=](Recorder& r) {
        if (r.events.back().ends_with(" END")) serve(r);
      };
      made.at_end = serve;
      made.at_bad_head = [](Recorder& r) {
        answer(r, status_of(r.error.reason), "");
        r.release();
      };
    };
  }
  // Runs the loop until the connection is closed, for some seconds at most.
  void run_to_end() {
    struct Watch {
      Peer& peer;
      uint64_t until;
      net::Timer timer{peer.loop, [](void* self) { static_cast<Watch*>(self)->look(); }, this};
      void look() {
        if (peer.client.closed || peer.loop.now_ms() >= until) return peer.loop.stop();
        timer.start(1);
      }
    } watch{*this, loop.now_ms() + 5'000};
    watch.timer.start(1);
    loop.run();
  }
};

}  // namespace penstock::test::h2
