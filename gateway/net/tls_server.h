// The TLS side of a listener (OpenSSL 3). A TlsServerContext is immutable, made on the main thread from the
// listener's files and shared by all workers: certificates by exact or wildcard name of the SNI, else the
// first; ECDSA and RSA side by side where both have a name. A TlsServer is one worker's part of the listener:
// it turns accepted descriptors into transports, counts how handshakes end and knows those that wait for
// their client. A handshake begins with its client's first byte, when its handler lets it, with the context
// and the ticket keys that are newest then. It is owned by the worker's door and outlives its handshakes.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/file_watch.h"
#include "net/tls_settings.h"
#include "net/tls_tickets.h"
#include "net/transport.h"

namespace penstock::net {

class TlsServerContext {
 public:
  struct CertificateFacts {
    std::vector<std::string> names;  // SAN dNSNames, lower case
    int64_t not_after;               // Unix seconds
  };
  // Loads and checks (a key that does not match its certificate is an error; no certificate at all too).
  // Null: the problems say why. With a context they may hold warnings.
  static std::shared_ptr<const TlsServerContext> load(TlsSettings settings,
                                                      std::vector<TlsProblem>& problems);
  virtual ~TlsServerContext() = default;

  // The same from the files as they are now. What is wrong is a problem and stays as it was before: a key
  // that does not match yet keeps neither other certificates nor ticket keys from being taken.
  virtual std::shared_ptr<const TlsServerContext> reread(std::vector<TlsProblem>& problems) const = 0;
  virtual const TlsSettings& settings() const = 0;
  // In the order of the settings.
  virtual const std::vector<CertificateFacts>& certificates() const = 0;
  // Index of the certificate that this SNI would get (the first of several kinds of key): used by the
  // handshake and by explain alike.
  virtual size_t select(std::string_view server_name) const = 0;
  // Whether this SNI gets the same certificates from both.
  virtual bool same_certificates(const TlsServerContext& other, std::string_view server_name) const = 0;
  // Every file behind it, as it was when it was read.
  virtual const std::vector<WatchedFile>& files() const = 0;
  // From TlsSettings::ticket_file; null: none.
  virtual const std::shared_ptr<const TicketKeys>& file_tickets() const = 0;
};

// Why a handshake came to nothing.
enum class TlsFailure : uint8_t {
  timeout,             // handshake_timeout
  client_left,         // before it was over
  plain_text,          // the client speaks no TLS
  version,             // no version in common
  parameters,          // no cipher suite, group or signature algorithm in common
  protocols,           // no ALPN protocol in common
  unknown_name,        // unknown_sni: reject
  client_certificate,  // missing, or not verified
  client_alert,        // the client refused what it saw
  evicted,             // it kept us waiting and made room, at max_handshakes or at a full door
  refused,             // max_handshakes, and too much to keep came before it could begin
  protocol,            // anything else
  count_
};
std::string_view name(TlsFailure failure);

// Why a full handshake came in place of the resumption that the client asked for.
enum class TicketRefusal : uint8_t {
  none,
  unknown_key,         // older than the keys, or not ours
  rules,               // of another listener, or the rules for client certificates have changed
  name,                // of another server name
  age,                 // tickets.max_age
  client_certificate,  // its chain or a CRL has expired since
  count_
};
std::string_view name(TicketRefusal refusal);

// One worker's numbers.
struct TlsCounters {
  enum Kind : uint8_t { full_1_2, resumed_1_2, full_1_3, resumed_1_3, kinds };
  std::array<uint64_t, kinds> handshakes{};
  std::array<uint64_t, static_cast<size_t>(TlsFailure::count_)> failures{};
  std::array<uint64_t, static_cast<size_t>(TicketRefusal::count_)> refused_tickets{};
  void count(TlsFailure failure) { ++failures[static_cast<size_t>(failure)]; }
  void merge(const TlsCounters& other);
};

// on_handshake comes once before any other callback (call start_reading there or later; the handler may be
// exchanged first); when the handshake fails the handler gets on_error only.
class TlsHandshakeHandler {
 public:
  virtual void on_handshake() = 0;
  // The client has sent its first bytes: from here on the handshake takes memory and time. False: not now; it
  // is asked again a little later. At most once true.
  virtual bool may_begin() { return true; }

 protected:
  ~TlsHandshakeHandler() = default;
};

// Unix seconds by which certificates, CRLs and tickets are judged.
using TlsClock = int64_t (*)();
int64_t wall_clock_s();

class TlsServer {
 public:
  struct Settings {
    uint64_t handshake_timeout_ms = 10'000;  // 0: no bound
    std::string_view plain_answer;           // to a client that speaks plain text; static
    TlsClock clock = wall_clock_s;
  };
  TlsServer(Loop& loop, Settings settings);
  ~TlsServer();

  void set(Settings settings) { settings_ = settings; }
  // For handshakes that begin from now on.
  void serve(std::shared_ptr<const TlsServerContext> context, std::shared_ptr<const TicketKeys> tickets);
  // Takes ownership of an accepted descriptor; the handshake may begin at once, so set the transport's
  // handler before returning to the loop. `quiet_ms`: so long its client was silent before. bytes_read and
  // bytes_written count ciphertext.
  std::unique_ptr<Transport> accept(int fd, const Address& peer, TlsHandshakeHandler& handler,
                                    uint64_t quiet_ms = 0);
  // Ends one that waits for its client, with on_error at the end of the turn: the oldest of those that have
  // sent nothing since then (Loop::now_ms), or else what give_up_begun finds. Who has spoken and may not
  // begin waits for us. False: none.
  bool give_up_oldest(uint64_t silent_by_ms = UINT64_MAX, uint64_t begun_by_ms = UINT64_MAX);
  // The same for those that have begun and wait for their client's next messages since then. Whose bytes lie
  // in the kernel is spared once.
  bool give_up_begun(uint64_t by_ms);
  // Since when the first of them has sent nothing, or has kept us waiting; UINT64_MAX: there is none.
  uint64_t silent_since_ms() const;
  uint64_t begun_since_ms() const;
  // From now on nobody is waited for longer than this: a client that says nothing, since it does; one that
  // has spoken, from now and from each of its messages on.
  struct Hurry {
    uint64_t silent_ms, begun_ms;
  };
  void hurry(Hurry hurry);
  // Have begun and are not over, whoever they wait for.
  uint32_t begun() const { return begun_; }

  TlsCounters counters;

 private:
  friend class TlsServerTransport;
  class Waiting;
  Loop& loop_;
  Settings settings_;
  std::shared_ptr<const TlsServerContext> context_;
  std::shared_ptr<const TicketKeys> tickets_;
  std::optional<Hurry> hurry_;
  void begin_waiting();

  std::unique_ptr<Waiting> waiting_;
  uint32_t begun_ = 0;
};

}  // namespace penstock::net
