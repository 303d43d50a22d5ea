// What a connection still has to send, in order. While nothing is left over, appended bytes are described by
// up to 16 segments (copied bytes lie in pooled blocks, borrowed ones where they are) that leave in one
// sendmsg; the segment table itself lies in the first block, so that an idle connection holds nothing. After
// keep() whatever was not taken is copied into blocks and later bytes are copied behind it. One loop.
#pragma once
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/block_pool.h"

namespace penstock::net {

class SendQueue {
 public:
  static constexpr size_t max_segments = 16;

  explicit SendQueue(BlockPool& pool) : pool_(&pool) {}
  SendQueue(const SendQueue&) = delete;
  SendQueue& operator=(const SendQueue&) = delete;
  ~SendQueue() { clear(); }

  // Both give back what did not fit because the segments are used up: send or keep(), then append the rest.
  std::string_view append(std::string_view bytes);
  std::string_view append_borrowed(std::string_view bytes);
  // Empty when the segments are used up. `size` at most BlockPool::Block::capacity.
  std::span<char> reserve(size_t size);
  void commit(size_t used);

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  // true from keep() until the queue is empty again: the owner waits for the socket.
  bool keeping() const { return keeping_; }

  // The first bytes of the queue as at most out.size() segments; how many segments.
  size_t segments(std::span<iovec> out) const;
  void consume(size_t size);  // the first `size` bytes are gone
  void keep();                // nothing borrowed is referred to afterwards
  void clear();

 private:
  using Block = BlockPool::Block;
  struct Table {
    iovec segments[max_segments];
  };

  Table& table() const { return *reinterpret_cast<Table*>(first_->data); }
  Block* tail_with_room(size_t size);
  bool add_segment(const char* data, size_t size);
  bool ends_at(const char* data) const;

  BlockPool* pool_;
  Block* first_ = nullptr;
  Block* last_ = nullptr;
  uint32_t size_ = 0;
  uint8_t head_ = 0;   // first segment that is not consumed
  uint8_t count_ = 0;  // segments in the table, consumed ones included
  bool keeping_ = false;
};

}  // namespace penstock::net
