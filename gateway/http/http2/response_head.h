// An answer's head and trailers from HTTP/2 fields: collects them within the upstream's limits and makes of
// them the Message that an answer of HTTP/1.1 would have been, judged by the same rules (http1/framing). The
// library has refused already what RFC 9113 8.1-8.3 calls malformed. Members of a stream; the text lies in
// the stream's arena.
#pragma once
#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "http/connection.h"
#include "http/http1/framing.h"
#include "http/message.h"

namespace penstock::http::http2 {

class ResponseHead {
 public:
  ResponseHead(Message& message, const UpstreamSettings& settings) : message_(message), settings_(settings) {}

  // Views that end with the call.
  void add(std::string_view name, std::string_view value);
  // Bytes of the fields of all heads so far, interim ones and those that were not kept included.
  size_t size() const { return size_; }
  // All fields are there. EndStream::yes: no body follows. A tunnel that was asked for and is made is a 101,
  // as in HTTP/1.1.
  Result<void> finish(const http1::Asked& asked, EndStream end);

 private:
  void begin_tunnel(const http1::Asked& asked);
  Result<void> set_body(const http1::Asked& asked, EndStream end);

  Message& message_;
  const UpstreamSettings& settings_;
  size_t size_ = 0;
  Limit over_ = Limit::none;
};

class ResponseTrailers {
 public:
  ResponseTrailers(Headers& trailers, const UpstreamSettings& settings)
      : trailers_(trailers), settings_(settings) {}
  void add(std::string_view name, std::string_view value);
  size_t size() const { return size_; }
  Result<void> finish();

 private:
  Headers& trailers_;
  const UpstreamSettings& settings_;
  size_t size_ = 0;
  Limit over_ = Limit::none;
};

}  // namespace penstock::http::http2
