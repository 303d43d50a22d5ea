// A client's descriptor, plain or TLS. Never blocks; one thread.
#pragma once

#include <netinet/in.h>
#include <openssl/ssl.h>

#include <cstddef>
#include <cstdint>

#include "options.h"

namespace load {

// Bytes done, or one of these.
constexpr ssize_t would_wait = -1, broken = -2, at_end = 0;

// One of the whole program: TLS 1.3 alone, with the suite, group and the certificate's kind that every peer
// here speaks, so that all do the same work. Certificates are not verified.
class TlsClient {
 public:
  explicit TlsClient(Tls mode);
  SSL* connection(int descriptor);
  Tls mode() const { return mode_; }

 private:
  static int take_session(SSL* ssl, SSL_SESSION* session);

  Tls mode_;
  SSL_CTX* context_ = nullptr;
  SSL_SESSION* newest_ = nullptr;
};

class Wire {
 public:
  Wire() = default;
  ~Wire() { close(); }
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  // False: the system does not let us.
  bool open(const sockaddr_in& address, TlsClient& tls);
  void close();
  int descriptor() const { return descriptor_; }

  // 1 when bytes can go.
  ssize_t handshake();
  ssize_t send(const char* data, size_t size, bool more);
  ssize_t send_file(int file, uint64_t at, uint64_t size);
  ssize_t receive(char* data, size_t size);
  // Bytes that nobody looks at.
  ssize_t discard(uint64_t size);
  // Of TLS: bytes that no event tells of.
  bool holds_bytes() const { return ssl_ && SSL_pending(ssl_) > 0; }
  bool resumed() const { return ssl_ && SSL_session_reused(ssl_) == 1; }
  const SSL* tls() const { return ssl_; }

 private:
  ssize_t tls_result(int result) const;

  int descriptor_ = -1;
  SSL* ssl_ = nullptr;
  bool ready_ = false;
};

}  // namespace load
