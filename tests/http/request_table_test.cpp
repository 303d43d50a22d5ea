// What becomes of a request: either exactly these bytes reach the backend, or none do and the reason is
// named. Each case is fed whole, byte by byte and in halves.
#include <doctest/doctest.h>

#include "relay.h"

using namespace penstock;
using namespace penstock::test;
using namespace std::string_literals;

namespace {

struct Case {
  const char* name;
  std::string request;
  std::string forwarded;  // empty: refused
  std::string_view refused = {};
};

constexpr std::string_view malformed = reason::request_malformed;

std::string get(std::string_view fields) {
  return fmt::format("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", fields);
}
std::string got(std::string_view fields) {
  return fmt::format("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", fields);
}
std::string post(std::string_view fields, std::string_view body) {
  return fmt::format("POST / HTTP/1.1\r\nHost: x\r\n{}\r\n{}", fields, body);
}
std::string chunked(std::string_view body) { return post("Transfer-Encoding: chunked\r\n", body); }
std::string posted(std::string_view fields, std::string_view body) {
  return fmt::format("POST / HTTP/1.1\r\nhost: x\r\n{}\r\n{}", fields, body);
}

const std::vector<Case>& request_line_cases() {
  static const std::vector<Case> cases{
      {"a plain GET", get(""), got("")},
      {"one empty line before the request", "\r\n" + get(""), got("")},
      {"two empty lines before the request", "\r\n\r\n" + get(""), "", malformed},
      {"a bare LF before the request", "\n" + get(""), "", malformed},
      {"a bare CR before the request", "\r" + get(""), "", malformed},
      {"HTTP/0.9", "GET /\r\n", "", malformed},
      {"HTTP/0.9 without a target", "GET\r\n", "", malformed},
      {"version 2.0", "GET / HTTP/2.0\r\nHost: x\r\n\r\n", "", malformed},
      {"version 1.2", "GET / HTTP/1.2\r\nHost: x\r\n\r\n", "", malformed},
      {"version in lower case", "GET / http/1.1\r\nHost: x\r\n\r\n", "", malformed},
      {"another protocol", "GET / RTSP/1.0\r\nHost: x\r\n\r\n", "", malformed},
      {"version with a second digit", "GET / HTTP/1.10\r\nHost: x\r\n\r\n", "", malformed},
      {"two blanks before the target", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", "", malformed},
      {"two blanks before the version", "GET /  HTTP/1.1\r\nHost: x\r\n\r\n", "", malformed},
      {"a blank behind the version", "GET / HTTP/1.1 \r\nHost: x\r\n\r\n", "", malformed},
      {"a tab in the request line", "GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n", "", malformed},
      {"a blank in the target", "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", "", malformed},
      {"a blank at the beginning", " GET / HTTP/1.1\r\nHost: x\r\n\r\n", "", malformed},
      {"a bare LF behind the request line", "GET / HTTP/1.1\nHost: x\r\n\r\n", "", malformed},
      {"a bare CR in the request line", "GET /\r HTTP/1.1\r\nHost: x\r\n\r\n", "", malformed},
      {"NUL in the target", "GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n"s, "", malformed},
      {"a control byte in the target", "GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n", "", malformed},
      {"a byte over 127 in the target", "GET /\xc3\xa4 HTTP/1.1\r\nHost: x\r\n\r\n", "", malformed},
      {"a fragment in the target", "GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n", "", malformed},
      {"a relative target", "GET a HTTP/1.1\r\nHost: x\r\n\r\n", "", malformed},
      {"query and path as sent", "GET /a//b/../%41?x=%2f&&?y HTTP/1.1\r\nHost: x\r\n\r\n",
       "GET /a//b/../%41?x=%2f&&?y HTTP/1.1\r\nhost: x\r\n\r\n"},
      {"an empty query", "GET /a? HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a? HTTP/1.1\r\nhost: x\r\n\r\n"},
      {"a method in lower case", "get / HTTP/1.1\r\nHost: x\r\n\r\n", "", reason::request_unsupported_method},
      {"an unknown method", "FROB / HTTP/1.1\r\nHost: x\r\n\r\n", "", reason::request_unsupported_method},
      {"a method that begins like a known one", "GETS / HTTP/1.1\r\nHost: x\r\n\r\n", "",
       reason::request_unsupported_method},
      {"a method of WebDAV", "PROPFIND / HTTP/1.1\r\nHost: x\r\n\r\n",
       "PROPFIND / HTTP/1.1\r\nhost: x\r\n\r\n"},
      {"a method of RTSP", "DESCRIBE / HTTP/1.1\r\nHost: x\r\n\r\n", "", reason::request_unsupported_method},
      {"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "", malformed},
      {"the method of HTTP/2's preface", "PRI / HTTP/1.1\r\nHost: x\r\n\r\n", "",
       reason::request_unsupported_method},
      {"a method that is no token", "GE(T / HTTP/1.1\r\nHost: x\r\n\r\n", "", malformed},
      {"CONNECT", "CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n", "", reason::request_unsupported_method},
      {"CONNECT with a path", "CONNECT / HTTP/1.1\r\nHost: x\r\n\r\n", "",
       reason::request_unsupported_method},
      {"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n"},
      {"GET *", "GET * HTTP/1.1\r\nHost: x\r\n\r\n", "", malformed},
      {"HEAD", "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", "HEAD / HTTP/1.1\r\nhost: x\r\n\r\n"},
      {"TRACE with a body", "TRACE / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na", "", malformed},
      {"a TLS hello", "\x16\x03\x01\x02\x01", "", malformed},
  };
  return cases;
}

const std::vector<Case>& host_cases() {
  static const std::vector<Case> cases{
      {"no Host", "GET / HTTP/1.1\r\n\r\n", "", malformed},
      {"no Host in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nhost: \r\n\r\n"},
      {"two Hosts", get("Host: y\r\n"), "", malformed},
      {"the same Host twice", get("Host: x\r\n"), "", malformed},
      {"an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "", malformed},
      {"Host with a list", "GET / HTTP/1.1\r\nHost: x, y\r\n\r\n", "", malformed},
      {"Host with user information", "GET / HTTP/1.1\r\nHost: u@x\r\n\r\n", "", malformed},
      {"Host with a path", "GET / HTTP/1.1\r\nHost: x/y\r\n\r\n", "", malformed},
      {"Host with a bad port", "GET / HTTP/1.1\r\nHost: x:8a\r\n\r\n", "", malformed},
      {"Host with a port out of range", "GET / HTTP/1.1\r\nHost: x:65536\r\n\r\n", "", malformed},
      {"Host that is only a port", "GET / HTTP/1.1\r\nHost: :80\r\n\r\n", "", malformed},
      {"Host in upper case with a port", "GET / HTTP/1.1\r\nHOST: ExAmple.COM:8080\r\n\r\n",
       "GET / HTTP/1.1\r\nhost: example.com:8080\r\n\r\n"},
      {"Host with an empty port", "GET / HTTP/1.1\r\nHost: x:\r\n\r\n", got("")},
      {"Host with an IPv6 address", "GET / HTTP/1.1\r\nHost: [2001:DB8::1]:80\r\n\r\n",
       "GET / HTTP/1.1\r\nhost: [2001:db8::1]:80\r\n\r\n"},
      {"Host with a broken IPv6 address", "GET / HTTP/1.1\r\nHost: [::1::2]\r\n\r\n", "", malformed},
      {"Host with an open bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", "", malformed},
      {"absolute-form", "GET http://X/a?b HTTP/1.1\r\nHost: x\r\n\r\n",
       "GET /a?b HTTP/1.1\r\nhost: x\r\n\r\n"},
      {"the authority of the target wins over Host", "GET http://y/a HTTP/1.1\r\nHost: x\r\n\r\n",
       "GET /a HTTP/1.1\r\nhost: y\r\n\r\n"},
      {"absolute-form without Host", "GET http://x/a HTTP/1.1\r\n\r\n", "", malformed},
      {"absolute-form with a bad Host", "GET http://x/a HTTP/1.1\r\nHost: a b\r\n\r\n", "", malformed},
      {"absolute-form without a path", "GET http://x HTTP/1.1\r\nHost: x\r\n\r\n", got("")},
      {"absolute-form with a query alone", "GET http://x?a HTTP/1.1\r\nHost: x\r\n\r\n",
       "GET /?a HTTP/1.1\r\nhost: x\r\n\r\n"},
      {"absolute-form of OPTIONS *", "OPTIONS http://x HTTP/1.1\r\nHost: x\r\n\r\n",
       "OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n"},
      {"absolute-form with user information", "GET http://u@x/ HTTP/1.1\r\nHost: x\r\n\r\n", "", malformed},
      {"absolute-form without a host", "GET http:///a HTTP/1.1\r\nHost: x\r\n\r\n", "", malformed},
      {"absolute-form of another scheme", "GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n", "", malformed},
  };
  return cases;
}

const std::vector<Case>& field_cases() {
  static const std::vector<Case> cases{
      {"order, multiplicity and obs-text are kept", get("A: 1\r\nB: \xe4\xf6\r\nA: 2\r\nC: a\tb\r\n"),
       got("a: 1\r\nb: \xe4\xf6\r\na: 2\r\nc: a\tb\r\n")},
      {"blanks around a value", get("A: \t 1 \t \r\nB:2\r\n"), got("a: 1\r\nb: 2\r\n")},
      {"an empty value", get("A:\r\nB:  \r\n"), got("a: \r\nb: \r\n")},
      {"a blank before the colon", get("A : 1\r\n"), "", malformed},
      {"a tab before the colon", get("A\t: 1\r\n"), "", malformed},
      {"an empty name", get(": 1\r\n"), "", malformed},
      {"a name that is no token", get("A(b): 1\r\n"), "", malformed},
      {"a name over 127", get("\xc4: 1\r\n"), "", malformed},
      {"a line without a colon", get("A\r\n"), "", malformed},
      {"a folded line", get("A: 1\r\n 2\r\n"), "", malformed},
      {"a folded line with a tab", get("A: 1\r\n\t2\r\n"), "", malformed},
      {"a folded first line", "GET / HTTP/1.1\r\n Host: x\r\n\r\n", "", malformed},
      {"a bare LF behind a field", get("A: 1\nB: 2\r\n"), "", malformed},
      {"a bare CR in a value", get("A: 1\rB: 2\r\n"), "", malformed},
      {"two CR before LF", get("A: 1\r\r\nB: 2\r\n"), "", malformed},
      {"a bare LF at the end of the head", "GET / HTTP/1.1\r\nHost: x\r\n\n", "", malformed},
      {"NUL in a value", get("A: 1\0002\r\n"s), "", malformed},
      {"NUL in a name", get("A\0: 2\r\n"s), "", malformed},
      {"DEL in a value", get("A: 1\x7f\r\n"), "", malformed},
      {"a control byte in a value", get("A: 1\x01\r\n"), "", malformed},
      {"a vertical tab in a value", get("A: 1\x0b\r\n"), "", malformed},
      {"the connection's own fields go",
       get("Connection: close, X-Hop\r\nKeep-Alive: a\r\nProxy-Connection: b\r\nX-Hop: c\r\nX-Stays: d\r\n"
           "HTTP2-Settings: AAA\r\nUpgrade: h2c\r\n"),
       got("x-stays: d\r\n")},
      {"Connection fields in two lines",
       get("Connection: A\r\nA: 1\r\nConnection: b ,,c\r\nB: 2\r\nC: 3\r\n"), got("")},
      {"Connection names Host", get("Connection: host\r\n"), "", malformed},
      {"Connection names Content-Length", post("Connection: Content-Length\r\nContent-Length: 1\r\n", "a"),
       "", malformed},
      {"Connection names Transfer-Encoding", get("Connection: transfer-encoding\r\n"), "", malformed},
      {"Connection is no list of tokens", get("Connection: a b\r\n"), "", malformed},
      {"TE: trailers goes on as our own", get("TE: gzip, trailers;q=1\r\nConnection: TE\r\n"),
       got("te: trailers\r\nconnection: te\r\n")},
      {"TE without trailers", get("TE: gzip\r\nConnection: TE\r\n"), got("")},
      {"an upgrade", get("Connection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n"),
       got("sec-websocket-version: 13\r\nupgrade: websocket\r\nconnection: upgrade\r\n")},
      {"an upgrade and trailers", get("Connection: Upgrade, TE\r\nUpgrade: websocket\r\nTE: trailers\r\n"),
       got("te: trailers\r\nupgrade: websocket\r\nconnection: upgrade, te\r\n")},
      {"one of several protocols", get("Connection: Upgrade\r\nUpgrade: a/1, b\r\n"),
       got("upgrade: a/1\r\nconnection: upgrade\r\n")},
      {"an upgrade without the connection option", get("Upgrade: websocket\r\n"), got("")},
      {"an upgrade in HTTP/1.0",
       "GET / HTTP/1.0\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", got("")},
      {"an upgrade to no protocol", get("Connection: Upgrade\r\nUpgrade: a b\r\n"), "", malformed},
      {"Expect without a body", get("Expect: 100-continue\r\n"), got("")},
      {"another expectation", get("Expect: 200-ok\r\n"), "", reason::request_expectation},
      {"Trailer without chunks", post("Trailer: X\r\nContent-Length: 1\r\n", "a"),
       posted("content-length: 1\r\n", "a")},
  };
  return cases;
}

const std::vector<Case>& body_cases() {
  static const std::vector<Case> cases{
      {"a length", post("Content-Length: 5\r\n", "hello"), posted("content-length: 5\r\n", "hello")},
      {"a length of 0", post("Content-Length: 0\r\n", ""), posted("content-length: 0\r\n", "")},
      {"GET with a length of 0", get("Content-Length: 0\r\n"), got("content-length: 0\r\n")},
      {"GET with a body", get("Content-Length: 2\r\n") + "ab", got("content-length: 2\r\n") + "ab"},
      {"POST without a length", post("", ""), posted("content-length: 0\r\n", "")},
      {"leading zeros", post("Content-Length: 005\r\n", "hello"), posted("content-length: 5\r\n", "hello")},
      {"the same length twice", post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), "", malformed},
      {"two lengths", post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!"), "", malformed},
      {"a list of lengths", post("Content-Length: 5, 5\r\n", "hello"), "", malformed},
      {"a sign", post("Content-Length: +5\r\n", "hello"), "", malformed},
      {"a negative length", post("Content-Length: -5\r\n", "hello"), "", malformed},
      {"a hexadecimal length", post("Content-Length: 0x5\r\n", "hello"), "", malformed},
      {"an empty length", post("Content-Length:\r\n", ""), "", malformed},
      {"a blank in a length", post("Content-Length: 1 1\r\n", "hello world"), "", malformed},
      {"an underscore in a length", post("Content-Length: 1_1\r\n", "hello world"), "", malformed},
      {"a length over 63 bits", post("Content-Length: 9223372036854775808\r\n", ""), "", malformed},
      {"a length over 64 bits", post("Content-Length: 18446744073709551621\r\n", "hello"), "", malformed},
      {"length and chunks", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), "",
       malformed},
      {"chunks and length", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), "",
       malformed},
      {"a look-alike of the length", post("Content_Length: 5\r\n", ""), "", malformed},
      {"a look-alike of the coding", post("Transfer_Encoding: chunked\r\n", ""), "", malformed},
      {"identity", post("Transfer-Encoding: identity\r\n", ""), "", malformed},
      {"gzip and chunked", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), "", malformed},
      {"chunked twice", post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), "", malformed},
      {"two codings in two lines", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", ""),
       "", malformed},
      {"chunked with a parameter", post("Transfer-Encoding: chunked;a=b\r\n", "0\r\n\r\n"), "", malformed},
      {"chunked with a vertical tab",
       post("Transfer-Encoding: \x0b"
            "chunked\r\n",
            "0\r\n\r\n"),
       "", malformed},
      {"xchunked", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), "", malformed},
      {"an empty coding", post("Transfer-Encoding:\r\n", ""), "", malformed},
      {"chunks in HTTP/1.0", "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "",
       malformed},
      {"Chunked in upper case", post("Transfer-Encoding: CHUNKED\r\n", "1\r\na\r\n0\r\n\r\n"),
       posted("transfer-encoding: chunked\r\n", "1\r\na\r\n0\r\n\r\n")},
      {"chunks", chunked("5\r\nhello\r\n6;a=b;c=\"d\"\r\n world\r\n0\r\n\r\n"),
       posted("transfer-encoding: chunked\r\n", "b\r\nhello world\r\n0\r\n\r\n")},
      {"no chunk", chunked("0\r\n\r\n"), posted("transfer-encoding: chunked\r\n", "0\r\n\r\n")},
      {"chunk sizes with zeros and upper case", chunked("000A\r\n0123456789\r\n0000\r\n\r\n"),
       posted("transfer-encoding: chunked\r\n", "a\r\n0123456789\r\n0\r\n\r\n")},
      {"Expect with a body", post("Expect: 100-Continue\r\nContent-Length: 1\r\n", "a"),
       posted("content-length: 1\r\nexpect: 100-continue\r\n", "a")},
      {"trailers", chunked("1\r\na\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n"),
       posted("transfer-encoding: chunked\r\n", "1\r\na\r\n0\r\nx-sum: 1\r\ny: 2\r\n\r\n")},
      {"Trailer with chunks", post("Trailer: X\r\nTransfer-Encoding: chunked\r\n", "0\r\nX: 1\r\n\r\n"),
       posted("trailer: X\r\ntransfer-encoding: chunked\r\n", "0\r\nx: 1\r\n\r\n")},
      {"trailers that route or authenticate",
       chunked("0\r\nAuthorization: a\r\nX-Forwarded-For: 1\r\nX: 1\r\n\r\n"),
       posted("transfer-encoding: chunked\r\n", "0\r\nx: 1\r\n\r\n")},
      {"an upgrade with a body",
       post("Connection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n",
            "1\r\na\r\n0\r\n\r\n"),
       posted("transfer-encoding: chunked\r\n", "1\r\na\r\n0\r\n\r\n")},
  };
  return cases;
}

// The request that carries these is forwarded up to the broken place; it must be seen as cut, and it is.
const std::vector<Case>& broken_body_cases() {
  static const std::vector<Case> cases{
      {"a chunk size that is no number", chunked("x\r\n"), "", malformed},
      {"an empty chunk size", chunked("\r\n"), "", malformed},
      {"a signed chunk size", chunked("+1\r\na\r\n0\r\n\r\n"), "", malformed},
      {"a chunk size with 0x", chunked("0x1\r\na\r\n0\r\n\r\n"), "", malformed},
      {"a chunk size over 64 bits", chunked("10000000000000001\r\na\r\n0\r\n\r\n"), "", malformed},
      {"a blank behind the chunk size", chunked("1 \r\na\r\n0\r\n\r\n"), "", malformed},
      {"a blank before the chunk size", chunked(" 1\r\na\r\n0\r\n\r\n"), "", malformed},
      {"a bare LF behind the chunk size", chunked("1\na\r\n0\r\n\r\n"), "", malformed},
      {"a bare CR behind the chunk size", chunked("1\ra\r\n0\r\n\r\n"), "", malformed},
      {"a bare LF in a chunk extension", chunked("1;a\na\r\n0\r\n\r\n"), "", malformed},
      {"NUL in a chunk extension", chunked("1;a=\0b\r\na\r\n0\r\n\r\n"s), "", malformed},
      {"a chunk longer than its size", chunked("1\r\nab\r\n0\r\n\r\n"), "", malformed},
      {"a chunk that ends in LF", chunked("1\r\na\n0\r\n\r\n"), "", malformed},
      {"a chunk extension that is too long", chunked("1;" + std::string(2000, 'a') + "\r\na\r\n0\r\n\r\n"),
       "", malformed},
      {"a trailer that frames", chunked("0\r\nContent-Length: 1\r\n\r\n"), "", malformed},
      {"a trailer that frames by coding", chunked("0\r\nTransfer-Encoding: chunked\r\n\r\n"), "", malformed},
      {"a trailer that is Host", chunked("0\r\nHost: y\r\n\r\n"), "", malformed},
      {"a trailer that looks as if it framed", chunked("0\r\nContent_Length: 1\r\n\r\n"), "", malformed},
      {"a trailer that is only a CR", chunked("0\r\n\r\r\n"), "", malformed},
      {"a folded trailer", chunked("0\r\nA: 1\r\n 2\r\n\r\n"), "", malformed},
      {"a trailer with a bare LF", chunked("0\r\nA: 1\n\r\n"), "", malformed},
      {"a trailer with a control byte", chunked("0\r\nA: 1\x01\r\n\r\n"), "", malformed},
      {"trailers over the limit", chunked("0\r\nA: " + std::string(40'000, 'a') + "\r\n\r\n"), "",
       reason::request_header_too_large},
  };
  return cases;
}

// The chunks as one, because how many there are depends on how the bytes came.
std::string one_chunk(const std::string& message) {
  size_t body = message.find("\r\n\r\n");
  if (body == std::string::npos ||
      message.substr(0, body).find("transfer-encoding: chunked") == std::string::npos)
    return message;
  body += 4;
  std::string data;
  size_t at = body;
  for (;;) {
    size_t line = message.find("\r\n", at);
    if (line == std::string::npos) return message;
    size_t size = std::stoul(message.substr(at, line - at), nullptr, 16);
    if (size == 0) break;
    data += message.substr(line + 2, size);
    at = line + 2 + size + 2;
  }
  std::string first = data.empty() ? "" : fmt::format("{:x}\r\n{}\r\n", data.size(), data);
  return message.substr(0, body) + first + message.substr(at);
}

enum class Cut { whole, bytewise, halves };

void feed_cut(Wire& wire, const std::string& bytes, Cut cut) {
  if (cut == Cut::bytewise) return feed_each_byte(wire, bytes);
  if (cut == Cut::whole) return feed(wire, bytes);
  feed(wire, std::string_view(bytes).substr(0, bytes.size() / 2));
  feed(wire, std::string_view(bytes).substr(bytes.size() / 2));
}

}  // namespace

TEST_CASE("what a client sends is forwarded in one form or refused with a reason") {
  for (const auto* table : {&request_line_cases(), &host_cases(), &field_cases(), &body_cases()}) {
    for (const Case& each : *table) {
      for (Cut cut : {Cut::whole, Cut::bytewise, Cut::halves}) {
        CAPTURE(each.name);
        CAPTURE(static_cast<int>(cut));
        net::Loop loop;
        Relay relay(loop);
        feed_cut(relay.client.wire, each.request, cut);
        CHECK(relay.refused == each.refused);
        CHECK(one_chunk(relay.backend.wire.sent) == each.forwarded);
        relay.finish();
      }
    }
  }
}

TEST_CASE("a request body that breaks the rules resets the stream, and the backend never sees its end") {
  for (const Case& each : broken_body_cases()) {
    for (Cut cut : {Cut::whole, Cut::bytewise, Cut::halves}) {
      CAPTURE(each.name);
      CAPTURE(static_cast<int>(cut));
      net::Loop loop;
      Relay relay(loop);
      feed_cut(relay.client.wire, each.request, cut);
      CHECK(relay.refused == each.refused);
      CHECK(!relay.backend.wire.sent.ends_with("0\r\n\r\n"));
      CHECK(relay.client.wire.sent.starts_with(fmt::format("HTTP/1.1 {} ", status_of(each.refused))));
      CHECK(relay.client.wire.sent.find("connection: close\r\n") != std::string::npos);
      CHECK(relay.client.closed == 1);
      relay.finish();
    }
  }
}

TEST_CASE("a head of exactly the limit is forwarded") {
  for (Cut cut : {Cut::whole, Cut::bytewise, Cut::halves}) {
    net::Loop loop;
    Relay relay(loop);
    std::string request = get("A: " + std::string(32'768 - 32, 'a') + "\r\n");
    CHECK(request.size() == relay.client.settings.header_size);
    feed_cut(relay.client.wire, request, cut);
    CHECK(relay.refused.empty());
    CHECK(relay.backend.wire.sent.size() == request.size());
    relay.finish();
  }
}

TEST_CASE("a head over its limits is refused with the limit's own reason") {
  struct Limit {
    std::string request;
    std::string_view refused;
  };
  const Limit limits[] = {
      {"GET /" + std::string(40'000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n", reason::request_uri_too_long},
      {"GET /" + std::string(40'000, 'a'), reason::request_uri_too_long},
      {get("A: " + std::string(40'000, 'a') + "\r\n"), reason::request_header_too_large},
      {get("A: " + std::string(32'768 - 31, 'a') + "\r\n"), reason::request_header_too_large},
      {get([] {
         std::string many;
         for (int i = 0; i < 100; ++i) many += "A: 1\r\n";
         return many;
       }()),
       reason::request_header_too_large},
  };
  for (const Limit& limit : limits) {
    for (Cut cut : {Cut::whole, Cut::bytewise, Cut::halves}) {
      net::Loop loop;
      Relay relay(loop);
      feed_cut(relay.client.wire, limit.request, cut);
      CHECK(relay.refused == limit.refused);
      CHECK(relay.backend.wire.sent.empty());
      relay.finish();
    }
  }
}
