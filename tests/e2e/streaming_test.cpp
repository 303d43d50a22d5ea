// Bytes pass on as they come, both ways: each one has arrived before the next is sent.
#include <doctest/doctest.h>

#include <string>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/listening_port.h"

using namespace e2e;

namespace {

std::string configuration(const ListeningPort& backend) {
  return basics(
      "routes: [{ name: all, match: { path_prefix: / }, public: true, upstream: u }]\n"
      "upstreams: { u: { endpoints: \"" +
      backend.endpoint() + "\" } }\n");
}

const std::string events = "id: 1\ndata: one\n\n: a comment\n\nevent: b\ndata: two\ndata: lines\n\n";

std::string chunk(char byte) { return std::string("1\r\n") + byte + "\r\n"; }

}  // namespace

TEST_CASE("server-sent events pass byte by byte without delay") {
  std::string version = "1.1", framing;
  bool chunked_from = false, chunked_to = false;
  SUBCASE("chunked") {
    framing = "transfer-encoding: chunked\r\n";
    chunked_from = chunked_to = true;
  }
  SUBCASE("chunked, to HTTP/1.0") {
    framing = "transfer-encoding: chunked\r\n";
    version = "1.0";
    chunked_from = true;
  }
  SUBCASE("with a length") { framing = "content-length: " + std::to_string(events.size()) + "\r\n"; }
  SUBCASE("until the backend closes") { chunked_to = true; }

  ListeningPort port;
  Gateway gateway(configuration(port));
  Client client(gateway.port());
  client.send("GET /events HTTP/" + version + "\r\nhost: a\r\naccept: text/event-stream\r\n\r\n");
  auto backend = port.accept();
  backend->read_through("\r\n\r\n");
  backend->send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n" + framing + "\r\n");
  CHECK(client.read_through("\r\n\r\n").starts_with("HTTP/1.1 200 OK\r\n"));
  for (char byte : events) {
    backend->send(chunked_from ? chunk(byte) : std::string(1, byte));
    std::string arrives = chunked_to ? chunk(byte) : std::string(1, byte);
    REQUIRE(client.read(arrives.size()) == arrives);
  }
  if (chunked_from) backend->send("0\r\n\r\n");
  bool closes = !chunked_from && chunked_to;
  if (closes) backend.reset();
  if (chunked_to) CHECK(client.read_through("\r\n\r\n") == "0\r\n\r\n");
  if (version == "1.0") CHECK(client.at_end());
}

TEST_CASE("an upload passes byte by byte without delay") {
  ListeningPort port;
  Gateway gateway(configuration(port));
  Client client(gateway.port());
  bool chunked = false;
  SUBCASE("chunked") { chunked = true; }
  SUBCASE("with a length") {}
  client.send("POST /up HTTP/1.1\r\nhost: a\r\n" +
              (chunked ? "transfer-encoding: chunked\r\n\r\n"
                       : "content-length: " + std::to_string(events.size()) + "\r\n\r\n"));
  auto backend = port.accept();
  backend->read_through("\r\n\r\n");
  for (char byte : events) {
    std::string piece = chunked ? chunk(byte) : std::string(1, byte);
    client.send(piece);
    REQUIRE(backend->read(piece.size()) == piece);
  }
  if (chunked) {
    client.send("0\r\n\r\n");
    CHECK(backend->read_through("\r\n\r\n") == "0\r\n\r\n");
  }
  backend->send("HTTP/1.1 204 No Content\r\n\r\n");
  CHECK(client.read_response().status == 204);
}
