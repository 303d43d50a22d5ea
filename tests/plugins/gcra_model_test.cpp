// The table of limits against a model that knows nothing of arrival times: leaky buckets in exact numbers,
// and counts by day. Clock, costs and windows are drawn at random.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "plugin/gcra_store.h"

using namespace penstock;
using namespace penstock::plugin;

namespace {

using i128 = __int128;
constexpr int64_t second = 1'000'000'000;
constexpr int64_t day = 86'400 * second;

// What is in the bucket counts in requests times the period, so that it drains by `count` a tick.
struct Bucket {
  i128 level = 0;
  int64_t since = 0;
  void drain(const gw_limit& limit, int64_t now) {
    level = std::max<i128>(0, level - i128{now - since} * static_cast<i128>(limit.count));
    since = now;
  }
  bool fits(const gw_limit& limit, uint64_t cost) const {
    return level + static_cast<i128>(cost) * limit.period_ns <=
           static_cast<i128>(limit.burst) * limit.period_ns;
  }
  uint64_t remaining(const gw_limit& limit) const {
    return static_cast<uint64_t>((static_cast<i128>(limit.burst) * limit.period_ns - level) /
                                 limit.period_ns);
  }
};

struct Model {
  std::vector<gw_limit> limits;
  std::vector<Bucket> buckets;
  bool take(int64_t now, uint64_t cost) {
    bool admitted = true;
    for (size_t i = 0; i < limits.size(); ++i) {
      buckets[i].drain(limits[i], now);
      admitted = admitted && buckets[i].fits(limits[i], cost);
    }
    for (size_t i = 0; admitted && i < limits.size(); ++i) {
      buckets[i].level += static_cast<i128>(cost) * limits[i].period_ns;
    }
    return admitted;
  }
};

gw_limit quota(uint64_t count, int64_t now) { return {count, day - now % day, GW_LIMIT_QUOTA}; }

}  // namespace

TEST_CASE("costs and several windows: the table admits what the model admits, and says the same rest") {
  std::mt19937_64 random(20'26);
  for (int round = 0; round < 60; ++round) {
    CAPTURE(round);
    GcraStore store;
    const Hash128 space = store.space("rate_limit", "test");
    Model model;
    for (size_t i = 0, windows = 1 + random() % 4; i < windows; ++i) {
      // Rates of their own: equal ones are one window of the table.
      const uint64_t count = 1 + random() % 1000 + i * 1000;
      const int64_t periods[] = {second, 60 * second, 3600 * second, day};
      model.limits.push_back({count, periods[random() % 4], 1 + random() % 2000});
    }
    model.buckets.resize(model.limits.size());
    int64_t now = static_cast<int64_t>(random() % 1'000'000'000'000);
    for (Bucket& bucket : model.buckets) bucket.since = now;
    for (int step = 0; step < 500; ++step) {
      const uint64_t cost = random() % 8 == 0 ? random() % 2500 : random() % 5;
      gw_limit_state states[GcraStore::max_limits];
      const bool expected = model.take(now, cost);
      const gw_rc rc = store.gcra(space, "k", model.limits, cost, now, 0, states);
      REQUIRE(rc == (expected ? 1 : 0));
      for (size_t i = 0; i < model.limits.size(); ++i)
        REQUIRE(states[i].remaining == model.buckets[i].remaining(model.limits[i]));
      if (random() % 4 == 0) now += static_cast<int64_t>(random() % (10 * second));
    }
  }
}

TEST_CASE("retry_after is exact: one tick earlier is refused, then it fits; over the burst it never does") {
  std::mt19937_64 random(5);
  for (int round = 0; round < 200; ++round) {
    GcraStore store;
    const Hash128 space = store.space("rate_limit", "test");
    const gw_limit limit{1 + random() % 997, second * static_cast<int64_t>(1 + random() % 100),
                         1 + random() % 50};
    const int64_t now = second;
    gw_limit_state state;
    while (store.gcra(space, "k", {&limit, 1}, 1, now, 0, &state) == 1) {}
    const uint64_t cost = 1 + random() % limit.burst;
    REQUIRE(store.gcra(space, "k", {&limit, 1}, cost, now, GW_GCRA_PEEK, &state) == 0);
    REQUIRE(state.retry_after_ns > 0);
    REQUIRE(store.gcra(space, "k", {&limit, 1}, cost, now + state.retry_after_ns - 1, GW_GCRA_PEEK,
                       nullptr) == 0);
    REQUIRE(store.gcra(space, "k", {&limit, 1}, cost, now + state.retry_after_ns, GW_GCRA_PEEK, nullptr) ==
            1);
    REQUIRE(store.gcra(space, "k", {&limit, 1}, limit.burst + 1, now, 0, &state) == 0);
    REQUIRE(state.retry_after_ns == INT64_MAX);
  }
}

TEST_CASE("a quota counts by its days, whatever the clock's steps, beside a rate") {
  std::mt19937_64 random(11);
  for (int round = 0; round < 20; ++round) {
    GcraStore store;
    const Hash128 space = store.space("rate_limit", "test");
    const gw_limit rate{1000, second, 20};
    Bucket bucket;
    std::map<int64_t, uint64_t> used;
    const uint64_t most = 1 + random() % 200;
    int64_t now = bucket.since = static_cast<int64_t>(random() % static_cast<uint64_t>(day));
    for (int step = 0; step < 2000; ++step) {
      const uint64_t cost = random() % 4;
      const gw_limit limits[] = {rate, quota(most, now)};
      gw_limit_state states[2];
      bucket.drain(rate, now);
      const bool expected = bucket.fits(rate, cost) && used[now / day] + cost <= most;
      if (expected) bucket.level += static_cast<i128>(cost) * rate.period_ns, used[now / day] += cost;
      REQUIRE(store.gcra(space, "k", limits, cost, now, 0, states) == (expected ? 1 : 0));
      REQUIRE(states[1].remaining == most - used[now / day]);
      if (!expected && used[now / day] + cost > most && cost <= most)
        REQUIRE(states[1].retry_after_ns == day - now % day);
      now += static_cast<int64_t>(random() % static_cast<uint64_t>(day / 40));
    }
    REQUIRE(used.size() > 2);
  }
}

TEST_CASE("a quota's end that another clock sees a little off begins no new window") {
  GcraStore store;
  const Hash128 space = store.space("rate_limit", "test");
  const auto take = [&](int64_t now, int64_t left, uint64_t count) {
    const gw_limit limit{count, left, GW_LIMIT_QUOTA + 1};
    return store.gcra(space, "k", {&limit, 1}, 1, now, 0, nullptr);
  };
  for (int i = 0; i < 10; ++i) CHECK(take(second, day + (i % 3 - 1) * 60 * second, 10) == 1);
  CHECK(take(2 * second, day, 10) == 0);
  CHECK(take(2 * second, day, 11) == 1);   // a raised count keeps what is used
  CHECK(take(day, 90 * second, 11) == 0);  // the later end counts
  // The next day has begun for one, not yet for the other: both count in the new one.
  CHECK(take(day, 2 * day, 2) == 1);
  CHECK(take(day, second, 2) == 1);
  CHECK(take(day, 2 * day, 2) == 0);
  // Another number is another quota.
  const gw_limit month{1, 30 * day, GW_LIMIT_QUOTA + 2};
  CHECK(store.gcra(space, "k", {&month, 1}, 1, day, 0, nullptr) == 1);
}

TEST_CASE("three quarters of a large table hold keys without forgetting anybody") {
  constexpr size_t places = 1 << 20;  // shards of a small table are not filled evenly
  GcraStore store(places);
  const Hash128 space = store.space("rate_limit", "test");
  const gw_limit limit{1, day, 1};
  constexpr int keys = places / 4 * 3;
  const auto admitted = [&] {
    int count = 0;
    for (int i = 0; i < keys; ++i)
      count += store.gcra(space, std::to_string(i), {&limit, 1}, 1, second, 0, nullptr) == 1;
    return count;
  };
  CHECK(admitted() == keys);
  CHECK(store.capacity() == places);
  CHECK(store.evictions() == 0);
  CHECK(admitted() == 0);
}

TEST_CASE("over its bound the table forgets keys, never more than it must, and counts each") {
  GcraStore store(4096);
  const Hash128 space = store.space("rate_limit", "test");
  const gw_limit limit{1, day, 1};
  constexpr uint64_t keys = 20'000;
  for (uint64_t i = 0; i < keys; ++i)
    REQUIRE(store.gcra(space, std::to_string(i), {&limit, 1}, 1, second, 0, nullptr) == 1);
  uint64_t kept = 0;
  for (uint64_t i = 0; i < keys; ++i)
    kept += store.gcra(space, std::to_string(i), {&limit, 1}, 1, second, GW_GCRA_PEEK, nullptr) == 0;
  CHECK(kept == keys - store.evictions());
  CHECK(kept > 4096 * 9 / 10);
  store.set_max_entries(1 << 16);
  for (uint64_t i = 0; i < keys; ++i)
    store.gcra(space, std::to_string(i), {&limit, 1}, 1, second, 0, nullptr);
  CHECK(store.capacity() > 4096);
}
