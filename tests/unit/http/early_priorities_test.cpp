#include "http/http2/early_priorities.h"

#include <doctest/doctest.h>

using penstock::http::http2::EarlyPriorities;

TEST_CASE("of streams that are to come the last four priorities are known, each stream's last one") {
  EarlyPriorities early;
  CHECK(early.of(1) == nullptr);
  early.keep(5, {.urgency = 1});
  early.keep(7, {.urgency = 2});
  early.keep(5, {.urgency = 4});
  REQUIRE(early.of(5));
  CHECK(early.of(5)->urgency == 4);
  CHECK(early.of(7)->urgency == 2);
  early.keep(9, {.urgency = 5});
  early.keep(11, {.urgency = 6});
  early.keep(13, {.urgency = 7});
  CHECK(early.of(7) == nullptr);
  CHECK(early.of(5)->urgency == 4);
  CHECK(early.of(13)->urgency == 7);
}

TEST_CASE("they are of no use once their streams have come, unless the next is being read") {
  EarlyPriorities early;
  CHECK(early.over(0));
  early.keep(9, {.urgency = 1});
  early.keep(5, {.urgency = 1});
  CHECK(!early.over(7));
  CHECK(early.over(9));
  early.read("ab");
  CHECK(!early.over(9));
  early.take();
  CHECK(early.over(9));
}
