// The OpenSSL side of a TLS listener: one SSL_CTX for each set of certificates that a name can get, built
// once and only read afterwards, so all workers share it. Handshakes start on the first; all have the same
// ticket callback and session id context, so a session resumes whatever its certificate was. Private to net/.
#pragma once
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "net/openssl_handles.h"
#include "net/tls_client_auth.h"
#include "net/tls_identity.h"
#include "net/tls_server.h"

namespace penstock::net {

class TlsContext;
class TlsTransport;

// What OpenSSL's callbacks find of the connection that they are about: SSL_get_app_data().
struct TlsSession {
  const TicketKeys* tickets = nullptr;
  const TlsContext* context = nullptr;
  TlsTransport* transport = nullptr;
  TlsClock clock = nullptr;
  std::string sent_name;  // of this ClientHello's SNI, in normal form; empty: none
  TicketRefusal refused_ticket = TicketRefusal::none;
  bool refused_name = false;
};

class TlsContext final : public TlsServerContext {
 public:
  explicit TlsContext(TlsSettings settings) : settings_(std::move(settings)) {}
  // Reads all files; what is wrong is taken from `before` where there is one. False: cannot be served.
  bool build(const TlsContext* before, std::vector<TlsProblem>& problems);

  std::shared_ptr<const TlsServerContext> reread(std::vector<TlsProblem>& problems) const override;
  const TlsSettings& settings() const override { return settings_; }
  const std::vector<CertificateFacts>& certificates() const override { return facts_; }
  size_t select(std::string_view server_name) const override;
  bool same_certificates(const TlsServerContext& other, std::string_view server_name) const override;
  const std::vector<WatchedFile>& files() const override { return files_; }
  const std::shared_ptr<const TicketKeys>& file_tickets() const override { return file_tickets_; }

  SSL_CTX* first() const { return sets_.front().context.get(); }
  const OcspStaple* staple_of(const X509* leaf) const;
  // Of sessions: this listener, with these rules for client certificates.
  const std::array<uint8_t, 32>& rules() const { return rules_; }
  const ClientTrust* trust() const { return trust_.get(); }  // null: no client certificates

 private:
  using Identity = std::shared_ptr<const TlsIdentity>;
  // Certificates of different kinds of key for one name; the client's signature algorithms choose.
  struct Set {
    std::vector<size_t> certificates;  // in the order of the settings
    SslContext context;
  };

  void note_files();
  Identity read_certificate(size_t index, const TlsContext* before, std::vector<TlsProblem>& problems);
  bool take_staple(size_t index, TlsIdentity& identity, const TlsContext* before,
                   std::vector<TlsProblem>& problems);
  bool read_trust(const TlsContext* before, std::vector<TlsProblem>& problems);
  bool read_tickets(const TlsContext* before, std::vector<TlsProblem>& problems);
  void index_names();
  size_t set_of(const std::vector<size_t>& candidates);
  bool make_contexts(std::vector<TlsProblem>& problems);
  SslContext make_context(const Set& set, std::vector<TlsProblem>& problems);
  bool check_fit(std::vector<TlsProblem>& problems) const;
  void warn_of_unused(std::vector<TlsProblem>& problems) const;
  void set_sessions(SSL_CTX* context) const;
  void set_client_auth(SSL_CTX* context) const;
  const Set* find(std::string_view server_name) const;

  static int on_client_hello(SSL* ssl, int* alert, void*);
  static int on_server_name(SSL* ssl, int* alert, void* self);
  static int on_alpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
                     unsigned int offered_size, void* self);
  static int on_status_request(SSL* ssl, void* self);

  TlsSettings settings_;
  std::string alpn_;  // wire format, in order of preference
  std::vector<WatchedFile> files_;
  std::vector<Identity> identities_;
  std::vector<CertificateFacts> facts_;
  std::shared_ptr<const ClientTrust> trust_;  // null: no client certificates
  std::shared_ptr<const TicketKeys> file_tickets_;
  std::array<uint8_t, 32> rules_{};
  std::vector<Set> sets_;  // the first is the default
  std::unordered_map<std::string, size_t> exact_;
  std::unordered_map<std::string, size_t> wildcard_;  // by what follows "*."
};

// Whether the lists of TlsSettings name what can be spoken and should be; false: problems say what cannot.
bool check_parameters(const TlsSettings& settings, std::vector<TlsProblem>& problems);
// Whether one of these TLS 1.2 suites can be spoken with a key of that type (EVP_PKEY_RSA, ...).
bool suites_fit(const std::vector<std::string>& ciphers, int key_type);
// Versions and lists of TlsSettings, checked before, on a context.
bool set_parameters(SSL_CTX* context, const TlsSettings& settings, std::vector<TlsProblem>& problems);

// The callbacks of session tickets (tls_resumption.cpp): keys from TlsSession::tickets.
void set_ticket_callbacks(SSL_CTX* context);

}  // namespace penstock::net
