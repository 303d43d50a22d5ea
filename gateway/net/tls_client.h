// TLS to servers (OpenSSL 3), whose certificates are always verified: a chain to an authority that is
// trusted, and the name or the address that was asked for among its subjectAltNames (RFC 9525). A context is
// immutable, made on the main thread from an upstream's files and shared by all workers. A TlsPeer is what
// one worker keeps of one server: the name that it must show, and sessions that further connections go on
// from.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "net/tcp_transport.h"
#include "net/tls_settings.h"

struct ssl_ctx_st;
struct ssl_session_st;

namespace penstock::net {

struct TrustedAuthorities;

// Those of each file that was read, while contexts are made: several of them trust the same. Main thread.
class AuthorityFiles {
 public:
  // Or a line that says what is wrong. An empty path: the system's.
  std::expected<std::shared_ptr<const TrustedAuthorities>, std::string> read(const std::string& path);

 private:
  std::map<std::string, std::shared_ptr<const TrustedAuthorities>> read_;
};

class TlsClientContext {
 public:
  // Null: the problems say why. With a context they may hold warnings.
  static std::shared_ptr<const TlsClientContext> load(TlsClientSettings settings, AuthorityFiles& files,
                                                      std::vector<TlsProblem>& problems);
  ~TlsClientContext();
  TlsClientContext(const TlsClientContext&) = delete;
  TlsClientContext& operator=(const TlsClientContext&) = delete;

  const TlsClientSettings& settings() const { return settings_; }
  // Of all that decides, what the files held among it: two with the same one do the same.
  const std::array<uint8_t, 32>& digest() const { return digest_; }
  ssl_ctx_st* raw() const { return context_; }  // for net/ alone

 private:
  TlsClientContext(TlsClientSettings settings, ssl_ctx_st* context)
      : settings_(std::move(settings)), context_(context) {}

  TlsClientSettings settings_;
  ssl_ctx_st* context_;
  std::array<uint8_t, 32> digest_{};
};

// Outlives the connections that were made to it.
class TlsPeer {
 public:
  static constexpr size_t max_sessions = 8;
  // So long after its full handshake a session still goes on, if its ticket does.
  static constexpr int64_t max_age_s = 86'400;
  // A server may send what it likes as a ticket.
  static constexpr size_t max_ticket = 16 * 1024;

  // `host`: a name, or an IP address.
  explicit TlsPeer(std::string host) : host_(std::move(host)) {}
  ~TlsPeer() { forget(); }
  TlsPeer(const TlsPeer&) = delete;
  TlsPeer& operator=(const TlsPeer&) = delete;

  const std::string& host() const { return host_; }
  void set_host(std::string host);
  size_t sessions() const { return kept_.size(); }

  // --- for net/ alone ---
  // What was verified in the full handshake holds until then; Unix seconds.
  struct Session {
    ssl_session_st* session = nullptr;  // owned
    int64_t until_s = 0;
  };
  // The newest that was made with this context; null: none. The caller's own.
  Session take(const std::shared_ptr<const TlsClientContext>& context, int64_t now_s);
  // Counts the names that it had: what was verified under one says nothing about another.
  uint32_t naming() const { return naming_; }
  // Takes it, or frees it: what was made with another context than the newest, or while the server had
  // another name, is of no use.
  void keep(const TlsClientContext& context, uint32_t naming, Session session);
  void forget();

 private:
  std::string host_;
  uint32_t naming_ = 0;
  std::shared_ptr<const TlsClientContext> context_;  // of those that are kept
  std::vector<Session> kept_;                        // the newest last
};

// TCP and the handshake, both within timeout_ms. The transport that comes has its session open and tells of
// it by tls(). Errors are connect_tcp's, and those of kind tls with a reason upstream.tls.*; retry yes. The
// callback comes once, never inside connect_tls, and may destroy the Connect.
std::unique_ptr<Connect> connect_tls(Loop& loop, const Address& to, uint64_t timeout_ms,
                                     std::shared_ptr<const TlsClientContext> context, TlsPeer& peer,
                                     Connect::Done fn, void* owner);

}  // namespace penstock::net
