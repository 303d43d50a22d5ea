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
    if (spared_) return moment.polls - at_.polls < read_polls || moment.now_ms - at_.now_ms < round_trip_ms;
    if (!input_waits()) return false;
    spared_ = true;
    at_ = moment;
    return true;
  }
  void wait_anew() { spared_ = false; }

 private:
  // In the next poll's callbacks whoever wants the place may come before whoever reads.
  static constexpr uint64_t read_polls = 2;
  static constexpr uint64_t round_trip_ms = 100;

  Moment at_{};
  bool spared_ = false;
};

}  // namespace penstock
