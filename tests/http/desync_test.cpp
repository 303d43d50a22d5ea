// The desync table through the relay: each payload whole, byte by byte, and cut in two at every place. What
// the backend received is read by the reference reader.
#include <doctest/doctest.h>

#include <algorithm>

#include "desync/payloads.h"
#include "fuzz/reference_reader.h"
#include "relay.h"

using namespace penstock;
using namespace penstock::test;

namespace {

// The fields of the connection; none of the client's may reach the backend.
bool only_ours(const reference::Message& request) {
  for (const reference::Field& field : request.fields) {
    if (field.name == "transfer-encoding" && field.value != "chunked") return false;
    if (field.name.find("_length") != std::string::npos || field.name.find("_encoding") != std::string::npos)
      return false;
    if (field.name == "connection" && field.value != "upgrade") return false;
    if (field.name == "keep-alive" || field.name == "http2-settings" || field.name == "proxy-connection")
      return false;
  }
  return true;
}

// A backend that answers each whole request with its own target.
class Answering {
 public:
  explicit Answering(Relay& relay) : relay_(relay) {}

  std::vector<std::string> received;
  std::string strange;  // why something is not what it should be
  bool partial() const { return begin_ < relay_.backend.wire.sent.size(); }

  void look() {
    while (partial()) {
      auto reading = reference::read_request(std::string_view(relay_.backend.wire.sent).substr(begin_));
      if (reading.outcome == reference::Outcome::refused) strange = reading.why;
      if (reading.outcome != reference::Outcome::whole) return;
      const reference::Message& request = reading.message;
      if (!only_ours(request)) strange = "a field of the client's connection";
      begin_ += request.size;
      received.push_back(request.method + " " + request.value("host") + " " + request.target + " " +
                         request.body);
      if (!relay_.backend.wire.transport) return;
      feed(relay_.backend.wire, fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}",
                                            request.target.size(), request.target));
      turn(relay_.loop);
    }
  }

 private:
  Relay& relay_;
  size_t begin_ = 0;
};

// "200 /a | 400 !" of what the client got; "!" when the connection is closed behind it.
std::string answers(const Wire& wire) {
  std::string_view rest = wire.sent;
  std::string out;
  while (!rest.empty()) {
    auto reading = reference::read_response(rest, {}, reference::Stream::open);
    if (reading.outcome != reference::Outcome::whole) return out + " | not whole";
    rest.remove_prefix(reading.message.size);
    bool refusal = reading.message.status != 200;
    out += (out.empty() ? "" : " | ") + std::to_string(reading.message.status);
    out += refusal ? "" : " " + reading.message.body;
    if (refusal && reading.message.value("connection") != "close") out += " without close";
  }
  return wire.end == Wire::End::open ? out : out + " !";
}

std::string expected_answers(const desync::Payload& payload) {
  std::string out;
  for (const std::string& request : payload.meant) {
    size_t target = request.find('/');
    out += (out.empty() ? "" : " | ") + ("200 " + request.substr(target, request.find(' ', target) - target));
  }
  if (payload.then == desync::Then::refused)
    out += (out.empty() ? "" : " | ") + std::to_string(payload.status) + " !";
  return out;
}

void run(net::Loop& loop, const desync::Payload& payload, size_t first, size_t step) {
  Relay relay(loop);
  auto join = relay.client.prepare;
  relay.client.prepare = [join, &relay](Recorder& stream) {
    join(stream);
    stream.at_reset = [&relay](Recorder&) {
      if (relay.up.open) relay.up.reset_stream();
    };
    stream.at_bad_head = [](Recorder& refused) {
      answer(refused, status_of(refused.error.reason), "no");
      refused.release();
    };
  };
  Answering backend(relay);
  std::string_view rest = payload.bytes;
  for (size_t size = first; !rest.empty(); size = step) {
    feed(relay.client.wire, rest.substr(0, size));
    rest.remove_prefix(std::min(size, rest.size()));
    backend.look();
    turn(loop);
    backend.look();
  }
  CHECK(backend.strange == "");
  CHECK(backend.received == payload.meant);
  CHECK(answers(relay.client.wire) == expected_answers(payload));
  if (payload.then == desync::Then::open) CHECK(!backend.partial());
  // What began and was refused is cut: the backend cannot take the rest of the connection for its end.
  if (payload.then == desync::Then::refused && backend.partial()) CHECK(relay.backend.closed == 1);
  relay.finish();
  turn(loop);
}

}  // namespace

TEST_CASE("what a backend receives is exactly what the client unambiguously sent, however it was cut") {
  net::Loop loop;
  for (const desync::Payload& payload : desync::payloads()) {
    INFO(payload.family, ": ", payload.name);
    run(loop, payload, payload.bytes.size(), 1);
    run(loop, payload, 1, 1);
    if (payload.bytes.size() > 600) continue;
    for (size_t at = 1; at < payload.bytes.size(); ++at) {
      INFO("cut at ", at);
      run(loop, payload, at, payload.bytes.size());
    }
  }
}
