// TLS (OpenSSL 3) over a TCP descriptor, server side. A TlsServerContext is immutable, made on the main
// thread from a listener's certificates and shared by all workers through the snapshot; one with the exact or
// wildcard name of the SNI is chosen at the handshake, else the first. The transport's contract is
// transport.h's.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "net/transport.h"

namespace penstock::net {

struct CertificateFiles {
  std::string cert, key;  // PEM; cert is the chain, leaf first
};
enum class TlsVersion : uint8_t { v1_2, v1_3 };

class TlsServerContext {
 public:
  struct Failure {
    size_t certificate;   // index into the list that was given
    std::string message;  // one line for a diagnostic: which file, what is wrong, what to do
  };
  struct CertificateFacts {
    std::vector<std::string> names;  // SAN dNSNames, lower case
    int64_t not_after;               // Unix seconds
  };
  // Loads and checks (a key that does not match its certificate is an error; no certificate at all too).
  static std::expected<std::shared_ptr<const TlsServerContext>, Failure> load(
      const std::vector<CertificateFiles>& certificates, TlsVersion min_version,
      const std::vector<std::string>& alpn);
  virtual ~TlsServerContext() = default;
  virtual const std::vector<CertificateFacts>& certificates() const = 0;
  // Index of the certificate that this SNI would get: used by the handshake and by explain alike.
  virtual size_t select(std::string_view server_name) const = 0;
};

// Takes ownership of an accepted descriptor; the handshake begins at once, so set the handler before
// returning to the loop. on_handshake comes once before any other callback (call start_reading there or
// later; the handler may be exchanged first); when the handshake fails or takes over handshake_timeout_ms (0:
// no bound) the handler gets on_error only. bytes_read and bytes_written count ciphertext.
class TlsHandshakeHandler {
 public:
  virtual void on_handshake() = 0;

 protected:
  ~TlsHandshakeHandler() = default;
};
std::unique_ptr<Transport> make_tls_server_transport(Loop& loop, int fd, const Address& peer,
                                                     std::shared_ptr<const TlsServerContext> context,
                                                     uint64_t handshake_timeout_ms,
                                                     TlsHandshakeHandler& on_handshake);

}  // namespace penstock::net
