// The OpenSSL side of a TLS listener: one SSL_CTX a certificate, built once and only read afterwards, so all
// workers share it. Handshakes start on the first context, whose ticket keys therefore count for every
// certificate and worker. Private to net/.
#pragma once
#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "net/tls_transport.h"

namespace penstock::net {

struct SslContextFree {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using SslContext = std::unique_ptr<SSL_CTX, SslContextFree>;

class TlsContext final : public TlsServerContext {
 public:
  TlsContext(TlsVersion min_version, const std::vector<std::string>& alpn);
  // Empty on success, else the message for a diagnostic.
  std::string add(const CertificateFiles& files);

  const std::vector<CertificateFacts>& certificates() const override { return facts_; }
  size_t select(std::string_view server_name) const override;

  SSL_CTX* first() const { return contexts_.front().get(); }
  SSL_CTX* context(size_t index) const { return contexts_[index].get(); }

 private:
  SslContext make_context();
  void index_names(size_t certificate);
  static int on_server_name(SSL* ssl, int* alert, void* self);
  static int on_alpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
                     unsigned int offered_size, void* self);

  TlsVersion min_version_;
  std::string alpn_;  // wire format, in order of preference
  std::vector<SslContext> contexts_;
  std::vector<CertificateFacts> facts_;
  std::unordered_map<std::string, size_t> exact_;
  std::unordered_map<std::string, size_t> wildcard_;  // by what follows "*."
};

// The server name of a handshake in the form that names are compared in: lower case, no final dot.
std::string normal_server_name(std::string_view name);

}  // namespace penstock::net
