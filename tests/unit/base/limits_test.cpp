// Limits as values: their names, the minimum rate, the bound on memory.
#include <doctest/doctest.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/arena.h"
#include "base/block_pool.h"
#include "base/limit.h"
#include "base/memory_budget.h"
#include "base/minimum_rate.h"

using namespace penstock;

TEST_CASE("every limit has a name of its own") {
  std::set<std::string_view> names;
  for (size_t i = 1; i < limit_count; ++i) {
    std::string_view text = name(static_cast<Limit>(i));
    CHECK(!text.empty());
    CHECK(names.insert(text).second);
  }
  CHECK(name(Limit::none).empty());
}

TEST_CASE("a peer that sends nothing breaks its rate when the window is over") {
  MinimumRate rate(100, 5'000);
  CHECK(rate.left_ms() == 5'000);
  rate.waited(4'999);
  CHECK(!rate.broken());
  CHECK(rate.left_ms() == 1);
  rate.waited(1);
  CHECK(rate.broken());
  CHECK(rate.left_ms() == 0);
}

TEST_CASE("a peer at its rate never breaks it, one a little below does in the end") {
  MinimumRate good(100, 5'000), bad(100, 5'000);
  for (int second = 0; second < 10'000; ++second) {
    good.waited(1'000);
    good.received(100);
    bad.waited(1'000);
    bad.received(99);
  }
  CHECK(!good.broken());
  CHECK(good.left_ms() >= 4'000);
  CHECK(bad.broken());
}

TEST_CASE("what was sent fast wins no more than one window") {
  MinimumRate rate(100, 5'000);
  rate.received(uint64_t{1} << 60);
  CHECK(rate.left_ms() == 5'000);
  rate.waited(5'000);
  CHECK(rate.broken());
  rate.restart();
  CHECK(!rate.broken());
}

TEST_CASE("very long waits and no minimum at all") {
  MinimumRate rate(1'000'000'000, 3'600'000);
  rate.waited(UINT64_MAX / 2);
  CHECK(rate.broken());
  MinimumRate none;
  none.waited(UINT64_MAX);
  CHECK(!none.broken());
  CHECK(none.left_ms() == UINT64_MAX);
}

TEST_CASE("pools report what they hold to the process and take it back at their end") {
  MemoryBudget budget;
  budget.set_limit(1024 * 1024);
  int exceeded = 0;
  auto count = [](void* owner) { ++*static_cast<int*>(owner); };
  {
    BlockPool one, two;
    one.report_to(&budget, count, &exceeded);
    two.report_to(&budget, count, &exceeded);
    Arena first(one), second(two);
    for (int i = 0; i < 100; ++i) first.allocate(4'000);
    CHECK(budget.used() >= 300'000);
    CHECK(!budget.pressed());
    second.allocate(400'000);  // from the general allocator: counted too
    CHECK(budget.pressed());
    CHECK(two.pressed());
    CHECK(!budget.exceeded());
    CHECK(exceeded == 0);
    first.allocate(400'000);
    CHECK(budget.exceeded());
    CHECK(exceeded == 1);
    first.reset();
    second.reset();
    CHECK(!budget.pressed());
    CHECK(one.held() == 0);
    one.charge(200'000);
  }
  CHECK(budget.used() == 0);
}

TEST_CASE("an arena begins with small blocks, so that little costs little") {
  BlockPool pool;
  Arena arena(pool);
  arena.allocate(500);
  CHECK(arena.bytes_held() == BlockPool::small_size);
  arena.allocate(600);
  CHECK(arena.bytes_held() == 2 * BlockPool::small_size);
  arena.allocate(600);
  CHECK(arena.bytes_held() == 2 * BlockPool::small_size + BlockPool::block_size);
  arena.reset();
  CHECK(pool.held() == 0);
  arena.allocate(2'000);  // does not fit in a small one
  CHECK(arena.bytes_held() == BlockPool::block_size);
}
