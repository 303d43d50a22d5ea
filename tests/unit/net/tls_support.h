// Certificates made for one test and a blocking TLS client on a thread of its own.
#pragma once
#include <doctest/doctest.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "net/tls_transport.h"
#include "net_support.h"

namespace penstock::net {

class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "penstock-test-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  std::string write(const std::string& name, std::string_view content) const {
    FILE* out = std::fopen(file(name).c_str(), "w");
    REQUIRE(out != nullptr);
    std::fwrite(content.data(), 1, content.size(), out);
    std::fclose(out);
    return file(name);
  }

 private:
  std::string path_;
};

// A self-signed certificate for these names; its serial number tells it from others.
inline CertificateFiles make_certificate(const TempFolder& folder, const std::string& stem,
                                         const std::vector<std::string>& names, long serial) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(stem.c_str()), -1, -1, 0);
  X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
  std::string alternatives;
  for (const auto& name : names) alternatives += (alternatives.empty() ? "DNS:" : ",DNS:") + name;
  if (!names.empty()) {
    X509_EXTENSION* extension =
        X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, alternatives.c_str());
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }
  X509_sign(certificate, key, EVP_sha256());
  CertificateFiles files{folder.file(stem + ".pem"), folder.file(stem + ".key")};
  FILE* out = std::fopen(files.cert.c_str(), "w");
  PEM_write_X509(out, certificate);
  std::fclose(out);
  out = std::fopen(files.key.c_str(), "w");
  PEM_write_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr);
  std::fclose(out);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return files;
}

// Blocking client over a descriptor.
class TlsClient {
 public:
  explicit TlsClient(int fd) : context_(SSL_CTX_new(TLS_client_method())), fd_(fd) {
    // OpenSSL's own socket writes raise SIGPIPE once the server is gone; only this thread ignores it.
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
    SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context_, [](SSL* ssl, SSL_SESSION* session) {
      auto& self = *static_cast<TlsClient*>(SSL_get_app_data(ssl));
      SSL_SESSION_free(self.session_);
      self.session_ = session;
      return 1;
    });
  }
  ~TlsClient() {
    SSL_SESSION_free(session_);
    SSL_free(ssl_);
    SSL_CTX_free(context_);
  }
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  SSL_CTX* context() { return context_; }
  SSL_SESSION* session() { return session_; }
  bool handshake(const char* server_name = nullptr, SSL_SESSION* resume = nullptr) {
    ssl_ = SSL_new(context_);
    SSL_set_app_data(ssl_, this);
    SSL_set_fd(ssl_, fd_);
    if (server_name) SSL_set_tlsext_host_name(ssl_, server_name);
    if (resume) SSL_set_session(ssl_, resume);
    return SSL_connect(ssl_) == 1;
  }
  long serial() {
    X509* certificate = SSL_get1_peer_certificate(ssl_);
    long out = ASN1_INTEGER_get(X509_get0_serialNumber(certificate));
    X509_free(certificate);
    return out;
  }
  void write(std::string_view bytes) {
    while (!bytes.empty()) {
      int sent = SSL_write(ssl_, bytes.data(), static_cast<int>(std::min<size_t>(bytes.size(), 1 << 20)));
      if (sent <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
  }
  // Until close_notify, FIN or `limit` bytes; last_error() tells which.
  std::string read(size_t limit = SIZE_MAX) {
    std::string out;
    char buffer[16384];
    while (out.size() < limit) {
      int size = SSL_read(ssl_, buffer, static_cast<int>(std::min(sizeof(buffer), limit - out.size())));
      if (size <= 0) {
        last_error_ = SSL_get_error(ssl_, size);
        break;
      }
      out.append(buffer, static_cast<size_t>(size));
    }
    ERR_clear_error();
    return out;
  }
  int last_error() const { return last_error_; }
  void close_notify() { SSL_shutdown(ssl_); }
  SSL* ssl() { return ssl_; }

 private:
  SSL_CTX* context_;
  SSL* ssl_ = nullptr;
  SSL_SESSION* session_ = nullptr;
  int fd_;
  int last_error_ = 0;
};

}  // namespace penstock::net
