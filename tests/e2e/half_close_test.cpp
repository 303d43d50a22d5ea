// Clients that leave, or only end their side, while their exchange is open: the backend and the place go with
// those that are gone, and those that wait get their answer.
#include <doctest/doctest.h>

#include <memory>
#include <string>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/metrics.h"
#include "e2e/harness/waiting.h"

using namespace e2e;

namespace {

std::string configuration(const Backend& backend, const std::string& limits) {
  return "schema: 1\nworkers: 1\naccess_log: [{ format: json, file: access.log }]\n"
         "status: { address: \"127.0.0.1:0\" }\n"
         "drain: { accept_for: 0s, timeout: 5s }\n"
         "listeners: [{ name: http, address: \"127.0.0.1:0\", limits: { " +
         limits +
         " } }]\n"
         "routes: [{ name: all, match: { path_prefix: / }, public: true, upstream: u,\n"
         "           timeouts: { first_byte: 10m, idle: 10m, total: 1h } }]\n"
         "upstreams: { u: { endpoints: \"" +
         backend.endpoint() + "\" } }\n";
}

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

// A client in the middle of an exchange of which nothing comes any more.
struct Stuck {
  std::string request;
  bool begun = false;   // the head of its answer came
  bool unread = false;  // the gateway has more of it than it reads
  bool probed = true;   // an interim answer may go to it
  std::string status = "499";
};

const std::string hang = "GET /hang HTTP/1.1\r\nhost: a\r\n\r\n";
const std::string events = "GET /sse?n=2&ms=3600000 HTTP/1.1\r\nhost: a\r\n\r\n";

Stuck choose() {
  Stuck stuck;
  SUBCASE("a request of HTTP/1.1") { stuck = {.request = hang}; }
  SUBCASE("with a stray byte behind it") { stuck = {.request = hang + "\r"}; }
  SUBCASE("with a whole request behind it") { stuck = {.request = hang + hang}; }
  SUBCASE("with more behind it than is read") {
    stuck = {.request = hang + std::string(100'000, 'x'), .unread = true};
  }
  SUBCASE("a request of HTTP/1.0") {
    stuck = {.request = "GET /hang HTTP/1.0\r\nhost: a\r\n\r\n", .probed = false};
  }
  SUBCASE("a silent answer that has begun") {
    stuck = {.request = events, .begun = true, .probed = false, .status = "200"};
  }
  return stuck;
}

void start(Client& client, Gateway& gateway, const Stuck& stuck) {
  client.send(stuck.request);
  await_metric(gateway, "http_client_open_connections", 1);
  if (stuck.unread) await_reached(gateway, "pipelined_size", 1);
  if (stuck.begun) CHECK(client.read_head().status == 200);
}

void check_gone(Gateway& gateway, const Stuck& stuck) {
  await_metric(gateway, "http_server_active_requests", 0);
  await_metric(gateway, "http_server_open_connections", 0);
  CHECK(metric(gateway, "http_client_open_connections") == 0);
  CHECK(gateway.stop(15) == 0);
  std::string log = gateway.folder().read("access.log");
  CHECK(count(log, "\n") == 1);
  CHECK(count(log, "\"client.closed\"") == 1);
  CHECK(count(log, "\"http.response.status_code\":" + stuck.status) == 1);
}

}  // namespace

TEST_CASE("a client that resets its connection is gone at once, and so is its backend") {
  Stuck stuck = choose();
  Backend backend;
  Gateway gateway(configuration(backend, "half_close_timeout: 1h, pipelined_size: 1KiB"));
  Client client(gateway.port());
  start(client, gateway, stuck);
  client.reset();
  check_gone(gateway, stuck);
}

TEST_CASE("a client that closed is gone when its probe or half_close_timeout says so") {
  Stuck stuck = choose();
  Backend backend;
  Gateway gateway(configuration(
      backend, std::string("pipelined_size: 1KiB, half_close_timeout: ") + (stuck.probed ? "1h" : "200ms")));
  auto client = std::make_unique<Client>(gateway.port());
  start(*client, gateway, stuck);
  client.reset();
  await_reached(gateway, "half_close_timeout", stuck.probed ? 0 : 1);
  check_gone(gateway, stuck);
}

TEST_CASE("a client that ended its side and stays is given up after half_close_timeout too") {
  Stuck stuck = choose();
  Backend backend;
  Gateway gateway(configuration(backend, "half_close_timeout: 200ms, pipelined_size: 1KiB"));
  Client client(gateway.port());
  start(client, gateway, stuck);
  client.end_sending();
  await_reached(gateway, "half_close_timeout", 1);
  check_gone(gateway, stuck);
}

TEST_CASE("a client that ended its side gets its answers, also slow ones") {
  Backend backend;
  Gateway gateway(configuration(backend, "half_close_timeout: 2s"));
  struct Case {
    std::string request;
    size_t answers;
  };
  for (const Case& one :
       {Case{"GET /slow?ms=300 HTTP/1.0\r\nhost: a\r\n\r\n", 1},
        Case{"GET /slow?ms=1200 HTTP/1.1\r\nhost: a\r\n\r\n", 1},
        Case{"GET /sse?n=10&ms=300 HTTP/1.1\r\nhost: a\r\n\r\n", 1},
        Case{"GET /r HTTP/1.1\r\nhost: a\r\n\r\nGET /slow HTTP/1.1\r\nhost: a\r\n\r\n", 2}}) {
    CAPTURE(one.request);
    Client client(gateway.port());
    client.send(one.request);
    client.end_sending();
    for (size_t i = 0; i < one.answers; ++i) {
      Response response = client.read_response();
      if (response.status == 100) response = client.read_response();
      CHECK(response.status == 200);
      if (one.request.find("/sse") != std::string::npos)
        CHECK(response.body.find("event 10") != std::string::npos);
    }
    CHECK(client.at_end());
  }
  CHECK(reached(gateway, "half_close_timeout") == 0);
}
