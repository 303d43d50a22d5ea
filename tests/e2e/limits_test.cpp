// The limits of a listener and of the process as clients meet them, each with its status, reason and counter.
#include <doctest/doctest.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <vector>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/metrics.h"
#include "e2e/harness/waiting.h"

using namespace e2e;

namespace {

std::string configuration(const Backend& backend, const std::string& limits, const std::string& more = {}) {
  return "schema: 1\nworkers: 1\naccess_log: [{ format: json, file: access.log }]\n"
         "status: { address: \"127.0.0.1:0\" }\n"
         "drain: { accept_for: 0s, timeout: 5s }\n"
         "listeners: [{ name: http, address: \"127.0.0.1:0\", limits: { " +
         limits + " }" + more +
         " }]\n"
         "routes: [{ name: all, match: { path_prefix: / }, public: true, upstream: u }]\n"
         "upstreams: { u: { endpoints: \"" +
         backend.endpoint() + "\" } }\n";
}

Response ask(uint16_t port, const std::string& from = "127.0.0.1") {
  Client client(port, from);
  client.send("GET /r HTTP/1.1\r\nhost: a\r\n\r\n");
  return client.read_response();
}

std::string reason_of(const Response& response) {
  size_t at = response.body.find("\"reason\":\"");
  if (at == std::string::npos) return {};
  at += 10;
  return response.body.substr(at, response.body.find('"', at) - at);
}

}  // namespace

TEST_CASE("what is too large is answered with its status, reason and counter") {
  Backend backend;
  Gateway gateway(configuration(backend,
                                "uri_size: 1KiB, header_size: 4KiB, header_count: 5, trailer_size: 1KiB, "
                                "trailer_count: 2, body_size: 1KiB"));
  const std::string end = " HTTP/1.1\r\nhost: a\r\n";
  const std::string chunked = "POST /r" + end + "transfer-encoding: chunked\r\n\r\n0\r\n";
  struct Case {
    std::string request, limit, reason;
    int status;
  };
  const std::vector<Case> cases{
      {"GET /" + std::string(1'100, 'u') + end + "\r\n", "uri_size", "request.uri_too_long", 414},
      {"GET /" + end + "a: " + std::string(5'000, 'h') + "\r\n\r\n", "header_size",
       "request.header_too_large", 431},
      {"GET /" + end + "a: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\ne: 5\r\n\r\n", "header_count",
       "request.header_too_large", 431},
      {"POST /" + end + "content-length: 2000\r\n\r\n", "body_size", "request.body_too_large", 413},
      {chunked + "a: " + std::string(1'100, 't') + "\r\n\r\n", "trailer_size", "request.header_too_large",
       431},
      {chunked + "a: 1\r\nb: 2\r\nc: 3\r\n\r\n", "trailer_count", "request.header_too_large", 431},
  };
  for (const Case& one : cases) {
    CAPTURE(one.limit);
    CHECK(reached(gateway, one.limit) == 0);
    Client client(gateway.port());
    client.send(one.request);
    Response response = client.read_response();
    CHECK(response.status == one.status);
    CHECK(reason_of(response) == one.reason);
    CHECK(response.header("connection") == "close");
    CHECK(client.at_end());
    CHECK(reached(gateway, one.limit) == 1);
  }
  CHECK(ask(gateway.port()).status == 200);
}

TEST_CASE("a body below min_body_rate is answered 408 though it never pauses for long") {
  Backend backend;
  Gateway gateway(configuration(backend, "min_body_rate: 100KiB/s, rate_grace: 200ms"));
  Client client(gateway.port());
  client.send("POST /r HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n");
  auto until = Clock::now() + patience;
  // As fast as it goes byte by byte with a turn of the gateway between them, which is below the rate.
  while (reached(gateway, "min_body_rate") == 0 && Clock::now() < until) client.send_some("x");
  Response response = client.read_response();
  CHECK(response.status == 408);
  CHECK(reason_of(response) == "request.timeout");
  CHECK(client.at_end());
}

TEST_CASE("a client that takes nothing of its answer is cut after send_timeout and its backend released") {
  Backend backend;
  Gateway gateway(configuration(backend, "send_timeout: 300ms"));
  Client client(gateway.port());
  client.send("GET /bytes/1073741824 HTTP/1.1\r\nhost: a\r\n\r\n");
  CHECK(client.read_head().status == 200);
  await_reached(gateway, "send_timeout", 1);
  CHECK(reached(gateway, "buffer_size") > 0);
  CHECK(metric(gateway, "http_server_active_requests") == 0);
  CHECK(metric(gateway, "http_client_open_connections") == 0);
  CHECK_THROWS(client.read(1 << 30));  // cut, never whole
  CHECK(gateway.stop(15) == 0);
  CHECK(gateway.folder().read("access.log").find("\"client.slow\"") != std::string::npos);
}

TEST_CASE("the last request of max_requests says so and the connection closes after its answer") {
  Backend backend;
  Gateway gateway(configuration(backend, "max_requests: 3"));
  Client client(gateway.port());
  for (int i = 1; i <= 3; ++i) {
    client.send("GET /r HTTP/1.1\r\nhost: a\r\n\r\n");
    Response response = client.read_response();
    CHECK(response.status == 200);
    CHECK(response.header("connection") == (i == 3 ? "close" : ""));
  }
  CHECK(client.at_end());
  CHECK(reached(gateway, "max_requests") == 1);
}

TEST_CASE("one client cannot take more than its places, and those of a trusted proxy are not counted") {
  Backend backend;
  const std::string limits = "max_connections_per_client: 3";
  Gateway gateway(configuration(backend, limits));
  std::vector<std::unique_ptr<Client>> held;
  for (int i = 0; i < 3; ++i) {
    held.push_back(std::make_unique<Client>(gateway.port()));
    held.back()->send("GET /r HTTP/1.1\r\nhost: a\r\n\r\n");
    CHECK(held.back()->read_response().status == 200);
  }
  Client over(gateway.port());
  CHECK(over.at_end());
  CHECK(reached(gateway, "max_connections_per_client") == 1);
  gateway.process().wait_for_line("listener http: 127.0.0.1:");
  CHECK(gateway.process().output().find("client.connections: max_connections_per_client is reached") !=
        std::string::npos);
  held.pop_back();
  bool served = false;
  for (auto until = Clock::now() + patience; !served && Clock::now() < until;) {
    Client again(gateway.port());
    again.send("GET /r HTTP/1.1\r\nhost: a\r\n\r\n");
    try {
      served = again.read_response().status == 200;
    } catch (const std::exception&) {}  // the place is free as soon as the end was seen
  }
  CHECK(served);
  REQUIRE(
      gateway.reload(configuration(backend, limits, ", trusted_proxies: [127.0.0.0/8]")).find("reloaded") !=
      std::string::npos);
  for (int i = 0; i < 5; ++i) {
    held.push_back(std::make_unique<Client>(gateway.port()));
    held.back()->send("GET /r HTTP/1.1\r\nhost: a\r\n\r\n");
    CHECK(held.back()->read_response().status == 200);
  }
}

TEST_CASE("answers over the limits of their upstream become 502 with a reason of their own") {
  Backend backend;
  Gateway gateway(
      "schema: 1\nworkers: 1\naccess_log: none\nstatus: { address: \"127.0.0.1:0\" }\n"
      "drain: { accept_for: 0s, timeout: 5s }\n"
      "listeners: [{ name: http, address: \"127.0.0.1:0\" }]\n"
      "routes: [{ name: all, match: { path_prefix: / }, public: true, upstream: u }]\n"
      "upstreams: { u: { endpoints: \"" +
      backend.endpoint() + "\", limits: { header_count: 1 } } }\n");
  Response response = ask(gateway.port());
  CHECK(response.status == 502);
  CHECK(reason_of(response) == "upstream.header_too_large");
  CHECK(reached(gateway, "upstream.header_count") == 1);
}

TEST_CASE("a body that goes on after its answer has the same limit") {
  Backend backend;
  Gateway gateway(configuration(backend, "body_size: 1MiB"));
  const std::string begin =
      "PUT /status/200?now HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n";
  const std::string chunk = "10000\r\n" + std::string(0x10000, 'x') + "\r\n";
  Client within(gateway.port());
  within.send(begin);
  CHECK(within.read_response().status == 200);
  for (int i = 0; i < 15; ++i) within.send(chunk);
  within.send("0\r\n\r\nGET /r HTTP/1.1\r\nhost: a\r\n\r\n");
  CHECK(within.read_response().status == 200);
  CHECK(reached(gateway, "body_size") == 0);

  Client over(gateway.port());
  over.send(begin);
  CHECK(over.read_response().status == 200);
  for (int i = 0; i < 16; ++i) over.send(chunk);
  CHECK(over.at_end());
  CHECK(reached(gateway, "body_size") == 1);
}
