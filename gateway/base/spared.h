// Whose bytes lie in the kernel while its place is wanted: it keeps that once in each wait, and is looked at
// again only when the loop has polled, so that they were read before. Member of what waits.
#pragma once
#include <cstdint>

namespace penstock {

class Spared {
 public:
  // True: not now. `polls`: of the loop, so far; `input_waits` is a system call.
  template <class InputWaits>
  bool keeps(uint64_t polls, InputWaits input_waits) {
    if (polls_ == polls) return true;
    if (polls_ != never || !input_waits()) return false;
    polls_ = polls;
    return true;
  }
  void wait_anew() { polls_ = never; }

 private:
  static constexpr uint64_t never = UINT64_MAX;
  uint64_t polls_ = never;
};

}  // namespace penstock
