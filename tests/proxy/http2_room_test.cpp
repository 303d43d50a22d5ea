// A backend of HTTP/2 that takes no further streams when a request is on its way: nothing of it has left, so
// it is tried elsewhere as after a connect that failed, and never waits for room that nobody has promised.
#include <doctest/doctest.h>

#include "http/http2_frames.h"
#include "proxy/pipe.h"

using namespace penstock;
using namespace penstock::proxy;
using namespace penstock::proxy::testing;
namespace h2 = penstock::test::h2;

namespace {

constexpr std::string_view get = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
constexpr std::string_view post = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
const std::string no_room = h2::setting({{3, 0}});

struct Http2Backends : Pipe {
  explicit Http2Backends(uint16_t endpoints = 1) : Pipe(endpoints) {
    connector->settings.protocol = http::Protocol::http2;
  }
  void greet(size_t number) { answer(h2::setting({}) + h2::frame(h2::settings, h2::ack, 0), number); }
  void answer_on(size_t number, uint32_t stream) {
    answer(h2::head(stream, {{":status", "204"}}), number);
    CHECK(client.take().starts_with("HTTP/1.1 204 "));
  }
  bool asked(size_t number) {
    h2::Reader reader;
    std::string bytes = backend(number).sent;
    if (bytes.starts_with(h2::preface)) bytes.erase(0, h2::preface.size());
    return reader.text(bytes).find(":method") != std::string::npos;
  }
  // A request has been served on the connection, and another one meets SETTINGS on its way out.
  void lose_room(std::string_view request) {
    for (uint16_t at = 0; at < cluster->endpoints().endpoints.size(); ++at) {
      send(get);
      greet(at);
      answer_on(at, 1);
    }
    backend(0).take();
    feed(client, request);
    feed(backend(0), no_room);
    turn();
    CHECK(!asked(0));
  }
};

}  // namespace

TEST_CASE("a request that meets SETTINGS without room goes out on a new connection, whatever its method") {
  for (std::string_view request : {get, post}) {
    Http2Backends pipe;
    pipe.lose_room(request);
    REQUIRE(pipe.connector->wires.size() == 2);
    pipe.greet(1);
    CHECK(pipe.asked(1));
    pipe.answer_on(1, 1);
    CHECK(pipe.at_rest());
  }
}

TEST_CASE("where the new connection takes none either, another endpoint is asked") {
  Http2Backends pipe(2);
  pipe.lose_room(get);
  REQUIRE(pipe.connector->wires.size() == 3);
  pipe.answer(no_room, 2);
  REQUIRE(pipe.connector->wires.size() == 4);
  pipe.greet(3);
  CHECK(pipe.asked(3));
  pipe.answer_on(3, 1);
  CHECK(pipe.at_rest());
}

TEST_CASE("where there is no other, it is refused at once") {
  Http2Backends pipe;
  pipe.lose_room(get);
  REQUIRE(pipe.connector->wires.size() == 2);
  pipe.answer(no_room, 1);
  const std::string got = pipe.client.take();
  CHECK(got.starts_with("HTTP/1.1 502 "));
  CHECK(got.find("upstream.connect.refused") != got.npos);
  CHECK(pipe.at_rest());
}
