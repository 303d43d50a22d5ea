// Much at once and much in a row, with bounded memory.
#include <doctest/doctest.h>
#include <sys/socket.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/memory.h"

using namespace e2e;

namespace {

constexpr size_t gibibyte = size_t{1} << 30;

std::string big_bodies(const Backend& backend) {
  return "schema: 1\nworkers: 2\naccess_log: none\nstatus: { address: \"127.0.0.1:0\" }\n"
         "drain: { accept_for: 0s, timeout: 5s }\n"
         "listeners: [{ name: http, address: \"127.0.0.1:0\", limits: { body_size: 4GiB } }]\n"
         "routes: [{ name: all, match: { path_prefix: / }, public: true, upstream: u }]\n"
         "upstreams: { u: { endpoints: \"" +
         backend.endpoint() + "\" } }\n";
}

size_t drop(int descriptor, size_t bytes) {
  std::vector<char> buffer(mebibyte);
  size_t got = 0;
  while (got < bytes) {
    ssize_t part = ::recv(descriptor, buffer.data(), std::min(buffer.size(), bytes - got), 0);
    if (part <= 0) break;
    got += static_cast<size_t>(part);
  }
  return got;
}

}  // namespace

TEST_CASE("1 GiB goes down and 1 GiB up through a few MiB of memory") {
  Backend backend;
  Gateway gateway(big_bodies(backend));
  REQUIRE(get(gateway.port(), "/warm").status == 200);
  size_t before = gateway.resident_bytes();

  Client down(gateway.port());
  down.send("GET /bytes/1073741824 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
  size_t total = drop(down.descriptor(), 2 * gibibyte);
  CHECK(total > gibibyte);
  CHECK(total < gibibyte + 4096);  // the head besides

  Client up(gateway.port());
  up.send("POST /count HTTP/1.1\r\nhost: a\r\ncontent-length: 1073741824\r\n\r\n");
  std::string piece(mebibyte, 'u');
  for (size_t sent = 0; sent < gibibyte; sent += mebibyte) up.send(piece);
  Response counted = up.read_response();
  CHECK(counted.status == 200);
  CHECK(counted.body.find("\"body_length\":1073741824") != std::string::npos);
  CHECK(gateway.resident_bytes() < before + 32 * mebibyte);
}

TEST_CASE("a client that does not read holds back its backend, not the gateway's memory") {
  Backend backend;
  Gateway gateway(big_bodies(backend));
  REQUIRE(get(gateway.port(), "/warm").status == 200);
  size_t before = gateway.resident_bytes();
  std::vector<std::unique_ptr<Client>> sleepers;
  for (int i = 0; i < 20; ++i) {
    sleepers.push_back(std::make_unique<Client>(gateway.port()));
    sleepers.back()->send("GET /bytes/1073741824 HTTP/1.1\r\nhost: a\r\n\r\n");
    sleepers.back()->read_head();
  }
  // Others are served as if nobody slept.
  for (int i = 0; i < 20; ++i) CHECK(get(gateway.port(), "/bytes/100000").body.size() == 100'000);
  CHECK(gateway.resident_bytes() < before + 32 * mebibyte);
}

TEST_CASE("200 clients at once are all served, on keep-alive connections") {
  Backend one("one"), two("two");
  Gateway gateway(
      basics("routes: [{ name: all, match: { path_prefix: / }, public: true, upstream: u }]\n"
             "upstreams: { u: { endpoints: [\"" +
             one.endpoint() + "\", \"" + two.endpoint() + "\"] } }\n"));
  constexpr int clients = 200, requests = 10;
  std::vector<std::unique_ptr<Client>> all;
  for (int i = 0; i < clients; ++i) all.push_back(std::make_unique<Client>(gateway.port()));
  int good = 0;
  for (int round = 0; round < requests; ++round) {
    for (auto& client : all) client->send("GET /r HTTP/1.1\r\nhost: a\r\n\r\n");
    for (auto& client : all) good += client->read_response().status == 200;
  }
  CHECK(good == clients * requests);
  CHECK(get(gateway.status_port(), "/metrics").body.find("http_server_open_connections 200\n") !=
        std::string::npos);
}

TEST_CASE("max_connections counts for the whole process: what is over it waits for a place") {
  Backend backend;
  Gateway gateway(
      "schema: 1\nworkers: 4\naccess_log: none\nstatus: { address: \"127.0.0.1:0\" }\n"
      "drain: { accept_for: 0s, timeout: 5s }\n"
      "listeners: [{ name: http, address: \"127.0.0.1:0\", limits: { max_connections: 10 } }]\n"
      "routes: [{ name: all, match: { path_prefix: / }, public: true, upstream: u }]\n"
      "upstreams: { u: { endpoints: \"" +
      backend.endpoint() + "\" } }\n");
  std::vector<std::unique_ptr<Client>> held;
  for (int i = 0; i < 10; ++i) {
    held.push_back(std::make_unique<Client>(gateway.port()));
    held.back()->send("GET /hang HTTP/1.1\r\nhost: a\r\n\r\n");
  }
  // Requests that wait for us keep their places; silent clients would make room.
  auto active = [&] { return get(gateway.status_port(), "/metrics").body; };
  while (active().find("http_server_active_requests 10\n") == std::string::npos) {}
  std::vector<std::unique_ptr<Client>> over;
  for (int i = 0; i < 5; ++i) {
    over.push_back(std::make_unique<Client>(gateway.port()));
    over.back()->send("GET /r HTTP/1.1\r\nhost: a\r\n\r\n");
  }
  while (active().find("penstock_limit_reached_total{limit=\"max_connections\"} 0\n") != std::string::npos) {}
  CHECK(active().find("http_server_open_connections 10\n") != std::string::npos);
  CHECK(active().find("http_server_active_requests 10\n") != std::string::npos);
  held.clear();
  for (auto& client : over) CHECK(client->read_response().status == 200);
  CHECK(active().find("penstock_listener_refused_connections_total{listener=\"http\"} 0\n") !=
        std::string::npos);
}
