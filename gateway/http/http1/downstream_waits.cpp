// How long a client may keep its connection waiting, and what happens then.
#include "http/http1/downstream.h"

namespace penstock::http::http1 {

bool Downstream::continue_awaited() const {
  return expects_ && !continued_ && !writer_.begun() && received_ == 0;
}

bool Downstream::body_awaited() const {
  if (discarding_) return true;
  return handler_ && !refused_ && !parser_.complete() && writer_.kind() != BodyEnd::tunnel &&
         !pauses_.any() && !continue_awaited();
}

uint64_t Downstream::waiting_since_ms() const {
  if (!transport_ || handler_ || discarding_) return UINT64_MAX;
  return parser_.head_begun() && served_ > 0 ? started_ms_ : waiting_since_ms_;
}

void Downstream::set_deadline() {
  if (!transport_) return;
  if (!body_awaited()) body_pace_.stop(loop_.now_ms(), received_);
  if (!handler_ && !discarding_) {
    if (!parser_.head_begun()) return;  // it runs since the accept or the last exchange
    deadline_.at(waiting_since_ms() + settings_.header_timeout_ms);
    return await(transport_->unsent() > 0 ? Awaited::nothing : Awaited::rest_of_head);
  }
  if (body_awaited()) {
    deadline_.in(body_pace_.patience_ms(settings_, loop_.now_ms(), received_));
    return await(Awaited::body);
  }
  await(Awaited::nothing);
  if (half_close_.begun() && writer_.kind() != BodyEnd::tunnel)
    deadline_.in(half_close_.patience_ms(settings_, loop_.now_ms(), moved()));
  else
    deadline_.clear();
}

void Downstream::await(Awaited what) {
  const bool body_moved_on = what == Awaited::body && body_pace_.take_moved_on();
  if (awaited_ == what && !body_moved_on) return;
  awaited_ = what;
  what == Awaited::nothing ? WaitHook::unlink() : owner_.on_awaiting(*this, what);
}

// A client that still takes its answer is not idle: its place would be taken with the rest of that. Its
// transport tells when all is out.
void Downstream::await_request() {
  const bool idle = held_.empty() && transport_->unsent() == 0;
  await(idle ? Awaited::next_request : Awaited::nothing);
}

void Downstream::on_deadline() {
  if (discarding_) {
    owner_.on_limit(slow_body() ? Limit::min_body_rate : Limit::body_timeout);
    close_gracefully(settings_.linger_ms);
  } else if (!handler_) {
    if (!parser_.head_begun()) {
      // Requests wait here until their client has taken the answers before them, which has limits of its own.
      if (!held_.empty()) return deadline_.in(settings_.idle_timeout_ms);
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
  } else if (half_close_.begun()) {
    look_at_half_close();
  }
}

void Downstream::probe() {
  if (!transport_ || !handler_ || !half_close_.begun() || body_awaited()) return;
  if (writer_.kind() == BodyEnd::tunnel) return;
  half_close_.hurry(loop_.now_ms());
  look_at_half_close();
}

void Downstream::look_at_half_close() {
  // What the backend has not taken of its body yet is not the client's silence either.
  if (transport_->unsent() > 0 || pauses_.any()) half_close_.count_from(loop_.now_ms());
  switch (half_close_.look(settings_, loop_.now_ms(), moved())) {
    case HalfClose::Step::wait: break;
    case HalfClose::Step::probe:
      if (version_ == Version::http_1_0 || !can_send() || writer_.begun() || refused_) break;
      transport_->append("HTTP/1.1 100 Continue\r\n\r\n");
      transport_->flush();
      half_close_.disregard(moved());
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
  if ((yielded_ || !held_.empty()) && !pauses_.any()) loop_.schedule(*this);
}

}  // namespace penstock::http::http1
