// What is read, written anew and read again is the same message; written once more it is the same bytes. The
// reference reader takes what was written.
#include <algorithm>

#include "fuzz/gateway_reader.h"
#include "fuzz/reference_reader.h"
#include "fuzz/targets.h"
#include "http/http1/serializer.h"
#include "http/scripted_transport.h"

namespace penstock::fuzz {
namespace {

using namespace http;
using namespace http::http1;

void fill(Message& message, const Read& read) {
  message.method = method_from(read.method);
  message.method_text = read.method;
  message.target = read.target;
  message.authority = read.authority;
  message.path = read.path;
  message.query = read.query;
  message.has_query = read.has_query;
  message.expect_continue = read.expect;
  message.status = static_cast<uint16_t>(read.status);
  message.status_text = read.phrase;
  message.body = read.kind;
  message.has_content_length = read.has_length;
  message.content_length = read.length;
  message.upgrade = read.upgrade;
  message.accepts_trailers = read.trailers_accepted;
  for (const auto& [name, value] : read.fields) message.headers.add(name, value);
}

// A whole message as the gateway sends it on; the body in two pieces.
std::string write(const Read& read, Side side, const Answer& answer) {
  test::Wire wire;
  test::ScriptedTransport transport(wire);
  BlockPool pool;
  Arena arena(pool);
  Message message(arena);
  Headers trailers(arena);
  BodyWriter body;
  fill(message, read);
  for (const auto& [name, value] : read.trailers) trailers.add(name, value);
  EndStream end = read.end == BodyEnd::none ? EndStream::yes : EndStream::no;
  bool good = side == Side::request ? write_request(transport, message, end, body)
                                    : write_response(transport, message, end, answer, body);
  promise(good, "what was read can be written", read.show());
  if (end == EndStream::no) {
    std::string_view bytes = read.body;
    good = body.data(transport, bytes.substr(0, bytes.size() / 2)) &&
           body.data(transport, bytes.substr(bytes.size() / 2)) && body.trailers(transport, trailers);
    promise(good, "its body can be written", read.show());
  }
  transport.flush();
  return wire.sent;
}

void promise_same(const Read& first, const Read& second) {
  std::string both = first.show() + "\n" + second.show();
  promise(second.outcome == Read::Outcome::whole, "what was written is whole", both);
  promise(first.method == second.method && first.path == second.path && first.query == second.query &&
              first.has_query == second.has_query && first.authority == second.authority,
          "the target stays", both);
  promise(first.status == second.status, "the status stays", both);
  promise(first.body == second.body, "the body stays", both);
  promise(first.trailers == second.trailers || second.end != BodyEnd::chunked, "the trailers stay", both);
  promise(first.trailers_accepted == second.trailers_accepted && first.upgrade == second.upgrade &&
              first.expect == second.expect,
          "what is asked of the next hop stays", both);
}

// Date is made where it is missing; Trailer goes where no trailers can be.
FieldList lasting(FieldList fields) {
  std::erase_if(fields, [&](const auto& field) { return field.first == "date" || field.first == "trailer"; });
  return fields;
}

void request_trip(std::string_view bytes) {
  Read first = read_message(Side::request, bytes, Cut::whole, Stream::open);
  if (first.outcome != Read::Outcome::whole || first.authority.empty()) return;
  std::string written = write(first, Side::request, {});
  Read second = read_message(Side::request, written, Cut::whole, Stream::open);
  if (second.reason == "request.header_too_large") return;  // our own fields may be longer
  promise_same(first, second);
  promise(first.fields == second.fields, "the fields stay", first.show() + "\n" + second.show());
  promise(second.size == written.size(), "nothing is left over");
  promise(write(second, Side::request, {}) == written, "written twice it is the same");
  auto theirs = reference::read_request(written);
  promise(theirs.outcome == reference::Outcome::whole && theirs.message.size == written.size(),
          "what is sent on reads in one way", theirs.why);
  promise(theirs.message.count("content-length") + theirs.message.count("transfer-encoding") <= 1,
          "it has one length at most");
}

void response_trip(const ResponseInput& input) {
  Asked asked{input.asked.method, {}};
  bool head = asked.method == Method::head;
  Answer answer{asked.method, Version::http_1_1, true, {}, 0};
  Read first = read_message(Side::response, input.bytes, Cut::whole, Stream::closed, asked);
  if (first.outcome != Read::Outcome::whole) return;
  std::string written = write(first, Side::response, answer);
  Read second = read_message(Side::response, written, Cut::whole, Stream::open, asked);
  if (second.reason == "upstream.header_too_large") return;  // our own fields may be longer
  promise_same(first, second);
  promise(lasting(first.fields) == lasting(second.fields), "the fields stay", first.show() + second.show());
  promise(second.size == written.size(), "nothing is left over");
  promise(write(second, Side::response, answer) == written, "written twice it is the same");
  auto theirs = reference::read_response(written, {head ? "HEAD" : "GET", false}, reference::Stream::open);
  promise(theirs.outcome == reference::Outcome::whole && theirs.message.size == written.size(),
          "what is sent on reads in one way", theirs.why);
}

}  // namespace

void fuzz_round_trip(std::string_view bytes) {
  if (bytes.size() > 1 && bytes.substr(1).starts_with("HTTP/")) return response_trip(ResponseInput(bytes));
  request_trip(bytes);
}

}  // namespace penstock::fuzz
