#include "net/tls_context.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>
#include <unistd.h>

#include <cstring>

namespace penstock::net {
namespace {

// Mozilla's "intermediate" list (guidelines 5.7) without the DHE suites: forward secrecy and AEAD only.
constexpr const char* ciphers_1_2 =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr const char* ciphers_1_3 =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

std::string openssl_reason() {
  unsigned long code = ERR_peek_last_error();
  const char* text = code ? ERR_reason_error_string(code) : nullptr;
  std::string out = text ? text : "unknown reason";
  ERR_clear_error();
  return out;
}

// OpenSSL's own message for a file that is not there is hard to read.
std::string unreadable(const char* what, const std::string& path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd >= 0) {
    ::close(fd);
    return {};
  }
  return std::string("cannot read ") + what + " '" + path + "': " + std::strerror(errno);
}

int no_passphrase(char*, int, int, void*) { return 0; }  // instead of asking on the terminal

std::vector<std::string> dns_names(X509* certificate) {
  std::vector<std::string> out;
  auto* names =
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_DNS) continue;
    out.push_back(normal_server_name({reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                                      static_cast<size_t>(ASN1_STRING_length(name->d.dNSName))}));
  }
  GENERAL_NAMES_free(names);
  return out;
}

int64_t not_after(X509* certificate) {
  tm when{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &when) != 1) return 0;
  return timegm(&when);
}

}  // namespace

std::string normal_server_name(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  std::string out(name);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

TlsContext::TlsContext(TlsVersion min_version, const std::vector<std::string>& alpn)
    : min_version_(min_version) {
  for (const auto& protocol : alpn) {
    alpn_.push_back(static_cast<char>(protocol.size()));
    alpn_ += protocol;
  }
}

// RFC 7301 3.2: our order counts; no common protocol ends the handshake, no offer goes on without ALPN.
int TlsContext::on_alpn(SSL*, const unsigned char** out, unsigned char* out_size,
                        const unsigned char* offered, unsigned int offered_size, void* self) {
  const std::string& ours = static_cast<TlsContext*>(self)->alpn_;
  unsigned char* chosen = nullptr;
  int result = SSL_select_next_proto(&chosen, out_size, reinterpret_cast<const unsigned char*>(ours.data()),
                                     static_cast<unsigned int>(ours.size()), offered, offered_size);
  if (result != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

int TlsContext::on_server_name(SSL* ssl, int*, void* raw) {
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (!name) return SSL_TLSEXT_ERR_NOACK;
  auto& self = *static_cast<const TlsContext*>(raw);
  size_t chosen = self.select(name);
  if (chosen != 0) SSL_set_SSL_CTX(ssl, self.context(chosen));
  return SSL_TLSEXT_ERR_OK;
}

SslContext TlsContext::make_context() {
  SslContext context(SSL_CTX_new(TLS_server_method()));
  SSL_CTX* raw = context.get();
  if (!raw) return context;
  SSL_CTX_set_min_proto_version(raw, min_version_ == TlsVersion::v1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_options(raw, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE);
  // Tickets alone resume sessions: the cache would be one lock for all workers.
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(raw, 1);
  SSL_CTX_set_cipher_list(raw, ciphers_1_2);
  SSL_CTX_set_ciphersuites(raw, ciphers_1_3);
  SSL_CTX_set_default_passwd_cb(raw, no_passphrase);
  SSL_CTX_set_tlsext_servername_callback(raw, on_server_name);
  SSL_CTX_set_tlsext_servername_arg(raw, this);
  if (!alpn_.empty()) SSL_CTX_set_alpn_select_cb(raw, on_alpn, this);
  return context;
}

std::string TlsContext::add(const CertificateFiles& files) {
  if (auto message = unreadable("certificate", files.cert); !message.empty()) return message;
  if (auto message = unreadable("key", files.key); !message.empty()) return message;
  ERR_clear_error();
  SslContext context = make_context();
  if (!context) return "OpenSSL gives no context: " + openssl_reason();
  if (SSL_CTX_use_certificate_chain_file(context.get(), files.cert.c_str()) != 1)
    return "'" + files.cert + "' is no usable PEM certificate chain, leaf first: " + openssl_reason();
  if (SSL_CTX_use_PrivateKey_file(context.get(), files.key.c_str(), SSL_FILETYPE_PEM) != 1) {
    if (ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH) {
      ERR_clear_error();
      return "key '" + files.key + "' does not belong to certificate '" + files.cert + "'";
    }
    return "'" + files.key + "' is no usable PEM private key without passphrase: " + openssl_reason();
  }
  X509* certificate = SSL_CTX_get0_certificate(context.get());
  facts_.push_back({dns_names(certificate), not_after(certificate)});
  contexts_.push_back(std::move(context));
  index_names(facts_.size() - 1);
  return {};
}

void TlsContext::index_names(size_t certificate) {
  for (const auto& name : facts_[certificate].names) {
    if (name.starts_with("*."))
      wildcard_.emplace(name.substr(2), certificate);
    else
      exact_.emplace(name, certificate);
  }
}

// RFC 6125 6.4.3: a wildcard stands for exactly one label.
size_t TlsContext::select(std::string_view server_name) const {
  std::string name = normal_server_name(server_name);
  if (auto found = exact_.find(name); found != exact_.end()) return found->second;
  size_t dot = name.find('.');
  if (dot != 0 && dot != name.npos)
    if (auto found = wildcard_.find(name.substr(dot + 1)); found != wildcard_.end()) return found->second;
  return 0;
}

std::expected<std::shared_ptr<const TlsServerContext>, TlsServerContext::Failure> TlsServerContext::load(
    const std::vector<CertificateFiles>& certificates, TlsVersion min_version,
    const std::vector<std::string>& alpn) {
  if (certificates.empty())
    return std::unexpected(Failure{0, "a TLS listener needs at least one certificate with its key"});
  auto context = std::make_shared<TlsContext>(min_version, alpn);
  for (size_t i = 0; i < certificates.size(); ++i)
    if (auto message = context->add(certificates[i]); !message.empty())
      return std::unexpected(Failure{i, std::move(message)});
  return context;
}

}  // namespace penstock::net
