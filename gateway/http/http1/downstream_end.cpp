// How streams and their connections end: kept for the next request, closed politely, or cut so that it shows.
#include <algorithm>

#include "http/http1/downstream.h"

namespace penstock::http::http1 {

void Downstream::release() {
  if (!handler_) return;
  flush();
  take_handler();
  if (broken_) return close_cut();
  if (!state().writer.begun()) return close_gracefully(0);
  if (!state().writer.ended()) return close_cut();
  if (!persistent_ || draining_) return close_gracefully(settings_.linger_ms);
  state().parser.complete() ? next_request() : discard_rest();
}

// The answer came before its request was over. The client was not told that the connection ends, so it sends
// the rest, in the time that any body has, and goes on then.
void Downstream::discard_rest() {
  discarding_ = true;
  set_deadline();
  if (!reading_ && (!state().held.empty() || read_ended_)) loop_.schedule(*state_);
}

void Downstream::discard_data() {
  state().received += state().parser.data().size();
  if (state().received <= state().most_body) return;
  owner_.on_limit(Limit::body_size);
  discarding_ = false;
  close_gracefully(settings_.linger_ms);
}

void Downstream::end_discarding() {
  discarding_ = false;
  draining_ ? close_gracefully(0) : next_request();
}

void Downstream::reset() {
  if (!handler_) return;
  flush();
  take_handler();
  close_cut();
}

void Downstream::next_request() {
  waiting_since_ms_ = loop_.now_ms();
  uint64_t look_ms = settings_.idle_timeout_ms;
  if (served_ == 1 && !in_use_ && may_rest()) {
    end_use();
  } else {
    RequestState& request = state();
    request.body_pace.stop(waiting_since_ms_, request.received);
    reset_stream();
    request.upgrade = {};
    request.most_body = UINT64_MAX;
    look_ms = std::min(look_ms, keep_state_ms);
  }
  await_request();
  deadline_.at(loop_, waiting_since_ms_ + look_ms);
  if (state_ && !reading_ && (!state().held.empty() || read_ended_)) {
    end_seen_ = false;
    loop_.schedule(*state_);
  }
}

// Nothing of what was under way is needed any more: the connection waits for a request, or it is over.
bool Downstream::may_rest() const {
  return !handler_ && !discarding_ && !refused_ && !broken_ && !read_ended_ && state().held.empty() &&
         !state().half_close.begun() && !state_->scheduled();
}

// Its memory goes to others.
void Downstream::rest() {
  if (state_ && transport_ && state_->parser.untouched() && may_rest()) end_use();
}

void Downstream::drain(uint32_t idle_grace_ms) {
  draining_ = true;
  if (!transport_ || handler_ || discarding_ || head_begun()) return;
  uint64_t until = waiting_since_ms_ + idle_grace_ms;
  if (loop_.now_ms() >= until) return close_gracefully(0);
  deadline_.at(loop_, until);
}

void Downstream::close() {
  if (!transport_) return;
  Error error{ErrorKind::cancelled, ErrorSource::internal, Retry::no, reason::drain_timeout,
              "the connection is closed from this side"};
  if (!state_ || state_->writer.kind() != BodyEnd::tunnel) return lose(error);
  // What a tunnel carried arrives, then its end: a reset could overtake it.
  if (StreamHandler* handler = take_handler()) handler->on_reset(error);
  if (transport_) close_gracefully(0);
}

void Downstream::shed(Limit limit) {
  if (!transport_) return;
  Error error = lost(ErrorKind::limit, reason::overload, "room is made for others", limit);
  bool unsent = transport_->unsent() > 0;
  bool begun = state_ && state_->writer.begun();
  if (limit == Limit::buffered && !begun && !unsent) return lose(error);
  if (limit == Limit::buffered) owner_.on_limit(limit);
  if (!handler_ && !unsent) return close_gracefully(0);
  // A polite close would keep what a slow reader holds.
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
      handler_ && !state().writer.begun() && !broken_ && copy.source == ErrorSource::downstream &&
      (copy.kind == ErrorKind::protocol || copy.kind == ErrorKind::timeout || copy.kind == ErrorKind::limit);
  if (unanswered) return refuse_body(copy);
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
  if (state().writer.begun()) return handler_->on_turn_end();
  take_handler();
  answer_alone(error.reason);
}

// Nobody is left to answer, but the client should know.
void Downstream::answer_alone(std::string_view reason) {
  Message head(state().arena);
  head.status = status_of(reason);
  persistent_ = false;
  Answer answer{state().method, state().version, false, {}, loop_.wall_ns()};
  if (!write_response(*transport_, head, EndStream::yes, answer, state().writer)) return close_cut();
  close_gracefully(settings_.linger_ms);
}

// The answer is not whole: where a plain close would look like its end, a reset says that it is not.
void Downstream::close_cut() {
  if (!transport_) return;
  if (!broken_ && state().writer.cut_shows()) return close_gracefully(settings_.linger_ms);
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
  await(Awaited::nothing);
  if (state_) {
    state_->cancel();
    state().held.clear();
  }
  transport_.reset();
  owner_.on_closed(*this);
}

}  // namespace penstock::http::http1
