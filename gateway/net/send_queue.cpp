#include "net/send_queue.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace penstock::net {

// The last block if it has room for size bytes, else a new one behind it.
BlockPool::Block* SendQueue::tail_with_room(size_t size) {
  if (last_ && Block::capacity - last_->end >= size) return last_;
  Block* block = pool_->take();
  if (!first_) {
    first_ = last_ = block;
    if (!keeping_) block->end = sizeof(Table);
    if (Block::capacity - block->end < size) return tail_with_room(size);
    return block;
  }
  last_->next = block;
  last_ = block;
  return block;
}

bool SendQueue::ends_at(const char* data) const {
  if (count_ == head_) return false;
  const iovec& segment = table().segments[count_ - 1];
  return static_cast<const char*>(segment.iov_base) + segment.iov_len == data;
}

bool SendQueue::add_segment(const char* data, size_t size) {
  if (count_ == max_segments) return false;
  table().segments[count_++] = {const_cast<char*>(data), size};
  return true;
}

std::string_view SendQueue::append(std::string_view bytes) {
  while (!bytes.empty()) {
    Block* block = tail_with_room(1);
    size_t part = std::min(bytes.size(), Block::capacity - block->end);
    char* at = block->data + block->end;
    if (!keeping_) {
      if (ends_at(at))
        table().segments[count_ - 1].iov_len += part;
      else if (!add_segment(at, part))
        break;
    }
    std::memcpy(at, bytes.data(), part);
    block->end += static_cast<uint32_t>(part);
    size_ += static_cast<uint32_t>(part);
    bytes.remove_prefix(part);
  }
  return bytes;
}

std::string_view SendQueue::append_borrowed(std::string_view bytes) {
  if (keeping_) return append(bytes);
  if (bytes.empty()) return bytes;
  tail_with_room(0);  // the table
  if (!add_segment(bytes.data(), bytes.size())) return bytes;
  size_ += static_cast<uint32_t>(bytes.size());
  return {};
}

std::span<char> SendQueue::reserve(size_t size) {
  assert(size <= Block::capacity);
  Block* block = tail_with_room(size);
  char* at = block->data + block->end;
  if (!keeping_ && count_ == max_segments && !ends_at(at)) return {};
  return {at, Block::capacity - block->end};
}

void SendQueue::commit(size_t used) {
  if (used == 0) return;
  assert(last_ && Block::capacity - last_->end >= used);
  char* at = last_->data + last_->end;
  if (!keeping_) {
    if (ends_at(at))
      table().segments[count_ - 1].iov_len += used;
    else
      add_segment(at, used);
  }
  last_->end += static_cast<uint32_t>(used);
  size_ += static_cast<uint32_t>(used);
}

size_t SendQueue::segments(std::span<iovec> out) const {
  size_t filled = 0;
  if (size_ == 0) return 0;
  if (!keeping_) {
    for (size_t i = head_; i < count_ && filled < out.size(); ++i) out[filled++] = table().segments[i];
    return filled;
  }
  for (Block* block = first_; block && filled < out.size(); block = block->next)
    if (block->end > block->begin) out[filled++] = {block->data + block->begin, block->end - block->begin};
  return filled;
}

void SendQueue::consume(size_t size) {
  assert(size <= size_);
  size_ -= static_cast<uint32_t>(size);
  if (size_ == 0) {
    clear();
    return;
  }
  if (!keeping_) {
    while (size > 0) {
      iovec& segment = table().segments[head_];
      size_t part = std::min(size, segment.iov_len);
      segment.iov_base = static_cast<char*>(segment.iov_base) + part;
      segment.iov_len -= part;
      size -= part;
      if (segment.iov_len == 0) ++head_;
    }
    return;
  }
  for (;;) {
    size_t part = std::min<size_t>(size, first_->end - first_->begin);
    first_->begin += static_cast<uint32_t>(part);
    size -= part;
    if (size == 0 && first_->begin < first_->end) return;
    if (first_ == last_) return;  // emptied, but not the end: size_ > 0 means there is another block
    Block* gone = first_;
    first_ = gone->next;
    pool_->give(gone);
    if (size == 0) return;
  }
}

void SendQueue::keep() {
  if (keeping_) return;
  if (size_ == 0) {
    clear();
    return;
  }
  iovec left[max_segments];
  size_t count = segments(left);
  Block* old = first_;
  first_ = last_ = nullptr;
  size_ = 0;
  head_ = count_ = 0;
  keeping_ = true;
  for (size_t i = 0; i < count; ++i) append({static_cast<const char*>(left[i].iov_base), left[i].iov_len});
  pool_->give_chain(old);
}

void SendQueue::clear() {
  pool_->give_chain(first_);
  first_ = last_ = nullptr;
  size_ = 0;
  head_ = count_ = 0;
  keeping_ = false;
}

}  // namespace penstock::net
