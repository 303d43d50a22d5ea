// How long a client may keep its connection or one of its streams waiting, and what happens then.
#include <algorithm>

#include "http/http2/downstream.h"

namespace penstock::http::http2 {
namespace {

constexpr uint64_t never = UINT64_MAX;

}  // namespace

// --- a stream ---

bool DownstreamStream::client_awaited() const {
  if (!handler_ || end_told_ || tunnel_ || gone_ || given_up_ || pauses_.any()) return false;
  const bool continue_awaited = message_.expect_continue && !interim_ && !answered() && received_ == 0;
  return !continue_awaited && handler_->undelivered() == 0;
}

void DownstreamStream::lift_body_pace() {
  count_awaited(false);
  pace_lifted_ = true;
  set_deadline();
}

void DownstreamStream::count_awaited(bool awaited) {
  if (awaited == awaited_) return;
  awaited_ = awaited;
  uint32_t& count = pace_lifted_ ? connection_.awaited_calls_ : connection_.awaited_bodies_;
  awaited ? ++count : --count;
}

void DownstreamStream::set_deadline() {
  if (gone_ || given_up_) return deadline_.clear();
  const uint64_t now = connection_.loop_.now_ms();
  count_awaited(client_awaited());
  uint64_t due = never;
  if (body_awaited())
    due = body_due_ms_ = now + pace_.patience_ms(settings(), now, received_);
  else if (!end_told_)
    pace_.stop(now, received_);
  if (waits_to_send()) due = std::min(due, send_since_ms_ + settings().send_timeout_ms);
  due == never ? deadline_.clear() : deadline_.at(connection_.loop_, due);
}

bool DownstreamStream::has_window() const {
  return nghttp2_session_get_stream_remote_window_size(raw(), id_) > 0;
}

// With a window of its own: without one it waits for its client.
uint64_t DownstreamStream::bytes_taken_before() const {
  return waits_for_turn() ? connection_.body_given_ : 0;
}

// What goes from here on counts as taken since now. With a window it is the connection that it waits for, or
// the turn's end.
void DownstreamStream::mark_sending(uint64_t now_ms) {
  send_mark_ = given;
  connection_mark_ = connection_.body_given_;
  send_since_ms_ = now_ms;
  waited_for_others_ = !connection_.busy() && has_window();
}

// Of what waits for a window, be it the last frame alone. True once less was taken than has to be: of the
// stream, when it has no window of its own and had none before; else of the whole connection, because who of
// those that wait for its window comes first is nghttp2's choice and no fault of the client's. What waits in
// the transport is the transport's to judge.
bool DownstreamStream::reads_too_slowly(uint64_t now_ms) {
  if (!waits_to_send() || now_ms < send_since_ms_ + settings().send_timeout_ms) return false;
  const uint64_t rate = uint64_t{settings().min_send_rate} * settings().send_timeout_ms / 1'000;
  const uint64_t least = std::max<uint64_t>(1, rate);
  const bool slow = given - send_mark_ < least;
  const bool all_slow = connection_.body_given_ - connection_mark_ < least;
  const bool blamed = has_window() || waited_for_others_ ? all_slow : slow;
  if (connection_.transport_->unsent() == 0 && blamed) return true;
  mark_sending(now_ms);
  return false;
}

void DownstreamStream::on_timer() {
  if (!deadline_.struck(connection_.loop_)) return;
  const uint64_t now = connection_.loop_.now_ms();
  ++connection_.depth_;
  if (reads_too_slowly(now)) {
    lose(lost(ErrorKind::timeout, reason::client_slow, "the client does not take its answer",
              given == send_mark_ ? Limit::send_timeout : Limit::min_send_rate));
  } else if (body_awaited() && now >= body_due_ms_) {
    const bool slow = pace_.too_slow(now, received_);
    refuse_body(lost(ErrorKind::timeout, reason::request_timeout,
                     slow ? "the body comes too slowly" : "the body took too long",
                     slow ? Limit::min_body_rate : Limit::body_timeout));
  } else {
    set_deadline();
  }
  --connection_.depth_;
  connection_.settle();
}

// --- the connection ---

uint64_t Downstream::waiting_since_ms() const {
  if (!transport_ || !streams_.empty()) return never;
  return head_since_ms_ > 0 && served_ > 0 ? head_since_ms_ : waiting_since_ms_;
}

uint64_t Downstream::slow_body_since_ms() const { return body_mark_.since_ms(); }

void Downstream::count_wait_from(uint64_t ms) {
  waiting_since_ms_ = ms;
  set_deadline();
}

size_t Downstream::held_bytes() const {
  size_t held = memory_.held() + (transport_ ? transport_->unsent() + transport_->unread() : 0);
  streams_.for_each([&](const DownstreamStream& stream) { held += stream.held(); });
  return held;
}

// A connection whose every request waits for its own body waits for its client; with one that waits for us it
// does not.
Awaited Downstream::awaited() const {
  if (handled_ > 0) {
    if (awaited_bodies_ + awaited_calls_ < handled_) return Awaited::nothing;
    return awaited_calls_ > 0 ? Awaited::call : Awaited::body;
  }
  if (!streams_.empty() || transport_->unsent() > 0) return Awaited::nothing;
  if (served_ == 0) return spoken_ ? Awaited::rest_of_head : Awaited::first_byte;
  return head_since_ms_ > 0 ? Awaited::rest_of_head : Awaited::next_request;
}

// A call that only listens is as good as one that talks: what goes out counts for it, too.
void Downstream::await() {
  const Awaited what = awaited();
  const bool paced = what == Awaited::body || what == Awaited::call;
  if (what != awaited_) body_mark_.stop();
  const uint64_t moved = body_bytes_ + (what == Awaited::call ? body_given_ : 0);
  const bool body_moved_on = paced && body_mark_.look(settings_, loop_.now_ms(), moved);
  const bool anew = what == Awaited::next_request && served_anew_;
  if (awaited_ == what && !body_moved_on && !anew) return;
  if (anew) {
    served_anew_ = false;
    waiting_since_ms_ = loop_.now_ms();
    drop_early();
  }
  awaited_ = what;
  what == Awaited::nothing ? WaitHook::unlink() : owner_.on_awaiting(*this, what);
}

uint64_t Downstream::next_due_ms() const {
  uint64_t due = never;
  if (drain_ == Drain::told) due = drain_ms_;
  if (head_since_ms_ > 0) due = std::min(due, head_since_ms_ + settings_.header_timeout_ms);
  if (streams_.empty()) {
    due = std::min(due, next_look_ms());
  } else if (ping_ms_ > 0) {
    due = std::min(due, ping_ms_ + settings_.http2.ping_timeout_ms);
  } else if (settings_.http2.ping_interval_ms > 0) {
    due = std::min(due, read_ms_ + settings_.http2.ping_interval_ms);
  }
  return due;
}

void Downstream::set_deadline() {
  const uint64_t due = next_due_ms();
  due == never ? deadline_.clear() : deadline_.at(loop_, due);
}

void Downstream::on_deadline() {
  if (!transport_) return;
  const uint64_t now = loop_.now_ms();
  ++depth_;
  if (drain_ == Drain::told && now >= drain_ms_) finish_drain();
  if (head_since_ms_ > 0 && now >= head_since_ms_ + settings_.header_timeout_ms) {
    fail(NGHTTP2_PROTOCOL_ERROR,
         lost(ErrorKind::timeout, reason::request_timeout, "the head took too long", Limit::header_timeout));
  } else if (!streams_.empty()) {
    look_at_silence(now);
  } else {
    look_at_idleness(now);
  }
  --depth_;
  settle();
}

// The first request has the time of its head.
uint64_t Downstream::patience_ms() const {
  return served_ > 0 ? settings_.idle_timeout_ms : settings_.header_timeout_ms;
}

uint64_t Downstream::short_patience_ms() const {
  return served_ > 0 ? std::max(1u, settings_.idle_timeout_ms / idle_parts) : settings_.header_timeout_ms;
}

// With each part of its time an idle connection sees whether there is memory for its tables and buffers.
uint64_t Downstream::next_look_ms() const {
  const uint64_t part = short_patience_ms();
  const uint64_t waited = loop_.now_ms() - std::min(loop_.now_ms(), waiting_since_ms_);
  return waiting_since_ms_ + std::min(patience_ms(), (waited / part + 1) * part);
}

// A client that still takes its answer is not idle.
void Downstream::look_at_idleness(uint64_t now_ms) {
  const uint64_t patience = loop_.blocks().pressed() ? short_patience_ms() : patience_ms();
  if (now_ms < waiting_since_ms_ + patience) return;
  if (transport_->unsent() > 0) {
    waiting_since_ms_ = now_ms;
    return;
  }
  owner_.on_limit(served_ > 0 ? Limit::idle_timeout : Limit::header_timeout);
  append_goaway(NGHTTP2_NO_ERROR);
  close_gracefully(0);
}

// Nothing came for long while requests are open: is anybody there?
void Downstream::look_at_silence(uint64_t now_ms) {
  const Http2Settings& http2 = settings_.http2;
  if (http2.ping_interval_ms == 0 || now_ms < read_ms_ + http2.ping_interval_ms) return;
  if (ping_ms_ == 0) {
    ping_ms_ = std::max<uint64_t>(1, now_ms);
    return ping(alive_ping);
  }
  if (now_ms < ping_ms_ + http2.ping_timeout_ms) return;
  owner_.on_limit(Limit::http2_ping_timeout);
  lose_streams(lost(ErrorKind::timeout, reason::client_closed, "the client does not answer a PING"));
  if (!transport_) return;
  transport_->abort();
  closed();
}

void Downstream::ping(const PingText& text) {
  nghttp2_submit_ping(raw(), NGHTTP2_FLAG_NONE, text.data());
  write_later();
}

}  // namespace penstock::http::http2
