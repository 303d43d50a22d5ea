// The client's side of a TLS connection, over a socket that connect_tcp made; connect_tls makes it. Private
// to net/.
#pragma once
#include <string>

#include "net/tls_client.h"
#include "net/tls_transport.h"

namespace penstock::net {

// Who waits for the handshake: told of its success here, else by the handler's on_error alone.
class TlsClientStart {
 public:
  virtual void on_established() = 0;

 protected:
  ~TlsClientStart() = default;
};

class TlsClientTransport final : public TlsTransport {
 public:
  TlsClientTransport(Loop& loop, std::unique_ptr<Transport> connected,
                     std::shared_ptr<const TlsClientContext> context, TlsPeer& peer, TlsClientStart& start);
  ~TlsClientTransport() override;

  // The ClientHello goes out, at once or when it is this one's turn; never fails inside.
  void begin();

  static int on_new_session(SSL* ssl, SSL_SESSION* session);

 private:
  struct Failure {
    std::string_view reason, text;  // both static
  };

  bool take_handshake_input(std::span<const char> bytes) override { return may_go_on(bytes); }
  Pull handshake() override;
  void handshake_over() override;
  Error session_error(std::string_view text) const override;

  bool make_session();
  bool expect_name(const std::string& name);
  void use_known_session();
  Pull established();
  Failure why_failed() const;
  void keep(SSL_SESSION* session);

  std::shared_ptr<const TlsClientContext> context_;
  TlsPeer& server_;
  TlsClientStart* start_;    // null once the handshake is over
  uint32_t naming_ = 0;      // the server's, when the name was chosen that it must show
  int64_t until_s_ = 0;      // of the session that it goes on from
  std::string_view reason_;  // while the handshake lasts: why it fails
  std::string expected_;     // name or address
};

static_assert(sizeof(TlsClientTransport) <= 464);

}  // namespace penstock::net
