// A small fast random generator (xoshiro256++ by Blackman and Vigna) for balancing: one a worker and cluster,
// so no lock. Not for secrets.
#pragma once
#include <cstdint>

namespace penstock::upstream {

class Random {
 public:
  explicit Random(uint64_t seed) {
    // splitmix64 fills the state, as the authors advise: a poor seed must not make a poor sequence.
    for (uint64_t& word : state_) {
      uint64_t z = (seed += 0x9e3779b97f4a7c15u);
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
      word = z ^ (z >> 31);
    }
  }

  uint64_t next() {
    uint64_t result = rotate(state_[0] + state_[3], 23) + state_[0];
    uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = rotate(state_[3], 45);
    return result;
  }

  // 0 .. bound-1; bound is not 0. The bias is bound / 2^64: far below anything that could be measured.
  uint64_t below(uint64_t bound) {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(next()) * bound) >> 64);
  }

 private:
  static uint64_t rotate(uint64_t x, int bits) { return (x << bits) | (x >> (64 - bits)); }
  uint64_t state_[4];
};

}  // namespace penstock::upstream
