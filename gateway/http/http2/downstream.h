// The client's side of HTTP/2 as the files behind it see it: downstream.cpp reads and begins streams,
// downstream_stream.cpp is a stream, downstream_waits.cpp has every timeout, downstream_end.cpp the ways in
// which streams and connections end. Private to http2; made by make_http2_downstream, see connection.h.
#pragma once
#include <array>
#include <memory>
#include <string_view>
#include <utility>

#include "base/reason.h"
#include "http/connection.h"
#include "http/http1/body_pace.h"
#include "http/http1/deadline.h"
#include "http/http2/closed_streams.h"
#include "http/http2/early_priorities.h"
#include "http/http2/flood_guard.h"
#include "http/http2/outgoing_body.h"
#include "http/http2/request_head.h"
#include "http/http2/session.h"

namespace penstock::http::http2 {

using http1::BodyMark;
using http1::BodyPace;
using http1::Deadline;

class Downstream;

// What a client did, or failed to do in time.
inline Error lost(ErrorKind kind, std::string_view reason, std::string_view text, Limit limit = Limit::none) {
  return {kind, ErrorSource::downstream, Retry::no, reason, text, limit};
}

struct StreamHook : ListHook {};   // of its connection, all the time
struct BegunHook : ListHook {};    // its head is whole, nobody was told yet
struct TouchedHook : ListHook {};  // was told of something in this turn
struct TurnHook : ListHook {};     // has something that waits to be sent
struct NewsHook : ListHook {};     // its handler is to be told of room, or of its end, or it can be freed

// One request. There from its first header on until nghttp2 has closed it and nobody handles it; pieces of
// the loop's pool. In the connection's list all the time.
class DownstreamStream final : public Stream,
                               public StreamHook,
                               public BegunHook,
                               public TouchedHook,
                               public TurnHook,
                               public NewsHook,
                               private OutgoingBody {
 public:
  DownstreamStream(Downstream& connection, int32_t id);
  static void* operator new(size_t size, SizedPool& pool);
  static void operator delete(void* memory) { SizedPool::give(memory); }
  static void operator delete(void* memory, SizedPool&) { SizedPool::give(memory); }

  // --- for the connection ---
  int32_t id() const { return id_; }
  bool head_read() const { return head_read_; }  // the request's; fields that come now are trailers
  void add_field(std::string_view name, std::string_view value);
  size_t head_bytes() const { return head_read_ ? request_trailers_.size() : head_.size(); }
  void end_head(EndStream end);
  void refuse(const Error& error);  // its head, before anybody was told
  void begin();                     // its handler is told of the head
  void take_body(std::string_view bytes);
  void end_request();  // without or with trailers
  bool asks_for_tunnel() const { return asks_for_tunnel_; }
  void refuse_fields();  // that came within its tunnel
  void update_priority(Priority priority);
  void turn_over();
  void tell();
  // It could send, were nobody before it.
  bool waits_for_turn() const { return waits_to_send() && !gone_ && has_window(); }
  void take_turn();  // before all others
  void end_turn() { take_place(place_); }
  // nghttp2 has closed it, because both sides are done or one has reset it.
  enum class By : uint8_t { client, us };
  void close(By by);
  // Closed so, it costs its client what a reset does.
  bool costs_reset(By by) const {
    return counts_as_reset_ || (!whole() && !given_up_ && (by == By::us || !answered()));
  }
  void lose(const Error& error);         // its handler is told, as the last thing
  void end(const Error& error);          // the same, because its connection is lost
  void refuse_body(const Error& error);  // or may still answer
  void response_out();
  bool finished() const { return gone_ && !handler_; }
  bool answered() const { return state_ != Sending::nothing; }
  // Both sides have said all, or we have and want no more.
  bool whole() const { return state_ == Sending::ended && response_out_; }
  // Nothing is to be told of it any more: of a tunnel, that the client has ended its side, too.
  bool over() const { return whole() && (!tunnel_ || end_told_); }
  // The client is awaited, not we: for its body, or for what it says in a call when it likes.
  bool client_awaited() const;
  bool body_awaited() const { return !pace_lifted_ && client_awaited(); }
  size_t held() const { return arena_.bytes_held() + out.size() + (handler_ ? handler_->held_bytes() : 0); }

  // --- Stream ---
  void send_informational(const Message& head) override;
  void send_head(const Message& head, EndStream end) override;
  void send_data(std::string_view bytes) override;
  void send_trailers(const Headers& trailers) override;
  void send_end() override;
  void flush() override;
  size_t unsent() const override { return out.size(); }
  void pause(PauseReason reason) override;
  void resume(PauseReason reason) override;
  void release() override;
  void reset() override;
  void close_after() override;
  void refuse_rest() override {}
  void lift_body_pace() override;
  void count_as_reset() override { counts_as_reset_ = true; }
  Arena& arena() override { return arena_; }
  Version version() const override { return Version::http_2; }
  const net::Address& peer() const override;
  const net::Address& local() const override;
  const net::TlsInfo* tls() const override;
  bool reused() const override { return false; }
  bool any_byte_received() const override { return true; }
  bool any_byte_sent() const override { return head_out_ || given > 0; }
  uint64_t bytes_written() const override { return given; }
  uint64_t bytes_taken() const override { return given; }
  uint64_t bytes_taken_before() const override;
  uint64_t bytes_received() const override { return received_; }
  uint64_t bytes_sent() const override { return sent_; }
  uint64_t started_ms() const override { return started_ms_; }

 private:
  // Bytes that came before the tunnel was made; in the arena.
  struct EarlyBytes {
    std::string_view bytes;
    EarlyBytes* next;
  };

  bool can_send() const;
  nghttp2_session* raw() const override;
  void news() override;
  void on_given() override;
  void hold_early(std::string_view bytes);
  void tell_early();
  void tell_tunnel();
  void ask_priority();
  void answer_priority(const Message& head);
  void take_place(Priority priority);
  void deliver(std::string_view bytes);
  void give_credit();
  uint32_t cut_code() const { return tunnel_ ? NGHTTP2_CANCEL : NGHTTP2_INTERNAL_ERROR; }
  void give_up(uint32_t code);
  void end_request_too();
  void break_off();
  void touch();
  StreamHandler* take_handler();
  void count_awaited(bool awaited);
  void set_deadline();
  void on_timer();
  // All is said, and its last frame has not gone.
  bool end_waits() const { return state_ == Sending::ended && head_out_ && !response_out_; }
  bool waits_to_send() const { return rest_ || end_waits(); }
  bool has_window() const;
  void mark_sending(uint64_t now_ms);
  bool reads_too_slowly(uint64_t now_ms);
  const DownstreamSettings& settings() const;

  Downstream& connection_;
  StreamHandler* handler_ = nullptr;
  PauseReasons pauses_;
  bool head_read_ : 1 = false;
  bool refused_ : 1 = false;  // error_ says why
  bool request_ended_ : 1 = false;
  bool end_told_ : 1 = false;      // with the head, or by on_end
  bool head_out_ : 1 = false;      // a head was given to nghttp2
  bool response_out_ : 1 = false;  // its end went to the transport
  bool bodyless_ : 1 = false;      // whatever is sent of the answer's body is dropped (HEAD, 204, 304)
  bool awaited_ : 1 = false;       // counted in the connection's
  bool interim_ : 1 = false;       // a 100 was sent
  bool gone_ : 1 = false;          // nghttp2 has closed it
  bool given_up_ : 1 = false;      // we have reset it: nothing goes out any more
  bool broken_off_ : 1 = false;    // because of what its handler sent
  bool client_reset_ : 1 = false;  // the client has
  bool asks_for_tunnel_ : 1 = false;
  bool tunnel_ : 1 = false;             // it was made
  bool pace_lifted_ : 1 = false;        // its body comes when its sender likes
  bool counts_as_reset_ : 1 = false;    // whoever ends it
  bool waited_for_others_ : 1 = false;  // had a window at the last mark
  Priority priority_;                   // as its client said it last
  Priority place_;                      // among the streams of its connection
  uint32_t unconsumed_ = 0;             // of the window, not given back yet
  uint64_t received_ = 0;
  uint64_t started_ms_;
  uint64_t body_due_ms_ = 0;                    // the next part of its body, while that is awaited
  uint64_t send_mark_ = 0, send_since_ms_ = 0;  // since when so much was given, while some waits
  uint64_t connection_mark_ = 0;                // and by all streams together
  Arena arena_;
  Message message_;
  Headers trailers_;  // of the request
  EarlyBytes *early_first_ = nullptr, *early_last_ = nullptr;
  RequestHead head_;
  RequestTrailers request_trailers_;
  Error error_;
  BodyPace pace_;
  Deadline deadline_;
};

// As a task of the loop it begins those that have to wait for their turn.
class Downstream final : public DownstreamConnection, private Session, private net::Task {
 public:
  Downstream(net::Loop& loop, std::unique_ptr<net::Transport> transport, const DownstreamSettings& settings,
             DownstreamOwner& owner, Reading reading);
  ~Downstream() override;

  // --- DownstreamConnection ---
  void drain(uint32_t idle_grace_ms) override;
  void close() override;
  void shed(Limit limit) override;
  size_t open_streams() const override { return handled_; }
  uint64_t waiting_since_ms() const override;
  uint64_t slow_body_since_ms() const override;
  void count_wait_from(uint64_t ms) override;
  size_t held_bytes() const override;
  void probe() override {}
  void begin(std::string_view read) override { on_read({read.data(), read.size()}); }
  bool many_streams() const override { return true; }
  const net::TlsInfo* tls() const override { return transport_ ? transport_->tls() : nullptr; }

 private:
  friend class DownstreamStream;

  // Requests of one client that begin one after another; then others have their turn (Loop::may_begin).
  static constexpr uint32_t requests_a_turn = 32;
  // Of fields, over the limit of a head: who sends more packs them to have us unpack them.
  static constexpr size_t most_unpacked = 256 * 1024;
  static constexpr uint32_t max_continuations = 8;
  // Over half of limits.buffered an idle connection has one of so many parts of its time.
  static constexpr uint32_t idle_parts = 8;
  // Of so many frames of bodies one goes to the answer that has waited longest, whatever is said of it.
  static constexpr uint32_t turn_every = 8;
  static constexpr uint64_t goaway_grace_ms = 1'000;  // for what was under way when the first GOAWAY came

  // --- TransportHandler ---
  void on_read(std::span<const char> bytes) override;
  void on_read_end() override;
  void on_drained() override;
  void on_error(const Error& error) override;

  // --- Session ---
  bool on_frame_head(const nghttp2_frame_hd& frame) override;
  bool on_frame_begun(const nghttp2_frame_hd& frame) override;
  bool on_head_begun(const nghttp2_frame& frame) override;
  bool on_field(const nghttp2_frame& frame, std::string_view name, std::string_view value) override;
  bool on_frame(const nghttp2_frame& frame) override;
  void on_invalid_frame(const nghttp2_frame& frame) override;
  void on_extension(std::string_view bytes) override { early().read(bytes); }
  bool take_priority_update(const nghttp2_frame_hd& frame);
  EarlyPriorities& early() { return early_ ? *early_ : make_early(); }
  EarlyPriorities& make_early();
  void drop_early();  // if it is over
  const Priority* early_priority(int32_t id) const { return early_ ? early_->of(id) : nullptr; }
  void next_turn();
  void on_body(int32_t id, std::string_view bytes) override;
  void on_frame_sent(const nghttp2_frame& frame) override;
  bool on_stream_closed(void* stream, uint32_t code) override;
  void on_turn_over() override { settle(); }

  DownstreamStream* stream_of(int32_t id) { return static_cast<DownstreamStream*>(stream_data(id)); }
  void start();
  void after_read();
  void run_task() override;
  void begin_streams();
  void end_turn();
  bool spend(FloodGuard& guard, Limit limit);
  bool on_frame_of_new(const nghttp2_frame_hd& frame);
  bool on_frame_of_closed(const nghttp2_frame_hd& frame);
  bool breaks_off(uint32_t code);
  void head_over() { head_since_ms_ = 0; }
  // At the end of whatever the loop has called: streams hear their news and are freed, the connection ends if
  // it can.
  void settle();

  // downstream_end.cpp
  void begin_drain();
  void finish_drain();
  void fail(uint32_t code, const Error& error);  // the connection, with a GOAWAY
  void fail_broken();
  void lose_streams(const Error& error);
  void close_gracefully(uint64_t linger_ms);
  void closed();

  // downstream_waits.cpp
  void await();
  void set_deadline();
  uint64_t next_due_ms() const;
  void on_timer() {
    if (deadline_.struck(loop_)) on_deadline();
  }
  void on_deadline();
  uint64_t patience_ms() const;
  uint64_t short_patience_ms() const;
  uint64_t next_look_ms() const;
  void look_at_idleness(uint64_t now_ms);
  void look_at_silence(uint64_t now_ms);
  using PingText = std::array<uint8_t, 8>;
  static constexpr PingText alive_ping{'a', 'l', 'i', 'v', 'e', '?', 0, 0};
  static constexpr PingText drain_ping{'d', 'r', 'a', 'i', 'n', 0, 0, 0};
  void ping(const PingText& text);
  Awaited awaited() const;

  const DownstreamSettings& settings_;
  DownstreamOwner& owner_;
  mutable IntrusiveList<DownstreamStream, StreamHook> streams_;  // for_each is no change
  IntrusiveList<DownstreamStream, BegunHook> begun_;
  IntrusiveList<DownstreamStream, TouchedHook> touched_;
  IntrusiveList<DownstreamStream, TurnHook> turns_;  // who was served last is last
  IntrusiveList<DownstreamStream, NewsHook> news_;
  Deadline deadline_;
  FloodGuard resets_, control_;
  WindowCredit windows_;
  ClosedStreams closed_streams_;
  std::unique_ptr<EarlyPriorities> early_;  // null: nothing was said early
  uint64_t waiting_since_ms_;               // accept, or the end of the last stream
  uint64_t head_since_ms_ = 0;              // a head is under way; 0: none
  uint64_t read_ms_;                        // when something came last
  uint64_t ping_ms_ = 0;                    // a PING behind which nothing has come yet; 0: none
  uint64_t drain_ms_ = 0;                   // the second GOAWAY is due
  uint64_t body_bytes_ = 0;                 // of all streams
  uint64_t body_given_ = 0;                 // to all of them, as frames
  BodyMark body_mark_;                      // of all of them together
  uint32_t served_ = 0;
  uint32_t handled_ = 0;         // streams that have a handler
  uint32_t awaited_bodies_ = 0;  // of them, those whose bodies are awaited
  uint32_t awaited_calls_ = 0;   // and those whose bodies come when their client likes
  uint32_t broken_code_ = NGHTTP2_PROTOCOL_ERROR;
  int32_t turn_of_ = 0;          // the stream that is before all others; 0: none
  uint16_t depth_ = 0;           // of our own frames on the stack
  uint8_t continuations_ = 0;    // of the head that is under way
  uint8_t frames_ = 0;           // of bodies, since the last turn
  Limit flooded_ = Limit::none;  // why the session is broken
  Awaited awaited_ = Awaited::first_byte;
  enum class Drain : uint8_t { no, told, done } drain_ = Drain::no;
  bool spoken_ : 1 = false;       // the client has
  bool served_anew_ : 1 = false;  // since it began to wait for the next request
};

}  // namespace penstock::http::http2
