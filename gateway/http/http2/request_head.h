// A request's head from HTTP/2 fields: collects them within the listener's limits and makes of them the
// Message that a request of HTTP/1.1 would have been, judged by the same rules (http1/framing). The library
// has refused already what RFC 9113 8.1-8.3 calls malformed; what this says beyond it is in finish(). Member
// of a stream; the text lies in the stream's arena.
#pragma once
#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "http/connection.h"
#include "http/message.h"

namespace penstock::http::http2 {

// RFC 9113 6.5.2: what a field counts for beside its text.
inline constexpr size_t field_overhead = 32;

class RequestHead {
 public:
  RequestHead(Message& message, const DownstreamSettings& settings)
      : message_(message), settings_(settings) {}

  // Views that end with the call.
  void add(std::string_view name, std::string_view value);
  // Bytes of all its fields so far, those that were not kept included.
  size_t size() const { return size_; }
  // All fields are there. EndStream::yes: no body follows. `secure`: it came over TLS.
  enum class Channel : uint8_t { plain, secure };
  Result<void> finish(EndStream end, Channel channel);

 private:
  bool add_pseudo(std::string_view name, std::string_view value);
  void over(Limit limit) {
    if (over_ == Limit::none) over_ = limit;
  }
  Result<void> set_target(Channel channel);
  Result<void> ask_for_tunnel(EndStream end);
  Result<void> join_cookies();

  Message& message_;
  const DownstreamSettings& settings_;
  std::string_view scheme_, authority_, protocol_;
  size_t size_ = 0;
  uint32_t cookies_ = 0;
  Limit over_ = Limit::none;
};

// Trailers within the listener's limits; a field after another by add_trailer(), then the rules of RFC 9110
// 6.5.1 by finish_trailers().
class RequestTrailers {
 public:
  RequestTrailers(Headers& trailers, const DownstreamSettings& settings)
      : trailers_(trailers), settings_(settings) {}
  void add(std::string_view name, std::string_view value);
  size_t size() const { return size_; }
  Result<void> finish();

 private:
  Headers& trailers_;
  const DownstreamSettings& settings_;
  size_t size_ = 0;
  Limit over_ = Limit::none;
};

}  // namespace penstock::http::http2
