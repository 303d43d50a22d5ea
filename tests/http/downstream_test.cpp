#include <doctest/doctest.h>

#include "support.h"

using namespace penstock;
using namespace penstock::test;

namespace {
constexpr std::string_view get = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
}

TEST_CASE("a keep-alive connection serves one request after the other") {
  net::Loop loop;
  Client client(loop);
  for (int i = 0; i < 3; ++i) {
    feed(client.wire, get);
    Recorder& stream = client.stream(static_cast<size_t>(i));
    CHECK(stream.log() == "GET x /a END");
    CHECK(stream.turn_ends == 1);
    answer(stream);
    stream.release();
    CHECK(client.wire.take() == "HTTP/1.1 200 OK\r\ndate: D\r\ncontent-length: 2\r\n\r\nok");
    CHECK(client.wire.end == Wire::End::open);
  }
  CHECK(client.wire.writes.size() == 3);
  feed_end(client.wire);
  CHECK(client.closed == 1);
  CHECK(client.wire.end == Wire::End::graceful);
}
