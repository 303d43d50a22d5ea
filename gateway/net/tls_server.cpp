#include "net/tls_server.h"

#include "net/tls_transport.h"

namespace penstock::net {

std::string_view name(TlsFailure failure) {
  switch (failure) {
    case TlsFailure::timeout: return "timeout";
    case TlsFailure::client_left: return "client_left";
    case TlsFailure::plain_text: return "plain_text";
    case TlsFailure::version: return "version";
    case TlsFailure::parameters: return "parameters";
    case TlsFailure::protocols: return "protocols";
    case TlsFailure::unknown_name: return "unknown_name";
    case TlsFailure::client_certificate: return "client_certificate";
    case TlsFailure::client_alert: return "client_alert";
    case TlsFailure::evicted: return "evicted";
    case TlsFailure::refused: return "refused";
    case TlsFailure::protocol:
    case TlsFailure::count_: break;
  }
  return "protocol";
}

void TlsCounters::merge(const TlsCounters& other) {
  for (size_t i = 0; i < handshakes.size(); ++i) handshakes[i] += other.handshakes[i];
  for (size_t i = 0; i < failures.size(); ++i) failures[i] += other.failures[i];
}

TlsServer::TlsServer(Loop& loop, Settings settings)
    : loop_(loop), settings_(settings), waiting_(std::make_unique<Waiting>()) {}

TlsServer::~TlsServer() = default;

void TlsServer::serve(std::shared_ptr<const TlsServerContext> context,
                      std::shared_ptr<const TicketKeys> tickets) {
  context_ = std::move(context);
  tickets_ = std::move(tickets);
}

std::unique_ptr<Transport> TlsServer::accept(int fd, const Address& peer, TlsHandshakeHandler& handler) {
  return std::make_unique<TlsTransport>(*this, fd, peer, handler);
}

bool TlsServer::give_up_oldest() {
  WaitingHandshake* oldest = waiting_->list.front();
  if (!oldest) return false;
  counters.count(TlsFailure::evicted);
  oldest->transport.give_up();
  return true;
}

}  // namespace penstock::net
