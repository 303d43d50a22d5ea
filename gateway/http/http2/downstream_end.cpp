// How streams and their connections end: a stream by its last frame or a reset that says whose fault it was,
// a connection by GOAWAY, in two steps where its client should lose nothing (RFC 9113 6.8).
#include <algorithm>

#include "http/http2/downstream.h"

namespace penstock::http::http2 {

// --- streams ---

StreamHandler* DownstreamStream::take_handler() {
  if (!handler_) return nullptr;
  deadline_.clear();
  --connection_.handled_;
  count_awaited(false);
  if (gone_) news();
  return std::exchange(handler_, nullptr);
}

void DownstreamStream::release() {
  if (!handler_) return;
  flush();
  take_handler();
  if (gone_ || !connection_.open()) return;
  connection_.write_later();
  if (state_ != Sending::ended) return give_up(cut_code());
  if (response_out_) end_request_too();
  if (waits_to_send()) set_deadline();
}

void DownstreamStream::reset() {
  if (!handler_) return;
  take_handler();
  give_up(cut_code());
}

// The answer is out. What is still to come of its request is of no use to anybody (RFC 9113 8.1).
// A tunnel's other direction goes on as long as somebody takes it.
void DownstreamStream::response_out() {
  response_out_ = true;
  TurnHook::unlink();
  if (!tunnel_ || !handler_) end_request_too();
}

void DownstreamStream::end_request_too() {
  if (!request_ended_ && !gone_) nghttp2_submit_rst_stream(raw(), NGHTTP2_FLAG_NONE, id_, NGHTTP2_NO_ERROR);
}

// In the middle of nghttp2's work, which may be within a call of our handler's: it is told later.
void DownstreamStream::close(By by) {
  gone_ = true;
  client_reset_ = by == By::client && !over();
  TurnHook::unlink();
  out.clear();
  deadline_.clear();
  if (!BegunHook::linked()) news();
}

void DownstreamStream::tell() {
  const bool room = room_;
  room_ = false;
  if (room && handler_ && !gone_) {
    handler_->on_drained();
    if (!handler_) return;
  }
  if (!gone_ && tunnel_ && handler_) tell_tunnel();
  if (!gone_ || !handler_ || (over() && !broken_off_)) return;
  if (client_reset_)
    return lose(lost(ErrorKind::reset, reason::client_closed, "the client reset the stream"));
  if (broken_off_) return lose(error_);
  refuse_body(lost(ErrorKind::protocol, reason::request_malformed, "the request breaks the rules of HTTP/2"));
}

// What came before it was made, maybe the client's end.
void DownstreamStream::tell_tunnel() {
  if (!early_first_ && !(request_ended_ && !end_told_)) return;
  tell_early();
  if (handler_ && request_ended_ && !end_told_) {
    end_told_ = true;
    handler_->on_end();
  }
  turn_over();
}

void DownstreamStream::lose(const Error& error) {
  connection_.owner_.on_limit(error.limit);
  end(error);
}

// One that nobody was told of is a request that came, too.
void DownstreamStream::end(const Error& error) {
  if (BegunHook::linked()) {
    given_up_ = true;
    refuse(error);
    error_.limit = Limit::none;  // it was counted
    begin();
  }
  if (StreamHandler* handler = take_handler()) handler->on_reset(error);
  give_up(NGHTTP2_CANCEL);
}

// A body that breaks the rules or does not come: its handler may still answer; nothing more is read.
void DownstreamStream::refuse_body(const Error& error) {
  if (!handler_) return;
  if (answered()) return lose(error);
  end_told_ = true;
  connection_.owner_.on_limit(error.limit);
  handler_->on_bad_body(error);
  if (StreamHandler* handler = take_handler()) {
    static_cast<void>(handler);  // has lost the stream, as by on_reset
    give_up(NGHTTP2_PROTOCOL_ERROR);
  }
}

// --- connections ---

// The client is told that there will be an end; what it has sent before it knew is still served.
void Downstream::begin_drain() {
  if (!transport_ || drain_ != Drain::no) return;
  drain_ = Drain::told;
  drain_ms_ = loop_.now_ms() + goaway_grace_ms;
  nghttp2_submit_shutdown_notice(raw());  // the PING follows it
  write_later();
  set_deadline();
}

void Downstream::finish_drain() {
  drain_ = Drain::done;
  nghttp2_submit_goaway(raw(), NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(raw()),
                        NGHTTP2_NO_ERROR, nullptr, 0);
  write_later();
}

void Downstream::drain(uint32_t) { begin_drain(); }

void Downstream::lose_streams(const Error& error) {
  streams_.for_each([&](DownstreamStream& stream) { stream.end(error); });
}

void Downstream::fail_broken() {
  const bool flood = flooded_ != Limit::none || broken_by() == NGHTTP2_ERR_FLOODED;
  if (flood && flooded_ == Limit::none) flooded_ = Limit::http2_max_control_frames;
  if (flood)
    fail(NGHTTP2_ENHANCE_YOUR_CALM,
         lost(ErrorKind::limit, reason::request_malformed, "the client floods its connection", flooded_));
  else
    fail(broken_code_,
         lost(ErrorKind::protocol, reason::request_malformed, "the client does not speak HTTP/2"));
}

void Downstream::fail(uint32_t code, const Error& error) {
  ++depth_;
  owner_.on_limit(error.limit);
  owner_.on_http2_error(code);
  lose_streams(error);
  if (transport_) {
    append_goaway(code);
    close_gracefully(settings_.linger_ms);
  }
  --depth_;
}

void Downstream::close() {
  if (!transport_) return;
  ++depth_;
  lose_streams({ErrorKind::cancelled, ErrorSource::internal, Retry::no, reason::drain_timeout,
                "the connection is closed from this side"});
  if (transport_) {
    append_goaway(NGHTTP2_NO_ERROR);
    close_gracefully(0);
  }
  --depth_;
}

void Downstream::shed(Limit limit) {
  if (!transport_) return;
  const Error error = lost(ErrorKind::limit, reason::overload, "room is made for others", limit);
  if (limit != Limit::buffered || transport_->unsent() > 0) {
    ++depth_;
    const bool polite = streams_.empty() && transport_->unsent() == 0;
    if (limit == Limit::buffered) owner_.on_limit(limit);
    lose_streams(error);
    --depth_;
    if (!transport_) return;
    if (polite) {
      append_goaway(NGHTTP2_NO_ERROR);
      return close_gracefully(0);
    }
    transport_->abort();  // a polite close would keep what a slow reader holds
    return closed();
  }
  ++depth_;
  streams_.for_each([&](DownstreamStream& stream) { stream.refuse_body(error); });
  --depth_;
  if (!transport_) return;
  write();
  fail(NGHTTP2_ENHANCE_YOUR_CALM, lost(ErrorKind::limit, reason::overload, "room is made for others"));
}

// What a client that reads nothing has not taken is not waited for.
void Downstream::close_gracefully(uint64_t linger_ms) {
  if (transport_->unsent() > net::Transport::high_mark)
    transport_->abort();
  else
    transport_->close_gracefully(linger_ms);
  closed();
}

void Downstream::closed() {
  deadline_.clear();
  Task::cancel();
  WaitHook::unlink();
  transport_.reset();
  owner_.on_closed(*this);
}

}  // namespace penstock::http::http2
