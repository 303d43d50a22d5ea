// Session tickets: our own keys instead of OpenSSL's, which every SSL_CTX would make for itself, so that all
// workers, reloads and (with a key file) machines understand each other's tickets.
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <time.h>

#include <cstring>

#include "net/tls_context.h"

namespace penstock::net {
namespace {

constexpr int iv_bytes = 16;

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
  const auto& session = *static_cast<const TlsSession*>(SSL_get_app_data(ssl));
  if (session.tickets == nullptr) return 0;
  if (encrypt != 0) {
    const TicketKey& key = session.tickets->encrypting();
    if (RAND_bytes(iv, iv_bytes) != 1) return -1;
    std::memcpy(name, key.name.data(), key.name.size());
    const bool good = EVP_EncryptInit_ex2(cipher, EVP_aes_256_cbc(), key.cipher.data(), iv, nullptr) == 1 &&
                      set_mac(mac, key);
    return good ? 1 : -1;
  }
  const TicketKey* key = session.tickets->find(name);
  if (key == nullptr) return 0;
  if (EVP_DecryptInit_ex2(cipher, EVP_aes_256_cbc(), key->cipher.data(), iv, nullptr) != 1 ||
      !set_mac(mac, *key))
    return -1;
  return key == &session.tickets->encrypting() ? 1 : 2;
}

// May this session go on in this handshake? It may not under another name (RFC 6066 3; OpenSSL leaves that
// open), nor for a client whose certificate has expired since.
bool still_good(SSL* ssl, SSL_SESSION* resumed) {
  const auto& session = *static_cast<const TlsSession*>(SSL_get_app_data(ssl));
  const char* was = SSL_SESSION_get0_hostname(resumed);
  if (normal_server_name(was ? was : "") != session.sent_name) return false;
  X509* client = SSL_SESSION_get0_peer(resumed);
  return client == nullptr || X509_cmp_current_time(X509_get0_notAfter(client)) > 0;
}

SSL_TICKET_RETURN on_ticket(SSL* ssl, SSL_SESSION* resumed, const unsigned char*, size_t,
                            SSL_TICKET_STATUS status, void*) {
  switch (status) {
    case SSL_TICKET_SUCCESS:
      return still_good(ssl, resumed) ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_IGNORE_RENEW;
    case SSL_TICKET_SUCCESS_RENEW:
      return still_good(ssl, resumed) ? SSL_TICKET_RETURN_USE_RENEW : SSL_TICKET_RETURN_IGNORE_RENEW;
    default: return SSL_TICKET_RETURN_IGNORE_RENEW;
  }
}

}  // namespace

void set_ticket_callbacks(SSL_CTX* context) {
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket_key);
  SSL_CTX_set_session_ticket_cb(context, nullptr, on_ticket, nullptr);
}

}  // namespace penstock::net
