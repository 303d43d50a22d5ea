// The chunked coding alone (RFC 9112 7.1), each case whole and byte by byte.
#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "http/http1/framing.h"

using namespace penstock::http::http1;
using namespace std::string_literals;

namespace {

// The data, then " last" and what is left, or " error", or " more".
std::string read(std::string_view bytes, size_t step) {
  ChunkReader reader;
  std::string out;
  while (true) {
    std::string_view input = bytes.substr(0, step), data;
    size_t given = input.size();
    auto found = reader.next(input, data);
    bytes.remove_prefix(given - input.size());
    switch (found) {
      case ChunkReader::Found::data: out += data; continue;
      case ChunkReader::Found::last: return out + " last" + std::string(bytes);
      case ChunkReader::Found::error: return out + " error";
      case ChunkReader::Found::more: break;
    }
    if (bytes.empty()) return out + " more";
  }
}

std::string read(std::string_view bytes) {
  std::string whole = read(bytes, bytes.size());
  CHECK(read(bytes, 1) == whole);
  return whole;
}

}  // namespace

TEST_CASE("chunks are their data up to the line of the last one") {
  CHECK(read("5\r\nhello\r\n0\r\n\r\n") == "hello last\r\n");
  CHECK(read("1\r\na\r\n1\r\nb\r\n0\r\nX: 1\r\n") == "ab lastX: 1\r\n");
  CHECK(read("00A\r\n0123456789\r\n000\r\n") == "0123456789 last");
  CHECK(read("a\r\n\r\n0\r\n\r\nxyz\r\n") == "\r\n0\r\n\r\nxyz more");
  CHECK(read("2;a\r\nhi\r\n0;last=1\r\n") == "hi last");
  CHECK(read("2;a=b;c=\"x;\\\"\\\\\t \xe4\";d\r\nhi\r\n0\r\n") == "hi last");
}

TEST_CASE("a chunk size has 63 bits and nothing but hexadecimal digits") {
  CHECK(read("7fffffffffffffff\r\na") == "a more");
  for (std::string_view size : {"8000000000000000",
                                "ffffffffffffffff",
                                "10000000000000000",
                                "fffffffffffffffff1",
                                "",
                                " 5",
                                "5 ",
                                "\t5",
                                "+5",
                                "-5",
                                "-0",
                                "0x5",
                                "0X5",
                                "5h",
                                "5_0",
                                "1,0",
                                "1.0",
                                "5L",
                                "g",
                                "@",
                                "`",
                                "/",
                                ":"}) {
    CAPTURE(size);
    CHECK(read(std::string(size) + "\r\nhello\r\n0\r\n\r\n") == " error");
  }
}

TEST_CASE("a chunk line ends in CRLF alone, and so does a chunk") {
  for (const std::string& line :
       {"5\n"s, "5\r"s, "5\r\r\n"s, "5\n\r\n"s, "5\0\r\n"s, "5;a\n"s, "5;a\r\r\n"s, "5;a\0\r\n"s}) {
    CAPTURE(line);
    CHECK(read(line + "hello\r\n0\r\n\r\n") == " error");
  }
  for (std::string_view end : {"", "\n", "\r", "x\r\n", "\n\r\n", "\r\r\n", "\r\n\r\n"}) {
    CAPTURE(end);
    CHECK(read("5\r\nhello" + std::string(end) + "0\r\n\r\n") == "hello error");
  }
}

TEST_CASE("a chunk extension that is none is refused") {
  for (const std::string& extension :
       {";"s,           ";;"s,        ";=b"s,       ";a="s,         ";a=;b"s,       ";a=b c"s,
        ";a b"s,        "; "s,        " ;"s,        ";a "s,         ";a= "s,        ";a==b"s,
        ";a=\"b"s,      ";a=\"b\"c"s, ";a=\"b\" "s, ";a=\"\x01\""s, ";a=\"\x7f\""s, ";a=\"\\\r\n\""s,
        ";a=\"\r\n\""s, ";a=\"\n\""s, ";a=\"\0\""s, ";(a)"s,        ";\xe4"s,       ";a,b"s}) {
    CAPTURE(extension);
    CHECK(read("5" + extension + "\r\nhello\r\n0\r\n\r\n") == " error");
  }
}

TEST_CASE("chunk lines are bounded each, and together against the data") {
  CHECK(read("1;" + std::string(1020, 'a') + "\r\nx") == "x more");
  CHECK(read("1;" + std::string(1024, 'a') + "\r\nx") == " error");
  CHECK(read(std::string(1020, '0') + "1\r\nx") == "x more");
  CHECK(read(std::string(1030, '0') + "1\r\nx") == " error");
  auto chunks = [](size_t count, size_t extension, size_t size) {
    char digits[17];
    std::snprintf(digits, sizeof digits, "%zx", size);
    std::string out;
    for (size_t i = 0; i < count; ++i)
      out += digits + (";" + std::string(extension, 'a')) + "\r\n" + std::string(size, 'x') + "\r\n";
    return out;
  };
  CHECK(read(chunks(100'000, 10, 1)).ends_with(" more"));  // short lines may be as many as they like
  CHECK(read(chunks(1000, 500, 1)).ends_with(" error"));
  CHECK(read(chunks(1000, 500, 500)).ends_with(" more"));
}
