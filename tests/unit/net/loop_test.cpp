#include "net/loop.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "http/turn.h"
#include "net/signals.h"
#include "net_support.h"

using namespace penstock::net;

TEST_CASE("posts from many threads all run, each thread's in its order") {
  Loop loop;
  constexpr int threads = 8, each = 2000;
  std::vector<std::vector<int>> seen(threads);
  int total = 0;
  std::vector<std::jthread> posters;
  for (int t = 0; t < threads; ++t)
    posters.emplace_back([&, t] {
      for (int i = 0; i < each; ++i)
        loop.post([&, t, i] {
          seen[t].push_back(i);
          if (++total == threads * each) loop.stop();
        });
    });
  loop.serve();
  posters.clear();
  CHECK(total == threads * each);
  for (auto& one : seen) {
    REQUIRE(one.size() == each);
    CHECK(std::is_sorted(one.begin(), one.end()));
  }
}

TEST_CASE("run ends when nothing is left to wait for, after what was posted before") {
  Loop loop;
  std::vector<int> order;
  loop.post([&] {
    order.push_back(1);
    loop.post([&] { order.push_back(2); });
  });
  loop.run();
  CHECK(order == std::vector<int>{1, 2});
}

TEST_CASE("what was posted and never run is destroyed with the loop") {
  auto token = std::make_shared<int>(0);
  std::weak_ptr<int> watch = token;
  bool ran = false;
  {
    Loop loop;
    loop.post([&ran, held = std::move(token)] { ran = true; });
    CHECK(!watch.expired());
  }
  CHECK(watch.expired());
  CHECK(!ran);
}

namespace {
struct Grave final : Deferred {
  Grave(std::vector<std::string>& to, std::string as) : log(to), name(std::move(as)) {}
  ~Grave() override {
    log.push_back(name);
    if (then) then();
  }
  std::vector<std::string>& log;
  std::string name;
  std::function<void()> then;
};
struct Step final : Task {
  explicit Step(std::function<void()> what) : fn(std::move(what)) {}
  void run_task() override { fn(); }
  std::function<void()> fn;
};
}  // namespace

TEST_CASE("deferred objects die in order after the caller's frame and before the loop blocks") {
  LoopRunner runner;
  std::vector<std::string> log;
  runner.loop.post([&] {
    auto first = std::make_unique<Grave>(log, "first");
    first->then = [&] { runner.loop.defer_delete(std::make_unique<Grave>(log, "from a destructor")); };
    runner.loop.defer_delete(std::move(first));
    runner.loop.defer_delete(std::make_unique<Grave>(log, "second"));
    log.push_back("frame ends");
  });
  // The only thing to wait for is 10 s away: the deletions must not wait for it.
  Timer far(runner.loop, [](void*) {}, nullptr);
  far.start(10'000);
  uint64_t began = runner.loop.now_ms();
  runner.until([&] { return log.size() == 4; });
  CHECK(log == std::vector<std::string>{"frame ends", "first", "second", "from a destructor"});
  CHECK(runner.loop.now_ms() - began < 5'000);
}

TEST_CASE("deferred objects and tasks are done with even by a loop that never runs") {
  std::vector<std::string> log;
  {
    Loop loop;
    loop.defer_delete(std::make_unique<Grave>(log, "grave"));
  }
  CHECK(log == std::vector<std::string>{"grave"});
}

TEST_CASE("a task runs once, outside the caller's frame, and not at all when it was destroyed") {
  Loop loop;
  int runs = 0;
  Step step([&] { ++runs; });
  auto gone = std::make_unique<Step>([&] { runs += 100; });
  loop.post([&] {
    loop.schedule(step);
    loop.schedule(step);
    loop.schedule(*gone);
    gone.reset();
    CHECK(runs == 0);
  });
  loop.run();
  CHECK(runs == 1);
}

TEST_CASE("the wall clock follows the system's within a turn") {
  LoopRunner runner;
  runner.turns(2);
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  int64_t system_ns = int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
  CHECK(std::abs(runner.loop.wall_ns() - system_ns) < 1'000'000'000);
}

TEST_CASE("a turn that takes long shows as lag") {
  LoopRunner runner;
  runner.loop.post([&] {
    uint64_t until = runner.loop.now_ns() + 30'000'000;
    while (runner.loop.now_ns() < until) {}
  });
  uint64_t most = 0;
  runner.until([&] {
    most = std::max(most, runner.loop.lag_ms());
    return most >= 25;
  });
  CHECK(most >= 25);
}

TEST_CASE("stop from another thread goes through post") {
  Loop loop;
  std::jthread other([&] { loop.post([&] { loop.stop(); }); });
  loop.serve();
  CHECK(true);
}

TEST_CASE("a signal reaches the handler, which may destroy its Signals") {
  LoopRunner runner;
  std::unique_ptr<Signals> signals;
  std::vector<int> caught;
  signals = std::make_unique<Signals>(runner.loop, std::vector<int>{SIGUSR1, SIGUSR2}, [&](int number) {
    caught.push_back(number);
    if (number == SIGUSR2) signals.reset();
  });
  ::kill(::getpid(), SIGUSR1);
  runner.until([&] { return caught.size() == 1; });
  ::kill(::getpid(), SIGUSR2);
  runner.until([&] { return !signals; });
  CHECK(caught == std::vector<int>{SIGUSR1, SIGUSR2});
}

TEST_CASE("work that waits runs in later turns, in order, each within the share of its turn") {
  struct Work final : Task {
    Work(Loop& on, std::vector<int>& into, int number) : loop(on), done(into), n(number) {}
    void run_task() override {
      done.push_back(n);
      loop.worked(Loop::work_share_ns);
    }
    Loop& loop;
    std::vector<int>& done;
    int n;
  };
  LoopRunner runner;
  std::vector<int> done;
  Work one(runner.loop, done, 1), two(runner.loop, done, 2), three(runner.loop, done, 3);
  CHECK(runner.loop.may_work(one));
  runner.loop.worked(Loop::work_share_ns);
  CHECK(!runner.loop.may_work(one));
  CHECK(!runner.loop.may_work(two));
  CHECK(!runner.loop.may_work(three));
  CHECK(done.empty());
  two.cancel();
  runner.until([&] { return done.size() == 2; });
  CHECK(done == std::vector<int>{1, 3});
  CHECK(runner.loop.may_work(two));
}

namespace {

// Begins `left` requests in batches of `most`.
struct Batches final : Task {
  Batches(Loop& on, std::string& into, char name_, uint32_t requests, uint32_t most_)
      : loop(on), log(into), name(name_), left(requests), most(most_) {}
  void run_task() override {
    const uint32_t count = std::min(left, most);
    left -= count;
    log += name;
    loop.begun(count);
    if (left > 0) loop.begin_later(*this);
  }
  Loop& loop;
  std::string& log;
  char name;
  uint32_t left, most;
};

constexpr uint32_t share = Loop::begins_a_turn;

}  // namespace

TEST_CASE("requests begin in order, about so many a turn, in whole batches") {
  Loop loop;
  std::string log;
  Batches many(loop, log, 'm', 3 * share, share), few(loop, log, 'f', share - 1, share),
      one(loop, log, 'o', 1, share), gone(loop, log, 'g', 1, share), last(loop, log, 'l', 1, share);
  struct Line final : Task {
    Loop& loop;
    std::string& log;
    int left = 5;
    Line(Loop& of, std::string& to) : loop(of), log(to) {}
    void run_task() override {
      log += '|';
      if (--left > 0) loop.schedule_next_turn(*this);
    }
  } line(loop, log);
  CHECK(loop.may_begin(many));
  loop.begun(share);
  for (Batches* each : {&many, &few, &one, &gone, &last}) CHECK(!loop.may_begin(*each));
  gone.cancel();
  loop.schedule_next_turn(line);
  loop.run();
  // `few` leaves one of its turn, which is for `one`; then it is full.
  CHECK(log == "m|fo|lm|m||");
  CHECK(loop.may_begin(one));
}

TEST_CASE(
    "while handshakes wait, whose time of a turn is fixed, a turn begins a batch of everybody who waits") {
  struct Handshake final : Task {
    explicit Handshake(Loop& on) : loop(on) {}
    void run_task() override { loop.worked(Loop::work_share_ns); }
    Loop& loop;
  };
  Loop loop;
  std::string log;
  Batches many(loop, log, 'm', 3 * share, share), other(loop, log, 'o', share, share),
      last(loop, log, 'l', share, share);
  loop.begun(share);
  for (Batches* each : {&many, &other, &last}) CHECK(!loop.may_begin(*each));
  loop.worked(Loop::work_share_ns);
  Handshake one(loop), two(loop);
  for (Handshake* each : {&one, &two}) CHECK(!loop.may_work(*each));
  penstock::test::turn(loop);
  CHECK(log == "mol");
  penstock::test::turn(loop);
  CHECK(log == "molm");
}

TEST_CASE("a task that yields runs once a turn, after what the others have to do") {
  Loop loop;
  std::string log;
  struct Other final : Task {
    std::string& log;
    explicit Other(std::string& to) : log(to) {}
    void run_task() override { log += 'b'; }
  } other(log);
  struct Yielding final : Task {
    Loop& loop;
    std::string& log;
    Task& other;
    int left = 5;
    Yielding(Loop& of, std::string& to, Task& beside) : loop(of), log(to), other(beside) {}
    void run_task() override {
      log += 'a';
      loop.schedule(other);
      if (--left > 0) loop.schedule_next_turn(*this);
    }
  } yielding(loop, log, other);
  loop.schedule_next_turn(yielding);
  loop.run();
  CHECK(log == "ababababab");
}
