// The client's side of HTTP/1 as the files behind it see it: downstream.cpp reads and sends,
// downstream_waits.cpp has every timeout, downstream_end.cpp the ways in which streams and connections end.
// Private to http1; made by make_http1_downstream, see connection.h.
#pragma once
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "base/free_list.h"
#include "base/reason.h"
#include "http/connection.h"
#include "http/http1/body_pace.h"
#include "http/http1/deadline.h"
#include "http/http1/half_close.h"
#include "http/http1/held_bytes.h"
#include "http/http1/stream_base.h"

namespace penstock::http::http1 {

// What a client did, or failed to do in time.
inline Error lost(ErrorKind kind, std::string_view reason, std::string_view text, Limit limit = Limit::none) {
  return {kind, ErrorSource::downstream, Retry::no, reason, text, limit};
}

// What the client's side needs beside StreamState while it is not idle.
struct RequestState final : StreamState, FreeListed {
  RequestState(StreamBase& its_connection, BlockPool& blocks, const DownstreamSettings& settings)
      : StreamState(its_connection, blocks, Side::request,
                    {settings.header_size, settings.header_count, settings.uri_size, settings.trailer_size,
                     settings.trailer_count}),
        held(blocks) {}

  Method method = Method::get;
  bool expects = false;             // 100-continue
  bool continued = false;           // and got it
  std::string_view upgrade;         // what it asked for; in the arena
  uint64_t most_body = UINT64_MAX;  // of what comes after its answer
  BodyPace body_pace;
  HalfClose half_close;
  HeldBytes held;
};

class Downstream final : public DownstreamConnection, public StreamBase {
 public:
  Downstream(net::Loop& loop, std::unique_ptr<net::Transport> transport, const DownstreamSettings& settings,
             DownstreamOwner& owner)
      : StreamBase(loop, std::move(transport), nullptr),
        settings_(settings),
        owner_(owner),
        deadline_(
            loop, [](void* self) { static_cast<Downstream*>(self)->on_timer(); }, this),
        waiting_since_ms_(loop.now_ms()) {
    deadline_.in(loop_, settings.header_timeout_ms);
    transport_->start_reading();
  }
  ~Downstream() { end_use(); }

  // --- DownstreamConnection ---
  void drain(uint32_t idle_grace_ms) override;
  void close() override;
  size_t open_streams() const override { return handler_ ? 1 : 0; }
  void shed(Limit limit) override;
  uint64_t waiting_since_ms() const override;
  uint64_t slow_body_since_ms() const override {
    return body_awaited() ? state().body_pace.slow_since_ms() : UINT64_MAX;
  }
  void count_wait_from(uint64_t ms) override {
    waiting_since_ms_ = ms;
    deadline_.at(loop_, ms + settings_.header_timeout_ms);
  }
  size_t held_bytes() const override {
    return stream_bytes() + (state_ ? state().held.memory() : 0) + (transport_ ? transport_->unread() : 0);
  }

  void probe() override;
  const net::TlsInfo* tls() const override { return transport_ ? StreamBase::tls() : nullptr; }

  // --- Stream ---
  void run_task() override;
  void send_informational(const Message& head) override;
  void send_head(const Message& head, EndStream end) override;
  void pause(PauseReason reason) override;
  void resume(PauseReason reason) override;
  void release() override;
  void reset() override;
  void close_after() override { persistent_ = false; }
  void limit_body(uint64_t bytes) override { state().most_body = bytes; }
  bool reused() const override { return false; }
  bool any_byte_received() const override { return true; }

 private:
  void on_read(std::span<const char> bytes) override;
  bool speaks_http2(std::string_view bytes);
  void on_spliced(size_t bytes) override;
  bool reading_waits() const override { return refused_ || yielded_ || !state().held.empty(); }
  void on_read_end() override;
  void on_end_announced() override;
  void on_drained() override;
  void on_error(const Error& error) override;
  void on_timer() {
    if (deadline_.struck(loop_)) on_deadline();
  }
  void on_deadline();

  // A connection that was asked twice may be so again at once, and keeps its state for that long.
  static constexpr uint64_t keep_state_ms = 2'000;
  // Stands in every callback that may go on with the state after a stream has ended in it.
  class Using {
   public:
    explicit Using(Downstream& connection) : connection_(connection) { connection_.in_use_ = true; }
    ~Using() {
      connection_.in_use_ = false;
      if (connection_.served_ <= 1) connection_.rest();
    }

   private:
    Downstream& connection_;
  };
  RequestState& state() { return static_cast<RequestState&>(*state_); }
  const RequestState& state() const { return static_cast<const RequestState&>(*state_); }
  bool head_begun() const { return state_ && state_->parser.head_begun(); }
  bool may_rest() const;
  void rest();
  void end_use() { delete static_cast<RequestState*>(std::exchange(state_, nullptr)); }

  void read(std::string_view& input);
  void after_read();
  void begin_stream();
  void refuse(const Error& error);
  void keep_rest(std::string_view rest);
  void read_held();
  bool body_open() const { return handler_ ? !state().parser.complete() : discarding_; }
  bool answers_wait() const;
  void end_reading();
  void set_deadline();
  void await(Awaited what);
  void await_request();
  void look_at_half_close();
  // On the way from the client to the backend, or back. A system call.
  uint64_t moved() const {
    return transport_->bytes_read() + transport_->bytes_written() + (handler_ ? handler_->bytes_taken() : 0);
  }
  bool body_awaited() const;
  bool slow_body() { return state().body_pace.too_slow(loop_.now_ms(), state().received); }
  bool continue_awaited() const;
  void next_request();
  void discard_rest();
  void discard_data();
  void end_discarding();
  void lose(const Error& error);
  void refuse_body(const Error& error);
  void answer_alone(std::string_view reason);
  void close_cut();
  void close_gracefully(uint64_t linger_ms);
  void closed();

  // In the order in which they fill the room; bits are for what is rarely set.
  bool in_use_ = false;   // see Using
  bool reading_ = false;  // read() is on the stack
  bool yielded_ = false;  // and stopped for others' sake
  const DownstreamSettings& settings_;
  DownstreamOwner& owner_;
  Deadline deadline_;
  uint64_t waiting_since_ms_;  // accept, or the end of the last exchange
  uint32_t served_ = 0;        // requests
  Awaited awaited_ = Awaited::first_byte;
  uint8_t preface_ = 0;  // bytes of HTTP/2's that have come, and nothing else
  // of the request that is open
  bool persistent_ = true;    // another request may follow
  bool refused_ : 1 = false;  // its head could not be read; nothing more is
  bool draining_ : 1 = false;
  bool read_ended_ : 1 = false;  // the client's FIN came
  bool end_seen_ : 1 = false;    // and was acted upon
  bool held_full_ : 1 = false;   // reading is paused because too much is held
  bool discarding_ : 1 = false;  // the rest of a body whose request was answered
};

}  // namespace penstock::http::http1
