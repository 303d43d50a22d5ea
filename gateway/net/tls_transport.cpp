#include "net/tls_transport.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <utility>

namespace penstock::net {
namespace {

// How long a peer may take to read the alert that tells it why we close.
constexpr uint64_t alert_linger_ms = 500;
constexpr size_t record_memory = 16 * 1024 + 512;  // of the largest, with header, padding and tag

// A key update of 27 bytes takes us as long as 16 KiB of data. Peers that do it at all do it after megabytes.
constexpr uint64_t costly_window_ms = 10'000;
constexpr uint64_t free_costly = 32;  // in a window
constexpr uint64_t bytes_for_costly = 16 * 1024;

// Others of this thread may have left some, which SSL_get_error would take for its own. Clearing an empty
// queue goes through all its places, so it is looked at first.
void forget_errors() {
  if (ERR_peek_error() != 0) ERR_clear_error();
}

}  // namespace

// --- input ---

void TlsTransport::own(Socket& socket) {
  socket.set_owner(*this);
  wire_.output = socket_ = &socket;
}

void TlsTransport::take_session(SSL* session) {
  ssl_.reset(session);
  BIO* bio = make_tls_bio(wire_);
  SSL_set_bio(session, bio, bio);
}

void TlsTransport::on_socket_read(std::span<const char> bytes) {
  if (state_ == State::handshake && !take_handshake_input(bytes)) return;
  process(bytes);
}

TlsTransport::~TlsTransport() {
  loop_.blocks().charge(-int64_t{charged_});
  if (socket_) socket_->close();
}

void TlsTransport::hold(std::span<const char> bytes) {
  held_.assign(bytes.begin(), bytes.end());
  charge_for_input();
}

std::vector<char> TlsTransport::take_held() {
  std::vector<char> bytes = std::exchange(held_, {});
  charge_for_input();
  return bytes;
}

void TlsTransport::wait_with(std::span<const char> bytes) {
  hold(bytes);
  more_ = true;
  sync_reading();
}

bool TlsTransport::may_go_on(std::span<const char> bytes) {
  if (loop_.may_work(*this)) return true;
  wait_with(bytes);
  return false;
}

// A peer that sends part of a record and stops makes OpenSSL keep a buffer for a whole one.
void TlsTransport::charge_for_input() {
  const bool part = state_ == State::open && SSL_has_pending(ssl_.get()) == 1;
  const auto now = static_cast<uint32_t>(held_.capacity() + (part ? record_memory : 0));
  if (now == charged_) return;
  loop_.blocks().charge(int64_t{now} - int64_t{std::exchange(charged_, now)});
}

// For a message behind the handshake OpenSSL makes a buffer of 16 KiB to write from, which
// SSL_MODE_RELEASE_BUFFERS frees with the next write alone: on an idle connection that would be more than all
// the rest.
void TlsTransport::release_buffers() {
  if (!swollen_ || SSL_has_pending(ssl_.get()) == 1) return;
  swollen_ = SSL_free_buffers(ssl_.get()) != 1;
}

// Gives OpenSSL the bytes; what it leaves, because the handler paused, is held.
void TlsTransport::process(std::span<const char> bytes) {
  wire_.input = bytes;
  processing_ = true;
  Pull result = advance();
  if (result == Pull::gone) return;
  processing_ = false;
  more_ = result == Pull::stopped;
  if (more_) hold(wire_.input);
  wire_.input = {};
  release_buffers();
  charge_for_input();
  ended_ = result == Pull::ended;
  sync_reading();
  if (state_ != State::failed) socket_->flush();  // handshake messages, tickets, alerts
  if (ended_) handler_->on_read_end();
}

TlsTransport::Pull TlsTransport::advance() {
  if (state_ == State::handshake) {
    Pull result = handshake();
    if (result != Pull::established) return result;
    if (state_ == State::open && input_used_up()) return Pull::wants_input;
  }
  return state_ == State::failed ? Pull::failed : pull_plaintext();
}

// Asking OpenSSL once more would make and free a buffer for a whole record, only to hear that it wants input.
bool TlsTransport::input_used_up() const { return wire_.input.empty() && SSL_has_pending(ssl_.get()) == 0; }

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
      forget_errors();
      int result = SSL_read_ex(ssl_.get(), buffer.data() + filled, buffer.size() - filled, &size);
      if (result != 1) {
        error = SSL_get_error(ssl_.get(), result);
        break;
      }
      filled += size;
      if (input_used_up()) {
        error = SSL_ERROR_WANT_READ;
        break;
      }
    }
    if (filled > 0) handler_->on_read({buffer.data(), filled});
    if (left(socket, self)) return Pull::gone;
    if (state_ == State::failed) return Pull::failed;
    if (!misused_.empty()) {
      fail_later(misused_);
      return Pull::failed;
    }
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
  if (state_ == State::handshake) {
    count_lost_handshake();
    return fail_later("the peer left during the TLS handshake");
  }
  ended_ = truncated_ = true;
  sync_reading();
  handler_->on_read_end();
}

// --- after the handshake ---

void TlsTransport::open(void (*watch)(const SSL*, int, int)) {
  state_ = State::open;
  describe_session();
  SSL_set_info_callback(ssl_.get(), watch);
}

void TlsTransport::describe_session() {
  info_.version = SSL_get_version(ssl_.get());
  info_.cipher = SSL_get_cipher_name(ssl_.get());
  info_.resumed = SSL_session_reused(ssl_.get()) == 1;
  const unsigned char* alpn = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(ssl_.get(), &alpn, &size);
  info_.alpn = {reinterpret_cast<const char*>(alpn), size};
}

// OpenSSL reads on by itself: past the mark it gets nothing more of what has come.
void TlsTransport::count_costly_message(std::string_view too_often) {
  swollen_ = true;
  const uint64_t now = loop_.now_ms();
  if (!costly_) costly_ = std::make_unique<Costly>();
  if (now >= costly_->until_ms)
    *costly_ = {.until_ms = now + costly_window_ms, .bytes_before = bytes_read(), .count = 0};
  const uint64_t paid = (bytes_read() - costly_->bytes_before) / bytes_for_costly;
  if (++costly_->count <= free_costly + paid) return;
  misuse(too_often);
  wire_.input = {};
}

void TlsTransport::wake() {
  // What was held back must go first; never inside the caller's frame.
  if (more_ && reads_now() && state_ == State::open && !processing_) loop_.schedule(*this);
  sync_reading();
}

void TlsTransport::sync_reading() {
  if (!socket_) return;
  const bool wants = (state_ == State::handshake || (state_ == State::open && reads_now())) && !more_;
  // A handshake that waits for its turn goes on by itself.
  const Reading pause = state_ == State::handshake && ssl_ ? Reading::off_for_now : Reading::off;
  socket_->set_reading(wants ? Reading::on : pause, ReadInto::cipher_buffer);
}

// --- output ---

const Address& TlsTransport::local() const {
  if (!local_) local_ = std::make_unique<Address>();
  socklen_t length = sizeof(local_->v6);
  if (!local_->valid() && socket_) ::getsockname(socket_->fd(), &local_->any, &length);
  return *local_;
}

std::span<char> TlsTransport::reserve(size_t size) {
  std::span<char> room = plain_.reserve(size);
  if (!room.empty()) return room;
  encrypt();
  return plain_.reserve(size);
}

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
  if (SSL_write_ex(ssl_.get(), bytes, size, &written) == 1 && written == size) return true;
  ERR_clear_error();  // nobody asks why
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
  handshake_over();
  wire_.output = nullptr;
  return std::exchange(socket_, nullptr);
}

// The alert that OpenSSL wrote goes out first; the handler hears of it at the end of the turn.
void TlsTransport::fail_later(std::string_view text) {
  if (state_ == State::failed || !socket_) return;
  error_ = std::make_unique<Error>(session_error(text));
  state_ = State::failed;
  handshake_over();
  take_held();
  socket_->flush();
  sync_reading();
  cancel();  // a turn that it waited for
  loop_.schedule(*this);
}

void TlsTransport::on_socket_error(const Error& error) {
  if (state_ == State::failed) return;  // told already, or about to be
  if (state_ == State::handshake) count_lost_handshake();
  state_ = State::failed;
  cancel();
  handshake_over();
  handler_->on_error(error);
}

void TlsTransport::run_task() {
  if (state_ == State::failed) {
    // RFC 8446 6.2: the peer gets the chance to read the alert.
    if (Socket* socket = leave()) lingers_ ? socket->release(alert_linger_ms) : socket->close();
    const Error error = *error_;  // the handler may destroy this object
    handler_->on_error(error);
    return;
  }
  if (state_ == State::open && !reads_now()) return;
  const std::vector<char> bytes = take_held();
  process(bytes);
}

int alert_of(unsigned long code) {
  const int reason = ERR_GET_REASON(code);
  const bool alert = ERR_GET_LIB(code) == ERR_LIB_SSL && reason >= SSL_AD_REASON_OFFSET &&
                     reason <= SSL_AD_REASON_OFFSET + 255;
  return alert ? reason - SSL_AD_REASON_OFFSET : -1;
}

}  // namespace penstock::net
