// One TLS connection over a TCP socket, whichever side it is of: what the two have in common, which is
// everything behind the handshake. Made by TlsServer::accept and connect_tls. The transport's contract is
// transport.h's. Private to net/.
#pragma once
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "net/openssl_handles.h"
#include "net/send_queue.h"
#include "net/socket.h"
#include "net/tls_bio.h"
#include "net/transport.h"

namespace penstock::net {

// The owner side of a TLS connection, like TcpTransport with a session between handler and socket. socket_ is
// null once the connection was given up. Whatever OpenSSL is given or gives runs to its end at once: reading
// stops for want of ciphertext alone, writing never (the send queue takes everything).
class TlsTransport : public Transport, protected SocketOwner, private Task {
 public:
  ~TlsTransport() override;

  void hold(std::unique_ptr<Place> place) override {
    if (socket_) socket_->hold(std::move(place));
  }
  void limit_sending(const SendLimits& limits) override {
    if (socket_) socket_->limit_sending(limits);
  }
  void start_reading() override {
    started_ = true;
    wake();
  }
  void pause(PauseReason reason) override {
    if (pauses_.set(reason)) sync_reading();
  }
  void resume(PauseReason reason) override {
    if (pauses_.clear(reason)) wake();
  }

  // A record is made of them as soon as they fill one, while they are in the processor's cache.
  void append(std::string_view bytes) override {
    if (plain_.size() > max_record / 2 && plain_.size() + bytes.size() > max_record) encrypt();
    while (!(bytes = plain_.append(bytes)).empty()) encrypt();
  }
  void append_borrowed(std::string_view bytes) override {
    while (!(bytes = plain_.append_borrowed(bytes)).empty()) encrypt();
  }
  std::span<char> reserve(size_t size) override;
  void commit(size_t used) override { plain_.commit(used); }
  void flush() override {
    encrypt();
    if (socket_) socket_->flush();
  }
  void release_borrowed() override { encrypt(); }
  size_t unsent() const override { return plain_.size() + (socket_ ? socket_->unsent() : 0); }
  size_t unread() const override { return charged_; }

  void shutdown() override;
  void close_gracefully(uint64_t linger_ms) override;
  void abort() override {
    if (Socket* socket = leave()) socket->reset();
  }

  bool input_waits() const override { return socket_ && (more_ || socket_->input_waits()); }
  const Address& peer() const override { return peer_; }
  const Address& local() const override;
  const TlsInfo* tls() const override { return &info_; }
  bool truncated() const override { return truncated_; }
  uint64_t bytes_read() const override { return socket_ ? socket_->bytes_read() : 0; }
  uint64_t bytes_written() const override { return socket_ ? socket_->bytes_written() : 0; }
  uint64_t bytes_taken() const override { return socket_ ? socket_->bytes_taken() : 0; }

  // What the peer may ask of us after the handshake without sending a byte, which takes us as long as 16 KiB
  // of data: key updates, session tickets. `too_often`, static, says of it what it is.
  void count_costly_message(std::string_view too_often);
  // The connection ends, though OpenSSL would go on. Static text.
  void misuse(std::string_view why) { misused_ = why; }

 protected:
  static constexpr size_t max_record = 16 * 1024;  // RFC 8446 5.1

  enum class State : uint8_t { handshake, open, failed };
  // How far the session came: wants_input = all was used up; stopped = the handler does not read now; ended =
  // close_notify; gone = a callback destroyed this object or left the connection.
  enum class Pull : uint8_t { established, wants_input, stopped, ended, failed, gone };

  TlsTransport(Loop& loop, const Address& peer) : loop_(loop), plain_(loop.blocks()), peer_(peer) {}
  void own(Socket& socket);
  void take_session(SSL* session);  // whoever made it frees it before what its callbacks use

  // --- a side's own ---
  // Bytes came while the handshake lasts. True: they are for OpenSSL, now.
  virtual bool take_handshake_input(std::span<const char> bytes) = 0;
  virtual Pull handshake() = 0;
  virtual void handshake_over() {}  // for better or worse; may come again
  // The peer is gone before it was over.
  virtual void count_lost_handshake() {}
  // OpenSSL's queue says more of it, where it was OpenSSL that ended the session.
  virtual Error session_error(std::string_view text) const = 0;

  // Whether this turn has done enough for handshakes: then the bytes wait, and the peer with them.
  bool may_go_on(std::span<const char> bytes);
  void wait_with(std::span<const char> bytes);
  void stop_waiting() { more_ = false; }
  bool waits() const { return more_; }
  std::vector<char> take_held();
  void process(std::span<const char> bytes);
  // From here on the handler may read. `watch` tells of what the peer asks of us.
  void open(void (*watch)(const SSL*, int, int));
  void encrypt();
  void send_close_notify();
  void fail_later(std::string_view text);
  void sync_reading();
  // Static, because `self` may be gone already.
  static bool left(const Socket* socket, const SocketOwner* self) { return socket->owner() != self; }

  Loop& loop_;
  Socket* socket_ = nullptr;
  Ssl ssl_;  // null before there is one
  State state_ = State::handshake;
  bool lingers_ = true;           // in State::failed: the peer gets the chance to read an alert
  std::unique_ptr<Error> error_;  // in State::failed, until reported
  TlsInfo info_;
  mutable std::unique_ptr<Address> local_;  // when it was asked for

 private:
  void on_socket_read(std::span<const char> bytes) override;
  void on_socket_read_end() override;
  void on_socket_end_announced() override {
    if (state_ == State::open && !ended_) handler_->on_end_announced();
  }
  void on_socket_drained() override { handler_->on_drained(); }
  void on_socket_error(const Error& error) override;
  void run_task() override;

  void hold(std::span<const char> bytes);
  void charge_for_input();
  void release_buffers();
  Pull advance();
  Pull pull_plaintext();
  bool input_used_up() const;
  bool write_record(const char* bytes, size_t size);
  void describe_session();
  void wake();
  bool reads_now() const { return started_ && !pauses_.any() && !ended_; }
  Socket* leave();

  struct Costly {
    uint64_t until_ms = 0, bytes_before = 0, count = 0;
  };

  TlsWire wire_;
  PauseReasons pauses_;
  bool started_ = false;
  bool ended_ = false;       // the end was passed on
  bool truncated_ = false;   // with ended_: no close_notify
  bool close_sent_ = false;  // ours
  bool processing_ = false;  // inside process(): it goes on by itself
  bool swollen_ = false;     // OpenSSL has made buffers that it keeps
  bool more_ = false;        // bytes or an end wait: for the handler to read again, or for a later turn
  SendQueue plain_;          // appended, not encrypted yet
  std::vector<char> held_;   // ciphertext that came in while more_
  uint32_t charged_ = 0;     // to the loop's pool: held_, and OpenSSL's buffer with a part of a record
  std::string_view misused_;
  std::unique_ptr<Costly> costly_;  // in this window; null: none so far
  Address peer_;
};

// Of the error that OpenSSL tells: an alert that the peer sent, or -1.
int alert_of(unsigned long code);

}  // namespace penstock::net
