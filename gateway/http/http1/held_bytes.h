// Bytes behind the request that is open: the next requests, or the first bytes of a tunnel. No memory while
// empty; what there is is charged to the process's memory. Member of a connection, one loop.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/block_pool.h"

namespace penstock::http::http1 {

class HeldBytes {
 public:
  explicit HeldBytes(BlockPool& pool) : pool_(pool) {}
  ~HeldBytes() { clear(); }
  HeldBytes(const HeldBytes&) = delete;
  HeldBytes& operator=(const HeldBytes&) = delete;

  bool empty() const { return bytes_.empty(); }  // used ones count until drop_used()
  size_t size() const { return bytes_.size() - begin_; }
  size_t memory() const { return charged_; }  // what it takes of the process's
  std::string_view view() const { return std::string_view(bytes_).substr(begin_); }

  void append(std::string_view more) {
    bytes_.erase(0, begin_);  // a client that never lets it run empty must not make it grow
    begin_ = 0;
    bytes_.append(more);
    charge();
  }
  // All but the last `left` bytes are used up; views stay good until drop_used().
  void keep_last(size_t left) { begin_ = bytes_.size() - left; }
  void drop_used() {
    if (begin_ == bytes_.size()) clear();
  }
  void clear() {
    std::string().swap(bytes_);  // an assignment would keep the memory
    begin_ = 0;
    charge();
  }

 private:
  void charge() {
    size_t held = bytes_.capacity() > std::string().capacity() ? bytes_.capacity() : 0;
    pool_.charge(static_cast<int64_t>(held) - static_cast<int64_t>(charged_));
    charged_ = held;
  }

  BlockPool& pool_;
  std::string bytes_;
  size_t begin_ = 0;
  size_t charged_ = 0;
};

}  // namespace penstock::http::http1
