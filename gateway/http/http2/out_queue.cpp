#include "http/http2/out_queue.h"

#include <algorithm>
#include <cstring>

namespace penstock::http::http2 {

void OutQueue::keep() {
  for (; lent_begin_ < lent_end_; ++lent_begin_) append(lent_[lent_begin_]);
  lent_begin_ = lent_end_ = 0;
  lent_size_ = 0;
}

void OutQueue::append(std::string_view bytes) {
  kept_ += bytes.size();
  while (!bytes.empty()) {
    if (!last_ || last_->end == BlockPool::Block::capacity) {
      BlockPool::Block* block = pool_.take();
      (last_ ? last_->next : first_) = block;
      last_ = block;
    }
    const size_t part = std::min<size_t>(bytes.size(), BlockPool::Block::capacity - last_->end);
    std::memcpy(last_->data + last_->end, bytes.data(), part);
    last_->end += static_cast<uint32_t>(part);
    bytes.remove_prefix(part);
  }
}

void OutQueue::clear() {
  pool_.give_chain(first_);
  first_ = last_ = nullptr;
  kept_ = lent_size_ = 0;
  lent_begin_ = lent_end_ = 0;
}

}  // namespace penstock::http::http2
