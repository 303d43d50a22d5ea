// The sending half of a stream to a backend of HTTP/2.
#include <algorithm>

#include "http/http1/syntax.h"
#include "http/http2/outgoing_fields.h"
#include "http/http2/upstream.h"

namespace penstock::http::http2 {
namespace {

// Pseudo-fields and those that are written from other members: content-length, expect, te.
constexpr size_t own_fields = 7;

bool visible(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
}

bool content_expected(Method method) {
  return method == Method::post || method == Method::put || method == Method::patch;
}

}  // namespace

void* UpstreamStream::operator new(size_t size, SizedPool& pool) {
  void* memory = pool.take(size);
  if (!memory) throw std::bad_alloc();
  return memory;
}

UpstreamStream::UpstreamStream(Upstream& connection, StreamHandler& handler, bool reused)
    : OutgoingBody(connection.loop_.blocks()),
      connection_(connection),
      handler_(&handler),
      reused_(reused),
      started_ms_(connection.loop_.now_ms()),
      arena_(connection.loop_.blocks()),
      message_(arena_),
      trailers_(arena_),
      head_(message_, connection.settings_),
      answer_trailers_(trailers_, connection.settings_),
      deadline_(connection.loop_, [](void* self) { static_cast<UpstreamStream*>(self)->on_timer(); }, this) {}

nghttp2_session* UpstreamStream::raw() const { return connection_.raw(); }
const net::Address& UpstreamStream::peer() const { return connection_.transport_->peer(); }
const net::Address& UpstreamStream::local() const { return connection_.transport_->local(); }
const net::TlsInfo* UpstreamStream::tls() const {
  return connection_.transport_ ? connection_.transport_->tls() : nullptr;
}
void UpstreamStream::close_after() { connection_.retired_ = true; }
bool UpstreamStream::can_send() const {
  return handler_ && !gone_ && !given_up_ && !lost_ && connection_.open_transport();
}

void UpstreamStream::send_head(const Message& head, EndStream end) {
  if (!can_send() || id_ != 0) return;
  const bool body = end == EndStream::no;
  if (!http1::is_token(head.method_text) || head.path.empty() || !visible(head.path) ||
      !visible(head.query) || !visible(head.authority) ||
      (!body && head.has_content_length && head.content_length != 0))
    return break_off();
  if (!head.upgrade.empty()) return send_connect(head);
  asked_.method = method_from(head.method_text);
  if (body) announce(head);
  OutgoingFields fields(arena_, head.headers.size() + own_fields);
  fields.add(":method", head.method_text);
  fields.add(":scheme", tls() ? "https" : "http");
  fields.add(":authority", head.authority);
  fields.add(":path", head.has_query ? arena_.join(head.path, "?", head.query) : head.path);
  if (!fields.add_all(head.headers, http1::request_fields | (body ? 0 : http1::bit(HeaderId::trailer))))
    return break_off();
  NumberText length;
  if (has_length_ || (!body && (head.has_content_length || content_expected(head.method))))
    fields.add("content-length", length(left_));  // RFC 9110 8.6: also 0, where a body was to be expected
  if (head.expect_continue && body) fields.add("expect", "100-continue");
  if (head.accepts_trailers) fields.add("te", "trailers");
  submit(fields, end);
}

// RFC 8441 4: what Upgrade asks for in HTTP/1.1, where the backend takes it; the key that proves a switch
// there has no place here.
void UpstreamStream::send_connect(const Message& head) {
  const bool taken =
      nghttp2_session_get_remote_settings(raw(), NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
  if (!taken || !http1::is_token(head.upgrade))
    return lose_later({ErrorKind::protocol, ErrorSource::downstream, Retry::no, reason::upstream_upgrade,
                       "the backend speaks HTTP/2 and takes no such tunnel"});
  asked_.upgrade = arena_.copy(head.upgrade);
  OutgoingFields fields(arena_, head.headers.size() + own_fields);
  fields.add(":method", "CONNECT");
  fields.add(":protocol", head.upgrade);
  fields.add(":scheme", tls() ? "https" : "http");
  fields.add(":authority", head.authority);
  fields.add(":path", head.has_query ? arena_.join(head.path, "?", head.query) : head.path);
  constexpr uint64_t never =
      http1::request_fields | http1::bit(HeaderId::trailer) | http1::bit(HeaderId::sec_websocket_key);
  if (!fields.add_all(head.headers, never)) return break_off();
  submit(fields, EndStream::no);
}

void UpstreamStream::submit(const OutgoingFields& fields, EndStream end) {
  const uint32_t most = nghttp2_session_get_remote_settings(raw(), NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE);
  if (fields.size() > most)  // RFC 9113 6.5.2; ours are few bytes of it
    return lose_later({ErrorKind::limit, ErrorSource::downstream, Retry::no, reason::request_header_too_large,
                       "the head is larger than the backend takes"});
  nghttp2_data_provider provider = provider_of(*this);
  const int32_t id = nghttp2_submit_request(raw(), nullptr, fields.data(), fields.count(),
                                            end == EndStream::no ? &provider : nullptr, this);
  if (id < 0) {  // no identifier is left, or no memory
    connection_.retired_ = true;
    return lose_later(backend_error(ErrorKind::closed, reason::upstream_reset, takes_no_more));
  }
  id_ = id;
  state_ = end == EndStream::yes ? Sending::ended : Sending::body;
  dirty_ = true;
}

void UpstreamStream::send_data(std::string_view bytes) {
  if (can_send() && !bytes.empty() && !lend(bytes)) break_off();
}

void UpstreamStream::send_end() {
  if (can_send() && !finish()) break_off();
}

void UpstreamStream::send_trailers(const Headers& trailers) {
  if (can_send() && !(keep_trailers(trailers, arena_) && finish())) break_off();
}

// A head alone waits for the end of the turn, in which a FIN or a GOAWAY that is there already is read.
void UpstreamStream::flush() {
  if (!dirty_ || !connection_.open_transport()) return;
  dirty_ = false;
  wake();
  if (out.empty()) return connection_.write_later();
  connection_.write();
  keep_rest();
}

// What was sent is no message: nothing leaves any more, its handler hears of it later.
void UpstreamStream::break_off() {
  lose_later({ErrorKind::protocol, ErrorSource::internal, Retry::no, reason::internal_error,
              "a request that does not fit its own head"});
}

void UpstreamStream::lose_later(const Error& error) {
  if (lost_) return;
  lost_ = true;
  error_ = error;
  out.clear();
  news();
}

}  // namespace penstock::http::http2
