// A bump allocator over pooled blocks: everything a request needs that has no other home (head text, header
// edits, attributes, plugin contexts). Freed as a whole by reset() or the destructor; destructors of what
// lies in it are not run, so only trivially destructible things belong here. One worker; an empty arena holds
// no block, and it begins with two small ones, since slow clients are many and hold little.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/block_pool.h"

namespace penstock {

class Arena {
 public:
  explicit Arena(BlockPool& pool) : pool_(&pool) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() { reset(); }

  // Never null. Requests over a block's capacity come from the general allocator and are freed with the
  // arena.
  void* allocate(size_t size, size_t align = alignof(std::max_align_t));

  // The arena's copy, valid until reset().
  std::string_view copy(std::string_view text) {
    if (text.empty()) return {"", 0};
    char* out = static_cast<char*>(allocate(text.size(), 1));
    std::memcpy(out, text.data(), text.size());
    return {out, text.size()};
  }
  std::string_view join(std::string_view a, std::string_view b, std::string_view c = {},
                        std::string_view d = {});

  // For what grows in small steps and is held for long, as a slow client's head: memory of exactly this size
  // from the general allocator, with the first `used` bytes of `old` in it. What `old` had is freed, if that
  // came from here.
  void* resize(void* old, size_t used, size_t size);

  template <class T, class... Args>
  T* make(Args&&... args) {
    static_assert(std::is_trivially_destructible_v<T>);
    return new (allocate(sizeof(T), alignof(T))) T{std::forward<Args>(args)...};
  }
  template <class T>
  std::span<T> make_array(size_t count) {
    static_assert(std::is_trivially_destructible_v<T>);
    T* first = static_cast<T*>(allocate(sizeof(T) * count, alignof(T)));
    for (size_t i = 0; i < count; ++i) new (first + i) T{};
    return {first, count};
  }

  void reset();
  size_t bytes_held() const { return held_; }  // for the bound on a request's memory

 private:
  struct alignas(std::max_align_t) Large {
    Large* next;
    size_t size;  // with this
  };
  void* allocate_large(size_t size);
  void free_large(void* memory);
  void add_block(size_t size);

  static constexpr uint8_t max_small = 2;

  BlockPool* pool_;
  BlockPool::Block* blocks_ = nullptr;      // newest first
  BlockPool::SmallBlock* small_ = nullptr;  // newest first
  Large* large_ = nullptr;
  // The room that is left in the newest block.
  uintptr_t at_ = 0, end_ = 0;
  uint8_t small_count_ = 0;
  size_t held_ = 0;
};

}  // namespace penstock
