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
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "net/tls_server.h"
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

struct CertificateRecipe {
  std::vector<std::string> names;  // subjectAltName, "DNS:" unless they say otherwise
  long serial = 1;
  long from_s = -60, until_s = 3600;         // from now
  const char* key = "EC";                    // or "RSA"
  const CertificateFiles* issuer = nullptr;  // null: signs itself
  bool authority = false;
  std::string subject = {};     // O=Example beside the CN where it is not empty
  const char* usage = nullptr;  // extended key usage: "clientAuth"
};

inline EVP_PKEY* read_private_key(const std::string& path) {
  FILE* in = std::fopen(path.c_str(), "r");
  EVP_PKEY* key = PEM_read_PrivateKey(in, nullptr, nullptr, nullptr);
  std::fclose(in);
  return key;
}
inline X509* read_certificate(const std::string& path) {
  FILE* in = std::fopen(path.c_str(), "r");
  X509* certificate = PEM_read_X509(in, nullptr, nullptr, nullptr);
  std::fclose(in);
  return certificate;
}

inline void add_extension(X509* certificate, int id, const std::string& value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, id, value.c_str());
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

inline void add_part(X509_NAME* name, const char* part, const std::string& value) {
  X509_NAME_add_entry_by_txt(name, part, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(value.c_str()),
                             -1, -1, 0);
}

// Files STEM.pem (with the issuer behind it) and STEM.key.
inline CertificateFiles make_certificate(const TempFolder& folder, const std::string& stem,
                                         const CertificateRecipe& recipe) {
  EVP_PKEY* key = std::string(recipe.key) == "RSA" ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
  X509* issuer = recipe.issuer ? read_certificate(recipe.issuer->cert) : nullptr;
  EVP_PKEY* signer = recipe.issuer ? read_private_key(recipe.issuer->key) : nullptr;
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), recipe.serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate), recipe.from_s);
  X509_gmtime_adj(X509_getm_notAfter(certificate), recipe.until_s);
  X509_set_pubkey(certificate, key);
  if (!recipe.subject.empty()) add_part(X509_get_subject_name(certificate), "O", recipe.subject);
  add_part(X509_get_subject_name(certificate), "CN", stem);
  X509_set_issuer_name(certificate, X509_get_subject_name(issuer ? issuer : certificate));
  std::string alternatives;
  for (const auto& name : recipe.names)
    alternatives += (alternatives.empty() ? "" : ",") + (name.find(':') == name.npos ? "DNS:" + name : name);
  if (!alternatives.empty()) add_extension(certificate, NID_subject_alt_name, alternatives);
  if (recipe.authority) {
    add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(certificate, NID_key_usage, "critical,keyCertSign,cRLSign,digitalSignature");
  }
  if (recipe.usage) add_extension(certificate, NID_ext_key_usage, recipe.usage);
  X509_sign(certificate, signer ? signer : key, EVP_sha256());
  CertificateFiles files{folder.file(stem + ".pem"), folder.file(stem + ".key"), {}};
  FILE* out = std::fopen(files.cert.c_str(), "w");
  PEM_write_X509(out, certificate);
  if (issuer) PEM_write_X509(out, issuer);
  std::fclose(out);
  out = std::fopen(files.key.c_str(), "w");
  PEM_write_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr);
  std::fclose(out);
  X509_free(issuer);
  EVP_PKEY_free(signer);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return files;
}

// A self-signed certificate for these names; its serial number tells it from others.
inline CertificateFiles make_certificate(const TempFolder& folder, const std::string& stem,
                                         const std::vector<std::string>& names, long serial) {
  return make_certificate(folder, stem, {.names = names, .serial = serial});
}

// The clock of every TlsConnection, as far ahead of the real one as the test says.
inline int64_t clock_ahead_s = 0;
inline int64_t test_clock() { return wall_clock_s() + clock_ahead_s; }
struct ClockAhead {
  explicit ClockAhead(int64_t seconds) { clock_ahead_s = seconds; }
  ~ClockAhead() { clock_ahead_s = 0; }
};

using TlsContextPointer = std::shared_ptr<const TlsServerContext>;

inline TlsContextPointer load_tls(TlsSettings settings) {
  std::vector<TlsProblem> problems;
  if (settings.alpn.empty()) settings.alpn = {"http/1.1"};
  auto context = TlsServerContext::load(std::move(settings), problems);
  REQUIRE_MESSAGE(context != nullptr, (problems.empty() ? "no problem told" : problems[0].message));
  return context;
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

  // A certificate to show when the server asks for one.
  void show(const CertificateFiles& files) {
    REQUIRE(SSL_CTX_use_certificate_chain_file(context_, files.cert.c_str()) == 1);
    REQUIRE(SSL_CTX_use_PrivateKey_file(context_, files.key.c_str(), SSL_FILETYPE_PEM) == 1);
  }
  // The last alert that the server sent; -1: none.
  int alert() const { return alert_; }
  SSL_CTX* context() { return context_; }
  SSL_SESSION* session() { return session_; }
  bool handshake(const char* server_name = nullptr, SSL_SESSION* resume = nullptr) {
    ssl_ = SSL_new(context_);
    SSL_set_app_data(ssl_, this);
    SSL_set_info_callback(ssl_, [](const SSL* ssl, int where, int alert) {
      if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT)
        static_cast<TlsClient*>(SSL_get_app_data(ssl))->alert_ = alert & 0xff;
    });
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
  int alert_ = -1;
};

// One TLS connection: the transport on the test's loop, the peer in a function on a thread.
struct TlsConnection final : TlsHandshakeHandler {
  LoopRunner runner;
  Pair pair;
  Recorder handler;
  TlsServer server;
  std::unique_ptr<Transport> transport;
  int handshakes = 0;
  std::function<void()> when_handshake;
  std::function<bool()> when_asked;  // whether the handshake may begin
  std::future<void> client;

  explicit TlsConnection(const TlsContextPointer& context, uint64_t timeout_ms = 10'000,
                         int near_send_buffer = 0, int far_receive_buffer = 0,
                         std::shared_ptr<const TicketKeys> tickets = nullptr)
      : pair(near_send_buffer, far_receive_buffer),
        server(runner.loop,
               {.handshake_timeout_ms = timeout_ms, .plain_answer = "this is TLS\n", .clock = test_clock}) {
    server.serve(context, std::move(tickets));
    transport = server.accept(pair.near.release(), pair.peer, *this);
    transport->set_handler(&handler);
    when_handshake = [this] { transport->start_reading(); };
  }
  void on_handshake() override {
    ++handshakes;
    CHECK(handler.reads == 0);
    if (when_handshake) when_handshake();
  }
  bool may_begin() override { return !when_asked || when_asked(); }
  uint64_t failures(TlsFailure why) const { return server.counters.failures[static_cast<size_t>(why)]; }
  void with_client(std::function<void(int fd)> fn) {
    client = std::async(std::launch::async, [this, fn = std::move(fn)] { fn(pair.far.get()); });
    runner.until([&] { return client.wait_for(std::chrono::seconds(0)) == std::future_status::ready; });
    client.get();
  }
  void echo() {
    handler.when_read = [this](std::span<const char> bytes) {
      transport->append_borrowed({bytes.data(), bytes.size()});
      transport->flush();
    };
  }
};

}  // namespace penstock::net
