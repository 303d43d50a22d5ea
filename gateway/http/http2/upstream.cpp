// The backend's side of HTTP/2: connections, from the backend's SETTINGS to their end.
#include "http/http2/upstream.h"

#include <algorithm>
#include <array>

namespace penstock::http::http2 {
namespace {

bool ends_stream(const nghttp2_frame& frame) { return frame.hd.flags & NGHTTP2_FLAG_END_STREAM; }

// Frames that a backend may send as often as it has something to say in them.
bool brings_something(const nghttp2_frame_hd& frame) {
  return frame.type == NGHTTP2_HEADERS || frame.type == NGHTTP2_CONTINUATION || frame.type == NGHTTP2_DATA;
}

}  // namespace

Upstream::Upstream(net::Loop& loop, std::unique_ptr<net::Transport> transport,
                   const UpstreamSettings& settings, UpstreamOwner& owner, UpstreamStart& start)
    : Session(loop, std::move(transport), Role::client, settings.http2.header_table_size),
      settings_(settings),
      owner_(owner),
      start_(&start),
      deadline_(
          loop, [](void* self) { static_cast<Upstream*>(self)->on_timer(); }, this),
      control_(settings.http2.max_control_frames, Http2Settings::control_window_ms, loop.now_ms()),
      read_ms_(loop.now_ms()) {
  many_streams = true;
  begin();
  transport_->start_reading();
}

Upstream::~Upstream() {
  while (UpstreamStream* stream = streams_.front()) delete stream;
}

void Upstream::begin() {
  const Http2Settings& http2 = settings_.http2;
  const std::array settings{
      nghttp2_settings_entry{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
      nghttp2_settings_entry{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, http2.stream_window},
      nghttp2_settings_entry{NGHTTP2_SETTINGS_MAX_FRAME_SIZE, http2.max_frame_size},
      nghttp2_settings_entry{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, settings_.header_size},
      nghttp2_settings_entry{NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, http2.header_table_size}};
  nghttp2_submit_settings(raw(), NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(raw(), NGHTTP2_FLAG_NONE, 0,
                                        static_cast<int32_t>(http2.connection_window));
  memory_.made();
  write_later();
}

// --- streams ---

uint32_t Upstream::most_streams() const {
  auto* session = const_cast<Upstream*>(this)->raw();
  return std::min(settings_.http2.max_concurrent_streams,
                  nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS));
}

bool Upstream::has_room() const {
  auto* session = const_cast<Upstream*>(this)->raw();
  return transport_ && !ending_ && !retired_ && !start_ && broken_by() == 0 && open_ < most_streams() &&
         nghttp2_session_check_request_allowed(session) != 0;
}

// With streams open, what waits may be for any of them.
bool Upstream::quiet() const {
  return transport_ && (open_ > 0 || (opened_ == 0 && !idled) || !transport_->input_waits());
}

Stream* Upstream::open(StreamHandler& handler) {
  if (!has_room()) return nullptr;
  auto* stream = new (loop_.pieces()) UpstreamStream(*this, handler, opened_ > 0 || idled);
  streams_.push_back(*stream);
  ++open_;
  ++opened_;
  idle_told_ = false;
  room_told_ = has_room();
  set_deadline();
  return stream;
}

void Upstream::given_up(uint64_t started_ms) {
  const bool silent = read_ms_ <= started_ms && loop_.now_ms() >= started_ms + suspect_after_ms;
  if (silent) retired_ = true;
}

// --- reading ---

void Upstream::on_read(std::span<const char> bytes) {
  ++depth_;
  read_ms_ = loop_.now_ms();
  ping_ms_ = 0;
  if (open_ > 0) idled = false;  // it has shown that it is there
  if (transport_ && receive(bytes)) after_read();
  --depth_;
  settle();
}

void Upstream::after_read() {
  while (UpstreamStream* stream = touched_.pop_front()) stream->turn_over();
  if (transport_ && nghttp2_session_want_write(raw())) write_later();
}

void Upstream::on_read_end() {
  ++depth_;
  end(backend_error(ErrorKind::closed, reason::upstream_reset, "the backend closed the connection"));
  --depth_;
}

void Upstream::on_drained() {
  ++depth_;
  write();
  --depth_;
  settle();
}

void Upstream::on_error(const Error& error) {
  ++depth_;
  const bool told = error.kind == ErrorKind::tls && !error.reason.empty();
  end(backend_error(error.kind, told ? error.reason : reason::upstream_reset, error.text, error.limit));
  --depth_;
}

// --- nghttp2's news ---

bool Upstream::spend() {
  if (control_.spend(loop_.now_ms())) return true;
  flooded_ = true;
  return false;
}

// Of a type that nobody knows, nothing else tells.
bool Upstream::on_frame_head(const nghttp2_frame_hd& frame) {
  return frame.type <= NGHTTP2_CONTINUATION || spend();
}

bool Upstream::on_frame_begun(const nghttp2_frame_hd& frame) {
  if (frame.type != NGHTTP2_CONTINUATION) {
    continuations_ = 0;
  } else if (++continuations_ > max_continuations) {
    flooded_ = true;
    return false;
  }
  if (frame.type == NGHTTP2_WINDOW_UPDATE && windows_.take()) return true;
  return brings_something(frame) || spend();
}

bool Upstream::on_head_begun(const nghttp2_frame& frame) {
  if (UpstreamStream* stream = stream_of(frame.hd.stream_id)) stream->answering();
  return true;
}

bool Upstream::on_field(const nghttp2_frame& frame, std::string_view name, std::string_view value) {
  UpstreamStream* stream = stream_of(frame.hd.stream_id);
  if (!stream) return true;
  stream->add_field(name, value);
  if (stream->head_bytes() <= settings_.header_size + most_unpacked) return true;
  flooded_ = true;
  return false;
}

bool Upstream::on_frame(const nghttp2_frame& frame) {
  UpstreamStream* stream = frame.hd.stream_id > 0 ? stream_of(frame.hd.stream_id) : nullptr;
  switch (frame.hd.type) {
    case NGHTTP2_HEADERS:
      if (stream) stream->end_fields(ends_stream(frame) ? EndStream::yes : EndStream::no);
      control_.win(1);
      break;
    case NGHTTP2_DATA:
      if (ends_stream(frame)) {
        if (stream) stream->end_answer();
      } else if (frame.hd.length <= frame.data.padlen) {
        return spend();
      }
      break;
    case NGHTTP2_SETTINGS:
      if (!(frame.hd.flags & NGHTTP2_FLAG_ACK)) settled_ = resettled_ = true;
      break;
    case NGHTTP2_GOAWAY: owner_.on_goaway(frame.goaway.error_code); break;
    case NGHTTP2_RST_STREAM: owner_.on_stream_reset(frame.rst_stream.error_code); break;
    default: break;
  }
  return true;
}

void Upstream::on_body(int32_t id, std::string_view bytes) {
  // The connection's window is given back at once: a client that takes nothing stalls its own stream alone.
  nghttp2_session_consume_connection(raw(), bytes.size());
  if (UpstreamStream* stream = stream_of(id)) stream->take_body(bytes);
}

void Upstream::on_frame_sent(const nghttp2_frame& frame) {
  switch (frame.hd.type) {
    case NGHTTP2_DATA:
      windows_.sent(frame.hd.length);
      control_.win(1);  // a backend may ask now and then by a PING how far it is
      if (!ends_stream(frame)) return;
      break;
    case NGHTTP2_HEADERS: break;
    default: return;
  }
  UpstreamStream* stream = stream_of(frame.hd.stream_id);
  if (!stream) return;
  stream->head_out();
  if (ends_stream(frame)) stream->end_out();
}

bool Upstream::on_stream_closed(void* data, uint32_t code) {
  static_cast<UpstreamStream*>(data)->close(
      receiving() ? UpstreamStream::By::backend : UpstreamStream::By::us, code);
  return true;
}

// --- the end of a turn ---

void Upstream::settle() {
  if (depth_ > 0 || !transport_) return;
  ++depth_;
  if (std::exchange(resettled_, false)) take_back();
  while (UpstreamStream* stream = news_.pop_front()) stream->finished() ? delete stream : stream->tell();
  if (transport_ && broken_by() != 0) {
    fail_broken();
  } else if (transport_ && ended()) {
    // After the backend's GOAWAY and the last answer, or after ours, which the library has sent.
    const Error error = backend_error(ErrorKind::protocol, reason::upstream_protocol, breaks_rules);
    lose_streams(error);
    if (transport_) closed(error, Leave::politely);
  }
  if (transport_) tell_owner();
  --depth_;
  if (transport_) set_deadline();
}

// RFC 9113 5.1.2, 6.5.2: the backend takes fewer streams from now on. Those it has are served out; a head
// that has not left yet would wait in the library until enough of them have ended, or for ever.
void Upstream::take_back() {
  uint32_t room = nghttp2_session_get_remote_settings(raw(), NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
  if (open_ <= room) return;
  streams_.for_each([&](UpstreamStream& stream) {
    if (room > 0 && !stream.gone() && !stream.waits()) --room;
  });
  streams_.for_each([&](UpstreamStream& stream) {
    if (!stream.waits()) return;
    room > 0 ? static_cast<void>(--room) : stream.take_back();
  });
}

// Its owner may open streams in this, or close it.
void Upstream::tell_owner() {
  if (start_) {
    if (!settled_) return;
    // A backend that drains may say so at once.
    if (most_streams() == 0 || nghttp2_session_check_request_allowed(raw()) == 0)
      return fail(NGHTTP2_NO_ERROR,
                  backend_error(ErrorKind::refused, reason::upstream_connect_refused, takes_no_streams));
    return std::exchange(start_, nullptr)->on_usable(*this);
  }
  if (open_ == 0) {
    if (idle_told_) return;
    idle_told_ = true;
    idle_since_ms = loop_.now_ms();
    return owner_.on_idle(*this);
  }
  const bool room = has_room();
  if (room == room_told_) return;
  room_told_ = room;
  owner_.on_room(*this);
}

// --- ends ---

void Upstream::lose_streams(const Error& error) {
  ending_ = true;
  streams_.for_each([&](UpstreamStream& stream) { stream.lose(error); });
}

void Upstream::fail_broken() {
  if (flooded_ || broken_by() == NGHTTP2_ERR_FLOODED)
    fail(NGHTTP2_ENHANCE_YOUR_CALM,
         backend_error(ErrorKind::limit, reason::upstream_protocol, "the backend floods its connection",
                       Limit::upstream_http2_max_control_frames));
  else
    fail(NGHTTP2_PROTOCOL_ERROR,
         backend_error(ErrorKind::protocol, reason::upstream_protocol, "the backend does not speak HTTP/2"));
}

void Upstream::fail(uint32_t code, const Error& error) {
  lose_streams(error);
  if (!transport_) return;
  append_goaway(code);
  closed(error, Leave::politely);
}

void Upstream::end(const Error& error) {
  lose_streams(error);
  if (transport_) closed(error, Leave::at_once);
}

void Upstream::close() {
  if (!transport_) return;
  ++depth_;
  fail(NGHTTP2_NO_ERROR, {ErrorKind::cancelled, ErrorSource::internal, Retry::no, reason::internal_error,
                          "the connection is closed from this side"});
  --depth_;
}

// What a backend that reads nothing has not taken is not waited for.
void Upstream::closed(const Error& error, Leave how) {
  deadline_.clear();
  if (how == Leave::politely && transport_->unsent() <= net::Transport::high_mark)
    transport_->close_gracefully(0);
  transport_.reset();
  if (start_) return std::exchange(start_, nullptr)->on_unusable(*this, error);
  owner_.on_closed(*this);
}

// --- silence ---

void Upstream::set_deadline() {
  const Http2Settings& http2 = settings_.http2;
  if (ping_ms_ > 0)
    deadline_.at(loop_, ping_ms_ + http2.ping_timeout_ms);
  else if (open_ > 0 && http2.ping_interval_ms > 0)
    deadline_.at(loop_, read_ms_ + http2.ping_interval_ms);
  else
    deadline_.clear();
}

// Nothing came for long while streams are open: is anybody there?
void Upstream::on_deadline() {
  if (!transport_) return;
  const uint64_t now = loop_.now_ms();
  if (ping_ms_ > 0) {
    ++depth_;
    end(backend_error(ErrorKind::timeout, reason::upstream_timeout_idle, "the backend does not answer a PING",
                      Limit::upstream_http2_ping_timeout));
    --depth_;
    return;
  }
  if (open_ > 0 && settings_.http2.ping_interval_ms > 0 &&
      now >= read_ms_ + settings_.http2.ping_interval_ms) {
    ping_ms_ = std::max<uint64_t>(1, now);
    nghttp2_submit_ping(raw(), NGHTTP2_FLAG_NONE, nullptr);
    write_later();
  }
  set_deadline();
}

}  // namespace penstock::http::http2

namespace penstock::http {

std::unique_ptr<UpstreamConnection> make_http2_upstream(net::Loop& loop,
                                                        std::unique_ptr<net::Transport> transport,
                                                        const UpstreamSettings& settings,
                                                        UpstreamOwner& owner, UpstreamStart& start) {
  return std::make_unique<http2::Upstream>(loop, std::move(transport), settings, owner, start);
}

}  // namespace penstock::http
