// Whose bytes lie in the kernel while its place is wanted keeps that: once in each wait, until they were read
// for certain, and for a round trip in which the rest of them may come. Member of what waits; one loop.
#pragma once
#include <cstdint>

namespace penstock {

class Spared {
 public:
  // A loop's polls so far and its time; `input_waits` is a system call.
  struct Moment {
    uint64_t polls, now_ms;
  };
  // True: not now.
  template <class InputWaits>
  bool keeps(Moment moment, InputWaits input_waits) {
    const auto polls = static_cast<uint32_t>(moment.polls), now_ms = static_cast<uint32_t>(moment.now_ms);
    if (spared_) return polls - polls_ < read_polls || now_ms - now_ms_ < round_trip_ms;
    if (!input_waits()) return false;
    spared_ = true;
    polls_ = polls;
    now_ms_ = now_ms;
    return true;
  }
  void wait_anew() { spared_ = false; }

 private:
  // In the next poll's callbacks whoever wants the place may come before whoever reads.
  static constexpr uint32_t read_polls = 2;
  static constexpr uint32_t round_trip_ms = 100;

  // Their low halves: every connection has them, and only differences count.
  uint32_t polls_ = 0, now_ms_ = 0;
  bool spared_ = false;
};

}  // namespace penstock
