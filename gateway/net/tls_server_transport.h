// The server's side of a TLS connection: TlsServer::accept makes it. Private to net/.
#pragma once
#include <map>

#include "base/spared.h"
#include "net/timer.h"
#include "net/tls_context.h"
#include "net/tls_server.h"
#include "net/tls_transport.h"

namespace penstock::net {

class TlsServerTransport;

// Handshakes that wait, by their number, which is new when they begin and whenever they come a message
// further: who sends a byte now and then stays as old as it is.
class TlsServer::Waiting {
 public:
  // So often those whose clients have spoken ask again whether they may begin.
  static constexpr uint64_t look_again_ms = 20;

  static constexpr size_t most_asks = 4;  // in a look for one that can go: each is a system call

  struct List {
    std::map<uint64_t, TlsServerTransport*> by_number;
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

// The session is made with the client's first byte: one that says nothing costs a socket alone.
class TlsServerTransport final : public TlsTransport, private ClientCertificateSource {
 public:
  TlsServerTransport(TlsServer& server, int fd, const Address& peer, TlsHandshakeHandler& handshake,
                     uint64_t quiet_ms);
  ~TlsServerTransport() override {
    handshake_over();
    ssl_.reset();
  }

  // While the handshake lasts.
  uint64_t waits_since_ms() const { return handshake_->waits_since_ms; }
  // The server is in a hurry.
  void hurry();
  // The handshake ends, without an alert: there are too many.
  void give_up();
  // Gives it a new number, as the youngest. False: its client has sent nothing, or base/spared.h says enough.
  bool spare();
  // Its client has spoken before; false: it may not begin now either.
  bool begin_late();

 private:
  bool take_handshake_input(std::span<const char> bytes) override { return begin(bytes) && !later(bytes); }
  Pull handshake() override;
  void handshake_over() override;
  void count_lost_handshake() override;
  Error session_error(std::string_view text) const override;
  const ClientCertificate* client_certificate() const override;

  bool begin(std::span<const char> bytes);
  void wait_to_begin(std::span<const char> bytes);
  bool make_session();
  bool later(std::span<const char> bytes);
  Pull established();
  TlsFailure why_failed() const;
  void fail_handshake(TlsFailure failure, std::string_view text);
  void not_waiting();
  void wait_anew();
  void time_is_over();

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

  std::shared_ptr<const TlsContext> context_;  // null before the first byte
  TlsSession session_;
  std::unique_ptr<Handshake> handshake_;               // null once it is over
  mutable std::unique_ptr<ClientCertificate> client_;  // when it was asked for
};

// What OpenSSL holds for it is thirty times as much.
static_assert(sizeof(TlsServerTransport) <= 464);

}  // namespace penstock::net
