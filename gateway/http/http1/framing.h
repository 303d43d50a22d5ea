// The only place that decides where an HTTP/1 message ends and what its head means for the connection (RFC
// 9112 sections 2, 3, 6, 7 and 9). Pure functions over parsed lines and fields: no I/O, no llhttp, no state.
// Where the RFC allows a choice the strict one is taken: two sources of length, any length field not in
// plain form and any coding but a single "chunked" are refused, never repaired.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"
#include "http/message.h"

namespace penstock::http::http1 {

enum class BodyEnd : uint8_t { none, length, chunked, close, tunnel };

struct Framing {
  BodyEnd body = BodyEnd::none;
  uint64_t length = 0;      // with BodyEnd::length; never 0
  bool persistent = false;  // the peer will take another message on this connection
};

// Lines come without their CRLF. The views of the result point into the line.
struct RequestLine {
  std::string_view method;
  std::string_view target;
  Version version = Version::http_1_1;
};
// method SP target SP HTTP/1.(0|1), single blanks, visible ASCII alone. A method that is a token passes,
// known or not.
Result<RequestLine> read_request_line(std::string_view line);

struct StatusLine {
  uint16_t status = 0;
  std::string_view text;
  Version version = Version::http_1_1;
};
Result<StatusLine> read_status_line(std::string_view line);

// What a response answers: HEAD has no body, and 101 is valid only for what was asked.
struct Asked {
  Method method = Method::get;
  std::string_view upgrade;
};

// head: method, target, version and all fields as received, names in lower case. Fills in authority, path,
// query, body, length, expectation and upgrade, and takes the connection's own fields out of head.headers.
// The error of a request says request.*, that of a response upstream.protocol.
Result<Framing> frame_request(Message& head);
// A 1xx other than 101 comes back with BodyEnd::none.
Result<Framing> frame_response(Message& head, const Asked& asked);

// Trailers are not headers (RFC 9110 6.5.1): a name that steers framing, or looks as if, is an error, one
// that steers routing, authentication, caching or the content's form is dropped, and so is one that
// Connection named (7.6.1): `nominating` is the head's.
enum class Side : uint8_t { request, response };
Result<void> check_trailers(Headers& trailers, Side side, std::span<const std::string_view> nominating = {});

// The chunked coding (RFC 9112 7.1) up to the end of the last chunk's line; what follows are trailers. Sizes
// have 63 bits. Extensions are read by their grammar, the blanks that old senders put there (BWS, RFC 9112
// 7.1.1) included, and dropped; they are bounded a line and, against the data, a message.
class ChunkReader {
 public:
  enum class Found : uint8_t { more, data, last, error };
  // Takes what it reads off the front of `input`; `data` is part of it.
  Found next(std::string_view& input, std::string_view& data);
  std::string_view error() const { return error_; }

 private:
  enum class State : uint8_t {
    size_begin,
    size,
    name_begin,
    name,
    value_begin,
    value,
    quoted,
    escaped,
    value_end,
    name_blank,  // BWS before "=" or ";"
    blank,       // and before ";" alone
    line_end,
    data,
    data_cr,
    data_lf,
    over,
    failed
  };
  State step(char c);
  State add_digit(char c);
  State behind_extension(char c);
  State fail(std::string_view text);

  State state_ = State::size_begin;
  uint32_t line_ = 0;      // bytes of the line that is being read
  uint32_t overhead_ = 0;  // bytes of long lines that no data made up for
  uint64_t left_ = 0;      // of the chunk
  std::string_view error_;
};

// The errors that this layer makes; `text` is static.
Error request_error(std::string_view reason, std::string_view text);
Error response_error(std::string_view text);

// Fields that describe one connection or are written from other members of Message; never forwarded as they
// came.
inline constexpr uint64_t bit(HeaderId id) { return uint64_t{1} << static_cast<unsigned>(id); }
static_assert(static_cast<unsigned>(HeaderId::count_) <= 64);
inline constexpr uint64_t connection_fields = bit(HeaderId::connection) | bit(HeaderId::content_length) |
                                              bit(HeaderId::transfer_encoding) | bit(HeaderId::te) |
                                              bit(HeaderId::keep_alive) | bit(HeaderId::proxy_connection) |
                                              bit(HeaderId::upgrade) | bit(HeaderId::http2_settings);
inline constexpr uint64_t request_fields = connection_fields | bit(HeaderId::host) | bit(HeaderId::expect);

}  // namespace penstock::http::http1
