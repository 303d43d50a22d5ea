// How many of what brings nothing a peer may send: a budget that time refills and useful work wins back. And
// how many windows it may return for what it was sent. Plain values, milliseconds of Loop::now_ms.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace penstock::http::http2 {

class FloodGuard {
 public:
  // `most` in `window_ms`, a minute at most; 0: any number.
  FloodGuard(uint32_t most, uint32_t window_ms, uint64_t now_ms)
      : left_(uint64_t{most} * window_ms),
        window_ms_(window_ms),
        most_(most),
        at_ms_(static_cast<uint32_t>(now_ms)) {}

  // False: it is over its budget.
  bool spend(uint64_t now_ms) {
    if (most_ == 0) return true;
    const auto now = static_cast<uint32_t>(now_ms);
    const uint64_t waited = std::min<uint64_t>(now - at_ms_, window_ms_);
    at_ms_ = now;
    left_ = std::min<uint64_t>(left_ + waited * most_, full());
    if (left_ < window_ms_) return false;
    left_ -= window_ms_;
    return true;
  }
  void win(uint32_t count) { left_ = std::min<uint64_t>(left_ + uint64_t{count} * window_ms_, full()); }

 private:
  uint64_t full() const { return uint64_t{most_} * window_ms_; }

  // Every connection has some of these.
  uint64_t left_ : 48;  // in parts of one: window_ms_ are one
  uint64_t window_ms_ : 16;
  uint32_t most_;
  uint32_t at_ms_;  // its low half: only differences count, and too short a one is on the strict side
};

// The WINDOW_UPDATEs that cost a peer nothing: those for its stream and for its connection, in pieces as its
// program reads them. It may have read late what was sent long ago, after its stream was over, and all of it
// at once: so nothing bounds what is left but the bytes that were sent, which cost more than their windows.
class WindowCredit {
 public:
  void sent(size_t bytes) { left_ += 2 * (1 + bytes / piece); }
  bool take() {
    if (left_ == 0) return false;
    --left_;
    return true;
  }

 private:
  // The smallest buffer that programs read with again and again: Go's io.ReadAll begins with it, and its
  // servers returned both windows for each such read for years (now they do for 4 KiB).
  static constexpr size_t piece = 512;

  uint64_t left_ = 0;
};

}  // namespace penstock::http::http2
