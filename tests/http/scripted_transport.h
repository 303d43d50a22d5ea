// A Transport without a socket: a test feeds what the peer sends and reads what was flushed. Bytes that were
// fed are freed as soon as on_read returned, so that ASan sees whoever keeps a view into them.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/block_pool.h"
#include "net/transport.h"

namespace penstock::test {

// What is left to look at after the connection destroyed its transport.
struct Wire {
  enum class End { open, destroyed, graceful, aborted };
  std::string sent;                 // all that was flushed
  std::vector<std::string> writes;  // one entry a flush that had something
  std::vector<size_t> segments;     // and in how many pieces
  size_t empty_flushes = 0;
  bool shut_down = false;
  End end = End::open;
  uint64_t linger_ms = 0;
  bool paused = false;
  bool reading = false;
  net::Address peer, local;
  const net::TlsInfo* tls = nullptr;
  bool input_waits = false;                      // what the kernel would say
  class ScriptedTransport* transport = nullptr;  // null once destroyed

  std::string take() { return std::exchange(sent, {}); }
};

class ScriptedTransport final : public net::Transport {
 public:
  explicit ScriptedTransport(Wire& wire) : wire_(wire) { wire.transport = this; }
  ~ScriptedTransport() override {
    wire_.transport = nullptr;
    if (wire_.end == Wire::End::open) wire_.end = Wire::End::destroyed;
  }

  // --- the test's side ---
  // Keeps sent bytes as unsent from now on, as a socket whose buffer is full; room() lets them go.
  void block() { blocked_ = true; }
  void room() {
    blocked_ = false;
    stuck_ = 0;
    if (handler_) handler_->on_drained();
  }
  // All but so much was taken: the low mark is passed.
  void room_but_for(size_t rest) {
    stuck_ = rest;
    if (handler_) handler_->on_drained();
  }

  // What is flushed from now on goes nowhere, as on a connection that the peer has reset.
  void lose_sending() { lost_ = true; }

  // --- Transport ---
  void start_reading() override { wire_.reading = true; }
  void pause(PauseReason reason) override {
    pauses_.set(reason);
    wire_.paused = pauses_.any();
  }
  void resume(PauseReason reason) override {
    pauses_.clear(reason);
    wire_.paused = pauses_.any();
  }
  void append(std::string_view bytes) override { add(std::string(bytes)); }
  void append_borrowed(std::string_view bytes) override { pieces_.push_back({{}, bytes, true}); }
  std::span<char> reserve(size_t size) override {
    room_.assign(std::max<size_t>(size, 64), '?');
    return room_;
  }
  void commit(size_t used) override { add(std::string(room_.data(), used)); }
  void flush() override {
    std::string out;
    size_t count = 0;
    bool copied_before = false;
    for (const Piece& piece : pieces_) {
      out += piece.borrowed ? std::string(piece.view) : piece.bytes;
      if (piece.borrowed || !copied_before) ++count;
      copied_before = !piece.borrowed;
    }
    pieces_.clear();
    if (lost_) return;
    if (out.empty()) {
      ++wire_.empty_flushes;
      return;
    }
    if (blocked_) stuck_ += out.size();
    written_ += out.size();
    wire_.sent += out;
    wire_.segments.push_back(count);
    wire_.writes.push_back(std::move(out));
  }
  size_t unsent() const override {
    size_t size = stuck_;
    for (const Piece& piece : pieces_) size += piece.borrowed ? piece.view.size() : piece.bytes.size();
    return size;
  }
  bool input_waits() const override { return wire_.input_waits; }
  void shutdown() override { wire_.shut_down = true; }
  void close_gracefully(uint64_t linger_ms) override {
    flush();
    wire_.end = Wire::End::graceful;
    wire_.linger_ms = linger_ms;
  }
  void abort() override { wire_.end = Wire::End::aborted; }
  const net::Address& peer() const override { return wire_.peer; }
  const net::Address& local() const override { return wire_.local; }
  uint64_t bytes_read() const override { return read_; }
  uint64_t bytes_written() const override { return written_; }
  bool truncated() const override { return truncated_; }
  const net::TlsInfo* tls() const override { return wire_.tls; }

 private:
  friend void feed(Wire& wire, std::string_view bytes);
  friend void feed_end(Wire& wire);
  friend void feed_end_announced(Wire& wire);
  friend void feed_truncated_end(Wire& wire);
  friend void feed_error(Wire& wire, const Error& error);
  friend void feed_spliced(Wire& wire, size_t bytes);
  friend uint32_t first_read(const Wire& wire);
  struct Piece {
    std::string bytes;
    std::string_view view;
    bool borrowed;
  };
  void add(std::string bytes) { pieces_.push_back({std::move(bytes), {}, false}); }

  Wire& wire_;
  std::vector<Piece> pieces_;
  std::vector<char> room_;
  PauseReasons pauses_;
  bool blocked_ = false;
  bool lost_ = false;
  size_t stuck_ = 0;
  uint64_t read_ = 0;
  uint64_t written_ = 0;
  bool truncated_ = false;
};

inline void feed(Wire& wire, std::string_view bytes) {
  if (!wire.transport) return;
  std::unique_ptr<char[]> copy(new char[bytes.size()]);  // exactly so long: ASan guards both ends
  std::copy(bytes.begin(), bytes.end(), copy.get());
  wire.transport->read_ += bytes.size();
  wire.transport->handler_->on_read({copy.get(), bytes.size()});
}
inline void feed_each_byte(Wire& wire, std::string_view bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) feed(wire, bytes.substr(i, 1));
}
inline void feed_end(Wire& wire) {
  if (wire.transport) wire.transport->handler_->on_read_end();
}
// A FIN behind bytes that nobody reads just now.
inline void feed_end_announced(Wire& wire) {
  if (wire.transport) wire.transport->handler_->on_end_announced();
}
// A FIN under TLS without close_notify.
inline void feed_truncated_end(Wire& wire) {
  if (wire.transport) wire.transport->truncated_ = true;
  feed_end(wire);
}
// Bytes of a body that went within the kernel.
inline void feed_spliced(Wire& wire, size_t bytes) {
  if (wire.transport) wire.transport->handler_->on_spliced(bytes);
}
// See NextRead::at_first.
inline uint32_t first_read(const Wire& wire) { return wire.transport->handler_->next_read().at_first; }
inline void feed_error(Wire& wire, const Error& error) {
  if (wire.transport) wire.transport->handler_->on_error(error);
}

}  // namespace penstock::test
