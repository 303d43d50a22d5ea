// Does a peer keep up a minimum rate? A credit of `window` that waiting uses up and bytes win back, never
// more than the window: a peer that was fast for an hour cannot trickle for the next one. Plain value.
#pragma once
#include <algorithm>
#include <cstdint>

namespace penstock {

class MinimumRate {
 public:
  MinimumRate() = default;
  // Bytes a second; 0: no minimum. The window is in ms.
  MinimumRate(uint32_t rate, uint32_t window_ms)
      : rate_(rate), full_(uint64_t{rate} * std::max(window_ms, 1u)), credit_(full_) {}

  void waited(uint64_t ms) { credit_ -= std::min(credit_, ms > full_ ? full_ : ms * rate_); }
  void received(uint64_t bytes) {
    if (credit_ == 0) return;  // broken is broken
    credit_ = bytes > full_ / 1000 ? full_ : std::min(full_, credit_ + bytes * 1000);
  }
  void restart() { credit_ = full_; }
  bool broken() const { return rate_ != 0 && credit_ == 0; }
  // How long silence is still borne.
  uint64_t left_ms() const { return rate_ == 0 ? UINT64_MAX : (credit_ + rate_ - 1) / rate_; }

 private:
  uint32_t rate_ = 0;
  uint64_t full_ = 0, credit_ = 0;  // in thousandths of a byte
};

}  // namespace penstock
