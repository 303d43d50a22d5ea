// The parser alone: however the bytes are cut it reads the same, and what it accepts keeps its promises.
#include <algorithm>

#include "fuzz/gateway_reader.h"
#include "fuzz/targets.h"
#include "http/http1/syntax.h"

namespace penstock::fuzz {
namespace {

using namespace http;
using namespace http::http1;

void check_fields(const FieldList& fields) {
  for (const auto& [name, value] : fields) {
    promise(is_token(name) && std::ranges::none_of(name, [](char c) { return c >= 'A' && c <= 'Z'; }),
            "a field name is a token in lower case", name);
    promise(count_controls(value) == 0 && trim(value) == value, "a value has no control byte and is trimmed",
            value);
  }
}

void check_head(const Read& read) {
  check_fields(read.fields);
  check_fields(read.trailers);
  for (const auto& [name, value] : read.fields)
    promise(name != "connection" && name != "content-length" && name != "transfer-encoding" && name != "te" &&
                name != "upgrade" && name != "keep-alive" && name != "content_length" &&
                name != "transfer_encoding",
            "fields of the connection are taken out", name);
  for (const auto& [name, value] : read.trailers)
    promise(
        name != "content-length" && name != "transfer-encoding" && name != "host" && name != "authorization",
        "a trailer steers nothing", name);
  promise(read.end != BodyEnd::length || read.length > 0, "a length that ends a body is not 0");
  if (read.outcome == Read::Outcome::whole && read.end == BodyEnd::length)
    promise(read.body.size() == read.length, "a body is as long as declared");
  if (read.end == BodyEnd::none) promise(read.body.empty(), "no body where none was declared");
}

}  // namespace

void fuzz_request(std::string_view bytes) {
  Read read = read_in_every_way(Side::request, bytes, Stream::closed);
  if (!read.head) return;
  check_head(read);
  promise(is_token(read.method) && read.method != "CONNECT", "a method is a token that is forwarded",
          read.method);
  promise(!read.path.empty() && (read.path[0] == '/' || (read.path == "*" && read.method == "OPTIONS")),
          "a path begins with a slash or is OPTIONS *", read.path);
  auto visible = [](char c) { return c > 0x20 && c < 0x7f; };
  promise(std::ranges::all_of(read.path + read.query + read.authority, visible), "a target is visible ASCII");
  promise(read.minor == 0 || !read.authority.empty(), "HTTP/1.1 has a host");
  promise(read.end != BodyEnd::chunked || read.minor == 1, "HTTP/1.0 has no chunks");
  promise(read.end != BodyEnd::close && read.end != BodyEnd::tunnel, "no request ends with the connection");
}

void fuzz_response(std::string_view bytes) {
  if (bytes.empty()) return;
  ResponseInput input(bytes);
  const Asked& asked = input.asked;
  Read read = read_in_every_way(Side::response, input.bytes, input.stream, asked);
  for (const auto& [status, fields] : read.interim) {
    promise(status >= 100 && status < 200 && status != 101, "an interim answer is a 1xx");
    check_fields(fields);
  }
  if (!read.head) return;
  check_head(read);
  promise(read.status == 101 || (read.status >= 200 && read.status < 600),
          "a final answer is 101 or 2xx to 5xx");
  promise(read.status != 101 || !asked.upgrade.empty(), "101 only where it was asked for");
  if (read.end == BodyEnd::close || read.end == BodyEnd::tunnel)
    promise(!read.persistent, "a body until close is the connection's last");
}

void fuzz_chunked(std::string_view bytes) {
  std::string message = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  message += bytes;
  Read read = read_in_every_way(Side::request, message, Stream::closed);
  promise(read.head && read.end == BodyEnd::chunked, "the head itself is good");
  check_fields(read.trailers);
  promise(read.body.size() <= bytes.size(), "no more data than bytes");
}

}  // namespace penstock::fuzz
