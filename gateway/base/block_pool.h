// Fixed-size memory blocks of one worker, kept on a free list so that the steady state allocates nothing.
// Not thread-safe: one pool a loop. A block has exactly one owner (an Arena or a SendQueue). Blocks over the
// kept number go back to the allocator at once, so a burst does not pin its memory for ever.
#pragma once
#include <cstddef>
#include <cstdint>

namespace penstock {

class BlockPool {
 public:
  static constexpr size_t block_size = 4096;  // a typical head with its attributes fits in one

  struct Block {
    Block* next = nullptr;
    uint32_t begin = 0;  // for the owner's use: the bytes in use are [begin, end)
    uint32_t end = 0;
    static constexpr size_t capacity = block_size - 16;
    char data[capacity];
  };

  explicit BlockPool(size_t max_kept = 4096) : max_kept_(max_kept) {}
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;
  ~BlockPool();

  Block* take();  // never null; begin = end = 0
  void give(Block* block);
  void give_chain(Block* first);
  size_t in_use() const { return in_use_; }

 private:
  Block* free_ = nullptr;
  size_t kept_ = 0;
  size_t in_use_ = 0;
  size_t max_kept_;
};

static_assert(sizeof(BlockPool::Block) == BlockPool::block_size);

}  // namespace penstock
