#include "base/arena.h"

#include <cstdint>
#include <new>

namespace penstock {

void* Arena::allocate(size_t size, size_t align) {
  if (size + align > BlockPool::Block::capacity) return allocate_large(size);
  for (;;) {
    uintptr_t at = (at_ + align - 1) & ~(uintptr_t{align} - 1);
    if (end_ != 0 && at + size <= end_) {
      at_ = at + size;
      return reinterpret_cast<void*>(at);
    }
    add_block(size + align);
  }
}

void Arena::add_block(size_t size) {
  if (small_count_ < max_small && size <= BlockPool::SmallBlock::capacity) {
    BlockPool::SmallBlock* block = pool_->take_small();
    held_ += BlockPool::small_size;
    ++small_count_;
    block->next = small_;
    small_ = block;
    at_ = reinterpret_cast<uintptr_t>(block->data);
    end_ = at_ + BlockPool::SmallBlock::capacity;
    return;
  }
  BlockPool::Block* block = pool_->take();
  held_ += BlockPool::block_size;
  block->next = blocks_;
  blocks_ = block;
  at_ = reinterpret_cast<uintptr_t>(block->data);
  end_ = at_ + BlockPool::Block::capacity;
}

void* Arena::allocate_large(size_t size) {
  size += sizeof(Large);
  large_ = new (::operator new(size)) Large{large_, size};
  held_ += size;
  pool_->charge(static_cast<int64_t>(size));
  return large_ + 1;
}

// There are few: what grows so, and what a block could not hold.
void Arena::free_large(void* memory) {
  for (Large** at = &large_; *at; at = &(*at)->next) {
    if (*at + 1 != memory) continue;
    Large* gone = std::exchange(*at, (*at)->next);
    held_ -= gone->size;
    pool_->charge(-static_cast<int64_t>(gone->size));
    ::operator delete(gone);
    return;
  }
}

void* Arena::resize(void* old, size_t used, size_t size) {
  void* wider = allocate_large(size);
  if (used > 0) std::memcpy(wider, old, used);
  free_large(old);
  return wider;
}

std::string_view Arena::join(std::string_view a, std::string_view b, std::string_view c, std::string_view d) {
  size_t size = a.size() + b.size() + c.size() + d.size();
  if (size == 0) return {"", 0};
  char* out = static_cast<char*>(allocate(size, 1));
  char* at = out;
  for (std::string_view part : {a, b, c, d}) {
    if (!part.empty()) std::memcpy(at, part.data(), part.size());
    at += part.size();
  }
  return {out, size};
}

void Arena::reset() {
  pool_->give_chain(blocks_);
  blocks_ = nullptr;
  while (small_) {
    BlockPool::SmallBlock* next = small_->next;
    pool_->give(small_);
    small_ = next;
  }
  small_count_ = 0;
  at_ = end_ = 0;
  while (large_) {
    Large* next = large_->next;
    pool_->charge(-static_cast<int64_t>(large_->size));
    ::operator delete(large_);
    large_ = next;
  }
  held_ = 0;
}

}  // namespace penstock
