// The client's side of HTTP/1 as the files behind it see it: downstream.cpp reads and sends,
// downstream_waits.cpp has every timeout, downstream_end.cpp the ways in which streams and connections end.
// Private to http1; made by make_http1_downstream, see connection.h.
#pragma once
#include <memory>
#include <string_view>
#include <utility>

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

class Downstream final : public DownstreamConnection, public StreamBase {
 public:
  Downstream(net::Loop& loop, std::unique_ptr<net::Transport> transport, const DownstreamSettings& settings,
             DownstreamOwner& owner)
      : StreamBase(loop, std::move(transport), Side::request,
                   {settings.header_size, settings.header_count, settings.uri_size, settings.trailer_size,
                    settings.trailer_count}),
        settings_(settings),
        owner_(owner),
        deadline_(
            loop, [](void* self) { static_cast<Downstream*>(self)->on_deadline(); }, this),
        waiting_since_ms_(loop.now_ms()) {
    deadline_.in(settings.header_timeout_ms);
    transport_->start_reading();
  }

  // --- DownstreamConnection ---
  void drain(uint32_t idle_grace_ms) override;
  void close() override;
  size_t open_streams() const override { return handler_ ? 1 : 0; }
  void shed(Limit limit) override;
  uint64_t waiting_since_ms() const override;
  uint64_t slow_body_since_ms() const override {
    return body_awaited() ? body_pace_.slow_since_ms() : UINT64_MAX;
  }
  void count_wait_from(uint64_t ms) override {
    waiting_since_ms_ = ms;
    deadline_.at(ms + settings_.header_timeout_ms);
  }
  size_t held_bytes() const override {
    return stream_bytes() + held_.memory() + (transport_ ? transport_->unread() : 0);
  }

  void probe() override;

  // --- Stream ---
  void send_informational(const Message& head) override;
  void send_head(const Message& head, EndStream end) override;
  void pause(PauseReason reason) override;
  void resume(PauseReason reason) override;
  void release() override;
  void reset() override;
  void close_after() override { persistent_ = false; }
  void limit_body(uint64_t bytes) override { most_body_ = bytes; }
  bool reused() const override { return false; }
  bool any_byte_received() const override { return true; }

 private:
  void on_read(std::span<const char> bytes) override;
  void on_spliced(size_t bytes) override;
  bool reading_waits() const override { return refused_ || yielded_ || !held_.empty(); }
  void on_read_end() override;
  void on_end_announced() override;
  void on_drained() override;
  void on_error(const Error& error) override;
  void run_task() override;
  void on_deadline();

  void read(std::string_view& input);
  void after_read();
  void begin_stream();
  void refuse(const Error& error);
  void keep_rest(std::string_view rest);
  void read_held();
  bool body_open() const { return handler_ ? !parser_.complete() : discarding_; }
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
  bool slow_body() { return body_pace_.too_slow(loop_.now_ms(), received_); }
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

  const DownstreamSettings& settings_;
  DownstreamOwner& owner_;
  Deadline deadline_;
  Awaited awaited_ = Awaited::first_byte;
  uint64_t waiting_since_ms_;  // accept, or the end of the last exchange

  // of the request that is open
  Method method_ = Method::get;
  std::string_view upgrade_;         // what it asked for; in the arena
  bool expects_ = false;             // 100-continue
  bool continued_ = false;           // and got it
  bool persistent_ = true;           // another request may follow
  bool refused_ = false;             // its head could not be read; nothing more is
  uint64_t most_body_ = UINT64_MAX;  // of what comes after its answer
  BodyPace body_pace_;

  // of the connection
  uint32_t served_ = 0;  // requests
  bool draining_ = false;
  bool reading_ = false;     // read() is on the stack
  bool yielded_ = false;     // and stopped for others' sake
  bool read_ended_ = false;  // the client's FIN came
  bool end_seen_ = false;    // and was acted upon
  bool held_full_ = false;   // reading is paused because too much is held
  bool discarding_ = false;  // the rest of a body whose request was answered
  HalfClose half_close_;
  HeldBytes held_{loop_.blocks()};
};

}  // namespace penstock::http::http1
