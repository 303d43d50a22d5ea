// When checks run, how many at once, and what becomes of them over changes of endpoints and configuration:
// over connections that a test makes succeed or fail.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "fakes.h"
#include "net/timer.h"
#include "upstream/health/health_checks.h"

using namespace penstock;
using namespace penstock::upstream;
using namespace penstock::upstream::fakes;
using AskedState = FakeConnector::Asked::State;

namespace {

// Endpoints whose only check is that a connection can be made.
ClusterSettings checked(const std::string& name, uint32_t interval_ms = 10) {
  ClusterSettings settings;
  settings.name = name;
  settings.health_check.emplace();
  settings.health_check->question.kind = CheckKind::tcp;
  settings.health_check->pace.interval_ms = interval_ms;
  settings.health_check->pace.timeout_ms = 60'000;
  return settings;
}

struct Checks {
  explicit Checks(uint32_t most = 500) {
    checks = std::make_unique<HealthChecks>(
        loop, 1, [this](const std::string& line) { lines.push_back(line); },
        [this](const CheckPlan&) { return std::make_unique<FakeConnector>(asked); });
    checks->set_most(most);
  }
  ~Checks() {
    checks.reset();
    turn(loop);
    CHECK(alive == 0);
  }

  // Runs the loop until the condition holds.
  template <class Condition>
  bool until(Condition holds, uint64_t at_most_ms = 10'000) {
    uint64_t end = loop.now_ms() + at_most_ms;
    net::Timer poll(loop, [](void* self) { static_cast<net::Loop*>(self)->stop(); }, &loop);
    while (!holds() && loop.now_ms() < end) {
      poll.start(1);
      loop.run();
    }
    return holds();
  }
  // The next check that waits for its connection.
  FakeConnector::Asked& next() {
    REQUIRE(until([&] { return open() > 0; }));
    for (auto& one : asked)
      if (one->state == AskedState::open) return *one;
    throw std::logic_error("none is open");
  }
  size_t open() const {
    size_t count = 0;
    for (const auto& one : asked) count += one->state == AskedState::open;
    return count;
  }
  void pass(FakeConnector::Asked& one) {
    one.state = AskedState::answered;
    one.done(one.who, std::make_unique<FakeConnection>(loop, *one.owner, alive));
  }
  void fail(FakeConnector::Asked& one, Limit limit = Limit::none) {
    one.state = AskedState::answered;
    one.done(one.who,
             std::unexpected(Error{
                 ErrorKind::refused, ErrorSource::upstream, Retry::yes, {}, "connection refused", limit}));
  }
  void fail_times(int times) {
    while (times-- > 0) fail(next());
  }
  uint64_t count(const std::string& upstream, CheckResult result) {
    return checks->counts().at(upstream)[static_cast<size_t>(result)];
  }

  net::Loop loop;
  std::vector<std::unique_ptr<FakeConnector::Asked>> asked;
  std::vector<std::string> lines;
  int alive = 0;
  std::unique_ptr<HealthChecks> checks;
};

}  // namespace

TEST_CASE("an endpoint goes out and comes back by its checks, each time with a line that says why") {
  Checks bench;
  EndpointInfo one = endpoint("127.0.0.1:80");
  bench.checks->apply({checked("u")});
  bench.checks->set_endpoints("u", {{one}});
  bench.fail_times(2);
  CHECK(one.state->health == Health::unknown);
  bench.fail_times(1);
  CHECK(one.state->health == Health::down);
  REQUIRE(bench.lines.size() == 1);
  CHECK(bench.lines[0] ==
        "upstream u: endpoint 127.0.0.1:80 is out after 3 failed checks: connection refused; 0 of 1 left");
  CHECK(bench.checks->known("u", "127.0.0.1:80").last.result == CheckResult::refused);
  bench.fail_times(2);
  bench.pass(bench.next());
  CHECK(one.state->health == Health::down);
  bench.pass(bench.next());
  CHECK(one.state->health == Health::up);
  REQUIRE(bench.lines.size() == 2);
  CHECK(bench.lines[1] == "upstream u: endpoint 127.0.0.1:80 is back after 2 passed checks; 1 of 1 left");
  CHECK(bench.count("u", CheckResult::refused) == 5);
  CHECK(bench.count("u", CheckResult::passed) == 2);
}

TEST_CASE("checks that find no descriptor count neither way") {
  Checks bench;
  EndpointInfo one = endpoint("127.0.0.1:80");
  bench.checks->apply({checked("u")});
  bench.checks->set_endpoints("u", {{one}});
  for (int i = 0; i < 10; ++i) bench.fail(bench.next(), Limit::descriptors);
  CHECK(one.state->health == Health::unknown);
  CHECK(bench.count("u", CheckResult::skipped) == 10);
}

TEST_CASE("a passed check ends a rest, and leaves the failures counted") {
  Checks bench;
  EndpointInfo one = endpoint("127.0.0.1:80");
  bench.checks->apply({checked("u")});
  bench.checks->set_endpoints("u", {{one}});
  one.state->resting_until_ms = UINT64_MAX;
  one.state->consecutive_failures = 5;
  bench.fail(bench.next());
  CHECK(one.state->resting_until_ms == UINT64_MAX);
  bench.pass(bench.next());
  CHECK(one.state->resting_until_ms == 0);
  CHECK(one.state->consecutive_failures == 5);
}

TEST_CASE("no more checks than may be are under way, and all get their turn") {
  Checks bench(3);
  std::vector<EndpointInfo> all;
  for (int i = 0; i < 100; ++i) all.push_back(endpoint("127.0.0.1:" + std::to_string(1'000 + i)));
  bench.checks->apply({checked("u", 1'000)});
  bench.checks->set_endpoints("u", {all});
  REQUIRE(bench.until([&] { return bench.checks->waiting() == 97; }));
  CHECK(bench.open() == 3);
  CHECK(bench.checks->running() == 3);
  CHECK(bench.checks->limits().of(Limit::health_checks) == 97);
  std::map<std::string, int> seen;
  for (int i = 0; i < 100; ++i) {
    FakeConnector::Asked& one = bench.next();
    CHECK(bench.open() <= 3);
    ++seen[one.to.to_string()];
    bench.pass(one);
  }
  CHECK(seen.size() == 100);
  // More places: as many more begin.
  REQUIRE(bench.until([&] { return bench.checks->waiting() > 20; }));
  bench.checks->set_most(10);
  CHECK(bench.until([&] { return bench.open() == 10; }));
}

TEST_CASE("upstreams take turns when their checks wait for a place") {
  Checks bench(2);
  std::vector<EndpointInfo> many;
  for (int i = 0; i < 200; ++i) many.push_back(endpoint("127.0.0.1:" + std::to_string(1'000 + i)));
  bench.checks->apply({checked("many", 1'000), checked("few", 1'000), checked("other", 1'000)});
  bench.checks->set_endpoints("many", {many});
  // All of them wait before the others are known.
  REQUIRE(bench.until([&] { return bench.checks->waiting() == 198; }));
  bench.checks->set_endpoints("few", {{endpoint("127.0.0.2:80"), endpoint("127.0.0.2:81")}});
  bench.checks->set_endpoints("other", {{endpoint("127.0.0.3:80")}});
  REQUIRE(bench.until([&] { return bench.checks->waiting() == 201; }));
  std::string order;
  for (int i = 0; i < 12; ++i) {
    const std::string to = bench.next().to.to_string();
    order += to.starts_with("127.0.0.1:") ? 'm' : to.starts_with("127.0.0.2:") ? 'f' : 'o';
    bench.fail(bench.next());
  }
  // Two were under way; behind them one of each in turn, whoever began to wait first.
  CHECK(order.substr(0, 2) == "mm");
  CHECK(order.find('o') < 6);
  CHECK(order.rfind('f') < 8);
  CHECK(std::ranges::count(order, 'f') == 2);
  CHECK(std::ranges::count(order, 'o') == 1);
}

TEST_CASE("an upstream whose waiting checks left holds up nobody's turn") {
  Checks bench(1);
  std::vector<EndpointInfo> many;
  for (int i = 0; i < 20; ++i) many.push_back(endpoint("127.0.0.1:" + std::to_string(1'000 + i)));
  bench.checks->apply({checked("u", 1'000), checked("v", 1'000)});
  bench.checks->set_endpoints("u", {many});
  REQUIRE(bench.until([&] { return bench.checks->waiting() == 19; }));
  bench.checks->set_endpoints("v", {{endpoint("127.0.0.2:80"), endpoint("127.0.0.2:81")}});
  REQUIRE(bench.until([&] { return bench.checks->waiting() == 21; }));
  bench.checks->set_endpoints("u", {});  // it stays, without endpoints
  CHECK(bench.checks->waiting() == 2);
  turn(bench.loop);  // what was under way is given up
  for (int i = 0; i < 2; ++i) {
    CHECK(bench.next().to.to_string().starts_with("127.0.0.2:"));
    bench.pass(bench.next());
  }
  CHECK(bench.checks->waiting() == 0);
  bench.checks->set_endpoints("u", {{many[0]}});
  CHECK(bench.until([&] { return bench.open() == 1; }));
}

TEST_CASE("the place of a check that leaves while it is under way goes to one that waits") {
  for (const bool whole_upstream : {false, true}) {
    CAPTURE(whole_upstream);
    Checks bench(1);
    EndpointInfo one = endpoint("127.0.0.1:80"), other = endpoint("127.0.0.1:81");
    bench.checks->apply({checked("u"), checked("v")});
    bench.checks->set_endpoints("u", {{one}});
    bench.next();
    bench.checks->set_endpoints("v", {{other}});
    REQUIRE(bench.until([&] { return bench.checks->waiting() == 1; }));
    if (whole_upstream)
      bench.checks->apply({checked("v")});
    else
      bench.checks->set_endpoints("u", {});
    REQUIRE(bench.until([&] { return bench.asked.size() == 2; }, 1'000));
    CHECK(bench.asked[1]->to == address("127.0.0.1:81"));
  }
}

TEST_CASE("checks of one interval do not go in step") {
  Checks bench;
  std::vector<EndpointInfo> all;
  for (int i = 0; i < 50; ++i) all.push_back(endpoint("127.0.0.1:" + std::to_string(1'000 + i)));
  bench.checks->apply({checked("u", 500)});
  bench.checks->set_endpoints("u", {all});
  std::map<uint64_t, int> begun;  // by tick of the timers
  size_t seen = 0;
  bench.until([&] {
    for (; seen < bench.asked.size(); ++seen) ++begun[bench.loop.now_ms() / 10];
    return seen == 50;
  });
  CHECK(seen == 50);
  CHECK(begun.size() > 15);
}

TEST_CASE("endpoints that stay keep what is known of them, those that leave take it along") {
  Checks bench;
  EndpointInfo stays = endpoint("127.0.0.1:80"), leaves = endpoint("127.0.0.1:81");
  bench.checks->apply({checked("u")});
  bench.checks->set_endpoints("u", {{stays, leaves}});
  while (stays.state->health != Health::down || leaves.state->health != Health::down)
    bench.fail(bench.next());
  CHECK(bench.lines.back().ends_with("0 of 2 left"));
  bench.next();  // under way when it leaves
  stays.weight = 7;
  EndpointInfo comes = endpoint("127.0.0.1:82");
  bench.checks->set_endpoints("u", {{comes, stays}});
  CHECK(stays.state->health == Health::down);
  CHECK(leaves.state->health == Health::unknown);
  CHECK(comes.state->health == Health::unknown);
  bench.until([&] { return bench.checks->running() == 2; });
  CHECK(bench.checks->running() == 2);
  CHECK(bench.open() == 2);  // that of the one that left was given up
  bench.checks->set_endpoints("u", {});
  CHECK(bench.checks->running() == 0);
}

TEST_CASE("a reload keeps a check that asks the same, with its new pace; another one begins anew") {
  Checks bench;
  EndpointInfo one = endpoint("127.0.0.1:80");
  ClusterSettings settings = checked("u");
  auto reload = [&] {
    bench.checks->apply({settings});
    bench.checks->set_endpoints("u", {{one}});
  };
  reload();
  bench.fail_times(3);
  CHECK(one.state->health == Health::down);

  settings.health_check->pace.healthy = 1;
  settings.balance = BalancePolicy::random;
  bench.next();
  reload();
  CHECK(one.state->health == Health::down);
  CHECK(bench.open() == 1);  // the one that was under way goes on
  bench.pass(bench.next());
  CHECK(one.state->health == Health::up);  // by the new threshold

  bench.fail_times(3);
  CHECK(one.state->health == Health::down);
  bench.next();
  settings.health_check->question.port = 8080;
  reload();
  CHECK(one.state->health == Health::unknown);
  CHECK(bench.checks->running() == 0);
  turn(bench.loop);  // what was under way is given up
  CHECK(bench.next().to.to_string() == "127.0.0.1:8080");
  bench.fail_times(2);
  CHECK(one.state->health == Health::unknown);
  bench.fail_times(1);
  CHECK(one.state->health == Health::down);

  settings.health_check.reset();
  reload();
  CHECK(one.state->health == Health::unknown);
  CHECK(bench.checks->counts().empty());
  CHECK(bench.checks->running() == 0);
}

TEST_CASE("a check that is under way within other limits than a reload's says nothing of these") {
  for (const bool by_size : {false, true}) {
    CAPTURE(by_size);
    Checks bench;
    EndpointInfo one = endpoint("127.0.0.1:80");
    ClusterSettings settings = checked("u", 60'000);
    auto reload = [&] {
      bench.checks->apply({settings});
      bench.checks->set_endpoints("u", {{one}});
    };
    settings.health_check->pace.unhealthy = 1;
    reload();
    bench.next();
    if (by_size)
      settings.http.header_size = 1'000'000;
    else
      settings.health_check->pace.timeout_ms = 120'000;
    reload();
    CHECK(bench.checks->running() == 0);
    turn(bench.loop);  // what was under way is given up
    CHECK(bench.open() == 0);
    CHECK(one.state->health == Health::unknown);
    // It is asked again at once, not when the interval is over, and that counts.
    bench.fail(bench.next());
    CHECK(one.state->health == Health::down);
    CHECK(bench.count("u", CheckResult::refused) == 1);
    // The same limits again: what is known stays, and nothing is asked before its time.
    reload();
    CHECK(one.state->health == Health::down);
    CHECK(bench.checks->running() == 0);
    CHECK(bench.checks->waiting() == 0);
  }
}

TEST_CASE("a shorter interval does not wait for the end of the longer one") {
  Checks bench;
  EndpointInfo one = endpoint("127.0.0.1:80");
  ClusterSettings settings = checked("u", 3'600'000);
  bench.checks->apply({settings});
  bench.checks->set_endpoints("u", {{one}});
  bench.pass(bench.next());
  settings.health_check->pace.interval_ms = 20;
  bench.checks->apply({settings});
  bench.checks->set_endpoints("u", {{one}});
  bench.pass(bench.next());
  CHECK(bench.count("u", CheckResult::passed) == 2);
}

TEST_CASE("the addresses of one endpoint are tried in turn, and one that takes the connection is enough") {
  Checks bench;
  EndpointInfo one = endpoint("users.internal:80", {"127.0.0.1:80", "127.0.0.2:80"});
  ClusterSettings settings = checked("u");
  bench.checks->apply({settings});
  bench.checks->set_endpoints("u", {{one}});
  CHECK(bench.next().to.to_string() == "127.0.0.1:80");
  bench.fail(bench.next());
  CHECK(bench.count("u", CheckResult::refused) == 0);
  CHECK(bench.next().to.to_string() == "127.0.0.2:80");
  bench.pass(bench.next());
  CHECK(bench.count("u", CheckResult::passed) == 1);
  bench.fail_times(2);
  CHECK(bench.count("u", CheckResult::refused) == 1);
  // One that does not answer leaves time for the other.
  settings.health_check->pace.timeout_ms = 400;
  bench.checks->apply({settings});
  bench.checks->set_endpoints("u", {{one}});
  bench.fail_times(2);
  FakeConnector::Asked& silent = bench.next();
  REQUIRE(bench.until([&] { return silent.state == AskedState::cancelled; }));
  CHECK(bench.next().to.to_string() == "127.0.0.2:80");
  REQUIRE(bench.until([&] { return bench.count("u", CheckResult::timeout) == 1; }));
}

TEST_CASE("a name without an address is not asked, until it has one") {
  Checks bench;
  EndpointInfo one = endpoint("users.internal:80", {"127.0.0.1:80"});
  EndpointInfo unresolved = one;
  unresolved.addresses.clear();
  bench.checks->apply({checked("u")});
  bench.checks->set_endpoints("u", {{unresolved}});
  bench.until([] { return false; }, 50);
  CHECK(bench.asked.empty());
  bench.checks->set_endpoints("u", {{one}});
  bench.pass(bench.next());
  CHECK(one.state->health == Health::up);
}

TEST_CASE("thousands of endpoints that go down at once are told of in part") {
  Checks bench(10'000);
  std::vector<EndpointInfo> all;
  for (int i = 0; i < 1'000; ++i) all.push_back(endpoint("127.0.0.1:" + std::to_string(1'000 + i)));
  ClusterSettings settings = checked("u", 500);
  settings.health_check->pace.unhealthy = 1;
  bench.checks->apply({settings});
  bench.checks->set_endpoints("u", {all});
  bench.until([&] { return bench.asked.size() == 1'000; });
  for (size_t i = 0; i < 1'000; ++i) bench.fail(*bench.asked[i]);
  for (const EndpointInfo& one : all) CHECK(one.state->health == Health::down);
  CHECK(bench.lines.size() <= 40);  // two seconds may have been touched
  CHECK(bench.lines.size() >= 20);
}
