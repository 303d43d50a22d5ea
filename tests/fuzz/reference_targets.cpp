// The parser against the reference reader. What ours accepts the reference must read in the same way; what
// the reference accepts ours may refuse only for a reason of strictness that is listed here.
#include <algorithm>
#include <array>

#include "fuzz/gateway_reader.h"
#include "fuzz/reference_reader.h"
#include "fuzz/targets.h"

namespace penstock::fuzz {
namespace {

using namespace http::http1;
using reference::lower;
using Names = std::vector<std::string>;

bool among(const Names& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

Names connection_options(const reference::Message& message) {
  Names out;
  for (const reference::Field& field : message.fields)
    if (lower(field.name) == "connection")
      for (const std::string& option : reference::list(field.value)) out.push_back(lower(option));
  return out;
}

// The fields that go on, as the gateway keeps them (RFC 9110 7.6.1).
FieldList forwarded_fields(const reference::Message& message, bool request) {
  Names gone{"connection", "content-length",   "transfer-encoding", "te",
             "keep-alive", "proxy-connection", "upgrade",           "http2-settings"};
  if (request) gone.insert(gone.end(), {"host", "expect"});
  bool chunked = message.count("transfer-encoding") > 0;
  if (!chunked) gone.push_back("trailer");
  Names options = connection_options(message);
  FieldList out;
  for (const reference::Field& field : message.fields) {
    std::string name = lower(field.name);
    if (!among(gone, name) && !among(options, name)) out.emplace_back(name, field.value);
  }
  return out;
}

FieldList kept_trailers(const reference::Message& message) {
  static const Names dropped{"authorization",
                             "cache-control",
                             "content-encoding",
                             "content-type",
                             "cookie",
                             "date",
                             "expect",
                             "forwarded",
                             "location",
                             "proxy-authenticate",
                             "proxy-authorization",
                             "retry-after",
                             "set-cookie",
                             "trailer",
                             "vary",
                             "via",
                             "www-authenticate",
                             "x-api-key",
                             "x-correlation-id",
                             "x-forwarded-for",
                             "x-forwarded-host",
                             "x-forwarded-port",
                             "x-forwarded-proto",
                             "x-request-id",
                             "age",
                             "traceparent",
                             "tracestate",
                             "content-range",
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
  FieldList out;
  for (const reference::Field& field : message.trailers)
    if (!among(dropped, lower(field.name))) out.emplace_back(lower(field.name), field.value);
  return out;
}

// --- why ours may refuse what the reference accepts ---

bool blank_tab_behind(const reference::Message& message) {
  // llhttp takes no tab behind a length or a coding.
  return std::ranges::any_of(message.fields, [](const reference::Field& field) {
    std::string name = lower(field.name);
    return (name == "content-length" || name == "transfer-encoding") &&
           field.raw.find('\t') != std::string::npos;
  });
}

bool strict_fields(const reference::Message& message) {
  static const Names steering{"content-length", "transfer-encoding", "host", "content-type", "expect",
                              "trailer"};
  static const Names framing{"connection", "content-length",   "transfer-encoding", "te",
                             "keep-alive", "proxy-connection", "upgrade",           "http2-settings",
                             "host",       "content_length",   "transfer_encoding"};
  Names options = connection_options(message);
  if (options.size() > 32) return true;
  for (const std::string& option : options)
    if (!reference::is_token(option) || among(steering, option)) return true;
  for (const reference::Field& field : message.fields) {
    std::string name = lower(field.name);
    if (name == "content_length" || name == "transfer_encoding") return true;
  }
  return std::ranges::any_of(message.trailers,
                             [](const reference::Field& field) { return among(framing, lower(field.name)); });
}

bool too_large(const reference::Message& message, std::string_view bytes) {
  size_t trailers = 0;
  for (const reference::Field& field : message.trailers) trailers += field.name.size() + field.raw.size() + 3;
  return bytes.substr(0, message.head_size).size() > limits.size || message.fields.size() > limits.count ||
         message.trailers.size() > limits.trailer_count || trailers + 2 > limits.trailer_size;
}

// A chunk line over 1 KiB, or many long ones.
bool long_chunk_lines(const reference::Message& message) {
  return message.ends == reference::Ends::by_chunks &&
         message.size > message.head_size + message.body.size() + 1024;
}

bool plain_authority(std::string_view text) {
  if (!reference::is_authority(text)) return false;
  size_t host = text.starts_with('[') ? text.find(']') + 1 : std::min(text.find(':'), text.size());
  if (host == 0 || text.find_first_of("%!$&'()*+,;=@") != std::string_view::npos) return false;
  std::string_view port = text.substr(host);
  return port.size() <= 1 || (port.size() <= 6 && std::stoul(std::string(port.substr(1))) <= 65535);
}

// Of the target, or else of Host.
std::string sent_authority(const reference::Message& message) {
  size_t scheme = message.target.find("://");
  if (message.target[0] == '/' || scheme == std::string::npos) return message.value("host");
  std::string rest = message.target.substr(scheme + 3);
  return rest.substr(0, rest.find_first_of("/?"));
}

// In lower case, without an empty port.
std::string authority_of(const reference::Message& message) {
  std::string text = lower(sent_authority(message));
  if (text.ends_with(':')) text.pop_back();
  return text;
}

std::string path_and_query_of(const reference::Message& message) {
  if (message.target[0] == '/' || message.target == "*") return message.target;
  std::string_view rest = std::string_view(message.target).substr(message.target.find("://") + 3);
  size_t end = rest.find_first_of("/?");
  if (end == std::string_view::npos) return message.method == "OPTIONS" ? "*" : "/";
  return (rest[end] == '?' ? "/" : "") + std::string(rest.substr(end));
}

bool strict_target(const reference::Message& message) {
  if (!plain_authority(message.value("host")) && message.count("host") > 0) return true;
  if (message.target[0] == '/' || message.target == "*") return false;
  std::string target = lower(message.target);
  if (!target.starts_with("http://") && !target.starts_with("https://")) return true;
  return !plain_authority(sent_authority(message));
}

bool strict_upgrade(const reference::Message& message) {
  for (const reference::Field& field : message.fields) {
    if (lower(field.name) != "upgrade") continue;
    for (const std::string& protocol : reference::list(field.value)) {
      size_t slash = protocol.find('/');
      if (!reference::is_token(protocol.substr(0, slash))) return true;
      if (slash != std::string::npos && !reference::is_token(protocol.substr(slash + 1))) return true;
    }
  }
  return false;
}

bool strict_request(const Read& ours, const reference::Message& message, std::string_view bytes) {
  static const Names methods{"GET",      "HEAD",     "POST",      "PUT",       "DELETE",      "OPTIONS",
                             "PATCH",    "TRACE",    "QUERY",     "COPY",      "LOCK",        "MKCOL",
                             "MOVE",     "PROPFIND", "PROPPATCH", "SEARCH",    "UNLOCK",      "BIND",
                             "REBIND",   "UNBIND",   "ACL",       "REPORT",    "MERGE",       "MKACTIVITY",
                             "CHECKOUT", "NOTIFY",   "M-SEARCH",  "SUBSCRIBE", "UNSUBSCRIBE", "MKCALENDAR",
                             "PURGE",    "LINK",     "UNLINK",    "SOURCE"};
  if (ours.reason == "request.unsupported_method") return !among(methods, message.method);
  if (ours.reason == "request.header_too_large" || ours.reason == "request.uri_too_long")
    return too_large(message, bytes);
  if (ours.reason == "request.expectation")
    return std::ranges::any_of(message.fields, [](const reference::Field& field) {
      return lower(field.name) == "expect" && lower(field.value) != "100-continue";
    });
  return message.minor > 1 || (message.method == "TRACE" && message.ends != reference::Ends::nowhere) ||
         strict_fields(message) || strict_target(message) || strict_upgrade(message) ||
         blank_tab_behind(message) || long_chunk_lines(message);
}

bool strict_response(const reference::Message& message) {
  return message.minor > 1 || strict_fields(message) || long_chunk_lines(message) ||
         blank_tab_behind(message) || message.status == 101;
}

void compare_bodies(const Read& ours, const reference::Message& message, std::string_view both) {
  promise(ours.body == message.body, "both read the same body", both);
  if (ours.outcome != Read::Outcome::whole) return;
  promise(ours.size == message.size, "both read the same end", both);
  // Whether a name that Connection gave may come back as a trailer is left open here.
  FieldList kept = kept_trailers(message), named = kept;
  std::erase_if(named, [&](const auto& field) { return among(connection_options(message), field.first); });
  promise(ours.trailers == kept || ours.trailers == named, "both read the same trailers", both);
}

std::string show(const Read& ours, const reference::Reading& theirs) {
  std::string out = ours.show() + "\nreference: " + std::to_string(static_cast<int>(theirs.outcome)) + " " +
                    theirs.why + " " + std::to_string(theirs.message.size) + " " +
                    escaped(theirs.message.body);
  for (const auto& field : theirs.message.fields) out += "\n  " + escaped(field.name + ": " + field.value);
  return out;
}

// The outcomes side by side; false: nothing is left to compare.
bool compare_outcomes(const Read& ours, const reference::Reading& theirs, bool strict,
                      std::string_view both) {
  using reference::Outcome;
  if (ours.outcome == Read::Outcome::whole)
    promise(theirs.outcome == Outcome::whole, "what ours accepts is a message", both);
  if (ours.outcome == Read::Outcome::partial)
    promise(theirs.outcome != Outcome::whole, "ours waits for more of a message that is whole", both);
  if (ours.head) promise(theirs.message.head_read, "a head that ours accepts is one", both);
  if (ours.outcome == Read::Outcome::refused && theirs.outcome == Outcome::whole)
    promise(strict, "ours refuses a good message for no listed reason", both);
  return ours.head;
}

}  // namespace

void fuzz_request_reference(std::string_view bytes) {
  Read ours = read_message(Side::request, bytes, Cut::whole, Stream::open);
  reference::Reading theirs = reference::read_request(bytes);
  const reference::Message& message = theirs.message;
  std::string both = show(ours, theirs);
  bool strict = theirs.outcome == reference::Outcome::whole && strict_request(ours, message, bytes);
  if (!compare_outcomes(ours, theirs, strict, both)) return;
  promise(ours.method == message.method && ours.target == message.target && ours.minor == message.minor,
          "both read the same request line", both);
  promise(ours.fields == forwarded_fields(message, true), "both read the same fields", both);
  promise(ours.authority == authority_of(message), "both read the same authority", both);
  promise(ours.path + (ours.has_query ? "?" : "") + ours.query == path_and_query_of(message),
          "both read the same path and query", both);
  promise(ours.has_length == message.has_length && ours.length == message.length, "both read the same length",
          both);
  if (ours.outcome != Read::Outcome::refused) compare_bodies(ours, message, both);
}

void fuzz_response_reference(std::string_view bytes) {
  if (bytes.empty()) return;
  ResponseInput input(bytes);
  bytes = input.bytes;
  bool closed = input.stream == Stream::closed;
  reference::Question question{input.asked.method == http::Method::head ? "HEAD" : "GET",
                               !input.asked.upgrade.empty()};
  Read ours = read_message(Side::response, bytes, Cut::whole, input.stream, input.asked);
  // Interim answers first: ours has read as many as there are before the final one.
  size_t begin = 0;
  reference::Reading theirs;
  size_t interim = 0;
  while (true) {
    theirs = reference::read_response(bytes.substr(begin), question,
                                      closed ? reference::Stream::closed : reference::Stream::open);
    int status = theirs.message.status;
    if (theirs.outcome != reference::Outcome::whole || status >= 200 || status == 101) break;
    if (interim < ours.interim.size())
      promise(ours.interim[interim] == std::pair(status, forwarded_fields(theirs.message, false)),
              "both read the same interim answer", show(ours, theirs));
    else if (ours.outcome == Read::Outcome::refused)
      break;
    ++interim;
    begin += theirs.message.size;
  }
  const reference::Message& message = theirs.message;
  std::string both = show(ours, theirs);
  bool large = too_large(message, bytes) || begin + message.head_size > limits.size;
  bool strict = ours.reason == "upstream.header_too_large"
                    ? large
                    : ours.reason == "upstream.protocol" && strict_response(message);
  if (closed && ours.outcome == Read::Outcome::refused && theirs.outcome == reference::Outcome::partial)
    return;
  if (!compare_outcomes(ours, theirs, strict, both)) return;
  promise(ours.interim.size() == interim, "both read the same number of interim answers", both);
  promise(ours.status == message.status && ours.phrase == message.phrase && ours.minor == message.minor,
          "both read the same status line", both);
  promise(ours.fields == forwarded_fields(message, false), "both read the same fields", both);
  if (ours.outcome == Read::Outcome::refused) return;
  Read shifted = ours;
  shifted.size -= std::min(shifted.size, begin);
  compare_bodies(shifted, message, both);
}

}  // namespace penstock::fuzz
