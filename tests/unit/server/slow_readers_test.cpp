#include "server/slow_readers.h"

#include <doctest/doctest.h>

#include <memory>

namespace {

struct Download final : penstock::server::Reader<Download> {
  explicit Download(uint64_t sent = 0) : last_sent_ms(sent) {}
  uint64_t taken() const {
    ++asked;
    return has_taken;
  }
  uint64_t sent_ms() const { return last_sent_ms; }
  uint64_t last_sent_ms;
  uint64_t has_taken = 1'000;
  mutable int asked = 0;
};
using SlowReaders = penstock::server::SlowReaders<Download>;
constexpr uint64_t seen = SlowReaders::seen_ms, stuck = SlowReaders::stuck_ms,
                   steady = SlowReaders::steady_ms;

}  // namespace

TEST_CASE("who takes nothing goes after some seconds, the one that is stuck longest first") {
  SlowReaders readers;
  Download fresh(100'000), old(20'000), oldest(10'000);
  for (Download* each : {&fresh, &old, &oldest}) readers.look(*each, 100'000, 0);
  CHECK(readers.slowest(100'000 + seen - 1, 0) == nullptr);
  CHECK(readers.slowest(100'000 + seen, 0) == &oldest);
  readers.forget(oldest);
  CHECK(readers.slowest(100'000 + seen, 0) == &old);
  readers.forget(old);
  CHECK(readers.slowest(100'000 + stuck - 1, 0) == nullptr);
  CHECK(readers.slowest(100'000 + stuck, 0) == &fresh);
}

TEST_CASE("a client that reads steadily stays, though its kernel takes it in lumps many seconds apart") {
  SlowReaders readers;
  Download reads, deaf;
  readers.look(reads, 0, 240);
  readers.look(deaf, 0, 240);
  uint64_t lump_ms = 9'000;
  for (uint64_t now = 500; now < 300'000; now += 500) {
    if (now % lump_ms == 0) reads.has_taken += 4'000'000;
    if (now == 4 * lump_ms) lump_ms = 18'000;
    readers.look(reads, now, 240);
    readers.look(deaf, now, 240);
    CHECK(readers.slowest(now, 240) == (now < stuck ? nullptr : &deaf));
  }
}

TEST_CASE("who takes less than the minimum rate counts as stuck") {
  SlowReaders readers;
  Download trickle;
  readers.look(trickle, 0, 240);
  for (uint64_t now = 500; now <= stuck; now += 500) {
    trickle.has_taken += 100;
    readers.look(trickle, now, 240);
  }
  CHECK(readers.slowest(stuck, 240) == &trickle);
  trickle.has_taken += 400;
  CHECK(readers.slowest(stuck, 240) == nullptr);
  CHECK(readers.slowest(stuck + steady, 240) == &trickle);  // it has not gone on
}

TEST_CASE("whom nothing waits for is nobody's slow reader, nor is one that is gone") {
  SlowReaders readers;
  Download has_all, later(1);
  auto gone = std::make_unique<Download>();
  readers.look(*gone, 0, 0);
  readers.look(has_all, 0, 0);
  readers.look(later, 0, 0);
  gone.reset();
  has_all.has_taken = UINT64_MAX;
  CHECK(readers.slowest(stuck, 0) == nullptr);
  CHECK(later.asked == 1);  // nobody is asked before its time
  has_all.has_taken = 1'000;
  CHECK(readers.slowest(2 * stuck, 0) == &later);
}
