// A listener whose every place is taken: who gives way to whom, and that the others wait instead of being
// refused.
#include <doctest/doctest.h>
#include <sys/socket.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/metrics.h"
#include "e2e/harness/waiting.h"

using namespace e2e;

namespace {

std::string configuration(const Backend& backend, int workers, const std::string& limits) {
  return "schema: 1\nworkers: " + std::to_string(workers) +
         "\naccess_log: none\nstatus: { address: \"127.0.0.1:0\" }\n"
         "drain: { accept_for: 0s, timeout: 1s }\n"
         "listeners: [{ name: http, address: \"127.0.0.1:0\", limits: { max_connections_per_client: none, "
         "header_timeout: 10m, idle_timeout: 10m, " +
         limits +
         " } }]\n"
         "routes: [{ name: all, match: { path_prefix: / }, public: true, upstream: u,\n"
         "           timeouts: { first_byte: 10m, idle: 10m, total: 1h } }]\n"
         "upstreams: { u: { endpoints: \"" +
         backend.endpoint() + "\" } }\n";
}

double evicted(Gateway& gateway) {
  return metric(gateway, "penstock_listener_evicted_connections_total{listener=\"http\"}");
}
double refused(Gateway& gateway) {
  return metric(gateway, "penstock_listener_refused_connections_total{listener=\"http\"}");
}

using Clients = std::vector<std::unique_ptr<Client>>;

Client& come(Clients& clients, Gateway& gateway, const std::string& say = {}) {
  clients.push_back(std::make_unique<Client>(gateway.port()));
  if (!say.empty()) clients.back()->send(say);
  return *clients.back();
}

const std::string ask = "GET /r HTTP/1.1\r\nhost: a\r\n\r\n";

}  // namespace

TEST_CASE("one newcomer takes one place: that of the connection that is silent longest") {
  Backend backend;
  Gateway gateway(configuration(backend, 1, "max_connections: 20"));
  std::string say;
  SUBCASE("without a byte") {}
  SUBCASE("in the middle of its head") { say = "GET / HTTP/1.1\r\nhost"; }
  SUBCASE("in the middle of its body") {
    say = "POST /r HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhello";
  }
  Clients silent, newcomers;
  for (int i = 0; i < 20; ++i) {
    come(silent, gateway, say);
    await_metric(gateway, "http_server_open_connections", i + 1);
  }
  for (size_t i = 0; i < 5; ++i) {
    CHECK(
        come(newcomers, gateway, "GET /drip?n=1&ms=3600000 HTTP/1.1\r\nhost: a\r\n\r\n").read_head().status ==
        200);
    CHECK(silent[i]->closed_now());
    CHECK(evicted(gateway) == static_cast<double>(i + 1));
  }
  for (size_t i = 5; i < 20; ++i) CHECK(!silent[i]->closed_now());
  CHECK(refused(gateway) == 0);
}

TEST_CASE("an idle connection makes room at once, the longest idle one first") {
  Backend backend;
  Gateway gateway(configuration(backend, 1, "max_connections: 10"));
  Clients idle;
  for (int i = 0; i < 10; ++i) CHECK(come(idle, gateway, ask).read_response().status == 200);
  idle[0]->send(ask);
  CHECK(idle[0]->read_response().status == 200);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(come(idle, gateway, ask).read_response().status == 200);
    CHECK(idle[i + 1]->at_end());
  }
  for (size_t i : {0u, 4u, 5u, 9u, 10u, 12u}) CHECK(!idle[i]->closed_now());
  CHECK(evicted(gateway) == 3);
  CHECK(reached(gateway, "max_connections") == 3);
}

TEST_CASE("requests that wait for us keep their places, and newcomers wait for one to be free") {
  Backend backend;
  Gateway gateway(configuration(backend, 2, "max_connections: 20"));
  Clients busy, newcomers;
  for (int i = 0; i < 20; ++i) come(busy, gateway, "GET /hang HTTP/1.1\r\nhost: a\r\n\r\n");
  await_metric(gateway, "http_server_active_requests", 20);
  for (int i = 0; i < 5; ++i) come(newcomers, gateway, ask);
  auto until = Clock::now() + patience;
  while (reached(gateway, "max_connections") < 1)
    if (Clock::now() > until) throw Failure("nobody found the door full");
  for (auto& client : busy) CHECK(!client->closed_now());
  for (auto& client : newcomers) CHECK(!client->closed_now());
  CHECK(evicted(gateway) == 0);
  busy.resize(15);
  for (auto& client : newcomers) CHECK(client->read_response().status == 200);
  CHECK(refused(gateway) == 0);
}

TEST_CASE("silent connections that always come back keep nobody out") {
  Backend backend;
  Gateway gateway(configuration(backend, 2, "max_connections: 40"));
  Clients silent;
  for (int round = 0; round < 8; ++round) {
    for (int i = 0; i < 40; ++i) come(silent, gateway);
    Client newcomer(gateway.port());
    newcomer.send(ask);
    CHECK(newcomer.read_response().status == 200);
  }
  CHECK(refused(gateway) == 0);
  CHECK(metric(gateway, "http_server_open_connections") <= 40);
  silent.clear();
  CHECK(get(gateway.port(), "/r").status == 200);
}

// Each had its quarter of a second at the door: 400 of them at 4 places made 25 seconds.
TEST_CASE("a queue of silent connections is gone through as fast as they were silent in it") {
  Backend backend;
  Gateway gateway(configuration(backend, 2, "max_connections: 4"));
  Clients silent;
  for (int i = 0; i < 400; ++i) come(silent, gateway);
  Client normal(gateway.port());
  normal.send(ask);
  const auto sent = std::chrono::steady_clock::now();
  CHECK(normal.read_response().status == 200);
  CHECK(std::chrono::steady_clock::now() - sent < std::chrono::seconds(10));
  CHECK(refused(gateway) == 0);
}

TEST_CASE("a newcomer finds its place in whichever worker it is") {
  Backend backend;
  Gateway gateway(configuration(backend, 4, "max_connections: 1"));
  Clients idle;
  for (size_t i = 0; i < 12; ++i) CHECK(come(idle, gateway, ask).read_response().status == 200);
  for (size_t i = 0; i < 11; ++i) CHECK(idle[i]->at_end());
  CHECK(!idle[11]->closed_now());
}

TEST_CASE("a door that closes takes what waits at it, also behind a full house") {
  Backend backend;
  Gateway gateway(configuration(backend, 1, "max_connections: 5"));
  Clients busy, waiting;
  for (int i = 0; i < 5; ++i) come(busy, gateway, "GET /hang HTTP/1.1\r\nhost: a\r\n\r\n");
  await_metric(gateway, "http_server_active_requests", 5);
  for (int i = 0; i < 200; ++i) come(waiting, gateway);
  CHECK(gateway.stop(15) == 0);
  for (auto& client : waiting) CHECK(client->at_end());
}

TEST_CASE("answers that nobody takes keep no places, though they are all written and their exchanges over") {
  Backend backend;
  // The rate says what is next to nothing: a kernel makes room for some bytes more now and then.
  Gateway gateway(configuration(
      backend, 1, "max_connections: 5, buffer_size: 64MiB, send_timeout: 10m, min_send_rate: 1MiB/s"));
  Clients deaf;
  for (int i = 0; i < 5; ++i) {
    Client& client = come(deaf, gateway);
    // Left to itself a kernel may take the whole of it, and the connection is over then.
    const int small = 4'096;
    REQUIRE(::setsockopt(client.descriptor(), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)) == 0);
    client.send("GET /bytes/20971520 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    client.read_head();
  }
  await_metric(gateway, "http_server_active_requests", 0);
  CHECK(metric(gateway, "http_server_open_connections") == 5);
  CHECK(get(gateway.port(), "/r").status == 200);
  CHECK(evicted(gateway) == 1);
}

TEST_CASE(
    "a door that closes lets in the one that it held, also when that takes its last connection's place") {
  Backend backend;
  Gateway gateway(configuration(backend, 1, "max_connections: 1"));
  Client first(gateway.port()), held(gateway.port());
  first.send("GET /drip?n=2&ms=300 HTTP/1.1\r\nhost: a\r\n\r\n");
  CHECK(first.read_head().status == 200);
  held.send(ask);
  await_reached(gateway, "max_connections", 1);
  first.read_through("\r\n0\r\n\r\n");
  CHECK(gateway.stop(15) == 0);
  CHECK(held.read_response().status == 200);
}

TEST_CASE("an idle connection whose request has come already keeps its place") {
  Backend backend;
  Gateway gateway(configuration(backend, 1, "max_connections: 10"));
  Clients idle;
  for (int i = 0; i < 10; ++i) CHECK(come(idle, gateway, ask).read_response().status == 200);
  gateway.process().pause();
  Client newcomer(gateway.port());
  newcomer.send(ask);
  for (auto& client : idle) client->send("POST /r HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi");
  gateway.process().resume();
  for (auto& client : idle) CHECK(client->read_response("POST").status == 200);
  CHECK(newcomer.read_response().status == 200);
}
