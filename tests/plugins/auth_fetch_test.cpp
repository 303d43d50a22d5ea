// What the authenticators that ask somebody keep, and for how long. How they ask is in tests/e2e.
#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "auth/digest_cache.h"
#include "auth/key_source.h"

namespace {

constexpr int64_t second = 1'000'000'000, shortest = 30 * second, longest = 600 * second;

auth::Digest digest(unsigned char first, unsigned char last = 0) {
  auth::Digest out{};
  out.front() = first;
  out.back() = last;
  return out;
}

}  // namespace

TEST_CASE("keys are as fresh as Cache-Control says, within bounds") {
  struct Row {
    std::string_view text;
    int64_t seconds;
  };
  for (const auto& [text, seconds] : {
           Row{"", 600},
           Row{"max-age=60", 60},
           Row{"public, MAX-AGE=60", 60},
           Row{"max-age=\"60\"", 60},
           Row{"max-age=0", 30},
           Row{"max-age=29", 30},
           Row{"max-age=86400", 600},
           Row{"max-age=9223372036854775807", 600},
           Row{"max-age=92233720368547758070", 600},
           Row{"max-age=-1", 600},
           Row{"max-age", 600},
           Row{"max-age=x", 600},
           Row{"x-max-age=60", 600},
           Row{"s-maxage=60", 600},
           Row{"no-store", 30},
           Row{"no-cache, max-age=60", 30},
           Row{",,max-age=60,", 60},
       }) {
    CAPTURE(text);
    CHECK(auth::lifetime_ns(text, shortest, longest) == seconds * second);
  }
}

TEST_CASE("a digest cache forgets in time and holds what it was made for") {
  auth::DigestCache<int> cache(8);
  REQUIRE(cache.insert(digest(1), 7, 100, 0) != nullptr);
  REQUIRE(cache.find(digest(1), 99) != nullptr);
  CHECK(*cache.find(digest(1), 99) == 7);
  CHECK(cache.find(digest(1), 100) == nullptr);
  CHECK(cache.find(digest(1, 1), 0) == nullptr);  // the same place, another digest
  CHECK(cache.insert(digest(2), 7, 5, 5) == nullptr);
  // What is there is replaced by itself, and never stands there twice.
  cache.insert(digest(1), 8, 200, 0);
  CHECK(*cache.find(digest(1), 150) == 8);
  for (unsigned char i = 0; i < 100; ++i) cache.insert(digest(1, i), i, 100, 0);
  int found = 0;
  for (unsigned char i = 0; i < 100; ++i) found += cache.find(digest(1, i), 0) != nullptr ? 1 : 0;
  CHECK(found == 4);  // one set of ways

  auth::DigestCache<int> none(0);
  CHECK(none.insert(digest(1), 7, 100, 0) == nullptr);
  CHECK(none.find(digest(1), 0) == nullptr);
}
