// How the daemon ends.
#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <memory>
#include <vector>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/metrics.h"
#include "e2e/harness/waiting.h"
#include "e2e/harness/websocket.h"

using namespace e2e;

namespace {

std::string draining(const Backend& backend, const std::string& drain, const std::string& log = "none") {
  return "schema: 1\nworkers: 2\naccess_log: " + log +
         "\nstatus: { address: \"127.0.0.1:0\" }\n"
         "drain: " +
         drain +
         "\n"
         "listeners: [{ name: http, address: \"127.0.0.1:0\" }]\n"
         "routes: [{ name: all, match: { path_prefix: / }, public: true, upstream: u }]\n"
         "upstreams: { u: { endpoints: \"" +
         backend.endpoint() + "\" } }\n";
}

}  // namespace

TEST_CASE("TERM: not ready any more, but still accepting; answers end their connections") {
  Backend backend;
  Gateway gateway(draining(backend, "{ accept_for: 2s, timeout: 20s }"));
  Client keep_alive(gateway.port());
  keep_alive.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  CHECK(keep_alive.read_response().header("connection") != "close");
  CHECK(get(gateway.status_port(), "/readyz").status == 200);
  gateway.process().signal(SIGTERM);
  gateway.process().wait_for_line("penstock: draining");
  CHECK(get(gateway.status_port(), "/readyz").status == 503);
  CHECK(get(gateway.status_port(), "/livez").status == 200);
  CHECK(get(gateway.port(), "/new").status == 200);
  keep_alive.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  CHECK(keep_alive.read_response().header("connection") == "close");
  CHECK(keep_alive.at_end());
  CHECK(gateway.wait() == 0);
}

TEST_CASE("what is under way when draining begins is served to its end") {
  Backend backend;
  Gateway gateway(draining(backend, "{ accept_for: 0s, timeout: 20s }"));
  Client slow(gateway.port()), drip(gateway.port());
  drip.send("GET /drip?n=20&ms=50 HTTP/1.1\r\nhost: a\r\n\r\n");
  CHECK(drip.read_head().status == 200);
  slow.send("GET /slow?ms=700 HTTP/1.1\r\nhost: a\r\n\r\n");
  Response response;
  do response = get(gateway.status_port(), "/metrics");
  while (response.body.find("http_server_active_requests 2\n") == std::string::npos);
  gateway.process().signal(SIGTERM);
  Response late = slow.read_response();
  CHECK(late.status == 200);
  CHECK(late.header("connection") == "close");
  CHECK(drip.read_to_end().ends_with("0\r\n\r\n"));
  CHECK_THROWS_AS(Client{gateway.port()}, Failure);
  CHECK(gateway.wait() == 0);
}

TEST_CASE("answers that wait for slow readers when draining begins arrive whole") {
  Backend backend;
  Gateway gateway(draining(backend, "{ accept_for: 0s, timeout: 60s }"));
  // Of so many sizes some are just larger than what the kernel holds for a client that does not read: their
  // rest lies in the gateway although the exchange is over.
  std::vector<std::unique_ptr<Client>> clients;
  std::vector<size_t> sizes;
  for (size_t size = 100'000; size <= 5'000'000; size += 50'000) {
    sizes.push_back(size);
    auto& client = *clients.emplace_back(std::make_unique<Client>(gateway.port()));
    client.send("GET /bytes/" + std::to_string(size) + " HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
  }
  std::string active, seen;
  for (int same = 0; same < 20; same = active == seen ? same + 1 : 0) {
    seen = active;
    std::string page = get(gateway.status_port(), "/metrics").body;
    size_t at = page.find("\nhttp_server_active_requests ");
    REQUIRE(at != page.npos);
    active = page.substr(at, page.find('\n', at + 1) - at);
  }
  gateway.process().signal(SIGTERM);
  gateway.process().wait_for_line("penstock: draining");
  // The largest first: then nothing but such rests is left.
  for (size_t i = clients.size(); i-- > 0;) {
    CHECK(clients[i]->read_head().status == 200);
    CHECK(clients[i]->read_to_end().size() == sizes[i]);
  }
  CHECK(gateway.wait() == 0);
}

TEST_CASE("drain.timeout ends what does not end by itself") {
  Backend backend;
  Gateway gateway(draining(backend, "{ accept_for: 0s, timeout: 1s }"));
  WebSocket socket(gateway.port(), "/socket");
  CHECK(socket.echo("hello") == "hello");
  auto before = Clock::now();
  CHECK(gateway.stop(SIGTERM) == 0);
  CHECK(Clock::now() - before < std::chrono::seconds(15));
  CHECK(gateway.process().output().find("drain.timeout is over") != std::string::npos);
  CHECK(socket.wait_closed().starts_with("closed"));
}

TEST_CASE("what drain.timeout cuts is logged as ours, not as the client's doing") {
  Backend backend;
  Gateway gateway(
      draining(backend, "{ accept_for: 0s, timeout: 1s }", "[{ format: json, file: access.log }]"));
  Client waiting(gateway.port()), reading(gateway.port());
  waiting.send("GET /hang HTTP/1.1\r\nhost: a\r\n\r\n");
  reading.send("GET /drip?n=1000&ms=1000 HTTP/1.1\r\nhost: a\r\n\r\n");
  CHECK(reading.read_head().status == 200);
  await_metric(gateway, "http_server_active_requests", 2);
  CHECK(gateway.stop(SIGTERM) == 0);
  const std::string log = gateway.folder().read("access.log");
  CAPTURE(log);
  CHECK(log.find("client.closed") == std::string::npos);
  for (const std::string status : {"200", "503"}) {
    const size_t at = log.find("\"http.response.status_code\":" + status + ",");
    REQUIRE(at != std::string::npos);
    CHECK(log.substr(at, log.find('\n', at) - at).find("\"drain.timeout\"") != std::string::npos);
  }
}

TEST_CASE("a second signal ends the daemon at once") {
  Backend backend;
  Gateway gateway(draining(backend, "{ accept_for: 60s, timeout: 60s }"));
  CHECK(get(gateway.status_port(), "/readyz").status == 200);
  Client hanging(gateway.port());
  hanging.send("GET /hang HTTP/1.1\r\nhost: a\r\n\r\n");
  gateway.process().signal(SIGTERM);
  gateway.process().wait_for_line("penstock: draining");
  CHECK(gateway.stop(SIGTERM) == 0);
}

TEST_CASE("Ctrl-C does not wait for a load balancer that never asked") {
  Backend backend;
  Gateway gateway(draining(backend, "{ accept_for: 60s, timeout: 60s }"));
  CHECK(get(gateway.port(), "/").status == 200);
  CHECK(gateway.stop(SIGINT) == 0);
}

TEST_CASE("Ctrl-C waits when somebody asks /readyz") {
  Backend backend;
  Gateway gateway(draining(backend, "{ accept_for: 60s, timeout: 60s }"));
  CHECK(get(gateway.status_port(), "/readyz").status == 200);
  gateway.process().signal(SIGINT);
  CHECK(gateway.process().wait_for_line("penstock: draining").find("60000 ms") != std::string::npos);
  CHECK(get(gateway.port(), "/").status == 200);
  CHECK(gateway.stop(SIGINT) == 0);
}

TEST_CASE("idle connections do not hold up the end for longer than their grace") {
  Backend backend;
  Gateway gateway(draining(backend, "{ accept_for: 0s, timeout: 60s }"));
  Client idle(gateway.port()), fresh(gateway.port());
  idle.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  CHECK(idle.read_response().status == 200);
  auto before = Clock::now();
  CHECK(gateway.stop(SIGTERM) == 0);
  CHECK(Clock::now() - before < std::chrono::seconds(15));
}
