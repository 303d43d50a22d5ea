#include <doctest/doctest.h>

#include "base/reason.h"
#include "fakes.h"
#include "net/timer.h"

using namespace penstock;
using namespace penstock::upstream;
using namespace penstock::upstream::fakes;
using State = FakeConnector::Asked::State;

namespace {

// Runs the loop until the condition holds; a test that never gets there ends by this and fails.
template <class Condition>
bool run_until(net::Loop& loop, Condition holds, uint64_t at_most_ms = 3'000) {
  uint64_t end = loop.now_ms() + at_most_ms;
  struct Poll {
    net::Loop& loop;
    net::Timer timer{loop, [](void* self) { static_cast<Poll*>(self)->loop.stop(); }, this};
  } poll{loop};
  while (!holds() && loop.now_ms() < end) {
    poll.timer.start(1);
    loop.run();
  }
  return holds();
}

uint32_t active(const EndpointInfo& info) { return info.state->active.sum(); }

}  // namespace

TEST_CASE("an idle connection is lent at once, the last used one first") {
  Bench bench;
  bench.cluster->set_endpoints(set_of({endpoint("127.0.0.1:80")}));
  Taker a, b;
  CHECK(bench.acquire(a) == nullptr);
  CHECK(bench.acquire(b) == nullptr);
  FakeConnection& first = bench.connected(0);
  FakeConnection& second = bench.connected(1);
  REQUIRE(a.stream != nullptr);
  REQUIRE(b.stream != nullptr);
  bench.done(a);
  bench.done(b);
  CHECK(bench.cluster->idle_connections() == 2);
  CHECK(bench.acquire(a) != nullptr);
  CHECK(&a.connection() == &second);
  CHECK(bench.acquire(b) != nullptr);
  CHECK(&b.connection() == &first);
  CHECK(bench.asked.size() == 2);
  bench.done(a);
  bench.done(b);
}

TEST_CASE("waiters are served in the order in which they came") {
  Bench bench;
  bench.cluster->set_endpoints(set_of({endpoint("127.0.0.1:80")}));
  std::string log;
  Taker a("a", &log), b("b", &log), c("c", &log);
  for (Taker* taker : {&a, &b, &c}) CHECK(bench.acquire(*taker) == nullptr);
  bench.connected(2);  // not the one that was started for a
  CHECK(log == "a");
  bench.done(a);  // the connection that became free goes to the next
  CHECK(log == "ab");
  bench.connected(0);
  CHECK(log == "abc");
  bench.done(b);
  bench.done(c);
  bench.connected(1);  // nobody waits any more
  CHECK(bench.cluster->idle_connections() == 3);
}

TEST_CASE("a connect that nobody waits for any more is used by the next attempt") {
  Bench bench;
  bench.cluster->set_endpoints(set_of({endpoint("127.0.0.1:80")}));
  Taker a, b;
  bench.acquire(a);
  bench.acquire(b);
  bench.connected(1);
  bench.done(a);  // serves b
  bench.done(b);
  bench.acquire(a);
  Taker c;
  CHECK(bench.acquire(c) == nullptr);
  CHECK(bench.asked.size() == 2);  // the first connect is still under way
  bench.connected(0);
  CHECK(c.stream != nullptr);
  bench.done(a);
  bench.done(c);
}

TEST_CASE("a backend that closes an idle connection is noticed") {
  Bench bench;
  bench.cluster->set_endpoints(set_of({endpoint("127.0.0.1:80")}));
  Taker a;
  bench.acquire(a);
  FakeConnection& connection = bench.connected(0);
  bench.done(a);
  connection.finish();
  CHECK(bench.cluster->open_connections() == 0);
  CHECK(bench.alive == 1);  // not deleted inside its own callback
  turn(bench.loop);
  CHECK(bench.alive == 0);
  CHECK(bench.acquire(a) == nullptr);
  CHECK(bench.asked.size() == 2);
}

TEST_CASE("an idle connection that takes no stream is replaced by another") {
  Bench bench;
  bench.cluster->set_endpoints(set_of({endpoint("127.0.0.1:80")}));
  Taker a, b;
  bench.acquire(a);
  bench.acquire(b);
  bench.connected(0);
  FakeConnection& last = bench.connected(1);
  bench.done(a);
  bench.done(b);
  last.broken = true;
  CHECK(bench.acquire(a) != nullptr);
  CHECK(&a.connection() != &last);
  CHECK(last.closed);
  bench.done(a);
}

TEST_CASE("a destroyed attempt cancels and its connection serves the next") {
  Bench bench;
  EndpointInfo info = endpoint("127.0.0.1:80");
  bench.cluster->set_endpoints(set_of({info}));
  {
    Taker gone;
    bench.acquire(gone);
    CHECK(active(info) == 1);
  }
  CHECK(active(info) == 0);
  CHECK(bench.cluster->attempts() == 0);
  bench.connected(0);
  Taker a;
  CHECK(bench.acquire(a) != nullptr);
  CHECK(bench.asked.size() == 1);
  bench.done(a);
}

TEST_CASE("finish of a pending attempt cancels it") {
  Bench bench;
  EndpointInfo info = endpoint("127.0.0.1:80");
  bench.cluster->set_endpoints(set_of({info}));
  Taker a;
  bench.acquire(a);
  CHECK(a.pending());
  bench.cluster->finish(a, Outcome::neutral);
  CHECK(!a.pending());
  CHECK(a.endpoint() == nullptr);
  CHECK(active(info) == 0);
  bench.refused(0);
  CHECK(a.failures.empty());
}

TEST_CASE("a failed connect fails the oldest waiter and counts once") {
  Bench bench;
  EndpointInfo info = endpoint("127.0.0.1:80");
  bench.cluster->set_endpoints(set_of({info}));
  std::string log;
  Taker a("a", &log), b("b", &log);
  bench.acquire(a);
  bench.acquire(b);
  bench.refused(1);
  CHECK(log == "!a");
  CHECK(a.failures.at(0).source == ErrorSource::upstream);
  CHECK(a.failures.at(0).retry == Retry::yes);
  CHECK(a.failures.at(0).reason == reason::upstream_connect_refused);
  CHECK(a.endpoint() != nullptr);
  bench.cluster->finish(a, Outcome::failure);
  CHECK(info.state->consecutive_failures == 1);
  bench.refused(0, ErrorKind::timeout);
  CHECK(log == "!a!b");
  CHECK(b.failures.at(0).reason == reason::upstream_connect_timeout);
  bench.cluster->finish(b, Outcome::failure);
  CHECK(info.state->consecutive_failures == 2);
  CHECK(active(info) == 0);
}

TEST_CASE("a failed connect fails nobody while there are connects for all who wait") {
  Bench bench;
  EndpointInfo info = endpoint("127.0.0.1:80");
  bench.cluster->set_endpoints(set_of({info}));
  Taker stays;
  {
    Taker leaves;
    bench.acquire(leaves);
    bench.acquire(stays);
  }
  bench.refused(0);
  CHECK(stays.failures.empty());
  CHECK(info.state->consecutive_failures == 1);
  bench.connected(1);
  CHECK(stays.stream != nullptr);
  bench.done(stays);
}

TEST_CASE("the other addresses of a name are tried before an attempt fails") {
  Bench bench;
  EndpointInfo info = endpoint("users.internal:80", {"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"});
  bench.cluster->set_endpoints(set_of({info}));
  Taker a;
  bench.acquire(a, 900);
  REQUIRE(bench.asked.size() == 1);
  CHECK(bench.asked[0]->timeout_ms == 300);  // a silent one leaves time for the others
  bench.refused(0);
  REQUIRE(bench.asked.size() == 2);
  CHECK(bench.asked[1]->to == address("10.0.0.2:80"));
  bench.connected(1);
  CHECK(a.stream != nullptr);
  CHECK(info.state->consecutive_failures == 0);
  Taker b;
  bench.acquire(b, 900);
  CHECK(bench.asked.at(2)->to == address("10.0.0.2:80"));  // what worked goes first
  bench.refused(2);
  bench.refused(3);
  CHECK(b.failures.empty());
  CHECK(bench.asked.at(4)->to == address("10.0.0.1:80"));
  bench.refused(4);
  CHECK(b.failures.size() == 1);
  CHECK(info.state->consecutive_failures == 1);
  bench.cluster->finish(b, Outcome::neutral);
  bench.done(a);
}

TEST_CASE("five failures in a row rest an endpoint, and one more after the rest") {
  Bench bench({.rest_ms = 40});
  EndpointInfo bad = endpoint("127.0.0.1:81"), good = endpoint("127.0.0.1:82");
  bench.cluster->set_endpoints(set_of({bad}));
  Endpoint* bad_endpoint = &bench.only();
  bench.cluster->set_endpoints(set_of({bad, good}));
  auto fail = [&] {
    Taker a;
    CHECK(bench.cluster->acquire(a, *bad_endpoint, 1'000) == nullptr);
    bench.refused(bench.asked.size() - 1);
    bench.cluster->finish(a, Outcome::failure);
  };
  auto picked = [&] {
    size_t times = 0;
    for (int i = 0; i < 100; ++i) times += bench.cluster->pick({}) == bad_endpoint;
    return times;
  };
  for (int i = 0; i < 4; ++i) fail();
  CHECK(picked() > 0);
  fail();
  CHECK(picked() == 0);
  Tried tried;
  for (int i = 0; i < 100; ++i)
    if (Endpoint* other = bench.cluster->pick({}); other != bad_endpoint && !tried.has(other))
      tried.add(other);
  CHECK(bench.cluster->pick(tried) == bad_endpoint);  // trying beats refusing
  tried.add(bad_endpoint);
  CHECK(bench.cluster->pick(tried) == nullptr);
  CHECK(run_until(bench.loop, [&] { return picked() > 0; }));
  fail();
  CHECK(picked() == 0);
}

TEST_CASE("a success ends the row of failures, a neutral outcome does not") {
  Bench bench;
  EndpointInfo info = endpoint("127.0.0.1:80");
  bench.cluster->set_endpoints(set_of({info}));
  Taker a;
  auto once = [&](Outcome outcome) {
    bench.acquire(a);
    if (!a.stream) bench.connected(bench.asked.size() - 1);
    bench.done(a, outcome);
  };
  for (int i = 0; i < 4; ++i) once(Outcome::failure);
  once(Outcome::neutral);
  CHECK(info.state->consecutive_failures == 4);
  once(Outcome::success);
  CHECK(info.state->consecutive_failures == 0);
  for (int i = 0; i < 5; ++i) once(Outcome::failure);
  CHECK(info.state->resting_until_ms > bench.loop.now_ms());
  once(Outcome::success);  // tried, since there is no other
  CHECK(info.state->resting_until_ms == 0);
}

TEST_CASE("no more connections are kept idle than this worker's share") {
  EndpointInfo info = endpoint("127.0.0.1:80");
  auto kept = [&](uint32_t max_idle, uint32_t worker, uint32_t workers) {
    Bench bench({.max_idle = max_idle}, worker, workers);
    bench.cluster->set_endpoints(set_of({info}));
    Taker takers[8];
    for (Taker& taker : takers) bench.acquire(taker);
    for (size_t i = 0; i < 8; ++i) bench.connected(i);
    for (Taker& taker : takers) bench.done(taker);
    turn(bench.loop);
    CHECK(bench.alive == static_cast<int>(bench.cluster->idle_connections()));
    return bench.cluster->idle_connections();
  };
  CHECK(kept(64, 0, 1) == 8);
  CHECK(kept(5, 0, 1) == 5);
  CHECK(kept(10, 0, 4) + kept(10, 1, 4) + kept(10, 2, 4) + kept(10, 3, 4) == 10);
  CHECK(kept(2, 3, 4) == 1);
  CHECK(kept(0, 0, 1) == 0);
}

TEST_CASE("who wants a fresh connection gets none that lay idle or served others, and holds up nobody") {
  Bench bench;
  bench.cluster->set_endpoints(set_of({endpoint("127.0.0.1:80")}));
  Taker old, other, fresh, second, waiter;
  bench.acquire(old);
  bench.acquire(other);
  bench.connected(0);
  FakeConnection& served = bench.connected(1);
  bench.done(old);
  fresh.want_fresh(true);
  CHECK(bench.acquire(fresh) == nullptr);   // beside an idle one
  CHECK(bench.acquire(second) != nullptr);  // which serves the next
  CHECK(bench.acquire(waiter) == nullptr);
  bench.done(other);  // it serves the waiter behind
  REQUIRE(waiter.stream != nullptr);
  CHECK(&waiter.connection() == &served);
  CHECK(fresh.stream == nullptr);
  FakeConnection& made = bench.connected(2);
  REQUIRE(fresh.stream != nullptr);
  CHECK(&fresh.connection() == &made);
  bench.done(fresh);
  bench.done(second);
  bench.done(waiter);
}

TEST_CASE("who asks for it gets no idle connection on which something waits") {
  Bench bench;
  bench.cluster->set_endpoints(set_of({endpoint("127.0.0.1:80")}));
  Taker a, b;
  bench.acquire(a);
  bench.acquire(b);
  FakeConnection& good = bench.connected(0);
  FakeConnection& noisy = bench.connected(1);
  bench.done(a);
  bench.done(b);
  noisy.noisy = true;
  b.ask_connection(true);
  CHECK(bench.acquire(b) != nullptr);
  CHECK(&b.connection() == &good);
  CHECK(bench.cluster->open_connections() == 1);
  bench.done(b);
}

TEST_CASE("where one idle connection was stale, those that are idle as long go too") {
  Bench bench;
  bench.cluster->set_endpoints(set_of({endpoint("127.0.0.1:80")}));
  Taker takers[4];
  for (Taker& taker : takers) bench.acquire(taker);
  for (size_t i = 0; i < 4; ++i) bench.connected(i);
  for (size_t i = 0; i < 3; ++i) bench.done(takers[i]);
  CHECK(bench.acquire(takers[0]) != nullptr);
  uint64_t lent = bench.loop.now_ms();
  CHECK(run_until(bench.loop, [&] { return bench.loop.now_ms() > lent; }));
  bench.done(takers[3]);  // it has served somebody since
  CHECK(bench.cluster->idle_connections() == 3);
  bench.done(takers[0], Outcome::stale);
  CHECK(bench.cluster->idle_connections() == 2);  // that one and, by this fake, the stale one itself
}

TEST_CASE("new settings apply to the connections that are there") {
  Bench bench;
  bench.cluster->set_endpoints(set_of({endpoint("127.0.0.1:80")}));
  Taker takers[4];
  for (Taker& taker : takers) bench.acquire(taker);
  for (size_t i = 0; i < 4; ++i) bench.connected(i);
  for (Taker& taker : takers) bench.done(taker);
  CHECK(bench.cluster->idle_connections() == 4);
  bench.cluster->set_settings({.name = "test", .max_idle = 2, .idle_timeout_ms = 20});
  CHECK(bench.cluster->idle_connections() == 2);
  CHECK(run_until(bench.loop, [&] { return bench.cluster->idle_connections() == 0; }));
}

TEST_CASE("a connection that is idle for too long is closed, one in use is not") {
  Bench bench({.idle_timeout_ms = 60});
  bench.cluster->set_endpoints(set_of({endpoint("127.0.0.1:80")}));
  Taker a, b;
  bench.acquire(a);
  bench.acquire(b);
  FakeConnection& used = bench.connected(0);
  bench.connected(1);
  bench.done(b);
  uint64_t start = bench.loop.now_ms();
  CHECK(run_until(bench.loop, [&] { return bench.cluster->idle_connections() == 0; }));
  CHECK(bench.loop.now_ms() - start >= 60);
  CHECK(bench.cluster->open_connections() == 1);
  CHECK(&a.connection() == &used);
  bench.done(a);
  start = bench.loop.now_ms();
  CHECK(bench.cluster->idle_connections() == 1);
  CHECK(run_until(bench.loop, [&] { return bench.cluster->idle_connections() == 0; }));
  CHECK(bench.loop.now_ms() - start >= 60);
  turn(bench.loop);
  CHECK(bench.alive == 0);
}

TEST_CASE("an endpoint that leaves the set finishes what is under way and closes its connections") {
  Bench bench;
  EndpointInfo stays = endpoint("127.0.0.1:81"), leaves = endpoint("127.0.0.1:82");
  bench.cluster->set_endpoints(set_of({leaves}));
  Taker a, idle, waiting;
  bench.acquire(a);
  bench.acquire(idle);
  bench.connected(0);
  bench.connected(1);
  bench.done(idle);
  CHECK(bench.acquire(waiting) != nullptr);
  Taker late;
  CHECK(bench.acquire(late) == nullptr);

  bench.cluster->set_endpoints(set_of({stays}));
  CHECK(name_of(bench.only()) == "127.0.0.1:81");
  bench.connected(2);  // made for who waited before
  CHECK(late.stream != nullptr);
  CHECK(bench.cluster->open_connections() == 3);
  CHECK(name_of(*a.endpoint()) == "127.0.0.1:82");
  for (Taker* taker : {&a, &waiting, &late}) bench.done(*taker);
  turn(bench.loop);
  CHECK(bench.cluster->open_connections() == 0);
  CHECK(bench.alive == 0);
  CHECK(active(leaves) == 0);
  CHECK(leaves.state.use_count() == 1);  // the endpoint itself is gone
}

TEST_CASE("an endpoint that stays in the set keeps its connections") {
  Bench bench;
  EndpointInfo stays = endpoint("127.0.0.1:81");
  bench.cluster->set_endpoints(set_of({stays}));
  Taker a;
  bench.acquire(a);
  bench.connected(0);
  bench.done(a);
  stays.weight = 5;
  bench.cluster->set_endpoints(set_of({stays}));
  CHECK(bench.acquire(a) != nullptr);
  bench.done(a);
}

TEST_CASE("connections to an address that the name no longer has are not used again") {
  Bench bench;
  EndpointInfo info = endpoint("users.internal:80", {"10.0.0.1:80"});
  bench.cluster->set_endpoints(set_of({info}));
  Taker a, b;
  bench.acquire(a);
  bench.acquire(b);
  bench.connected(0);
  bench.connected(1);
  bench.done(b);
  info.addresses = {address("10.0.0.2:80")};
  bench.cluster->set_endpoints(set_of({info}));
  CHECK(bench.cluster->idle_connections() == 0);
  CHECK(bench.cluster->open_connections() == 1);
  bench.done(a);
  CHECK(bench.cluster->open_connections() == 0);
  CHECK(bench.acquire(a) == nullptr);
  CHECK(bench.asked.back()->to == address("10.0.0.2:80"));
}

TEST_CASE("an attempt does not wait longer than its own connect timeout") {
  Bench bench;
  bench.cluster->set_endpoints(set_of({endpoint("127.0.0.1:80")}));
  Taker patient, hasty;
  bench.acquire(patient, 60'000);
  bench.acquire(hasty, 30);
  uint64_t start = bench.loop.now_ms();
  CHECK(run_until(bench.loop, [&] { return !hasty.failures.empty(); }));
  CHECK(bench.loop.now_ms() - start >= 30);
  CHECK(hasty.failures.at(0).kind == ErrorKind::timeout);
  CHECK(patient.pending());
  bench.cluster->finish(hasty, Outcome::failure);
}

TEST_CASE("a name without an address fails later with its own reason and is picked only as the first") {
  Bench bench;
  EndpointInfo info = endpoint("users.internal:80", {"10.0.0.1:80"});
  info.addresses.clear();
  bench.cluster->set_endpoints(set_of({info}));
  Taker a;
  CHECK(bench.acquire(a) == nullptr);
  CHECK(a.failures.empty());
  CHECK(run_until(bench.loop, [&] { return !a.failures.empty(); }));
  CHECK(a.failures.at(0).reason == reason::upstream_unresolved);
  bench.cluster->finish(a, Outcome::failure);
  CHECK(info.state->consecutive_failures == 0);

  EndpointInfo known = endpoint("127.0.0.1:80");
  bench.cluster->set_endpoints(set_of({info, known}));
  Tried tried;
  for (int i = 0; i < 50; ++i) CHECK(name_of(*bench.cluster->pick(tried)) == "127.0.0.1:80");
  tried.add(bench.cluster->pick(tried));
  CHECK(bench.cluster->pick(tried) == nullptr);
}

TEST_CASE("attempts that give their stream back at once do not pile up on the stack") {
  Bench bench;
  bench.cluster->set_endpoints(set_of({endpoint("127.0.0.1:80")}));
  std::vector<std::unique_ptr<Taker>> takers;
  int depth = 0, deepest = 0, served = 0;
  for (int i = 0; i < 1'000; ++i) {
    takers.push_back(std::make_unique<Taker>());
    takers.back()->then = [&](Taker& taker) {
      deepest = std::max(deepest, ++depth);
      ++served;
      bench.done(taker);
      --depth;
    };
    bench.acquire(*takers.back());
  }
  bench.connected(0);
  CHECK(served == 1'000);
  CHECK(deepest == 1);
}

TEST_CASE("an attempt may go to another endpoint inside its failure") {
  Bench bench({.balance = BalancePolicy::round_robin});
  EndpointInfo one = endpoint("127.0.0.1:81"), two = endpoint("127.0.0.1:82");
  bench.cluster->set_endpoints(set_of({one, two}));
  Taker a;
  Tried tried;
  a.then = [&](Taker& taker) {
    if (taker.failures.empty()) return;
    tried.add(taker.endpoint());
    bench.cluster->finish(taker, Outcome::failure);
    if (Endpoint* next = bench.cluster->pick(tried)) bench.cluster->acquire(taker, *next, 1'000);
  };
  bench.acquire(a);
  bench.refused(0);
  REQUIRE(bench.asked.size() == 2);
  CHECK(bench.asked[1]->to == address("127.0.0.1:82"));
  bench.refused(1);
  CHECK(a.failures.size() == 2);
  CHECK(bench.asked.size() == 2);
  CHECK(active(one) + active(two) == 0);
}

TEST_CASE("a cluster that ends closes what is idle, in use and being made") {
  Bench bench;
  bench.cluster->set_endpoints(set_of({endpoint("127.0.0.1:80")}));
  {
    Taker a, b, c;
    bench.acquire(a);
    bench.acquire(b);
    bench.acquire(c);
    bench.connected(0);
    bench.connected(1);
    bench.done(a);
  }
  bench.cluster.reset();
  CHECK(bench.asked[2]->state == State::cancelled);
  turn(bench.loop);
  CHECK(bench.alive == 0);
}

TEST_CASE("what is under way is counted for all workers together") {
  EndpointInfo info = endpoint("127.0.0.1:80");
  Bench one({}, 0, 2), other({}, 1, 2);
  one.cluster->set_endpoints(set_of({info}));
  other.cluster->set_endpoints(set_of({info}));
  Taker a, b;
  one.acquire(a);
  other.acquire(b);
  CHECK(active(info) == 2);
  for (int i = 0; i < 5; ++i) {
    Taker failing;
    one.acquire(failing);
    one.cluster->finish(failing, Outcome::failure);
  }
  CHECK(info.state->resting_until_ms > other.loop.now_ms());
  one.cluster->finish(a, Outcome::neutral);
  other.cluster->finish(b, Outcome::neutral);
  CHECK(active(info) == 0);
}

#if defined(__SANITIZE_ADDRESS__)
// Of the sanitizer's run-time library; g++ 12 comes without the header that declares it.
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void*, size_t),
                                                         void (*on_free)(const volatile void*));
namespace {
thread_local bool counting = false;
thread_local size_t allocations = 0;
}  // namespace

TEST_CASE("lending an idle connection and taking it back allocates nothing") {
  static int installed = __sanitizer_install_malloc_and_free_hooks(
      [](const volatile void*, size_t) { allocations += counting; }, [](const volatile void*) {});
  REQUIRE(installed != 0);
  Bench bench;
  bench.cluster->set_endpoints(set_of({endpoint("127.0.0.1:80"), endpoint("127.0.0.1:81")}));
  Taker a;
  for (int i = 0; i < 50; ++i) {  // until both have a connection
    bench.acquire(a);
    if (!a.stream) bench.connected(bench.asked.size() - 1);
    bench.done(a);
  }
  counting = true;
  for (int i = 0; i < 100; ++i) {
    bench.acquire(a);
    bench.done(a);
  }
  counting = false;
  CHECK(allocations == 0);
}
#endif
