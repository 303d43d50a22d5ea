// Session tickets: our own keys instead of OpenSSL's, which every SSL_CTX would make for itself, so that all
// workers, reloads and (with a key file) machines understand each other's tickets. A ticket says where its
// session comes from: when the full handshake was, under which name, and until when what it verified holds.
// Tickets that a resumption hands out anew carry that on, so none makes a session younger than it is.
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <span>

#include "net/digest.h"
#include "net/tls_context.h"

namespace penstock::net {
namespace {

constexpr int iv_bytes = 16;

TlsSession& session_of(const SSL* ssl) { return *static_cast<TlsSession*>(SSL_get_app_data(ssl)); }

// Found once: EVP_aes_256_cbc() would be looked up for each ticket, under OpenSSL's locks.
const EVP_CIPHER* ticket_cipher() {
  static EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-256-CBC", nullptr);
  return cipher;
}

bool set_mac(EVP_MAC_CTX* mac, const TicketKey& key) {
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, const_cast<uint8_t*>(key.mac.data()),
                                        key.mac.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
  return EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

// 1: go on; 2: go on, and the client gets a newer ticket; 0: no ticket; -1: the handshake fails.
int on_ticket_key(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                  int encrypt) {
  const TlsSession& session = session_of(ssl);
  if (session.tickets == nullptr) return 0;
  if (encrypt != 0) {
    const TicketKey& key = session.tickets->encrypting();
    if (RAND_bytes(iv, iv_bytes) != 1) return -1;
    std::memcpy(name, key.name.data(), key.name.size());
    const bool good = EVP_EncryptInit_ex2(cipher, ticket_cipher(), key.cipher.data(), iv, nullptr) == 1 &&
                      set_mac(mac, key);
    return good ? 1 : -1;
  }
  const TicketKey* key = session.tickets->find(name);
  if (key == nullptr) return 0;
  if (EVP_DecryptInit_ex2(cipher, ticket_cipher(), key->cipher.data(), iv, nullptr) != 1 ||
      !set_mac(mac, *key))
    return -1;
  return key == &session.tickets->encrypting() ? 1 : 2;
}

// --- where a session comes from ---

struct Origin {
  int64_t began_s;                    // the full handshake; Unix seconds, as below
  int64_t until_s;                    // from then on its client certificate would not be verified any more
  std::array<uint8_t, 32> name;       // digest of the server name; the listener is the session id context's
  static constexpr uint8_t form = 1;  // machines of a fleet may be of different versions
  static constexpr size_t size = 1 + 8 + 8 + 32;
};

void put(uint8_t* out, int64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8)
    *out++ = static_cast<uint8_t>(static_cast<uint64_t>(value) >> shift);
}

int64_t get(const uint8_t* in) {
  uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | in[i];
  return static_cast<int64_t>(value);
}

bool write_origin(SSL_SESSION* session, const Origin& origin) {
  std::array<uint8_t, Origin::size> bytes;
  bytes[0] = Origin::form;
  put(&bytes[1], origin.began_s);
  put(&bytes[9], origin.until_s);
  std::ranges::copy(origin.name, &bytes[17]);
  return SSL_SESSION_set1_ticket_appdata(session, bytes.data(), bytes.size()) == 1;
}

std::optional<Origin> read_origin(SSL_SESSION* session) {
  void* data = nullptr;
  size_t size = 0;
  if (SSL_SESSION_get0_ticket_appdata(session, &data, &size) != 1 || size != Origin::size)
    return std::nullopt;
  const auto* bytes = static_cast<const uint8_t*>(data);
  if (bytes[0] != Origin::form) return std::nullopt;
  Origin origin{get(&bytes[1]), get(&bytes[9]), {}};
  std::copy_n(&bytes[17], origin.name.size(), origin.name.begin());
  return origin;
}

// All that time alone can take back of what was verified: each certificate of the chain, and the CRLs, of
// which the one that ends first counts, whether it was asked or not. What a changed file takes back, the
// session id context does.
int64_t verified_until(const SSL* ssl, const ClientTrust* trust) {
  int64_t until = std::numeric_limits<int64_t>::max();
  if (!trust || !SSL_get0_peer_certificate(ssl)) return until;
  const STACK_OF(X509)* chain = SSL_get0_verified_chain(ssl);
  if (!chain) return 0;
  for (int i = 0; i < sk_X509_num(chain); ++i)
    until = std::min(until, unix_seconds(X509_get0_notAfter(sk_X509_value(chain, i))));
  return trust->crl_until == 0 ? until : std::min(until, trust->crl_until);
}

// The client is told no longer life than the session has: in TLS 1.3, where each ticket counts from now on.
void shorten(SSL* ssl, SSL_SESSION* ticket, const Origin& origin, int64_t now) {
  if (SSL_version(ssl) < TLS1_3_VERSION) return;
  const TlsSettings& settings = session_of(ssl).context->settings();
  const int64_t end = std::min(origin.began_s + int64_t{settings.ticket_max_age_s}, origin.until_s);
  const int64_t left = std::clamp<int64_t>(end - now, 0, settings.ticket_lifetime_s);
  SSL_SESSION_set_timeout(ticket, static_cast<long>(left));
}

int on_new_ticket(SSL* ssl, void*) {
  const TlsSession& session = session_of(ssl);
  SSL_SESSION* ticket = SSL_get_session(ssl);
  const int64_t now = session.clock();
  std::optional<Origin> origin;
  if (SSL_session_reused(ssl) == 1) {
    origin = read_origin(ticket);  // it keeps what its full handshake wrote
    if (!origin) return 0;
  } else {
    origin = Origin{now, verified_until(ssl, session.context->trust()), sha256(session.sent_name)};
    if (!write_origin(ticket, *origin)) return 0;
  }
  shorten(ssl, ticket, *origin, now);
  return 1;
}

// --- may it go on ---

// A resumption grants nothing that a full handshake of this moment would refuse.
TicketRefusal judge(const TlsSession& session, SSL_SESSION* resumed) {
  unsigned int size = 0;
  const unsigned char* rules = SSL_SESSION_get0_id_context(resumed, &size);
  if (!std::ranges::equal(std::span(rules, size), session.context->rules())) return TicketRefusal::rules;
  const auto origin = read_origin(resumed);
  if (!origin) return TicketRefusal::rules;
  // RFC 6066 3: not under another name. OpenSSL leaves that open.
  if (origin->name != sha256(session.sent_name)) return TicketRefusal::name;
  const TlsSettings& settings = session.context->settings();
  const int64_t now = session.clock();
  if (now - origin->began_s >= int64_t{settings.ticket_max_age_s}) return TicketRefusal::age;
  const bool must_have = settings.client_auth == ClientAuth::required;
  if (now >= origin->until_s || (must_have && !SSL_SESSION_get0_peer(resumed)))
    return TicketRefusal::client_certificate;
  return TicketRefusal::none;
}

SSL_TICKET_RETURN on_ticket(SSL* ssl, SSL_SESSION* resumed, const unsigned char*, size_t,
                            SSL_TICKET_STATUS status, void*) {
  TlsSession& session = session_of(ssl);
  if (status == SSL_TICKET_NO_DECRYPT) session.refused_ticket = TicketRefusal::unknown_key;
  if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
    return SSL_TICKET_RETURN_IGNORE_RENEW;
  session.refused_ticket = judge(session, resumed);
  if (session.refused_ticket != TicketRefusal::none) return SSL_TICKET_RETURN_IGNORE_RENEW;
  // A client of TLS 1.3 shows a ticket once (RFC 8446 C.4), so each resumption brings it the next.
  const bool renew = status == SSL_TICKET_SUCCESS_RENEW || SSL_version(ssl) >= TLS1_3_VERSION;
  return renew ? SSL_TICKET_RETURN_USE_RENEW : SSL_TICKET_RETURN_USE;
}

}  // namespace

void set_ticket_callbacks(SSL_CTX* context) {
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket_key);
  SSL_CTX_set_session_ticket_cb(context, on_new_ticket, on_ticket, nullptr);
}

}  // namespace penstock::net
