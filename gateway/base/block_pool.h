// Fixed-size memory blocks of one worker, kept on a free list so that the steady state allocates nothing.
// Not thread-safe: one pool a loop. A block has exactly one owner (an Arena or a SendQueue). Blocks over the
// kept number go back to the allocator at once, so a burst does not pin its memory for ever. Small blocks are
// for what a slow client holds for long. The pool counts what is held and reports it to the process's budget.
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/memory_budget.h"

namespace penstock {

class BlockPool {
 public:
  static constexpr size_t block_size = 4096;  // a typical head with its attributes fits in one
  static constexpr size_t small_size = 1024;

  struct Block {
    Block* next = nullptr;
    uint32_t begin = 0;  // for the owner's use: the bytes in use are [begin, end)
    uint32_t end = 0;
    static constexpr size_t capacity = block_size - 16;
    char data[capacity];
  };
  struct SmallBlock {
    SmallBlock* next = nullptr;
    static constexpr size_t capacity = small_size - 8;
    char data[capacity];
  };

  explicit BlockPool(size_t max_kept = 4096) : blocks_{.max_kept = max_kept}, small_{.max_kept = max_kept} {}
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;
  ~BlockPool();

  Block* take();  // never null; begin = end = 0
  void give(Block* block);
  void give_chain(Block* first);
  SmallBlock* take_small();  // never null
  void give(SmallBlock* block);
  size_t in_use() const { return in_use_; }  // blocks of both sizes

  // What is held beside the blocks; negative: given back.
  void charge(int64_t bytes) {
    held_ += bytes;
    if (held_ - reported_ > report_step || reported_ - held_ > report_step) report();
  }
  int64_t held() const { return held_; }
  // The process's; null: nobody asks. `on_exceeded` is called, at most once a report, while it is over its
  // limit.
  using Exceeded = void (*)(void* owner);
  void report_to(MemoryBudget* budget, Exceeded on_exceeded, void* owner);
  bool exceeded() const { return budget_ && budget_->exceeded(); }
  bool pressed() const { return budget_ && budget_->pressed(); }
  bool plenty() const { return !budget_ || budget_->plenty(); }

 private:
  static constexpr int64_t report_step = 64 * 1024;
  template <class T>
  struct Kept {
    T* free = nullptr;
    size_t count = 0;
    size_t max_kept = 0;
    bool give(T* block);
  };
  void report();

  Kept<Block> blocks_;
  Kept<SmallBlock> small_;
  size_t in_use_ = 0;
  int64_t held_ = 0;      // bytes
  int64_t reported_ = 0;  // of them
  MemoryBudget* budget_ = nullptr;
  Exceeded exceeded_ = nullptr;
  void* owner_ = nullptr;
};

static_assert(sizeof(BlockPool::Block) == BlockPool::block_size);
static_assert(sizeof(BlockPool::SmallBlock) == BlockPool::small_size);

}  // namespace penstock
