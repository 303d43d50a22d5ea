#include "proxy/grpc.h"

#include <doctest/doctest.h>

#include <random>

#include "proxy/grpc_web.h"
#include "unit/proxy/request_fixture.h"

using namespace penstock;
using namespace penstock::proxy;
using namespace penstock::proxy::testing;

namespace {

Grpc kind_of(const std::string& content_type, http::Version version = http::Version::http_2,
             http::Method method = http::Method::post) {
  Request r("POST", "h", "/");
  r.head.method = method;
  r.head.version = version;
  r.header("content-type", content_type);
  return grpc::kind_of(r.head);
}

std::optional<uint64_t> timeout(const std::string& value) {
  Request r("POST", "h", "/");
  r.header("grpc-timeout", value);
  return grpc::timeout_ms(r.head.headers);
}

std::string read_base64(const std::string& text, size_t piece, size_t room, bool* good) {
  Base64Reader reader;
  std::string out, bytes(room, '\0');
  *good = true;
  for (size_t at = 0; at < text.size();) {
    const Base64Reader::Read read = reader.read(std::string_view(text).substr(at, piece), bytes);
    out.append(bytes, 0, read.made);
    at += read.taken;
    if (!read.good) {
      *good = false;
      return out;
    }
  }
  *good = reader.whole();
  return out;
}

std::string to_base64(const std::string& bytes) {
  std::string text(base64_size(bytes.size()), '\0');
  write_base64(bytes, text.data());
  return text;
}

}  // namespace

TEST_CASE("a call is a POST of gRPC's content type over HTTP/2, or of gRPC-Web's over any") {
  for (const std::string type : {"application/grpc", "application/grpc+proto", "Application/gRPC;a=b"})
    CHECK(kind_of(type) == Grpc::native);
  for (const std::string type : {"application/grpc-web", "application/grpc-web+proto"})
    CHECK(kind_of(type, http::Version::http_1_1) == Grpc::web);
  CHECK(kind_of("application/grpc-web-text+proto", http::Version::http_1_1) == Grpc::web_text);
  for (const std::string type : {"application/grpcs", "application/grpc-webs", "application/grpc-web-texts",
                                 "application/json", "application/grp", ""})
    CHECK(kind_of(type) == Grpc::none);
  CHECK(kind_of("application/grpc", http::Version::http_1_1) == Grpc::none);
  CHECK(kind_of("application/grpc", http::Version::http_2, http::Method::get) == Grpc::none);
}

TEST_CASE("the answer to gRPC-Web is text where Accept says so") {
  Request r("POST", "h", "/");
  CHECK(grpc::answer_kind(r.head, Grpc::web_text) == Grpc::web_text);
  r.header("accept", "application/grpc-web-text");
  CHECK(grpc::answer_kind(r.head, Grpc::web) == Grpc::web_text);
  CHECK(grpc::answer_kind(r.head, Grpc::native) == Grpc::native);
}

TEST_CASE("a timeout is read in every unit and rounded up to milliseconds, if it has any") {
  CHECK(timeout("2H") == 7'200'000);
  CHECK(timeout("3M") == 180'000);
  CHECK(timeout("99999999S") == 99'999'999'000);
  CHECK(timeout("250m") == 250);
  CHECK(timeout("1500u") == 2);
  CHECK(timeout("1000001n") == 2);
  CHECK(timeout("1000u") == 1);
  CHECK(timeout("999u") == 0);
  CHECK(timeout("1n") == 0);
  CHECK(timeout("99999999H") == 359'999'996'400'000);
  for (const std::string bad :
       {"", "m", "10", "1x", "123456789m", "-1m", "+1m", " 1m", "1 m", "1.5S", "0x1m"})
    CHECK(timeout(bad) == std::nullopt);
  CHECK(grpc::timeout_ms(Request("POST", "h", "/").head.headers) == std::nullopt);
}

TEST_CASE("a timeout is written in at most eight digits") {
  Request r("POST", "h", "/");
  CHECK(grpc::timeout_text(r.arena, 1) == "1m");
  CHECK(grpc::timeout_text(r.arena, 99'999'999) == "99999999m");
  CHECK(grpc::timeout_text(r.arena, 100'000'999) == "100000S");
  CHECK(grpc::timeout_text(r.arena, UINT64_MAX) == "99999999S");
}

TEST_CASE("a message is percent-encoded and bounded") {
  Request r("POST", "h", "/");
  CHECK(grpc::message_of(r.arena, "limit.rate", "100% gone\n") == "limit.rate: 100%25 gone%0A");
  CHECK(grpc::message_of(r.arena, "a", "\xc3\xa9") == "a: %C3%A9");
  CHECK(grpc::message_of(r.arena, "a", "") == "a");
  CHECK(grpc::message_of(r.arena, "", "b") == "b");
  CHECK(grpc::message_of(r.arena, "a", std::string(100'000, 'x')).size() < 2'000);
}

TEST_CASE("service and method are what the path names, or nothing") {
  const auto named = [](std::string_view path) {
    const grpc::Called called = grpc::called(path);
    return std::string(called.service) + "|" + std::string(called.method);
  };
  CHECK(named("/pkg.Service/Method") == "pkg.Service|Method");
  CHECK(named("/a/b/c") == "a/b|c");
  for (const std::string_view path : {"", "/", "/a", "/a/", "//", "*"}) CHECK(named(path) == "|");
}

TEST_CASE("a status is one of gRPC's, or unknown") {
  Request r("POST", "h", "/");
  CHECK(grpc::status_in(r.head.headers) == std::nullopt);
  for (const std::string& value :
       {std::string("16"), std::string("017"), std::string("17"), std::string("x")}) {
    Request each("POST", "h", "/");
    each.header("grpc-status", value);
    CHECK(grpc::status_in(each.head.headers) ==
          (value == "16" ? GrpcStatus::unauthenticated : GrpcStatus::unknown));
  }
}

TEST_CASE("base64 is read in pieces of any size into room of any size") {
  std::mt19937 random(3);
  for (size_t size = 0; size < 40; ++size) {
    std::string bytes, text;
    for (int part = 0; part < 2; ++part) {  // each padded for itself
      std::string more(size, '\0');
      for (char& c : more) c = static_cast<char>(random());
      bytes += more;
      text += to_base64(more);
    }
    for (size_t piece : {1u, 2u, 3u, 4u, 5u, 7u, 100u})
      for (size_t room : {3u, 4u, 5u, 6u, 100u}) {
        bool good = false;
        REQUIRE(read_base64(text, piece, room, &good) == bytes);
        REQUIRE(good);
      }
  }
  CHECK(to_base64("any carnal pleas") == "YW55IGNhcm5hbCBwbGVhcw==");
}

TEST_CASE("what is no base64 is refused") {
  for (const std::string text :
       {"a", "ab", "abc", "=abc", "a=bc", "ab=c", "abc-", "ab c", "abcd\n", "====", "a==="}) {
    CAPTURE(text);
    bool good = true;
    read_base64(text, 100, 100, &good);
    CHECK_FALSE(good);
  }
}

TEST_CASE("trailers become one frame of lines") {
  Request r("POST", "h", "/");
  http::Headers trailers(r.arena);
  trailers.add("grpc-status", "0");
  trailers.add("a", "");
  const std::string lines = "grpc-status: 0\r\na: \r\n";
  REQUIRE(lines.size() == 21);
  CHECK(trailer_frame(r.arena, trailers) == std::string("\x80\0\0\0\x15", 5) + lines);
}
