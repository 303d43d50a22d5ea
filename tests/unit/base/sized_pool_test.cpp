#include "base/sized_pool.h"

#include <doctest/doctest.h>

#include <cstring>
#include <vector>

using namespace penstock;

TEST_CASE("a piece has the size that was asked for, whatever that is, and is aligned") {
  SizedPool pool;
  for (size_t size : {size_t{0}, size_t{1}, size_t{48}, size_t{49}, size_t{4'000}, SizedPool::most - 16,
                      SizedPool::most, size_t{1'000'000}}) {
    CAPTURE(size);
    void* piece = pool.take(size);
    REQUIRE(piece);
    CHECK(reinterpret_cast<uintptr_t>(piece) % alignof(std::max_align_t) == 0);
    CHECK(SizedPool::size_of(piece) >= size);
    std::memset(piece, 0xaa, size);
    SizedPool::give(piece);
  }
  SizedPool::give(nullptr);
  CHECK(pool.take(SIZE_MAX) == nullptr);
}

#if !defined(__SANITIZE_ADDRESS__)
TEST_CASE("what is given back is used again for its size, up to what is kept of it") {
  SizedPool pool;
  void* small = pool.take(40);
  void* large = pool.take(3'000);
  SizedPool::give(small);
  SizedPool::give(large);
  CHECK(pool.take(2'500) == large);
  CHECK(pool.take(10) == small);
  SizedPool::give(small);
  SizedPool::give(large);
  std::vector<void*> many;
  const size_t count = 2 * SizedPool::kept_bytes / SizedPool::most;
  for (size_t i = 0; i < count; ++i) many.push_back(pool.take(SizedPool::most - 16));
  for (void* piece : many) SizedPool::give(piece);  // half of them go: the leak checkers would say otherwise
}
#endif
