// The receiving half of a stream from a backend of HTTP/2, and its end.
#include <algorithm>

#include "http/http2/upstream.h"

namespace penstock::http::http2 {
namespace {

ResetCause cause_of(uint32_t code) {
  switch (code) {
    case NGHTTP2_REFUSED_STREAM: return ResetCause::refused;
    case NGHTTP2_CANCEL: return ResetCause::cancelled;
    case NGHTTP2_ENHANCE_YOUR_CALM: return ResetCause::overloaded;
    case NGHTTP2_INADEQUATE_SECURITY: return ResetCause::insecure;
    default: return ResetCause::other;
  }
}

}  // namespace

void UpstreamStream::news() {
  connection_.news_.push_back(*this);
  connection_.write_later();
}

// --- the answer ---

void UpstreamStream::add_field(std::string_view name, std::string_view value) {
  head_read_ ? answer_trailers_.add(name, value) : head_.add(name, value);
}

void UpstreamStream::end_fields(EndStream end) {
  answer_ended_ |= end == EndStream::yes;
  if (!handler_ || end_told_) return;
  connection_.touched_.push_back(*this);
  if (!head_read_) return take_head(end);
  if (tunnel_)  // RFC 9113 8.5
    return lose(backend_error(ErrorKind::protocol, reason::upstream_protocol, "fields within a tunnel"),
                NGHTTP2_PROTOCOL_ERROR);
  if (auto good = answer_trailers_.finish(); !good) return lose(good.error(), NGHTTP2_PROTOCOL_ERROR);
  end_told_ = true;
  if (!trailers_.empty()) handler_->on_trailers(trailers_);
  if (handler_) handler_->on_end();
}

void UpstreamStream::take_head(EndStream end) {
  if (auto good = head_.finish(asked_, end); !good) return lose(good.error(), NGHTTP2_PROTOCOL_ERROR);
  if (message_.status == 101) return take_tunnel(end);
  if (message_.status < 200) return take_interim();
  head_read_ = true;
  end_told_ = message_.body == BodyKind::none;  // whatever empty frame says so later
  handler_->on_head(message_, end_told_ ? EndStream::yes : EndStream::no);
}

void UpstreamStream::take_tunnel(EndStream end) {
  head_read_ = tunnel_ = true;
  handler_->on_head(message_, EndStream::no);
  if (end == EndStream::no || !handler_) return;
  end_told_ = true;
  handler_->on_end();
}

void UpstreamStream::take_interim() {
  if (++informational_ > connection_.settings_.max_informational)
    return lose(backend_error(ErrorKind::limit, reason::upstream_too_large, "too many interim answers",
                              Limit::upstream_max_informational),
                NGHTTP2_ENHANCE_YOUR_CALM);
  handler_->on_informational(message_);
  message_.reset();
}

void UpstreamStream::take_body(std::string_view bytes) {
  if (!handler_ || end_told_) return;
  unconsumed_ += static_cast<uint32_t>(bytes.size());
  received_ += bytes.size();
  connection_.touched_.push_back(*this);
  handler_->on_data(bytes);
}

void UpstreamStream::end_answer() {
  answer_ended_ = true;
  if (!handler_ || end_told_) return;
  end_told_ = true;
  connection_.touched_.push_back(*this);
  handler_->on_end();
}

void UpstreamStream::turn_over() {
  if (handler_) handler_->on_turn_end();
  if (handler_) give_credit();
}

// The window goes back when the bytes have left on the other side (RFC 9113 5.2): a client that takes none
// makes its own backend's stream wait and nobody else.
void UpstreamStream::give_credit() {
  if (unconsumed_ == 0 || gone_ || pauses_.any() || !connection_.open_transport()) return;
  const size_t waiting = std::min<size_t>(handler_->undelivered(), unconsumed_);
  const size_t credit = unconsumed_ - waiting;
  if (credit == 0) return;
  unconsumed_ = static_cast<uint32_t>(waiting);
  nghttp2_session_consume_stream(raw(), id_, credit);
  connection_.write_later();
}

void UpstreamStream::pause(PauseReason reason) {
  if (handler_) pauses_.set(reason);
}

void UpstreamStream::resume(PauseReason reason) {
  if (!handler_) return;
  pauses_.clear(reason);
  give_credit();
}

// --- its end ---

StreamHandler* UpstreamStream::take_handler() {
  if (handler_ && gone_) news();
  return std::exchange(handler_, nullptr);
}

void UpstreamStream::release() {
  if (!handler_) return;
  flush();
  take_handler();
  if (gone_ || !connection_.open_transport()) return;
  connection_.write_later();
  if (tunnel_ && state_ == Sending::ended && !end_out_ && !lost_) return drain();
  if (answer_ended_ && state_ == Sending::ended && out.empty() && !lost_) {
    if (!end_out_) news();
    return;
  }
  if (!answering_) connection_.given_up(started_ms_);
  give_up(NGHTTP2_CANCEL);
}

// What the client said last in its tunnel still goes, and our end behind it, as long as the backend takes
// something of it in the time that it has for a PING.
void UpstreamStream::drain() {
  drain_mark_ = given;
  deadline_.in(connection_.loop_, connection_.settings_.http2.ping_timeout_ms);
}

void UpstreamStream::on_timer() {
  if (!deadline_.struck(connection_.loop_)) return;
  given > drain_mark_ ? drain() : give_up(NGHTTP2_CANCEL);
}

// The reset of a tunnel that nobody takes any more goes behind our end.
void UpstreamStream::end_out() {
  end_out_ = true;
  if (!tunnel_ || handler_) return;
  deadline_.clear();
  if (!answer_ended_) give_up(NGHTTP2_CANCEL);
}

void UpstreamStream::give_up(uint32_t code) {
  if (given_up_) return;
  given_up_ = true;
  out.clear();
  deadline_.clear();
  if (gone_ || !connection_.open_transport()) return;
  const bool unsent = waits();
  if (id_ != 0) nghttp2_submit_rst_stream(raw(), NGHTTP2_FLAG_NONE, id_, code);
  if (!unsent) return connection_.write_later();
  // The library drops it when its turn comes, which may be never.
  if (id_ != 0) nghttp2_session_set_stream_user_data(raw(), id_, nullptr);
  close(By::us, code);
}

// As one that the backend has refused.
void UpstreamStream::take_back() {
  if (lost_) return;  // by itself
  unprocessed_ = true;
  lose(backend_error(ErrorKind::refused, reason::upstream_connect_refused, takes_no_streams));
}

// In the middle of nghttp2's work, which may be within a call of our handler's: it is told later.
void UpstreamStream::close(By by, uint32_t code) {
  gone_ = true;
  closed_by_us_ = by == By::us;
  code_ = code;
  out.clear();
  deadline_.clear();
  --connection_.open_;
  news();
}

void UpstreamStream::tell() {
  const bool room = room_;
  room_ = false;
  if (room && handler_ && !gone_) handler_->on_drained();
  if (!handler_) return end_or_give_up();
  if (lost_) return lose(error_);
  // Of a tunnel the backend's end says nothing about our side.
  if (gone_ && (!end_told_ || (tunnel_ && state_ != Sending::ended))) lose(why_gone());
}

// Nobody wants more of it, its answer is over, and only our end is still to go: if a window of nothing keeps
// that back, nobody would ever end this stream. A tunnel has its time, see drain().
void UpstreamStream::end_or_give_up() {
  if (gone_ || given_up_ || end_out_ || tunnel_ || state_ != Sending::ended || !out.empty()) return;
  connection_.write();
  if (!end_out_) give_up(NGHTTP2_CANCEL);
}

// Why it is closed although its answer is not over.
Error UpstreamStream::why_gone() {
  unprocessed_ = !head_out_ || (!closed_by_us_ && code_ == NGHTTP2_REFUSED_STREAM && !answering_);
  if (!head_out_) return backend_error(ErrorKind::closed, reason::upstream_reset, takes_no_more);
  if (closed_by_us_) return backend_error(ErrorKind::protocol, reason::upstream_protocol, breaks_rules);
  if (unprocessed_)  // by RST_STREAM, or because GOAWAY named an earlier one as its last (RFC 9113 8.7)
    return backend_error(ErrorKind::refused, reason::upstream_reset, "the backend refused the stream");
  answered_by_reset_ = true;
  Error error = backend_error(ErrorKind::reset, reason::upstream_reset, "the backend reset the stream");
  if (code_ == NGHTTP2_HTTP_1_1_REQUIRED)
    error = backend_error(ErrorKind::protocol, reason::upstream_protocol, "the backend wants HTTP/1.1");
  error.reset = cause_of(code_);
  return error;
}

// What `error` says of another attempt, from what was sent and received.
Error UpstreamStream::judged(const Error& error) const {
  Error copy = error;
  if (copy.source != ErrorSource::upstream || answering_)
    copy.retry = Retry::no;
  else
    copy.retry = any_byte_sent() ? Retry::if_reused : Retry::yes;
  return copy;
}

void UpstreamStream::lose(const Error& error, uint32_t code) {
  const Error copy = judged(error);
  if (StreamHandler* handler = take_handler()) handler->on_reset(copy);
  give_up(code);
}

}  // namespace penstock::http::http2
