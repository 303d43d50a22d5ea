// Bytes of one connection, TCP or TLS alike. Owned by an http connection; the libuv side lives on until its
// close callback (DESIGN: two objects a socket). Every call and callback is on the loop's thread.
//
// Reading: while not paused, each read hands a view into the loop's shared buffer to on_read; it is valid
// until on_read returns, so a handler copies what it must keep. The transport reads at most once per
// readiness event (after a short first read once more), so no connection starves the others. Writing: bytes
// are collected by append*() and leave with flush(): one sendmsg for head and body together. What the kernel
// does not take is copied into pooled blocks and follows when the socket is writable; on_drained tells when
// the rest fell to low_mark. A writer must stop producing once unsent() is over high_mark: nothing here drops
// or blocks. After on_error or close() no more callbacks come. A handler may destroy the transport inside any
// callback.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/pause.h"
#include "base/result.h"
#include "net/address.h"
#include "net/place.h"

namespace penstock::net {

class Loop;

// A client's certificate that was verified in the handshake.
struct ClientCertificate {
  std::string subject, issuer;     // RFC 4514
  std::vector<std::string> names;  // subjectAltName: "DNS:a.b", "URI:...", "email:...", "IP:..."
  std::string fingerprint;         // SHA-256 of its DER, lower-case hexadecimal
  std::string serial;              // lower-case hexadecimal; "-" before a negative one
  int64_t not_after = 0;           // Unix seconds
};
class ClientCertificateSource {
 public:
  // Null: the client showed none. Valid while the transport lives.
  virtual const ClientCertificate* client_certificate() const = 0;

 protected:
  ~ClientCertificateSource() = default;
};

// Facts of a TLS session that routing, plugins and logs may ask for; empty on plain connections.
struct TlsInfo {
  std::string_view version;      // "TLSv1.3", static text
  std::string_view cipher;       // static text
  std::string_view alpn;         // "http/1.1" | "h2" | ""; valid while the transport lives
  std::string_view server_name;  // SNI as sent, lower case; valid while the transport lives
  bool resumed = false;          // with a ticket of an earlier session
  const ClientCertificateSource* client = nullptr;

  // Read from the session when first asked for.
  const ClientCertificate* client_certificate() const {
    return client ? client->client_certificate() : nullptr;
  }
};

// How slowly a peer may take what is sent to it. It is looked at a few times in timeout_ms, so it strikes
// late by a quarter of that at most. 0: no bound of that kind.
struct SendLimits {
  uint32_t timeout_ms = 0;  // without taking a byte
  uint32_t min_rate = 0;    // bytes a second, averaged over timeout_ms
};

class Socket;
class Transport;

// How the bytes that come next are read.
template <class Sink>
struct NextRead {
  Sink* sink = nullptr;  // where they may go within the kernel. Null: nowhere
  uint64_t most = 0;     // of them
  // Else: so many before it is asked again, and all that are there only then. 0: all at once.
  uint32_t at_first = 0;
};

class TransportHandler {
 public:
  // bytes: never empty, valid until this returns.
  virtual void on_read(std::span<const char> bytes) = 0;
  // Asked before each read of a plain connection. Where the sink is plain too and nothing waits to be sent
  // there, what has come goes there and on_spliced tells how much; the sink's unsent() and on_drained() hold
  // for it. Else it comes to on_read as ever. A peer that is gone raises SIGPIPE then, which the process has
  // to ignore: splice(2) cannot be told to do without.
  virtual NextRead<Transport> next_read() { return {}; }
  virtual void on_spliced(size_t /*bytes*/) {}
  // The peer ended its sending side (FIN, close_notify). Once; writing may go on. Told only while not paused.
  // Under TLS also for a FIN without close_notify, see truncated().
  virtual void on_read_end() = 0;
  // While paused: the peer has ended its side, and that waits behind bytes that are not read yet. At most
  // once; on_read_end follows when they are.
  virtual void on_end_announced() {}
  // The unsent rest fell to low_mark or below after having been over it, or after flush() left a rest; and
  // once more when nothing of it is left.
  virtual void on_drained() = 0;
  // Connection lost (reset, TLS failure). Once, the last callback; always from the
  // loop, never inside a call of the owner's. A client's reset is told even while paused. A backend's waits
  // until all it answered before was read, paused or not: until then output is dropped and unsent() is 0.
  virtual void on_error(const Error& error) = 0;

 protected:
  ~TransportHandler() = default;
};

class Transport {
 public:
  static constexpr size_t high_mark = 64 * 1024;
  static constexpr size_t low_mark = 16 * 1024;

  virtual ~Transport() = default;  // closes at once; what is unsent is lost

  void set_handler(TransportHandler* handler) { handler_ = handler; }
  // Kept until the socket is closed, which may be long after the transport is gone; at most once. Without a
  // socket it is given back at once.
  virtual void hold(std::unique_ptr<Place> /*place*/) {}
  // Also while the rest is sent after close_gracefully(). A peer that is too slow: on_error with reason
  // client.slow, and the connection ends in a reset.
  virtual void limit_sending(const SendLimits& /*limits*/) {}
  virtual void start_reading() = 0;  // once, after set_handler
  // Interest in reading stops while any reason is set (costs system calls: only under pressure, never per
  // request).
  virtual void pause(PauseReason reason) = 0;
  virtual void resume(PauseReason reason) = 0;

  // --- output ---
  virtual void append(std::string_view bytes) = 0;           // copied
  virtual void append_borrowed(std::string_view bytes) = 0;  // must stay valid until flush() returns
  // Room to serialise into: at least `size` bytes (size <= BlockPool::Block::capacity); commit says how many
  // were used.
  virtual std::span<char> reserve(size_t size) = 0;
  virtual void commit(size_t used) = 0;
  // Sends what was appended. Errors arrive later through on_error, never inside flush().
  virtual void flush() = 0;
  // Nothing that was borrowed is referred to afterwards. What becomes other bytes on its way (TLS) need not
  // be sent for that: it waits for flush().
  virtual void release_borrowed() { flush(); }
  virtual size_t unsent() const = 0;  // bytes appended and not yet taken by the kernel

  // Ends our sending side after the rest is out (FIN, close_notify); the peer's bytes still arrive.
  virtual void shutdown() = 0;
  // Sends the rest, then closes lingering: further input is read and dropped for up to linger_ms, and while
  // the peer's kernel still takes our last answer within limit_sending(), so that the peer can read it before
  // a reset kills it (RFC 9112 9.6). The owner may destroy its side at once: the loop side finishes alone (a
  // peer that takes nothing for 30 s is reset). After this the transport object may only be destroyed.
  virtual void close_gracefully(uint64_t linger_ms) = 0;
  // RST instead of FIN: a body that was cut must be seen as cut. After this the transport object may only be
  // destroyed.
  virtual void abort() = 0;

  // Bytes, the peer's end or an error that were not told yet. A system call; leaves everything as it is.
  virtual bool input_waits() const { return false; }

  virtual const Address& peer() const = 0;
  virtual const Address& local() const = 0;
  // Memory held for bytes that came in and were not handed on yet.
  virtual size_t unread() const { return 0; }
  virtual Socket* plain_socket() { return nullptr; }  // for net/ alone; null: TLS, or given up
  virtual const TlsInfo* tls() const { return nullptr; }
  // From on_read_end on: the end is a FIN alone on a TLS connection, which anybody on the way can forge. Many
  // clients end so and still wait for their answer, and only the handler knows what it expects: where the
  // message tells its own length (every HTTP request) a cut shows by itself; what ends with the connection
  // (tunnels, a backend's answer without a length) must be taken for broken off.
  virtual bool truncated() const { return false; }
  // All three: while it was not closed.
  virtual uint64_t bytes_read() const = 0;
  virtual uint64_t bytes_written() const = 0;
  // Those that the peer's kernel has taken. A system call.
  virtual uint64_t bytes_taken() const { return bytes_written(); }

 protected:
  TransportHandler* handler_ = nullptr;
};

}  // namespace penstock::net
