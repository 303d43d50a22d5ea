// The head of a request or a response, the same for HTTP/1.1 and HTTP/2. Connection-level matters are not in
// it: the http1 and http2 layers take Host, Content-Length, Transfer-Encoding, Connection and what it names,
// TE, Keep-Alive, Proxy-Connection and Upgrade out of `headers` while reading and write them anew while
// sending (RFC 9110 7.6.1). All views lie in the stream's arena.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "http/headers.h"

namespace penstock::http {

enum class Method : uint8_t { get, head, post, put, delete_, options, patch, trace, connect, other };
std::string_view name(Method method);
Method method_from(std::string_view token);
// RFC 9110 9.2.2: repeating it has the effect of doing it once.
bool idempotent(Method method);

enum class Version : uint8_t { http_1_0, http_1_1, http_2 };
std::string_view name(Version version);  // "1.0", "1.1" or "2", as OpenTelemetry's network.protocol.version

// How the body's end is known. until_close: HTTP/1.0 style responses. unknown: chunked, or HTTP/2 without a
// length.
enum class BodyKind : uint8_t { none, length, unknown, until_close };

struct Message {
  explicit Message(Arena& arena) : headers(arena) {}

  // request
  Method method = Method::get;
  std::string_view method_text;  // as sent; also for Method::other
  std::string_view target;       // as sent
  std::string_view authority;    // host[:port] of the target or Host, lower case
  std::string_view path;         // of the target, as sent; "*" for OPTIONS *
  std::string_view query;        // behind '?', as sent
  bool has_query = false;        // "/a?" has an empty query
  bool expect_continue = false;
  // response
  uint16_t status = 0;
  std::string_view status_text;  // reason phrase; may be empty

  Version version = Version::http_1_1;
  BodyKind body = BodyKind::none;
  // With BodyKind::length the body's size; 0 where HTTP/2 has said no more than that, and trailers may
  // follow. A response to HEAD and a 304 may have a length and no body: has_content_length with
  // BodyKind::none.
  bool has_content_length = false;
  uint64_t content_length = 0;
  // The one protocol that Upgrade asks for (request) or that a 101 switches to; empty without one. Lower
  // case.
  std::string_view upgrade;
  bool accepts_trailers = false;  // "TE: trailers"
  // The values of Connection fields that name others; those are gone from `headers` and must not come back as
  // trailers.
  std::span<const std::string_view> nominating;
  Headers headers;

  // Empty as made, for the next message; the arena was or will be reset.
  void reset() {
    method = Method::get;
    method_text = target = authority = path = query = status_text = upgrade = {};
    has_query = expect_continue = has_content_length = accepts_trailers = false;
    status = 0;
    version = Version::http_1_1;
    body = BodyKind::none;
    content_length = 0;
    nominating = {};
    headers.reset();
  }
};

}  // namespace penstock::http
