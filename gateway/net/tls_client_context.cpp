// What connections to servers are verified against, and what they show of us.
#include <fmt/format.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "net/bounded_file.h"
#include "net/digest.h"
#include "net/tls_client.h"
#include "net/tls_client_auth.h"
#include "net/tls_client_transport.h"
#include "net/tls_context.h"
#include "net/tls_identity.h"

namespace penstock::net {

struct TrustedAuthorities {
  StoreHandle store;
  std::array<uint8_t, 32> digest{};
};

namespace {

using Of = TlsProblem::Of;
using Severity = TlsProblem::Severity;

// Where OpenSSL looks, but for its folder of single files, which it would search within handshakes: the
// bundle that Debian keeps in that folder is all of them.
std::string system_bundle() {
  if (const char* named = ::getenv(X509_get_default_cert_file_env())) return named;
  const std::string file = X509_get_default_cert_file();
  if (::access(file.c_str(), R_OK) == 0) return file;
  return std::string(X509_get_default_cert_dir()) + "/ca-certificates.crt";
}

void add_digest(std::string& all, const X509* certificate) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  X509_digest(certificate, EVP_sha256(), digest.data(), &size);
  all.append(reinterpret_cast<const char*>(digest.data()), size);
}

std::string digest_text(const TlsIdentity& identity) {
  std::string all;
  add_digest(all, identity.leaf.get());
  for (int i = 0; i < sk_X509_num(identity.chain.get()); ++i)
    add_digest(all, sk_X509_value(identity.chain.get(), i));
  return all;
}

std::string alpn_wire(const std::vector<std::string>& protocols) {
  std::string out;
  for (const std::string& protocol : protocols) {
    out.push_back(static_cast<char>(protocol.size()));
    out += protocol;
  }
  return out;
}

SslContext make_context(const TlsClientSettings& settings, const TrustedAuthorities& trust,
                        std::vector<TlsProblem>& problems) {
  ERR_clear_error();
  SslContext context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* raw = context.get();
  if (!raw) {
    problems.push_back({Of::listener, 0, Severity::error, "OpenSSL gives no context: " + openssl_reason()});
    return nullptr;
  }
  SSL_CTX_set_options(raw, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_NO_AUTO_CHAIN);
  TlsSettings parameters;  // of the lists ours, which are AEAD and forward secret
  parameters.min_version = settings.min_version;
  if (!set_parameters(raw, parameters, problems)) return nullptr;
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set1_cert_store(raw, trust.store.get());
  // The internal cache would be one lock for all workers, and knows no names.
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(raw, TlsClientTransport::on_new_session);
  const std::string alpn = alpn_wire(settings.alpn);
  if (!alpn.empty())
    SSL_CTX_set_alpn_protos(raw, reinterpret_cast<const unsigned char*>(alpn.data()),
                            static_cast<unsigned int>(alpn.size()));
  return context;
}

// False: it cannot be shown.
bool show_identity(SSL_CTX* context, const TlsClientSettings& settings, std::string& identity_digest,
                   std::vector<TlsProblem>& problems) {
  if (settings.identity.cert.empty()) return true;
  auto identity = read_identity(settings.identity);
  if (!identity) {
    problems.push_back({Of::certificate, 0, Severity::error, std::move(identity.error())});
    return false;
  }
  const TlsIdentity& ours = **identity;
  if (ours.not_after < static_cast<int64_t>(::time(nullptr)))
    problems.push_back(
        {Of::certificate, 0, Severity::warning,
         fmt::format("certificate '{}' has expired on {}", settings.identity.cert, day(ours.not_after))});
  identity_digest = digest_text(ours);
  if (SSL_CTX_use_cert_and_key(context, ours.leaf.get(), ours.key.get(), ours.chain.get(), 1) == 1)
    return true;
  problems.push_back(
      {Of::certificate, 0, Severity::error,
       fmt::format("'{}' cannot be shown to a server: {}", settings.identity.cert, openssl_reason())});
  return false;
}

}  // namespace

std::expected<std::shared_ptr<const TrustedAuthorities>, std::string> AuthorityFiles::read(
    const std::string& path) {
  if (auto known = read_.find(path); known != read_.end()) return known->second;
  const std::string file = path.empty() ? system_bundle() : path;
  auto bytes = read_file(path.empty() ? "the system's CA certificates" : "CA", file, TlsFileLimits::ca);
  if (!bytes) return std::unexpected(std::move(bytes.error()));
  auto trust = std::make_shared<TrustedAuthorities>();
  trust->store.reset(X509_STORE_new());
  if (std::string problem = add_authorities(file, *bytes, trust->store.get()); !problem.empty())
    return std::unexpected(std::move(problem));
  trust->digest = sha256(*bytes);
  return read_.emplace(path, std::move(trust)).first->second;
}

std::shared_ptr<const TlsClientContext> TlsClientContext::load(TlsClientSettings settings,
                                                               AuthorityFiles& files,
                                                               std::vector<TlsProblem>& problems) {
  auto trust = files.read(settings.ca);
  if (!trust) {
    problems.push_back({Of::ca, 0, Severity::error, std::move(trust.error())});
    return nullptr;
  }
  SslContext context = make_context(settings, **trust, problems);
  std::string identity_digest;
  if (!context || !show_identity(context.get(), settings, identity_digest, problems)) return nullptr;
  std::string all(reinterpret_cast<const char*>((*trust)->digest.data()), (*trust)->digest.size());
  all += fmt::format("{}\n{}\n{}\n", settings.server_name, static_cast<int>(settings.min_version),
                     alpn_wire(settings.alpn));
  all += identity_digest;
  std::shared_ptr<TlsClientContext> made(new TlsClientContext(std::move(settings), context.release()));
  made->digest_ = sha256(all);
  return made;
}

TlsClientContext::~TlsClientContext() { SSL_CTX_free(context_); }

}  // namespace penstock::net
