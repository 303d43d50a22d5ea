#include "http/http2/request_head.h"

#include <algorithm>
#include <cstring>

#include "base/reason.h"
#include "http/http1/framing.h"
#include "http/http1/syntax.h"

namespace penstock::http::http2 {
namespace {

using http1::request_error;

std::unexpected<Error> malformed(std::string_view text) {
  return std::unexpected(request_error(reason::request_malformed, text));
}

std::unexpected<Error> too_large(Limit limit) {
  Error error = request_error(
      limit == Limit::uri_size ? reason::request_uri_too_long : reason::request_header_too_large,
      "the head or the trailers are over their limit");
  error.kind = ErrorKind::limit;
  error.limit = limit;
  return std::unexpected(error);
}

// The bytes that a request line of HTTP/1.1 may have in its target.
bool visible(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f && c != '#'; });
}

void add_copy(Headers& to, std::string_view name, std::string_view value) {
  const HeaderId id = header_id(name);
  Arena& arena = to.arena();
  id == HeaderId::other ? to.add(arena.copy(name), arena.copy(value)) : to.add(id, arena.copy(value));
}

}  // namespace

void RequestHead::add(std::string_view name, std::string_view value) {
  size_ += name.size() + value.size() + field_overhead;
  if (size_ > settings_.header_size) over(Limit::header_size);
  if (message_.headers.size() >= settings_.header_count && !name.starts_with(':')) over(Limit::header_count);
  if (name == ":path" && value.size() > settings_.uri_size) over(Limit::uri_size);
  if (over_ != Limit::none) return;
  if (name.starts_with(':')) return static_cast<void>(add_pseudo(name, value));
  add_copy(message_.headers, name, value);
  if (message_.headers.fields().back().id == HeaderId::cookie) ++cookies_;
}

bool RequestHead::add_pseudo(std::string_view name, std::string_view value) {
  Arena& arena = message_.headers.arena();
  if (name == ":method") {
    message_.method = method_from(value);
    message_.method_text = message_.method == Method::other ? arena.copy(value) : http::name(message_.method);
  } else if (name == ":path") {
    message_.target = arena.copy(value);
  } else if (name == ":authority") {
    authority_ = arena.copy(value);
  } else if (name == ":scheme") {
    scheme_ = arena.copy(value);
  } else if (name == ":protocol") {
    std::span<char> lower = arena.make_array<char>(value.size());
    std::ranges::transform(value, lower.begin(), http1::ascii_lower);
    protocol_ = {lower.data(), lower.size()};
  } else {
    return false;
  }
  return true;
}

// What an HTTP/1.1 request would have said in its first line. A scheme that promises TLS on a connection
// without it is kept in the absolute form, for the decision to refuse.
Result<void> RequestHead::set_target(Channel channel) {
  const bool https = http1::equals_ignoring_case(scheme_, "https");
  if (!https && !http1::equals_ignoring_case(scheme_, "http")) return malformed("a :scheme that is not http");
  if (message_.target.empty() || !visible(message_.target)) return malformed("a byte that no :path may have");
  if (!message_.target.starts_with('/') && message_.target != "*") return malformed("a :path that is none");
  if (https && channel == Channel::plain && message_.target != "*")
    message_.target = message_.headers.arena().join("https://", authority_, message_.target);
  return {};
}

// RFC 9113 8.2.3: above this layer there is one Cookie field.
Result<void> RequestHead::join_cookies() {
  if (cookies_ < 2) return {};
  Headers& headers = message_.headers;
  size_t size = 0;
  for (const Field& field : headers.fields())
    if (field.id == HeaderId::cookie) size += field.value.size() + 2;
  std::span<char> text = headers.arena().make_array<char>(size);
  char* at = text.data();
  for (const Field& field : headers.fields()) {
    if (field.id != HeaderId::cookie || field.value.empty()) continue;
    if (at != text.data()) *at++ = ';', *at++ = ' ';
    std::memcpy(at, field.value.data(), field.value.size());
    at += field.value.size();
  }
  if (at == text.data())
    headers.remove(HeaderId::cookie);
  else
    headers.set(HeaderId::cookie, {text.data(), static_cast<size_t>(at - text.data())});
  return {};
}

// RFC 8441 4: what follows the answer is the protocol's own. Above this layer it is the GET with Upgrade that
// HTTP/1.1 would have sent.
Result<void> RequestHead::ask_for_tunnel(EndStream end) {
  if (!http1::is_token(protocol_)) return malformed("a :protocol that is no token");
  if (end == EndStream::yes) return malformed("a CONNECT that ends with its head");
  if (message_.has_content_length) return malformed("a CONNECT with a length");
  message_.upgrade = protocol_;
  return {};
}

Result<void> RequestHead::finish(EndStream end, Channel channel) {
  message_.version = Version::http_2;
  message_.path = message_.target.substr(0, message_.target.find('?'));  // for the log, if it is refused
  if (over_ != Limit::none) return too_large(over_);
  if (message_.method == Method::connect) {
    if (protocol_.empty())
      return std::unexpected(request_error(reason::request_unsupported_method, "CONNECT"));
    message_.method = Method::get;
    message_.method_text = http::name(Method::get);
  }
  Headers& headers = message_.headers;
  // RFC 9113 8.2.2; the library lets none of them through, and what frames an HTTP/1 message must never
  // depend on that alone.
  constexpr uint64_t refused = http1::connection_fields & ~http1::bit(HeaderId::te) &
                               ~http1::bit(HeaderId::content_length) & ~http1::bit(HeaderId::http2_settings);
  for (const Field& field : headers.fields())
    if (refused & http1::bit(field.id)) return malformed("a field of another connection");
  // RFC 9113 8.3.1: the authority is one thing, said once or twice.
  if (!authority_.empty()) {
    if (const Field* host = headers.find(HeaderId::host)) {
      auto sent = http1::canonical_authority(authority_, headers.arena());
      auto named = http1::canonical_authority(host->value, headers.arena());
      if (!sent || !named || *named != *sent) return malformed("Host is not :authority");
    } else {
      headers.add(HeaderId::host, authority_);  // judged with the rest, below
    }
  }
  if (!headers.find(HeaderId::host)) return malformed("neither :authority nor Host");
  if (auto target = set_target(channel); !target) return target;
  if (auto joined = join_cookies(); !joined) return joined;
  for (const Field& field : headers.fields())
    if (field.id == HeaderId::te) message_.accepts_trailers = true;  // "trailers", or it was refused
  const bool expects = headers.find(HeaderId::expect) != nullptr;
  auto framing = http1::frame_request(message_);
  if (!framing) return std::unexpected(framing.error());
  if (!protocol_.empty()) return ask_for_tunnel(end);
  if (end == EndStream::yes) {
    if (message_.content_length > 0) return malformed("content-length disagrees with the body");
    return {};
  }
  if (message_.method == Method::trace) return malformed("TRACE with a body");  // RFC 9110 9.3.8
  message_.expect_continue = expects && (!message_.has_content_length || message_.content_length > 0);
  message_.body = message_.has_content_length ? BodyKind::length : BodyKind::unknown;
  return {};
}

void RequestTrailers::add(std::string_view name, std::string_view value) {
  size_ += name.size() + value.size() + field_overhead;
  auto over = [this](Limit limit) {
    if (over_ == Limit::none) over_ = limit;
  };
  if (size_ > settings_.trailer_size) over(Limit::trailer_size);
  if (trailers_.size() >= settings_.trailer_count) over(Limit::trailer_count);
  if (over_ == Limit::none) add_copy(trailers_, name, value);
}

Result<void> RequestTrailers::finish() {
  if (over_ != Limit::none) return too_large(over_);
  return http1::check_trailers(trailers_, http1::Side::request);
}

}  // namespace penstock::http::http2
