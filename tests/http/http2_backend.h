// A backend of HTTP/2 that a test plays frame by frame against our connection over a scripted transport.
#pragma once
#include <string>

#include "http2_frames.h"
#include "support.h"

namespace penstock::test::h2 {

struct Played final : UpstreamOwner, UpstreamStart {
  net::Loop loop;
  UpstreamSettings settings;
  Wire wire;
  Reader reader;
  std::unique_ptr<UpstreamConnection> connection;
  size_t usable = 0, idle = 0, rooms = 0, closed = 0;
  Error unusable;

  static UpstreamSettings quiet() {
    UpstreamSettings out;
    out.protocol = Protocol::http2;
    return out;
  }
  // Connected; the backend says nothing yet.
  enum class Says { nothing, settings };
  explicit Played(Says says = Says::settings, UpstreamSettings with = quiet(),
                  const std::vector<std::pair<uint16_t, uint32_t>>& its_settings = {})
      : settings(with) {
    connection = make_http2_upstream(loop, std::make_unique<ScriptedTransport>(wire), settings, *this, *this);
    got();
    if (says == Says::nothing) return;
    feed(wire, setting(its_settings) + frame(h2::settings, ack, 0));
    got();
  }
  ~Played() { turn(loop); }

  // What was sent since the last time.
  std::string got() {
    turn(loop);
    std::string bytes = wire.take();
    if (bytes.starts_with(preface)) bytes.erase(0, preface.size());
    return reader.text(bytes);
  }
  // The backend says something; what came of it.
  std::string send(std::string_view bytes) {
    feed(wire, bytes);
    return got();
  }
  Stream* open(Recorder& handler) {
    Stream* stream = connection ? connection->open(handler) : nullptr;
    handler.stream = stream;
    handler.open = stream != nullptr;
    return stream;
  }
  // A request without a body, or the head of one.
  void ask(Recorder& handler, Method method = Method::get, EndStream end = EndStream::yes) {
    REQUIRE(open(handler));
    Message head(handler.stream->arena());
    fill_request(head, method);
    if (end == EndStream::no) head.body = BodyKind::unknown;
    handler.stream->send_head(head, end);
    handler.stream->flush();
  }

  void on_usable(UpstreamConnection& made) override {
    CHECK(&made == connection.get());
    ++usable;
  }
  void on_unusable(UpstreamConnection&, const Error& error) override {
    unusable = error;
    ++closed;
    loop.defer_delete(std::move(connection));
  }
  void on_idle(UpstreamConnection& from) override {
    CHECK(from.open_streams() == 0);
    ++idle;
  }
  void on_room(UpstreamConnection& from) override {
    CHECK(from.open_streams() > 0);
    ++rooms;
  }
  void on_closed(UpstreamConnection&) override {
    ++closed;
    loop.defer_delete(std::move(connection));
  }
};

inline Fields status(std::string_view code, const Fields& more = {}) {
  Fields out{{":status", std::string(code)}};
  out.insert(out.end(), more.begin(), more.end());
  return out;
}
inline std::string answer_head(uint32_t stream, std::string_view code, const Fields& more = {},
                               int flags = end_headers) {
  return head(stream, status(code, more), flags);
}

}  // namespace penstock::test::h2
