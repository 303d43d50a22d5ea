#include "http/http1/framing.h"

#include <algorithm>
#include <array>

#include "base/reason.h"
#include "http/http1/syntax.h"

namespace penstock::http::http1 {
namespace {

using enum HeaderId;

// More options than any real peer sends; bounds the work of removing what they name.
constexpr size_t max_connection_options = 32;

std::unexpected<Error> malformed(std::string_view text) {
  return std::unexpected(request_error(reason::request_malformed, text));
}

// What both directions read from the fields before anything is decided.
struct Fields {
  const Field* length = nullptr;
  const Field* coding = nullptr;
  const Field* host = nullptr;
  const Field* upgrade = nullptr;
  bool repeated_length = false, repeated_coding = false, repeated_host = false;
  bool look_alike = false;
  bool close = false, keep_alive = false, upgrade_option = false;
  size_t options = 0;         // in all Connection fields
  bool nominates = false;     // options name further fields
  const char* bad = nullptr;  // text of the first error
};

// RFC 9110 7.6.1: the fields that Connection names go. Naming one that frames or routes the message would
// make the next hop read another message, so that is refused. Transfer-Encoding and Trailer are of this
// connection alone, and some backends name them, which changes nothing. In a request it is the mark of
// somebody who wants them to be overlooked.
void read_connection(std::string_view value, Side side, Fields& seen) {
  static constexpr std::array<std::string_view, 6> steering{
      "transfer-encoding", "trailer", "content-length", "host", "content-type", "expect"};
  auto refused = std::span(steering).subspan(side == Side::response ? 2 : 0);
  ListReader list(value);
  for (std::string_view option; list.next(option);) {
    if (!is_token(option)) seen.bad = "Connection is not a list of tokens";
    if (++seen.options > max_connection_options) seen.bad = "too many Connection options";
    if (equals_ignoring_case(option, "close")) {
      seen.close = true;
    } else if (equals_ignoring_case(option, "keep-alive")) {
      seen.keep_alive = true;
    } else if (equals_ignoring_case(option, "upgrade")) {
      seen.upgrade_option = true;
    } else if (std::ranges::any_of(refused, [&](auto name) { return equals_ignoring_case(option, name); })) {
      seen.bad = "Connection names a field that frames or routes the message";
    } else {
      seen.nominates = true;
    }
    if (seen.bad) return;
  }
}

// A backend that maps names to variables reads these as the real ones.
bool looks_like_framing(std::string_view name) {
  return name == "content_length" || name == "transfer_encoding";
}

Fields read_fields(const Headers& headers, Side side) {
  Fields seen;
  auto once = [](const Field*& slot, bool& repeated, const Field& field) {
    repeated |= slot != nullptr;
    slot = &field;
  };
  for (const Field& field : headers.fields()) {
    switch (field.id) {
      case content_length: once(seen.length, seen.repeated_length, field); break;
      case transfer_encoding: once(seen.coding, seen.repeated_coding, field); break;
      case host: once(seen.host, seen.repeated_host, field); break;
      case upgrade:
        if (!seen.upgrade) seen.upgrade = &field;
        break;
      case connection: read_connection(field.value, side, seen); break;
      case other: seen.look_alike |= looks_like_framing(field.name); break;
      default: break;
    }
    if (seen.bad) break;
  }
  if (seen.repeated_length) seen.bad = "Content-Length is repeated";
  if (seen.repeated_coding) seen.bad = "Transfer-Encoding is repeated";
  if (seen.length && seen.coding) seen.bad = "Content-Length and Transfer-Encoding";
  if (seen.look_alike) seen.bad = "a field name that looks like a framing field";
  return seen;
}

bool named_by_connection(std::string_view name, std::span<const std::string_view> values) {
  for (std::string_view value : values) {
    ListReader list(value);
    for (std::string_view option; list.next(option);)
      if (equals_ignoring_case(option, name)) return true;
  }
  return false;
}

void remove_connection_fields(Message& head, const Fields& seen, uint64_t gone) {
  Headers& headers = head.headers;
  if (!seen.nominates) {
    headers.remove_if([&](const Field& field) { return (gone & bit(field.id)) != 0; });
    return;
  }
  std::span<std::string_view> values = headers.arena().make_array<std::string_view>(max_connection_options);
  size_t count = 0;
  for (const Field& field : headers.fields()) {
    std::string_view option;  // a value without any would only use up the room
    if (field.id == connection && ListReader(field.value).next(option)) values[count++] = field.value;
  }
  head.nominating = values.first(count);
  headers.remove_if([&](const Field& field) {
    return (gone & bit(field.id)) || named_by_connection(field.name, head.nominating);
  });
}

std::string_view lower_copy(std::string_view text, Arena& arena) {
  std::span<char> out = arena.make_array<char>(text.size());
  std::ranges::transform(text, out.begin(), ascii_lower);
  return {out.data(), out.size()};
}

// protocol-name ["/" protocol-version] (RFC 9110 7.8)
bool is_protocol(std::string_view text) {
  size_t slash = text.find('/');
  return is_token(text.substr(0, slash)) &&
         (slash == std::string_view::npos || is_token(text.substr(slash + 1)));
}

bool is_protocol_list(std::string_view text) {
  ListReader list(text);
  bool any = false;
  for (std::string_view protocol; list.next(protocol); any = true)
    if (!is_protocol(protocol)) return false;
  return any;
}

// One source of length in plain form, or none. Fills in what the message says about its body.
struct Declared {
  bool chunked = false;
  bool has_length = false;
  uint64_t length = 0;
  const char* bad = nullptr;
};
Declared declared_body(const Fields& seen, Version version) {
  Declared out;
  if (seen.coding) {
    // RFC 9112 6.1: a coding in HTTP/1.0 means that somebody on the way did not understand it.
    if (version == Version::http_1_0) out.bad = "Transfer-Encoding in HTTP/1.0";
    if (!equals_ignoring_case(seen.coding->value, "chunked"))
      out.bad = "a transfer coding other than chunked";
    out.chunked = true;
  } else if (seen.length) {
    auto length = decimal(seen.length->value);
    if (!length) out.bad = "Content-Length is not a plain number";
    out.has_length = true;
    out.length = length.value_or(0);
  }
  return out;
}

bool persistent(const Fields& seen, Version version) {
  return !seen.close && (version != Version::http_1_0 || seen.keep_alive);  // RFC 9112 9.3
}

// Trailer, where none can come: in HTTP/1 without chunks (RFC 9112 7.1.2).
uint64_t untrue_trailer(const Message& head, const Declared& declared) {
  return declared.chunked || head.version == Version::http_2 ? 0 : bit(HeaderId::trailer);
}

void split_query(Message& head, std::string_view from_path) {
  size_t mark = from_path.find('?');
  head.path = from_path.substr(0, mark);
  head.has_query = mark != std::string_view::npos;
  head.query = head.has_query ? from_path.substr(mark + 1) : std::string_view{};
}

// RFC 9112 3.2: origin-form, absolute-form, and asterisk-form for OPTIONS. Nothing else reaches a gateway.
Result<void> read_target(Message& head) {
  std::string_view target = head.target;
  if (target.starts_with('/')) {
    split_query(head, target);
    return {};
  }
  if (target == "*") {
    if (head.method != Method::options) return malformed("asterisk-form outside of OPTIONS");
    head.path = target;
    return {};
  }
  size_t scheme = target.find("://");
  if (scheme == std::string_view::npos || !(equals_ignoring_case(target.substr(0, scheme), "http") ||
                                            equals_ignoring_case(target.substr(0, scheme), "https")))
    return malformed("the request target has no form that a gateway takes");
  std::string_view rest = target.substr(scheme + 3);
  size_t end = std::min(rest.find_first_of("/?"), rest.size());
  auto authority = canonical_authority(rest.substr(0, end), head.headers.arena());
  if (!authority) return malformed("the authority of the request target is not valid");
  head.authority = *authority;
  split_query(head, rest.substr(end));
  if (head.path.empty())  // RFC 9112 3.2.4: OPTIONS without a path means the server as a whole
    head.path = head.method == Method::options && !head.has_query ? "*" : "/";
  return {};
}

// RFC 9112 3.2 and 3.2.2: exactly one valid Host in HTTP/1.1; the authority of the target wins over it.
Result<void> read_host(Message& head, const Fields& seen) {
  if (seen.repeated_host) return malformed("Host is repeated");
  if (!seen.host) {
    if (head.version == Version::http_1_1) return malformed("Host is missing");
    return {};
  }
  auto authority = canonical_authority(seen.host->value, head.headers.arena());
  if (!authority) return malformed("Host is not valid");
  if (head.authority.empty()) head.authority = *authority;
  return {};
}

Result<void> read_expect(Message& head) {
  for (const Field& field : head.headers.fields()) {
    if (field.id != expect) continue;
    if (!equals_ignoring_case(field.value, "100-continue"))
      return std::unexpected(
          request_error(reason::request_expectation, "Expect asks for something other than 100-continue"));
    // RFC 9110 10.1.1: ignored from HTTP/1.0 clients and without a body.
    head.expect_continue = head.version == Version::http_1_1 && head.body != BodyKind::none;
  }
  return {};
}

// Only the first protocol is kept, h2c never: behind it every request would go past the plugins. Without the
// connection option the field was not meant for us (RFC 9110 7.8). With a body the field is ignored: a server
// may, and the switch would come in the middle of it.
Result<void> read_upgrade(Message& head, const Fields& seen) {
  if (!seen.upgrade) return {};
  ListReader list(seen.upgrade->value);
  std::string_view first;
  for (std::string_view protocol; list.next(protocol);) {
    if (!is_protocol(protocol)) return malformed("Upgrade is not a list of protocols");
    if (first.empty() && !equals_ignoring_case(protocol, "h2c")) first = protocol;
  }
  if (seen.upgrade_option && head.version == Version::http_1_1 && head.body == BodyKind::none)
    head.upgrade = lower_copy(first, head.headers.arena());
  return {};
}

void read_te(Message& head) {
  for (const Field& field : head.headers.fields()) {
    if (field.id != te) continue;
    ListReader list(field.value);
    for (std::string_view element; list.next(element);)
      head.accepts_trailers |= equals_ignoring_case(trim(element.substr(0, element.find(';'))), "trailers");
  }
}

void set_body(Message& head, Framing& framing, const Declared& declared) {
  head.has_content_length = declared.has_length;
  head.content_length = declared.length;
  head.body = BodyKind::none;
  if (declared.chunked) {
    head.body = BodyKind::unknown;
    framing.body = BodyEnd::chunked;
  } else if (declared.length > 0) {
    head.body = BodyKind::length;
    framing.body = BodyEnd::length;
    framing.length = declared.length;
  }
}

}  // namespace

Error request_error(std::string_view reason, std::string_view text) {
  return {ErrorKind::protocol, ErrorSource::downstream, Retry::no, reason, text};
}

Error response_error(std::string_view text) {
  return {ErrorKind::protocol, ErrorSource::upstream, Retry::no, reason::upstream_protocol, text};
}

Result<RequestLine> read_request_line(std::string_view line) {
  size_t first = line.find(' ');
  if (first == std::string_view::npos) return malformed("the request line has no target");
  RequestLine out;
  out.method = line.substr(0, first);
  if (!is_token(out.method)) return malformed("the method is not a token");
  size_t second = line.find(' ', first + 1);
  if (second == std::string_view::npos) return malformed("the request line has no version");
  out.target = line.substr(first + 1, second - first - 1);
  if (out.target.empty()) return malformed("two blanks in the request line");
  auto visible = [](char c) { return c > 0x20 && c < 0x7f && c != '#'; };
  if (!std::ranges::all_of(out.target, visible)) return malformed("a byte that no request target may have");
  std::string_view version = line.substr(second + 1);
  if (version == "HTTP/1.1") {
    out.version = Version::http_1_1;
  } else if (version == "HTTP/1.0") {
    out.version = Version::http_1_0;
  } else {
    return malformed("the version is not HTTP/1.0 or HTTP/1.1");
  }
  return out;
}

Result<StatusLine> read_status_line(std::string_view line) {
  StatusLine out;
  if (line.starts_with("HTTP/1.1 ")) {
    out.version = Version::http_1_1;
  } else if (line.starts_with("HTTP/1.0 ")) {
    out.version = Version::http_1_0;
  } else {
    return std::unexpected(response_error("the status line does not begin with HTTP/1.0 or HTTP/1.1"));
  }
  std::string_view code = line.substr(9, 3);
  if (code.size() != 3 || !std::ranges::all_of(code, digit) || code[0] < '1' || code[0] > '5')
    return std::unexpected(response_error("the status is not between 100 and 599"));
  out.status = static_cast<uint16_t>((code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0'));
  std::string_view rest = line.substr(12);
  // Many servers leave out the blank before an empty reason phrase; that has one meaning only.
  if (!rest.empty() && rest.front() != ' ')
    return std::unexpected(response_error("the status is not followed by a blank"));
  out.text = rest.empty() ? rest : rest.substr(1);
  if (count_controls(out.text) != 0)
    return std::unexpected(response_error("a control byte in the reason phrase"));
  return out;
}

Result<Framing> frame_request(Message& head) {
  if (head.method == Method::connect)
    return std::unexpected(request_error(reason::request_unsupported_method, "CONNECT"));
  if (auto target = read_target(head); !target) return std::unexpected(target.error());
  Fields seen = read_fields(head.headers, Side::request);
  if (seen.bad) return malformed(seen.bad);
  if (auto host_ok = read_host(head, seen); !host_ok) return std::unexpected(host_ok.error());
  Declared declared = declared_body(seen, head.version);
  if (declared.bad) return malformed(declared.bad);
  if (head.method == Method::trace && (declared.chunked || declared.length > 0))
    return malformed("TRACE with a body");  // RFC 9110 9.3.8
  Framing framing;
  set_body(head, framing, declared);
  framing.persistent = persistent(seen, head.version);
  if (auto upgrade_ok = read_upgrade(head, seen); !upgrade_ok) return std::unexpected(upgrade_ok.error());
  if (auto expect_ok = read_expect(head); !expect_ok) return std::unexpected(expect_ok.error());
  if (head.version == Version::http_1_1) read_te(head);
  remove_connection_fields(head, seen, request_fields | untrue_trailer(head, declared));
  return framing;
}

Result<Framing> frame_response(Message& head, const Asked& asked) {
  Fields seen = read_fields(head.headers, Side::response);
  auto refuse = [](std::string_view text) { return std::unexpected(response_error(text)); };
  if (seen.bad) return refuse(seen.bad);
  Declared declared = declared_body(seen, head.version);
  if (declared.bad) return refuse(declared.bad);
  Framing framing;
  framing.persistent = persistent(seen, head.version);
  bool interim = head.status < 200, no_content = head.status == 204;
  // RFC 9110 8.6 and RFC 9112 6.1: no length and no coding in 1xx and 204; a length of 0 has one meaning.
  if ((interim || no_content) && (declared.chunked || declared.length > 0))
    return refuse("a body is announced where none can be");
  if (interim && head.version == Version::http_1_0) return refuse("an interim answer in HTTP/1.0");
  if (head.status == 101) {
    if (asked.upgrade.empty()) return refuse("101 that nobody asked for");
    if (!seen.upgrade || !seen.upgrade_option || !equals_ignoring_case(seen.upgrade->value, asked.upgrade))
      return refuse("101 to another protocol than the one asked for");
    head.upgrade = lower_copy(asked.upgrade, head.headers.arena());
    framing.body = BodyEnd::tunnel;
    framing.persistent = false;
  } else if (interim || no_content) {
    head.body = BodyKind::none;
  } else if (asked.method == Method::head || head.status == 304) {
    head.has_content_length = declared.has_length;
    head.content_length = declared.length;
    // A backend that wrongly sends the body that it announces here would have it read as the next answer,
    // maybe another client's: such a connection serves nobody else.
    if (declared.chunked || declared.length > 0) framing.persistent = false;
  } else if (!declared.chunked && !declared.has_length) {
    head.body = BodyKind::until_close;
    framing.body = BodyEnd::close;
    framing.persistent = false;
  } else {
    set_body(head, framing, declared);
  }
  if (head.status == 426 && seen.upgrade && is_protocol_list(seen.upgrade->value))
    head.upgrade = head.headers.arena().copy(seen.upgrade->value);  // RFC 9110 15.5.22
  remove_connection_fields(head, seen, connection_fields | untrue_trailer(head, declared));
  return framing;
}

Result<void> check_trailers(Headers& trailers, Side side, std::span<const std::string_view> nominating) {
  constexpr uint64_t framing = connection_fields | bit(host);
  constexpr uint64_t dropped =
      bit(authorization) | bit(cache_control) | bit(content_encoding) | bit(content_type) | bit(cookie) |
      bit(HeaderId::date) | bit(expect) | bit(forwarded) | bit(location) | bit(proxy_authenticate) |
      bit(proxy_authorization) | bit(retry_after) | bit(set_cookie) | bit(trailer) | bit(vary) | bit(via) |
      bit(www_authenticate) | bit(x_api_key) | bit(x_correlation_id) | bit(x_forwarded_for) |
      bit(x_forwarded_host) | bit(x_forwarded_port) | bit(x_forwarded_proto) | bit(x_request_id) | bit(age) |
      bit(traceparent) | bit(tracestate);
  static constexpr std::array<std::string_view, 12> dropped_names{"content-range",
                                                                  "range",
                                                                  "max-forwards",
                                                                  "pragma",
                                                                  "if-match",
                                                                  "if-none-match",
                                                                  "if-range",
                                                                  "if-modified-since",
                                                                  "if-unmodified-since",
                                                                  "expires",
                                                                  "warning",
                                                                  "content-location"};
  for (const Field& field : trailers.fields())
    if ((framing & bit(field.id)) || looks_like_framing(field.name))
      return std::unexpected(side == Side::request
                                 ? request_error(reason::request_malformed, "a trailer that steers framing")
                                 : response_error("a trailer that steers framing"));
  trailers.remove_if([&](const Field& field) {
    return (dropped & bit(field.id)) || std::ranges::find(dropped_names, field.name) != dropped_names.end() ||
           named_by_connection(field.name, nominating);
  });
  return {};
}

}  // namespace penstock::http::http1
