// Behind a proxy that speaks the PROXY protocol: the client it names is the client everywhere, and nobody
// else is believed.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/process.h"
#include "e2e/harness/waiting.h"

using namespace e2e;
using namespace std::string_literals;
using nlohmann::json;

namespace {

std::string configuration(const Backend& backend, const std::string& listener,
                          const std::string& before = {}) {
  return "schema: 1\nworkers: 1\naccess_log: [{ format: json, file: access.log }]\n"
         "status: { address: \"127.0.0.1:0\" }\n"
         "drain: { accept_for: 0s, timeout: 5s }\n"
         "listeners: [{ name: http, address: \"127.0.0.1:0\", client_address: proxy_protocol, " +
         listener +
         " }]\n"
         "plugins: { once: { type: rate_limit, key: client.address, limits: [1/h] } }\n"
         "routes: [{ name: all, match: { path_prefix: / }, public: true, " +
         before +
         "upstream: u }]\n"
         "upstreams: { u: { endpoints: \"" +
         backend.endpoint() + "\" } }\n";
}

const std::string trusted = "trusted_proxies: [127.0.0.0/8]";
const std::string request = "GET /r HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 203.0.113.66\r\n\r\n";
const std::string version1 = "PROXY TCP4 192.0.2.1 198.51.100.1 1234 443\r\n";
const std::string version2 = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\1\4\xd2\1\xbb"s;
const std::string version2_ipv6 = "\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24"s +
                                  "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"s +
                                  "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2\4\xd2\1\xbb"s;
const std::string version2_local = "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"s;

// What the backend was told who the client is.
std::string seen_client(const Response& response) {
  return json::parse(response.body)["headers"].value("x-forwarded-for", "none");
}

std::string ask(uint16_t port, const std::string& bytes) {
  Client client(port);
  client.send(bytes + request);
  Response response = client.read_response();
  return response.status == 200 ? seen_client(response) : std::to_string(response.status);
}

}  // namespace

TEST_CASE("the client of a PROXY header is the client for the backend, the log and rate limits") {
  Backend backend;
  Gateway gateway(configuration(backend, trusted, "before_auth: once, "));
  CHECK(ask(gateway.port(), version1) == "192.0.2.1");
  CHECK(ask(gateway.port(), version1) == "429");  // the same client a second time
  CHECK(ask(gateway.port(), version2) == "429");  // also in the other form
  CHECK(ask(gateway.port(), version2_ipv6) == "2001:db8::1");
  CHECK(ask(gateway.port(), "PROXY UNKNOWN\r\n") == "127.0.0.1");
  CHECK(ask(gateway.port(), version2_local) == "429");  // 127.0.0.1 again
  CHECK(gateway.stop(15) == 0);
  std::string log = gateway.folder().read("access.log");
  CHECK(log.find("\"192.0.2.1\"") != std::string::npos);
  CHECK(log.find("\"2001:db8::1\"") != std::string::npos);
  CHECK(log.find("203.0.113.66") == std::string::npos);
}

TEST_CASE("a PROXY header may come byte by byte, and before TLS") {
  Backend backend;
  Gateway gateway(configuration(backend, trusted));
  for (const std::string& header : {version1, version2}) {
    Client client(gateway.port());
    for (char byte : header + request) client.send({&byte, 1});
    CHECK(seen_client(client.read_response()) == "192.0.2.1");
  }
  TempFolder certificates;
  Ran made = run({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                  "-keyout", certificates.file("key.pem"), "-out", certificates.file("cert.pem"), "-days",
                  "2", "-subj", "/CN=a"});
  REQUIRE(made.exit_code == 0);
  REQUIRE(gateway
              .reload(configuration(backend, trusted + ", tls: { certificates: [{ cert: \"" +
                                                 certificates.file("cert.pem") + "\", key: \"" +
                                                 certificates.file("key.pem") + "\" }] }"))
              .find("reloaded") != std::string::npos);
  for (const char* version : {"--haproxy-protocol"}) {
    Ran got = run({"curl", "-sk", version, "https://127.0.0.1:" + std::to_string(gateway.port()) + "/r"});
    CHECK(got.exit_code == 0);
    CHECK(json::parse(got.out)["headers"].value("x-forwarded-for", "none") == "127.0.0.1");
  }
}

TEST_CASE("curl's header names curl's own address, as an IP client that it is") {
  Backend backend;
  Gateway gateway(configuration(backend, trusted));
  Ran got = run({"curl", "-s", "--interface", "127.0.0.7", "--haproxy-protocol",
                 "http://127.0.0.1:" + std::to_string(gateway.port()) + "/r"});
  CHECK(got.exit_code == 0);
  CHECK(json::parse(got.out)["headers"].value("x-forwarded-for", "none") == "127.0.0.7");
}

TEST_CASE("a flood of connections without a valid header is told in part, and counted whole") {
  Backend backend;
  Gateway gateway(configuration(backend, trusted));
  for (int i = 0; i < 500; ++i) {
    Client client(gateway.port());
    client.send("x\r\n");
    CHECK_THROWS(client.read_head());
  }
  CHECK(get(gateway.status_port(), "/metrics")
            .body.find("penstock_listener_bad_proxy_headers_total{listener=\"http\"} 500\n") !=
        std::string::npos);
  gateway.process().wait_for_line(" proxy.malformed: ");
  gateway.process().poll_output();
  const std::string& told = gateway.process().output();
  size_t lines = 0;
  for (size_t at = 0; (at = told.find(" proxy.malformed: ", at)) != std::string::npos; ++at) ++lines;
  CHECK(lines >= 10);
  CHECK(lines < 500);
}

TEST_CASE("a trusted proxy without a valid header is closed and counted, and is no request") {
  Backend backend;
  Gateway gateway(configuration(backend, trusted));
  for (const std::string& bytes :
       {request, "PROXY TCP4 1.1.1.1\r\n" + request, "PROXY TCP4 192.0.2.1 198.51.100.1 01 443\r\n"s,
        std::string(120, 'x'), "\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c"s}) {
    Client client(gateway.port());
    client.send(bytes);
    CHECK_THROWS(client.read_head());
    CHECK(gateway.process().wait_for_line(" proxy.malformed: ").find("listener http: 127.0.0.1:") !=
          std::string::npos);
  }
  CHECK(get(gateway.status_port(), "/metrics")
            .body.find("penstock_listener_bad_proxy_headers_total{listener=\"http\"} 5\n") !=
        std::string::npos);
  CHECK(ask(gateway.port(), version1) == "192.0.2.1");
}

TEST_CASE("others are served by their own address, and a PROXY header of theirs is a bad request") {
  Backend backend;
  Gateway gateway(configuration(backend, "trusted_proxies: [192.0.2.0/24]"));
  CHECK(ask(gateway.port(), "") == "127.0.0.1");
  CHECK(ask(gateway.port(), version1) == "400");
  CHECK(ask(gateway.port(), version2) == "400");
}

TEST_CASE("a proxy that says nothing has header_timeout for it") {
  Backend backend;
  Gateway gateway(configuration(backend, trusted + ", limits: { header_timeout: 200ms }"));
  Client silent(gateway.port()), half(gateway.port()), head(gateway.port());
  half.send(version1.substr(0, 20));
  head.send(version1 + "GET /r HTTP/1.1\r\n");
  CHECK(silent.at_end());
  gateway.process().wait_for_line("proxy.malformed: no PROXY header in header_timeout");
  CHECK(half.at_end());
  CHECK(head.read_response().status == 408);
  CHECK(get(gateway.status_port(), "/metrics")
            .body.find("penstock_limit_reached_total{limit=\"header_timeout\"} 3\n") != std::string::npos);
}

TEST_CASE("places are counted for the client behind the proxy") {
  Backend backend;
  Gateway gateway(configuration(backend, trusted + ", limits: { max_connections_per_client: 1 }"));
  Client one(gateway.port());
  one.send(version1 + request);
  CHECK(one.read_response().status == 200);
  Client again(gateway.port());
  again.send(version1 + request);
  CHECK_THROWS(again.read_head());
  CHECK(ask(gateway.port(), version2_ipv6) == "2001:db8::1");
}

TEST_CASE("a drain ends connections that have not said who they are") {
  Backend backend;
  Gateway gateway(configuration(backend, trusted));
  Client silent(gateway.port());
  CHECK(ask(gateway.port(), version1) == "192.0.2.1");  // so that the silent one has been accepted
  CHECK(gateway.stop(15) == 0);
  CHECK(silent.at_end());
}

TEST_CASE("HAProxy's send-proxy-v2 is understood") {
  Backend backend;
  Gateway gateway(configuration(backend, trusted));
  TempFolder folder;
  std::string sockets = folder.file("haproxy.sock");
  std::string file = folder.write(
      "haproxy.cfg",
      "global\n  stats socket " + sockets +
          "\n"
          "defaults\n  mode tcp\n  timeout connect 30s\n  timeout client 30s\n  timeout server 30s\n"
          "frontend in\n  bind unix@" +
          folder.file("in.sock") + "\n  default_backend out\nbackend out\n  server gateway 127.0.0.1:" +
          std::to_string(gateway.port()) + " send-proxy-v2\n");
  Process haproxy({"haproxy", "-db", "-V", "-f", file}, Process::Read::standard_error);
  std::string answered;
  for (auto until = Clock::now() + patience; answered.empty() && Clock::now() < until;) {
    Ran got = run({"curl", "-s", "--unix-socket", folder.file("in.sock"), "http://a/r"});
    if (got.exit_code == 0) answered = got.out;  // it listens a moment after it was started
  }
  REQUIRE(!answered.empty());
  // Its client came through a unix socket, which is what the header says.
  std::string client = json::parse(answered)["headers"].value("x-forwarded-for", "none");
  CHECK((client == "unix:" || client == "127.0.0.1"));
}
