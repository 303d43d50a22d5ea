// RFC 9112 sections 6 and 7: where a request's body ends, the chunked coding, trailers.
#include "table.h"

using namespace penstock;
using namespace penstock::test;
using namespace std::string_literals;

TEST_CASE("RFC 9112 6: message body of a request") {
  auto coded = [](std::string_view value, std::string_view more = "") {
    return post(fmt::format("Transfer-Encoding: {}\r\n{}", value, more), "0\r\n\r\n");
  };
  auto long_as = [](std::string_view value) {
    return post(fmt::format("Content-Length: {}\r\n", value), "hello");
  };
  run_rows(std::vector<RequestRow>{
      {"6", "neither length nor coding: no body", get(), got()},
      {"6", "a body in any method", get("Content-Length: 2\r\n") + "ab", got("content-length: 2\r\n") + "ab"},
      {"6.1", "chunked", coded("chunked"), posted_chunks("0\r\n\r\n")},
      {"6.1", "names of codings are case-insensitive", coded("CHUNKED"), posted_chunks("0\r\n\r\n")},
      {"6.1", "chunked not last", coded("chunked, gzip"), "", malformed},
      {"6.1", "chunked twice", coded("chunked, chunked"), "", malformed},
      {"6.1", "another coding before it", coded("gzip, chunked"), "", malformed},
      {"6.1", "another coding alone", coded("gzip"), "", malformed},
      {"6.1", "a coding that does not exist", coded("xchunked"), "", malformed},
      {"6.1", "identity is no coding any more", coded("identity"), "", malformed},
      {"6.1", "a parameter", coded("chunked;a=b"), "", malformed},
      {"6.1", "no coding", coded(""), "", malformed},
      {"6.1", "an empty element", coded("chunked,"), "", malformed},
      {"6.1", "two lines", coded("chunked", "Transfer-Encoding: chunked\r\n"), "", malformed},
      {"6.1", "in HTTP/1.0", "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "",
       malformed},
      {"6.1", "a name that is nearly it", post("Transfer_Encoding: chunked\r\n"), "", malformed},
      {"6.2", "a length", long_as("5"), posted("content-length: 5\r\n", "hello")},
      {"6.2", "zeros before it", long_as("0005"), posted("content-length: 5\r\n", "hello")},
      {"6.2", "a length of 0", post("Content-Length: 0\r\n"), posted("content-length: 0\r\n")},
      {"6.2", "POST without one has one of 0", post(""), posted("content-length: 0\r\n")},
      {"6.2", "a name that is nearly it", post("Content_Length: 5\r\n", "hello"), "", malformed},
      {"6.3 (3)", "length and coding", coded("chunked", "Content-Length: 5\r\n"), "", malformed},
      {"6.3 (3)", "coding and length",
       post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), "", malformed},
      {"6.3 (5)", "a sign", long_as("+5"), "", malformed},
      {"6.3 (5)", "a negative length", long_as("-5"), "", malformed},
      {"6.3 (5)", "a fraction", long_as("5.0"), "", malformed},
      {"6.3 (5)", "hexadecimal", long_as("0x5"), "", malformed},
      {"6.3 (5)", "an underscore", long_as("0_5"), "", malformed},
      {"6.3 (5)", "quotes", long_as("\"5\""), "", malformed},
      {"6.3 (5)", "white space within", long_as("0 5"), "", malformed},
      {"6.3 (5)", "nothing", long_as(""), "", malformed},
      {"6.3 (5)", "letters", long_as("five"), "", malformed},
      {"6.3 (5)", "a list of equal values may be one; it is not", long_as("5, 5"), "", malformed},
      {"6.3 (5)", "a list of different values", long_as("5, 6"), "", malformed},
      {"6.3 (5)", "two equal lines may be one; they are not", long_as("5\r\nContent-Length: 5"), "",
       malformed},
      {"6.3 (5)", "two different lines", long_as("5\r\nContent-Length: 6"), "", malformed},
      {"6.3 (5)", "2^63", long_as("9223372036854775808"), "", malformed},
      {"6.3 (5)", "2^64 + 5", long_as("18446744073709551621"), "", malformed},
  });
}

TEST_CASE("RFC 9112 7: transfer codings of a request") {
  std::string hello = posted_chunks("5\r\nhello\r\n0\r\n\r\n");
  run_rows(std::vector<RequestRow>{
      {"7.1", "chunks", post_chunks("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), hello},
      {"7.1", "no chunk but the last", post_chunks("0\r\n\r\n"), posted_chunks("0\r\n\r\n")},
      {"7.1", "sizes in either case", post_chunks("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n"),
       posted_chunks("14\r\n01234567890123456789\r\n0\r\n\r\n")},
      {"7.1", "zeros before a size", post_chunks("0005\r\nhello\r\n000\r\n\r\n"), hello},
      {"7.1", "line ends within a chunk", post_chunks("6\r\n\r\n0\r\n\r\r\n0\r\n\r\n"),
       posted_chunks("6\r\n\r\n0\r\n\r\r\n0\r\n\r\n")},
      {"7.1", "no size", post_chunks("\r\nhello\r\n0\r\n\r\n"), "", malformed},
      {"7.1", "a size that is no number", post_chunks("x\r\n"), "", malformed},
      {"7.1", "a sign", post_chunks("+5\r\nhello\r\n0\r\n\r\n"), "", malformed},
      {"7.1", "a prefix", post_chunks("0x5\r\nhello\r\n0\r\n\r\n"), "", malformed},
      {"7.1", "an underscore", post_chunks("0_5\r\nhello\r\n0\r\n\r\n"), "", malformed},
      {"7.1", "a blank before the size", post_chunks(" 5\r\nhello\r\n0\r\n\r\n"), "", malformed},
      {"7.1", "a blank behind the size", post_chunks("5 \r\nhello\r\n0\r\n\r\n"), "", malformed},
      {"7.1", "2^63", post_chunks("8000000000000000\r\nhello"), "", malformed},
      {"7.1", "2^64 - 1", post_chunks("ffffffffffffffff\r\nhello"), "", malformed},
      {"7.1", "2^64 + 5", post_chunks("10000000000000005\r\nhello\r\n0\r\n\r\n"), "", malformed},
      {"7.1", "LF alone behind a size", post_chunks("5\nhello\r\n0\r\n\r\n"), "", malformed},
      {"7.1", "CR alone behind a size", post_chunks("5\rhello\r\n0\r\n\r\n"), "", malformed},
      {"7.1", "LF alone behind a chunk", post_chunks("5\r\nhello\n0\r\n\r\n"), "", malformed},
      {"7.1", "nothing behind a chunk", post_chunks("5\r\nhello0\r\n\r\n"), "", malformed},
      {"7.1", "more in a chunk than its size", post_chunks("4\r\nhello\r\n0\r\n\r\n"), "", malformed},
      {"7.1", "less in a chunk than its size", post_chunks("6\r\nhello\r\n0\r\n\r\n"), "", malformed},
      {"7.1.1", "extensions that nobody knows are ignored",
       post_chunks("5;a;b=c;d=\"e\\\"f\"\r\nhello\r\n0;g\r\n\r\n"), hello},
      {"7.1.1", "an extension without a name", post_chunks("5;\r\nhello\r\n0\r\n\r\n"), "", malformed},
      {"7.1.1", "a value without a name", post_chunks("5;=a\r\nhello\r\n0\r\n\r\n"), "", malformed},
      {"7.1.1", "a name with = and no value", post_chunks("5;a=\r\nhello\r\n0\r\n\r\n"), "", malformed},
      {"7.1.1", "a string that does not end", post_chunks("5;a=\"b\r\nhello\r\n0\r\n\r\n"), "", malformed},
      {"7.1.1", "a line end within a string", post_chunks("5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n"), "",
       malformed},
      {"7.1.1", "LF alone within an extension", post_chunks("5;a\nb\r\nhello\r\n0\r\n\r\n"), "", malformed},
      {"7.1.1", "NUL within an extension", post_chunks("5;a\0\r\nhello\r\n0\r\n\r\n"s), "", malformed},
      {"7.1.1", "blanks that only old senders made are read over",
       post_chunks("5 \t; a = b\t;c =\t\"d\" ; e\r\nhello\r\n0 ;f\r\n\r\n"), hello},
      {"7.1.1", "but not at the end of the line", post_chunks("5;a \r\nhello\r\n0\r\n\r\n"), "", malformed},
      {"7.1.1", "nor behind a value", post_chunks("5;a=b \r\nhello\r\n0\r\n\r\n"), "", malformed},
      {"7.1.1", "nor within a name", post_chunks("5;a b\r\nhello\r\n0\r\n\r\n"), "", malformed},
      {"7.1.1", "extensions have a limit",
       post_chunks("5;" + std::string(1100, 'a') + "\r\nhello\r\n0\r\n\r\n"), "", malformed},
      {"7.1.2", "trailers", post_chunks("0\r\nA: b\r\nC: d\r\n\r\n"),
       posted_chunks("0\r\na: b\r\nc: d\r\n\r\n")},
      {"7.1.2", "a trailer that frames", post_chunks("0\r\nContent-Length: 5\r\n\r\n"), "", malformed},
      {"7.1.2", "a trailer that codes", post_chunks("0\r\nTransfer-Encoding: chunked\r\n\r\n"), "",
       malformed},
      {"7.1.2", "a trailer that routes", post_chunks("0\r\nHost: y\r\n\r\n"), "", malformed},
      {"7.1.2", "a trailer that is of the connection", post_chunks("0\r\nConnection: close\r\n\r\n"), "",
       malformed},
      {"7.1.2", "one that authenticates is dropped", post_chunks("0\r\nAuthorization: a\r\nB: c\r\n\r\n"),
       posted_chunks("0\r\nb: c\r\n\r\n")},
      {"7.1.2", "one that controls caches is dropped",
       post_chunks("0\r\nCache-Control: a\r\nCookie: b\r\n\r\n"), posted_chunks("0\r\n\r\n")},
      {"7.1.2", "a folded trailer", post_chunks("0\r\nA: b\r\n c\r\n\r\n"), "", malformed},
      {"7.1.2", "a blank before the colon", post_chunks("0\r\nA : b\r\n\r\n"), "", malformed},
      {"7.1.2", "LF alone", post_chunks("0\r\nA: b\n\r\n"), "", malformed},
      {"7.1.2", "a control byte", post_chunks("0\r\nA: \x01\r\n\r\n"), "", malformed},
      {"7.1.2", "a line without a colon", post_chunks("0\r\nA\r\n\r\n"), "", malformed},
      {"7.1.2", "trailers have the limit of a head",
       post_chunks("0\r\nA: " + std::string(33'000, 'b') + "\r\n\r\n"), "", reason::request_header_too_large},
      {"7.1.2", "and its number of fields",
       post_chunks("0\r\n" +
                   [] {
                     std::string out;
                     for (int i = 0; i < 101; ++i) out += "A: b\r\n";
                     return out;
                   }() +
                   "\r\n"),
       "", reason::request_header_too_large},
      {"7.4", "TE asks for trailers of the next hop anew",
       get("TE: trailers, deflate;q=0.5\r\nConnection: TE\r\n"), got("te: trailers\r\nconnection: te\r\n")},
      {"7.4", "TE for codings alone goes", get("TE: deflate\r\nConnection: TE\r\n"), got()},
  });
}
