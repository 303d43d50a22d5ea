// One request and its response on a connection: the same interface for the client's and the backend's side
// and for every HTTP version. Owned by its connection; borrowed by the one StreamHandler (an exchange) that
// was given it. Everything happens on the connection's loop thread.
//
// Events come in this order, each at most once but on_data, on_informational, on_turn_end and on_drained:
//   downstream: (on_head | on_bad_head) -> on_data* -> (on_trailers? -> on_end | on_bad_body)
//   upstream:   on_informational* -> on_head -> on_data* -> on_trailers? -> on_end
// on_reset may come at any point instead of what is left and is then the last event: the stream is gone.
// Otherwise the handler calls release() exactly once, after which the stream is gone for it and no event
// comes. A handler may call any function of either stream inside any event, release() included.
//
// After a 101 both sides are tunnels: on_data and send_data carry the protocol's own bytes, on_end is the
// peer's FIN and send_end ours.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/arena.h"
#include "base/pause.h"
#include "base/result.h"
#include "http/message.h"

namespace penstock::net {
class Transport;
struct Address;
struct TlsInfo;
}  // namespace penstock::net

namespace penstock::http {

class Stream;

enum class EndStream : uint8_t { no, yes };

class StreamHandler {
 public:
  // The request head, or the final response head (a 101 too). `head` and its views live in the stream's arena
  // until release(); the handler may edit it. EndStream::yes: no body follows and on_end is not called.
  virtual void on_head(Message& head, EndStream end) = 0;
  // Downstream only: the head could not be read. error.reason says why; `head` holds what was understood
  // (maybe nothing). The handler answers and releases; the connection closes after the answer.
  virtual void on_bad_head(const Error& error, Message& head) = 0;
  // Downstream only, before any byte of an answer: the body breaks the rules or stopped coming. The handler
  // answers and releases, as after on_bad_head; one that does neither has lost the stream as by on_reset.
  virtual void on_bad_body(const Error& error) { on_reset(error); }
  virtual void on_informational(Message& head) = 0;  // 1xx other than 101; views valid until it returns
  // Body bytes, never empty. Valid until on_turn_end() of the same turn, so that they can be lent to
  // send_data().
  virtual void on_data(std::string_view bytes) = 0;
  // Asked before each read of a long body whose length is known: the stream whose body it is, as it is, so
  // that it can go there within the kernel. Null: it comes to on_data.
  virtual Stream* splice_sink() { return nullptr; }
  // So many body bytes went there; the sink is to be told by spliced(). on_turn_end() follows. Nothing may be
  // released here.
  virtual void on_spliced(size_t /*bytes*/) {}
  virtual void on_trailers(Headers& trailers) = 0;  // views live until release()
  virtual void on_end() = 0;
  // All that came with one read was delivered: flush() what was lent, the bytes go away now.
  virtual void on_turn_end() = 0;
  // unsent() fell under the low mark after it had been over the high mark.
  virtual void on_drained() = 0;
  // Lost: the peer closed or reset, broke the protocol, or a connection timeout struck (header, body, idle).
  // Last event.
  virtual void on_reset(const Error& error) = 0;
  // Bytes held on the other side for this stream, roughly.
  virtual size_t held_bytes() const { return 0; }
  // Of what on_data brought, the bytes that have not left on the other side yet, roughly.
  virtual size_t undelivered() const { return 0; }
  // Bytes that the other side has taken of it: what becomes more while its body goes on. A system call.
  virtual uint64_t bytes_taken() const { return 0; }

 protected:
  ~StreamHandler() = default;
};

class Stream {
 public:
  // --- sending; the order is send_informational*, send_head, send_data*, (send_trailers | send_end) ---
  virtual void send_informational(
      const Message& head) = 0;  // downstream; dropped for HTTP/1.0 clients (RFC 9110 15.2)
  // Serialised at once; `head` may change afterwards. EndStream::yes ends the sending side.
  virtual void send_head(const Message& head, EndStream end) = 0;
  // Lent, not copied: must stay valid until flush() returns. More bytes than a declared length are never
  // sent: the stream is reset instead.
  virtual void send_data(std::string_view bytes) = 0;
  virtual void send_trailers(const Headers& trailers) = 0;  // ends; left out where the peer cannot take them
  virtual void send_end() = 0;                    // fewer bytes than declared: reset, never a short body
  virtual void flush() = 0;                       // one write for all of the above
  virtual size_t unsent() const = 0;              // bytes accepted and not yet with the kernel
  static constexpr size_t high_mark = 64 * 1024;  // over it the sender pauses its source
  // Where another stream's body can go as it is, of which just so many bytes are to be sent; null: nowhere.
  virtual net::Transport* splice_end(uint64_t /*bytes*/) { return nullptr; }
  // Those that went there. They count as sent.
  virtual void spliced(size_t /*bytes*/) {}

  // --- receiving; pausing stops the next read: what the last one brought is still delivered (at most
  // Loop::read_buffer_size bytes, and the end) ---
  virtual void pause(PauseReason reason) = 0;
  virtual void resume(PauseReason reason) = 0;

  // The handler is done with this stream. Both directions ended: the connection serves on. Anything still
  // open: the peer sees it as cut (HTTP/1: the connection closes, after a finished response gracefully so
  // that it arrives).
  virtual void release() = 0;
  // As release(), but the peer must see a broken transfer even if it would look whole. A response that was
  // not begun is not answered at all.
  virtual void reset() = 0;
  // Downstream: the connection is to end: this answer is its last one (HTTP/1), or those under way are
  // (HTTP/2). Before send_head.
  virtual void close_after() = 0;
  // Downstream: what is still to come of this request is not read as such. HTTP/1: as close_after().
  virtual void refuse_rest() { close_after(); }
  // Downstream: body bytes that the request may have in all, for what is still read of it after its answer:
  // one that goes on over them is the connection's last. Before release().
  virtual void limit_body(uint64_t /*bytes*/) {}
  // Downstream: its body comes when its sender has something to say: neither body_timeout nor min_body_rate
  // hold, and whoever called this bounds the time. Its connection still gives way at a full listener, as the
  // last of those that wait for their clients. HTTP/2 alone.
  virtual void lift_body_pace() {}
  // Downstream: the backend's work for it was stopped by what its client asked for. HTTP/2 counts it as if
  // the client had reset it. Before send_head.
  virtual void count_as_reset() {}

  // --- facts ---
  virtual Arena& arena() = 0;  // freed at release()
  virtual Version version() const = 0;
  virtual const net::Address& peer() const = 0;
  virtual const net::Address& local() const = 0;
  virtual const net::TlsInfo* tls() const = 0;
  // upstream: not its connection's first stream, so that the connection may have been gone; or taken back by
  // it.
  virtual bool reused() const = 0;
  virtual bool any_byte_received() const = 0;  // upstream: of the response
  virtual bool any_byte_sent() const = 0;      // bytes handed to the kernel for this stream
  virtual uint64_t bytes_written() const = 0;  // handed to the kernel on the stream's connection, framing too
  virtual uint64_t bytes_taken() const = 0;    // by the peer's kernel, of bytes_written(). A system call
  // Downstream: by the peer of what goes before this stream's bytes on its connection; more and more while
  // they wait for nothing but their turn. 0: they wait for nobody.
  virtual uint64_t bytes_taken_before() const { return 0; }
  virtual uint64_t bytes_received() const = 0;  // body bytes
  virtual uint64_t bytes_sent() const = 0;      // body bytes accepted by send_data
  virtual uint64_t started_ms() const = 0;      // downstream: first byte of the head (Loop::now_ms)

 protected:
  ~Stream() = default;
};

}  // namespace penstock::http
