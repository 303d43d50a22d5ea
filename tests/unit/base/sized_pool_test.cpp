#include "base/sized_pool.h"

#include <doctest/doctest.h>

#include <sys/mman.h>

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
  CHECK(pool.take(2'900) == large);
  CHECK(pool.take(10) == small);
  SizedPool::give(small);
  SizedPool::give(large);
  std::vector<void*> many;
  const size_t count = 2 * SizedPool::kept_bytes / SizedPool::most;
  for (size_t i = 0; i < count; ++i) many.push_back(pool.take(SizedPool::most - 16));
  for (void* piece : many) SizedPool::give(piece);  // half of them go: the leak checkers would say otherwise
}

TEST_CASE("of a large piece only what is used takes memory, and none when more than enough are given back") {
  constexpr size_t page = 4096, size = 5 * page - 16;
  const auto resident = [](void* piece) {
    unsigned char pages[5] = {};
    REQUIRE(::mincore(static_cast<char*>(piece) - 16, sizeof pages * page, pages) == 0);
    size_t count = 0;
    for (unsigned char one : pages) count += one & 1;
    return count;
  };
  SizedPool pool;
  std::vector<void*> many;
  for (size_t i = 0; i < 2 * SizedPool::kept_bytes / size; ++i) many.push_back(pool.take(size));
  for (void* piece : many) {
    std::memset(piece, 0xaa, 100);
    CHECK(resident(piece) == 1);
    std::memset(piece, 0xaa, size);
    CHECK(resident(piece) == 5);
  }
  for (void* piece : many) SizedPool::give(piece);
  CHECK(resident(many.front()) == 5);  // kept
  CHECK(resident(many.back()) == 0);
  for (void*& piece : many) piece = pool.take(size);  // the same ones
  CHECK(resident(many.front()) == 5);
  CHECK(resident(many.back()) == 1);
  for (void* piece : many) SizedPool::give(piece);
}
#endif
