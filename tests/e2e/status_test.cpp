#include <doctest/doctest.h>

#include <memory>
#include <vector>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/metrics.h"

using namespace e2e;

TEST_CASE("the status listener answers probes and metrics and nothing else") {
  Backend backend;
  Gateway gateway(
      basics("plugins: { keys: { type: api_key, header: x-api-key } }\n"
             "routes:\n  - { name: open, match: { path: /open }, public: true, upstream: u }\n"
             "  - { name: closed, match: { path: /closed }, auth: keys, upstream: u }\n"
             "upstreams: { u: { endpoints: \"" +
             backend.endpoint() + "\" } }\n"));
  uint16_t status = gateway.status_port();
  CHECK(get(status, "/livez").status == 200);
  CHECK(get(status, "/readyz").body == "ready\n");
  CHECK(get(status, "/config").status == 404);
  for (int i = 0; i < 3; ++i) get(gateway.port(), "/open");
  get(gateway.port(), "/closed");
  get(gateway.port(), "/nowhere\xc3\xa9");
  Response metrics = get(status, "/metrics");
  CHECK(metrics.header("content-type").starts_with("text/plain; version=0.0.4"));
  auto has = [&](const std::string& line) {
    CAPTURE(line);
    CHECK(metrics.body.find(line + "\n") != std::string::npos);
  };
  has("http_server_request_duration_seconds_count{http_route=\"open\",http_request_method=\"GET\","
      "http_response_status_code=\"200\",error_type=\"\",network_protocol_version=\"1.1\"} 3");
  has("http_server_request_duration_seconds_count{http_route=\"closed\",http_request_method=\"GET\","
      "http_response_status_code=\"401\",error_type=\"auth.missing\",network_protocol_version=\"1.1\"} 1");
  has("penstock_config_generation 1");
  has("penstock_config_last_reload_successful 1");
  has("# TYPE http_server_request_duration_seconds histogram");
  CHECK(metrics.body.find("penstock_build_info{version=\"") != std::string::npos);
  CHECK(metrics.body.find("penstock_log_dropped_total{") != std::string::npos);
  CHECK(metrics.body.find("nowhere") == std::string::npos);

  Client client(status);
  client.send("POST /metrics HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
  Response refused = client.read_response();
  CHECK(refused.status == 405);
  CHECK(refused.header("allow") == "GET, HEAD");
  client.send("HEAD /livez HTTP/1.1\r\nhost: a\r\n\r\n");
  CHECK(client.read_response("HEAD").header("content-length") == "6");
}

TEST_CASE("garbage at the status listener gets a 400") {
  Gateway gateway(
      basics("routes: [{ name: r, match: { path: / }, public: true, respond: { status: 200 } }]\n"));
  Client client(gateway.status_port());
  client.send("garbage\r\n\r\n");
  CHECK(client.read_response().status == 400);
  CHECK(client.at_end());
}

TEST_CASE("a scrape that leaves before its answer harms nobody") {
  Gateway gateway(
      basics("routes: [{ name: r, match: { path: / }, public: true, respond: { status: 200 } }]\n"));
  for (int i = 0; i < 50; ++i) {
    Client client(gateway.status_port());
    client.send("GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n");
    client.reset();
  }
  CHECK(get(gateway.status_port(), "/metrics").status == 200);
}

TEST_CASE("silent connections do not keep probes from the status listener") {
  Gateway gateway(
      "schema: 1\nworkers: 1\nstatus: { address: \"127.0.0.1:0\", max_connections: 5 }\n"
      "listeners: [{ name: http, address: \"127.0.0.1:0\" }]\n"
      "routes: [{ name: r, match: { path: / }, public: true, respond: { status: 200 } }]\n");
  std::vector<std::unique_ptr<Client>> silent;
  for (int i = 0; i < 20; ++i) {
    silent.push_back(std::make_unique<Client>(gateway.status_port()));
    CHECK(get(gateway.status_port(), "/livez").status == 200);
  }
  CHECK(silent.front()->at_end());  // the one that was silent longest
  CHECK(reached(gateway, "status.max_connections") > 0);
}

TEST_CASE("a status listener with more connections than it may have from now on still keeps its bound") {
  auto with = [](const std::string& most) {
    return "schema: 1\nworkers: 1\nstatus: { address: \"127.0.0.1:0\", max_connections: " + most +
           " }\n"
           "listeners: [{ name: http, address: \"127.0.0.1:0\" }]\n"
           "routes: [{ name: r, match: { path: / }, public: true, respond: { status: 200 } }]\n";
  };
  Gateway gateway(with("10"));
  std::vector<std::unique_ptr<Client>> silent;
  for (int i = 0; i < 8; ++i) {
    silent.push_back(std::make_unique<Client>(gateway.status_port()));
    silent.back()->send("GET /livez HTTP/1.1\r\nhost: a\r\n\r\n");
    CHECK(silent.back()->read_response().status == 200);
  }
  gateway.reload(with("5"));
  for (size_t i = 0; i < 4; ++i) {
    CHECK(get(gateway.status_port(), "/livez").status == 200);
    CHECK(silent[i]->at_end());
  }
}
