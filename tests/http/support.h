// A recording StreamHandler and owners for both kinds of connection over scripted transports.
#pragma once
#include <fmt/format.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/intrusive_list.h"
#include "base/reason.h"
#include "http/connection.h"
#include "net/loop.h"
#include "scripted_transport.h"
#include "turn.h"

namespace penstock::test {

using namespace penstock::http;

inline std::string text(const Headers& headers) {
  std::string out;
  for (const Field& field : headers.fields()) out += fmt::format(" {}={}", field.name, field.value);
  return out;
}

// What happened to one stream, as text; consecutive data are joined, so that it does not depend on how the
// bytes were cut.
class Recorder final : public StreamHandler {
 public:
  using Hook = std::function<void(Recorder&)>;
  Stream* stream = nullptr;
  std::vector<std::string> events;
  bool open = false;  // between the first event and release or reset
  size_t turn_ends = 0;
  size_t drained = 0;
  size_t waiting = 0;  // on its other side
  std::string body;
  Error error;
  Hook at_head, at_bad_head, at_bad_body, at_informational, at_data, at_trailers, at_end, at_turn_end,
      at_reset;
  Message* head = nullptr;
  Headers* trailers = nullptr;

  std::string log() const {
    std::string out;
    for (const std::string& event : events) out += (out.empty() ? "" : " | ") + event;
    return out;
  }
  void release() {
    open = false;
    stream->release();
  }
  void reset_stream() {
    open = false;
    stream->reset();
  }

  void on_head(Message& message, EndStream end) override {
    CHECK(open);
    head = &message;
    std::string line;
    if (message.status != 0) {
      line = fmt::format("{} {}", message.status, message.status_text);
    } else {
      line = fmt::format("{} {} {}{}{}", message.method_text, message.authority, message.path,
                         message.has_query ? "?" : "", message.query);
    }
    if (message.version == Version::http_1_0) line += " 1.0";
    if (message.has_content_length) line += fmt::format(" length={}", message.content_length);
    if (message.body == BodyKind::unknown) line += " chunked";
    if (message.body == BodyKind::until_close) line += " until-close";
    if (message.expect_continue) line += " expect";
    if (message.accepts_trailers) line += " te";
    if (!message.upgrade.empty()) line += fmt::format(" upgrade={}", message.upgrade);
    events.push_back(line + text(message.headers) + (end == EndStream::yes ? " END" : ""));
    run(at_head);
  }
  void on_bad_head(const Error& why, Message& message) override {
    error = why;
    head = &message;
    events.push_back(fmt::format("bad {}", why.reason));
    run(at_bad_head);
  }
  // Lost, unless the test answers it.
  void on_bad_body(const Error& why) override {
    if (!at_bad_body) return on_reset(why);
    error = why;
    events.push_back(fmt::format("bad body {}", why.reason));
    at_bad_body(*this);
  }
  void on_informational(Message& message) override {
    head = &message;
    events.push_back(fmt::format("interim {}{}", message.status, text(message.headers)));
    run(at_informational);
  }
  void on_data(std::string_view bytes) override {
    CHECK(open);
    CHECK(!bytes.empty());
    body += bytes;
    if (events.back().starts_with("data "))
      events.back() += bytes;
    else
      events.push_back(fmt::format("data {}", bytes));
    last = bytes;
    run(at_data);
  }
  void on_trailers(Headers& fields) override {
    trailers = &fields;
    events.push_back("trailers" + text(fields));
    run(at_trailers);
  }
  void on_end() override {
    CHECK(open);
    events.push_back("end");
    run(at_end);
  }
  void on_turn_end() override {
    CHECK(open);
    ++turn_ends;
    run(at_turn_end);
  }
  void on_drained() override { ++drained; }
  size_t undelivered() const override { return waiting; }
  void on_reset(const Error& why) override {
    CHECK(open);
    open = false;
    error = why;
    events.push_back(fmt::format("reset {}", why.reason));
    run(at_reset);
  }
  std::string_view last;  // the view of the last on_data

 private:
  void run(const Hook& hook) {
    if (hook) hook(*this);
  }
};

// One client connection; every stream gets its own recorder, prepared by `prepare`.
class Client final : public DownstreamOwner {
 public:
  net::Loop& loop;
  DownstreamSettings settings;
  Wire wire;
  std::vector<std::unique_ptr<Recorder>> streams;
  std::function<void(Recorder&)> prepare;
  std::unique_ptr<DownstreamConnection> connection;
  size_t closed = 0;
  LimitCounts limits;
  std::vector<uint32_t> http2_errors;                     // codes of GOAWAYs
  IntrusiveList<DownstreamConnection, WaitHook> waiting;  // empty, or this one
  Awaited awaited = Awaited::nothing;                     // as it was told last

  enum class Speaks { http1, http2 };
  explicit Client(net::Loop& on, DownstreamSettings with = {}, Speaks speaks = Speaks::http1)
      : loop(on), settings(with) {
    auto transport = std::make_unique<ScriptedTransport>(wire);
    connection = speaks == Speaks::http1 ? make_http1_downstream(loop, std::move(transport), settings, *this)
                                         : make_http2_downstream(loop, std::move(transport), settings, *this);
  }
  StreamHandler& on_stream(Stream& stream, DownstreamConnection& from) override {
    CHECK(&from == connection.get());
    streams.push_back(std::make_unique<Recorder>());
    Recorder& made = *streams.back();
    made.stream = &stream;
    made.open = true;
    if (prepare) prepare(made);
    return made;
  }
  void on_closed(DownstreamConnection& from) override {
    CHECK(from.open_streams() == 0);
    ++closed;
    loop.defer_delete(std::move(connection));
  }
  void on_limit(Limit limit) override { limits.add(limit); }
  void on_http2_error(uint32_t code) override { http2_errors.push_back(code); }
  void on_http2(DownstreamConnection& from, std::unique_ptr<net::Transport> transport,
                std::string_view before, std::string_view read) override {
    CHECK(&from == connection.get());
    loop.defer_delete(std::move(connection));
    connection = make_http2_downstream(loop, std::move(transport), settings, *this, Reading::started);
    if (!before.empty()) connection->begin(before);
    connection->begin(read);
  }
  void on_awaiting(DownstreamConnection& from, Awaited what) override {
    waiting.push_back(from);
    awaited = what;
  }
  Recorder& stream(size_t i = 0) { return *streams.at(i); }
  std::string log() const {
    std::string out;
    for (const auto& each : streams) out += (out.empty() ? "" : " || ") + each->log();
    return out;
  }
};

// One backend connection.
class Backend final : public UpstreamOwner {
 public:
  net::Loop& loop;
  UpstreamSettings settings;
  Wire wire;
  std::unique_ptr<UpstreamConnection> connection;
  size_t idle = 0, closed = 0;
  std::function<void()> at_idle;

  explicit Backend(net::Loop& on, UpstreamSettings with = {}) : loop(on), settings(with) {
    connection = make_http1_upstream(loop, std::make_unique<ScriptedTransport>(wire), settings, *this);
  }
  void on_idle(UpstreamConnection&) override {
    ++idle;
    if (at_idle) at_idle();
  }
  void on_closed(UpstreamConnection& from) override {
    CHECK(from.open_streams() == 0);
    ++closed;
    loop.defer_delete(std::move(connection));
  }
  Stream* open(Recorder& handler) {
    Stream* stream = connection ? connection->open(handler) : nullptr;
    handler.stream = stream;
    handler.open = stream != nullptr;
    return stream;
  }
};

// A request as the proxy would build it.
inline void fill_request(Message& message, Method method = Method::get, std::string_view path = "/") {
  message.method = method;
  message.method_text = name(method);
  message.path = path;
  message.authority = "backend";
}
inline void fill_response(Message& message, uint16_t status, size_t length) {
  message.status = status;
  message.body = BodyKind::length;
  message.has_content_length = true;
  message.content_length = length;
}

// Answers with `body` and releases; what a local answer of the gateway does.
inline void answer(Recorder& recorder, uint16_t status = 200, std::string_view body = "ok") {
  BlockPool pool;
  Arena arena(pool);
  Message message(arena);
  fill_response(message, status, body.size());
  message.headers.add(HeaderId::date, "D");
  recorder.stream->send_head(message, body.empty() ? EndStream::yes : EndStream::no);
  recorder.stream->send_data(body);
  if (!body.empty()) recorder.stream->send_end();
  recorder.stream->flush();
}

}  // namespace penstock::test
