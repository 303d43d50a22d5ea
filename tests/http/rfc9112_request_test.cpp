// RFC 9112 sections 2, 3 and 5: lines, the request line, the request target, field lines. Where the RFC lets
// a recipient choose, the row says so and the strict choice is made.
#include "table.h"

using namespace penstock;
using namespace penstock::test;
using namespace std::string_literals;

TEST_CASE("RFC 9112 2: message format") {
  run_rows(std::vector<RequestRow>{
      {"2.1", "start line, fields, an empty line", get("A: b\r\n"), got("a: b\r\n")},
      {"2.2", "an empty line before the request is ignored", "\r\n" + get(), got()},
      {"2.2", "more than one is not", "\r\n\r\n" + get(), "", malformed},
      {"2.2", "LF alone may be taken for a line end; it is not", "GET / HTTP/1.1\nHost: x\r\n\r\n", "",
       malformed},
      {"2.2", "LF alone behind a field", get("A: b\n"), "", malformed},
      {"2.2", "LF alone as the empty line", "GET / HTTP/1.1\r\nHost: x\r\n\n", "", malformed},
      {"2.2", "LF alone before the request", "\n" + get(), "", malformed},
      {"2.2", "a bare CR in the request line", line("GET /\r HTTP/1.1"), "", malformed},
      {"2.2", "a bare CR in a field value", get("A: b\rc\r\n"), "", malformed},
      {"2.2", "a bare CR in a field name", get("A\rB: c\r\n"), "", malformed},
      {"2.2", "a bare CR before a line end", get("A: b\r\r\n"), "", malformed},
      {"2.2", "a bare CR before the request", "\r" + get(), "", malformed},
      {"2.2", "white space before the first field", line("GET / HTTP/1.1", " Host: x\r\n"), "", malformed},
      {"2.2", "a tab before the first field", line("GET / HTTP/1.1", "\tHost: x\r\n"), "", malformed},
      {"2.2", "a line of white space before the first field", line("GET / HTTP/1.1", " \r\nHost: x\r\n"), "",
       malformed},
      {"2.2", "what is no HTTP", "hello\r\n", "", malformed},
      {"2.2", "a TLS hello", "\x16\x03\x01\x02"s, "", malformed},
      {"2.2", "the first byte is NUL", "\0GET / HTTP/1.1\r\n"s, "", malformed},
      {"2.3", "HTTP/1.1", line("GET / HTTP/1.1"), got()},
      {"2.3", "HTTP/1.0 goes on as 1.1", line("GET / HTTP/1.0"), got()},
      {"2.3", "the name is case-sensitive", line("GET / http/1.1"), "", malformed},
      {"2.3", "one digit before the dot", line("GET / HTTP/11.1"), "", malformed},
      {"2.3", "one digit behind the dot", line("GET / HTTP/1.10"), "", malformed},
      {"2.3", "no digit behind the dot", line("GET / HTTP/1."), "", malformed},
      {"2.3", "no dot", line("GET / HTTP/1"), "", malformed},
      {"2.3", "a later minor version may be taken for 1.1; it is not", line("GET / HTTP/1.2"), "", malformed},
      {"2.3", "another major version", line("GET / HTTP/2.0"), "", malformed},
      {"2.3", "HTTP/0.9 has no version", "GET /\r\n", "", malformed},
      {"2.3", "HTTP/0.9 by name", line("GET / HTTP/0.9"), "", malformed},
      {"2.3", "another protocol", line("GET / RTSP/1.0"), "", malformed},
  });
}

TEST_CASE("RFC 9112 3: request line") {
  run_rows(std::vector<RequestRow>{
      {"3", "single blanks between three parts", line("GET / HTTP/1.1"), got()},
      {"3", "two blanks before the target", line("GET  / HTTP/1.1"), "", malformed},
      {"3", "two blanks before the version", line("GET /  HTTP/1.1"), "", malformed},
      {"3", "a blank behind the version", line("GET / HTTP/1.1 "), "", malformed},
      {"3", "a blank before the method", line(" GET / HTTP/1.1"), "", malformed},
      {"3", "other white space may be taken for a blank; it is not: a tab", line("GET\t/ HTTP/1.1"), "",
       malformed},
      {"3", "a vertical tab", line("GET /\x0bHTTP/1.1"), "", malformed},
      {"3", "a form feed", line("GET\x0c/ HTTP/1.1"), "", malformed},
      {"3", "NUL", line("GET\0/ HTTP/1.1"s), "", malformed},
      {"3", "white space within the target", line("GET /a b HTTP/1.1"), "", malformed},
      {"3", "no target", line("GET HTTP/1.1"), "", malformed},
      {"3", "an empty target", line("GET  HTTP/1.1"), "", malformed},
      {"3", "the method alone", "GET\r\n", "", malformed},
      {"3.1", "the method is case-sensitive", line("get / HTTP/1.1"), "", unsupported},
      {"3.1", "a method that is not known: 501", line("FROB / HTTP/1.1"), "", unsupported},
      {"3.1", "one that begins like a known one", line("GETS / HTTP/1.1"), "", unsupported},
      {"3.1", "any token is a method", line("!#$%&'*+-.^_`|~09 / HTTP/1.1"), "", unsupported},
      {"3.1", "the token of HTTP/2's preface", line("PRI * HTTP/1.1"), "", unsupported},
      {"3.1", "a registered one of WebDAV", line("PROPFIND / HTTP/1.1"),
       "PROPFIND / HTTP/1.1\r\nhost: x\r\n\r\n"},
      {"3.1", "a method that is no token", line("GE(T / HTTP/1.1"), "", malformed},
      {"3.1", "a method over 127", line("G\xc3\x89T / HTTP/1.1"), "", malformed},
      {"3.1", "a method with a colon", line("GET: / HTTP/1.1"), "", malformed},
      {"3.1", "an empty method", line(" / HTTP/1.1"), "", malformed},
  });
}

TEST_CASE("RFC 9112 3.2: request target") {
  auto path = [](std::string_view target) {
    return fmt::format("GET {} HTTP/1.1\r\nhost: x\r\n\r\n", target);
  };
  auto of = [](std::string_view authority) {
    return fmt::format("GET / HTTP/1.1\r\nhost: {}\r\n\r\n", authority);
  };
  run_rows(std::vector<RequestRow>{
      {"3.2.1", "origin-form", line("GET /a/b HTTP/1.1"), path("/a/b")},
      {"3.2.1", "with a query", line("GET /a?b=c&d HTTP/1.1"), path("/a?b=c&d")},
      {"3.2.1", "with an empty query", line("GET /a? HTTP/1.1"), path("/a?")},
      {"3.2.1", "with question marks in the query", line("GET /a?b?c HTTP/1.1"), path("/a?b?c")},
      {"3.2.1", "escapes are not touched here", line("GET /%41%2f?%41%2F HTTP/1.1"), path("/%41%2f?%41%2F")},
      {"3.2.1", "every byte of RFC 3986", line("GET /a-._~!$&'()*+,;=:@?/?- HTTP/1.1"),
       path("/a-._~!$&'()*+,;=:@?/?-")},
      {"3.2.1", "visible bytes that browsers send unescaped", line("GET /[a]|^`{}?[]{}|\"<> HTTP/1.1"),
       path("/[a]|^`{}?[]{}|\"<>")},
      {"3.2.1", "two slashes are a path, no authority", line("GET //evil/a HTTP/1.1"), path("//evil/a")},
      {"3.2.1", "a fragment", line("GET /a#b HTTP/1.1"), "", malformed},
      {"3.2.1", "a byte over 127", line("GET /\xc3\xa4 HTTP/1.1"), "", malformed},
      {"3.2.1", "a control byte", line("GET /\x01 HTTP/1.1"), "", malformed},
      {"3.2.1", "DEL", line("GET /\x7f HTTP/1.1"), "", malformed},
      {"3.2.1", "no slash at the beginning", line("GET a HTTP/1.1"), "", malformed},
      {"3.2.1", "a query alone", line("GET ?a HTTP/1.1"), "", malformed},
      {"3.2.2", "absolute-form", line("GET http://x/a?b HTTP/1.1"), path("/a?b")},
      {"3.2.2", "its host wins over Host", line("GET http://y/ HTTP/1.1"), of("y")},
      {"3.2.2", "its port too", line("GET http://x:81/ HTTP/1.1"), of("x:81")},
      {"3.2.2", "scheme and host are case-insensitive", line("GET HTTP://X.Example/ HTTP/1.1"),
       of("x.example")},
      {"3.2.2", "https", line("GET https://x/ HTTP/1.1"), of("x")},
      {"3.2.2", "no path is a slash", line("GET http://x HTTP/1.1"), path("/")},
      {"3.2.2", "no path with a query", line("GET http://x?a HTTP/1.1"), path("/?a")},
      {"3.2.2", "another scheme", line("GET ftp://x/ HTTP/1.1"), "", malformed},
      {"3.2.2", "no authority", line("GET http:///a HTTP/1.1"), "", malformed},
      {"3.2.2", "user information", line("GET http://u:p@x/ HTTP/1.1"), "", malformed},
      {"3.2.2", "one slash", line("GET http:/x HTTP/1.1"), "", malformed},
      {"3.2.2", "a port alone", line("GET http://:80/ HTTP/1.1"), "", malformed},
      {"3.2.2", "a backslash in the authority", line("GET http://x\\@y/ HTTP/1.1"), "", malformed},
      {"3.2.2", "a Host is still needed", line("GET http://x/ HTTP/1.1", ""), "", malformed},
      {"3.2.2", "and a valid one", line("GET http://x/ HTTP/1.1", "Host: a b\r\n"), "", malformed},
      {"3.2.3", "authority-form outside of CONNECT", line("GET x:80 HTTP/1.1"), "", malformed},
      {"3.2.3", "CONNECT is not for a gateway", line("CONNECT x:443 HTTP/1.1"), "", unsupported},
      {"3.2.4", "asterisk-form", line("OPTIONS * HTTP/1.1"), "OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n"},
      {"3.2.4", "absolute-form without a path is sent on as it", line("OPTIONS http://x HTTP/1.1"),
       "OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n"},
      {"3.2.4", "a slash is something else", line("OPTIONS http://x/ HTTP/1.1"),
       "OPTIONS / HTTP/1.1\r\nhost: x\r\n\r\n"},
      {"3.2.4", "outside of OPTIONS", line("GET * HTTP/1.1"), "", malformed},
      {"3.2.4", "with a query", line("OPTIONS *?a HTTP/1.1"), "", malformed},
      {"3.2", "no Host in HTTP/1.1", line("GET / HTTP/1.1", ""), "", malformed},
      {"3.2", "no Host in HTTP/1.0", line("GET / HTTP/1.0", ""), of("")},
      {"3.2", "two Hosts", line("GET / HTTP/1.1", "Host: x\r\nHost: y\r\n"), "", malformed},
      {"3.2", "the same Host twice", line("GET / HTTP/1.1", "Host: x\r\nhost: x\r\n"), "", malformed},
      {"3.2", "two Hosts in HTTP/1.0", line("GET / HTTP/1.0", "Host: x\r\nHost: y\r\n"), "", malformed},
      {"3.2", "an empty Host names nobody", line("GET / HTTP/1.1", "Host:\r\n"), "", malformed},
      {"3.2", "a Host with a path", line("GET / HTTP/1.1", "Host: x/y\r\n"), "", malformed},
      {"3.2", "a Host with user information", line("GET / HTTP/1.1", "Host: u@x\r\n"), "", malformed},
      {"3.2", "a Host with a list", line("GET / HTTP/1.1", "Host: x, y\r\n"), "", malformed},
      {"3.2", "a Host with a bad port", line("GET / HTTP/1.1", "Host: x:8o\r\n"), "", malformed},
      {"3.2", "a Host with an empty port", line("GET / HTTP/1.1", "Host: x:\r\n"), of("x")},
      {"3.2", "a Host with an IPv6 address", line("GET / HTTP/1.1", "Host: [2001:DB8::1]:80\r\n"),
       of("[2001:db8::1]:80")},
      {"3.2", "a Host with an IPv6 address without brackets", line("GET / HTTP/1.1", "Host: ::1\r\n"), "",
       malformed},
      {"3.2", "a Host with an IPv4 address", line("GET / HTTP/1.1", "Host: 192.0.2.1\r\n"), of("192.0.2.1")},
  });
}

TEST_CASE("RFC 9112 5: field syntax") {
  run_rows(std::vector<RequestRow>{
      {"5", "one field a line", get("A: b\r\nC: d\r\n"), got("a: b\r\nc: d\r\n")},
      {"5", "a line without a colon", get("A\r\n"), "", malformed},
      {"5", "a colon alone", get(":\r\n"), "", malformed},
      {"5", "an empty name", get(": b\r\n"), "", malformed},
      {"5.1", "white space around a value is not part of it", get("A: \t b c\t \r\n"), got("a: b c\r\n")},
      {"5.1", "no white space", get("A:b\r\n"), got("a: b\r\n")},
      {"5.1", "an empty value", get("A:\r\nB: \t\r\n"), got("a: \r\nb: \r\n")},
      {"5.1", "colons in a value", get("A: b:c: d\r\n"), got("a: b:c: d\r\n")},
      {"5.1", "a blank before the colon", get("A : b\r\n"), "", malformed},
      {"5.1", "a tab before the colon", get("A\t: b\r\n"), "", malformed},
      {"5.1", "a blank before the colon of a field of no weight", get("X-Nothing : b\r\n"), "", malformed},
      {"5.2", "a folded line may be replaced by blanks; it is not", get("A: b\r\n c\r\n"), "", malformed},
      {"5.2", "folded with a tab", get("A: b\r\n\tc\r\n"), "", malformed},
      {"5.2", "folded to nothing", get("A: b\r\n \r\n"), "", malformed},
      {"5.2", "an empty value that is folded", get("A:\r\n b\r\n"), "", malformed},
  });
}
