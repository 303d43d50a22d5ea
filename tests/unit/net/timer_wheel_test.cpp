#include "net/timer_wheel.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <random>
#include <vector>

#include "net/loop.h"
#include "net_support.h"

using namespace penstock::net;

namespace {

struct FakeAlarm final : WheelAlarm {
  void set(uint64_t at) override { at_ms = at; }
  void clear() override { at_ms = UINT64_MAX; }
  uint64_t at_ms = UINT64_MAX;
};

// A timer under a clock of the test's own, with what a reference would expect of it.
struct Model {
  Model(Loop& loop, uint64_t& clock, int& fired_total)
      : now(clock), total(fired_total), timer(loop, fire, this) {}
  static void fire(void* raw) {
    auto& self = *static_cast<Model*>(raw);
    self.fired_at = self.now;
    ++self.fired;
    ++self.total;
  }
  uint64_t& now;
  int& total;
  uint64_t deadline = 0;
  uint64_t fired_at = 0;
  int fired = 0;
  bool stopped = false;
  Timer timer;
};

}  // namespace

TEST_CASE("ten thousand random timers fire once each, never early and at most a tick late") {
  Loop loop;
  FakeAlarm alarm;
  uint64_t now = 123'456'789;
  TimerWheel wheel(alarm, now);
  std::mt19937_64 random(20261121);
  int fired = 0;
  std::deque<Model> models;
  auto delay = [&]() -> uint64_t {
    uint64_t scale = std::vector<uint64_t>{50, 1000, 60'000, 3'600'000, 40ull * 24 * 3'600'000}[random() % 5];
    return random() % scale;
  };
  for (int i = 0; i < 10'000; ++i) {
    auto& model = models.emplace_back(loop, now, fired);
    uint64_t wait = delay();
    model.deadline = now + wait;
    wheel.start(model.timer, now, wait);
    if (i % 7 == 0) {  // restarted
      wait = delay();
      model.deadline = now + wait;
      wheel.start(model.timer, now, wait);
    }
    if (i % 5 == 0) {  // extended, at times to something earlier
      wait = delay();
      model.deadline = now + wait;
      wheel.extend(model.timer, now, wait);
    }
    if (i % 11 == 0) {
      wheel.stop(model.timer);
      model.stopped = true;
    }
    if (i % 100 == 0) {  // time goes on between the starts, by jumps beyond the alarm at times
      now = std::max(now + random() % 30, std::min(alarm.at_ms, now + random() % 50));
      wheel.advance(now);
    }
  }
  size_t turns = 0;
  while (wheel.running() > 0) {
    REQUIRE(alarm.at_ms != UINT64_MAX);
    now = std::max(now, alarm.at_ms);
    wheel.advance(now);
    REQUIRE(++turns < 100'000);
  }
  CHECK(alarm.at_ms == UINT64_MAX);
  int expected = 0;
  for (auto& model : models) {
    CAPTURE(model.deadline);
    REQUIRE(model.fired == (model.stopped ? 0 : 1));
    if (model.stopped) continue;
    ++expected;
    REQUIRE(model.fired_at >= model.deadline);
    // A tick for rounding up; while starting, time was moved on by up to 50 ms at a stretch.
    REQUIRE(model.fired_at < model.deadline + 2 * TimerWheel::tick_ms + 50);
  }
  CHECK(fired == expected);
}

TEST_CASE("the alarm goes to the earliest timer and away with the last one") {
  Loop loop;
  FakeAlarm alarm;
  TimerWheel wheel(alarm, 1000);
  Timer late(loop, [](void*) {}, nullptr), early(loop, [](void*) {}, nullptr);
  wheel.start(late, 1000, 500);
  CHECK(alarm.at_ms == 1500);
  wheel.start(early, 1000, 30);
  CHECK(alarm.at_ms == 1030);
  wheel.stop(early);
  wheel.advance(1030);
  CHECK(alarm.at_ms == 1500);
  wheel.stop(late);
  CHECK(alarm.at_ms == UINT64_MAX);
  CHECK(wheel.running() == 0);
}

TEST_CASE("a delay of days fires on time and a delay without end never wraps round") {
  Loop loop;
  FakeAlarm alarm;
  uint64_t now = 5;
  int fired = 0;
  TimerWheel wheel(alarm, now);
  Model days(loop, now, fired), forever(loop, now, fired);
  wheel.start(days.timer, now, 9ull * 24 * 3'600'000);
  wheel.start(forever.timer, now, UINT64_MAX);
  while (fired == 0) {
    now = alarm.at_ms;
    wheel.advance(now);
  }
  CHECK(days.fired_at >= 9ull * 24 * 3'600'000);
  CHECK(days.fired_at < 9ull * 24 * 3'600'000 + 20);
  CHECK(forever.fired == 0);
  wheel.stop(forever.timer);
}

TEST_CASE("extending every millisecond moves only the deadline") {
  Loop loop;
  FakeAlarm alarm;
  uint64_t now = 0;
  int fired = 0;
  TimerWheel wheel(alarm, now);
  Model idle(loop, now, fired);
  wheel.start(idle.timer, now, 100);
  for (now = 1; now <= 1000; ++now) {
    wheel.extend(idle.timer, now, 100);
    if (now >= alarm.at_ms) wheel.advance(now);
  }
  CHECK(fired == 0);
  while (fired == 0) {
    now = std::max(now, alarm.at_ms);
    wheel.advance(now);
  }
  CHECK(idle.fired_at >= 1100);
  CHECK(idle.fired_at <= 1100 + 2 * TimerWheel::tick_ms);
}

TEST_CASE("a timer restarted with no delay inside its callback fires in a later turn") {
  LoopRunner runner;
  struct Again {
    explicit Again(Loop& loop) : timer(loop, fire, this) {}
    static void fire(void* raw) {
      auto& self = *static_cast<Again*>(raw);
      CHECK(!self.timer.running());
      if (++self.fired < 5) self.timer.start(0);
    }
    int fired = 0;
    Timer timer;
  } again(runner.loop);
  again.timer.start(0);
  CHECK(again.timer.running());
  runner.until([&] { return again.fired == 5; });
  CHECK(!again.timer.running());
}

TEST_CASE("a callback may stop, extend and destroy timers that are due in the same turn, itself included") {
  Loop loop;
  struct Scene {
    std::unique_ptr<Timer> killer, victim, stopped, extended;
    int killed = 0, others = 0, extended_fired = 0;
  } scene;
  auto other = [](void* raw) { ++static_cast<Scene*>(raw)->others; };
  scene.killer = std::make_unique<Timer>(
      loop,
      [](void* raw) {
        auto& s = *static_cast<Scene*>(raw);
        ++s.killed;
        s.victim.reset();
        s.stopped->stop();
        s.extended->extend(30);
        s.killer.reset();
      },
      &scene);
  scene.victim = std::make_unique<Timer>(loop, other, &scene);
  scene.stopped = std::make_unique<Timer>(loop, other, &scene);
  scene.extended =
      std::make_unique<Timer>(loop, [](void* raw) { ++static_cast<Scene*>(raw)->extended_fired; }, &scene);
  scene.killer->start(10);
  scene.victim->start(10);
  scene.stopped->start(10);
  scene.extended->start(10);
  loop.run();  // ends by itself: no timer is left
  CHECK(scene.killed == 1);
  CHECK(scene.others == 0);
  CHECK(scene.extended_fired == 1);
}

TEST_CASE("timers on a real loop fire in order and not early") {
  Loop loop;
  struct Fired {
    Loop& loop;
    std::vector<int>* order;
    int id;
    uint64_t began_ns;
    uint64_t after_ns = 0;
    static void fire(void* raw) {
      auto& self = *static_cast<Fired*>(raw);
      self.after_ns = self.loop.now_ns() - self.began_ns;
      self.order->push_back(self.id);
    }
  };
  std::vector<int> order;
  Fired a{loop, &order, 1, loop.now_ns()}, b{loop, &order, 2, loop.now_ns()};
  Timer slow(loop, Fired::fire, &b), quick(loop, Fired::fire, &a);
  uint64_t skew_ns = loop.now_ns() - loop.now_ms() * 1'000'000;  // the cached clock lags behind
  slow.start(60);
  quick.start(20);
  loop.run();
  CHECK(order == std::vector<int>{1, 2});
  CHECK(a.after_ns + skew_ns >= 20'000'000);
  CHECK(b.after_ns + skew_ns >= 60'000'000);
}
