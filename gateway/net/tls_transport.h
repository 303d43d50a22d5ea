// One TLS connection over a TCP descriptor, server side; made by TlsServer::accept. The transport's contract
// is transport.h's. Private to net/.
#pragma once
#include <map>

#include "base/spared.h"
#include "net/openssl_handles.h"
#include "net/send_queue.h"
#include "net/socket.h"
#include "net/timer.h"
#include "net/tls_bio.h"
#include "net/tls_context.h"
#include "net/tls_server.h"

namespace penstock::net {

class TlsTransport;

// Handshakes that wait, by their number, which is new when they begin and whenever they come a message
// further: who sends a byte now and then stays as old as it is.
class TlsServer::Waiting {
 public:
  // So often those whose clients have spoken ask again whether they may begin.
  static constexpr uint64_t look_again_ms = 20;

  static constexpr size_t most_asks = 4;  // in a look for one that can go: each is a system call

  struct List {
    std::map<uint64_t, TlsTransport*> by_number;
    bool give_up_first(uint64_t by_ms, Waiting& of);
    uint64_t first_since_ms() const;
  };
  explicit Waiting(TlsServer& server)
      : next_look(
            server.loop_, [](void* self) { static_cast<TlsServer*>(self)->begin_waiting(); }, &server) {}

  List silent;  // their clients have sent nothing
  List begun;   // and the client has to go on
  List asking;  // their clients have spoken, and may not begin yet
  uint64_t next_number = 0;
  bool newest_next = true;
  Timer next_look;  // while somebody asks
};

// The owner side of a TLS connection, like TcpTransport with a session between handler and socket. socket_ is
// null once the connection was given up. Whatever OpenSSL is given or gives runs to its end at once: reading
// stops for want of ciphertext alone, writing never (the send queue takes everything). The session is made
// with the client's first byte: one that says nothing costs a socket alone.
class TlsTransport final : public Transport,
                           private SocketOwner,
                           private Task,
                           private ClientCertificateSource {
 public:
  TlsTransport(TlsServer& server, int fd, const Address& peer, TlsHandshakeHandler& handshake,
               uint64_t quiet_ms);
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

  void append(std::string_view bytes) override {
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

  const Address& peer() const override { return peer_; }
  const Address& local() const override;
  const TlsInfo* tls() const override { return &info_; }
  bool truncated() const override { return truncated_; }
  uint64_t bytes_read() const override { return socket_ ? socket_->bytes_read() : 0; }
  uint64_t bytes_written() const override { return socket_ ? socket_->bytes_written() : 0; }
  uint64_t bytes_taken() const override { return socket_ ? socket_->bytes_taken() : 0; }

  // While the handshake lasts.
  uint64_t waits_since_ms() const { return handshake_->waits_since_ms; }
  // The server is in a hurry.
  void hurry();
  // The handshake ends, without an alert: there are too many.
  void give_up();
  // OpenSSL has read one.
  void count_key_update();
  // Gives it a new number, as the youngest. False: its client has sent nothing, or base/spared.h says enough.
  bool spare();
  // Its client has spoken before; false: it may not begin now either.
  bool begin_late();

 private:
  enum class State : uint8_t { handshake, open, failed };
  // How far the session came: wants_input = all was used up; stopped = the handler does not read now; ended =
  // close_notify; gone = a callback destroyed this object or left the connection.
  enum class Pull : uint8_t { established, wants_input, stopped, ended, failed, gone };

  void on_socket_read(std::span<const char> bytes) override;
  void on_socket_read_end() override;
  void on_socket_end_announced() override {
    if (state_ == State::open && !ended_) handler_->on_end_announced();
  }
  void on_socket_drained() override { handler_->on_drained(); }
  void on_socket_error(const Error& error) override;
  void run_task() override;
  const ClientCertificate* client_certificate() const override;

  bool begin(std::span<const char> bytes);
  void wait_to_begin(std::span<const char> bytes);
  bool make_session();
  bool later(std::span<const char> bytes);
  void hold(std::span<const char> bytes);
  std::vector<char> take_held();
  void charge_for_input();
  void process(std::span<const char> bytes);
  Pull advance();
  Pull handshake();
  Pull established();
  TlsFailure why_failed() const;
  Pull pull_plaintext();
  bool input_used_up() const;
  void encrypt();
  bool write_record(const char* bytes, size_t size);
  void describe_session();
  void send_close_notify();
  void wake();
  void sync_reading();
  void fail_later(std::string_view text);
  void fail_handshake(TlsFailure failure, std::string_view text);
  void handshake_over();
  void not_waiting();
  void wait_anew();
  void time_is_over();
  bool reads_now() const { return started_ && !pauses_.any() && !ended_; }
  // Static, because `self` may be gone already.
  static bool left(const Socket* socket, const SocketOwner* self) { return socket->owner() != self; }
  Socket* leave();

  // What is needed only while it lasts.
  struct Handshake {
    TlsServer& server;
    TlsHandshakeHandler& handler;
    std::shared_ptr<const TicketKeys> tickets;  // null before the first byte
    uint64_t number;
    uint64_t waits_since_ms;  // silent so long, begun, or came a message further
    int waits_in = -1;        // OpenSSL's state of then
    Spared spared;            // in this wait
    uint64_t until_ms;        // handshake_timeout
    Timer timer;
  };
  struct KeyUpdates {
    uint64_t until_ms = 0, bytes_before = 0, count = 0;
  };

  Loop& loop_;
  Socket* socket_;
  TlsWire wire_;
  std::shared_ptr<const TlsContext> context_;  // null before the first byte
  TlsSession session_;
  Ssl ssl_;                               // null before the first byte
  std::unique_ptr<Handshake> handshake_;  // null once it is over
  State state_ = State::handshake;
  PauseReasons pauses_;
  bool started_ = false;
  bool ended_ = false;       // the end was passed on
  bool truncated_ = false;   // with ended_: no close_notify
  bool close_sent_ = false;  // ours
  bool processing_ = false;  // inside process(): it goes on by itself
  bool more_ = false;        // bytes or an end wait: for the handler to read again, or for a later turn
  bool lingers_ = true;      // in State::failed: the peer gets the chance to read an alert
  SendQueue plain_;          // appended, not encrypted yet
  std::vector<char> held_;   // ciphertext that came in while more_
  uint32_t charged_ = 0;     // to the loop's pool: held_, and OpenSSL's buffer with a part of a record
  std::unique_ptr<KeyUpdates> key_updates_;  // in this window; null: none so far
  std::unique_ptr<Error> error_;             // in State::failed, until reported
  TlsInfo info_;
  mutable std::unique_ptr<ClientCertificate> client_;  // when it was asked for
  Address peer_;
  mutable std::unique_ptr<Address> local_;  // when it was asked for
};

}  // namespace penstock::net
