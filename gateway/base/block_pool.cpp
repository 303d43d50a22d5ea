#include "base/block_pool.h"

namespace penstock {

BlockPool::~BlockPool() {
  while (free_) {
    Block* block = free_;
    free_ = block->next;
    delete block;
  }
}

BlockPool::Block* BlockPool::take() {
  ++in_use_;
  if (!free_) return new Block;
  Block* block = free_;
  free_ = block->next;
  --kept_;
  block->next = nullptr;
  block->begin = block->end = 0;
  return block;
}

void BlockPool::give(Block* block) {
  --in_use_;
  if (kept_ >= max_kept_) {
    delete block;
    return;
  }
  block->next = free_;
  free_ = block;
  ++kept_;
}

void BlockPool::give_chain(Block* first) {
  while (first) {
    Block* next = first->next;
    give(first);
    first = next;
  }
}

}  // namespace penstock
