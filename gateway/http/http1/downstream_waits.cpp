// How long a client may keep its connection waiting, and what happens then.
#include "http/http1/downstream.h"

namespace penstock::http::http1 {

bool Downstream::continue_awaited() const {
  return state().expects && !state().continued && !state().writer.begun() && state().received == 0;
}

bool Downstream::body_awaited() const {
  if (discarding_) return true;
  return handler_ && !refused_ && !state().parser.complete() && state().writer.kind() != BodyEnd::tunnel &&
         !state().pauses.any() && !continue_awaited();
}

uint64_t Downstream::waiting_since_ms() const {
  if (!transport_ || handler_ || discarding_) return UINT64_MAX;
  return head_begun() && served_ > 0 ? state().started_ms : waiting_since_ms_;
}

void Downstream::set_deadline() {
  if (!transport_) return;
  RequestState& request = state();
  const bool body = body_awaited();
  if (!body) request.body_pace.stop(loop_.now_ms(), request.received);
  if (!handler_ && !discarding_) {
    if (!request.parser.head_begun()) return;  // it runs since the accept or the last exchange
    deadline_.at(loop_, waiting_since_ms() + settings_.header_timeout_ms);
    return await(transport_->unsent() > 0 ? Awaited::nothing : Awaited::rest_of_head);
  }
  if (body) {
    deadline_.in(loop_, request.body_pace.patience_ms(settings_, loop_.now_ms(), request.received));
    return await(Awaited::body);
  }
  await(Awaited::nothing);
  if (request.half_close.begun() && request.writer.kind() != BodyEnd::tunnel)
    deadline_.in(loop_, request.half_close.patience_ms(settings_, loop_.now_ms(), moved()));
  else
    deadline_.clear();
}

void Downstream::await(Awaited what) {
  const bool body_moved_on = what == Awaited::body && state().body_pace.take_moved_on();
  if (awaited_ == what && !body_moved_on) return;
  awaited_ = what;
  what == Awaited::nothing ? WaitHook::unlink() : owner_.on_awaiting(*this, what);
}

// A client that still takes its answer is not idle: its place would be taken with the rest of that. Its
// transport tells when all is out.
void Downstream::await_request() {
  const bool idle = (!state_ || state().held.empty()) && transport_->unsent() == 0;
  await(idle ? Awaited::next_request : Awaited::nothing);
}

void Downstream::on_deadline() {
  if (discarding_) {
    owner_.on_limit(slow_body() ? Limit::min_body_rate : Limit::body_timeout);
    close_gracefully(settings_.linger_ms);
  } else if (!handler_) {
    if (!head_begun()) {
      // Requests wait here until their client has taken the answers before them, which has limits of its own.
      if (state_ && !state().held.empty()) return deadline_.in(loop_, settings_.idle_timeout_ms);
      const uint64_t until = waiting_since_ms_ + settings_.idle_timeout_ms;
      if (served_ > 0 && !draining_ && loop_.now_ms() < until) {
        rest();
        return deadline_.at(loop_, until);
      }
      owner_.on_limit(served_ ? Limit::idle_timeout : Limit::header_timeout);
      return close_gracefully(0);
    }
    refuse(
        lost(ErrorKind::timeout, reason::request_timeout, "the head took too long", Limit::header_timeout));
    if (transport_) after_read();
  } else if (body_awaited()) {
    bool slow = slow_body();
    lose(lost(ErrorKind::timeout, reason::request_timeout,
              slow ? "the body comes too slowly" : "the body took too long",
              slow ? Limit::min_body_rate : Limit::body_timeout));
  } else if (state().half_close.begun()) {
    look_at_half_close();
  }
}

void Downstream::probe() {
  if (!transport_ || !handler_ || !state().half_close.begun() || body_awaited()) return;
  if (state().writer.kind() == BodyEnd::tunnel) return;
  state().half_close.hurry(loop_.now_ms());
  look_at_half_close();
}

void Downstream::look_at_half_close() {
  // What the backend has not taken of its body yet is not the client's silence either.
  if (transport_->unsent() > 0 || state().pauses.any()) state().half_close.count_from(loop_.now_ms());
  switch (state().half_close.look(settings_, loop_.now_ms(), moved())) {
    case HalfClose::Step::wait: break;
    case HalfClose::Step::probe:
      if (state().version == Version::http_1_0 || !can_send() || state().writer.begun() || refused_) break;
      transport_->append("HTTP/1.1 100 Continue\r\n\r\n");
      transport_->flush();
      state().half_close.disregard(moved());
      break;
    case HalfClose::Step::give_up:
      return lose(lost(ErrorKind::closed, reason::client_closed,
                       "the client ended its side and its answer does not come", Limit::half_close_timeout));
  }
  set_deadline();
}

void Downstream::pause(PauseReason reason) {
  StreamBase::pause(reason);
  if (handler_) set_deadline();
}

void Downstream::resume(PauseReason reason) {
  StreamBase::resume(reason);
  if (!handler_) return;
  set_deadline();
  if ((yielded_ || !state().held.empty()) && !state().pauses.any()) loop_.schedule(*state_);
}

}  // namespace penstock::http::http1
