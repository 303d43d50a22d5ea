// RFC 9112 sections 4, 6, 7 and 9 and RFC 9110 section 15, as far as they speak of responses on their way.
#include "table.h"

using namespace penstock;
using namespace penstock::test;
using namespace std::string_literals;

namespace {

std::string status(std::string_view line, std::string_view fields = "Content-Length: 0\r\n") {
  return fmt::format("{}\r\nDate: D\r\n{}\r\n", line, fields);
}
std::string seen_status(std::string_view line, std::string_view fields = "content-length: 0\r\n") {
  return fmt::format("HTTP/1.1 {}\r\ndate: D\r\n{}\r\n", line, fields);
}
const std::string none;

}  // namespace

TEST_CASE("RFC 9112 4: status line") {
  run_rows(std::vector<ResponseRow>{
      {"4", "version, status, phrase", status("HTTP/1.1 200 OK"), seen_status("200 OK")},
      {"4", "a phrase of several words", status("HTTP/1.1 404 Not Found Here"),
       seen_status("404 Not Found Here")},
      {"4", "a phrase with bytes over 127 and a tab", status("HTTP/1.1 200 \xc3\xa4\tb"),
       seen_status("200 \xc3\xa4\tb")},
      {"4", "an empty phrase", status("HTTP/1.1 200 "), seen_status("200 OK")},
      {"4", "no blank before an empty phrase", status("HTTP/1.1 200"), seen_status("200 OK")},
      {"4", "a status that nobody knows", status("HTTP/1.1 299 X"), seen_status("299 X")},
      {"4", "a status that nobody knows, without a phrase", status("HTTP/1.1 499 "),
       seen_status("499 Client Closed Request")},
      {"4", "two digits", status("HTTP/1.1 20 OK"), none, After::closed},
      {"4", "four digits", status("HTTP/1.1 2000 OK"), none, After::closed},
      {"4", "a status over 599", status("HTTP/1.1 600 X"), none, After::closed},
      {"4", "a status under 100", status("HTTP/1.1 099 X"), none, After::closed},
      {"4", "letters", status("HTTP/1.1 2x0 OK"), none, After::closed},
      {"4", "a sign", status("HTTP/1.1 +20 OK"), none, After::closed},
      {"4", "two blanks", status("HTTP/1.1  200 OK"), none, After::closed},
      {"4", "a tab", status("HTTP/1.1\t200 OK"), none, After::closed},
      {"4", "a tab behind the status", status("HTTP/1.1 200\tOK"), none, After::closed},
      {"4", "a control byte in the phrase", status("HTTP/1.1 200 O\x01K"), none, After::closed},
      {"4", "NUL in the phrase", status("HTTP/1.1 200 O\0K"s), none, After::closed},
      {"4", "a bare CR in the phrase", status("HTTP/1.1 200 O\rK"), none, After::closed},
      {"2.2", "LF alone", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", none, After::closed},
      {"2.2", "an empty line before it", "\r\n" + status("HTTP/1.1 200 OK"), none, After::closed},
      {"2.3", "HTTP/1.0", status("HTTP/1.0 200 OK"), seen_status("200 OK"), After::closed},
      {"2.3", "HTTP/2", status("HTTP/2 200 OK"), none, After::closed},
      {"2.3", "HTTP/1.2", status("HTTP/1.2 200 OK"), none, After::closed},
      {"2.3", "ICY", status("ICY 200 OK"), none, After::closed},
      {"2.3", "HTTP/0.9", "<html>hello</html>", none, After::closed, "GET", "1.1", Ending::closes},
  });
}

TEST_CASE("RFC 9112 5 and RFC 9110 5 to 7: fields of a response") {
  auto with = [](const std::string& fields) { return ok(fields + "Content-Length: 0\r\n"); };
  auto shown = [](const std::string& fields) { return seen(fields + "content-length: 0\r\n"); };
  run_rows(std::vector<ResponseRow>{
      {"5.1", "white space around a value goes", with("A: \t b \t\r\n"), shown("a: b\r\n")},
      {"5.1", "a blank before the colon may be dropped; it is refused", with("A : b\r\n"), none,
       After::closed},
      {"5.2", "a folded line may be replaced by blanks; it is refused", with("A: b\r\n c\r\n"), none,
       After::closed},
      {"5", "a line without a colon", with("A\r\n"), none, After::closed},
      {"5", "an empty name", with(": a\r\n"), none, After::closed},
      {"9110 5.3", "order and lines stay", with("Set-Cookie: a\r\nB: c\r\nSet-Cookie: d\r\n"),
       shown("set-cookie: a\r\nb: c\r\nset-cookie: d\r\n")},
      {"9110 5.5", "bytes over 127 stay", with("A: \xff\r\n"), shown("a: \xff\r\n")},
      {"9110 5.5", "NUL", with("A: \0\r\n"s), none, After::closed},
      {"9110 5.5", "a bare CR that would split the answer", with("A: b\rSet-Cookie: evil\r\n"), none,
       After::closed},
      {"9110 5.5", "a bare LF that would split the answer", with("A: b\nSet-Cookie: evil\r\n"), none,
       After::closed},
      {"9110 5.5", "a control byte", with("A: \x1b\r\n"), none, After::closed},
      {"9110 6.6.1", "a Date stays", with(""), shown("")},
      {"9110 7.6.1", "Connection goes with what it names", with("Connection: A\r\nA: b\r\nC: d\r\n"),
       shown("c: d\r\n")},
      {"9110 7.6.1", "Keep-Alive, Proxy-Connection, TE and Upgrade go",
       with("Keep-Alive: a\r\nProxy-Connection: b\r\nTE: c\r\nUpgrade: d\r\n"), shown("")},
      {"9110 7.6.1", "close is between the backend and us", with("Connection: close\r\n"), shown(""),
       After::closed},
      {"9110 7.6.1", "it cannot name Content-Length", with("Connection: content-length\r\n"), none,
       After::closed},
      {"9110 7.6.1", "its options are tokens", with("Connection: a b\r\n"), none, After::closed},
  });
}

TEST_CASE("RFC 9112 6: message body of a response") {
  auto length = [](std::string_view value, std::string_view body = "hello") {
    return ok(fmt::format("Content-Length: {}\r\n", value), body);
  };
  run_rows(std::vector<ResponseRow>{
      {"6.3 (1)", "HEAD has no body", length("5", ""), seen("content-length: 5\r\n"), After::closed, "HEAD"},
      {"6.3 (1)", "HEAD and chunks", answer_chunks(""), seen(""), After::closed, "HEAD"},
      {"6.3 (1)", "HEAD and nothing", ok(""), seen(""), After::reused, "HEAD"},
      {"6.3 (1)", "204 has no body", status("HTTP/1.1 204 No Content", ""),
       seen_status("204 No Content", "")},
      {"6.3 (1)", "304 has no body, but may say how long it would be",
       status("HTTP/1.1 304 Not Modified", "Content-Length: 5\r\n"),
       seen_status("304 Not Modified", "content-length: 5\r\n"), After::closed},
      {"6.3 (1)", "304 and nothing", status("HTTP/1.1 304 Not Modified", ""),
       seen_status("304 Not Modified", "")},
      {"6.3 (3)", "coding and length", ok("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
       none, After::closed},
      {"6.3 (3)", "length and coding", ok("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
       none, After::closed},
      {"6.3 (4)", "chunked", answer_chunks("5\r\nhello\r\n0\r\n\r\n"),
       seen_chunks("5\r\nhello\r\n0\r\n\r\n")},
      {"6.3 (4)", "another coding until close", ok("Transfer-Encoding: gzip\r\n", "x"), none, After::closed},
      {"6.3 (4)", "another coding before chunked", ok("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
       none, After::closed},
      {"6.3 (4)", "chunked twice",
       ok("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), none, After::closed},
      {"6.1", "chunked in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", none,
       After::closed},
      {"6.3 (5)", "a list of lengths", length("5, 5"), none, After::closed},
      {"6.3 (5)", "two lengths", length("5\r\nContent-Length: 5"), none, After::closed},
      {"6.3 (5)", "two different lengths", length("5\r\nContent-Length: 6"), none, After::closed},
      {"6.3 (5)", "a sign", length("+5"), none, After::closed},
      {"6.3 (5)", "a negative length", length("-5"), none, After::closed},
      {"6.3 (5)", "a unit", length("5 bytes"), none, After::closed},
      {"6.3 (5)", "nothing", length(""), none, After::closed},
      {"6.3 (5)", "over 63 bits", length("9223372036854775808"), none, After::closed},
      {"6.3 (6)", "a length", length("5"), seen("content-length: 5\r\n", "hello")},
      {"6.3 (6)", "a length of 0", length("0", ""), seen("content-length: 0\r\n")},
      {"6.3 (6)", "cut short", length("6"), none, After::closed, "GET", "1.1", Ending::closes},
      {"6.3 (8)", "until close", ok("", "hello"), seen_chunks("5\r\nhello\r\n0\r\n\r\n"), After::closed,
       "GET", "1.1", Ending::closes},
      {"6.3 (8)", "until close, to HTTP/1.0", ok("", "hello"), seen("connection: close\r\n", "hello"),
       After::closed, "GET", "1.0", Ending::closes},
      {"6.3 (8)", "keep-alive does not make it shorter", ok("Connection: keep-alive\r\n", "hello"),
       seen_chunks("5\r\nhello\r\n0\r\n\r\n"), After::closed, "GET", "1.1", Ending::closes},
      {"7.1", "chunks to HTTP/1.0 are until close", answer_chunks("5\r\nhello\r\n0\r\n\r\n"),
       seen("connection: close\r\n", "hello"), After::reused, "GET", "1.0"},
      {"7.1", "a size that is no number", answer_chunks("x\r\n"), none, After::closed},
      {"7.1", "a size over 63 bits", answer_chunks("ffffffffffffffff\r\nhello"), none, After::closed},
      {"7.1", "more than its size", answer_chunks("4\r\nhello\r\n0\r\n\r\n"), none, After::closed},
      {"7.1", "LF alone", answer_chunks("5\nhello\r\n0\r\n\r\n"), none, After::closed},
      {"7.1", "an extension that is none", answer_chunks("5;=\r\nhello\r\n0\r\n\r\n"), none, After::closed},
      {"7.1", "the last chunk is missing", answer_chunks("5\r\nhello\r\n"), none, After::closed, "GET", "1.1",
       Ending::closes},
      {"7.1", "the last line is missing", answer_chunks("5\r\nhello\r\n0\r\n"), none, After::closed, "GET",
       "1.1", Ending::closes},
      {"7.1", "the last chunk is missing, to HTTP/1.0", answer_chunks("5\r\nhello\r\n"), none, After::closed,
       "GET", "1.0", Ending::closes},
      {"7.1.2", "trailers", answer_chunks("0\r\nA: b\r\n\r\n"), seen_chunks("0\r\na: b\r\n\r\n")},
      {"7.1.2", "trailers to HTTP/1.0 are dropped", answer_chunks("1\r\nx\r\n0\r\nA: b\r\n\r\n"),
       seen("connection: close\r\n", "x"), After::reused, "GET", "1.0"},
      {"7.1.2", "one that sets a cookie is dropped", answer_chunks("0\r\nSet-Cookie: a\r\nB: c\r\n\r\n"),
       seen_chunks("0\r\nb: c\r\n\r\n")},
      {"7.1.2", "one that frames", answer_chunks("0\r\nContent-Length: 1\r\n\r\n"), none, After::closed},
      {"7.1.2", "one that looks as if it framed", answer_chunks("0\r\nContent_Length: 1\r\n\r\n"), none,
       After::closed},
      {"7.1.2", "a folded one", answer_chunks("0\r\nA: b\r\n c\r\n\r\n"), none, After::closed},
  });
}

TEST_CASE("RFC 9112 9: what becomes of the backend's connection") {
  std::string zero = "Content-Length: 0\r\n", shown = "content-length: 0\r\n";
  run_rows(std::vector<ResponseRow>{
      {"9.3", "it stays", ok(zero), seen(shown)},
      {"9.3", "close ends it", ok("Connection: close\r\n" + zero), seen(shown), After::closed},
      {"9.3", "in any case and place", ok("Connection: a\r\nConnection: b, CLOSE\r\n" + zero), seen(shown),
       After::closed},
      {"9.3", "close wins over keep-alive", ok("Connection: keep-alive, close\r\n" + zero), seen(shown),
       After::closed},
      {"9.3", "HTTP/1.0 ends it", status("HTTP/1.0 200 OK"), seen(shown), After::closed},
      {"9.3", "but for keep-alive", status("HTTP/1.0 200 OK", "Connection: Keep-Alive\r\n" + zero),
       seen(shown)},
  });
}

TEST_CASE("RFC 9110 15: statuses with rules of their own") {
  std::string final_ok = ok("Content-Length: 0\r\n"), seen_final = seen("content-length: 0\r\n");
  std::string early = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
              seen_early = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
  run_rows(std::vector<ResponseRow>{
      {"15.2", "interim answers go before the final one", "HTTP/1.1 100 Continue\r\n\r\n" + early + final_ok,
       "HTTP/1.1 100 Continue\r\n\r\n" + seen_early + seen_final},
      {"15.2", "one that nobody knows", "HTTP/1.1 199 X\r\nA: b\r\n\r\n" + final_ok,
       "HTTP/1.1 199 X\r\na: b\r\n\r\n" + seen_final},
      {"15.2", "102 Processing", "HTTP/1.1 102 Processing\r\n\r\n" + final_ok,
       "HTTP/1.1 102 Processing\r\n\r\n" + seen_final},
      {"15.2", "none to HTTP/1.0", early + final_ok, seen("content-length: 0\r\nconnection: close\r\n"),
       After::reused, "GET", "1.0"},
      {"15.2", "none from HTTP/1.0", "HTTP/1.0 100 Continue\r\n\r\n" + final_ok, none, After::closed},
      {"15.2", "none with a body", "HTTP/1.1 103 Early Hints\r\nContent-Length: 1\r\n\r\na" + final_ok, none,
       After::closed},
      {"15.2", "none with chunks",
       "HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + final_ok, none,
       After::closed},
      {"15.2", "their connection's fields go",
       "HTTP/1.1 103 Early Hints\r\nConnection: a\r\nA: b\r\n\r\n" + final_ok,
       "HTTP/1.1 103 Early Hints\r\n\r\n" + seen_final},
      {"15.2", "and nothing behind it", early, none, After::closed, "GET", "1.1", Ending::closes},
      {"15.2.2", "101 that nobody asked for", "HTTP/1.1 101 S\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n",
       none, After::closed},
      {"15.3.5", "204 with a length", status("HTTP/1.1 204 No Content", "Content-Length: 5\r\n"), none,
       After::closed},
      {"15.3.5", "204 with chunks", status("HTTP/1.1 204 No Content", "Transfer-Encoding: chunked\r\n"), none,
       After::closed},
      {"15.3.5", "204 with a length of 0", status("HTTP/1.1 204 No Content"),
       seen_status("204 No Content", "")},
      {"15.3.6", "205 without a body", status("HTTP/1.1 205 Reset Content"),
       seen_status("205 Reset Content")},
      {"15.4.5", "304 with chunks", status("HTTP/1.1 304 Not Modified", "Transfer-Encoding: chunked\r\n"),
       seen_status("304 Not Modified", ""), After::closed},
      {"15.5.22", "426 says to what",
       status("HTTP/1.1 426 Upgrade Required",
              "Upgrade: A/1\r\nConnection: upgrade\r\nContent-Length: 0\r\n"),
       seen_status("426 Upgrade Required", "content-length: 0\r\nupgrade: A/1\r\nconnection: upgrade\r\n")},
  });
}

TEST_CASE("RFC 9112 9.3: bytes behind an answer are nobody's") {
  const std::string answers[] = {ok("Content-Length: 1\r\n", "a"), ok("Content-Length: 0\r\n"),
                                 answer_chunks("0\r\n\r\n"), status("HTTP/1.1 204 No Content", ""),
                                 status("HTTP/1.1 304 Not Modified", "")};
  std::vector<ResponseRow> rows;
  for (const std::string& first : answers)
    for (std::string_view more : {"x", "\r\n", "\n", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"})
      rows.push_back({"9.3", "more than the answer", first + std::string(more), none, After::closed});
  net::Loop loop;
  for (const ResponseRow& row : rows) {
    INFO(row.sent);
    in_every_way(row.sent, [&](size_t first, size_t step) {
      Relay relay(loop);
      feed(relay.client.wire, get());
      feed_in(relay.backend.wire, row.sent, first, step);
      CHECK(relay.backend.closed == 1);
      CHECK(relay.client.wire.sent.find("evil") == std::string::npos);
      relay.finish();
      turn(loop);
    });
  }
}
