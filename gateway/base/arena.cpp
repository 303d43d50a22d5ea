#include "base/arena.h"

#include <cstdint>
#include <new>

namespace penstock {

void* Arena::allocate(size_t size, size_t align) {
  using Block = BlockPool::Block;
  if (size + align > Block::capacity) return allocate_large(size);
  if (blocks_) {
    auto base = reinterpret_cast<uintptr_t>(blocks_->data);
    uintptr_t at = (base + blocks_->end + align - 1) & ~(uintptr_t{align} - 1);
    if (at + size <= base + Block::capacity) {
      blocks_->end = static_cast<uint32_t>(at + size - base);
      return reinterpret_cast<void*>(at);
    }
  }
  Block* block = pool_->take();
  held_ += BlockPool::block_size;
  block->next = blocks_;
  blocks_ = block;
  return allocate(size, align);
}

void* Arena::allocate_large(size_t size) {
  constexpr size_t header =
      alignof(std::max_align_t) > sizeof(Large) ? alignof(std::max_align_t) : sizeof(Large);
  char* raw = static_cast<char*>(::operator new(header + size));
  held_ += header + size;
  large_ = new (raw) Large{large_};
  return raw + header;
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
  while (large_) {
    Large* next = large_->next;
    ::operator delete(large_);
    large_ = next;
  }
  held_ = 0;
}

}  // namespace penstock
