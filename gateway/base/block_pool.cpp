#include "base/block_pool.h"

namespace penstock {
namespace {

template <class T>
void delete_all(T* first) {
  while (first) {
    T* block = first;
    first = block->next;
    delete block;
  }
}

}  // namespace

BlockPool::~BlockPool() {
  delete_all(blocks_.free);
  delete_all(small_.free);
  if (budget_) budget_->add(-reported_);
}

template <class T>
bool BlockPool::Kept<T>::give(T* block) {
  if (count >= max_kept) return false;
  block->next = free;
  free = block;
  ++count;
  return true;
}

BlockPool::Block* BlockPool::take() {
  ++in_use_;
  charge(block_size);
  if (!blocks_.free) return new Block;
  Block* block = blocks_.free;
  blocks_.free = block->next;
  --blocks_.count;
  block->next = nullptr;
  block->begin = block->end = 0;
  return block;
}

void BlockPool::give(Block* block) {
  --in_use_;
  charge(-static_cast<int64_t>(block_size));
  if (!blocks_.give(block)) delete block;
}

void BlockPool::give_chain(Block* first) {
  while (first) {
    Block* next = first->next;
    give(first);
    first = next;
  }
}

BlockPool::SmallBlock* BlockPool::take_small() {
  ++in_use_;
  charge(small_size);
  if (!small_.free) return new SmallBlock;
  SmallBlock* block = small_.free;
  small_.free = block->next;
  --small_.count;
  return block;
}

void BlockPool::give(SmallBlock* block) {
  --in_use_;
  charge(-static_cast<int64_t>(small_size));
  if (!small_.give(block)) delete block;
}

void BlockPool::report_to(MemoryBudget* budget, Exceeded on_exceeded, void* owner) {
  if (budget_) budget_->add(-reported_);
  reported_ = 0;
  budget_ = budget;
  exceeded_ = on_exceeded;
  owner_ = owner;
  report();
}

void BlockPool::report() {
  if (!budget_) return;
  budget_->add(held_ - reported_);
  reported_ = held_;
  if (exceeded_ && budget_->exceeded()) exceeded_(owner_);
}

}  // namespace penstock
