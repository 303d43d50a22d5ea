#include "http/http2/response_head.h"

#include "base/reason.h"
#include "http/http1/syntax.h"
#include "http/http2/request_head.h"

namespace penstock::http::http2 {
namespace {

using http1::bit;
using http1::response_error;

std::unexpected<Error> malformed(std::string_view text) { return std::unexpected(response_error(text)); }

std::unexpected<Error> too_large(Limit limit) {
  Error error = response_error("the head or the trailers are over their limit");
  error.kind = ErrorKind::limit;
  error.reason = reason::upstream_too_large;
  error.limit = limit;
  return std::unexpected(error);
}

void add_copy(Headers& to, std::string_view name, std::string_view value) {
  const HeaderId id = header_id(name);
  Arena& arena = to.arena();
  id == HeaderId::other ? to.add(arena.copy(name), arena.copy(value)) : to.add(id, arena.copy(value));
}

}  // namespace

void ResponseHead::add(std::string_view name, std::string_view value) {
  size_ += name.size() + value.size() + field_overhead;
  if (size_ > settings_.header_size) over_ = Limit::upstream_header_size;
  if (name == ":status") {
    message_.status = static_cast<uint16_t>(http1::decimal(value).value_or(0));
    return;
  }
  if (message_.headers.size() >= settings_.header_count) over_ = Limit::upstream_header_count;
  if (over_ == Limit::none) add_copy(message_.headers, name, value);
}

Result<void> ResponseHead::finish(const http1::Asked& asked, EndStream end) {
  message_.version = Version::http_2;
  if (over_ != Limit::none) return too_large(over_);
  if (message_.status < 100 || message_.status > 599)
    return malformed("the status is not between 100 and 599");
  if (message_.status == 101) return malformed("101 in HTTP/2");  // RFC 9113 8.6
  const bool interim = message_.status < 200;
  if (interim && end == EndStream::yes) return malformed("an interim answer that is the last");
  Headers& headers = message_.headers;
  // RFC 9113 8.2.2; the library lets none of them through, and what frames an HTTP/1 message must never
  // depend on that alone.
  constexpr uint64_t refused = http1::connection_fields & ~bit(HeaderId::content_length);
  for (const Field& field : headers.fields())
    if (refused & bit(field.id)) return malformed("a field of another connection");
  if (auto framing = http1::frame_response(message_, asked); !framing)
    return std::unexpected(framing.error());
  if (interim) return {};
  if (!asked.upgrade.empty() && message_.status < 300) {
    begin_tunnel(asked);
    return {};
  }
  return set_body(asked, end);
}

// RFC 8441 5: a 2xx is the 101 of HTTP/1.1, and has no use for what proves that one.
void ResponseHead::begin_tunnel(const http1::Asked& asked) {
  message_.status = 101;
  message_.status_text = {};
  message_.upgrade = asked.upgrade;
  message_.body = BodyKind::none;
  message_.has_content_length = false;
  message_.content_length = 0;
  message_.headers.remove(HeaderId::sec_websocket_accept);
}

Result<void> ResponseHead::set_body(const http1::Asked& asked, EndStream end) {
  if (end == EndStream::yes) {
    if (message_.body == BodyKind::length) return malformed("content-length disagrees with the body");
    message_.body = BodyKind::none;
    return {};
  }
  // RFC 9110 9.3.2, 15.3.5, 15.4.5: over with their head, whatever comes behind it.
  const bool bodyless = asked.method == Method::head || message_.status == 204 || message_.status == 304;
  if (message_.body == BodyKind::until_close)
    message_.body = BodyKind::unknown;
  else if (message_.body == BodyKind::none && !bodyless)
    message_.body = BodyKind::length;  // of 0 bytes; trailers may still come
  return {};
}

void ResponseTrailers::add(std::string_view name, std::string_view value) {
  size_ += name.size() + value.size() + field_overhead;
  if (size_ > settings_.trailer_size) over_ = Limit::upstream_trailer_size;
  if (trailers_.size() >= settings_.trailer_count) over_ = Limit::upstream_trailer_count;
  if (over_ == Limit::none) add_copy(trailers_, name, value);
}

Result<void> ResponseTrailers::finish() {
  if (over_ != Limit::none) return too_large(over_);
  return http1::check_trailers(trailers_, http1::Side::response);
}

}  // namespace penstock::http::http2
