// A backend of HTTP/2 that sends any frames, and a gateway that asks it in any way: what reaches a handler is
// an answer in one order of events, and what is written of it to a client of HTTP/1.1 reads as that one
// answer.
#include <memory>
#include <vector>

#include "fuzz/http2_records.h"
#include "fuzz/reference_reader.h"
#include "fuzz/targets.h"
#include "http/connection.h"
#include "http/http1/serializer.h"
#include "http/scripted_transport.h"
#include "http/turn.h"

namespace penstock::fuzz {
namespace {

using namespace http;

// A handler that writes its answer for a client.
class Answer final : public StreamHandler {
 public:
  explicit Answer(Method method) : method_(method) {}

  http::Stream* stream = nullptr;  // null: it is over
  size_t waiting = 0;              // of its body, for a client that takes nothing until it is asked to

  void on_head(Message& head, EndStream end) override {
    next(Step::head);
    promise(head.status >= 200 && head.status <= 599, "a final answer has a status");
    const http1::Answer to{.method = method_};
    if (!http1::write_response(client_, head, end, to, body_)) return release();
    if (end == EndStream::yes) whole();
  }
  void on_bad_head(const Error&, Message&) override {
    promise(false, "a backend's head is lost by on_reset");
  }
  void on_informational(Message& head) override {
    promise(stream && step_ == Step::nothing, "interim answers come first");
    promise(head.status >= 100 && head.status <= 199 && head.status != 101, "and have such a status");
  }
  void on_data(std::string_view bytes) override {
    promise(stream && step_ == Step::head && !bytes.empty(), "data comes between head and end");
    promise(body_.data(client_, bytes), "no body is longer than its length");
    waiting += bytes.size();
  }
  void on_trailers(Headers& trailers) override {
    promise(stream && step_ == Step::head, "trailers come behind data");
    trailers_ = true;
    promise(body_.trailers(client_, trailers), "trailers can be written");
  }
  void on_end() override {
    next(Step::end);
    if (!trailers_) promise(body_.end(client_), "no body is shorter than its length");
    whole();
  }
  void on_turn_end() override {
    promise(stream != nullptr, "no event comes after the end");
    client_.flush();
  }
  void on_drained() override { promise(stream != nullptr, "no event comes after the end"); }
  void on_reset(const Error& error) override {
    promise(stream != nullptr, "a stream ends once");
    promise(!error.reason.empty(), "a loss has a reason");
    stream = nullptr;
  }
  size_t undelivered() const override { return waiting; }

  void ask(http::Stream& on, uint8_t how) {
    stream = &on;
    Message head(on.arena());
    head.method = method_;
    head.method_text = name(method_);
    head.path = "/";
    head.authority = "backend";
    const bool body = how & 2;
    head.body = !body ? BodyKind::none : how & 4 ? BodyKind::length : BodyKind::unknown;
    head.has_content_length = head.body == BodyKind::length;
    head.content_length = head.has_content_length ? 1'000 : 0;
    on.send_head(head, body ? EndStream::no : EndStream::yes);
    on.flush();
  }
  void send(size_t size) {
    if (!stream) return;
    std::string bytes(size, 'x');  // gone when flush() has returned
    stream->send_data(bytes);
    stream->flush();
  }
  void send_end(bool with_trailers) {
    if (!stream) return;
    Headers trailers(stream->arena());
    trailers.add("x-sum", "1");
    with_trailers ? stream->send_trailers(trailers) : stream->send_end();
    if (stream) stream->flush();
  }
  void release() {
    if (stream) std::exchange(stream, nullptr)->release();
  }

 private:
  enum class Step { nothing, head, end };

  void next(Step step) {
    promise(stream != nullptr, "no event comes after the end");
    promise(static_cast<int>(step_) == static_cast<int>(step) - 1, "the events have an order");
    step_ = step;
  }
  void whole() {
    client_.flush();
    const auto read =
        reference::read_response(wire_.sent, {.method = std::string(name(method_))}, reference::Stream::open);
    promise(read.outcome == reference::Outcome::whole, "what goes to a client is an answer",
            read.why + wire_.sent);
    promise(read.message.size == wire_.sent.size(), "and nothing but that", wire_.sent);
    release();
  }

  Method method_;
  test::Wire wire_;
  test::ScriptedTransport client_{wire_};
  http1::BodyWriter body_;
  Step step_ = Step::nothing;
  bool trailers_ = false;
};

class Gateway final : public UpstreamOwner, public UpstreamStart {
 public:
  Gateway() {
    settings_.protocol = Protocol::http2;
    settings_.header_size = 2'000;
    settings_.header_count = 20;
    settings_.http2.max_concurrent_streams = 10;
    settings_.http2.max_control_frames = 100;
    connection_ =
        make_http2_upstream(loop_, std::make_unique<test::ScriptedTransport>(wire_), settings_, *this, *this);
  }
  ~Gateway() {
    if (connection_) connection_->close();
    test::turn(loop_);
    for (const auto& answer : answers_) promise(!answer->stream, "every stream ends with its connection");
    promise(loop_.blocks().in_use() == 0, "nothing is left of it");
  }

  void receive(std::string_view bytes) { test::feed(wire_, bytes); }
  void turn() { test::turn(loop_); }
  void act(uint8_t what, uint8_t how, uint8_t which) {
    if (what == 0x80) ask(how);
    if (!answers_.empty()) act_on(*answers_[which % answers_.size()], what, how);
    if (what == 0x86 && wire_.transport) how & 1 ? wire_.transport->block() : wire_.transport->room();
    if (what == 0x88 && connection_) connection_->close();
    if (what == 0x89) test::feed_end(wire_);
  }

 private:
  void ask(uint8_t how) {
    if (!usable_ || !connection_) return;
    auto answer = std::make_unique<Answer>(how & 2 ? Method::post : how & 1 ? Method::head : Method::get);
    http::Stream* stream = connection_->open(*answer);
    if (!stream) return;
    answers_.push_back(std::move(answer));
    answers_.back()->ask(*stream, how);
  }
  static void act_on(Answer& answer, uint8_t what, uint8_t how) {
    if (!answer.stream) return;
    switch (what) {
      case 0x81: answer.release(); break;
      case 0x82: answer.send(how * size_t{500}); break;
      case 0x83:
        answer.waiting = 0;
        answer.stream->resume(PauseReason::sink_full);
        break;
      case 0x84: answer.stream->pause(PauseReason::sink_full); break;
      case 0x85: answer.send_end(how & 1); break;
      default: break;
    }
  }
  void on_usable(UpstreamConnection&) override { usable_ = true; }
  void on_unusable(UpstreamConnection&, const Error& error) override {
    promise(!error.reason.empty(), "a connection that cannot be made has a reason");
    loop_.defer_delete(std::move(connection_));
  }
  void on_idle(UpstreamConnection& idle) override {
    promise(idle.open_streams() == 0, "idle is without streams");
  }
  void on_room(UpstreamConnection& busy) override {
    promise(busy.open_streams() > 0, "busy is with streams");
  }
  void on_closed(UpstreamConnection&) override { loop_.defer_delete(std::move(connection_)); }

  net::Loop loop_;
  UpstreamSettings settings_;
  test::Wire wire_;
  bool usable_ = false;
  std::vector<std::unique_ptr<Answer>> answers_;
  std::unique_ptr<UpstreamConnection> connection_;
};

}  // namespace

void fuzz_http2_answer(std::string_view bytes) {
  Gateway gateway;
  if (!bytes.starts_with('!')) {
    gateway.receive(empty_settings);
    gateway.turn();
  }
  play_records(gateway, bytes);
}

}  // namespace penstock::fuzz
