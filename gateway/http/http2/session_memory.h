// The memory of one nghttp2 session, from the loop's pool: the steady state allocates nothing. What the
// session takes beyond what it was made of is charged to the process's memory. Member of a session; one loop.
#pragma once
#include <nghttp2/nghttp2.h>

#include "base/block_pool.h"
#include "base/sized_pool.h"

namespace penstock::http::http2 {

class SessionMemory {
 public:
  SessionMemory(SizedPool& pieces, BlockPool& budget) : pieces_(pieces), budget_(budget) {}
  SessionMemory(const SessionMemory&) = delete;
  SessionMemory& operator=(const SessionMemory&) = delete;
  ~SessionMemory() { budget_.charge(own_); }

  nghttp2_mem functions();
  // The session is made: what it has now is its own.
  void made() {
    own_ = held_;
    budget_.charge(-own_);
  }
  size_t held() const { return held_ > own_ ? static_cast<size_t>(held_ - own_) : 0; }

 private:
  static void* take(size_t size, void* self);
  static void* take_zeroed(size_t count, size_t size, void* self);
  static void* resize(void* piece, size_t size, void* self);
  static void give(void* piece, void* self);
  void count(int64_t bytes) {
    held_ += bytes;
    budget_.charge(bytes);
  }

  SizedPool& pieces_;
  BlockPool& budget_;
  int64_t held_ = 0;
  int64_t own_ = 0;
};

}  // namespace penstock::http::http2
