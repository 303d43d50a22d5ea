#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/arena.h"
#include "base/block_pool.h"
#include "base/free_list.h"
#include "base/intrusive_list.h"
#include "base/pause.h"

using namespace penstock;

TEST_CASE("the pool reuses blocks and keeps no more than it may") {
  BlockPool pool(2);
  auto* a = pool.take();
  auto* b = pool.take();
  auto* c = pool.take();
  CHECK(pool.in_use() == 3);
  a->next = b;
  b->next = c;
  c->begin = c->end = 5;
  pool.give_chain(a);
  CHECK(pool.in_use() == 0);
  auto* again = pool.take();
  CHECK((again == a || again == b));
  CHECK(again->begin == 0);
  CHECK(again->end == 0);
  CHECK(again->next == nullptr);
  pool.give(again);
}

TEST_CASE(
    "a slot that was given back is the next one, but for AddressSanitizer, which has to notice its use") {
  struct Listed : FreeListed {
    char bytes[100];
  };
  FreeList list(1);
  auto* first = new (list) Listed;
  auto* second = new (list) Listed;
  delete first;
  delete second;  // one too many to be kept
  auto* again = new (list) Listed;
  CHECK((again == first) == FreeList::keeps);
  delete again;
}

TEST_CASE("arena memory is aligned, apart and stable until the reset") {
  BlockPool pool;
  Arena arena(pool);
  CHECK(arena.bytes_held() == 0);
  std::mt19937 random(3);
  struct Piece {
    char* at;
    size_t size;
    char fill;
  };
  std::vector<Piece> pieces;
  for (int i = 0; i < 3000; ++i) {
    size_t size = random() % (random() % 50 == 0 ? 20'000 : 200);
    size_t align = size_t{1} << (random() % 5);
    auto* at = static_cast<char*>(arena.allocate(size, align));
    REQUIRE(reinterpret_cast<uintptr_t>(at) % align == 0);
    char fill = static_cast<char>(random());
    std::memset(at, fill, size);
    pieces.push_back({at, size, fill});
  }
  for (auto& piece : pieces)
    for (size_t i = 0; i < piece.size; ++i) REQUIRE(piece.at[i] == piece.fill);
  CHECK(arena.bytes_held() > 0);
  arena.reset();
  CHECK(arena.bytes_held() == 0);
  CHECK(pool.in_use() == 0);
}

TEST_CASE("what grows in small steps has memory of its size, and the smaller one is freed") {
  BlockPool pool;
  {
    Arena arena(pool);
    char* large = static_cast<char*>(arena.resize(nullptr, 0, 10));
    std::memcpy(large, "0123456789", 10);
    const size_t ten = arena.bytes_held();
    CHECK(pool.held() == static_cast<int64_t>(ten));
    arena.allocate(BlockPool::block_size);  // another that has memory of its own, made in between
    const size_t both = arena.bytes_held();
    large = static_cast<char*>(arena.resize(large, 10, 100));
    CHECK(std::string_view(large, 10) == "0123456789");
    CHECK(arena.bytes_held() == both + 90);
    CHECK(pool.in_use() == 0);
    // From a block, which stays.
    std::string_view text = arena.copy("abc");
    char* moved = static_cast<char*>(arena.resize(const_cast<char*>(text.data()), text.size(), 4));
    CHECK(std::string_view(moved, 3) == "abc");
    CHECK(text == "abc");
  }
  CHECK(pool.held() == 0);
}

TEST_CASE("the arena copies and joins text") {
  BlockPool pool;
  Arena arena(pool);
  std::string text = "abc";
  std::string_view copy = arena.copy(text);
  text = "xyz";
  CHECK(copy == "abc");
  CHECK(arena.join("a", "", "bc", "d") == "abcd");
  CHECK(arena.join("", "").empty());
  CHECK(arena.copy("").data() != nullptr);
  std::string large(100'000, 'l');
  CHECK(arena.copy(large) == large);
  auto numbers = arena.make_array<uint64_t>(10);
  CHECK(numbers.size() == 10);
  CHECK(numbers[9] == 0);
}

namespace {
struct Item : ListHook {
  explicit Item(int n) : number(n) {}
  int number;
};
std::vector<int> numbers(IntrusiveList<Item>& list) {
  std::vector<int> out;
  list.for_each([&](Item& item) { out.push_back(item.number); });
  return out;
}
}  // namespace

TEST_CASE("list elements leave by unlinking, dying, moving and being popped") {
  IntrusiveList<Item> list, other;
  Item a(1), b(2), c(3);
  {
    Item dying(4);
    list.push_back(a);
    list.push_back(dying);
    list.push_back(b);
    list.push_front(c);
    CHECK(numbers(list) == std::vector<int>{3, 1, 4, 2});
    CHECK(list.back() == &b);
  }
  CHECK(numbers(list) == std::vector<int>{3, 1, 2});
  other.push_back(a);  // out of the first list
  CHECK(numbers(list) == std::vector<int>{3, 2});
  CHECK(numbers(other) == std::vector<int>{1});
  list.for_each([](Item& item) { item.unlink(); });
  CHECK(list.empty());
  CHECK(list.pop_front() == nullptr);
  CHECK(!b.linked());
  CHECK(a.linked());
}

TEST_CASE("elements outlive their list unlinked") {
  Item a(1);
  {
    IntrusiveList<Item> list;
    list.push_back(a);
  }
  CHECK(!a.linked());
}

TEST_CASE("pause reasons report the first set and the last clear only") {
  PauseReasons reasons;
  CHECK(!reasons.any());
  CHECK(reasons.set(PauseReason::sink_full));
  CHECK(!reasons.set(PauseReason::plugin));
  CHECK(!reasons.set(PauseReason::plugin));
  CHECK(reasons.has(PauseReason::plugin));
  CHECK(!reasons.clear(PauseReason::plugin));
  CHECK(!reasons.clear(PauseReason::pipelined));
  CHECK(reasons.clear(PauseReason::sink_full));
  CHECK(!reasons.clear(PauseReason::sink_full));
}
