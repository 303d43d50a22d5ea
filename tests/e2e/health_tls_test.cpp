// Health checks of backends that speak TLS: they meet what requests meet.
#include <doctest/doctest.h>

#include "e2e/harness/client.h"
#include "e2e/harness/metrics.h"
#include "e2e/tls_support.h"

using namespace e2e;

namespace {

std::string head(const std::string& listener) {
  return "schema: 1\nworkers: 2\nstatus: { address: \"127.0.0.1:0\" }\naccess_log: none\n"
         "drain: { accept_for: 0s, timeout: 20s }\n"
         "listeners: [{ name: http, address: \"127.0.0.1:0\"" +
         listener + " }]\n";
}

// Answers /healthz itself, over TLS with this certificate.
std::string backend(const TlsFiles& files) {
  return head(", protocols: [h2, http/1.1], tls: { certificates: [" + files.pair("a") + "] }") +
         "routes: [{ name: all, match: { path: /healthz }, public: true, respond: { status: 200, body: fine "
         "} "
         "}]\n";
}

std::string gateway_to(const Gateway& behind, const std::string& check, const std::string& tls,
                       const std::string& more = {}) {
  return head("") + "routes: [{ name: all, match: { path_prefix: / }, public: true, upstream: u }]\n" +
         "upstreams: { u: { endpoints: \"127.0.0.1:" + std::to_string(behind.port()) +
         "\", health_check: { " + check + ", interval: 50ms, timeout: 5s, unhealthy: 2 }, tls: { " + tls +
         " }" + more + " } }\n";
}

const std::string passed = "penstock_health_checks_total{upstream=\"u\",result=\"passed\"}";
const std::string failed = "penstock_health_checks_total{upstream=\"u\",result=\"tls\"}";
const std::string up = "penstock_upstream_endpoints{upstream=\"u\",state=\"up\"}";

}  // namespace

TEST_CASE("a check goes over TLS where requests do, and fails on the certificate that they would fail on") {
  TlsFiles files, others;
  files.make("a", "a.test");
  others.make("a", "a.test");
  Gateway behind(backend(files));
  const std::string trusted = "server_name: a.test, ca: " + files.file("a.crt");
  for (const char* protocol : {", protocol: http/1.1", ", protocol: h2", ", protocol: auto"}) {
    CAPTURE(protocol);
    Gateway gateway(gateway_to(behind, "path: /healthz, body: fine", trusted, protocol));
    await("passed checks", [&] { return metric(gateway, passed) >= 3; });
    CHECK(metric(gateway, up) == 1);
    CHECK(get(gateway.port(), "/healthz").body == "fine");
  }
  for (const std::string& wrong : {"server_name: b.test, ca: " + files.file("a.crt"),
                                   "server_name: a.test, ca: " + others.file("a.crt")}) {
    CAPTURE(wrong);
    Gateway gateway(gateway_to(behind, "path: /healthz", wrong));
    await_metric(gateway, up, 0);
    CHECK(metric(gateway, failed) >= 2);
    CHECK(metric(gateway, passed) == 0);
    CHECK(get(gateway.port(), "/healthz").body.find("upstream.no_healthy_endpoint") != std::string::npos);
  }
}

TEST_CASE("a gRPC check goes over TLS too, and a reload that trusts another CA begins anew") {
  TlsFiles files, others;
  files.make("a", "a.test");
  others.make("a", "a.test");
  Gateway behind(backend(files));
  const std::string trusted = "server_name: a.test, ca: " + files.file("a.crt");
  // It has no such service, and says so in gRPC.
  Gateway grpc(gateway_to(behind, "grpc: a.B", trusted, ", protocol: h2"));
  await_metric(grpc, up, 0);
  CHECK(metric(grpc, "penstock_health_checks_total{upstream=\"u\",result=\"grpc_status\"}") >= 2);
  CHECK(metric(grpc, failed) == 0);

  Gateway gateway(gateway_to(behind, "path: /healthz", "server_name: a.test, ca: " + others.file("a.crt")));
  await_metric(gateway, up, 0);
  gateway.reload(gateway_to(behind, "path: /healthz", trusted));
  CHECK(metric(gateway, up) == 1);
  await("passed checks", [&] { return metric(gateway, passed) >= 3; });
  CHECK(get(gateway.port(), "/healthz").body == "fine");
}
