// Attempts: choosing an endpoint, waiting for a stream, sending the request, and what happens when an attempt
// fails.
#include <algorithm>

#include "base/reason.h"
#include "proxy/exchange_state.h"
#include "proxy/websocket.h"

namespace penstock::proxy {

// The only place where a request begins to go upstream: without a Grant, which only a decision that went
// through the whole chain can give, there is no way in.
void Exchange::open_upstream(const Grant& grant) {
  const Route& route = *context_->route;
  if (state_ != ExchangeState::holding && !begin_request_body()) return;
  settle_request_length();
  cluster_ = generation_.clusters[grant.cluster()];
  context_->upstream_name = cluster_->name();
  prepare_request_head(*context_, listener_);
  if (must_upgrade(context_->request) && context_->request.upgrade == websocket)
    set_handshake_key(context_->request, worker_.random.next(), worker_.random.next());
  authority_ = context_->request.authority;
  if (route.total_timeout_ms) total_deadline_ms_ = worker_.loop.now_ms() + route.total_timeout_ms;
  if (context_->grpc != Grpc::none && !prepare_call()) return;
  next_attempt();
}

void Exchange::next_attempt() {
  const Route& route = *context_->route;
  upstream::Endpoint* endpoint = cluster_->pick(tried_);
  if (!endpoint) {
    std::string_view why =
        last_error_.reason.empty() ? reason::upstream_no_healthy_endpoint : last_error_.reason;
    refuse_and_answer(why, "no endpoint could serve this request");
    return;
  }
  tried_.add(endpoint);
  ++attempts_;
  state_ = ExchangeState::acquiring;
  last_activity_ms_ = worker_.loop.now_ms();  // a pause or a failed attempt took none of this one's time
  context_->endpoint_address = upstream::name_of(*endpoint);
  // HTTP/1.0 knows requests without a Host; an empty one is refused by many servers.
  if (authority_.empty()) context_->request.authority = context_->endpoint_address;
  attempt_ns_ = worker_.loop.now_ns();
  attempt_begins();
  attempt_.want_fresh(want_fresh_);
  attempt_.ask_connection(context_->request.body != http::BodyKind::none || !request_ended_);
  if (http::Stream* stream = cluster_->acquire(attempt_, *endpoint, route.connect_timeout_ms))
    upstream_ready(*stream);
  else
    arm_timer();
}

void Exchange::upstream_ready(http::Stream& stream) {
  up_ = &stream;
  state_ = ExchangeState::forwarding;
  last_activity_ms_ = worker_.loop.now_ms();
  if (call_timeout_ms_) tell_time_left();
  call_ = up_->version() == http::Version::http_2 && (web_ || context_->grpc == Grpc::native);
  // A client may listen for hours and say nothing; timeouts.idle looks at both directions.
  if (call_ && !web_) down_->lift_body_pace();
  const http::Message& head = context_->request;
  bool whole = head.body == http::BodyKind::none && request_ended_;
  up_->send_head(head, whole ? http::EndStream::yes : http::EndStream::no);
  for (HeldPiece* piece = held_first_; piece; piece = piece->next) up_->send_data(piece->bytes);
  bool post = !http::idempotent(head.method);
  if (post && context_->route->config->retries.unsafe == config::Retries::Unsafe::never)
    keep_holding_ = false;
  if (!whole && request_whole()) send_request_rest();
  // While a body is still coming in the same read, its first bytes leave together with the head
  // (request_turn_end).
  bool flushed = request_whole() || !in_request_turn_;
  if (flushed) up_->flush();
  down_->resume(PauseReason::waiting);
  // Only what flush() left behind is followed by on_drained().
  if (flushed && up_->unsent() > buffer_limit()) hold_back(*down_);
  arm_timer();
}

void Exchange::send_request_rest() {
  if (http::Headers* trailers = context_->request_trailers) {
    prepare_request_trailers(*context_, *trailers);
    up_->send_trailers(*trailers);
  } else {
    up_->send_end();
  }
  arm_timer();
}

void Exchange::upstream_drained() {
  if (down_) down_->resume(PauseReason::sink_full);
}

// For the client: what became of the last attempt.
static std::string_view told_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::timeout: return "the upstream did not answer in time";
    case ErrorKind::closed:
    case ErrorKind::reset: return "the upstream ended the exchange before its answer was whole";
    case ErrorKind::protocol:
    case ErrorKind::limit: return "the upstream's answer cannot be passed on";
    default: return "the upstream gave no answer";
  }
}

// An answer whose head waits for its body's hooks is not asked for again: they have seen some of it.
void Exchange::upstream_lost(const Error& error) {
  if (state_ == ExchangeState::tunnel || state_ == ExchangeState::responding) {
    worker_.metrics.limits.add(error.limit);
    detach_upstream();
    attempt_reason_ = error.reason.empty() ? reason::upstream_reset : error.reason;
    attempt_ends();
    cluster_->finish(attempt_, upgraded_ ? upstream::Outcome::success : upstream::Outcome::failure);
    last_error_ = error;
    if (error.reason.empty()) last_error_.reason = reason::upstream_reset;
    if (head_sent_) return cut(last_error_.reason);
    refuse_and_answer(last_error_.reason, told_of(ErrorKind::reset));
    return;
  }
  AttemptEnd end = attempt_end(error);
  detach_upstream();
  attempt_failed(end);
}

// What is known about the attempt while its stream can still be asked.
AttemptEnd Exchange::attempt_end(const Error& error) const {
  AttemptEnd end;
  end.error = error;
  end.body_held = body_held_;
  end.informational_forwarded = informational_sent_;
  if (up_) {
    end.request_bytes_sent = up_->any_byte_sent();
    end.response_bytes_received = up_->any_byte_received();
    end.reused_connection = up_->reused();
  }
  return end;
}

// Before any byte of an answer went to the client: another attempt, or a local answer.
void Exchange::attempt_failed(const AttemptEnd& end) {
  worker_.metrics.limits.add(end.error.limit);
  last_error_ = end.error;
  last_error_.reason = attempt_reason_ = reason_of(end.error);
  // The pool has counted a connection that could not be made; a stale one says nothing about the endpoint.
  bool stale = end.reused_connection && !end.response_bytes_received && end.error.kind != ErrorKind::timeout;
  drop_attempt(stale                    ? upstream::Outcome::stale
               : end.request_bytes_sent ? upstream::Outcome::failure
                                        : upstream::Outcome::neutral);
  if (retry(end)) return;
  refuse_and_answer(last_error_.reason, told_of(last_error_.kind));
}

// One retry that counts: against retries.attempts and the budget.
bool Exchange::may_go_elsewhere() {
  const config::Retries& rule = context_->route->config->retries;
  if (retries_ >= rule.attempts || !cluster_->pick(tried_)) return false;
  if (!worker_.retry_budget.take(worker_.worker, worker_.loop.now_ms(), rule.budget)) return false;
  ++retries_;
  return true;
}

// True when the request goes on elsewhere (or when that has ended it already).
bool Exchange::retry(const AttemptEnd& end) {
  const config::Retries& rule = context_->route->config->retries;
  RetryVerdict verdict = judge(rule, context_->request.method, end);
  // A connection that was gone says nothing about its endpoint, which may be the only one. The next one is a
  // fresh one, and still may be given up with what has just begun on it.
  if (verdict == RetryVerdict::free && end.reused_connection && stale_attempts_ < max_stale_attempts) {
    ++stale_attempts_;
    tried_ = {};
    want_fresh_ = true;
  }
  if (verdict == RetryVerdict::no || !down_ || tried_.count() >= upstream::Tried::max) return false;
  if (verdict == RetryVerdict::elsewhere) {
    if (!may_go_elsewhere()) return false;
  }
  worker_.metrics.count_retry();
  next_attempt();
  return true;
}

// The stream is gone: what waited for it to drain goes on, for the next attempt or the end of the request.
void Exchange::detach_upstream() {
  if (up_ && down_) down_->resume(PauseReason::sink_full);
  up_ = nullptr;
  context_->response_trailers = nullptr;  // they were the stream's
}

// What came from it waits for the other side.
void Exchange::hold_back(http::Stream& source) {
  worker_.metrics.limits.add(Limit::buffer_size);
  source.pause(PauseReason::sink_full);
}

// Gives the attempt back; a stream that is still open is cut.
void Exchange::drop_attempt(upstream::Outcome outcome) {
  attempt_ends();
  if (up_) up_->release();
  detach_upstream();
  if (cluster_ && attempt_.endpoint()) cluster_->finish(attempt_, outcome);
}

void Exchange::arm_timer() {
  const Route& route = *context_->route;
  // Servers of gRPC need not say anything before they have a message: what bounds a call is its deadline.
  bool waiting = state_ == ExchangeState::forwarding && request_whole() && !call_;
  first_byte_deadline_ms_ = waiting ? worker_.loop.now_ms() + route.first_byte_timeout_ms : 0;
  taken_seen_ = (down_ ? down_->bytes_written() : 0) + (up_ ? up_->bytes_written() : 0);
  start_timer();
}

void Exchange::start_timer() {
  uint64_t now = worker_.loop.now_ms(), idle = context_->route->idle_timeout_ms;
  uint64_t next = std::min(last_activity_ms_ + idle, now + idle / looks_per_idle_timeout);
  if (first_byte_deadline_ms_) next = std::min(next, first_byte_deadline_ms_);
  if (total_deadline_ms_) next = std::min(next, total_deadline_ms_);
  if (body_paused()) next = std::min(next, pause_deadline_ms_);
  timer_.start(next > now ? next - now : 1);
}

// Bytes that a peer takes count like bytes that come, but nobody tells when it does: a slow one takes them
// out of our kernel's buffer for minutes. So the timer looks several times in an idle timeout. The first look
// finds less than arm_timer() noted where something waits to be taken, whether or not it moves, so the
// timeout strikes late by two looks at most. An answer that waits while others of its connection are taken is
// as little idle: who is first is not its client's fault.
void Exchange::look_at_writes() {
  uint64_t taken = down_ ? down_->bytes_taken() + down_->bytes_taken_before() : 0;
  if (up_) taken += up_->bytes_taken();
  if (taken == taken_seen_) return;
  taken_seen_ = taken;
  last_activity_ms_ = worker_.loop.now_ms();
}

// Is it the backend that keeps everybody waiting? It is when it does not take the connection or nothing of
// the request, and when a client that expects a 100 still waits for one (RFC 9110 10.1.1). It is not when the
// client does not read its answer or does not send its body.
bool Exchange::backends_silence() const {
  if (state_ == ExchangeState::acquiring || (up_ && up_->unsent() > 0)) return true;
  if (down_ && down_->unsent() > 0) return false;
  bool expects =
      context_->request.expect_continue && !informational_sent_ && context_->request_body_bytes == 0;
  return request_ended_ || (up_ && expects);
}

// The whole request came, but not all of it is with the backend, which takes some of it now and then: its
// time to answer begins when it has all.
bool Exchange::request_moves() {
  if (!up_) return false;
  uint64_t taken = up_->bytes_taken();
  bool whole = up_->unsent() == 0 && taken == up_->bytes_written();
  if (whole || taken == request_taken_) return false;
  request_taken_ = taken;
  first_byte_deadline_ms_ = worker_.loop.now_ms() + context_->route->first_byte_timeout_ms;
  return true;
}

// The timer's clock may be a little ahead of that of the call.
void Exchange::on_pause_timer() {
  const uint64_t left = call_time_left_ms(), now = worker_.loop.now_ms();
  if (left == 0) return end_call_in_time();
  if (now >= pause_deadline_ms_)
    return body_paused() ? end_pause_in_time() : advance(decision_->fail_paused());
  const uint64_t next = std::min(left, pause_deadline_ms_ - now);
  if (state_ == ExchangeState::paused || body_paused() || left != UINT64_MAX) timer_.start(next);
}

void Exchange::on_timer() {
  if (state_ == ExchangeState::paused || state_ == ExchangeState::holding) return on_pause_timer();
  if (!context_->route) return;
  look_at_writes();
  if (body_paused()) {
    if (worker_.loop.now_ms() >= pause_deadline_ms_) return end_pause_in_time();
    last_activity_ms_ = worker_.loop.now_ms();  // it is nobody's silence
  }
  uint64_t now = worker_.loop.now_ms();
  std::string_view why;
  if (total_deadline_ms_ && now >= total_deadline_ms_)
    why = deadline_is_clients_ ? reason::request_deadline : reason::upstream_timeout_total;
  else if (first_byte_deadline_ms_ && now >= first_byte_deadline_ms_ && !request_moves())
    why = reason::upstream_timeout_first_byte;
  else if (now >= last_activity_ms_ + context_->route->idle_timeout_ms)
    why = reason::upstream_timeout_idle;
  if (why.empty()) {
    start_timer();
    return;
  }
  bool clients_fault = why == reason::upstream_timeout_idle && !backends_silence();
  bool unread = down_ && down_->unsent() > 0;
  if (clients_fault && !upgraded_) why = unread ? reason::client_slow : reason::request_timeout;
  Error error{ErrorKind::timeout, ErrorSource::upstream, Retry::no, why, "a timeout of the route struck"};
  if (why == reason::upstream_timeout_first_byte && !head_sent_) {
    attempt_failed(attempt_end(error));
    return;
  }
  if (state_ == ExchangeState::tunnel) {
    end_tunnel();
    return;
  }
  // A call that its client gives no time costs the backend what one does that it takes back.
  if (why == reason::request_deadline && up_ && down_ && !head_sent_) down_->count_as_reset();
  bool in_all = why == reason::upstream_timeout_total || why == reason::request_deadline;
  bool quiet_call = call_ && up_ && up_->unsent() == 0;  // which says nothing about its endpoint
  bool endpoints_fault = !upgraded_ && !clients_fault && !in_all && !quiet_call;
  const auto outcome = endpoints_fault ? upstream::Outcome::failure : upstream::Outcome::neutral;
  if (!head_sent_) {
    attempt_reason_ = why;
    drop_attempt(outcome);
    refuse_and_answer(why, clients_fault ? "the request's body did not come" : "the upstream took too long");
    return;
  }
  broken_off_ = outcome;
  cut(why);
}

}  // namespace penstock::proxy
