// Joins a client connection and a backend connection as the proxy does, without deciding anything: what one
// side reads is sent on the other at once. For the tables: what is forwarded, byte for byte.
#pragma once
#include "support.h"

namespace penstock::test {

class Relay {
 public:
  net::Loop& loop;
  Client client;
  Backend backend;
  Recorder up;  // the stream to the backend
  std::string refused;

  explicit Relay(net::Loop& on) : loop(on), client(on), backend(on) {
    client.prepare = [this](Recorder& stream) { join(stream); };
  }

  Recorder& down() { return *client.streams.back(); }
  // Ends what is open, so that the connections can go.
  void finish() {
    if (!client.streams.empty() && down().open) down().reset_stream();
    if (up.open) up.reset_stream();
  }

 private:
  void join(Recorder& down_stream) {
    down_stream.at_head = [this](Recorder& r) {
      if (!backend.open(up)) return;
      bool whole = r.events.back().ends_with(" END");
      up.stream->send_head(*r.head, whole ? EndStream::yes : EndStream::no);
    };
    down_stream.at_bad_head = [this](Recorder& r) { refused = r.error.reason; };
    down_stream.at_data = [this](Recorder& r) {
      if (up.open) up.stream->send_data(r.last);
    };
    down_stream.at_trailers = [this](Recorder& r) {
      if (up.open) up.stream->send_trailers(*r.trailers);
    };
    down_stream.at_end = [this](Recorder&) {
      if (up.open) up.stream->send_end();
    };
    down_stream.at_turn_end = [this](Recorder&) {
      if (up.open) up.stream->flush();
    };
    down_stream.at_reset = [this](Recorder& r) { refused = r.error.reason; };
    answer_through();
  }
  void answer_through() {
    up.at_informational = [this](Recorder& r) { down().stream->send_informational(*r.head); };
    up.at_head = [this](Recorder& r) {
      bool whole = r.events.back().ends_with(" END");
      down().stream->send_head(*r.head, whole ? EndStream::yes : EndStream::no);
      if (whole) over();
    };
    up.at_data = [this](Recorder& r) { down().stream->send_data(r.last); };
    up.at_trailers = [this](Recorder& r) { down().stream->send_trailers(*r.trailers); };
    up.at_end = [this](Recorder&) {
      down().stream->send_end();
      if (up.head->status != 101) over();
    };
    up.at_turn_end = [this](Recorder&) {
      if (down().open) down().stream->flush();
    };
    up.at_reset = [this](Recorder&) {
      if (down().open) down().reset_stream();
    };
  }
  void over() {
    up.release();
    down().release();
  }
};

}  // namespace penstock::test
