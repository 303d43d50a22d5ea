// What a worker asks of Redis and what it makes of the answers, late ones and none among them.
#include <doctest/doctest.h>

#include <map>
#include <string>
#include <vector>

#include "store/redis_store.h"
#include "unit/store/fake_redis.h"

using namespace penstock;
using namespace penstock::store;
using Outcome = Answer::Outcome;

namespace {

constexpr uint64_t second = 1'000'000'000;
constexpr gcra::Window hourly{100, 3600 * second, 20};

struct Bench : net::LoopRunner {
  explicit Bench(RedisSettings more = {}) {
    more.host = more.host.empty() ? "127.0.0.1" : more.host;
    more.port = redis.port();
    if (more.timeout_ms == 5) more.timeout_ms = 5'000;  // nothing is late by itself
    store = std::make_unique<RedisStore>(
        more, RedisStore::Owner{this, &Bench::answered,
                                [this](bool, std::string_view line) { log.emplace_back(line); }});
    store->attach(0, loop);
  }
  ~Bench() {
    store->detach(0);
    turns(2);
  }
  static void answered(void* self, Token token, const Answer& answer) {
    auto& bench = *static_cast<Bench*>(self);
    bench.answers[token.slot] = answer.outcome;
    bench.order.push_back(token.slot);
    bench.states.assign(answer.states.begin(), answer.states.end());
    bench.value = answer.value;
    if (bench.when_answered) bench.when_answered();
  }
  Asked ask(uint64_t token, uint64_t cost = 1, std::string_view key = "k") {
    return store->gcra(loop, {token, 1}, "rate_limit:l", key, {&hourly, 1}, cost);
  }
  void up() {
    until([&] { return store->up(); });
  }
  FakeRedis redis{loop};
  std::unique_ptr<RedisStore> store;
  std::map<uint64_t, Outcome> answers;
  std::vector<uint64_t> order;
  std::vector<gcra::State> states;
  int64_t value = 0;
  std::vector<std::string> log;
  std::function<void()> when_answered;
};

}  // namespace

TEST_CASE("what is asked before the connection is there goes out with it, after who we are") {
  RedisSettings settings;
  settings.username = "gate";
  settings.password = "secret";
  settings.database = 7;
  Bench bench(settings);
  const gcra::Window windows[] = {hourly, {50, 1000 * second, (uint64_t{1} << 32) + 1}};
  CHECK(bench.store->gcra(bench.loop, {1, 1}, "rate_limit:l", "key", windows, 3) == Asked::yes);
  bench.until([&] { return bench.answers.contains(1); });
  CHECK(bench.answers[1] == Outcome::admitted);
  const auto& said = bench.redis.commands;
  REQUIRE(said.size() == 5);
  CHECK(said[0] == FakeRedis::Command{"AUTH", "gate", "secret"});
  CHECK(said[1] == FakeRedis::Command{"SELECT", "7"});
  CHECK(said[2][0] == "SCRIPT");
  CHECK(FakeRedis::verb_of(said[3]) == "here");
  FakeRedis::Command decision = said[4];
  CHECK(decision[1].size() == 40);
  decision[1] = "SHA";
  CHECK(decision == FakeRedis::Command{"EVALSHA", "SHA", "2", "penstock:rate_limit:l:key:100/3600000000",
                                       "penstock:rate_limit:l:key:quota1", "gcra",
                                       // 3 of 100 in 3600 s: 108 s; a burst of 20: 720 s
                                       "r", "108000000", "0", "720000000", "0", "100", "q", "3", "1000000000",
                                       "50", "43200000000", "0"});
  // At rest at 1 s, and 3 were taken of each.
  REQUIRE(bench.states.size() == 2);
  CHECK(bench.states[0].remaining == 17);
  CHECK(bench.states[0].reset == 108 * static_cast<int64_t>(second));
}

TEST_CASE("an answer says what is left and when it fits, also a refusal") {
  Bench bench;
  // 20 are used at 5 s: 720 s ahead.
  bench.redis.decisions.push_back("*4\r\n:0\r\n:5000000\r\n:725000000\r\n:0\r\n");
  bench.ask(1);
  bench.until([&] { return bench.answers.contains(1); });
  CHECK(bench.answers[1] == Outcome::refused);
  CHECK(bench.states[0].remaining == 0);
  CHECK(bench.states[0].retry_after == 36 * static_cast<int64_t>(second));
  CHECK(bench.store->add(bench.loop, {2, 1}, "x:y", "n", -1, 9, 1500) == Asked::yes);
  bench.until([&] { return bench.answers.contains(2); });
  CHECK(bench.answers[2] == Outcome::admitted);
  CHECK(bench.value == 5);
  FakeRedis::Command last = bench.redis.commands.back();
  last[1] = "SHA";
  CHECK(last == FakeRedis::Command{"EVALSHA", "SHA", "1", "penstock:x:y:n", "add", "-1", "9", "1500"});
}

TEST_CASE("a long key goes as its digest, and two of them are two") {
  Bench bench;
  bench.ask(1, 1, std::string(5000, 'a'));
  bench.ask(2, 1, std::string(5000, 'b'));
  bench.until([&] { return bench.answers.size() == 2; });
  const std::string one = bench.redis.commands.end()[-2][3], two = bench.redis.commands.back()[3];
  CHECK(one.size() < 150);
  CHECK(one != two);
}

TEST_CASE("hundreds of questions of one turn are answered each with its own, also to who asks again inside") {
  Bench bench;
  bench.up();
  constexpr uint64_t count = 700;
  uint64_t next = count;
  bench.when_answered = [&] {
    if (next < 2 * count) bench.ask(next++);
  };
  for (uint64_t i = 0; i < count; ++i) CHECK(bench.ask(i) == Asked::yes);
  bench.until([&] { return bench.order.size() == 2 * count; });
  for (uint64_t i = 0; i < 2 * count; ++i) REQUIRE(bench.order[i] == i);
}

TEST_CASE("over max_pending nothing is asked") {
  RedisSettings settings;
  settings.max_pending = 8;
  Bench bench(settings);
  bench.up();
  bench.redis.hold_decisions = true;
  int asked = 0;
  for (uint64_t i = 0; i < 20; ++i) asked += bench.ask(i) == Asked::yes;
  CHECK(asked == 8);
  CHECK(bench.store->full() == 12);
  bench.redis.release();
  bench.until([&] { return bench.answers.size() == 8; });
}

TEST_CASE("an answer that is late is told as late, at its time, and dropped when it comes") {
  RedisSettings settings;
  settings.timeout_ms = 60;
  settings.max_failures = 1000;
  Bench bench(settings);
  bench.up();
  bench.redis.hold_decisions = true;
  const uint64_t before = bench.loop.now_ns();
  bench.ask(1);
  bench.until([&] { return bench.answers.contains(1); });
  CHECK(bench.answers[1] == Outcome::timeout);
  CHECK(bench.loop.now_ns() - before >= 59'000'000);
  CHECK(bench.store->timeouts() == 1);
  bench.redis.decisions = {"*4\r\n:0\r\n:5000000\r\n:725000000\r\n:0\r\n"};  // of the first one
  bench.ask(2);
  bench.turns(2);
  bench.redis.release();
  bench.until([&] { return bench.answers.contains(2); });
  CHECK(bench.answers[2] == Outcome::admitted);
  CHECK(bench.order.size() == 2);
  CHECK(bench.store->up());
}

TEST_CASE("answers that all come, but late, are no proof of health") {
  RedisSettings settings;
  settings.timeout_ms = 40;
  settings.max_failures = 3;
  Bench bench(settings);
  bench.up();
  for (uint64_t i = 0; i < 3; ++i) {
    bench.redis.hold_decisions = true;
    CHECK(bench.ask(i) == Asked::yes);
    bench.until([&] { return bench.answers.contains(i); });
    if (i < 2) bench.redis.release();
    bench.turns(2);
  }
  bench.until([&] { return !bench.log.empty(); });  // it was away, if only until the next connection
  CHECK(bench.log[0].find("does not answer in time") != std::string::npos);
}

TEST_CASE("after max_failures it is away: nothing is asked until a probe is answered in time") {
  RedisSettings settings;
  settings.timeout_ms = 40;
  settings.max_failures = 3;
  Bench bench(settings);
  bench.up();
  bench.redis.hold_decisions = bench.redis.hold_heartbeats = true;
  for (uint64_t i = 0; i < 3; ++i) CHECK(bench.ask(i) == Asked::yes);
  bench.until([&] { return bench.answers.size() == 3; });
  bench.until([&] { return !bench.store->up(); });
  CHECK(bench.ask(9) == Asked::away);
  const size_t decisions = bench.redis.count("gcra");
  const size_t accepted = bench.redis.accepted;
  bench.until([&] { return bench.redis.accepted >= accepted + 2; });  // probes that are not answered
  CHECK_FALSE(bench.store->up());
  CHECK(bench.ask(9) == Asked::away);
  bench.redis.processes = 3;
  bench.redis.release();
  bench.up();
  CHECK(bench.redis.count("gcra") == decisions);
  CHECK(bench.store->processes() == 3);
  CHECK(bench.ask(10) == Asked::yes);
  bench.until([&] { return bench.answers.contains(10); });
  CHECK(bench.answers[10] == Outcome::admitted);
  REQUIRE(bench.log.size() == 2);
  CHECK(bench.log[0].find("is away") != std::string::npos);
  CHECK(bench.log[1].find("answers again") != std::string::npos);
}

TEST_CASE(
    "a lost script is loaded and the question asked once more; twice lost is an answer that makes no sense") {
  Bench bench;
  bench.up();
  bench.redis.lost_scripts = 1;
  bench.ask(1);
  bench.until([&] { return bench.answers.contains(1); });
  CHECK(bench.answers[1] == Outcome::admitted);
  CHECK(bench.redis.count("gcra") == 2);
  CHECK(bench.redis.count("SCRIPT") == 2);
  bench.redis.lost_scripts = 2;
  bench.ask(2);
  bench.until([&] { return bench.answers.contains(2); });
  CHECK(bench.answers[2] == Outcome::wrong);
  CHECK(bench.store->up());
}

TEST_CASE("a connection that ends: who waits is told, and it comes up again by itself") {
  Bench bench;
  bench.up();
  bench.redis.hold_decisions = true;
  bool asked_again = false;
  bench.when_answered = [&] { asked_again = bench.ask(99) != Asked::yes; };
  for (uint64_t i = 0; i < 5; ++i) bench.ask(i);
  bench.until([&] { return bench.redis.count("gcra") == 5; });
  bench.redis.close_all();
  bench.until([&] { return bench.answers.size() == 5; });
  for (const auto& [token, outcome] : bench.answers) CHECK(outcome == Outcome::away);
  CHECK(asked_again);  // and was told at once that it is away
  bench.when_answered = nullptr;
  bench.redis.hold_decisions = false;
  bench.up();
  CHECK(bench.ask(6) == Asked::yes);
  bench.until([&] { return bench.answers.contains(6); });
}

TEST_CASE("answers that make no sense: the question is told so, and too many of them end the connection") {
  for (const char* nonsense :
       {":1\r\n", "+OK\r\n", "-ERR x\r\n", "$-1\r\n", "*0\r\n", "*4\r\n:1\r\n:1\r\n:2\r\n:-1\r\n",
        "*4\r\n:2\r\n:1\r\n:1\r\n:0\r\n", "*4\r\n:1\r\n:1\r\n:0\r\n:0\r\n",
        "*4\r\n:1\r\n:1\r\n:9\r\n:100\r\n", "*4\r\n:1\r\n$1\r\nx\r\n:1\r\n:0\r\n",
        "*4\r\n:1\r\n*1\r\n:1\r\n:1\r\n:0\r\n"}) {
    CAPTURE(std::string(nonsense));
    RedisSettings settings;
    settings.max_failures = 2;
    Bench bench(settings);
    bench.up();
    bench.redis.decisions = {nonsense, nonsense};
    bench.ask(1);
    bench.until([&] { return bench.answers.contains(1); });
    CHECK(bench.answers[1] == Outcome::wrong);
    CHECK(bench.store->up());
    bench.ask(2);
    bench.until([&] { return !bench.store->up(); });
    CHECK(bench.answers[2] == Outcome::wrong);
    bench.up();
  }
}

TEST_CASE("it is found by its name, and attached as often as instances have it") {
  RedisSettings settings;
  settings.host = "localhost";
  Bench bench(settings);
  bench.store->attach(0, bench.loop);
  bench.up();
  bench.store->detach(0);
  CHECK(bench.ask(1) == Asked::yes);
  bench.until([&] { return bench.answers.contains(1); });
  net::Loop other;
  CHECK(bench.store->gcra(other, {2, 1}, "s", "k", {&hourly, 1}, 1) == Asked::away);
}

TEST_CASE("whoever waits when the last instance goes is told") {
  Bench bench;
  bench.up();
  bench.redis.hold_decisions = true;
  bench.ask(1);
  bench.store->attach(0, bench.loop);
  bench.store->detach(0);
  CHECK(bench.answers.empty());
  bench.store->detach(0);
  CHECK(bench.answers[1] == Outcome::away);
  CHECK(bench.ask(2) == Asked::away);
  bench.turns(2);
  bench.store->attach(0, bench.loop);  // for the destructor
}
