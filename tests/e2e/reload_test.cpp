// HUP: a new configuration takes over without anybody noticing, a refused one changes nothing.
#include <doctest/doctest.h>
#include <sys/socket.h>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/waiting.h"
#include "e2e/harness/websocket.h"

using namespace e2e;

namespace {

std::string routed_to(const Backend& backend, const std::string& more_routes = {}) {
  return basics("routes:\n  - { name: all, match: { path_prefix: / }, public: true, upstream: u }\n" +
                more_routes + "upstreams: { u: { endpoints: \"" + backend.endpoint() + "\" } }\n");
}

bool reloaded(const std::string& line) { return line.find("reloaded") != std::string::npos; }

}  // namespace

TEST_CASE("a keep-alive connection, a download and a WebSocket live on over reloads") {
  Backend one("one"), two("two");
  Gateway gateway(routed_to(one));
  Client keep_alive(gateway.port()), download(gateway.port());
  WebSocket socket(gateway.port(), "/socket");
  keep_alive.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  CHECK(keep_alive.read_response().header("x-backend") == "one");
  download.send("GET /bytes/50000000 HTTP/1.1\r\nhost: a\r\n\r\n");
  CHECK(download.read_head().status == 200);
  size_t got = download.read(1000).size();
  CHECK(socket.echo("before") == "before");

  for (int i = 0; i < 10; ++i) {
    REQUIRE(reloaded(gateway.reload(routed_to(i % 2 ? one : two))));
    keep_alive.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    CHECK(keep_alive.read_response().header("x-backend") == (i % 2 ? "one" : "two"));
    CHECK(socket.echo("message " + std::to_string(i)) == "message " + std::to_string(i));
    got += download.read(1000).size();
  }
  CHECK(download.read(50'000'000 - got).size() == 50'000'000 - got);
  download.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");  // the connection is as good as before
  CHECK(download.read_response().status == 200);
  CHECK(socket.echo("after") == "after");
}

TEST_CASE("a refused configuration is explained and changes nothing") {
  Backend one;
  Gateway gateway(routed_to(one));
  std::string line = gateway.reload(
      "schema: 1\nlisteners: [{ name: http, address: \"127.0.0.1:0\" }]\n"
      "routes: [{ name: r, match: { path: / }, public: true, upstream: nope }]\n");
  CHECK(line.find("refused") != std::string::npos);
  CHECK(line.find("generation 1) was not changed") != std::string::npos);
  CHECK(gateway.process().output().find("unknown-upstream") != std::string::npos);
  CHECK(get(gateway.port(), "/").header("x-backend") == "one");
  CHECK(get(gateway.status_port(), "/metrics").body.find("penstock_config_last_reload_successful 0\n") !=
        std::string::npos);
  REQUIRE(reloaded(gateway.reload(routed_to(one))));
  CHECK(get(gateway.status_port(), "/metrics").body.find("penstock_config_generation 2\n") !=
        std::string::npos);
}

TEST_CASE("a plugin that refuses its settings refuses the reload") {
  Backend one;
  Gateway gateway(routed_to(one));
  std::string line =
      gateway.reload(routed_to(one) +
                     "plugins: { l: { type: rate_limit, key: client.address, limits: [100/fortnight] } }\n");
  CHECK(line.find("refused") != std::string::npos);
  CHECK(gateway.process().output().find("gateway.yaml:") != std::string::npos);
  CHECK(get(gateway.port(), "/").status == 200);
}

TEST_CASE("listeners come and go by reload, the others stay untouched") {
  Backend one;
  std::string with_two = routed_to(one);
  std::string http = "  - { name: http, address: \"127.0.0.1:0\" }\n";
  with_two.insert(with_two.find(http), "  - { name: other, address: \"127.0.0.1:0\" }\n");
  Gateway gateway(routed_to(one));
  uint16_t port = gateway.port();
  REQUIRE(reloaded(gateway.reload(with_two)));
  uint16_t other = gateway.port("other");
  CHECK(get(other, "/").status == 200);
  Client kept(other);
  kept.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  CHECK(kept.read_response().status == 200);
  REQUIRE(reloaded(gateway.reload(routed_to(one))));
  // An idle connection of the removed listener is closed after its grace; new ones are refused.
  CHECK(kept.at_end());
  CHECK_THROWS_AS(Client{other}, Failure);
  CHECK(gateway.port() == port);
  CHECK(get(port, "/").status == 200);
}

TEST_CASE("an address that is taken refuses the reload with a sentence") {
  Backend one;
  Gateway gateway(routed_to(one));
  std::string taken = routed_to(one);
  std::string http = "  - { name: http, address: \"127.0.0.1:0\" }\n";
  taken.insert(taken.find(http), "  - { name: taken, address: \"" + one.endpoint() + "\" }\n");
  std::string line = gateway.reload(taken);
  CHECK(line.find("listener 'taken' cannot listen on " + one.endpoint()) != std::string::npos);
  CHECK(line.find("another process listens there") != std::string::npos);
  CHECK(get(gateway.port(), "/").status == 200);
}

TEST_CASE("no request fails while reloads follow each other under load") {
  Backend one("one"), two("two");
  Gateway gateway(routed_to(one));
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 20; ++i) clients.push_back(std::make_unique<Client>(gateway.port()));
  size_t descriptors = 0, memory = 0;
  int bad = 0;
  for (int i = 0; i < 30; ++i) {
    for (auto& client : clients) client->send("GET /r HTTP/1.1\r\nhost: a\r\n\r\n");
    std::string extra =
        i % 3 ? "  - { name: more, match: { path: /more }, public: true, upstream: u }\n" : "";
    REQUIRE(reloaded(gateway.reload(routed_to(i % 2 ? one : two, extra))));
    for (auto& client : clients) bad += client->read_response().status != 200;
    if (i == 9) descriptors = gateway.open_descriptors(), memory = gateway.resident_bytes();
  }
  CHECK(bad == 0);
  CHECK(gateway.open_descriptors() <= descriptors + 40);  // pools of two backends on two workers
  CHECK(gateway.resident_bytes() < memory + memory / 2);
}

TEST_CASE("rate limits count on over a reload") {
  Backend one;
  auto limited = [&](const std::string& header) {
    return basics(
        "plugins: { few: { type: rate_limit, key: client.address, limits: [3/h] } }\n"
        "routes: [{ name: all, match: { path_prefix: / }, public: true, before_auth: few, "
        "response_headers: { set: { x-run: " +
        header +
        " } }, upstream: u }]\n"
        "upstreams: { u: { endpoints: \"" +
        one.endpoint() + "\" } }\n");
  };
  Gateway gateway(limited("first"));
  CHECK(get(gateway.port(), "/").status == 200);
  CHECK(get(gateway.port(), "/").status == 200);
  REQUIRE(reloaded(gateway.reload(limited("second"))));
  Response third = get(gateway.port(), "/");
  CHECK(third.status == 200);
  CHECK(third.header("x-run") == "second");
  CHECK(get(gateway.port(), "/").status == 429);
}
