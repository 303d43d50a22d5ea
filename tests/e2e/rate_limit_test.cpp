// Requests at once, quotas, costs and dry runs over the real daemon. A number that is held must come back
// however a request ends.
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/listening_port.h"
#include "e2e/harness/metrics.h"
#include "e2e/harness/waiting.h"
#include "e2e/harness/websocket.h"

using namespace e2e;

namespace {

std::string limited(const std::string& endpoint, const std::string& settings, const std::string& route = {}) {
  return basics("plugins: { l: { type: rate_limit, key: client.address, " + settings +
                " } }\n"
                "routes: [{ name: all, match: { path_prefix: / }, public: true, before_auth: l, upstream: u" +
                route +
                " }]\n"
                "upstreams: { u: { endpoints: \"" +
                endpoint + "\" } }\n");
}

constexpr std::string_view request = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
constexpr std::string_view answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

// A request that its backend has and does not answer yet.
struct Held {
  Held(const Gateway& gateway, ListeningPort& backend) : client(gateway.port()) {
    client.send(request);
    at_backend = backend.accept();
    at_backend->read_through("\r\n\r\n");
  }
  Client client;
  std::unique_ptr<Client> at_backend;
};

std::string refusal(const Gateway& gateway) {
  const Response said = get(gateway.port(), "/");
  return said.status == 429 && said.body.find("\"limit.concurrency\"") != std::string::npos
             ? said.header("retry-after")
             : "status " + std::to_string(said.status);
}

// Whoever had a place is gone without an answer: the gateway notices by itself.
void await_free(const Gateway& gateway) { await_metric(gateway, "penstock_plugin_store_bytes", 0); }

}  // namespace

TEST_CASE("so many requests at once, and a place is free when its request has ended well") {
  ListeningPort backend;
  Gateway gateway(limited(backend.endpoint(), "concurrency: 2"));
  Held one(gateway, backend), two(gateway, backend);
  CHECK(refusal(gateway) == "1");
  one.at_backend->send(answer);
  CHECK(one.client.read_response().status == 200);
  two.at_backend->send(answer);
  CHECK(two.client.read_response().status == 200);
}

TEST_CASE("a place comes back from clients that leave, backends that break and attempts that fail") {
  ListeningPort backend;
  Gateway gateway(limited(backend.endpoint(), "concurrency: 2", ", retries: { attempts: 0 }"));
  for (int round = 0; round < 5; ++round) {
    CAPTURE(round);
    {
      Held one(gateway, backend), two(gateway, backend);
      CHECK(refusal(gateway) == "1");
      one.client.reset();
      two.at_backend->reset();
      CHECK(two.client.read_response().status == 502);
    }
    await_free(gateway);
    {
      Held one(gateway, backend);  // an answer that breaks after its head
      one.at_backend->send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart");
      CHECK(one.client.read_head().status == 200);
      one.at_backend.reset();
      one.client.read_to_end();
    }
    await_free(gateway);
  }
}

TEST_CASE("a place is held over reloads, and by a WebSocket to its end") {
  Backend echo;
  const std::string configuration = limited(echo.endpoint(), "concurrency: 1");
  Gateway gateway(configuration);
  {
    WebSocket socket(gateway.port(), "/ws");
    CHECK(refusal(gateway) == "1");
    gateway.reload(configuration);
    CHECK(socket.echo("still here") == "still here");
    CHECK(refusal(gateway) == "1");
  }
  await_free(gateway);
  CHECK(get(gateway.port(), "/").status == 200);
}

TEST_CASE(
    "who is refused by the rate holds no place, and who is refused a place takes nothing from the rate") {
  ListeningPort backend;
  Gateway gateway(limited(backend.endpoint(), "concurrency: 1, limits: [{ rate: 1/h, burst: 2 }]"));
  {
    Held one(gateway, backend);
    for (int i = 0; i < 5; ++i) CHECK(refusal(gateway) == "1");
    one.at_backend->send(answer);
    CHECK(one.client.read_response().status == 200);
  }
  await_free(gateway);
  Held two(gateway, backend);
  two.at_backend->send(answer);
  CHECK(two.client.read_response().status == 200);
  await_free(gateway);
  for (int i = 0; i < 3; ++i) CHECK(get(gateway.port(), "/").body.find("limit.rate") != std::string::npos);
  await_free(gateway);
}

TEST_CASE("a dry run refuses nobody, counts and says so once") {
  Backend echo;
  Gateway gateway(limited(echo.endpoint(), "limits: [2/h], dry_run: true"));
  for (int i = 0; i < 6; ++i) CHECK(get(gateway.port(), "/").status == 200);
  CHECK(metric(gateway, "penstock_ratelimit_decisions_total{plugin=\"l\",result=\"allowed\"}") == 2);
  CHECK(metric(gateway, "penstock_ratelimit_decisions_total{plugin=\"l\",result=\"dry_run\"}") == 4);
  gateway.process().wait_for_line("dry run: would have refused 1 requests, the last one for limit.rate");
}
