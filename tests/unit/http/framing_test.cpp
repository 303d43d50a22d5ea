// The judgement of framing alone, without llhttp's second opinion before it.
#include "http/http1/framing.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/reason.h"

using namespace penstock;
using namespace penstock::http;
using namespace penstock::http::http1;

namespace {

using FieldList = std::vector<std::pair<std::string_view, std::string_view>>;

Result<Framing> request(const FieldList& fields, Version version = Version::http_1_1) {
  BlockPool pool;
  Arena arena(pool);
  Message message(arena);
  message.method = Method::post;
  message.target = "/";
  message.version = version;
  message.headers.add("host", "x");
  for (auto [name, value] : fields) message.headers.add(name, value);
  return frame_request(message);
}

Result<Framing> response(uint16_t status, const FieldList& fields, const Asked& asked = {},
                         Version version = Version::http_1_1) {
  BlockPool pool;
  Arena arena(pool);
  Message message(arena);
  message.status = status;
  message.version = version;
  for (auto [name, value] : fields) message.headers.add(name, value);
  return frame_response(message, asked);
}

const FieldList ambiguous[] = {
    {{"content-length", "5"}, {"transfer-encoding", "chunked"}},
    {{"transfer-encoding", "chunked"}, {"content-length", "5"}},
    {{"content-length", "5"}, {"content-length", "5"}},
    {{"content-length", "5, 5"}},
    {{"content-length", "+5"}},
    {{"content-length", "-0"}},
    {{"content-length", "0x10"}},
    {{"content-length", ""}},
    {{"content-length", "99999999999999999999"}},
    {{"transfer-encoding", "chunked"}, {"transfer-encoding", "chunked"}},
    {{"transfer-encoding", "chunked, chunked"}},
    {{"transfer-encoding", "gzip, chunked"}},
    {{"transfer-encoding", "identity"}},
    {{"transfer-encoding", ""}},
    {{"transfer-encoding",
      "\x0b"
      "chunked"}},
    {{"content_length", "5"}},
    {{"transfer_encoding", "chunked"}},
    {{"connection", "content-length"}, {"content-length", "5"}},
    {{"connection", "a;b"}},
};

}  // namespace

TEST_CASE("a message with more than one reading of its length is refused in both directions") {
  for (const FieldList& fields : ambiguous) {
    CAPTURE(fields.front().first);
    CAPTURE(fields.front().second);
    auto client = request(fields);
    REQUIRE(!client);
    CHECK(client.error().reason == reason::request_malformed);
    auto backend = response(200, fields);
    REQUIRE(!backend);
    CHECK(backend.error().reason == reason::upstream_protocol);
    CHECK(backend.error().source == ErrorSource::upstream);
  }
}

TEST_CASE("a transfer coding in HTTP/1.0 is refused in both directions") {
  FieldList fields{{"transfer-encoding", "chunked"}};
  CHECK(!request(fields, Version::http_1_0));
  CHECK(!response(200, fields, {}, Version::http_1_0));
}

TEST_CASE("where a body ends follows from method, status and fields") {
  CHECK(request({})->body == BodyEnd::none);
  CHECK(request({{"content-length", "0"}})->body == BodyEnd::none);
  CHECK(request({{"content-length", "7"}})->length == 7);
  CHECK(request({{"transfer-encoding", "Chunked"}})->body == BodyEnd::chunked);
  CHECK(response(200, {})->body == BodyEnd::close);
  CHECK(!response(200, {})->persistent);
  CHECK(response(200, {{"content-length", "7"}})->body == BodyEnd::length);
  CHECK(response(200, {{"content-length", "7"}}, {Method::head, {}})->body == BodyEnd::none);
  CHECK(response(304, {{"content-length", "7"}})->body == BodyEnd::none);
  CHECK(response(304, {})->persistent);
  CHECK(response(304, {{"content-length", "0"}})->persistent);
  CHECK(response(204, {})->body == BodyEnd::none);
  CHECK(!response(204, {{"content-length", "7"}}));
  CHECK(!response(103, {{"transfer-encoding", "chunked"}}));
  CHECK(!response(101, {{"upgrade", "a"}, {"connection", "upgrade"}}));
  Asked upgrade{Method::get, "a"};
  CHECK(response(101, {{"upgrade", "A"}, {"connection", "upgrade"}}, upgrade)->body == BodyEnd::tunnel);
}

TEST_CASE("Connection and version decide whether another message may follow") {
  CHECK(request({})->persistent);
  CHECK(!request({{"connection", "Close"}})->persistent);
  CHECK(!request({}, Version::http_1_0)->persistent);
  CHECK(request({{"connection", "Keep-Alive"}}, Version::http_1_0)->persistent);
  CHECK(!request({{"connection", "keep-alive"}, {"connection", "close"}})->persistent);
}

TEST_CASE("a Connection field with endless options is refused, so that removing them stays cheap") {
  std::string many = "a";
  for (int i = 0; i < 31; ++i) many += ",a";
  CHECK(request({{"connection", many}}));
  many += ",a";
  CHECK(!request({{"connection", many}}));
}

TEST_CASE("empty Connection fields do not hide what a later one names") {
  BlockPool pool;
  Arena arena(pool);
  Message message(arena);
  message.status = 200;
  for (int i = 0; i < 60; ++i) message.headers.add("connection", ",");
  message.headers.add("connection", "x-hop");
  message.headers.add("x-hop", "1");
  CHECK(frame_response(message, {}));
  CHECK(message.headers.empty());
}

TEST_CASE("a connection whose answer announces a body that does not come is not used again") {
  CHECK(!response(304, {{"content-length", "7"}})->persistent);
  CHECK(!response(304, {{"transfer-encoding", "chunked"}})->persistent);
  CHECK(!response(200, {{"content-length", "7"}}, {Method::head, {}})->persistent);
  CHECK(!response(200, {{"transfer-encoding", "chunked"}}, {Method::head, {}})->persistent);
}

TEST_CASE("a trailer that frames, or that a backend may take for one that does, is refused") {
  for (std::string_view name : {"content-length", "content_length", "transfer-encoding", "transfer_encoding",
                                "host", "connection", "te", "upgrade", "keep-alive", "proxy-connection"}) {
    CAPTURE(name);
    for (Side side : {Side::request, Side::response}) {
      BlockPool pool;
      Arena arena(pool);
      Headers trailers(arena);
      trailers.add(name, "1");
      auto checked = check_trailers(trailers, side);
      REQUIRE(!checked);
      CHECK(checked.error().reason ==
            (side == Side::request ? reason::request_malformed : reason::upstream_protocol));
    }
  }
}
