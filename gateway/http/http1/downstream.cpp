// The client's side of HTTP/1: one exchange at a time; what comes early is held. See connection.h.
#include <utility>

#include "base/reason.h"
#include "http/connection.h"
#include "http/http1/body_pace.h"
#include "http/http1/deadline.h"
#include "http/http1/held_bytes.h"
#include "http/http1/stream_base.h"

namespace penstock::http::http1 {
namespace {

constexpr unsigned max_probes = 2;

Error lost(ErrorKind kind, std::string_view reason, std::string_view text, Limit limit = Limit::none) {
  return {kind, ErrorSource::downstream, Retry::no, reason, text, limit};
}

class Downstream final : public DownstreamConnection, public StreamBase {
 public:
  Downstream(net::Loop& loop, std::unique_ptr<net::Transport> transport, const DownstreamSettings& settings,
             DownstreamOwner& owner)
      : StreamBase(loop, std::move(transport), Side::request,
                   {settings.header_size, settings.header_count, settings.uri_size, settings.trailer_size,
                    settings.trailer_count}),
        settings_(settings),
        owner_(owner),
        deadline_(
            loop, [](void* self) { static_cast<Downstream*>(self)->on_deadline(); }, this),
        waiting_since_ms_(loop.now_ms()) {
    deadline_.in(settings.header_timeout_ms);
    transport_->start_reading();
  }

  // --- DownstreamConnection ---
  void drain(uint32_t idle_grace_ms) override;
  void close() override;
  size_t open_streams() const override { return handler_ ? 1 : 0; }
  void shed(Limit limit) override;
  uint64_t waiting_since_ms() const override;
  uint64_t body_silent_since_ms() const override {
    return body_awaited() ? body_pace_.silent_since_ms() : UINT64_MAX;
  }
  void count_wait_from(uint64_t ms) override {
    waiting_since_ms_ = ms;
    deadline_.at(ms + settings_.header_timeout_ms);
  }
  size_t held_bytes() const override {
    return stream_bytes() + held_.memory() + (transport_ ? transport_->unread() : 0);
  }

  // --- Stream ---
  void send_informational(const Message& head) override;
  void send_head(const Message& head, EndStream end) override;
  void pause(PauseReason reason) override;
  void resume(PauseReason reason) override;
  void release() override;
  void reset() override;
  void close_after() override { persistent_ = false; }
  bool reused() const override { return false; }
  bool any_byte_received() const override { return true; }

 private:
  void on_read(std::span<const char> bytes) override;
  void on_read_end() override;
  void on_drained() override;
  void on_error(const Error& error) override;
  void run_task() override;
  void on_deadline();

  void read(std::string_view& input);
  void after_read();
  void begin_stream();
  void refuse(const Error& error);
  void keep_rest(std::string_view rest);
  void read_held();
  bool answers_wait() const;
  void end_reading();
  void set_deadline();
  void probe();
  bool body_awaited() const;
  bool continue_awaited() const;
  void next_request();
  void lose(const Error& error);
  void refuse_body(const Error& error);
  void answer_alone(std::string_view reason);
  void close_cut();
  void close_gracefully(uint64_t linger_ms);
  void closed();

  const DownstreamSettings& settings_;
  DownstreamOwner& owner_;
  Deadline deadline_;
  uint64_t waiting_since_ms_;  // accept, or the end of the last exchange

  // of the request that is open
  Method method_ = Method::get;
  std::string_view upgrade_;  // what it asked for; in the arena
  bool expects_ = false;      // 100-continue
  bool continued_ = false;    // and got it
  bool persistent_ = true;    // another request may follow
  bool refused_ = false;      // its head could not be read; nothing more is
  BodyPace body_pace_;

  // of the connection
  uint32_t served_ = 0;  // requests
  bool draining_ = false;
  bool reading_ = false;     // read() is on the stack
  bool read_ended_ = false;  // the client's FIN came
  bool end_seen_ = false;    // and was acted upon
  bool held_full_ = false;   // reading is paused because too much is held
  uint8_t probes_ = 0;
  HeldBytes held_{loop_.blocks()};
};

void Downstream::on_read(std::span<const char> bytes) {
  std::string_view input(bytes.data(), bytes.size());
  if (!held_.empty()) return keep_rest(input);  // behind what waits already
  read(input);
  if (!transport_) return;
  if (!input.empty()) keep_rest(input);
  after_read();
}

// Events until the input is used up or belongs to a later request.
void Downstream::read(std::string_view& input) {
  reading_ = true;
  while (transport_ && !refused_) {
    if (handler_ ? parser_.complete() : input.empty() || answers_wait()) break;
    if (!handler_ && !parser_.head_begun()) started_ms_ = loop_.now_ms();
    Event event = parser_.next(input);
    if (event == Event::more) break;
    switch (event) {
      case Event::head: begin_stream(); break;
      case Event::data: deliver_data(); break;
      case Event::end: deliver_end(); break;
      case Event::error:
        if (handler_)
          lose(parser_.error());
        else
          refuse(parser_.error());
        break;
      case Event::more:
      case Event::informational: break;
    }
  }
  reading_ = false;
}

void Downstream::after_read() {
  set_deadline();
  if (handler_) handler_->on_turn_end();
}

void Downstream::begin_stream() {
  method_ = message_.method;
  version_ = message_.version;
  upgrade_ = message_.upgrade;
  expects_ = message_.expect_continue;
  continued_ = false;
  body_pace_.start(settings_);
  persistent_ = parser_.framing().persistent;
  ++served_;
  if (served_ == settings_.max_requests && persistent_) {
    persistent_ = false;
    owner_.on_limit(Limit::max_requests);
  }
  probes_ = 0;
  written_before_ = transport_->bytes_written();
  handler_ = &owner_.on_stream(*this, *this);
  handler_->on_head(message_, parser_.complete() ? EndStream::yes : EndStream::no);
}

// The answer to it is the connection's last; whatever else comes is not looked at (RFC 9112 9.6).
void Downstream::refuse(const Error& error) {
  refused_ = true;
  persistent_ = false;
  method_ = message_.method;
  version_ = message_.version;
  written_before_ = transport_->bytes_written();
  Error copy = error;
  owner_.on_limit(copy.limit);
  handler_ = &owner_.on_stream(*this, *this);
  handler_->on_bad_head(copy, message_);
}

// Bytes behind the request that is open: the next requests, or the first bytes of a tunnel.
void Downstream::keep_rest(std::string_view rest) {
  if (refused_ || (!persistent_ && upgrade_.empty())) return;
  held_.append(rest);
  if (held_full_ || held_.size() <= settings_.pipelined_size) return;
  held_full_ = true;
  owner_.on_limit(Limit::pipelined_size);
  transport_->pause(PauseReason::pipelined);
}

// A client that sends requests and reads no answers gets no further ones: what it has not taken yet is
// bounded.
bool Downstream::answers_wait() const { return transport_->unsent() > settings_.buffer_size; }

void Downstream::on_drained() {
  if (handler_) return handler_->on_drained();
  if (!held_.empty()) loop_.schedule(*this);
}

void Downstream::read_held() {
  std::string_view input = held_.view();
  read(input);
  if (!transport_) return;
  held_.keep_last(input.size());
  if (held_full_ && input.size() <= settings_.pipelined_size) {
    held_full_ = false;
    transport_->resume(PauseReason::pipelined);
  }
  after_read();  // may still use views into held_
  held_.drop_used();
}

void Downstream::run_task() {
  if (!transport_) return;
  if (broken_)
    return lose({ErrorKind::protocol, ErrorSource::internal, Retry::no, reason::internal_error,
                 "an answer that does not fit its own head"});
  if (!held_.empty() && !(handler_ ? parser_.complete() : answers_wait())) read_held();
  if (transport_ && read_ended_ && !end_seen_ && held_.empty()) end_reading();
}

void Downstream::on_read_end() {
  read_ended_ = true;
  if (held_.empty()) end_reading();
}

// The client's FIN, when all that came before it was read. After a whole request it may be a client that only
// ended its side: it gets its answer.
void Downstream::end_reading() {
  end_seen_ = true;
  if (refused_) return;
  if (!handler_) {
    if (!parser_.head_begun()) return close_gracefully(0);
    parser_.finish();
    refuse(parser_.error());
    if (transport_) after_read();
    return;
  }
  switch (parser_.finish()) {
    case Event::end:  // of a tunnel
      if (transport_->truncated())
        return lose(lost(ErrorKind::tls, reason::client_closed, "the tunnel ended without TLS close_notify"));
      handler_->on_end();
      if (transport_) after_read();
      break;
    case Event::error:
      lose(lost(ErrorKind::closed, reason::client_closed, "the client closed within the request"));
      break;
    default:
      if (parser_.complete()) end_seen_ = upgrade_.empty() || writer_.begun();
      set_deadline();
      break;
  }
}

void Downstream::on_error(const Error& error) {
  Error copy = error;
  copy.source = ErrorSource::downstream;
  copy.retry = Retry::no;
  if (copy.limit == Limit::none) copy.reason = reason::client_closed;
  owner_.on_limit(copy.limit);
  broken_ = true;  // nothing can be sent any more
  if (StreamHandler* handler = take_handler()) handler->on_reset(copy);
  if (transport_) closed();
}

// --- timeouts ---

bool Downstream::continue_awaited() const {
  return expects_ && !continued_ && !writer_.begun() && received_ == 0;
}

bool Downstream::body_awaited() const {
  return handler_ && !refused_ && !parser_.complete() && writer_.kind() != BodyEnd::tunnel &&
         !pauses_.any() && !continue_awaited();
}

uint64_t Downstream::waiting_since_ms() const {
  if (!transport_ || handler_) return UINT64_MAX;
  return parser_.head_begun() && served_ > 0 ? started_ms_ : waiting_since_ms_;
}

void Downstream::set_deadline() {
  if (!transport_) return;
  if (!body_awaited()) body_pace_.stop(loop_.now_ms(), received_);
  if (!handler_) {
    if (parser_.head_begun()) deadline_.at(waiting_since_ms() + settings_.header_timeout_ms);
    return;  // otherwise it runs since the accept or the last exchange
  }
  if (body_awaited())
    deadline_.in(body_pace_.patience_ms(settings_, loop_.now_ms(), received_));
  else if (read_ended_ && parser_.complete() && !writer_.begun() && probes_ < max_probes)
    deadline_.in(settings_.linger_ms);
  else
    deadline_.clear();
}

void Downstream::on_deadline() {
  if (!handler_) {
    if (!parser_.head_begun()) {
      owner_.on_limit(served_ ? Limit::idle_timeout : Limit::header_timeout);
      return close_gracefully(0);
    }
    refuse(
        lost(ErrorKind::timeout, reason::request_timeout, "the head took too long", Limit::header_timeout));
    if (transport_) after_read();
  } else if (body_awaited()) {
    bool slow = body_pace_.too_slow(loop_.now_ms(), received_);
    lose(lost(ErrorKind::timeout, reason::request_timeout,
              slow ? "the body comes too slowly" : "the body took too long",
              slow ? Limit::min_body_rate : Limit::body_timeout));
  } else if (read_ended_) {
    probe();
  }
}

// A client that closed and one that only ended its side look the same until something is sent: an interim
// answer, which every HTTP/1.1 client has to expect (RFC 9110 15.2), makes the kernel of the former say so.
void Downstream::probe() {
  if (version_ == Version::http_1_0 || !can_send() || writer_.begun()) return;
  ++probes_;
  transport_->append("HTTP/1.1 100 Continue\r\n\r\n");
  transport_->flush();
  set_deadline();
}

void Downstream::pause(PauseReason reason) {
  StreamBase::pause(reason);
  if (handler_) set_deadline();
}

void Downstream::resume(PauseReason reason) {
  StreamBase::resume(reason);
  if (handler_) set_deadline();
}

// --- sending ---

void Downstream::send_informational(const Message& head) {
  if (!can_send() || writer_.begun() || version_ == Version::http_1_0) return;
  if (!write_informational(*transport_, head)) return break_off();
  if (head.status != 100) return;
  continued_ = true;
  set_deadline();
}

void Downstream::send_head(const Message& head, EndStream end) {
  if (!can_send() || writer_.begun()) return;
  if (draining_ || (read_ended_ && held_.empty())) persistent_ = false;
  // An answer that refuses a body which is still to come will not be followed by another exchange; saying so
  // spares the client the rest (RFC 9110 10.1.1, RFC 9112 9.6).
  if (!parser_.complete() && (head.status >= 300 || continue_awaited())) persistent_ = false;
  Answer answer{method_, version_, persistent_, upgrade_, loop_.wall_ns()};
  if (!write_response(*transport_, head, end, answer, writer_)) return break_off();
  if (writer_.kind() == BodyEnd::close) persistent_ = false;
  if (writer_.kind() != BodyEnd::tunnel) return;
  persistent_ = false;
  end_seen_ = false;
  parser_.tunnel();
  if (!held_.empty() || read_ended_) loop_.schedule(*this);
}

// --- the end ---

void Downstream::release() {
  if (!handler_) return;
  flush();
  take_handler();
  if (broken_) return close_cut();
  if (!writer_.begun()) return close_gracefully(0);
  if (!writer_.ended()) return close_cut();
  if (!parser_.complete() || !persistent_ || draining_) return close_gracefully(settings_.linger_ms);
  next_request();
}

void Downstream::reset() {
  if (!handler_) return;
  flush();
  take_handler();
  close_cut();
}

void Downstream::next_request() {
  reset_stream();
  upgrade_ = {};
  waiting_since_ms_ = loop_.now_ms();
  deadline_.in(settings_.idle_timeout_ms);
  if (!reading_ && (!held_.empty() || read_ended_)) {
    end_seen_ = false;
    loop_.schedule(*this);
  }
}

void Downstream::drain(uint32_t idle_grace_ms) {
  draining_ = true;
  if (!transport_ || handler_ || parser_.head_begun()) return;
  uint64_t until = waiting_since_ms_ + idle_grace_ms;
  if (loop_.now_ms() >= until) return close_gracefully(0);
  deadline_.at(until);
}

void Downstream::close() {
  if (!transport_) return;
  Error error{ErrorKind::cancelled, ErrorSource::internal, Retry::no, reason::internal_error,
              "the connection is closed from this side"};
  if (writer_.kind() != BodyEnd::tunnel) return lose(error);
  // What a tunnel carried arrives, then its end: a reset could overtake it.
  if (StreamHandler* handler = take_handler()) handler->on_reset(error);
  if (transport_) close_gracefully(0);
}

void Downstream::shed(Limit limit) {
  if (!transport_) return;
  Error error = lost(ErrorKind::limit, reason::overload, "room is made for others", limit);
  if (limit == Limit::buffered && !writer_.begun() && transport_->unsent() == 0) return lose(error);
  if (limit == Limit::buffered) owner_.on_limit(limit);  // a polite close would keep what a slow reader holds
  if (StreamHandler* handler = take_handler()) handler->on_reset(error);
  if (!transport_) return;
  transport_->abort();
  closed();
}

// The stream ends without its handler having asked for it.
void Downstream::lose(const Error& error) {
  Error copy = error;
  owner_.on_limit(copy.limit);
  bool unanswered =
      !writer_.begun() && !broken_ && copy.source == ErrorSource::downstream &&
      (copy.kind == ErrorKind::protocol || copy.kind == ErrorKind::timeout || copy.kind == ErrorKind::limit);
  if (unanswered && handler_) return refuse_body(copy);
  StreamHandler* handler = take_handler();
  if (handler) handler->on_reset(copy);
  if (!transport_) return;
  if (!handler) return close_gracefully(0);
  close_cut();
}

// A body that breaks the rules or does not come: its handler may still answer; nothing more is read.
void Downstream::refuse_body(const Error& error) {
  refused_ = true;
  persistent_ = false;
  uint32_t epoch = epoch_;
  handler_->on_bad_body(error);
  if (!transport_ || epoch != epoch_) return;
  if (writer_.begun()) return handler_->on_turn_end();
  take_handler();
  answer_alone(error.reason);
}

// Nobody is left to answer, but the client should know.
void Downstream::answer_alone(std::string_view reason) {
  Message head(arena_);
  head.status = status_of(reason);
  persistent_ = false;
  Answer answer{method_, version_, false, {}, loop_.wall_ns()};
  if (!write_response(*transport_, head, EndStream::yes, answer, writer_)) return close_cut();
  close_gracefully(settings_.linger_ms);
}

// The answer is not whole: where a plain close would look like its end, a reset says that it is not.
void Downstream::close_cut() {
  if (!transport_) return;
  if (!broken_ && writer_.cut_shows()) return close_gracefully(settings_.linger_ms);
  transport_->abort();
  closed();
}

void Downstream::close_gracefully(uint64_t linger_ms) {
  transport_->close_gracefully(linger_ms);
  closed();
}

void Downstream::closed() {
  ++epoch_;
  deadline_.clear();
  cancel();
  held_.clear();
  transport_.reset();
  owner_.on_closed(*this);
}

}  // namespace
}  // namespace penstock::http::http1

namespace penstock::http {

std::unique_ptr<DownstreamConnection> make_http1_downstream(net::Loop& loop,
                                                            std::unique_ptr<net::Transport> transport,
                                                            const DownstreamSettings& settings,
                                                            DownstreamOwner& owner) {
  return std::make_unique<http1::Downstream>(loop, std::move(transport), settings, owner);
}

}  // namespace penstock::http
