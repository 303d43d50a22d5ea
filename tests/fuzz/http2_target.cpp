// A client of HTTP/2 that sends any frames, and a gateway that answers them in any way: what reaches a
// handler is a request in one order of events, and what is written of it to a backend of HTTP/1.1 reads as
// that one request.
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

// A handler that writes its request for a backend.
class Request final : public StreamHandler {
 public:
  explicit Request(http::Stream& of) : stream(&of) {}

  http::Stream* stream;  // null: it is over

  void on_head(Message& head, EndStream end) override {
    next(Step::head);
    promise(!head.authority.empty(), "a request has an authority");
    asks_for_tunnel_ = !head.upgrade.empty();
    promise(!asks_for_tunnel_ || end == EndStream::yes, "what follows a CONNECT is no body");
    if (!http1::write_request(backend_, head, end, body_)) return release();
    if (end == EndStream::yes) whole();
  }
  void on_bad_head(const Error& error, Message&) override {
    next(Step::head);
    step_ = Step::over;
    promise(!error.reason.empty(), "a refusal has a reason");
    answer(400, 0);
    if (stream) release();
  }
  void on_bad_body(const Error&) override {
    promise(step_ == Step::head || step_ == Step::end, "a body is refused after its head");
    step_ = Step::over;
    answer(408, 0);
    if (stream) release();
  }
  void on_informational(Message&) override { promise(false, "a client sends no interim answers"); }
  void on_data(std::string_view bytes) override {
    if (tunnel_ != Tunnel::none) {
      promise(stream && tunnel_ == Tunnel::open && !bytes.empty(), "a tunnel's bytes come before its end");
      waiting += bytes.size();
      return;
    }
    promise(stream && step_ == Step::head && !bytes.empty(), "data comes between head and end");
    promise(body_.data(backend_, bytes), "no body is longer than its length");
    waiting += bytes.size();
  }
  void on_trailers(Headers& trailers) override {
    promise(stream && step_ == Step::head && tunnel_ == Tunnel::none, "trailers come behind data");
    trailers_ = true;
    promise(body_.trailers(backend_, trailers), "trailers can be written");
  }
  void on_end() override {
    if (tunnel_ != Tunnel::none) {
      promise(stream && tunnel_ == Tunnel::open, "a tunnel ends once");
      tunnel_ = Tunnel::ended;
      return;
    }
    next(Step::end);
    if (!trailers_) promise(body_.end(backend_), "no body is shorter than its length");
    whole();
  }
  void on_turn_end() override {
    promise(stream != nullptr, "no event comes after the end");
    backend_.flush();
  }
  void on_drained() override { promise(stream != nullptr, "no event comes after the end"); }
  void on_reset(const Error&) override {
    promise(stream != nullptr, "a stream ends once");
    stream = nullptr;
  }
  size_t undelivered() const override { return waiting; }

  void answer(uint16_t status, size_t size) {
    if (!stream) return;
    Message head(stream->arena());
    head.status = status;
    head.body = size ? BodyKind::length : BodyKind::none;
    head.has_content_length = true;
    head.content_length = size;
    stream->send_head(head, size ? EndStream::no : EndStream::yes);
    if (!stream) return;
    {
      std::string bytes(size, 'x');  // gone when flush() has returned
      stream->send_data(bytes);
      if (size) stream->send_end();
      stream->flush();
    }
  }
  void make_tunnel(size_t size) {
    if (!asks_for_tunnel_ || tunnel_ != Tunnel::none) return;
    Message head(stream->arena());
    head.status = 101;
    tunnel_ = Tunnel::open;
    stream->send_head(head, EndStream::no);
    say(size);
  }
  void say(size_t size) {
    if (tunnel_ == Tunnel::none) return;
    std::string bytes(size, 'x');  // gone when flush() has returned
    stream->send_data(bytes);
    stream->flush();
  }
  void end_tunnel() {
    if (tunnel_ == Tunnel::none) return;
    stream->send_end();
    stream->flush();
  }
  void release() {
    if (stream) std::exchange(stream, nullptr)->release();
  }
  void reset() {
    if (stream) std::exchange(stream, nullptr)->reset();
  }
  size_t waiting = 0;  // of its body, for a backend that takes nothing until it is asked to

 private:
  enum class Step { nothing, head, end, over };

  void next(Step step) {
    promise(stream != nullptr, "no event comes after the end");
    promise(static_cast<int>(step_) == static_cast<int>(step) - 1, "the events have an order");
    step_ = step;
  }
  void whole() {
    backend_.flush();
    const auto read = reference::read_request(wire_.sent);
    promise(read.outcome == reference::Outcome::whole, "what goes to a backend is a request",
            read.why + wire_.sent);
    promise(read.message.size == wire_.sent.size(), "and nothing but that", wire_.sent);
  }

  test::Wire wire_;
  test::ScriptedTransport backend_{wire_};
  http1::BodyWriter body_;
  Step step_ = Step::nothing;
  bool trailers_ = false;
  bool asks_for_tunnel_ = false;
  enum class Tunnel { none, open, ended } tunnel_ = Tunnel::none;  // by the client
};

class Gateway final : public DownstreamOwner {
 public:
  Gateway() {
    settings_.header_size = 2'000;
    settings_.header_count = 20;
    settings_.http2.max_concurrent_streams = 10;
    settings_.http2.max_control_frames = 100;
    settings_.http2.max_resets = 20;
    settings_.max_requests = 50;
    connection_ =
        make_http2_downstream(loop_, std::make_unique<test::ScriptedTransport>(wire_), settings_, *this);
  }
  ~Gateway() {
    if (connection_) connection_->close();
    test::turn(loop_);
    for (const auto& request : requests_) promise(!request->stream, "every stream ends with its connection");
    promise(loop_.blocks().in_use() == 0, "nothing is left of it");
  }

  void receive(std::string_view bytes) { test::feed(wire_, bytes); }
  void turn() { test::turn(loop_); }
  void act(uint8_t what, uint8_t how, uint8_t which) {
    if (!requests_.empty()) act_on(*requests_[which % requests_.size()], what, how);
    if (what == 0x86 && wire_.transport) how & 1 ? wire_.transport->block() : wire_.transport->room();
    if (what == 0x87 && connection_) connection_->drain(0);
    if (what == 0x88 && connection_) connection_->shed(how & 1 ? Limit::buffered : Limit::max_connections);
    if (what == 0x89) test::feed_end(wire_);
  }

 private:
  static void act_on(Request& request, uint8_t what, uint8_t how) {
    if (!request.stream) return;
    switch (what) {
      case 0x80: request.answer(200, how * size_t{500}); break;
      case 0x81: request.release(); break;
      case 0x82: request.reset(); break;
      case 0x83:
        request.waiting = 0;
        request.stream->resume(PauseReason::sink_full);
        break;
      case 0x84: request.stream->pause(PauseReason::sink_full); break;
      case 0x85: request.stream->close_after(); break;
      case 0x8a: request.make_tunnel(how); break;
      case 0x8b: request.say(how * size_t{500}); break;
      case 0x8c: request.end_tunnel(); break;
      default: break;
    }
  }
  StreamHandler& on_stream(http::Stream& stream, DownstreamConnection&) override {
    requests_.push_back(std::make_unique<Request>(stream));
    return *requests_.back();
  }
  void on_closed(DownstreamConnection&) override { loop_.defer_delete(std::move(connection_)); }

  net::Loop loop_;
  DownstreamSettings settings_;
  test::Wire wire_;
  std::unique_ptr<DownstreamConnection> connection_;
  std::vector<std::unique_ptr<Request>> requests_;
};

}  // namespace

void fuzz_http2(std::string_view bytes) {
  Gateway gateway;
  gateway.receive("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  gateway.receive(empty_settings);
  gateway.turn();
  play_records(gateway, bytes);
}

}  // namespace penstock::fuzz
