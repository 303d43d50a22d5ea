#include "net/tls_transport.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "base/reason.h"
#include "net/socket.h"
#include "net/tls_bio.h"
#include "net/tls_context.h"

namespace penstock::net {
namespace {

// How long a peer may take to read the alert that tells it why we close.
constexpr uint64_t alert_linger_ms = 500;
constexpr size_t max_record = 16 * 1024;  // RFC 8446 5.1

struct SslFree {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};

// The owner side of a TLS connection, like TcpTransport with a session between handler and socket. socket_ is
// null once the connection was given up. Whatever OpenSSL is given or gives runs to its end at once: reading
// stops for want of ciphertext alone, writing never (the send queue takes everything).
class TlsTransport final : public Transport, private SocketOwner, private Task {
 public:
  TlsTransport(Loop& loop, int fd, const Address& peer, std::shared_ptr<const TlsContext> context,
               uint64_t handshake_timeout_ms, TlsHandshakeHandler& handshake);
  ~TlsTransport() override {
    if (socket_) socket_->close();
  }

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
  std::span<char> reserve(size_t size) override {
    std::span<char> room = plain_.reserve(size);
    if (!room.empty()) return room;
    encrypt();
    return plain_.reserve(size);
  }
  void commit(size_t used) override { plain_.commit(used); }
  void flush() override {
    encrypt();
    if (socket_) socket_->flush();
  }
  size_t unsent() const override { return plain_.size() + (socket_ ? socket_->unsent() : 0); }

  void shutdown() override;
  void close_gracefully(uint64_t linger_ms) override;
  void abort() override {
    if (Socket* socket = leave()) socket->reset();
  }

  const Address& peer() const override { return peer_; }
  const Address& local() const override {
    socklen_t length = sizeof(local_.v6);
    if (!local_.valid() && socket_) ::getsockname(socket_->fd(), &local_.any, &length);
    return local_;
  }
  const TlsInfo* tls() const override { return &info_; }
  bool truncated() const override { return truncated_; }
  uint64_t bytes_read() const override { return socket_ ? socket_->bytes_read() : bytes_read_; }
  uint64_t bytes_written() const override { return socket_ ? socket_->bytes_written() : bytes_written_; }

 private:
  enum class State : uint8_t { handshake, open, failed };
  // How far the session came: wants_input = all was used up; stopped = the handler does not read now; ended =
  // close_notify; gone = a callback destroyed this object or left the connection.
  enum class Pull : uint8_t { established, wants_input, stopped, ended, failed, gone };

  void on_socket_read(std::span<const char> bytes) override;
  void on_socket_read_end() override;
  void on_socket_drained() override { handler_->on_drained(); }
  void on_socket_error(const Error& error) override;
  void run_task() override;

  void process(std::span<const char> bytes);
  Pull advance();
  Pull handshake();
  Pull pull_plaintext();
  void encrypt();
  bool write_record(const char* bytes, size_t size);
  void describe_session();
  void send_close_notify();
  void wake();
  void sync_reading();
  void fail_later(std::string_view text);
  bool reads_now() const { return started_ && !pauses_.any() && !ended_; }
  // Static, because `self` may be gone already.
  static bool left(const Socket* socket, const SocketOwner* self) { return socket->owner() != self; }
  Socket* leave();

  Loop& loop_;
  Socket* socket_;
  TlsWire wire_;
  std::shared_ptr<const TlsContext> context_;
  std::unique_ptr<SSL, SslFree> ssl_;
  TlsHandshakeHandler* handshake_handler_;
  State state_ = State::handshake;
  PauseReasons pauses_;
  bool started_ = false;
  bool ended_ = false;       // the end was passed on
  bool truncated_ = false;   // with ended_: no close_notify
  bool close_sent_ = false;  // ours
  bool processing_ = false;  // inside process(): it goes on by itself
  bool more_ = false;        // bytes or an end wait for the handler to read again
  SendQueue plain_;          // appended, not encrypted yet
  std::vector<char> held_;   // ciphertext that came in while the handler paused
  Timer handshake_timer_;
  Error error_;  // in State::failed, until reported
  TlsInfo info_;
  std::string server_name_;
  Address peer_;
  mutable Address local_;
  uint64_t bytes_read_ = 0;  // both: after the socket was left
  uint64_t bytes_written_ = 0;
};

TlsTransport::TlsTransport(Loop& loop, int fd, const Address& peer, std::shared_ptr<const TlsContext> context,
                           uint64_t handshake_timeout_ms, TlsHandshakeHandler& handshake)
    : loop_(loop),
      socket_(Socket::adopt(loop, fd, ErrorSource::downstream, *this)),
      context_(std::move(context)),
      ssl_(SSL_new(context_->first())),
      handshake_handler_(&handshake),
      plain_(loop.blocks()),
      handshake_timer_(
          loop,
          [](void* self) { static_cast<TlsTransport*>(self)->fail_later("the TLS handshake took too long"); },
          this),
      peer_(peer) {
  wire_.output = socket_;
  if (!ssl_) {
    fail_later("OpenSSL has no memory for a session");
    return;
  }
  BIO* bio = make_tls_bio(wire_);
  SSL_set_bio(ssl_.get(), bio, bio);
  SSL_set_accept_state(ssl_.get());
  if (handshake_timeout_ms > 0) handshake_timer_.start(handshake_timeout_ms);
  sync_reading();
}

// --- input ---

void TlsTransport::on_socket_read(std::span<const char> bytes) { process(bytes); }

// Gives OpenSSL the bytes; what it leaves, because the handler paused, is held.
void TlsTransport::process(std::span<const char> bytes) {
  wire_.input = bytes;
  processing_ = true;
  Pull result = advance();
  if (result == Pull::gone) return;
  processing_ = false;
  more_ = result == Pull::stopped;
  if (more_) held_.assign(wire_.input.begin(), wire_.input.end());
  wire_.input = {};
  ended_ = result == Pull::ended;
  sync_reading();
  if (state_ != State::failed) socket_->flush();  // handshake messages, tickets, alerts
  if (ended_) handler_->on_read_end();
}

TlsTransport::Pull TlsTransport::advance() {
  if (state_ == State::handshake) {
    Pull result = handshake();
    if (result != Pull::established) return result;
  }
  return state_ == State::failed ? Pull::failed : pull_plaintext();
}

TlsTransport::Pull TlsTransport::handshake() {
  ERR_clear_error();
  int result = SSL_do_handshake(ssl_.get());
  if (result != 1) {
    if (SSL_get_error(ssl_.get(), result) == SSL_ERROR_WANT_READ) return Pull::wants_input;
    bool plain_http = ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST;
    fail_later(plain_http ? "plain HTTP on a TLS port" : "the TLS handshake failed");
    return Pull::failed;
  }
  state_ = State::open;
  handshake_timer_.stop();
  describe_session();
  Socket* socket = socket_;  // outlives this object in this frame
  const SocketOwner* self = this;
  encrypt();
  socket->flush();
  handshake_handler_->on_handshake();
  return left(socket, self) ? Pull::gone : Pull::established;
}

// Fills the loop's read buffer and hands it on, until the ciphertext is used up or the handler pauses.
// Bounded: a recv() brings at most cipher_buffer_size.
TlsTransport::Pull TlsTransport::pull_plaintext() {
  Socket* socket = socket_;  // outlives this object in this frame
  const SocketOwner* self = this;
  while (reads_now()) {
    std::span<char> buffer = loop_.read_buffer();
    size_t filled = 0;
    int error = SSL_ERROR_NONE;
    while (filled < buffer.size()) {
      size_t size = 0;
      ERR_clear_error();
      int result = SSL_read_ex(ssl_.get(), buffer.data() + filled, buffer.size() - filled, &size);
      if (result != 1) {
        error = SSL_get_error(ssl_.get(), result);
        break;
      }
      filled += size;
    }
    if (filled > 0) handler_->on_read({buffer.data(), filled});
    if (left(socket, self)) return Pull::gone;
    if (state_ == State::failed) return Pull::failed;
    if (error == SSL_ERROR_NONE) continue;
    if (error == SSL_ERROR_WANT_READ) return Pull::wants_input;
    if (error == SSL_ERROR_ZERO_RETURN) {
      if (reads_now()) return Pull::ended;
      return Pull::stopped;  // found again after the pause: OpenSSL repeats it
    }
    fail_later("the peer broke the TLS protocol");
    return Pull::failed;
  }
  return Pull::stopped;
}

// Told while all that came before was read: reading stops while anything is held.
void TlsTransport::on_socket_read_end() {
  if (ended_ || state_ == State::failed) return;
  if (state_ == State::handshake) return fail_later("the peer left during the TLS handshake");
  ended_ = truncated_ = true;
  sync_reading();
  handler_->on_read_end();
}

void TlsTransport::wake() {
  // What was held back must go first; never inside the caller's frame.
  if (more_ && reads_now() && state_ == State::open && !processing_) loop_.schedule(*this);
  sync_reading();
}

void TlsTransport::sync_reading() {
  if (!socket_) return;
  bool wants = state_ == State::handshake || (state_ == State::open && reads_now() && !more_);
  socket_->set_reading(wants ? Reading::on : Reading::off, ReadInto::cipher_buffer);
}

// --- output ---

void TlsTransport::encrypt() {
  if (!socket_ || state_ == State::failed || close_sent_) {
    plain_.clear();
    return;
  }
  if (state_ == State::handshake) {
    plain_.keep();
    return;
  }
  std::array<iovec, SendQueue::max_segments> segments;
  std::array<char, max_record> record;
  while (!plain_.empty()) {
    size_t count = plain_.segments(segments);
    size_t size = std::min(segments[0].iov_len, max_record);
    const char* bytes = static_cast<const char*>(segments[0].iov_base);
    if (count > 1 && size < max_record) {  // head and body in one record
      size = 0;
      for (size_t i = 0; i < count && size < record.size(); ++i) {
        size_t part = std::min(segments[i].iov_len, record.size() - size);
        std::memcpy(record.data() + size, segments[i].iov_base, part);
        size += part;
      }
      bytes = record.data();
    }
    if (!write_record(bytes, size)) return;
    plain_.consume(size);
  }
  plain_.clear();
}

bool TlsTransport::write_record(const char* bytes, size_t size) {
  size_t written = 0;
  ERR_clear_error();
  if (SSL_write_ex(ssl_.get(), bytes, size, &written) == 1 && written == size) return true;
  fail_later("the TLS session cannot send any more");
  return false;
}

void TlsTransport::send_close_notify() {
  if (state_ != State::open || std::exchange(close_sent_, true)) return;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

void TlsTransport::shutdown() {
  if (!socket_) return;
  flush();
  send_close_notify();
  if (socket_) socket_->shutdown();
}

void TlsTransport::close_gracefully(uint64_t linger_ms) {
  if (!socket_) return;
  flush();
  send_close_notify();
  if (Socket* socket = leave()) socket->release(linger_ms);
}

// --- the end ---

Socket* TlsTransport::leave() {
  if (!socket_) return nullptr;
  cancel();
  handshake_timer_.stop();
  wire_.output = nullptr;
  bytes_read_ = socket_->bytes_read();
  bytes_written_ = socket_->bytes_written();
  return std::exchange(socket_, nullptr);
}

// The alert that OpenSSL wrote goes out first; the handler hears of it at the end of the turn.
void TlsTransport::fail_later(std::string_view text) {
  if (state_ == State::failed || !socket_) return;
  error_ = {.kind = ErrorKind::tls,
            .source = ErrorSource::downstream,
            .retry = Retry::no,
            .reason = reason::client_closed,
            .text = text};
  state_ = State::failed;
  handshake_timer_.stop();
  held_ = {};
  socket_->flush();
  sync_reading();
  loop_.schedule(*this);
}

void TlsTransport::on_socket_error(const Error& error) {
  if (state_ == State::failed) return;  // told already, or about to be
  state_ = State::failed;
  cancel();
  handshake_timer_.stop();
  handler_->on_error(error);
}

void TlsTransport::run_task() {
  if (state_ == State::failed) {
    // RFC 8446 6.2: the peer gets the chance to read the alert.
    if (Socket* socket = leave()) socket->release(alert_linger_ms);
    handler_->on_error(error_);
    return;
  }
  if (!reads_now()) return;
  std::vector<char> bytes = std::exchange(held_, {});
  process(bytes);
}

void TlsTransport::describe_session() {
  info_.version = SSL_get_version(ssl_.get());
  info_.cipher = SSL_get_cipher_name(ssl_.get());
  const unsigned char* alpn = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(ssl_.get(), &alpn, &size);
  info_.alpn = {reinterpret_cast<const char*>(alpn), size};
  if (const char* name = SSL_get_servername(ssl_.get(), TLSEXT_NAMETYPE_host_name))
    server_name_ = normal_server_name(name);
  info_.server_name = server_name_;
}

}  // namespace

std::unique_ptr<Transport> make_tls_server_transport(Loop& loop, int fd, const Address& peer,
                                                     std::shared_ptr<const TlsServerContext> context,
                                                     uint64_t handshake_timeout_ms,
                                                     TlsHandshakeHandler& on_handshake) {
  return std::make_unique<TlsTransport>(loop, fd, peer, std::static_pointer_cast<const TlsContext>(context),
                                        handshake_timeout_ms, on_handshake);
}

}  // namespace penstock::net
