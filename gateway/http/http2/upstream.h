// The backend's side of HTTP/2 as the files behind it see it: upstream.cpp reads and ends connections,
// upstream_request.cpp is the sending half of a stream, upstream_answer.cpp the receiving one and its end.
// Private to http2; made by make_http2_upstream, see connection.h.
#pragma once
#include <memory>
#include <string_view>
#include <utility>

#include "base/reason.h"
#include "http/connection.h"
#include "http/http1/deadline.h"
#include "http/http2/flood_guard.h"
#include "http/http2/outgoing_body.h"
#include "http/http2/response_head.h"
#include "http/http2/session.h"

namespace penstock::http::http2 {

using http1::Deadline;

class OutgoingFields;
class Upstream;

// What a backend did, before it is known what that means for another attempt.
inline Error backend_error(ErrorKind kind, std::string_view reason, std::string_view text,
                           Limit limit = Limit::none) {
  return {kind, ErrorSource::upstream, Retry::no, reason, text, limit};
}

inline constexpr std::string_view breaks_rules = "the backend breaks the rules of HTTP/2";
inline constexpr std::string_view takes_no_streams = "the backend takes no streams";
inline constexpr std::string_view takes_no_more = "the connection takes no further stream";

struct OpenHook : ListHook {};  // of its connection, all the time
struct TurnHook : ListHook {};  // was told of something in this turn
struct ToldHook : ListHook {};  // its handler is to be told of room, or of its end, or it can be freed

// One request and its answer. There from open() on until nghttp2 has closed it and nobody handles it; pieces
// of the loop's pool. In the connection's list all the time.
class UpstreamStream final : public Stream,
                             public OpenHook,
                             public TurnHook,
                             public ToldHook,
                             private OutgoingBody {
 public:
  UpstreamStream(Upstream& connection, StreamHandler& handler, bool reused);
  static void* operator new(size_t size, SizedPool& pool);
  static void operator delete(void* memory) { SizedPool::give(memory); }
  static void operator delete(void* memory, SizedPool&) { SizedPool::give(memory); }

  // --- for the connection ---
  void head_out() { head_out_ = true; }
  void end_out();
  void add_field(std::string_view name, std::string_view value);
  size_t head_bytes() const { return head_read_ ? answer_trailers_.size() : head_.size(); }
  void answering() { answering_ = true; }
  // The library keeps its head back, or was not given it yet.
  bool waits() const { return !gone_ && (id_ == 0 || !nghttp2_session_find_stream(raw(), id_)); }
  bool gone() const { return gone_; }
  void take_back();
  void end_fields(EndStream end);  // of a head, an interim one or the trailers
  void take_body(std::string_view bytes);
  void end_answer();
  void turn_over();
  void tell();
  // nghttp2 has closed it: both sides are done, the backend has reset it or takes it no more, or the library
  // has because its answer is malformed.
  enum class By : uint8_t { backend, us };
  void close(By by, uint32_t code);
  // Its handler is told, as the last thing.
  void lose(const Error& error, uint32_t code = NGHTTP2_CANCEL);
  bool finished() const { return gone_ && !handler_; }

  // --- Stream ---
  void send_informational(const Message&) override {}  // requests have none
  void send_head(const Message& head, EndStream end) override;
  void send_data(std::string_view bytes) override;
  void send_trailers(const Headers& trailers) override;
  void send_end() override;
  void flush() override;
  size_t unsent() const override { return out.size(); }
  void pause(PauseReason reason) override;
  void resume(PauseReason reason) override;
  void release() override;
  void reset() override { release(); }  // an answer that is not over is cut either way
  void close_after() override;
  Arena& arena() override { return arena_; }
  Version version() const override { return Version::http_2; }
  const net::Address& peer() const override;
  const net::Address& local() const override;
  const net::TlsInfo* tls() const override;
  // One that the backend took back says no more about its endpoint than one on a connection that was gone.
  bool reused() const override { return unprocessed_ || (reused_ && !answered_by_reset_); }
  bool any_byte_received() const override { return answering_; }
  bool any_byte_sent() const override { return head_out_ && !unprocessed_; }
  uint64_t bytes_written() const override { return given; }
  uint64_t bytes_taken() const override { return given; }
  uint64_t bytes_received() const override { return received_; }
  uint64_t bytes_sent() const override { return sent_; }
  uint64_t started_ms() const override { return started_ms_; }

 private:
  bool can_send() const;
  nghttp2_session* raw() const override;
  void news() override;
  void give_credit();
  void give_up(uint32_t code);
  void break_off();
  void lose_later(const Error& error);
  void send_connect(const Message& head);
  void take_head(EndStream end);
  void take_tunnel(EndStream end);
  void take_interim();
  Error why_gone();
  Error judged(const Error& error) const;
  void submit(const OutgoingFields& fields, EndStream end);
  StreamHandler* take_handler();
  void end_or_give_up();
  void drain();
  void on_timer();

  Upstream& connection_;
  StreamHandler* handler_;
  PauseReasons pauses_;
  bool reused_ : 1;
  bool head_out_ : 1 = false;           // of the request: handed to the transport
  bool end_out_ : 1 = false;            // the request's END_STREAM is
  bool answering_ : 1 = false;          // a byte of the answer came
  bool tunnel_ : 1 = false;             // made: both sides end it, and neither has a length or trailers
  bool head_read_ : 1 = false;          // the final one's; fields that come now are trailers
  bool end_told_ : 1 = false;           // with the head, or by on_end
  bool answer_ended_ : 1 = false;       // END_STREAM came
  bool gone_ : 1 = false;               // nghttp2 has closed it
  bool closed_by_us_ : 1 = false;       // or by nghttp2, as malformed
  bool given_up_ : 1 = false;           // nothing goes out any more
  bool lost_ : 1 = false;               // error_ says why: told later
  bool unprocessed_ : 1 = false;        // the backend has not looked at it, and never will
  bool answered_by_reset_ : 1 = false;  // the backend has looked at it
  uint32_t code_ = 0;                   // with which it was closed
  uint32_t informational_ = 0;
  uint32_t unconsumed_ = 0;  // of the window, not given back yet
  uint64_t received_ = 0;
  uint64_t started_ms_;
  uint64_t drain_mark_ = 0;  // given when the time for its rest began
  Arena arena_;
  Message message_;
  Headers trailers_;  // of the answer
  http1::Asked asked_;
  ResponseHead head_;
  ResponseTrailers answer_trailers_;
  Error error_;
  Deadline deadline_;
};

class Upstream final : public UpstreamConnection, private Session {
 public:
  Upstream(net::Loop& loop, std::unique_ptr<net::Transport> transport, const UpstreamSettings& settings,
           UpstreamOwner& owner, UpstreamStart& start);
  ~Upstream() override;

  // --- UpstreamConnection ---
  Stream* open(StreamHandler& handler) override;
  size_t open_streams() const override { return open_; }
  bool has_room() const override;
  uint32_t most_streams() const override;
  bool quiet() const override;
  void close() override;

 private:
  friend class UpstreamStream;

  // Of fields, over the limit of a head: who sends more packs them to have us unpack them.
  static constexpr size_t most_unpacked = 256 * 1024;
  static constexpr uint32_t max_continuations = 8;
  // A stream that was given up after so long, in which nothing came for any: there may be nobody any more.
  static constexpr uint64_t suspect_after_ms = 5'000;

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
  void on_invalid_frame(const nghttp2_frame&) override {}
  void on_body(int32_t id, std::string_view bytes) override;
  void on_frame_sent(const nghttp2_frame& frame) override;
  bool on_stream_closed(void* stream, uint32_t code) override;
  void on_turn_over() override { settle(); }

  bool open_transport() const { return transport_ != nullptr; }
  UpstreamStream* stream_of(int32_t id) { return static_cast<UpstreamStream*>(stream_data(id)); }
  void begin();
  void after_read();
  bool spend();
  // A stream was given up unanswered that had begun then.
  void given_up(uint64_t started_ms);
  void settle();
  void take_back();
  void tell_owner();
  void lose_streams(const Error& error);
  void fail(uint32_t code, const Error& error);  // with a GOAWAY
  void fail_broken();
  void end(const Error& error);
  enum class Leave : uint8_t { politely, at_once };
  void closed(const Error& error, Leave how);
  void set_deadline();
  void on_timer() {
    if (deadline_.struck(loop_)) on_deadline();
  }
  void on_deadline();

  const UpstreamSettings& settings_;
  UpstreamOwner& owner_;
  UpstreamStart* start_;  // null once it was told
  IntrusiveList<UpstreamStream, OpenHook> streams_;
  IntrusiveList<UpstreamStream, TurnHook> touched_;
  IntrusiveList<UpstreamStream, ToldHook> news_;
  Deadline deadline_;
  FloodGuard control_;
  WindowCredit windows_;
  uint64_t read_ms_;      // when something came last
  uint64_t ping_ms_ = 0;  // a PING behind which nothing has come yet; 0: none
  uint32_t open_ = 0;     // streams that nghttp2 has not closed
  uint32_t opened_ = 0;
  uint32_t depth_ = 0;  // of our own frames on the stack
  uint32_t continuations_ = 0;
  bool flooded_ = false;
  bool settled_ = false;    // the backend's SETTINGS are there
  bool resettled_ = false;  // and others, in this turn
  bool ending_ = false;     // no stream any more: the connection is being closed
  bool retired_ = false;    // no further stream
  bool idle_told_ = true;   // its owner knows that no stream is open
  bool room_told_ = true;   // and whether another can be
};

}  // namespace penstock::http::http2
