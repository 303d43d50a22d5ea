#include "server/heap_trim.h"

#include <doctest/doctest.h>
#include <malloc.h>

#include <cstring>
#include <memory>
#include <vector>

#include "base/sanitized.h"

using namespace penstock;

namespace {

constexpr uint64_t MiB = 1024 * 1024;

// Of a sanitizer, which gives nothing back.
constexpr bool other_allocator = address_sanitizer || thread_sanitizer;

using Block = std::unique_ptr<char[]>;

Block block() {
  Block made = std::make_unique_for_overwrite<char[]>(4'000);
  std::memset(made.get(), 1, 4'000);
  return made;
}

}  // namespace

TEST_CASE("memory that a flood has left goes back to the system, once little is held for clients") {
  ::malloc_trim(0);  // the flood must not find what other tests have left
  net::Loop loop;
  MemoryBudget budget;
  budget.set_limit(80 * MiB);
  server::HeapTrim trim(loop, budget);
  const uint64_t before = server::HeapTrim::resident_bytes();
  REQUIRE(before > 0);

  std::vector<Block> flood;
  for (uint64_t held = 0; held < 64 * MiB; held += 4'000) flood.push_back(block());
  const Block last = block();  // the end of the heap is in use: the allocator keeps what lies before it
  const uint64_t full = server::HeapTrim::resident_bytes();
  CHECK(full > before + 60 * MiB);
  flood.clear();
  if (other_allocator) return;

  budget.add(20 * MiB);  // more than an eighth of the limit: it may all be wanted again at once
  trim.look();
  CHECK(server::HeapTrim::resident_bytes() > full - 8 * MiB);
  budget.add(-19 * static_cast<int64_t>(MiB));
  trim.look();
  CHECK(server::HeapTrim::resident_bytes() < full - 48 * MiB);
}
