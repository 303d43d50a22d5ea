#include "proxy/exchange.h"

#include <algorithm>

#include "base/reason.h"
#include "proxy/exchange_state.h"

namespace penstock::proxy {

std::string_view name(ExchangeState state) {
  switch (state) {
    case ExchangeState::deciding: return "deciding";
    case ExchangeState::paused: return "paused";
    case ExchangeState::holding: return "holding";
    case ExchangeState::acquiring: return "acquiring";
    case ExchangeState::forwarding: return "forwarding";
    case ExchangeState::responding: return "responding";
    case ExchangeState::tunnel: return "tunnel";
    case ExchangeState::answering: return "answering";
    case ExchangeState::done: return "done";
  }
  return {};
}

http::StreamHandler& make_exchange(WorkerContext& worker, http::Stream& stream, Generation& generation,
                                   const ListenerInfo& listener) {
  // Owned by itself until finish() hands it to the loop.
  auto* exchange = new (worker.exchanges) Exchange(worker, stream, generation, listener);
  return exchange->handler();
}

Exchange::Exchange(WorkerContext& worker, http::Stream& stream, Generation& generation,
                   const ListenerInfo& listener)
    : worker_(worker),
      down_(&stream),
      generation_(generation),
      listener_(listener),
      timer_(worker.loop, [](void* self) { static_cast<Exchange*>(self)->on_timer(); }, this) {
  worker_.pin(generation_);
  ++worker_.metrics.active_requests;
  http2_ = stream.version() == http::Version::http_2;
  if (http2_) ++worker_.metrics.http2_streams;
}

Exchange::~Exchange() = default;

void Exchange::begin(http::Message& head) {
  start_ns_ = worker_.loop.now_ns();
  last_activity_ms_ = worker_.loop.now_ms();
  RequestContext& context = context_.emplace(down_->arena(), head);
  context.snapshot = generation_.snapshot.get();
  context.names = &worker_.names;
  context.key_digests = &worker_.key_digests;
  context.loop = &worker_.loop;
  context.worker = worker_.worker;
  context.worker_states = generation_.filter_states;
  context.clusters = generation_.clusters;
  context.wall_ns = worker_.loop.wall_ns();
  context.monotonic_ns = static_cast<int64_t>(start_ns_);
  context.resumable = this;
  context.ids = &worker_.random;
  fill_client_facts(context, listener_, *down_, worker_.random);
  context.grpc = grpc::kind_of(head);
  decision_.emplace(context, listener_);
}

void Exchange::request_head(http::Message& head, http::EndStream end) {
  begin(head);
  request_ended_ = end == http::EndStream::yes;
  has_body_ = !request_ended_;
  in_request_turn_ = true;
  if (worker_.loop.blocks().exceeded()) {
    worker_.metrics.limits.add(Limit::buffered);
    refuse_and_answer(reason::overload, "the gateway holds too much for its clients");
    return;
  }
  context_->random = worker_.random.unit();
  worker_.retry_budget.count_request(worker_.worker, last_activity_ms_);
  const Decision::Step step = decision_->start();
  if (context_->grpc > Grpc::native) begin_web();
  advance(step);
}

void Exchange::bad_head(const Error& error, http::Message& head) {
  begin(head);
  request_ended_ = true;  // whatever follows is not read as this request's body
  context_->path = head.path;
  refuse(*context_, status_of(error.reason), error.reason, error.text);
  down_->refuse_rest();
  answer();
}

// The backend has part of a body that will never be whole: that attempt is cut, and the client gets the
// reason.
void Exchange::bad_body(const Error& error) {
  request_ended_ = true;
  down_->refuse_rest();
  refuse(*context_, status_of(error.reason), error.reason, error.text);
  answer();
}

void Exchange::advance(Decision::Step step) {
  switch (step) {
    case Decision::Step::forward: open_upstream(*decision_->grant()); return;
    case Decision::Step::held: hold_head(); return;
    case Decision::Step::respond:
      // Nothing more is read from a client that sends what may be an attack.
      if (context_->local.reason == reason::request_malformed) down_->refuse_rest();
      answer();
      return;
    case Decision::Step::paused:
      state_ = ExchangeState::paused;
      pause_deadline_ms_ = worker_.loop.now_ms() + pause_timeout_ms;
      timer_.start(std::clamp<uint64_t>(call_time_left_ms(), 1, pause_timeout_ms));
      return;
  }
}

bool Exchange::resume(void* data) {
  if (over()) return false;
  if (body_paused()) return resume_body(data);
  if (state_ != ExchangeState::paused) return false;
  state_ = ExchangeState::deciding;
  timer_.stop();
  advance(decision_->resume(data));
  return true;
}

void Exchange::request_data(std::string_view bytes) {
  last_activity_ms_ = worker_.loop.now_ms();
  if (over()) return;
  // As it came: base64 has the size that Content-Length may have told.
  context_->request_body_bytes += bytes.size();
  if (state_ == ExchangeState::tunnel) {
    up_->send_data(bytes);
    return;
  }
  if (context_->request_body_bytes > body_limit(*context_, listener_)) {
    if (!head_sent_) {
      drop_attempt(upstream::Outcome::neutral);
      refuse_and_answer(reason::request_body_too_large, "the body is larger than this route takes");
      return;
    }
    cut(reason::request_body_too_large);
    return;
  }
  request_is_text() ? request_text(bytes) : pass_request(bytes);
}

void Exchange::forward_request_data(std::string_view bytes) {
  if (holds_request())
    hold(bytes);
  else
    body_held_ = false;
  if (up_) up_->send_data(bytes);
}

// As long as another attempt may need it: for repeatable methods within the bound, for all others until the
// first byte of this attempt has left.
bool Exchange::holds_request() const {
  return !up_ || (body_held_ && (keep_holding_ || !up_->any_byte_sent()));
}

// What no plugin has to see; a length over the route's limit was refused with the head.
http::Stream* Exchange::request_sink() const {
  const bool seen = request_is_text() || (request_body_ && !request_body_->detached());
  const bool forwards = (state_ == ExchangeState::forwarding || state_ == ExchangeState::responding) && !seen;
  return forwards && !holds_request() ? up_ : nullptr;
}

void Exchange::request_spliced(size_t bytes) {
  last_activity_ms_ = worker_.loop.now_ms();
  context_->request_body_bytes += bytes;
  body_held_ = false;
  up_->spliced(bytes);
}

void Exchange::hold(std::string_view bytes) {
  size_t limit = context_->route ? context_->route->config->retries.body_limit : 64 * 1024;
  if (up_ && held_bytes_ + bytes.size() > limit) {
    keep_holding_ = body_held_ = false;
    held_first_ = held_last_ = nullptr;
    return;
  }
  auto* piece = context_->arena.make<HeldPiece>(context_->arena.copy(bytes), nullptr);
  (held_last_ ? held_last_->next : held_first_) = piece;
  held_last_ = piece;
  held_bytes_ += bytes.size();
  // One read may overshoot; after it the client waits until an upstream is there.
  if (!up_ && held_bytes_ >= limit) down_->pause(PauseReason::waiting);
}

void Exchange::request_end() {
  request_ended_ = true;
  last_activity_ms_ = worker_.loop.now_ms();
  if (state_ == ExchangeState::tunnel) {
    up_->send_end();
    up_->flush();
    if (response_ended_) finish();
    return;
  }
  if (state_ == ExchangeState::answering) return;
  if (request_is_text() && !web_->reader.whole()) return refuse_text();
  if (request_body_) {
    request_body_->offer({}, true);
    return run_request_body(request_body_->next());
  }
  // Before that open_upstream() does it.
  if (state_ != ExchangeState::deciding && state_ != ExchangeState::paused) forward_request_end();
}

void Exchange::forward_request_end() {
  if (!run_request_trailers() || !up_) return;
  send_request_rest();
  up_->flush();
}

// What may wait for one side before the other is paused; little while the process is short of memory.
size_t Exchange::buffer_limit() const {
  constexpr size_t pressed = 4 * 1024;
  size_t size = listener_.http.buffer_size;
  return worker_.loop.blocks().pressed() ? std::min(size, pressed) : size;
}

void Exchange::request_turn_end() {
  in_request_turn_ = false;
  if (!up_) return;
  up_->flush();
  if (up_->unsent() > buffer_limit()) hold_back(*down_);
}

void Exchange::client_drained() {
  last_activity_ms_ = worker_.loop.now_ms();
  if (up_) up_->resume(PauseReason::sink_full);
}

void Exchange::client_lost(const Error& error) {
  down_ = nullptr;
  if (state_ == ExchangeState::done) return;
  const bool ours = error.source == ErrorSource::internal;
  const bool timed_out = error.kind == ErrorKind::timeout || error.limit != Limit::none;
  if (!upgraded_ && context_->reason.empty())
    context_->reason = error.reason.empty() || !(ours || timed_out) ? reason::client_closed : error.reason;
  truncated_ = head_sent_ && !upgraded_;
  finish();
}

}  // namespace penstock::proxy
