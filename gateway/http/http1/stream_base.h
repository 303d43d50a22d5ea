// What the two HTTP/1 connections share: one stream with its send and receive halves over a transport. Base
// of Http1Downstream and Http1Upstream, which read heads and decide what becomes of the connection; never
// used alone. One loop. The connection outlives every frame that is on the stack, because its owner deletes
// it deferred; the stream may be gone after any call of its handler.
#pragma once
#include <cstdint>
#include <memory>

#include "base/arena.h"
#include "http/http1/parser.h"
#include "http/http1/serializer.h"
#include "http/stream.h"
#include "net/loop.h"
#include "net/transport.h"

namespace penstock::http::http1 {

class StreamBase;

// What a connection needs only from the first byte of a head until its message was answered. It is most of
// what a connection is made of, so one that waits for a request has none.
struct StreamState : net::Task {
  StreamState(StreamBase& its_connection, BlockPool& blocks, Side side, HeadLimits limits)
      : connection(its_connection),
        arena(blocks),
        message(arena),
        trailers(arena),
        parser(side, message, trailers, limits) {}
  void run_task() override;

  StreamBase& connection;
  uint64_t received = 0;  // bytes of the body
  uint64_t written_before = 0;
  uint64_t started_ms = 0;
  Version version = Version::http_1_1;
  PauseReasons pauses;  // the handler's; they end with the stream
  BodyWriter writer;
  Arena arena;
  Message message;
  Headers trailers;
  Parser parser;
};

class StreamBase : public Stream, protected net::TransportHandler {
 public:
  // What is still to come of a body that goes within the kernel. Less costs no more when it is copied: two
  // system calls either way.
  static constexpr uint64_t least_spliced = 64 * 1024;
  // The same of one that was so long when its head came: its tail goes the way of the rest.
  static constexpr uint64_t least_tail = 16 * 1024;
  // Of a connection whose last message was so long: what is read of the next one to learn whether it is, too.
  // Holds most heads of such messages; a longer one is read like any other. What comes of the body with it is
  // copied twice, which at 4 KiB costs 5% of 100 KB.
  static constexpr uint32_t first_read = 1024;

  virtual void run_task() = 0;  // was scheduled by its state
  void send_data(std::string_view bytes) final;
  void send_trailers(const Headers& trailers) final;
  void send_end() final;
  void flush() override;
  net::Transport* splice_end(uint64_t bytes) final;
  void spliced(size_t bytes) final { state_->writer.skip(bytes); }
  size_t unsent() const override { return transport_ ? transport_->unsent() : 0; }
  void pause(PauseReason reason) override;
  void resume(PauseReason reason) override;

  Arena& arena() final { return state_->arena; }
  Version version() const final { return state_->version; }
  const net::Address& peer() const final { return transport_->peer(); }
  const net::Address& local() const final { return transport_->local(); }
  const net::TlsInfo* tls() const override { return transport_ ? transport_->tls() : nullptr; }
  bool any_byte_sent() const final {
    return transport_ && transport_->bytes_written() > state_->written_before;
  }
  uint64_t bytes_written() const final { return transport_ ? transport_->bytes_written() : 0; }
  uint64_t bytes_taken() const final { return transport_ ? transport_->bytes_taken() : 0; }
  uint64_t bytes_received() const final { return state_->received; }
  uint64_t bytes_sent() const final { return state_->writer.sent(); }
  uint64_t started_ms() const final { return state_->started_ms; }

 protected:
  // `state`: null for one that takes it when it needs it.
  StreamBase(net::Loop& loop, std::unique_ptr<net::Transport> transport, StreamState* state);
  ~StreamBase() = default;

  void on_drained() override;
  net::NextRead<net::Transport> next_read() final;
  // Once, when a head has come.
  void foresee_length();
  // Body bytes that came went within the kernel.
  void note_spliced() { spliced_ = true; }
  // What came before is still to be read, or nothing is any more.
  virtual bool reading_waits() const { return false; }

  // Held for this stream, on its handler's other side too.
  size_t stream_bytes() const {
    return unsent() + (state_ ? state_->arena.bytes_held() : 0) + (handler_ ? handler_->held_bytes() : 0);
  }
  bool can_send() const { return transport_ && handler_ && !broken_; }
  // The handler sent what cannot be part of this message. It is told later, never inside its own call;
  // nothing leaves any more.
  void break_off();
  // Takes the handler off: no event comes after this.
  StreamHandler* take_handler();
  // Everything as before the first message; the arena's blocks go back.
  void reset_stream();
  void deliver_data();
  // Trailers, if there are any, then the end.
  void deliver_end();

  net::Loop& loop_;
  std::unique_ptr<net::Transport> transport_;  // null once closed
  StreamHandler* handler_ = nullptr;           // null while no stream is open
  StreamState* state_;
  uint32_t epoch_ = 0;  // counts the streams that ended: "is it still the same one?"
  bool broken_ : 1 = false;
  bool long_body_ : 1 = false;  // of the last head: so long that it might be spliced
  bool spliced_ : 1 = false;    // and some of it was
  // So many long bodies in a row could not be, whatever for: a first read for the next one would only be one
  // more.
  static constexpr uint8_t most_in_vain = 3;
  uint8_t in_vain_ : 2 = 0;
};

}  // namespace penstock::http::http1
