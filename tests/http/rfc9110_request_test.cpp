// RFC 9110 as far as it speaks of requests on their way: fields, trailers, the connection's own fields,
// upgrades, methods, expectations.
#include "table.h"

using namespace penstock;
using namespace penstock::test;
using namespace std::string_literals;

TEST_CASE("RFC 9110 5: fields of a request") {
  std::vector<RequestRow> rows{
      {"5.1", "names are case-insensitive", get("X-ABC: d\r\n"), got("x-abc: d\r\n")},
      {"5.1", "every character of a token", get("!#$%&'*+-.^_`|~09aZ: b\r\n"),
       got("!#$%&'*+-.^_`|~09az: b\r\n")},
      {"5.2", "fields of one name keep their lines", get("A: 1\r\nB: 2\r\na: 3\r\n"),
       got("a: 1\r\nb: 2\r\na: 3\r\n")},
      {"5.3", "and their order", get("A: 2\r\nA: 1\r\n"), got("a: 2\r\na: 1\r\n")},
      {"5.5", "bytes over 127 are opaque", get("A: \x80\xff\xc3\xa4\r\n"), got("a: \x80\xff\xc3\xa4\r\n")},
      {"5.5", "a tab within a value", get("A: b\tc\r\n"), got("a: b\tc\r\n")},
      {"5.5", "CR within a value", get("A: b\rc\r\n"), "", malformed},
      {"5.5", "LF within a value", get("A: b\nc\r\n"), "", malformed},
      {"5.5", "NUL within a value", get("A: b\0c\r\n"s), "", malformed},
      {"5.5", "another control byte may be kept; it is not", get("A: b\x01\r\n"), "", malformed},
      {"5.5", "DEL", get("A: b\x7f\r\n"), "", malformed},
      {"5.6.1", "empty elements of a list do no harm", get("Connection: ,, close ,\r\n"), got()},
      {"5.6.2", "a name with a blank", get("A B: c\r\n"), "", malformed},
      {"5.6.2", "a name over 127", get("\xc3\xa4: c\r\n"), "", malformed},
      {"5.6.2", "a name with NUL", get("A\0: c\r\n"s), "", malformed},
  };
  for (char c : "\"(),/;<=>?@[\\]{}"s) {
    rows.push_back({"5.6.2", "a delimiter in a name", get(fmt::format("A{}: b\r\n", c)), "", malformed});
    rows.push_back(
        {"5.6.2", "a delimiter in a method", line(fmt::format("GE{}T / HTTP/1.1", c)), "", malformed});
  }
  run_rows(rows);
}

TEST_CASE("RFC 9110 6.5: trailers of a request") {
  std::vector<RequestRow> rows{
      {"6.5.1", "a trailer is no header", post_chunks("0\r\nX-Admin: 1\r\n\r\n"),
       posted_chunks("0\r\nx-admin: 1\r\n\r\n")},
      {"6.6.2", "Trailer announces them",
       post("Trailer: A\r\nTransfer-Encoding: chunked\r\n", "0\r\nA: b\r\n\r\n"),
       posted("trailer: A\r\ntransfer-encoding: chunked\r\n", "0\r\na: b\r\n\r\n")},
      {"6.6.2", "where none can be, it goes", post("Trailer: A\r\nContent-Length: 1\r\n", "b"),
       posted("content-length: 1\r\n", "b")},
  };
  for (const char* name :
       {"Authorization", "Proxy-Authorization", "Cookie", "Content-Type", "Content-Encoding", "Content-Range",
        "Cache-Control", "If-Match", "Range", "Expect", "Max-Forwards", "X-Forwarded-For", "X-Forwarded-Host",
        "Forwarded", "X-Request-Id", "X-Api-Key", "Via"})
    rows.push_back({"6.5.1", "a field that may not be a trailer is dropped",
                    post_chunks(fmt::format("0\r\n{}: a\r\nB: c\r\n\r\n", name)),
                    posted_chunks("0\r\nb: c\r\n\r\n")});
  for (const char* name : {"Transfer-Encoding", "Content-Length", "Host", "TE", "Connection", "Keep-Alive",
                           "Upgrade", "Proxy-Connection", "Content_Length", "Transfer_Encoding"})
    rows.push_back({"6.5.1", "a field that frames or routes is refused",
                    post_chunks(fmt::format("0\r\n{}: a\r\n\r\n", name)), "", malformed});
  run_rows(rows);
}

TEST_CASE("RFC 9110 7: the connection's own fields of a request") {
  run_rows(std::vector<RequestRow>{
      {"7.6.1", "Connection goes", get("Connection: close\r\n"), got()},
      {"7.6.1", "and what it names", get("Connection: A, b\r\nA: 1\r\nB: 2\r\nC: 3\r\n"), got("c: 3\r\n")},
      {"7.6.1", "wherever it stands", get("A: 1\r\nConnection: a\r\nA: 2\r\n"), got()},
      {"7.6.1", "in several lines", get("Connection: a\r\nConnection: b\r\nA: 1\r\nB: 2\r\n"), got()},
      {"7.6.1", "Keep-Alive goes unnamed", get("Keep-Alive: timeout=5\r\n"), got()},
      {"7.6.1", "Proxy-Connection goes unnamed", get("Proxy-Connection: keep-alive\r\n"), got()},
      {"7.6.1", "TE goes unnamed", get("TE: gzip\r\n"), got()},
      {"7.6.1", "Upgrade goes unnamed", get("Upgrade: websocket\r\n"), got()},
      {"7.6.1", "what it names need not be there", get("Connection: x-none\r\nA: 1\r\n"), got("a: 1\r\n")},
      {"7.6.1", "it cannot name Host", get("Connection: Host\r\n"), "", malformed},
      {"7.6.1", "nor Content-Length", post("Connection: content-length\r\nContent-Length: 1\r\n", "a"), "",
       malformed},
      {"7.6.1", "nor Transfer-Encoding",
       post("Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), "", malformed},
      {"7.6.1", "nor Expect", get("Connection: expect\r\n"), "", malformed},
      {"7.6.1", "nor Content-Type", get("Connection: content-type\r\n"), "", malformed},
      {"7.6.1", "its options are tokens", get("Connection: a b\r\n"), "", malformed},
      {"7.6.1", "not quoted", get("Connection: \"close\"\r\n"), "", malformed},
      {"7.8", "an upgrade", get("Connection: upgrade\r\nUpgrade: WebSocket\r\n"),
       got("upgrade: websocket\r\nconnection: upgrade\r\n")},
      {"7.8", "a protocol with a version", get("Connection: upgrade\r\nUpgrade: a/1.0\r\n"),
       got("upgrade: a/1.0\r\nconnection: upgrade\r\n")},
      {"7.8", "of several the first", get("Connection: upgrade\r\nUpgrade: b, a\r\n"),
       got("upgrade: b\r\nconnection: upgrade\r\n")},
      {"7.8", "without the option it was not meant for us", get("Upgrade: websocket\r\n"), got()},
      {"7.8", "the option without a protocol", get("Connection: upgrade\r\n"), got()},
      {"7.8", "in HTTP/1.0 it is ignored",
       line("GET / HTTP/1.0", "Host: x\r\nConnection: upgrade\r\nUpgrade: a\r\n"), got()},
      {"7.8", "with a body it is ignored",
       post("Connection: upgrade\r\nUpgrade: a\r\nContent-Length: 1\r\n", "b"),
       posted("content-length: 1\r\n", "b")},
      {"7.8", "what is no protocol", get("Connection: upgrade\r\nUpgrade: a b\r\n"), "", malformed},
      {"7.8", "an empty version", get("Connection: upgrade\r\nUpgrade: a/\r\n"), "", malformed},
      {"7.8", "HTTP2-Settings is of the connection", get("HTTP2-Settings: AAA\r\n"), got()},
  });
}

TEST_CASE("RFC 9110 8, 9 and 10: methods and expectations") {
  auto with = [](std::string_view method, std::string_view fields = "", std::string_view body = "") {
    return fmt::format("{} / HTTP/1.1\r\nHost: x\r\n{}\r\n{}", method, fields, body);
  };
  auto sent = [](std::string_view method, std::string_view fields = "", std::string_view body = "") {
    return fmt::format("{} / HTTP/1.1\r\nhost: x\r\n{}\r\n{}", method, fields, body);
  };
  run_rows(std::vector<RequestRow>{
      {"8.6", "where a body is usual, its absence is said", with("PUT"),
       sent("PUT", "content-length: 0\r\n")},
      {"8.6", "PATCH too", with("PATCH"), sent("PATCH", "content-length: 0\r\n")},
      {"8.6", "where none is usual, not", with("DELETE"), sent("DELETE")},
      {"8.6", "a length of 0 stays", with("GET", "Content-Length: 0\r\n"),
       sent("GET", "content-length: 0\r\n")},
      {"9.3.1", "GET with a body", with("GET", "Content-Length: 1\r\n", "a"),
       sent("GET", "content-length: 1\r\n", "a")},
      {"9.3.2", "HEAD", with("HEAD"), sent("HEAD")},
      {"9.3.2", "HEAD with a body", with("HEAD", "Content-Length: 1\r\n", "a"),
       sent("HEAD", "content-length: 1\r\n", "a")},
      {"9.3.5", "DELETE with a body", with("DELETE", "Content-Length: 1\r\n", "a"),
       sent("DELETE", "content-length: 1\r\n", "a")},
      {"9.3.6", "CONNECT", line("CONNECT y:1 HTTP/1.1", "Host: y:1\r\n"), "", unsupported},
      {"9.3.6", "CONNECT with a path", line("CONNECT / HTTP/1.1"), "", unsupported},
      {"9.3.7", "OPTIONS with a path", with("OPTIONS"), sent("OPTIONS")},
      {"9.3.7", "OPTIONS with a body", with("OPTIONS", "Content-Length: 1\r\n", "a"),
       sent("OPTIONS", "content-length: 1\r\n", "a")},
      {"9.3.8", "TRACE", with("TRACE"), sent("TRACE")},
      {"9.3.8", "TRACE must not have a body", with("TRACE", "Content-Length: 1\r\n", "a"), "", malformed},
      {"9.3.8", "nor a chunked one", with("TRACE", "Transfer-Encoding: chunked\r\n", "0\r\n\r\n"), "",
       malformed},
      {"10.1.1", "100-continue goes on with a body",
       with("PUT", "Expect: 100-continue\r\nContent-Length: 1\r\n", "a"),
       sent("PUT", "content-length: 1\r\nexpect: 100-continue\r\n", "a")},
      {"10.1.1", "it is case-insensitive", with("PUT", "Expect: 100-Continue\r\nContent-Length: 1\r\n", "a"),
       sent("PUT", "content-length: 1\r\nexpect: 100-continue\r\n", "a")},
      {"10.1.1", "without a body it means nothing", with("GET", "Expect: 100-continue\r\n"), sent("GET")},
      {"10.1.1", "in HTTP/1.0 it is ignored",
       line("PUT / HTTP/1.0", "Host: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n") + "a",
       sent("PUT", "content-length: 1\r\n", "a")},
      {"10.1.1", "another expectation: 417", with("PUT", "Expect: a\r\nContent-Length: 1\r\n", "a"), "",
       reason::request_expectation},
      {"10.1.1", "one beside it: 417", with("PUT", "Expect: 100-continue, a\r\nContent-Length: 1\r\n", "a"),
       "", reason::request_expectation},
      {"10.1.1", "an empty one: 417", with("PUT", "Expect:\r\nContent-Length: 1\r\n", "a"), "",
       reason::request_expectation},
      {"10.1.4", "TE: trailers", with("GET", "TE: trailers\r\nConnection: te\r\n"),
       sent("GET", "te: trailers\r\nconnection: te\r\n")},
      {"10.1.4", "TE in HTTP/1.0 means nothing", line("GET / HTTP/1.0", "Host: x\r\nTE: trailers\r\n"),
       sent("GET")},
  });
}
