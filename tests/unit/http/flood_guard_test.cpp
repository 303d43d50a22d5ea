#include "http/http2/flood_guard.h"

#include <doctest/doctest.h>

using penstock::http::http2::FloodGuard;

TEST_CASE("a budget is what it says, comes back with time and with work, and never grows over itself") {
  FloodGuard guard(10, 1'000, 5'000);
  auto spent = [&](uint64_t now_ms) {
    int count = 0;
    while (guard.spend(now_ms)) ++count;
    return count;
  };
  CHECK(spent(5'000) == 10);
  CHECK(spent(5'000) == 0);
  CHECK(spent(5'099) == 0);
  CHECK(spent(5'100) == 1);
  CHECK(spent(5'600) == 5);
  guard.win(3);
  CHECK(spent(5'600) == 3);
  guard.win(1'000);
  CHECK(spent(5'600) == 10);
  CHECK(spent(1'000'000'000) == 10);
}

TEST_CASE("a budget comes back at its rate also when the low half of the clock begins anew") {
  constexpr uint64_t wrap = uint64_t{1} << 32;
  FloodGuard guard(10, 1'000, wrap - 50);
  for (int i = 0; i < 10; ++i) CHECK(guard.spend(wrap - 50));
  CHECK(!guard.spend(wrap + 49));
  CHECK(guard.spend(wrap + 50));
  CHECK(!guard.spend(wrap + 50));
}

TEST_CASE("no budget is no bound") {
  FloodGuard guard(0, 1'000, 0);
  for (int i = 0; i < 100'000; ++i) REQUIRE(guard.spend(0));
}
