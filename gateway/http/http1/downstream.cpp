// The client's side of HTTP/1: one exchange at a time; what comes early is held. See connection.h.
#include "http/http1/downstream.h"

#include <algorithm>

namespace penstock::http::http1 {

// There may be very many that wait for a request: what only an open one needs belongs in RequestState.
static_assert(sizeof(Downstream) <= 200);

namespace {

// What one client gets of a turn of the loop; what it sent beyond that waits until everybody else was served.
constexpr uint32_t requests_a_turn = 16;
constexpr uint32_t events_a_turn = 2'048;  // small chunks

}  // namespace

// RFC 9113 3.4: what a client begins with that knows beforehand that HTTP/2 is spoken here. True: it has, or
// may still, and its bytes are taken care of.
bool Downstream::speaks_http2(std::string_view bytes) {
  constexpr std::string_view preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  const std::string_view before = preface.substr(0, preface_), rest = preface.substr(preface_);
  const size_t size = std::min(rest.size(), bytes.size());
  if (bytes.substr(0, size) != rest.substr(0, size)) {
    state_ = new (loop_.streams()) RequestState(*this, loop_.blocks(), settings_);
    if (std::exchange(preface_, 0) > 0) on_read(before);
    return false;
  }
  preface_ = static_cast<uint8_t>(preface_ + size);
  if (size < rest.size()) return true;
  deadline_.clear();
  WaitHook::unlink();
  owner_.on_http2(*this, std::move(transport_), before, bytes);
  return true;
}

void Downstream::on_read(std::span<const char> bytes) {
  if (!state_ && served_ == 0 && settings_.protocols == Protocols::both && !transport_->tls()) {
    if (speaks_http2({bytes.data(), bytes.size()}) || !transport_) return;
  }
  if (!state_) state_ = new (loop_.streams()) RequestState(*this, loop_.blocks(), settings_);
  Using use(*this);
  std::string_view input(bytes.data(), bytes.size());
  if (!state().held.empty()) return keep_rest(input);  // behind what waits already
  read(input);
  if (!transport_) return;
  if (!input.empty()) keep_rest(input);
  after_read();
}

void Downstream::on_spliced(size_t bytes) {
  Using use(*this);
  note_spliced();
  state().received += bytes;
  state().parser.skip(bytes);
  handler_->on_spliced(bytes);
  std::string_view none;
  read(none);
  if (transport_) after_read();
}

// Events until the input is used up, belongs to a later request, or is more than a turn's share.
void Downstream::read(std::string_view& input) {
  reading_ = true;
  yielded_ = false;
  uint32_t last = served_ + requests_a_turn;
  for (uint32_t events = 0; transport_ && !refused_; ++events) {
    if (served_ == last || events == events_a_turn) {
      yielded_ = body_open();  // its end may be due without another byte
      loop_.schedule_next_turn(*state_);
      break;
    }
    if (handler_ ? state().parser.complete() : !discarding_ && (input.empty() || answers_wait())) break;
    if (!handler_ && !state().parser.head_begun()) state().started_ms = loop_.now_ms();
    Event event = state().parser.next(input);
    if (event == Event::more) break;
    switch (event) {
      case Event::head: begin_stream(); break;
      case Event::data: discarding_ ? discard_data() : deliver_data(); break;
      case Event::end: discarding_ ? end_discarding() : deliver_end(); break;
      case Event::error:
        if (discarding_)
          close_gracefully(settings_.linger_ms);
        else if (handler_)
          lose(state().parser.error());
        else
          refuse(state().parser.error());
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
  await(Awaited::nothing);
  RequestState& request = state();
  request.method = request.message.method;
  request.version = request.message.version;
  request.upgrade = request.message.upgrade;
  request.expects = request.message.expect_continue;
  request.continued = false;
  request.body_pace.start(settings_);
  persistent_ = request.parser.framing().persistent;
  ++served_;
  if (served_ == settings_.max_requests && persistent_) {
    persistent_ = false;
    owner_.on_limit(Limit::max_requests);
  }
  request.half_close.next_exchange();
  request.written_before = transport_->bytes_written();
  foresee_length();
  handler_ = &owner_.on_stream(*this, *this);
  handler_->on_head(request.message, request.parser.complete() ? EndStream::yes : EndStream::no);
}

// The answer to it is the connection's last; whatever else comes is not looked at (RFC 9112 9.6).
void Downstream::refuse(const Error& error) {
  await(Awaited::nothing);
  refused_ = true;
  persistent_ = false;
  state().method = state().message.method;
  state().version = state().message.version;
  state().written_before = transport_->bytes_written();
  Error copy = error;
  owner_.on_limit(copy.limit);
  handler_ = &owner_.on_stream(*this, *this);
  handler_->on_bad_head(copy, state().message);
}

// Bytes behind the request that is open: the next requests, or the first bytes of a tunnel; or a body's that
// are more than a turn's share.
void Downstream::keep_rest(std::string_view rest) {
  bool of_body = body_open();
  if (refused_ || (!of_body && !persistent_ && state().upgrade.empty())) return;
  state().held.append(rest);
  if (held_full_ || state().held.size() <= settings_.pipelined_size) return;
  held_full_ = true;
  if (!of_body) owner_.on_limit(Limit::pipelined_size);
  transport_->pause(PauseReason::pipelined);
}

// A client that sends requests and reads no answers gets no further ones: what it has not taken yet is
// bounded.
bool Downstream::answers_wait() const { return transport_->unsent() > settings_.buffer_size; }

void Downstream::on_drained() {
  if (handler_) return handler_->on_drained();
  if (state_ && !state().held.empty()) return loop_.schedule(*state_);
  if (discarding_) return;
  head_begun() ? set_deadline() : await_request();
}

void Downstream::read_held() {
  std::string_view input = state().held.view();
  read(input);
  if (!transport_) return;
  state().held.keep_last(input.size());
  if (held_full_ && input.size() <= settings_.pipelined_size) {
    held_full_ = false;
    transport_->resume(PauseReason::pipelined);
  }
  after_read();  // may still use views into what is held
  state().held.drop_used();
  if (transport_ && !handler_ && !discarding_ && !state().parser.head_begun()) await_request();
}

void Downstream::run_task() {
  if (!transport_) return;
  Using use(*this);
  if (broken_)
    return lose({ErrorKind::protocol, ErrorSource::internal, Retry::no, reason::internal_error,
                 "an answer that does not fit its own head"});
  bool wait = handler_ ? state().parser.complete() || state().pauses.any() : !discarding_ && answers_wait();
  if ((yielded_ || !state().held.empty()) && !wait) read_held();
  if (transport_ && read_ended_ && !end_seen_ && !yielded_ && state().held.empty()) end_reading();
}

void Downstream::on_read_end() {
  read_ended_ = true;
  if (!state_) {
    end_seen_ = true;
    return close_gracefully(0);
  }
  state().half_close.begin();
  state().held.empty() && !yielded_ ? end_reading() : set_deadline();
}

// Nothing is read just now, and the client's FIN waits behind what it sent.
void Downstream::on_end_announced() {
  if (!state_) return;  // nothing waits before it: on_read_end() follows
  state().half_close.begin();
  if (handler_) set_deadline();
}

// The client's FIN, when all that came before it was read. After a whole request it may be a client that only
// ended its side: it gets its answer.
void Downstream::end_reading() {
  end_seen_ = true;
  if (refused_) return;
  if (!handler_) {
    if (!state().parser.head_begun() || discarding_) return close_gracefully(0);
    state().parser.finish();
    refuse(state().parser.error());
    if (transport_) after_read();
    return;
  }
  switch (state().parser.finish()) {
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
      if (state().parser.complete()) end_seen_ = state().upgrade.empty() || state().writer.begun();
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

// --- sending ---

void Downstream::send_informational(const Message& head) {
  if (!can_send() || state().writer.begun() || state().version == Version::http_1_0) return;
  if (!write_informational(*transport_, head)) return break_off();
  if (head.status != 100) return;
  state().continued = true;
  set_deadline();
}

void Downstream::send_head(const Message& head, EndStream end) {
  if (!can_send() || state().writer.begun()) return;
  if (draining_ || (read_ended_ && state().held.empty())) persistent_ = false;
  // An answer that refuses a body which is still to come will not be followed by another exchange; saying so
  // spares the client the rest (RFC 9110 10.1.1, RFC 9112 9.6).
  if (!state().parser.complete() && (head.status >= 300 || continue_awaited())) persistent_ = false;
  Answer answer{state().method, state().version, persistent_, state().upgrade, loop_.wall_ns()};
  if (!write_response(*transport_, head, end, answer, state().writer)) return break_off();
  if (state().writer.kind() == BodyEnd::close) persistent_ = false;
  if (state().writer.kind() != BodyEnd::tunnel) return;
  persistent_ = false;
  end_seen_ = false;
  state().parser.tunnel();
  if (!state().held.empty() || read_ended_) loop_.schedule(*state_);
}

}  // namespace penstock::http::http1

namespace penstock::http {

std::unique_ptr<DownstreamConnection> make_http1_downstream(net::Loop& loop,
                                                            std::unique_ptr<net::Transport> transport,
                                                            const DownstreamSettings& settings,
                                                            DownstreamOwner& owner) {
  return std::make_unique<http1::Downstream>(loop, std::move(transport), settings, owner);
}

}  // namespace penstock::http
