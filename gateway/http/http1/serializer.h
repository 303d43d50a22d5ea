// Writes HTTP/1.1 messages anew into a transport: nothing that was received as framing is ever passed on, and
// the fields of the connection come from Message's members alone. The head functions also decide how the
// body will be delimited. Members of a connection; bytes leave with the transport's flush().
#pragma once
#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "http/http1/framing.h"
#include "http/message.h"
#include "http/stream.h"
#include "net/transport.h"

namespace penstock::http::http1 {

// The body of one message on its way out.
class BodyWriter {
 public:
  // After a head. discard: the message has no body whatever is sent (HEAD, 204, 304).
  enum class Body : uint8_t { sent, discarded };
  void begin(BodyEnd end, uint64_t length, Body body);
  void reset() { *this = {}; }

  // False: the declared length was passed or not reached; nothing was written and the message is lost.
  [[nodiscard]] bool data(net::Transport& to, std::string_view bytes);  // borrowed until the flush
  [[nodiscard]] bool end(net::Transport& to);
  [[nodiscard]] bool trailers(net::Transport& to, const Headers& trailers);
  // Closes the chunk that is open, so that its last byte does not wait for the next one.
  void before_flush(net::Transport& to);

  bool begun() const { return state_ != State::idle; }
  bool ended() const { return state_ == State::ended; }
  // Whether the peer would notice if the connection closed now.
  bool cut_shows() const {
    return state_ == State::open && body_ == Body::sent &&
           (kind_ == BodyEnd::chunked || (kind_ == BodyEnd::length && remaining_ > 0));
  }
  BodyEnd kind() const { return kind_; }
  // Of a body by length that goes to the peer, what is still to be sent; 0 for every other.
  uint64_t left() const {
    return state_ == State::open && kind_ == BodyEnd::length && body_ == Body::sent ? remaining_ : 0;
  }
  // So much of that has gone another way.
  void skip(uint64_t bytes) {
    remaining_ -= bytes;
    sent_ += bytes;
  }
  uint64_t sent() const { return sent_; }

 private:
  enum class State : uint8_t { idle, open, ended };
  State state_ = State::idle;
  BodyEnd kind_ = BodyEnd::none;
  Body body_ = Body::sent;
  bool chunk_open_ = false;  // the CRLF behind the last chunk is still owed
  uint64_t remaining_ = 0;
  uint64_t sent_ = 0;
};

// What a response answers and what becomes of the connection.
struct Answer {
  Method method = Method::get;
  Version version = Version::http_1_1;
  bool persistent = true;
  std::string_view upgrade;  // what the request asked for
  int64_t wall_ns = 0;       // for Date
};

// False: the message cannot be written as one unambiguous head (a control byte in a field, a length with
// EndStream::yes, a 101 that was not asked for). The connection must then be aborted without a flush.
[[nodiscard]] bool write_request(net::Transport& to, const Message& head, EndStream end, BodyWriter& body);
[[nodiscard]] bool write_response(net::Transport& to, const Message& head, EndStream end,
                                  const Answer& answer, BodyWriter& body);
[[nodiscard]] bool write_informational(net::Transport& to, const Message& head);

// IMF-fixdate (RFC 9110 5.6.7), 29 bytes. Computed anew each time: it costs less than looking after a cache.
constexpr size_t date_size = 29;
void write_date(int64_t unix_seconds, char* out);

}  // namespace penstock::http::http1
