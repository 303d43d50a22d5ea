// The handshake of a TlsServerTransport: from the first byte to the first that the handler may read, or to
// the reason why not.
#include <openssl/err.h>

#include <algorithm>
#include <utility>

#include "base/reason.h"
#include "net/tls_server_transport.h"

namespace penstock::net {
namespace {

// What is kept of a client that has to wait: a ClientHello is shorter, also with keys for after quantum
// computers.
constexpr size_t max_first_bytes = 8 * 1024;

// Of a server in a hurry, for what lies in the kernel already.
constexpr uint64_t read_first_ms = 10;

// What the client says before us: RFC 8446 4 has no such message after the handshake, RFC 5246 7.2.2 lets us
// decline. OpenSSL answers with a warning and goes on; a client could ask for ever, so this is the end.
void note_renegotiation(const SSL* ssl, int where, int alert) {
  if ((where & SSL_CB_WRITE_ALERT) != SSL_CB_WRITE_ALERT || (alert & 0xff) != SSL_AD_NO_RENEGOTIATION) return;
  static_cast<TlsSession*>(SSL_get_app_data(ssl))->transport->misuse("the peer asked to renegotiate");
}

// It has read one (RFC 8446 4.6.3) and goes on from there.
void note_key_update(const SSL* ssl, int where, int) {
  if (where == SSL_CB_ACCEPT_LOOP && SSL_get_state(ssl) == TLS_ST_SR_KEY_UPDATE)
    static_cast<TlsSession*>(SSL_get_app_data(ssl))
        ->transport->count_costly_message("the peer changes its keys too often");
}

TlsFailure failure_of(unsigned long code) {
  const int reason = ERR_GET_REASON(code);
  switch (reason) {
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
    case SSL_R_INAPPROPRIATE_FALLBACK: return TlsFailure::version;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SHARED_GROUPS:
    case SSL_R_NO_SUITABLE_GROUPS:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS: return TlsFailure::parameters;
    case SSL_R_NO_APPLICATION_PROTOCOL: return TlsFailure::protocols;
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    case SSL_R_CERTIFICATE_VERIFY_FAILED: return TlsFailure::client_certificate;
    default: break;
  }
  return alert_of(code) > 0 ? TlsFailure::client_alert : TlsFailure::protocol;
}

// OpenSSL's texts for these say neither whose certificate it is nor what that means for it.
std::string_view certificate_problem(long verified) {
  switch (verified) {
    case X509_V_ERR_CERT_REVOKED: return "the client's certificate is revoked";
    case X509_V_ERR_CERT_HAS_EXPIRED: return "the client's certificate has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID: return "the client's certificate is not valid yet";
    case X509_V_ERR_CRL_HAS_EXPIRED: return "the CRL has expired: no client certificate is accepted";
    case X509_V_ERR_UNABLE_TO_GET_CRL: return "no CRL of the issuer of the client's certificate";
    case X509_V_ERR_INVALID_PURPOSE: return "the client's certificate is not one for clients";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      return "the client's certificate is of no authority that is trusted";
    default: return X509_verify_cert_error_string(verified);
  }
}

// One line for the operator; static text.
std::string_view text_of(TlsFailure failure, long verified) {
  switch (failure) {
    case TlsFailure::version: return "no TLS version in common";
    case TlsFailure::parameters: return "no cipher suite, group or signature algorithm in common";
    case TlsFailure::protocols: return "no ALPN protocol in common";
    case TlsFailure::unknown_name: return "no certificate for the name that the client asks for";
    case TlsFailure::client_certificate:
      return verified == X509_V_OK ? "the client shows no certificate" : certificate_problem(verified);
    case TlsFailure::client_alert: return "the client refused what it saw";
    default: return "the TLS handshake failed";
  }
}

}  // namespace

TlsServerTransport::TlsServerTransport(TlsServer& server, int fd, const Address& peer,
                                       TlsHandshakeHandler& handshake, uint64_t quiet_ms)
    : TlsTransport(server.loop_, peer),
      handshake_(new Handshake{
          .server = server,
          .handler = handshake,
          .tickets = nullptr,
          .number = server.waiting_->next_number++,
          .waits_since_ms = server.loop_.now_ms() - std::min(server.loop_.now_ms(), quiet_ms),
          .until_ms = server.loop_.now_ms() + server.settings_.handshake_timeout_ms,
          .timer = Timer(
              server.loop_, [](void* self) { static_cast<TlsServerTransport*>(self)->time_is_over(); },
              this)}) {
  own(*Socket::adopt(server.loop_, fd, ErrorSource::downstream, *this));
  session_.transport = this;
  if (server.settings_.handshake_timeout_ms > 0)
    handshake_->timer.start(server.settings_.handshake_timeout_ms);
  else
    handshake_->until_ms = UINT64_MAX;
  hurry();
  server.waiting_->silent.by_number.emplace(handshake_->number, this);
  sync_reading();
}

// False: the handshake has failed, or waits.
bool TlsServerTransport::begin(std::span<const char> bytes) {
  if (ssl_) return true;
  // A record begins with its type, 22 here; a request line with a letter.
  if (bytes[0] >= 'A' && bytes[0] <= 'Z') {
    socket_->append(handshake_->server.settings_.plain_answer);
    fail_handshake(TlsFailure::plain_text, "plain HTTP on a TLS port");
    return false;
  }
  if (handshake_->handler.may_begin()) return make_session();
  wait_to_begin(bytes);
  return false;
}

// There may be as many as max_connections of these, so they hold little.
void TlsServerTransport::wait_to_begin(std::span<const char> bytes) {
  if (bytes.size() > max_first_bytes) {
    lingers_ = false;
    return fail_handshake(TlsFailure::refused, "too many TLS handshakes at once");
  }
  wait_with(bytes);
  not_waiting();
  hurry();
  handshake_->server.waiting_->asking.by_number.emplace(handshake_->number, this);
  Timer& look = handshake_->server.waiting_->next_look;
  if (!look.running()) look.start(TlsServer::Waiting::look_again_ms);
}

bool TlsServerTransport::begin_late() {
  if (!handshake_->handler.may_begin()) return false;
  stop_waiting();
  const std::vector<char> bytes = take_held();
  if (make_session() && !later(bytes)) process(bytes);
  return true;
}

// With what the server has now: rules that came since the accept hold for this handshake, too.
bool TlsServerTransport::make_session() {
  context_ = std::static_pointer_cast<const TlsContext>(handshake_->server.context_);
  handshake_->tickets = handshake_->server.tickets_;
  session_.tickets = handshake_->tickets.get();
  session_.context = context_.get();
  session_.clock = handshake_->server.settings_.clock;
  SSL* session = SSL_new(context_->first());
  if (!session) {
    fail_handshake(TlsFailure::protocol, "OpenSSL has no memory for a session");
    return false;
  }
  take_session(session);
  wait_anew();
  SSL_set_app_data(ssl_.get(), &session_);
  SSL_set_accept_state(ssl_.get());
  X509_VERIFY_PARAM_set_time(SSL_get0_param(ssl_.get()), static_cast<time_t>(session_.clock()));
  ++handshake_->server.begun_;
  return true;
}

// True: the bytes wait for a later turn, and the client waits for us.
bool TlsServerTransport::later(std::span<const char> bytes) {
  if (may_go_on(bytes)) return false;
  not_waiting();
  return true;
}

TlsServerTransport::Pull TlsServerTransport::handshake() {
  ERR_clear_error();
  const uint64_t began_ns = loop_.now_ns();
  const int result = SSL_do_handshake(ssl_.get());
  loop_.worked(loop_.now_ns() - began_ns);
  if (result == 1) return established();
  if (SSL_get_error(ssl_.get(), result) == SSL_ERROR_WANT_READ) {
    // A client has its time from our answer on, not from when we were busy with it.
    const int before = std::exchange(handshake_->waits_in, static_cast<int>(SSL_get_state(ssl_.get())));
    if (handshake_->waits_in != before) wait_anew();
    handshake_->server.waiting_->begun.by_number.emplace(handshake_->number, this);
    return Pull::wants_input;
  }
  const TlsFailure failure = why_failed();
  fail_handshake(failure, text_of(failure, SSL_get_verify_result(ssl_.get())));
  return Pull::failed;
}

TlsServerTransport::Pull TlsServerTransport::established() {
  const bool new_version = SSL_version(ssl_.get()) >= TLS1_3_VERSION;
  open(new_version ? note_key_update : note_renegotiation);
  info_.client = this;
  info_.server_name = session_.sent_name;
  const int kind = new_version ? TlsCounters::full_1_3 : TlsCounters::full_1_2;
  ++handshake_->server.counters.handshakes[static_cast<size_t>(kind + (info_.resumed ? 1 : 0))];
  if (!info_.resumed && session_.refused_ticket != TicketRefusal::none)
    ++handshake_->server.counters.refused_tickets[static_cast<size_t>(session_.refused_ticket)];
  TlsHandshakeHandler& handler = handshake_->handler;
  handshake_over();
  Socket* socket = socket_;  // outlives this object in this frame
  const SocketOwner* self = this;
  encrypt();
  socket->flush();
  handler.on_handshake();
  return left(socket, self) ? Pull::gone : Pull::established;
}

TlsFailure TlsServerTransport::why_failed() const {
  if (session_.refused_name) return TlsFailure::unknown_name;
  if (SSL_get_verify_result(ssl_.get()) != X509_V_OK) return TlsFailure::client_certificate;
  return failure_of(ERR_peek_error());
}

void TlsServerTransport::not_waiting() {
  if (!handshake_) return;
  for (auto* list : {&handshake_->server.waiting_->silent, &handshake_->server.waiting_->begun,
                     &handshake_->server.waiting_->asking})
    list->by_number.erase(handshake_->number);
}

void TlsServerTransport::wait_anew() {
  not_waiting();
  handshake_->number = handshake_->server.waiting_->next_number++;
  handshake_->waits_since_ms = loop_.now_ms();
  handshake_->spared.wait_anew();
  hurry();
}

void TlsServerTransport::hurry() {
  if (!handshake_->server.hurry_) return;
  const uint64_t now = loop_.now_ms();
  const bool silent = !ssl_ && !waits();
  const uint64_t until = std::min(handshake_->until_ms,
                                  silent ? handshake_->waits_since_ms + handshake_->server.hurry_->silent_ms
                                         : now + handshake_->server.hurry_->begun_ms);
  handshake_->timer.start(until > now ? until - now : 0);
}

void TlsServerTransport::time_is_over() {
  if (loop_.now_ms() >= handshake_->until_ms)
    return fail_handshake(TlsFailure::timeout, "the TLS handshake took too long");
  // Timers run before what has come is read.
  if (handshake_->spared.keeps({loop_.polls(), loop_.now_ms()}, [&] { return socket_->input_waits(); }))
    return handshake_->timer.start(read_first_ms);
  handshake_->server.counters.count(TlsFailure::timeout);
  lingers_ = false;
  fail_later("the TLS handshake was not over when its listener closed");
}

void TlsServerTransport::handshake_over() {
  if (!handshake_) return;
  not_waiting();
  if (ssl_) --handshake_->server.begun_;
  session_.tickets = nullptr;
  handshake_.reset();
}

void TlsServerTransport::fail_handshake(TlsFailure failure, std::string_view text) {
  if (handshake_) handshake_->server.counters.count(failure);
  fail_later(text);
  if (failure == TlsFailure::timeout && error_) error_->limit = Limit::handshake_timeout;
}

bool TlsServer::Waiting::List::give_up_first(uint64_t by_ms, Waiting& of) {
  for (size_t asks = std::min(most_asks, by_number.size()); asks > 0; --asks) {
    TlsServerTransport& first = *by_number.begin()->second;
    if (first.waits_since_ms() > by_ms) return false;
    if (!first.spare()) return first.give_up(), true;
    by_number.erase(by_number.begin());
    by_number.emplace(of.next_number - 1, &first);
  }
  return false;
}

uint64_t TlsServer::Waiting::List::first_since_ms() const {
  return by_number.empty() ? UINT64_MAX : by_number.begin()->second->waits_since_ms();
}

bool TlsServerTransport::spare() {
  if (!handshake_->spared.keeps({loop_.polls(), loop_.now_ms()}, [&] { return socket_->input_waits(); }))
    return false;
  handshake_->number = handshake_->server.waiting_->next_number++;
  return true;
}

void TlsServerTransport::give_up() {
  handshake_->server.counters.count(TlsFailure::evicted);
  lingers_ = false;
  fail_later("too many TLS handshakes at once");
}

void TlsServerTransport::count_lost_handshake() {
  if (handshake_) handshake_->server.counters.count(TlsFailure::client_left);
}

Error TlsServerTransport::session_error(std::string_view text) const {
  return {.kind = ErrorKind::tls,
          .source = ErrorSource::downstream,
          .retry = Retry::no,
          .reason = reason::client_closed,
          .text = text};
}

// With SSL_VERIFY_PEER a certificate that is not verified ends the handshake, so any that is there was.
const ClientCertificate* TlsServerTransport::client_certificate() const {
  if (client_) return client_.get();
  X509* certificate = ssl_ ? SSL_get0_peer_certificate(ssl_.get()) : nullptr;
  if (!certificate || SSL_get_verify_result(ssl_.get()) != X509_V_OK) return nullptr;
  client_ = std::make_unique<ClientCertificate>(describe(certificate));
  return client_.get();
}

}  // namespace penstock::net
