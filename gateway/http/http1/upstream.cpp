// The backend's side of HTTP/1: lent for one stream at a time, idle in a pool meanwhile. See connection.h.
#include <utility>

#include "base/reason.h"
#include "http/connection.h"
#include "http/http1/stream_base.h"

namespace penstock::http::http1 {
namespace {

class Upstream final : public UpstreamConnection, public StreamBase {
 public:
  Upstream(net::Loop& loop, std::unique_ptr<net::Transport> transport, const UpstreamSettings& settings,
           UpstreamOwner& owner)
      : StreamBase(loop, std::move(transport), &own_state_),
        owner_(owner),
        max_informational_(settings.max_informational),
        idle_poll_(loop.polls()),
        own_state_(*this, loop.blocks(), Side::response,
                   {settings.header_size, settings.header_count, UINT32_MAX, settings.trailer_size,
                    settings.trailer_count}) {
    transport_->start_reading();
  }

  // --- UpstreamConnection ---
  Stream* open(StreamHandler& handler) override;
  bool quiet() const override {
    return transport_ && ((opened_ == 0 && !idled) || !transport_->input_waits());
  }
  size_t open_streams() const override { return handler_ ? 1 : 0; }
  void close() override;

  // --- Stream ---
  void run_task() override;
  void send_informational(const Message&) override {}  // requests have none
  void send_head(const Message& head, EndStream end) override;
  void flush() override;
  size_t unsent() const override { return held_back_ ? 0 : StreamBase::unsent(); }
  void release() override;
  void reset() override;
  void close_after() override { spoiled_ = true; }
  bool reused() const override { return opened_ > 1 || idled; }
  bool any_byte_received() const override { return answering_; }

 private:
  void on_read(std::span<const char> bytes) override;
  void on_spliced(size_t bytes) override;
  void on_read_end() override;
  void on_error(const Error& error) override;

  void read(std::string_view input);
  void on_response(std::string_view rest);
  void on_interim();
  void on_response_end(std::string_view rest);
  void drop(std::string_view rest);
  bool reusable() const;
  // What `error` says of another attempt, from what was sent and received.
  Error judged(const Error& error) const;
  void fail(const Error& error);
  void say_goodbye();
  void closed();

  UpstreamOwner& owner_;
  uint32_t max_informational_;
  uint32_t informational_ = 0;
  uint32_t opened_ = 0;
  bool answering_ = false;  // a byte of the response came
  bool spoiled_ = false;    // no further stream on this connection
  bool held_back_ = false;  // the request leaves at the end of the turn
  uint64_t idle_poll_;      // when it was made or came back, by Loop::polls()
  StreamState own_state_;
};

Stream* Upstream::open(StreamHandler& handler) {
  if (!transport_ || handler_ || spoiled_) return nullptr;
  handler_ = &handler;
  ++opened_;
  informational_ = 0;
  answering_ = held_back_ = false;
  state_->started_ms = loop_.now_ms();
  state_->written_before = transport_->bytes_written();
  return this;
}

void Upstream::send_head(const Message& head, EndStream end) {
  if (!can_send() || state_->writer.begun()) return;
  state_->parser.ask({method_from(head.method_text), state_->arena.copy(head.upgrade)});
  if (!write_request(*transport_, head, end, state_->writer)) break_off();
}

// A request without a body on a connection that served others leaves when all that has come by now was looked
// at. Bytes or a FIN that are there already have nothing to do with it, and it can still go elsewhere. A
// connection that came back in this very turn may have more to read than one read took: it is looked at in
// the next turn.
void Upstream::flush() {
  if (!can_send()) return;
  bool whole =
      state_->writer.ended() && state_->writer.sent() == 0;  // body bytes are lent until this returns
  held_back_ = reused() && whole && !any_byte_sent();
  if (held_back_) return loop_.schedule(*state_);
  StreamBase::flush();
}

void Upstream::on_read(std::span<const char> bytes) {
  if (!handler_) return closed();  // nobody asked
  if (state_->parser.complete()) return drop({bytes.data(), bytes.size()});
  if (!state_->writer.begun() || held_back_ || !any_byte_sent())
    return fail(response_error("bytes before a request was sent"));
  answering_ = true;
  uint32_t epoch = epoch_;
  read({bytes.data(), bytes.size()});
  if (handler_ && epoch == epoch_) handler_->on_turn_end();
}

void Upstream::on_spliced(size_t bytes) {
  note_spliced();
  state_->received += bytes;
  state_->parser.skip(bytes);
  handler_->on_spliced(bytes);
  uint32_t epoch = epoch_;
  read({});
  if (handler_ && epoch == epoch_) handler_->on_turn_end();
}

void Upstream::read(std::string_view input) {
  for (uint32_t epoch = epoch_; handler_ && epoch == epoch_;) {
    switch (state_->parser.next(input)) {
      case Event::more: return;
      case Event::head: on_response(input); break;
      case Event::informational: on_interim(); break;
      case Event::data: deliver_data(); break;
      case Event::end: on_response_end(input); break;
      case Event::error: fail(state_->parser.error()); break;
    }
  }
}

void Upstream::on_interim() {
  if (++informational_ > max_informational_) {
    Error error = response_error("too many interim answers");
    error.kind = ErrorKind::limit;
    error.reason = reason::upstream_too_large;
    error.limit = Limit::upstream_max_informational;
    return fail(error);
  }
  uint32_t epoch = epoch_;
  handler_->on_informational(state_->message);
  if (epoch == epoch_) state_->message.reset();
}

void Upstream::on_response(std::string_view rest) {
  state_->version = state_->message.version;
  if (state_->parser.complete()) {
    drop(rest);
    return handler_->on_head(state_->message, EndStream::yes);
  }
  if (state_->parser.framing().body == BodyEnd::tunnel) {
    if (!state_->writer.ended()) return fail(response_error("101 before the request was over"));
    state_->writer.begin(BodyEnd::tunnel, 0, BodyWriter::Body::sent);
  }
  foresee_length();
  handler_->on_head(state_->message, EndStream::no);
}

void Upstream::on_response_end(std::string_view rest) {
  drop(rest);
  deliver_end();
}

// Bytes behind the end of an answer are nobody's (RFC 9112 6.3). The answer is whole all the same, and what
// the client gets must not depend on whether they came with it or later.
void Upstream::drop(std::string_view rest) {
  if (!rest.empty()) spoiled_ = true;
}

void Upstream::on_read_end() {
  if (!handler_) {
    say_goodbye();
    return closed();
  }
  spoiled_ = true;
  if (state_->parser.complete()) return;
  uint32_t epoch = epoch_;
  if (state_->parser.finish() == Event::end) {  // of a body that ends so, or of a tunnel
    if (transport_->truncated())
      return fail({ErrorKind::tls, ErrorSource::upstream, Retry::no, reason::upstream_reset,
                   "the answer ended without TLS close_notify"});
    handler_->on_end();
    if (handler_ && epoch == epoch_) handler_->on_turn_end();
    return;
  }
  fail({ErrorKind::closed, ErrorSource::upstream, Retry::no, reason::upstream_reset,
        answering_ ? "the backend closed within its answer" : "the backend closed without an answer"});
}

void Upstream::on_error(const Error& error) {
  Error copy = error;
  copy.source = ErrorSource::upstream;
  if (copy.kind != ErrorKind::tls || copy.reason.empty()) copy.reason = reason::upstream_reset;
  fail(copy);
}

void Upstream::run_task() {
  if (!transport_) return;
  if (!broken_ && held_back_ && idle_poll_ == loop_.polls()) return loop_.schedule_next_turn(*state_);
  bool due = std::exchange(held_back_, false);
  if (!broken_) {
    if (due) StreamBase::flush();
    return;
  }
  fail({ErrorKind::protocol, ErrorSource::internal, Retry::no, reason::internal_error,
        "a request that does not fit its own head"});
}

Error Upstream::judged(const Error& error) const {
  Error out = error;
  if (out.source != ErrorSource::upstream || answering_)
    out.retry = Retry::no;
  else
    out.retry = any_byte_sent() ? Retry::if_reused : Retry::yes;
  return out;
}

bool Upstream::reusable() const {
  BodyEnd body = state_->parser.framing().body;
  return !spoiled_ && !broken_ && state_->parser.complete() && state_->writer.ended() &&
         state_->parser.framing().persistent && body != BodyEnd::close && body != BodyEnd::tunnel &&
         transport_->unsent() == 0;
}

void Upstream::release() {
  if (!handler_) return;
  flush();
  take_handler();
  if (!reusable()) {
    if (state_->writer.kind() == BodyEnd::tunnel && state_->writer.ended())
      transport_->close_gracefully(0);
    else if (!broken_ && state_->parser.complete() && state_->writer.ended())
      say_goodbye();
    return closed();
  }
  reset_stream();
  idle_since_ms = loop_.now_ms();
  idle_poll_ = loop_.polls();
  owner_.on_idle(*this);
}

void Upstream::reset() {
  if (!handler_) return;
  take_handler();
  transport_->abort();
  closed();
}

void Upstream::close() {
  if (!transport_) return;
  if (!handler_) say_goodbye();
  fail({ErrorKind::cancelled, ErrorSource::internal, Retry::no, reason::internal_error,
        "the connection is closed from this side"});
}

void Upstream::fail(const Error& error) {
  Error copy = judged(error);
  if (StreamHandler* handler = take_handler()) handler->on_reset(copy);
  if (transport_) closed();
}

// RFC 8446 6.1: between two messages the end of a TLS session is said; a plain one's is its FIN.
void Upstream::say_goodbye() {
  if (transport_->tls()) transport_->close_gracefully(0);
}

void Upstream::closed() {
  ++epoch_;
  spoiled_ = true;
  state_->cancel();
  transport_.reset();
  owner_.on_closed(*this);
}

}  // namespace
}  // namespace penstock::http::http1

namespace penstock::http {

std::unique_ptr<UpstreamConnection> make_http1_upstream(net::Loop& loop,
                                                        std::unique_ptr<net::Transport> transport,
                                                        const UpstreamSettings& settings,
                                                        UpstreamOwner& owner) {
  return std::make_unique<http1::Upstream>(loop, std::move(transport), settings, owner);
}

}  // namespace penstock::http
