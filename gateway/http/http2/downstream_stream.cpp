// One request of HTTP/2 and its answer.
#include <algorithm>

#include "http/http1/framing.h"
#include "http/http1/serializer.h"
#include "http/http2/downstream.h"
#include "http/http2/outgoing_fields.h"

namespace penstock::http::http2 {

void* DownstreamStream::operator new(size_t size, SizedPool& pool) {
  void* memory = pool.take(size);
  if (!memory) throw std::bad_alloc();
  return memory;
}

DownstreamStream::DownstreamStream(Downstream& connection, int32_t id)
    : OutgoingBody(connection.loop_.blocks(), id),
      connection_(connection),
      started_ms_(connection.loop_.now_ms()),
      arena_(connection.loop_.blocks()),
      message_(arena_),
      trailers_(arena_),
      head_(message_, connection.settings_),
      request_trailers_(trailers_, connection.settings_),
      deadline_(
          connection.loop_, [](void* self) { static_cast<DownstreamStream*>(self)->on_timer(); }, this) {}

const DownstreamSettings& DownstreamStream::settings() const { return connection_.settings_; }
nghttp2_session* DownstreamStream::raw() const { return connection_.raw(); }
const net::Address& DownstreamStream::peer() const { return connection_.transport_->peer(); }
const net::Address& DownstreamStream::local() const { return connection_.transport_->local(); }
const net::TlsInfo* DownstreamStream::tls() const {
  return connection_.transport_ ? connection_.transport_->tls() : nullptr;
}
void DownstreamStream::close_after() { connection_.begin_drain(); }
void DownstreamStream::touch() { connection_.touched_.push_back(*this); }
void DownstreamStream::news() {
  connection_.news_.push_back(*this);
  connection_.write_later();
}

// --- the request ---

void DownstreamStream::add_field(std::string_view name, std::string_view value) {
  head_read_ ? request_trailers_.add(name, value) : head_.add(name, value);
}

void DownstreamStream::end_head(EndStream end) {
  head_read_ = true;
  request_ended_ = end == EndStream::yes;
  auto channel = tls() ? RequestHead::Channel::secure : RequestHead::Channel::plain;
  if (auto good = head_.finish(end, channel); !good) refuse(good.error());
  asks_for_tunnel_ = !refused_ && !message_.upgrade.empty();
  ask_priority();
  if (const Priority* early = connection_.early_priority(id_)) update_priority(*early);
}

void DownstreamStream::refuse(const Error& error) {
  head_read_ = refused_ = true;
  error_ = error;
  message_.version = Version::http_2;
}

void DownstreamStream::begin() {
  BegunHook::unlink();
  if (gone_ && !refused_)
    refuse(lost(ErrorKind::closed, reason::client_closed, "the client took the request back"));
  handler_ = &connection_.owner_.on_stream(*this, connection_);
  ++connection_.handled_;
  connection_.served_anew_ = true;
  if (++connection_.served_ == settings().max_requests) {
    connection_.owner_.on_limit(Limit::max_requests);
    connection_.begin_drain();
  }
  touch();
  end_told_ = request_ended_ || message_.body == BodyKind::none;
  if (refused_) {
    end_told_ = true;
    connection_.owner_.on_limit(error_.limit);
    return handler_->on_bad_head(error_, message_);
  }
  if (!end_told_) pace_.start(settings());
  handler_->on_head(message_, end_told_ ? EndStream::yes : EndStream::no);
}

// Its bytes are gone after this read, so a request that waits for its turn begins now.
void DownstreamStream::take_body(std::string_view bytes) {
  if (BegunHook::linked()) begin();
  if (asks_for_tunnel_ && !tunnel_) return hold_early(bytes);
  tell_early();
  deliver(bytes);
}

void DownstreamStream::deliver(std::string_view bytes) {
  if (!handler_ || end_told_) return;
  unconsumed_ += static_cast<uint32_t>(bytes.size());
  received_ += bytes.size();
  touch();
  handler_->on_data(bytes);
}

// A client need not wait for the tunnel to be made. The stream's window bounds what it can send: nothing of
// it is given back before.
void DownstreamStream::hold_early(std::string_view bytes) {
  if (!handler_ || answered()) return;
  auto* piece = arena_.make<EarlyBytes>(arena_.copy(bytes), nullptr);
  (early_last_ ? early_last_->next : early_first_) = piece;
  early_last_ = piece;
}

void DownstreamStream::tell_early() {
  for (EarlyBytes* piece = std::exchange(early_first_, nullptr); piece; piece = piece->next)
    deliver(piece->bytes);
}

void DownstreamStream::end_request() {
  if (BegunHook::linked()) begin();
  request_ended_ = true;
  if (asks_for_tunnel_ && !tunnel_) return;  // told when it is made
  tell_early();
  if (!handler_ || end_told_) return;
  end_told_ = true;
  touch();
  if (request_trailers_.size() > 0) {
    if (auto good = request_trailers_.finish(); !good) return refuse_body(good.error());
    handler_->on_trailers(trailers_);
  }
  if (handler_) handler_->on_end();
}

// Where a client says nothing its answers take turns, against RFC 9218 4.2: one after the other is right for
// pages that are of use only when they are whole, but here a client that bounds its connection, as those of
// gRPC do, would have one long answer keep all later ones waiting for its end.
void DownstreamStream::ask_priority() {
  const Field* asked = message_.headers.find("priority");
  asked ? priority_.merge(asked->value) : static_cast<void>(priority_.incremental = true);
  take_place(priority_);
}

void DownstreamStream::update_priority(Priority priority) {
  priority_ = priority;
  take_place(priority);
}

// Among the streams of its connection. The library knows eight levels, too; its first one is for turns, so
// the two least urgent ones of RFC 9218 are one.
void DownstreamStream::take_place(Priority priority) {
  place_ = priority;
  const uint32_t level = std::min<uint32_t>(priority.urgency + 1, NGHTTP2_EXTPRI_URGENCY_LOW);
  const nghttp2_extpri place{level, priority.incremental ? 1 : 0};
  nghttp2_session_change_extpri_stream_priority(raw(), id_, &place, 1);
}

void DownstreamStream::take_turn() {
  const nghttp2_extpri first{NGHTTP2_EXTPRI_URGENCY_HIGH, 1};
  nghttp2_session_change_extpri_stream_priority(raw(), id_, &first, 1);
}

void DownstreamStream::on_given() {
  OutgoingBody::on_given();
  if (!TurnHook::linked()) return;
  TurnHook::unlink();
  if (waits_to_send()) connection_.turns_.push_back(*this);
}

// RFC 9218 8: who answers knows better, in what it says; in the rest its client is right.
void DownstreamStream::answer_priority(const Message& head) {
  const Field* field = head.headers.find("priority");
  if (!field) return;
  Priority merged = priority_;
  merged.merge(field->value);
  take_place(merged);
}

// RFC 9113 8.5. Its handler hears of it with the reset.
void DownstreamStream::refuse_fields() {
  error_ = lost(ErrorKind::protocol, reason::request_malformed, "fields within a tunnel");
  broken_off_ = true;
  give_up(NGHTTP2_PROTOCOL_ERROR);
}

void DownstreamStream::turn_over() {
  if (handler_) handler_->on_turn_end();
  if (!handler_) return;
  give_credit();
  set_deadline();
}

// The window goes back when the bytes have left on the other side (RFC 9113 5.2): a backend that takes none
// makes its own client wait and nobody else.
void DownstreamStream::give_credit() {
  if (unconsumed_ == 0 || gone_ || !handler_ || pauses_.any()) return;
  const size_t waiting = std::min<size_t>(handler_->undelivered(), unconsumed_);
  const size_t credit = unconsumed_ - waiting;
  if (credit == 0 || !connection_.open()) return;
  unconsumed_ = static_cast<uint32_t>(waiting);
  nghttp2_session_consume_stream(raw(), id_, credit);
  connection_.write_later();
}

void DownstreamStream::pause(PauseReason reason) {
  if (!handler_) return;
  pauses_.set(reason);
  set_deadline();
}

void DownstreamStream::resume(PauseReason reason) {
  if (!handler_) return;
  pauses_.clear(reason);
  give_credit();
  set_deadline();
}

// --- the answer ---

bool DownstreamStream::can_send() const { return handler_ && !gone_ && !given_up_ && connection_.open(); }

void DownstreamStream::send_informational(const Message& head) {
  if (!can_send() || head_out_ || head.status < 100 || head.status > 199 || head.status == 101) return;
  OutgoingFields fields(arena_, head.headers.size() + 1);
  NumberText status;
  fields.add(":status", status(head.status));
  if (!fields.add_all(head.headers, http1::connection_fields | http1::bit(HeaderId::trailer)))
    return break_off();
  if (nghttp2_submit_headers(raw(), NGHTTP2_FLAG_NONE, id_, nullptr, fields.data(), fields.count(),
                             nullptr) != 0)
    return break_off();
  dirty_ = true;
  interim_ |= head.status == 100;
  if (interim_) set_deadline();
}

void DownstreamStream::send_head(const Message& head, EndStream end) {
  if (!can_send() || head_out_) return;
  tunnel_ = asks_for_tunnel_ && head.status == 101;
  // A 2xx would be the tunnel itself (RFC 8441 5).
  const bool stray = asks_for_tunnel_ && head.status < 300;
  if (!tunnel_ && (head.status < 200 || head.status > 599 || stray)) return break_off();
  bodyless_ = message_.method == Method::head || head.status == 204 || head.status == 304;
  const bool body = !bodyless_ && end == EndStream::no;
  if (!bodyless_ && end == EndStream::yes && head.has_content_length && head.content_length != 0)
    return break_off();
  if (body) announce(head);
  OutgoingFields fields(arena_, head.headers.size() + 3);
  NumberText status, length;
  char date[http1::date_size];
  fields.add(":status", status(tunnel_ ? 200 : head.status));
  if (!head.headers.find(HeaderId::date)) {  // RFC 9110 6.6.1
    http1::write_date(connection_.loop_.wall_ns() / 1'000'000'000, date);
    fields.add("date", {date, sizeof date});
  }
  if (has_length_ || (head.has_content_length && head.status != 204))
    fields.add("content-length", length(has_length_ ? left_ : head.content_length));
  uint64_t without = http1::connection_fields;
  if (!body || tunnel_) without |= http1::bit(HeaderId::trailer);
  if (tunnel_) without |= http1::bit(HeaderId::sec_websocket_accept);  // the proof of a switch of HTTP/1.1
  if (!fields.add_all(head.headers, without)) return break_off();
  nghttp2_data_provider provider = provider_of(*this);
  ended = !body;
  if (nghttp2_submit_response(raw(), id_, fields.data(), fields.count(), body ? &provider : nullptr) != 0)
    return break_off();
  if (body) answer_priority(head);
  head_out_ = dirty_ = true;
  // One that has no body whatever is sent of it is open until its sender says that it has ended.
  state_ = end == EndStream::yes ? Sending::ended : Sending::body;
  if (!tunnel_) return;
  end_told_ = false;
  if (early_first_ || request_ended_) news();
}

void DownstreamStream::send_data(std::string_view bytes) {
  if (!can_send() || bytes.empty() || (bodyless_ && state_ == Sending::body)) return;
  if (!lend(bytes)) break_off();
}

void DownstreamStream::send_end() {
  if (can_send() && !finish()) break_off();
}

void DownstreamStream::send_trailers(const Headers& trailers) {
  if (!can_send()) return;
  if (!(bodyless_ || keep_trailers(trailers, arena_)) || !finish()) break_off();
}

void DownstreamStream::flush() {
  if (!dirty_ || !connection_.open()) return;
  dirty_ = false;
  wake();
  connection_.write();
  const bool waited = rest_;
  keep_rest();
  if (!waits_to_send()) return;
  if (!TurnHook::linked()) connection_.turns_.push_back(*this);
  if (!waited) mark_sending(connection_.loop_.now_ms());
  set_deadline();
}

// What was sent is no message: nothing leaves any more, its handler hears of it later.
void DownstreamStream::break_off() {
  error_ = {ErrorKind::protocol, ErrorSource::internal, Retry::no, reason::internal_error,
            "an answer that does not fit its own head"};
  broken_off_ = true;
  give_up(NGHTTP2_INTERNAL_ERROR);
}

void DownstreamStream::give_up(uint32_t code) {
  if (given_up_) return;
  given_up_ = true;
  TurnHook::unlink();
  out.clear();
  deadline_.clear();
  if (gone_ || !connection_.open()) return;
  nghttp2_submit_rst_stream(raw(), NGHTTP2_FLAG_NONE, id_, code);
  connection_.write_later();
}

}  // namespace penstock::http::http2
