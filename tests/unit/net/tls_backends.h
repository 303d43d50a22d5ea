// Servers of one connection each, in blocking OpenSSL on threads of their own, and what connects to them on
// the test's loop.
#pragma once
#include <deque>
#include <mutex>

#include "net/tls_client.h"
#include "tls_support.h"

namespace penstock::net {

// A CA and what it signed, and what it did not.
struct BackendFiles {
  TempFolder folder;
  CertificateFiles ca =
      make_certificate(folder, "ca", CertificateRecipe{.names = {}, .serial = 10, .authority = true});
  CertificateFiles other_ca =
      make_certificate(folder, "other-ca", CertificateRecipe{.names = {}, .serial = 11, .authority = true});
  CertificateFiles good = signed_by_ca("good", {.names = {"a.test", "*.wild.test", "IP:127.0.0.1"}});

  CertificateFiles signed_by_ca(const std::string& stem, CertificateRecipe recipe) const {
    recipe.issuer = &ca;
    return make_certificate(folder, stem, recipe);
  }
  TlsClientSettings settings(const std::string& server_name = "a.test") const {
    TlsClientSettings out;
    out.ca = ca.cert;
    out.server_name = server_name;
    out.alpn = {"http/1.1"};
    return out;
  }
};

using ClientContext = std::shared_ptr<const TlsClientContext>;

inline ClientContext load_client(const TlsClientSettings& settings) {
  std::vector<TlsProblem> problems;
  AuthorityFiles files;
  auto context = TlsClientContext::load(settings, files, problems);
  REQUIRE_MESSAGE(context != nullptr, (problems.empty() ? "no problem told" : problems[0].message));
  return context;
}

// A server's context, and what it does with each connection.
class TlsBackend {
 public:
  explicit TlsBackend(const CertificateFiles& files) : socket_(ListenSocket::bind(loopback())) {
    REQUIRE(socket_.has_value());
    use(files);
    SSL_CTX_set_session_id_context(context_, reinterpret_cast<const unsigned char*>("t"), 1);
    SSL_CTX_set_tlsext_servername_callback(
        context_, +[](SSL* ssl, int*, void* self) {
          const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
          TlsBackend& backend = *static_cast<TlsBackend*>(self);
          const std::lock_guard lock(backend.name_mutex_);
          backend.asked_name_ = name ? name : "";
          return SSL_TLSEXT_ERR_OK;
        });
    SSL_CTX_set_tlsext_servername_arg(context_, this);
  }
  ~TlsBackend() {
    for (auto& one : threads_) one.join();
    SSL_CTX_free(context_);
  }
  TlsBackend(const TlsBackend&) = delete;
  TlsBackend& operator=(const TlsBackend&) = delete;

  SSL_CTX* context() { return context_; }
  const Address& address() const { return socket_->address(); }
  void use(const CertificateFiles& files) {
    REQUIRE(SSL_CTX_use_certificate_chain_file(context_, files.cert.c_str()) == 1);
    REQUIRE(SSL_CTX_use_PrivateKey_file(context_, files.key.c_str(), SSL_FILETYPE_PEM) == 1);
  }
  void only(int version) {
    SSL_CTX_set_min_proto_version(context_, version);
    SSL_CTX_set_max_proto_version(context_, version);
  }
  void choose_protocol(std::string wire) {
    alpn_ = std::move(wire);
    SSL_CTX_set_alpn_select_cb(
        context_,
        +[](SSL*, const unsigned char** out, unsigned char* size, const unsigned char* offered,
            unsigned int offered_size, void* self) {
          const std::string& ours = static_cast<TlsBackend*>(self)->alpn_;
          unsigned char* chosen = nullptr;
          const int found =
              SSL_select_next_proto(&chosen, size, reinterpret_cast<const unsigned char*>(ours.data()),
                                    static_cast<unsigned int>(ours.size()), offered, offered_size);
          *out = chosen;
          return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
        },
        this);
  }

  // The next connection, before anything of TLS.
  void next_raw(std::function<void(int fd)> serve) {
    threads_.emplace_back([this, serve = std::move(serve)] {
      block_pipe_signal();
      Fd fd = accept();
      serve(fd.get());
    });
  }
  // The next connection; accepted says whether the handshake succeeded.
  void next(std::function<void(SSL* ssl, bool accepted)> serve) {
    next_raw([this, serve = std::move(serve)](int fd) {
      SSL* ssl = SSL_new(context_);
      SSL_set_fd(ssl, fd);
      const bool accepted = SSL_accept(ssl) == 1;
      serve(ssl, accepted);
      ERR_clear_error();
      SSL_free(ssl);
    });
  }
  // Sends back what comes until the client ends it.
  void echo_next() {
    next([](SSL* ssl, bool accepted) {
      char buffer[4096];
      for (int size = 0; accepted && (size = SSL_read(ssl, buffer, sizeof(buffer))) > 0;)
        SSL_write(ssl, buffer, size);
    });
  }
  void wait() {
    for (auto& one : threads_) one.join();
    threads_.clear();
  }

  std::string asked_name() {  // after a handshake: the latest one's
    const std::lock_guard lock(name_mutex_);
    return asked_name_;
  }

 private:
  // Several threads wait: another one may have been quicker.
  Fd accept() {
    pollfd ready{socket_->fd(), POLLIN, 0};
    while (::poll(&ready, 1, 10'000) == 1)
      if (Fd fd(::accept4(socket_->fd(), nullptr, nullptr, SOCK_CLOEXEC)); fd.get() >= 0) return fd;
    return Fd();
  }
  static void block_pipe_signal() {
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  }

  std::expected<ListenSocket, BindError> socket_;
  SSL_CTX* context_ = SSL_CTX_new(TLS_server_method());
  std::string alpn_;
  std::mutex name_mutex_;
  std::string asked_name_;
  std::deque<std::thread> threads_;
};

// One connection of ours.
struct Opening {
  LoopRunner& runner;
  Recorder handler;
  std::unique_ptr<Transport> transport;
  Error error;
  int told = 0;
  std::unique_ptr<Connect> connect;

  Opening(LoopRunner& in, const Address& to, ClientContext context, TlsPeer& peer,
          uint64_t timeout_ms = 10'000)
      : runner(in), connect(connect_tls(in.loop, to, timeout_ms, std::move(context), peer, on_done, this)) {}
  static void on_done(void* raw, Result<std::unique_ptr<Transport>> result) {
    auto& self = *static_cast<Opening*>(raw);
    ++self.told;
    if (!result) {
      self.error = result.error();
      return;
    }
    self.transport = std::move(*result);
    self.transport->set_handler(&self.handler);
    self.transport->start_reading();
  }
  Opening& wait() {
    runner.until([this] { return told > 0; });
    return *this;
  }
  bool open() const { return transport != nullptr; }
  void send(std::string_view bytes) {
    transport->append(bytes);
    transport->flush();
  }
};

}  // namespace penstock::net
