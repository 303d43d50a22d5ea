// The body bytes that a stream still has to send: what was lent to it lies where it is until keep() copies
// the rest into pooled blocks. Member of a stream; one loop.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

#include "base/block_pool.h"

namespace penstock::http::http2 {

class OutQueue {
 public:
  explicit OutQueue(BlockPool& pool) : pool_(pool) {}
  OutQueue(const OutQueue&) = delete;
  OutQueue& operator=(const OutQueue&) = delete;
  ~OutQueue() { clear(); }

  bool empty() const { return size() == 0; }
  size_t size() const { return kept_ + lent_size_; }

  void lend(std::string_view bytes) {
    if (lent_end_ == lent_.size()) keep();
    lent_[lent_end_++] = bytes;
    lent_size_ += bytes.size();
  }
  // From here on nothing that was lent is referred to.
  void keep();
  // Takes the first `size` bytes, which are there, and tells sink(piece) of them. The blocks that are used up
  // are put onto `spent`, where they hold the pieces until they are given back.
  template <class Sink>
  void take(size_t size, BlockPool::Block*& spent, Sink sink) {
    while (size > 0 && first_) {
      const size_t part = std::min<size_t>(size, first_->end - first_->begin);
      sink(std::string_view(first_->data + first_->begin, part));
      first_->begin += static_cast<uint32_t>(part);
      kept_ -= part;
      size -= part;
      if (first_->begin < first_->end) return;
      BlockPool::Block* used = first_;
      first_ = used->next;
      if (!first_) last_ = nullptr;
      used->next = spent;
      spent = used;
    }
    while (size > 0) {
      std::string_view& next = lent_[lent_begin_];
      const size_t part = std::min(size, next.size());
      sink(next.substr(0, part));
      next.remove_prefix(part);
      lent_size_ -= part;
      size -= part;
      if (next.empty()) ++lent_begin_;
    }
    if (lent_size_ == 0) lent_begin_ = lent_end_ = 0;
  }
  void clear();

 private:
  void append(std::string_view bytes);

  BlockPool& pool_;
  BlockPool::Block* first_ = nullptr;
  BlockPool::Block* last_ = nullptr;
  size_t kept_ = 0;
  size_t lent_size_ = 0;
  uint8_t lent_begin_ = 0, lent_end_ = 0;
  std::array<std::string_view, 4> lent_;
};

}  // namespace penstock::http::http2
