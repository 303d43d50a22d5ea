#include "net/tls_client_transport.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/reason.h"
#include "net/tls_hello.h"
#include "net/tls_server.h"

namespace penstock::net {
namespace {

// The server asks for a renegotiation (RFC 5246 7.4.1.1): OpenSSL declines with a warning and goes on, and it
// could ask for ever.
void note_renegotiation(const SSL* ssl, int where, int alert) {
  if ((where & SSL_CB_WRITE_ALERT) != SSL_CB_WRITE_ALERT || (alert & 0xff) != SSL_AD_NO_RENEGOTIATION) return;
  static_cast<TlsClientTransport*>(SSL_get_app_data(ssl))->misuse("the backend asked to renegotiate");
}

void note_key_update(const SSL* ssl, int where, int) {
  if (where == SSL_CB_CONNECT_LOOP && SSL_get_state(ssl) == TLS_ST_CR_KEY_UPDATE)
    static_cast<TlsClientTransport*>(SSL_get_app_data(ssl))
        ->count_costly_message("the backend changes its keys too often");
}

// RFC 8446 6.2.
std::string_view alert_text(int alert) {
  switch (alert) {
    case SSL_AD_HANDSHAKE_FAILURE: return "the backend has no TLS suite or group in common with us";
    case SSL_AD_PROTOCOL_VERSION: return "the backend has no TLS version in common with us";
    case SSL_AD_UNRECOGNIZED_NAME: return "the backend does not know the server name";
    case TLS13_AD_CERTIFICATE_REQUIRED: return "the backend asks for a client certificate";
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
    case SSL_AD_ACCESS_DENIED: return "the backend does not accept our client certificate";
    default: return "the backend ended the TLS session by an alert";
  }
}

std::string_view certificate_text(long verified) {
  switch (verified) {
    case X509_V_ERR_INVALID_PURPOSE: return "the backend's certificate is not one for servers";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT: return "the backend's certificate is self-signed";
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      return "the backend's certificate is of no authority that is trusted";
    default: return X509_verify_cert_error_string(verified);
  }
}

// When what the handshake verified ends to hold; at the latest when the session is too old.
int64_t verified_until(const SSL* ssl, int64_t now) {
  int64_t until = now + TlsPeer::max_age_s;
  const STACK_OF(X509)* chain = SSL_get0_verified_chain(ssl);
  if (!chain) return 0;
  for (int i = 0; i < sk_X509_num(chain); ++i)
    until = std::min(until, unix_seconds(X509_get0_notAfter(sk_X509_value(chain, i))));
  return until;
}

}  // namespace

TlsClientTransport::TlsClientTransport(Loop& loop, std::unique_ptr<Transport> connected,
                                       std::shared_ptr<const TlsClientContext> context, TlsPeer& peer,
                                       TlsClientStart& start)
    : TlsTransport(loop, connected->peer()),
      context_(std::move(context)),
      server_(peer),
      start_(&start),
      reason_(reason::upstream_tls_handshake) {
  local_ = std::make_unique<Address>(connected->local());
  own(take_socket(*connected));
}

TlsClientTransport::~TlsClientTransport() { ssl_.reset(); }

void TlsClientTransport::begin() {
  if (may_go_on({})) process({});
}

bool TlsClientTransport::make_session() {
  SSL* session = SSL_new(context_->raw());
  if (!session) {
    fail_later("OpenSSL has no memory for a session");
    return false;
  }
  take_session(session);
  SSL_set_app_data(session, this);
  SSL_set_connect_state(session);
  const std::string& ours = context_->settings().server_name;
  expected_ = normal_server_name(ours.empty() ? server_.host() : ours);
  naming_ = server_.naming();
  if (!expect_name(expected_)) {
    fail_later("no name that the backend could show");
    return false;
  }
  use_known_session();
  return true;
}

// RFC 6066 3: an address is no server name. RFC 9525 6.2 and 6.3: subjectAltNames alone, and a wildcard
// stands for a whole label. Without a name nothing would be checked, and for one that begins with a dot
// OpenSSL takes any name below it.
bool TlsClientTransport::expect_name(const std::string& name) {
  X509_VERIFY_PARAM* rules = SSL_get0_param(ssl_.get());
  if (name.empty() || name.front() == '.') return false;
  if (Address::from_ip(name, 0)) return X509_VERIFY_PARAM_set1_ip_asc(rules, name.c_str()) == 1;
  X509_VERIFY_PARAM_set_hostflags(rules,
                                  X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  return X509_VERIFY_PARAM_set1_host(rules, name.data(), name.size()) == 1 &&
         SSL_set_tlsext_host_name(ssl_.get(), name.c_str()) == 1;
}

void TlsClientTransport::use_known_session() {
  const TlsPeer::Session known = server_.take(context_, wall_clock_s());
  if (!known.session) return;
  if (SSL_set_session(ssl_.get(), known.session) == 1) until_s_ = known.until_s;
  SSL_SESSION_free(known.session);
}

TlsTransport::Pull TlsClientTransport::handshake() {
  ERR_clear_error();
  const uint64_t began_ns = loop_.now_ns();
  if (!ssl_ && !make_session()) return Pull::failed;
  const int result = SSL_do_handshake(ssl_.get());
  loop_.worked(loop_.now_ns() - began_ns);
  if (result == 1) return established();
  if (SSL_get_error(ssl_.get(), result) == SSL_ERROR_WANT_READ) return Pull::wants_input;
  // The server may be at odds with what it went on from.
  if (until_s_ > 0) server_.forget();
  const Failure failure = why_failed();
  reason_ = failure.reason;
  fail_later(failure.text);
  return Pull::failed;
}

TlsTransport::Pull TlsClientTransport::established() {
  open(SSL_version(ssl_.get()) >= TLS1_3_VERSION ? note_key_update : note_renegotiation);
  info_.server_name = expected_;
  TlsClientStart& start = *start_;
  handshake_over();
  Socket* socket = socket_;  // outlives this object in this frame
  const SocketOwner* self = this;
  // By itself, so that nothing of it counts as a byte of the first request.
  socket->flush();
  start.on_established();
  return left(socket, self) ? Pull::gone : Pull::established;
}

void TlsClientTransport::handshake_over() { start_ = nullptr; }

TlsClientTransport::Failure TlsClientTransport::why_failed() const {
  const long verified = SSL_get_verify_result(ssl_.get());
  switch (verified) {
    case X509_V_OK: break;
    case X509_V_ERR_HOSTNAME_MISMATCH:
      return {reason::upstream_tls_name, "the backend's certificate is for other names"};
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return {reason::upstream_tls_name, "the backend's certificate is not for its IP address"};
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return {reason::upstream_tls_expired, "the backend's certificate has expired"};
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return {reason::upstream_tls_expired, "the backend's certificate is not valid yet"};
    default: return {reason::upstream_tls_certificate, certificate_text(verified)};
  }
  const unsigned long code = ERR_peek_error();
  if (const int alert = alert_of(code); alert == SSL_AD_NO_APPLICATION_PROTOCOL)
    return {reason::upstream_tls_protocol, "the backend speaks none of our protocols (ALPN)"};
  else if (alert > 0)
    return {reason::upstream_tls_refused, alert_text(alert)};
  switch (ERR_GET_REASON(code)) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST: return {reason::upstream_tls_handshake, "the backend does not speak TLS"};
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW: return {reason::upstream_tls_handshake, alert_text(SSL_AD_PROTOCOL_VERSION)};
    default: return {reason::upstream_tls_handshake, "the TLS handshake failed"};
  }
}

Error TlsClientTransport::session_error(std::string_view text) const {
  Error error{.kind = ErrorKind::tls,
              .source = ErrorSource::upstream,
              .retry = Retry::no,
              .reason = reason::upstream_reset,
              .text = text};
  if (state_ == State::handshake) {
    error.retry = Retry::yes;
    error.reason = reason_;
  } else if (const int alert = alert_of(ERR_peek_error()); alert > 0) {
    // In TLS 1.3 a server judges our certificate when the handshake is over for us.
    error.reason = reason::upstream_tls_refused;
    error.text = alert_text(alert);
  }
  return error;
}

// --- sessions ---

int TlsClientTransport::on_new_session(SSL* ssl, SSL_SESSION* session) {
  static_cast<TlsClientTransport*>(SSL_get_app_data(ssl))->keep(session);
  return 1;  // it is ours now
}

void TlsClientTransport::keep(SSL_SESSION* session) {
  if (state_ == State::open) count_costly_message("the backend renews its tickets too often");
  const unsigned char* ticket = nullptr;
  size_t size = 0;
  SSL_SESSION_get0_ticket(session, &ticket, &size);
  const bool resumed = SSL_session_reused(ssl_.get()) == 1;
  const int64_t until = resumed ? until_s_ : verified_until(ssl_.get(), wall_clock_s());
  if (SSL_SESSION_is_resumable(session) == 1 && size <= TlsPeer::max_ticket)
    server_.keep(*context_, naming_, {session, until});
  else
    SSL_SESSION_free(session);
}

void TlsPeer::set_host(std::string host) {
  if (host == host_) return;
  host_ = std::move(host);
  ++naming_;
  forget();
}

// RFC 8446 C.4: a ticket of TLS 1.3 is shown once, or whoever watches would know the two connections for one
// client's. A session of TLS 1.2 has no such use: it stays.
TlsPeer::Session TlsPeer::take(const std::shared_ptr<const TlsClientContext>& context, int64_t now_s) {
  if (context_ != context) {
    forget();
    context_ = context;
  }
  while (!kept_.empty() && kept_.back().until_s <= now_s) {
    SSL_SESSION_free(kept_.back().session);
    kept_.pop_back();
  }
  if (kept_.empty()) return {};
  const Session newest = kept_.back();
  if (SSL_SESSION_get_protocol_version(newest.session) >= TLS1_3_VERSION)
    kept_.pop_back();
  else
    SSL_SESSION_up_ref(newest.session);
  return newest;
}

void TlsPeer::keep(const TlsClientContext& context, uint32_t naming, Session session) {
  if (context_.get() != &context || naming_ != naming) return SSL_SESSION_free(session.session);
  const bool used_often = SSL_SESSION_get_protocol_version(session.session) < TLS1_3_VERSION;
  if (used_often || kept_.size() >= max_sessions) {
    const auto gone = used_often ? kept_.end() : kept_.begin() + 1;
    std::for_each(kept_.begin(), gone, [](const Session& old) { SSL_SESSION_free(old.session); });
    kept_.erase(kept_.begin(), gone);
  }
  kept_.push_back(session);
}

void TlsPeer::forget() {
  for (const Session& one : kept_) SSL_SESSION_free(one.session);
  kept_.clear();
}

}  // namespace penstock::net
