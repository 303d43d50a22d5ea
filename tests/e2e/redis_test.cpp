// Limits that several gateways share through a real Redis, and what becomes of them without it.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/listening_port.h"
#include "e2e/harness/metrics.h"
#include "e2e/harness/waiting.h"
#include "e2e/redis_support.h"
#include "e2e/tls_support.h"

using namespace e2e;

namespace {

// A gateway whose only route is limited by what the store counts. Busy machines are slower than 5 ms. One
// worker, so that what /metrics says of the store is true of whoever is asked.
std::string limited(const std::string& redis, const std::string& limits, const std::string& settings = {}) {
  std::string head = basics();
  head.replace(head.find("workers: 2"), 10, "workers: 1");
  return head + "redis: { address: \"" + redis + "\", timeout: 1s" + settings +
         " }\n"
         "plugins: { shared: { type: rate_limit, key: client.address, store: redis, headers: ratelimit, " +
         limits +
         " } }\n"
         "routes: [{ name: all, match: { path_prefix: / }, public: true, before_auth: shared, "
         "respond: { status: 200, body: ok } }]\n";
}

void await_up(const Gateway& gateway) { await_metric(gateway, "penstock_redis_up", 1); }

// How many of so many requests on one connection got through; the others must be 429.
int admitted(const Gateway& gateway, int requests, std::atomic<int>* odd = nullptr) {
  Client client(gateway.port());
  int good = 0;
  for (int i = 0; i < requests; ++i) {
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    const int status = client.read_response().status;
    good += status == 200;
    if (odd != nullptr && status != 200 && status != 429) ++*odd;
  }
  return good;
}

double errors(const Gateway& gateway, const std::string& kind) {
  return metric(gateway, "penstock_ratelimit_store_errors_total{plugin=\"shared\",error=\"" + kind + "\"}");
}

size_t lines_with(Gateway& gateway, const std::string& text) {
  gateway.process().poll_output();
  size_t count = 0;
  const std::string& all = gateway.process().output();
  for (size_t at = all.find(text); at != std::string::npos; at = all.find(text, at + 1)) ++count;
  return count;
}

}  // namespace

TEST_CASE("two gateways that share a Redis admit exactly the burst, whoever is asked") {
  Redis redis;
  std::string configuration = limited(redis.endpoint(), "limits: [{ rate: 1/h, burst: 150 }]");
  configuration.replace(configuration.find("workers: 1"), 10, "workers: 2");
  Gateway one(configuration), two(configuration);
  await_up(one);
  await_up(two);
  std::atomic<int> good{0}, odd{0};
  {
    std::vector<std::jthread> clients;
    for (int i = 0; i < 4; ++i)
      clients.emplace_back([&, i] { good += admitted(i % 2 == 0 ? one : two, 100, &odd); });
  }
  CHECK(good == 150);
  CHECK(odd == 0);
  for (const Gateway* gateway : {&one, &two})
    for (const char* kind : {"timeout", "away", "answer"}) CHECK(errors(*gateway, kind) == 0);
  CHECK(get(one.port(), "/").header("ratelimit").starts_with("\"shared\";r=0;t="));
  CHECK(get(two.port(), "/").header("retry-after") != "");
}

TEST_CASE("several windows and a quota over Redis are judged together: refused by one, taken from none") {
  Redis redis;
  Gateway gateway(limited(redis.endpoint(),
                          "limits: [{ rate: 1/h, burst: 2 }, 100/h], quota: [{ count: 50, per: month }]"));
  await_up(gateway);
  CHECK(admitted(gateway, 20) == 2);
  const std::string left = get(gateway.port(), "/").header("ratelimit");
  CHECK(left.find("\"shared-1\";r=0;") != std::string::npos);
  CHECK(left.find("\"shared-2\";r=98;") != std::string::npos);
  CHECK(left.find("\"shared-month\";r=48;") != std::string::npos);
}

TEST_CASE("a quota over Redis is refused as a quota, and its key goes with the month") {
  Redis redis;
  Gateway gateway(limited(redis.endpoint(), "quota: [{ count: 3, per: day }]"));
  await_up(gateway);
  CHECK(admitted(gateway, 5) == 3);
  CHECK(get(gateway.port(), "/").body.find("limit.quota") != std::string::npos);
  const std::string key = redis.cli({"--raw", "keys", "*quota0"});
  CHECK(key.find("penstock:rate_limit:shared:") != std::string::npos);
}

TEST_CASE("Redis that stands still or is gone: a local share, no error and no long wait, told once") {
  Redis redis;
  Gateway gateway(limited(redis.endpoint(), "limits: [{ rate: 1/h, burst: 20 }]", ", max_failures: 2"));
  await_up(gateway);
  std::atomic<int> odd{0};
  CHECK(admitted(gateway, 10, &odd) == 10);
  redis.process().pause();
  const auto before = Clock::now();
  // The first ones wait for the timeout; then nothing is asked. The local share is full.
  CHECK(admitted(gateway, 30, &odd) == 20);
  CHECK(Clock::now() - before < std::chrono::seconds(15));
  await_metric(gateway, "penstock_redis_up", 0);
  CHECK(errors(gateway, "timeout") >= 1);
  CHECK(errors(gateway, "away") >= 1);
  redis.process().resume();
  await_up(gateway);
  admitted(gateway, 30, &odd);
  redis.restart();
  await("the new one counts from the beginning",
        [&] { return get(gateway.port(), "/").status == 200 && metric(gateway, "penstock_redis_up") == 1; });
  CHECK(admitted(gateway, 30, &odd) <= 20);
  CHECK(odd == 0);
  CHECK(lines_with(gateway, "is away") >= 1);
  CHECK(lines_with(gateway, "is away") <= 4);
  CHECK(lines_with(gateway, "answers again") >= 1);
}

TEST_CASE(
    "a way to Redis that becomes slower than the timeout: a local share, and back when it is quick again") {
  Redis redis;
  SlowWay way(redis.port());
  std::string configuration =
      limited(way.endpoint(), "limits: [{ rate: 1/h, burst: 20 }]", ", max_failures: 3");
  configuration.replace(configuration.find("timeout: 1s"), 11, "timeout: 300ms");
  Gateway gateway(configuration);
  await_up(gateway);
  std::atomic<int> odd{0};
  CHECK(admitted(gateway, 5, &odd) == 5);
  way.delay_ms = 700;
  CHECK(admitted(gateway, 30, &odd) == 20);  // answers that come late are nobody's
  await_metric(gateway, "penstock_redis_up", 0);
  CHECK(metric(gateway, "penstock_redis_timeouts_total") >= 3);
  way.delay_ms = 0;
  await_up(gateway);
  // What was asked and not waited for was counted there all the same.
  const double before = errors(gateway, "away") + errors(gateway, "timeout");
  const int left = admitted(gateway, 30, &odd);
  CHECK(errors(gateway, "away") + errors(gateway, "timeout") == before);
  CHECK(left <= 15);
  CHECK(left >= 10);
  CHECK(odd == 0);
}

TEST_CASE("Redis over TLS is verified: the right authority is used, another one is away") {
  TestCa ca, other("other");
  ca.sign("redis", "DNS:redis.test,IP:127.0.0.1");
  const uint16_t port = ClosedPort().port();
  Redis redis({"--tls-port", std::to_string(port), "--tls-cert-file", ca.file("redis.crt"), "--tls-key-file",
               ca.file("redis.key"), "--tls-ca-cert-file", ca.file("ca.crt"), "--tls-auth-clients", "no"});
  const auto with = [&](const TestCa& trusted) {
    return limited("127.0.0.1:" + std::to_string(port), "limits: [7/h]",
                   ", tls: { " + trusted.trust() + " }");
  };
  Gateway good(with(ca)), wrong(with(other));
  await_up(good);
  CHECK(admitted(good, 10) == 7);
  CHECK(errors(good, "away") == 0);
  CHECK(admitted(wrong, 10) == 7);
  CHECK(metric(wrong, "penstock_redis_up") == 0);
  CHECK(errors(wrong, "away") >= 1);
}

TEST_CASE("without Redis each of two gateways has half") {
  Redis redis;
  const std::string configuration =
      limited(redis.endpoint(), "limits: [{ rate: 1/h, burst: 20 }]", ", max_failures: 1");
  Gateway one(configuration), two(configuration);
  await_metric(one, "penstock_redis_processes", 2);
  await_metric(two, "penstock_redis_processes", 2);
  redis.kill();
  await_metric(one, "penstock_redis_up", 0);
  await_metric(two, "penstock_redis_up", 0);
  CHECK(admitted(one, 30) == 10);
  CHECK(admitted(two, 30) == 10);
}

TEST_CASE("scripts that Redis lost are loaded again, and no decision is lost with them") {
  Redis redis;
  Gateway gateway(limited(redis.endpoint(), "limits: [{ rate: 1/h, burst: 10 }]"));
  await_up(gateway);
  CHECK(admitted(gateway, 4) == 4);
  redis.cli({"script", "flush"});
  CHECK(admitted(gateway, 20) == 6);
  for (const char* kind : {"timeout", "away", "answer"}) CHECK(errors(gateway, kind) == 0);
}

TEST_CASE("counts in Redis go on over a reload, in the middle of requests") {
  Redis redis;
  const std::string configuration = limited(redis.endpoint(), "limits: [{ rate: 1/h, burst: 300 }]");
  Gateway gateway(configuration);
  await_up(gateway);
  std::atomic<int> good{0}, odd{0};
  {
    std::jthread client([&] { good = admitted(gateway, 400, &odd); });
    for (int i = 0; i < 3; ++i) gateway.reload(configuration);
  }
  CHECK(good == 300);
  CHECK(odd == 0);
}

TEST_CASE("a Redis that refuses our password is away, not an error of requests") {
  Redis redis;
  redis.cli({"config", "set", "requirepass", "right"});
  Gateway wrong(limited(redis.endpoint(), "limits: [5/h]", ", password: wrong"));
  CHECK(admitted(wrong, 10) == 5);
  await_metric(wrong, "penstock_redis_up", 0);
  Gateway right(limited(redis.endpoint(), "limits: [5/h]", ", password: right, database: 3"));
  await_up(right);
  CHECK(admitted(right, 10) == 5);
  CHECK(errors(right, "away") == 0);
}

TEST_CASE("whatever a server sends in place of answers, requests are judged and the gateway lives") {
  std::mt19937_64 random(99);
  std::vector<std::string> nonsense{"",
                                    "hello\r\n",
                                    "HTTP/1.1 400 Bad Request\r\n\r\n",
                                    "-ERR no\r\n",
                                    "$-1\r\n$-1\r\n",
                                    "*-1\r\n",
                                    "*2147483647\r\n",
                                    "$536870911\r\n" + std::string(100'000, 'x'),
                                    "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
                                    "$3\r\nabc\r\n*2\r\n:1\r\n:0\r\n",
                                    "$3\r\nabc\r\n*2\r\n:1\r\n:1\r\n*4\r\n:1\r\n:1\r\n:-5\r\n:99\r\n",
                                    "$3\r\nabc\r\n*2\r\n:1\r\n:1\r\n:7\r\n:7\r\n:7\r\n:7\r\n"};
  for (int i = 0; i < 6; ++i) {
    std::string& bytes = nonsense.emplace_back("$3\r\nabc\r\n*2\r\n:1\r\n:1\r\n");
    constexpr std::string_view alphabet = "*$:+-0123456789\r\n";
    for (int n = 0; n < 300; ++n) bytes += alphabet[random() % alphabet.size()];
  }
  ListeningPort server;
  Gateway gateway(limited(server.endpoint(), "limits: [1000/h]", ", max_failures: 2"));
  std::atomic<int> odd{0};
  int good = 0;
  for (const std::string& bytes : nonsense) {
    auto talk = server.accept();
    talk->read_through("SCRIPT");
    talk->send_some(bytes);
    good += admitted(gateway, 2, &odd);
  }
  CHECK(good == 2 * static_cast<int>(nonsense.size()));
  CHECK(odd == 0);
}

TEST_CASE("store: redis without a redis is an error at its place") {
  TempFolder folder;
  std::string configuration = limited("127.0.0.1:1", "limits: [5/h]");
  configuration.erase(configuration.find("redis:"),
                      configuration.find("plugins:") - configuration.find("redis:"));
  const Ran checked = run({binary("penstock"), "check", "-c", folder.write("gateway.yaml", configuration)});
  CHECK(checked.exit_code == 1);
  CHECK((checked.out + checked.err).find("needs 'redis' at the top") != std::string::npos);
}
