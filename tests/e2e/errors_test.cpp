// Every kind of refusal as a client sees it: problem+json with a stable reason and the request's id, the same
// in the access log.
#include <doctest/doctest.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"

using namespace e2e;
using nlohmann::json;

namespace {

std::string configuration(const Backend& backend, const ClosedPort& dead) {
  return "schema: 1\nworkers: 1\n"
         "access_log: [{ format: json, file: access.log }]\n"
         "drain: { accept_for: 0s, timeout: 5s }\n"
         "listeners: [{ name: http, address: \"127.0.0.1:0\", limits: { header_size: 4KiB, header_timeout: "
         "1s, "
         "body_timeout: 1s, body_size: 1KiB } }]\n"
         "consumers:\n"
         "  - { name: app, groups: [users], credentials: { api_keys: [\"${file:app.key}\"] } }\n"
         "  - { name: admin, groups: [admins], credentials: { api_keys: [\"${file:admin.key}\"] } }\n"
         "plugins:\n"
         "  keys: { type: api_key, header: x-api-key }\n"
         "  once: { type: rate_limit, key: client.address, limits: [1/h], headers: [ratelimit, retry-after] "
         "}\n"
         "routes:\n"
         "  - { name: ok, match: { path: /ok }, public: true, upstream: good }\n"
         "  - { name: put, match: { path: /put, methods: [PUT] }, public: true, upstream: good }\n"
         "  - { name: closed, match: { path: /closed }, auth: { any_of: keys, allow: { groups: admins } }, "
         "upstream: good }\n"
         "  - { name: limited, match: { path: /limited }, public: true, before_auth: once, upstream: good }\n"
         "  - { name: dead, match: { path: /dead }, public: true, upstream: dead }\n"
         "  - { name: hang, match: { path: /hang }, public: true, upstream: good, timeouts: { first_byte: "
         "200ms }, retries: { attempts: 0 } }\n"
         "  - { name: garbage, match: { path: /garbage }, public: true, upstream: good }\n"
         "  - { name: unresolved, match: { path: /unresolved }, public: true, upstream: nowhere }\n"
         "  - { name: nobody, match: { path: /nobody }, public: true, upstream: nobody }\n"
         "upstreams:\n"
         "  good: { endpoints: \"" +
         backend.endpoint() +
         "\" }\n"
         "  dead: { endpoints: \"127.0.0.1:" +
         std::to_string(dead.port()) +
         "\" }\n"
         "  nowhere: { endpoints: \"name.invalid:80\" }\n"
         "  nobody: { discover: { dns: name.invalid, port: 80 } }\n";
}

struct Refusals {
  Backend backend;
  ClosedPort dead;
  TempFolder secrets;
  std::unique_ptr<Gateway> gateway;
  Refusals() {
    std::string text = configuration(backend, dead);
    auto put = [&](const std::string& name, const std::string& value) {
      std::string path = secrets.write(name, value);
      text.replace(text.find("file:" + name), name.size() + 5, "file:" + path);
    };
    put("app.key", "app-key\n");
    put("admin.key", "admin-key\n");
    gateway = std::make_unique<Gateway>(text);
  }

  Response ask(const std::string& bytes) {
    Client client(gateway->port());
    client.send(bytes);
    return client.read_response();
  }

  // The problem of this answer; the access log is complete once the daemon has stopped.
  std::string id_of_problem(const Response& response, int status, const std::string& reason) {
    CHECK(response.status == status);
    CHECK(response.header("content-type") == "application/problem+json");
    json problem = json::parse(response.body, nullptr, false);
    REQUIRE(problem.is_object());
    CHECK(problem["status"] == status);
    CHECK(problem["reason"] == reason);
    CHECK(problem["request_id"] == response.header("x-request-id"));
    return response.header("x-request-id");
  }
};

}  // namespace

TEST_CASE("each refusal has its status, its reason and its line in the access log") {
  Refusals refusals;
  struct Case {
    std::string bytes;
    int status;
    std::string reason;
  };
  std::string end = " HTTP/1.1\r\nhost: a\r\n\r\n";
  std::string long_path(5000, 'x');
  std::vector<Case> cases{
      {"GET /a%zz" + end, 400, "request.malformed"},
      {"GET /ok HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", 400,
       "request.malformed"},
      {"GET /ok HTTP/1.1\r\n\r\n", 400, "request.malformed"},
      {"GET /closed" + end, 401, "auth.missing"},
      {"GET /closed HTTP/1.1\r\nhost: a\r\nx-api-key: app-key\r\n\r\n", 403, "auth.forbidden"},
      {"GET /none" + end, 404, "route.none"},
      {"GET /put" + end, 405, "route.method"},
      {"POST /ok HTTP/1.1\r\nhost: a\r\ncontent-length: 2000\r\n\r\n", 413, "request.body_too_large"},
      {"GET /" + long_path + end, 414, "request.uri_too_long"},
      {"GET /ok HTTP/1.1\r\nhost: a\r\nx: " + long_path + "\r\n\r\n", 431, "request.header_too_large"},
      {"GET /dead" + end, 502, "upstream.connect.refused"},
      {"GET /garbage" + end, 502, "upstream.protocol"},
      {"GET /unresolved" + end, 503, "upstream.unresolved"},
      {"GET /nobody" + end, 503, "upstream.no_healthy_endpoint"},
      {"GET /hang" + end, 504, "upstream.timeout.first_byte"},
      {"GET /ok HTT", 408, "request.timeout"},
      {"POST /ok HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc", 408, "request.timeout"},
      {"POST /ok HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n", 400,
       "request.malformed"},
  };
  std::vector<std::pair<std::string, std::string>> seen;  // id and reason
  for (const Case& one : cases) {
    CAPTURE(one.bytes.substr(0, 60));
    Response response = refusals.ask(one.bytes);
    seen.emplace_back(refusals.id_of_problem(response, one.status, one.reason), one.reason);
  }
  CHECK(refusals.ask("GET /limited" + end).status == 200);
  Response limited = refusals.ask("GET /limited" + end);
  seen.emplace_back(refusals.id_of_problem(limited, 429, "limit.rate"), "limit.rate");
  CHECK(!limited.header("retry-after").empty());
  CHECK(refusals.ask("GET /put" + end).header("allow") == "PUT");
  CHECK(refusals.ask("GET /closed" + end).header("www-authenticate").starts_with("ApiKey"));
  CHECK(refusals.ask("GET /closed HTTP/1.1\r\nhost: a\r\nx-api-key: admin-key\r\n\r\n").status == 200);

  CHECK(refusals.gateway->stop(SIGTERM) == 0);
  std::string log = refusals.gateway->folder().read("access.log");
  for (const auto& [id, reason] : seen) {
    CAPTURE(reason);
    size_t at = log.find(id);
    REQUIRE(at != std::string::npos);
    size_t begin = log.rfind('\n', at) + 1;
    json line = json::parse(log.substr(begin, log.find('\n', at) - begin), nullptr, false);
    REQUIRE(line.is_object());
    CHECK(line["penstock.reason"] == reason);
  }
}

TEST_CASE("a hostile request gets its 400 and the end of the connection") {
  Refusals refusals;
  for (const char* bytes :
       {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "GET / HTTP/1.1\r\nhost: a\r\nbad header\r\n\r\n",
        "GET  / HTTP/1.1\r\n\r\n", "GET / HTTP/9.9\r\nhost: a\r\n\r\n"}) {
    Client client(refusals.gateway->port());
    client.send(std::string_view(bytes));
    CHECK(client.read_response().status == 400);
    CHECK(client.at_end());
  }
}
