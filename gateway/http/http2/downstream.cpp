// The client's side of HTTP/2: reading, and the life of streams up to their handlers. See connection.h.
#include "http/http2/downstream.h"

#include <algorithm>
#include <array>

namespace penstock::http::http2 {

// There may be very many that wait for a request: what only a client needs that has streams open, or few
// clients at all, belongs elsewhere. With what malloc adds it takes 608 bytes.
static_assert(sizeof(Downstream) <= 600);

namespace {

bool ends_stream(const nghttp2_frame& frame) { return frame.hd.flags & NGHTTP2_FLAG_END_STREAM; }

// Frames that a client may send as often as it has something to say in them.
bool brings_something(const nghttp2_frame_hd& frame) {
  return frame.type == NGHTTP2_HEADERS || frame.type == NGHTTP2_CONTINUATION || frame.type == NGHTTP2_DATA;
}

}  // namespace

Downstream::Downstream(net::Loop& loop, std::unique_ptr<net::Transport> transport,
                       const DownstreamSettings& settings, DownstreamOwner& owner, Reading reading)
    : Session(loop, std::move(transport), Role::server, settings.http2.header_table_size),
      settings_(settings),
      owner_(owner),
      deadline_(
          loop, [](void* self) { static_cast<Downstream*>(self)->on_timer(); }, this),
      resets_(settings.http2.max_resets, Http2Settings::reset_window_ms, loop.now_ms()),
      control_(settings.http2.max_control_frames, Http2Settings::control_window_ms, loop.now_ms()),
      waiting_since_ms_(loop.now_ms()),
      read_ms_(loop.now_ms()) {
  start();
  set_deadline();
  if (reading == Reading::to_start) transport_->start_reading();
}

Downstream::~Downstream() {
  while (DownstreamStream* stream = streams_.front()) delete stream;
}

void Downstream::start() {
  const Http2Settings& http2 = settings_.http2;
  const std::array settings{
      nghttp2_settings_entry{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, http2.max_concurrent_streams},
      nghttp2_settings_entry{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, http2.stream_window},
      nghttp2_settings_entry{NGHTTP2_SETTINGS_MAX_FRAME_SIZE, http2.max_frame_size},
      nghttp2_settings_entry{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, settings_.header_size},
      nghttp2_settings_entry{NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, http2.header_table_size},
      nghttp2_settings_entry{NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},  // RFC 8441 3
      nghttp2_settings_entry{NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1}};
  nghttp2_submit_settings(raw(), NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(raw(), NGHTTP2_FLAG_NONE, 0,
                                        static_cast<int32_t>(http2.connection_window));
  memory_.made();
  write_later();
}

// --- reading ---

void Downstream::on_read(std::span<const char> bytes) {
  ++depth_;
  read_ms_ = loop_.now_ms();
  ping_ms_ = 0;
  spoken_ = true;
  if (transport_ && receive(bytes)) after_read();
  --depth_;
  settle();
}

// What was read is with the streams: they go on, and those that have begun begin, or wait for their turn.
void Downstream::after_read() {
  if (!transport_) return;
  ++depth_;
  if (!begun_.empty() && !Task::scheduled() && loop_.may_begin(*this)) begin_streams();
  end_turn();
}

void Downstream::run_task() {
  if (!transport_) return;
  ++depth_;
  begin_streams();
  end_turn();
}

void Downstream::begin_streams() {
  uint32_t begun = 0;
  for (; transport_ && begun < requests_a_turn; ++begun) {
    DownstreamStream* stream = begun_.pop_front();
    if (!stream) break;
    stream->begin();
  }
  loop_.begun(begun);
  if (transport_ && !begun_.empty()) loop_.begin_later(*this);
}

void Downstream::end_turn() {
  while (DownstreamStream* stream = touched_.pop_front()) stream->turn_over();
  if (transport_ && nghttp2_session_want_write(raw())) write_later();
  --depth_;
  settle();
}

void Downstream::on_read_end() {
  // A client of HTTP/2 that has ended its side can neither give windows nor answer: it is gone.
  ++depth_;
  lose_streams(lost(ErrorKind::closed, reason::client_closed, "the client closed the connection"));
  if (transport_) close_gracefully(0);
  --depth_;
}

void Downstream::on_drained() {
  ++depth_;
  write();
  --depth_;
  settle();
}

void Downstream::on_error(const Error& error) {
  ++depth_;
  Error copy = error;
  copy.source = ErrorSource::downstream;
  copy.retry = Retry::no;
  if (copy.limit == Limit::none) copy.reason = reason::client_closed;
  owner_.on_limit(copy.limit);
  lose_streams(copy);
  if (transport_) closed();
  --depth_;
}

// --- nghttp2's news ---

bool Downstream::spend(FloodGuard& guard, Limit limit) {
  if (guard.spend(loop_.now_ms())) return true;
  flooded_ = limit;
  return false;
}

// False, for its caller: the session is broken.
bool Downstream::breaks_off(uint32_t code) {
  if (!nghttp2_session_want_read(raw())) return true;  // the library has ended it already
  broken_code_ = code;
  return false;
}

bool Downstream::on_frame_head(const nghttp2_frame_hd& frame) {
  switch (frame.type) {
    case NGHTTP2_DATA:
    case NGHTTP2_HEADERS: {
      const bool ours = frame.stream_id % 2 == 0;
      if (ours) return true;
      if (frame.stream_id > nghttp2_session_get_last_proc_stream_id(raw())) return on_frame_of_new(frame);
      return stream_of(frame.stream_id) || on_frame_of_closed(frame);
    }
    // The library passes over it, RFC 9113 6.3 does not. Of one that is part of HEADERS it asks the second,
    // too.
    case NGHTTP2_PRIORITY:
      return (frame.stream_id > 0 && !depends_on_itself()) || breaks_off(NGHTTP2_PROTOCOL_ERROR);
    case NGHTTP2_PRIORITY_UPDATE: return true;
    default:  // of a type that nobody knows: nothing else tells of them
      return frame.type <= NGHTTP2_CONTINUATION || spend(control_, Limit::http2_max_control_frames);
  }
}

// Behind our last GOAWAY the library passes over what it would else begin a stream with (RFC 9113 6.8).
bool Downstream::on_frame_of_new(const nghttp2_frame_hd& frame) {
  const bool body = frame.type == NGHTTP2_DATA && frame.length > 0;
  return drain_ != Drain::done || body || spend(control_, Limit::http2_max_control_frames);
}

// RFC 9113 5.1, 5.1.1. The library passes over them, too.
bool Downstream::on_frame_of_closed(const nghttp2_frame_hd& frame) {
  const bool body = frame.type == NGHTTP2_DATA && frame.length > 0;
  switch (closed_streams_.by_whom(static_cast<uint32_t>(frame.stream_id))) {
    case ClosedStreams::By::us: return body || spend(control_, Limit::http2_max_control_frames);
    case ClosedStreams::By::forgotten: return spend(control_, Limit::http2_max_control_frames);
    case ClosedStreams::By::client: return breaks_off(NGHTTP2_STREAM_CLOSED);
    case ClosedStreams::By::nobody: return breaks_off(NGHTTP2_PROTOCOL_ERROR);
  }
  return true;
}

bool Downstream::on_frame_begun(const nghttp2_frame_hd& frame) {
  if (frame.type != NGHTTP2_CONTINUATION) {
    head_over();
    continuations_ = 0;
  } else if (frame.type == NGHTTP2_CONTINUATION && ++continuations_ > max_continuations) {
    flooded_ = Limit::http2_max_control_frames;
    return false;
  }
  if (frame.type == NGHTTP2_WINDOW_UPDATE && windows_.take()) return true;
  return brings_something(frame) || spend(control_, Limit::http2_max_control_frames);
}

bool Downstream::on_head_begun(const nghttp2_frame& frame) {
  head_since_ms_ = std::max<uint64_t>(1, loop_.now_ms());
  if (frame.headers.cat != NGHTTP2_HCAT_REQUEST) return true;
  auto* stream = new (loop_.pieces()) DownstreamStream(*this, frame.hd.stream_id);
  streams_.push_back(*stream);
  nghttp2_session_set_stream_user_data(raw(), frame.hd.stream_id, stream);
  return true;
}

bool Downstream::on_field(const nghttp2_frame& frame, std::string_view name, std::string_view value) {
  DownstreamStream* stream = stream_of(frame.hd.stream_id);
  if (!stream) return true;
  stream->add_field(name, value);
  if (stream->head_bytes() <= settings_.header_size + most_unpacked) return true;
  flooded_ = Limit::header_size;
  return false;
}

bool Downstream::on_frame(const nghttp2_frame& frame) {
  DownstreamStream* stream = frame.hd.stream_id > 0 ? stream_of(frame.hd.stream_id) : nullptr;
  switch (frame.hd.type) {
    case NGHTTP2_HEADERS:
      head_over();
      if (!stream) break;
      if (stream->head_read()) {
        stream->asks_for_tunnel() ? stream->refuse_fields() : stream->end_request();
        break;
      }
      stream->end_head(ends_stream(frame) ? EndStream::yes : EndStream::no);
      begun_.push_back(*stream);
      control_.win(1);
      break;
    case NGHTTP2_DATA:
      if (ends_stream(frame)) {
        if (stream) stream->end_request();
      } else if (frame.hd.length <= frame.data.padlen) {
        return spend(control_, Limit::http2_max_control_frames);
      }
      break;
    case NGHTTP2_PRIORITY_UPDATE: return take_priority_update(frame.hd);
    case NGHTTP2_PING:
      if ((frame.hd.flags & NGHTTP2_FLAG_ACK) && drain_ == Drain::told &&
          std::ranges::equal(frame.ping.opaque_data, drain_ping))
        finish_drain();
      break;
    default: break;
  }
  return true;
}

// RFC 9218 7.1.
bool Downstream::take_priority_update(const nghttp2_frame_hd& frame) {
  const PriorityUpdate update = early_ ? early_->take() : PriorityUpdate();
  if (!update.has_stream()) return breaks_off(NGHTTP2_FRAME_SIZE_ERROR);
  const int32_t id = update.stream();
  if (frame.stream_id != 0 || id % 2 == 0) return breaks_off(NGHTTP2_PROTOCOL_ERROR);
  if (!update.whole()) return true;
  Priority priority;
  priority.merge(update.field());
  if (DownstreamStream* stream = stream_of(id))
    stream->update_priority(priority);
  else if (id > nghttp2_session_get_last_proc_stream_id(raw()))
    early_->keep(id, priority);
  drop_early();
  return true;
}

EarlyPriorities& Downstream::make_early() {
  early_.reset(new (loop_.pieces()) EarlyPriorities);
  return *early_;
}

void Downstream::drop_early() {
  if (early_ && early_->over(nghttp2_session_get_last_proc_stream_id(raw()))) early_.reset();
}

// Behind each frame of a body. Urgency says who goes first; taken at its word it would have one long answer
// keep all others waiting until it ends, those of other clients among them where an intermediary has several
// on one connection (RFC 9218 10, 13.1). So there is a share that depends on nothing that anybody says.
void Downstream::next_turn() {
  DownstreamStream* served = turn_of_ > 0 ? stream_of(std::exchange(turn_of_, 0)) : nullptr;
  if (served) served->end_turn();
  if (++frames_ < turn_every) return;
  frames_ = 0;
  for (uint32_t looked = 0; looked < turn_every && turns_.front() != turns_.back(); ++looked) {
    DownstreamStream* stream = turns_.pop_front();
    turns_.push_back(*stream);
    if (!stream->waits_for_turn()) continue;
    turn_of_ = stream->id();
    return stream->take_turn();
  }
}

// The library resets the stream (RFC 9113 8.1.1). A head that nobody was told of is still a request that
// came.
void Downstream::on_invalid_frame(const nghttp2_frame& frame) {
  if (frame.hd.type != NGHTTP2_HEADERS) return;
  head_over();
  closed_streams_.note(static_cast<uint32_t>(frame.hd.stream_id), ClosedStreams::By::us);
  DownstreamStream* stream = stream_of(frame.hd.stream_id);
  if (!stream || stream->head_read()) return;
  stream->refuse(lost(ErrorKind::protocol, reason::request_malformed, "a field that HTTP/2 forbids"));
  begun_.push_back(*stream);
}

void Downstream::on_body(int32_t id, std::string_view bytes) {
  // The connection's window is given back at once: a stream that is not taken stalls itself alone.
  nghttp2_session_consume_connection(raw(), bytes.size());
  body_bytes_ += bytes.size();
  if (DownstreamStream* stream = stream_of(id)) stream->take_body(bytes);
}

void Downstream::on_frame_sent(const nghttp2_frame& frame) {
  if (frame.hd.type == NGHTTP2_RST_STREAM)
    closed_streams_.note(static_cast<uint32_t>(frame.hd.stream_id), ClosedStreams::By::us);
  if (frame.hd.type == NGHTTP2_GOAWAY) owner_.on_http2_error(frame.goaway.error_code);
  if (frame.hd.type == NGHTTP2_GOAWAY && drain_ == Drain::told) ping(drain_ping);
  const bool body = frame.hd.type == NGHTTP2_DATA;
  if (body) {
    body_given_ += frame.hd.length;
    windows_.sent(frame.hd.length);
    control_.win(1);  // a client may ask now and then by a PING how far it is
    next_turn();
  }
  if (!(body || frame.hd.type == NGHTTP2_HEADERS) || !ends_stream(frame)) return;
  if (DownstreamStream* stream = stream_of(frame.hd.stream_id)) stream->response_out();
}

// A request that is taken back before its answer has cost what any other has; one that makes us reset it,
// too.
bool Downstream::on_stream_closed(void* data, uint32_t) {
  auto& stream = *static_cast<DownstreamStream*>(data);
  const auto by = receiving() ? DownstreamStream::By::client : DownstreamStream::By::us;
  const bool cost = stream.costs_reset(by);
  if (stream.whole() && !cost) resets_.win(1);
  closed_streams_.note(static_cast<uint32_t>(stream.id()), ClosedStreams::By::client);
  stream.close(by);
  return !cost || spend(resets_, Limit::http2_max_resets);
}

void Downstream::settle() {
  if (depth_ > 0 || !transport_) return;
  ++depth_;
  while (DownstreamStream* stream = news_.pop_front()) stream->finished() ? delete stream : stream->tell();
  if (transport_ && broken_by() != 0) {
    fail_broken();
  } else if (transport_ && ended()) {
    lose_streams(lost(ErrorKind::protocol, reason::client_closed, "the HTTP/2 session is over"));
    if (transport_) close_gracefully(settings_.linger_ms);
  }
  --depth_;
  if (!transport_) return;
  await();
  set_deadline();
}

}  // namespace penstock::http::http2

namespace penstock::http {

std::unique_ptr<DownstreamConnection> make_http2_downstream(net::Loop& loop,
                                                            std::unique_ptr<net::Transport> transport,
                                                            const DownstreamSettings& settings,
                                                            DownstreamOwner& owner, Reading reading) {
  return std::make_unique<http2::Downstream>(loop, std::move(transport), settings, owner, reading);
}

}  // namespace penstock::http
