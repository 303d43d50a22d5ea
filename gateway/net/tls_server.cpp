#include "net/tls_server.h"

#include <time.h>

#include "net/tls_server_transport.h"

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

std::string_view name(TicketRefusal refusal) {
  switch (refusal) {
    case TicketRefusal::none: return "none";
    case TicketRefusal::unknown_key: return "unknown_key";
    case TicketRefusal::name: return "name";
    case TicketRefusal::age: return "age";
    case TicketRefusal::client_certificate: return "client_certificate";
    case TicketRefusal::rules:
    case TicketRefusal::count_: break;
  }
  return "rules";
}

int64_t wall_clock_s() { return static_cast<int64_t>(::time(nullptr)); }

void TlsCounters::merge(const TlsCounters& other) {
  for (size_t i = 0; i < handshakes.size(); ++i) handshakes[i] += other.handshakes[i];
  for (size_t i = 0; i < failures.size(); ++i) failures[i] += other.failures[i];
  for (size_t i = 0; i < refused_tickets.size(); ++i) refused_tickets[i] += other.refused_tickets[i];
}

TlsServer::TlsServer(Loop& loop, Settings settings)
    : loop_(loop), settings_(settings), waiting_(std::make_unique<Waiting>(*this)) {}

TlsServer::~TlsServer() = default;

void TlsServer::serve(std::shared_ptr<const TlsServerContext> context,
                      std::shared_ptr<const TicketKeys> tickets) {
  context_ = std::move(context);
  tickets_ = std::move(tickets);
}

std::unique_ptr<Transport> TlsServer::accept(int fd, const Address& peer, TlsHandshakeHandler& handler,
                                             uint64_t quiet_ms) {
  return std::make_unique<TlsServerTransport>(*this, fd, peer, handler, quiet_ms);
}

bool TlsServer::give_up_oldest(uint64_t silent_by_ms, uint64_t begun_by_ms) {
  return waiting_->silent.give_up_first(silent_by_ms, *waiting_) || give_up_begun(begun_by_ms);
}

uint64_t TlsServer::silent_since_ms() const { return waiting_->silent.first_since_ms(); }

uint64_t TlsServer::begun_since_ms() const { return waiting_->begun.first_since_ms(); }

bool TlsServer::give_up_begun(uint64_t by_ms) { return waiting_->begun.give_up_first(by_ms, *waiting_); }

void TlsServer::hurry(Hurry hurry) {
  hurry_ = hurry;
  for (auto* list : {&waiting_->silent, &waiting_->begun, &waiting_->asking})
    for (auto& [number, transport] : list->by_number) transport->hurry();
}

// The newest and the oldest in turn: when more ask than can ever begin, a part is served at once and not
// everybody too late; when there are not so many, nobody waits for ever.
void TlsServer::begin_waiting() {
  auto& asking = waiting_->asking.by_number;
  while (!asking.empty()) {
    TlsServerTransport* next = waiting_->newest_next ? asking.rbegin()->second : asking.begin()->second;
    if (!next->begin_late()) break;
    waiting_->newest_next = !waiting_->newest_next;
  }
  if (!asking.empty()) waiting_->next_look.start(Waiting::look_again_ms);
}

}  // namespace penstock::net
