#include "wire.h"

#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>

namespace load {
namespace {

ssize_t system_result(ssize_t result) {
  if (result >= 0) return result;
  return errno == EAGAIN || errno == EINTR || errno == ENOTCONN ? would_wait : broken;
}

}  // namespace

TlsClient::TlsClient(Tls mode) : mode_(mode) {
  if (mode == Tls::none) return;
  context_ = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(context_, TLS1_3_VERSION);
  if (SSL_CTX_set_ciphersuites(context_, "TLS_AES_128_GCM_SHA256") != 1) std::abort();
  if (SSL_CTX_set1_groups_list(context_, "X25519") != 1) std::abort();
  SSL_CTX_set_mode(context_, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context_, take_session);
  SSL_CTX_set_app_data(context_, this);
}

SSL* TlsClient::connection(int descriptor) {
  if (mode_ == Tls::none) return nullptr;
  SSL* ssl = SSL_new(context_);
  SSL_set_fd(ssl, descriptor);
  SSL_set_connect_state(ssl);
  if (newest_) SSL_set_session(ssl, newest_);
  return ssl;
}

int TlsClient::take_session(SSL* ssl, SSL_SESSION* session) {
  auto& client = *static_cast<TlsClient*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  if (client.mode_ != Tls::resumed) return 0;
  SSL_SESSION_free(client.newest_);
  client.newest_ = session;  // ours, by the answer 1
  return 1;
}

bool Wire::open(const sockaddr_in& address, TlsClient& tls) {
  descriptor_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor_ < 0) return false;
  const int on = 1;
  ::setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const auto* peer = reinterpret_cast<const sockaddr*>(&address);
  if (::connect(descriptor_, peer, sizeof address) != 0 && errno != EINPROGRESS) return false;
  ssl_ = tls.connection(descriptor_);
  ready_ = !ssl_;
  return true;
}

void Wire::close() {
  if (ssl_) {
    // Said to be over without a word on the wire, so that its session can be offered again.
    SSL_set_quiet_shutdown(ssl_, 1);
    SSL_shutdown(ssl_);
    SSL_free(ssl_);
  }
  if (descriptor_ >= 0) ::close(descriptor_);
  ssl_ = nullptr;
  descriptor_ = -1;
}

ssize_t Wire::tls_result(int result) const {
  if (result > 0) return result;
  const int error = SSL_get_error(ssl_, result);
  ERR_clear_error();
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return would_wait;
  return error == SSL_ERROR_ZERO_RETURN ? at_end : broken;
}

ssize_t Wire::handshake() {
  if (ready_) return 1;
  const ssize_t result = tls_result(SSL_do_handshake(ssl_));
  ready_ = result == 1;
  return result;
}

ssize_t Wire::send(const char* data, size_t size, bool more) {
  if (ssl_) return tls_result(SSL_write(ssl_, data, static_cast<int>(size)));
  return system_result(::send(descriptor_, data, size, MSG_NOSIGNAL | (more ? MSG_MORE : 0)));
}

ssize_t Wire::send_file(int file, uint64_t at, uint64_t size) {
  auto offset = static_cast<off_t>(at);
  return system_result(::sendfile(descriptor_, file, &offset, size));
}

ssize_t Wire::receive(char* data, size_t size) {
  if (ssl_) return tls_result(SSL_read(ssl_, data, static_cast<int>(size)));
  return system_result(::recv(descriptor_, data, size, 0));
}

ssize_t Wire::discard(uint64_t size) {
  if (!ssl_) return system_result(::recv(descriptor_, nullptr, std::min<uint64_t>(size, 1 << 20), MSG_TRUNC));
  static std::array<char, 16'384> unread;
  return receive(unread.data(), std::min<uint64_t>(size, unread.size()));
}

}  // namespace load
