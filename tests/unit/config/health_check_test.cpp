// `health_check:` of upstreams: its short and long form, what it takes from defaults, what it refuses.
#include "config_support.h"

using namespace penstock::config;
using namespace penstock::config::test;
using namespace std::chrono_literals;
using Kind = HealthCheck::Kind;

namespace {

std::string with_check(std::string_view check, std::string_view defaults = "") {
  return fmt::format(
      "{}routes: {{ name: r, match: {{}}, public: true, upstream: u }}\n"
      "upstreams: {{ u: {{ endpoints: '127.0.0.1:1'{}{} }} }}\n",
      defaults, check.empty() ? "" : ", health_check: ", check);
}

std::optional<HealthCheck> check_of(std::string_view check, std::string_view defaults = "") {
  const Loaded loaded = load_rest(with_check(check, defaults));
  const std::string problems = joined(lines(loaded));
  CAPTURE(problems);
  REQUIRE(loaded.diagnostics.all().empty());
  return loaded.config.upstreams.at(0).health_check;
}

std::string problems_of(std::string_view check, std::string_view defaults = "") {
  return joined(lines(load_rest(with_check(check, defaults))));
}

}  // namespace

TEST_CASE("a path alone is the short form, and what is not said is built in") {
  CHECK(!check_of(""));
  CHECK(!check_of("none"));
  for (const char* form : {"/healthz", "{ path: /healthz }",
                           "{ path: /healthz, interval: 5s, timeout: 2s, jitter: 10%, healthy: 2, unhealthy: "
                           "3, method: GET, status: 200-299, body_size: 64KiB }"}) {
    CAPTURE(form);
    const HealthCheck check = *check_of(form);
    CHECK(check.kind == Kind::http);
    CHECK(check.path == "/healthz");
    CHECK(check.port == 0);
    CHECK(check.host == "");
    CHECK(check.method == "GET");
    REQUIRE(check.status.size() == 1);
    CHECK(check.status[0].first == 200);
    CHECK(check.status[0].last == 299);
    CHECK(check.body == "");
    CHECK(check.body_size == 64 * 1024);
    CHECK(check.interval == 5s);
    CHECK(check.timeout == 2s);
    CHECK(check.jitter == 0.1);
    CHECK(check.healthy == 2);
    CHECK(check.unhealthy == 3);
  }
}

TEST_CASE("a check as it can be written in full") {
  const HealthCheck check = *check_of(
      "{ path: '/up?deep=1', port: 8081, host: internal, method: OPTIONS, headers: { X-Probe: '{1}' }, "
      "status: [204, 300-399], body: all is well, body_size: 1MiB, interval: 250ms, timeout: 100ms, jitter: "
      "0%, healthy: 1, unhealthy: 5 }");
  CHECK(check.path == "/up?deep=1");
  CHECK(check.port == 8081);
  CHECK(check.host == "internal");
  CHECK(check.method == "OPTIONS");
  REQUIRE(check.headers.size() == 1);
  CHECK(check.headers[0] == std::pair<std::string, std::string>("x-probe", "{1}"));  // no template
  REQUIRE(check.status.size() == 2);
  CHECK(check.status[0].first == 204);
  CHECK(check.status[0].last == 204);
  CHECK(check.status[1].last == 399);
  CHECK(check.body == "all is well");
  CHECK(check.body_size == 1024 * 1024);
  CHECK(check.interval == 250ms);
  CHECK(check.timeout == 100ms);
  CHECK(check.jitter == 0);
  CHECK(check.healthy == 1);
  CHECK(check.unhealthy == 5);
  CHECK(check_of("{ tcp: true }")->kind == Kind::tcp);
  CHECK(check_of("{ grpc: shop.Orders }")->kind == Kind::grpc);
  CHECK(check_of("{ grpc: shop.Orders }")->service == "shop.Orders");
  CHECK(check_of("{ grpc: '' }")->service == "");
}

TEST_CASE("defaults: another kind of check takes its pace alone, another path takes all else") {
  const std::string_view defaults =
      "defaults: { upstream: { health_check: { path: /healthz, interval: 1s, unhealthy: 7, body: ok, status: "
      "204, host: internal, headers: { x-a: b } } } }\n";
  CHECK(!check_of("none", defaults));
  const HealthCheck plain = *check_of("", defaults);
  CHECK(plain.path == "/healthz");
  CHECK(plain.unhealthy == 7);
  const HealthCheck other = *check_of("/up", defaults);
  CHECK(other.path == "/up");
  CHECK(other.interval == 1s);
  CHECK(other.body == "ok");
  CHECK(other.headers.size() == 1);
  const HealthCheck grpc = *check_of("{ grpc: a.B, interval: 3s }", defaults);
  CHECK(grpc.kind == Kind::grpc);
  CHECK(grpc.interval == 3s);
  CHECK(grpc.unhealthy == 7);
  CHECK(grpc.host == "internal");
  CHECK(grpc.body == "");
  const HealthCheck sooner = *check_of("{ interval: 3s }", defaults);
  CHECK(sooner.path == "/healthz");
  CHECK(sooner.interval == 3s);
}

TEST_CASE("checks that cannot be, or could not pass") {
  struct Row {
    const char* check;
    const char* expected;
  };
  const Row rows[] = {
      {"{ interval: 1s }", "3:45 error[health-check] 'health_check' does not say what is checked\n"},
      {"{ path: /a, tcp: true }",
       "3:45 error[health-check] 'health_check' says more than one of path, tcp and grpc\n"},
      {"{ tcp: false }", "3:66 error[bad-value] tcp is true, or left out\n"},
      {"true", "3:59 error[bad-value] path 'true' is no path\n"},
      {"'/a b'", "3:59 error[bad-value] path '/a b' is no path\n"},
      {"'/a#b'", "3:59 error[bad-value] path '/a#b' is no path\n"},
      {"\"/a\\nb: c\"", "3:59 error[bad-value] path '/a\nb: c' is no path\n"},
      {"\"/a?q=\\u00e9\"",
       "3:59 error[bad-value] path '/a?q=\u00e9' has a query with bytes that none may hold\n"},
      {"{ path: /a, host: \"h\\u00e9\" }", "3:77 error[bad-host] host 'h\u00e9' is no host\n"},
      {"{ path: /a, interval: 0s }",
       "3:81 error[out-of-range] interval '0s' is out of range, allowed is 10ms to 24h\n"},
      {"{ path: /a, healthy: 0 }",
       "3:80 error[out-of-range] healthy '0' is out of range, allowed is 1 to 1000\n"},
      {"{ path: /a, port: 0 }", "3:77 error[out-of-range] port '0' is out of range, allowed is 1 to 65535\n"},
      {"{ path: /a, method: POST }",
       "3:79 error[bad-value] method 'POST' is not one of GET, HEAD, OPTIONS\n"},
      {"{ path: /a, status: 100 }",
       "3:79 error[bad-value] status '100' is no status 200 to 599, and no range of them\n"},
      {"{ path: /a, status: [200, 300-200, 2xx, -204, 200-, 600] }",
       "3:85 error[bad-value] status '300-200' is no status 200 to 599, and no range of them\n"
       "3:94 error[bad-value] status '2xx' is no status 200 to 599, and no range of them\n"
       "3:99 error[bad-value] status '-204' is no status 200 to 599, and no range of them\n"
       "3:105 error[bad-value] status '200-' is no status 200 to 599, and no range of them\n"
       "3:111 error[bad-value] status '600' is no status 200 to 599, and no range of them\n"},
      {"{ path: /a, status: [] }", "3:79 error[bad-value] 'status' is empty, so no check could pass\n"},
      {"{ path: /a, body: '' }", "3:77 error[bad-value] body has 0 bytes, allowed is 1 to 1024\n"},
      {"{ path: /a, body: ok, method: HEAD }", "3:77 error[bad-value] an answer to HEAD has no body\n"},
      {"{ path: /a, headers: { host: x } }",
       "3:82 error[bad-header] 'host' is written from health_check.host\n"},
      {"{ path: /a, headers: { connection: close } }",
       "3:82 error[bad-header] 'connection' is written by the gateway itself for every request\n"},
      {"{ path: /a, headers: { x-a: \"b\\r\\nc: d\" } }",
       "3:87 error[bad-header] the value of 'x-a' holds a control character, which no header may\n"},
      {"{ path: /a, host: 'a b' }", "3:77 error[bad-host] host 'a b' is no host\n"},
      {"{ tcp: true, status: 200 }", "3:72 warning[no-effect] status has no effect beside tcp\n"},
      {"{ grpc: a.B, body: x }", "3:72 warning[no-effect] body has no effect beside grpc\n"},
      {"{ path: /a, every: 5s }",
       "3:71 error[unknown-key] 'every' is not known under upstreams.u.health_check\n"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.check);
    CHECK(problems_of(row.check) == row.expected);
  }
  CHECK(problems_of("{ grpc: " + std::string(300, 's') + " }") ==
        "3:67 error[bad-value] grpc is no name of a service\n");
  CHECK(problems_of("{ path: /a, body: " + std::string(1'025, 's') + " }") ==
        "3:77 error[bad-value] body has 1025 bytes, allowed is 1 to 1024\n");
}

TEST_CASE("a gRPC check over TLS needs an upstream that offers HTTP/2") {
  const auto problems = [](std::string_view protocol) {
    return problems_of(fmt::format("{{ grpc: a.B }}, tls: {{ server_name: a.test }}{}", protocol));
  };
  const std::string_view error =
      "3:45 error[health-check] a grpc check speaks HTTP/2, which this upstream does not offer over TLS\n";
  CHECK(problems("") == error);
  CHECK(problems(", protocol: http/1.1") == error);
  CHECK(problems(", protocol: h2") == "");
  CHECK(problems(", protocol: auto") == "");
  CHECK(problems_of("{ grpc: a.B }") == "");
}
