// gw.kv get, set, cas, del, add: the contract, the bound, and exactness over threads.
#include <doctest/doctest.h>

#include <fmt/format.h>

#include <atomic>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "plugin/gcra_store.h"
#include "plugin/kv_store.h"
#include "plugins/allocation_count.h"

using namespace penstock;
using namespace penstock::plugin;
using penstock::plugin::testing::allocations;
using penstock::plugin::testing::counting_allocations;

namespace {

constexpr int64_t second = 1'000'000'000;

struct Values {
  explicit Values(size_t bytes = KvStore::default_bytes) : store(bytes) {}
  KvStore store;
  Hash128 space{1, 2};
  int64_t now = second;

  std::string get(std::string_view key) {
    char text[KvStore::max_value];
    const gw_rc rc = store.get(space, key, now, text, sizeof text);
    return rc < 0 ? fmt::format("({})", rc) : std::string(text, static_cast<size_t>(rc));
  }
  gw_rc set(std::string_view key, std::string_view value, int64_t ttl = 0) {
    return store.set(space, key, now, value, ttl);
  }
  gw_rc add(std::string_view key, int64_t delta, int64_t most = INT64_MAX, int64_t ttl = 0) {
    return store.add(space, key, now, delta, most, ttl, &sum);
  }
  int64_t sum = -1;
};

}  // namespace

TEST_CASE("values are set, read, changed only as expected, and removed") {
  Values v;
  CHECK(v.get("a") == "(-3)");
  CHECK(v.set("a", "one") == GW_OK);
  CHECK(v.get("a") == "one");
  CHECK(v.set("a", "") == GW_OK);
  CHECK(v.get("a") == "");
  CHECK(v.store.cas(v.space, "a", v.now, "one", "two", 0) == 0);
  CHECK(v.store.cas(v.space, "a", v.now, {nullptr, 0}, "two", 0) == 0);
  CHECK(v.store.cas(v.space, "a", v.now, "", "two", 0) == 1);
  CHECK(v.get("a") == "two");
  CHECK(v.store.cas(v.space, "b", v.now, "", "x", 0) == 0);
  CHECK(v.store.cas(v.space, "b", v.now, {nullptr, 0}, "x", 0) == 1);
  CHECK(v.store.del(v.space, "a") == 1);
  CHECK(v.store.del(v.space, "a") == 0);
  CHECK(v.get("a") == "(-3)");
  CHECK(v.get("b") == "x");
  char two[2];
  v.set("long", "abcdef");
  CHECK(v.store.get(v.space, "long", v.now, two, 2) == 6);
  CHECK(std::string_view(two, 2) == "ab");
  CHECK(v.store.get({9, 9}, "long", v.now, two, 2) == GW_ENOTFOUND);  // another instance's
}

TEST_CASE("a ttl ends an entry to the nanosecond; set begins it anew, add does not") {
  Values v;
  v.set("a", "x", 10);
  v.now += 9;
  CHECK(v.get("a") == "x");
  v.set("a", "y", 10);
  v.now += 9;
  CHECK(v.get("a") == "y");
  v.now += 1;
  CHECK(v.get("a") == "(-3)");
  CHECK(v.add("n", 3, 100, 10) == 1);
  v.now += 9;
  CHECK(v.add("n", 3, 100, 10) == 1);
  CHECK(v.sum == 6);
  v.now += 1;
  CHECK(v.add("n", 0, 100, 10) == 1);
  CHECK(v.sum == 0);
}

TEST_CASE("add keeps to its bounds, and a number and a value are two kinds") {
  Values v;
  CHECK(v.add("n", -1) == 0);
  CHECK(v.sum == 0);
  CHECK(v.add("n", 3, 2) == 0);
  CHECK(v.add("n", 2, 2) == 1);
  CHECK(v.sum == 2);
  CHECK(v.add("n", 1, 2) == 0);
  CHECK(v.sum == 2);
  CHECK(v.add("n", INT64_MAX) == 0);
  CHECK(v.get("n") == "(-4)");
  CHECK(v.set("n", "x") == GW_ESTATE);
  CHECK(v.store.cas(v.space, "n", v.now, "x", "y", 0) == GW_ESTATE);
  CHECK(v.add("n", -2, 2) == 1);
  CHECK(v.store.entries() == 0);  // nothing is held any more
  CHECK(v.set("n", "x") == GW_OK);
  CHECK(v.add("n", 1) == GW_ESTATE);
}

TEST_CASE("what cannot be is refused") {
  Values v;
  const std::string long_key(KvStore::max_key + 1, 'k'), long_value(KvStore::max_value + 1, 'v');
  CHECK(v.set(long_key, "x") == GW_EINVAL);
  CHECK(v.get(long_key) == "(-2)");
  CHECK(v.set("a", long_value) == GW_ELIMIT);
  CHECK(v.set("a", "x", -1) == GW_EINVAL);
  CHECK(v.set(std::string(KvStore::max_key, 'k'), std::string(KvStore::max_value, 'v')) == GW_OK);
}

TEST_CASE("full, it gives up what has expired, then what was used longest ago, never what is held") {
  constexpr size_t bound = 1024 * 1024;
  Values v(bound);
  const std::string value(1000, 'v');
  REQUIRE(v.add("held", 1) == 1);
  for (int i = 0; i < 200; ++i) REQUIRE(v.set(fmt::format("expires{}", i), value, 10) == GW_OK);
  for (int i = 0; i < 200; ++i) REQUIRE(v.set(fmt::format("old{}", i), value) == GW_OK);
  REQUIRE(v.store.full() == 0);
  v.now += 10;
  for (int i = 0; i < 400; ++i) {
    REQUIRE(v.set(fmt::format("new{}", i), value) == GW_OK);
    CHECK(v.get("old0") == value);  // in use
  }
  CHECK(v.store.bytes() <= bound);
  int old = 0;
  for (int i = 0; i < 200; ++i) old += v.get(fmt::format("old{}", i)) == value;
  CHECK(old >= 150);  // shards are not filled evenly
  for (int i = 0; i < 4000; ++i) REQUIRE(v.set(fmt::format("more{}", i), value) == GW_OK);
  CHECK(v.store.full() > 0);
  CHECK(v.store.bytes() <= bound);
  CHECK(v.get("old1") == "(-3)");
  CHECK(v.add("held", -1) == 1);
  CHECK(v.sum == 0);
}

TEST_CASE("full of what is held, it says so and takes no more; a smaller bound holds from then on") {
  Values v(64 * 1024);
  int held = 0;
  while (v.add(std::to_string(held), 1) == 1) REQUIRE(++held < 10'000);
  CHECK(v.add("another" + std::to_string(held), 1) <= 1);
  CHECK(v.store.full() > 0);
  for (int i = 0; i < held; ++i) REQUIRE(v.add(std::to_string(i), -1) == 1);
  CHECK(v.store.bytes() < 2 * 1024);
  CHECK(v.set("a", "x") == GW_OK);
  v.store.set_max_bytes(0);
  CHECK(v.set("a", "x") == GW_ELIMIT);
}

TEST_CASE("random calls: it answers as a map does") {
  Values v;
  std::mt19937_64 random(3);
  struct Known {
    std::string value;
    int64_t expires;
  };
  std::map<std::string, Known> model;
  for (int step = 0; step < 50'000; ++step) {
    const std::string key = std::to_string(random() % 300);
    auto known = model.find(key);
    if (known != model.end() && known->second.expires <= v.now) model.erase(known), known = model.end();
    const bool there = known != model.end();
    const std::string value(random() % 3000, static_cast<char>('a' + random() % 26));
    const int64_t ttl = random() % 2 == 0 ? 0 : static_cast<int64_t>(1 + random() % 1000);
    const Known next{value, ttl == 0 ? INT64_MAX : v.now + ttl};
    switch (random() % 4) {
      case 0: REQUIRE(v.get(key) == (there ? known->second.value : "(-3)")); break;
      case 1:
        REQUIRE(v.set(key, value, ttl) == GW_OK);
        model[key] = next;
        break;
      case 2: {
        const bool right = random() % 2 == 0;
        const std::string_view expected = !there  ? std::string_view()
                                          : right ? std::string_view(known->second.value)
                                                  : "wrong";
        REQUIRE(v.store.cas(v.space, key, v.now, right || there ? expected : "x", value, ttl) ==
                (right ? 1 : 0));
        if (right) model[key] = next;
        break;
      }
      case 3:
        REQUIRE(v.store.del(v.space, key) >= (there ? 1 : 0));  // it knows no time
        model.erase(key);
        break;
    }
    v.now += static_cast<int64_t>(random() % 20);
  }
  REQUIRE(v.store.full() == 0);
}

TEST_CASE("over threads no addition is lost and no bound is passed, while others push it full") {
  Values v(512 * 1024);
  constexpr int threads = 4, rounds = 20'000;
  std::atomic<int> over{0}, wrong{0};
  {
    std::vector<std::jthread> all;
    for (int t = 0; t < threads; ++t) {
      all.emplace_back([&, t] {
        const std::string key = "k" + std::to_string(t % 2);
        const std::string value(700, static_cast<char>('a' + t));
        for (int i = 0; i < rounds; ++i) {
          int64_t sum = 0;
          if (v.store.add(v.space, key, second, 1, 2, 0, &sum) == 1) {
            over += sum > 2;
            wrong += v.store.add(v.space, key, second, -1, 2, 0, &sum) != 1;
          }
          if (i % 8 == 0) v.store.set(v.space, std::to_string(i % 2000), second, value, 1 + i % 3);
          char text[8];
          v.store.get(v.space, std::to_string(i % 1999), second, text, sizeof text);
          v.store.add(v.space, "all", second, 1, INT64_MAX, 0, nullptr);
        }
      });
    }
  }
  CHECK(over == 0);
  CHECK(wrong == 0);
  CHECK(v.add("all", 0) == 1);
  CHECK(v.sum == threads * rounds);
  CHECK(v.add("k0", 0) == 1);
  CHECK(v.sum == 0);
}

TEST_CASE("cas over threads: every winner is one") {
  Values v;
  constexpr int threads = 4;
  std::atomic<int> won{0};
  v.set("a", "0");
  {
    std::vector<std::jthread> all;
    for (int t = 0; t < threads; ++t) {
      all.emplace_back([&] {
        for (int i = 0; i < 2'000; ++i) {
          char text[16];
          const gw_rc size = v.store.get(v.space, "a", second, text, sizeof text);
          const std::string before(text, static_cast<size_t>(size));
          won += v.store.cas(v.space, "a", second, before, std::to_string(std::stoi(before) + 1), 0) == 1;
        }
      });
    }
  }
  CHECK(v.get("a") == std::to_string(won.load()));
}

TEST_CASE("what comes and goes allocates nothing in the steady state") {
  Values v;
  char text[64];
  v.set("a", "value");
  for (int i = 0; i < 2'000; ++i) {
    const uint64_t before = allocations;
    counting_allocations = i >= 1'000;
    bool good = v.add("held", 1, 10) == 1 && v.add("held", -1, 10) == 1;
    good = good && v.store.get(v.space, "a", v.now, text, sizeof text) == 5;
    good = good && v.set("a", "other") == GW_OK && v.add("n", 1, INT64_MAX, second) == 1;
    counting_allocations = false;
    REQUIRE(good);
    REQUIRE(allocations == before);
  }
}
