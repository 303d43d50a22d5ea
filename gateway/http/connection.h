// Connections: what makes streams over a transport. A downstream connection hands each new stream to its
// listener's owner; an upstream connection opens streams on request. Both are owned by the worker or pool
// that made them and tell when they are finished; the owner then deletes them through Loop::defer_delete.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/intrusive_list.h"
#include "base/spared.h"
#include "http/stream.h"
#include "net/loop.h"
#include "net/transport.h"

namespace penstock::http {

// What a listener's clients may speak; over TLS they choose by ALPN, else by their first bytes (h2 with prior
// knowledge, RFC 9113 3.3).
enum class Protocols : uint8_t { http1, http2, both };

// Of HTTP/2 alone.
struct Http2Settings {
  uint32_t max_concurrent_streams = 100;
  uint32_t max_frame_size = 16 * 1024;       // that a client may send
  uint32_t stream_window = 64 * 1024;        // of a request body, before the backend has taken it
  uint32_t connection_window = 1024 * 1024;  // under way from the client
  uint32_t header_table_size = 4 * 1024;     // of HPACK, either way
  uint32_t max_resets = 200;                 // of streams without an answer, in reset_window_ms; 0: any
  uint32_t max_control_frames = 2'000;       // that bring nothing, in control_window_ms; 0: any
  uint32_t ping_interval_ms = 30'000;        // of silence while a request is open; 0: never
  uint32_t ping_timeout_ms = 10'000;         // for its answer
  static constexpr uint32_t reset_window_ms = 30'000, control_window_ms = 10'000;

  bool operator==(const Http2Settings&) const = default;
};

// Limits of one listener's connections; milliseconds and bytes. All are named in the configuration.
struct DownstreamSettings {
  uint32_t header_size = 32 * 1024;  // whole head, request line included
  uint32_t header_count = 100;
  uint32_t uri_size = 8 * 1024;
  uint32_t trailer_size = 8 * 1024;
  uint32_t trailer_count = 32;
  uint32_t header_timeout_ms =
      10'000;  // from the first byte of a head to its end; from accept for the first request
  uint32_t body_timeout_ms = 30'000;        // without a byte of a body that is being read
  uint32_t min_body_rate = 240;             // bytes a second; 0: none
  uint32_t rate_grace_ms = 60'000;          // over which that is averaged
  uint32_t idle_timeout_ms = 60'000;        // between requests
  uint32_t half_close_timeout_ms = 10'000;  // without a byte, for a client that has ended its side
  uint32_t max_requests = 100'000;          // of a connection; 0: any number
  uint32_t buffer_size = 64 * 1024;     // of what waits for one side before the other is not read any more
  uint32_t pipelined_size = 64 * 1024;  // later bytes held while one answer is under way
  uint32_t linger_ms = 1'000;           // reading on after our last answer
  uint32_t send_timeout_ms = 60'000;    // HTTP/2: for a stream whose client takes under min_send_rate of it
  uint32_t min_send_rate = 240;         // bytes a second
  Protocols protocols = Protocols::http1;
  Http2Settings http2;
};

class DownstreamConnection;

// What a client is awaited for. call: for bodies one of which at least may come when its sender likes
// (Stream::lift_body_pace).
enum class Awaited : uint8_t { first_byte, rest_of_head, next_request, body, call, nothing };

// The worker, seen by its connections.
class DownstreamOwner {
 public:
  // A head was read (or could not be read): who takes this stream? Never null. on_head or on_bad_head follows
  // at once.
  virtual StreamHandler& on_stream(Stream& stream, DownstreamConnection& connection) = 0;
  // Closed; no stream is open, no further call comes. The owner removes it (deferred).
  virtual void on_closed(DownstreamConnection& connection) = 0;
  // The client is awaited for something else now, or slow_body_since_ms() has moved on: the moment to put the
  // connection at the end of a list by its WaitHook, which it leaves by itself when nothing is awaited. Not
  // told of the first byte.
  virtual void on_awaiting(DownstreamConnection& /*connection*/, Awaited /*what*/) {}
  // A limit of these settings was reached.
  virtual void on_limit(Limit /*limit*/) {}
  // HTTP/2: a GOAWAY goes out with this code (RFC 9113 7). 0 says nothing of its client.
  virtual void on_http2_error(uint32_t /*code*/) {}
  // The client's first bytes are HTTP/2's preface, and the settings allow it: another connection takes its
  // place, which is to be told by begin() of what was read: `before`, maybe empty, and `read`. `connection`
  // is over and its owner removes it (deferred).
  virtual void on_http2(DownstreamConnection& /*connection*/, std::unique_ptr<net::Transport> /*transport*/,
                        std::string_view /*before*/, std::string_view /*read*/) {}

 protected:
  ~DownstreamOwner() = default;
};

struct WaitHook : ListHook {};

class DownstreamConnection : public net::Deferred, public WaitHook {
 public:
  // No further request: closes now when idle since `idle_grace_ms`, otherwise after the answer that is under
  // way.
  virtual void drain(uint32_t idle_grace_ms) = 0;
  // At once, because a drain takes too long; open streams get on_reset.
  virtual void close() = 0;
  // To free its memory (Limit::buffered): a request that was not answered yet gets 503, an answer under way
  // is cut. For any other limit its place, which is wanted now: cut at once.
  virtual void shed(Limit limit) = 0;
  virtual size_t open_streams() const = 0;
  // Since when it waits for the next head, or for the rest of one (Loop::now_ms); UINT64_MAX while a request
  // is under way.
  virtual uint64_t waiting_since_ms() const = 0;
  // Since when a request's body that is awaited has brought less than min_body_rate brings in slow_body_ms,
  // of a call both directions together; UINT64_MAX when none is awaited.
  static constexpr uint64_t slow_body_ms = 3'000;
  virtual uint64_t slow_body_since_ms() const = 0;
  // The first head's time has run since then: something was read before this connection got to read.
  virtual void count_wait_from(uint64_t ms) = 0;
  // Bytes held for it here, roughly.
  virtual size_t held_bytes() const = 0;
  // Its place is wanted: a client that has ended its side is asked now whether it is still there.
  virtual void probe() = 0;
  // HTTP/2: bytes that were read before it was made, once its owner knows it.
  virtual void begin(std::string_view /*read*/) {}
  virtual bool many_streams() const { return false; }  // HTTP/2
  virtual const net::TlsInfo* tls() const = 0;         // null: plain

  // The owner's own data on the connection.
  void* context = nullptr;      // its listener
  net::Place* place = nullptr;  // while its socket is open
  Spared spared;                // in this wait
  uint32_t quiet_ms = 0;        // it was silent for so long before it got its place; 0 from its first byte on
};

// The transport must not have started reading; the connection starts it. `settings` is borrowed for its
// lifetime.
std::unique_ptr<DownstreamConnection> make_http1_downstream(net::Loop& loop,
                                                            std::unique_ptr<net::Transport> transport,
                                                            const DownstreamSettings& settings,
                                                            DownstreamOwner& owner);

// `reading`: whether the transport has started, because another connection had it before.
enum class Reading : uint8_t { to_start, started };
std::unique_ptr<DownstreamConnection> make_http2_downstream(net::Loop& loop,
                                                            std::unique_ptr<net::Transport> transport,
                                                            const DownstreamSettings& settings,
                                                            DownstreamOwner& owner,
                                                            Reading reading = Reading::to_start);

// What a backend is spoken to in. by_alpn: what it chooses in the TLS handshake, HTTP/1 without one.
enum class Protocol : uint8_t { http1, http2, by_alpn };

struct UpstreamSettings {
  uint32_t header_size = 64 * 1024;
  uint32_t header_count = 200;
  uint32_t trailer_size = 8 * 1024;
  uint32_t trailer_count = 32;
  uint32_t max_informational = 16;  // 1xx a response
  Protocol protocol = Protocol::http1;
  // Of HTTP/2 alone; max_resets is a listener's. Many servers close a connection that asks for PINGs often.
  Http2Settings http2{.stream_window = 128 * 1024, .ping_interval_ms = 0};

  bool operator==(const UpstreamSettings&) const = default;
};

class UpstreamConnection;

class UpstreamOwner {
 public:
  // The last stream ended cleanly with no byte left over: the connection may be lent again.
  virtual void on_idle(UpstreamConnection& connection) = 0;
  // Closed or unusable; removed by the owner (deferred). Comes also for an idle connection that the backend
  // closed.
  virtual void on_closed(UpstreamConnection& connection) = 0;
  // HTTP/2: has_room() has changed while streams are open.
  virtual void on_room(UpstreamConnection& /*connection*/) {}
  // HTTP/2: the backend has sent one with this code (RFC 9113 7). To be counted, and nothing else; also
  // before the connection is usable.
  virtual void on_goaway(uint32_t /*code*/) {}
  virtual void on_stream_reset(uint32_t /*code*/) {}

 protected:
  ~UpstreamOwner() = default;
};

class UpstreamConnection : public net::Deferred, public ListHook {
 public:
  // A stream on this connection, null when it cannot take one (any more).
  virtual Stream* open(StreamHandler& handler) = 0;
  virtual size_t open_streams() const = 0;
  // Of one with many_streams: whether it takes another now, and how many it may have.
  virtual bool has_room() const { return false; }
  virtual uint32_t most_streams() const { return 1; }
  // Nothing has come that nobody asked for. A system call.
  virtual bool quiet() const = 0;
  virtual void close() = 0;

  void* context = nullptr;     // the owner's own data (its endpoint)
  uint64_t idle_since_ms = 0;  // for the owner
  bool idled = false;          // set by the owner: it waited, so that its peer may have ended it unseen
  bool many_streams = false;   // it takes several at once
};

std::unique_ptr<UpstreamConnection> make_http1_upstream(net::Loop& loop,
                                                        std::unique_ptr<net::Transport> transport,
                                                        const UpstreamSettings& settings,
                                                        UpstreamOwner& owner);

// Who waits for a connection that has to hear of the backend first: one of the two, once, never inside
// make_http2_upstream. The owner's events begin with on_usable.
class UpstreamStart {
 public:
  virtual void on_usable(UpstreamConnection& connection) = 0;
  virtual void on_unusable(UpstreamConnection& connection, const Error& error) = 0;  // closed, to be deleted

 protected:
  ~UpstreamStart() = default;
};

// HTTP/2 with prior knowledge, or after ALPN. Usable once the backend's SETTINGS are there: before, nobody
// knows how many streams it takes, nor whether it speaks HTTP/2 at all.
std::unique_ptr<UpstreamConnection> make_http2_upstream(net::Loop& loop,
                                                        std::unique_ptr<net::Transport> transport,
                                                        const UpstreamSettings& settings,
                                                        UpstreamOwner& owner, UpstreamStart& start);

}  // namespace penstock::http
