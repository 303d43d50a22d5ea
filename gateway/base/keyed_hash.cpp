#include "base/keyed_hash.h"

#include <bit>
#include <cstring>
#include <random>

namespace penstock {
namespace {

struct Sip {
  uint64_t v0, v1, v2, v3;

  void round() {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }
  void absorb(uint64_t word) {
    v3 ^= word;
    round();
    v0 ^= word;
  }
  uint64_t squeeze() {
    for (int i = 0; i < 3; ++i) round();
    return v0 ^ v1 ^ v2 ^ v3;
  }
};

}  // namespace

Hash128 random_hash_key() {
  std::random_device device;
  const auto word = [&] { return uint64_t{device()} << 32 | device(); };
  return {word(), word()};
}

Hash128 keyed_hash(Hash128 key, std::string_view bytes) {
  Sip sip{key.low ^ 0x736f6d6570736575u, key.high ^ 0x646f72616e646f6du ^ 0xee, key.low ^ 0x6c7967656e657261u,
          key.high ^ 0x7465646279746573u};
  const char* at = bytes.data();
  size_t left = bytes.size();
  for (; left >= 8; at += 8, left -= 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    sip.absorb(word);
  }
  uint64_t last = uint64_t{bytes.size()} << 56;
  if (left > 0 && bytes.size() >= 8) {  // the last eight bytes, without those that were taken
    uint64_t word;
    std::memcpy(&word, at + left - 8, 8);
    last |= word >> (8 * (8 - left));
  } else {
    for (size_t i = 0; i < left; ++i) last |= uint64_t{static_cast<uint8_t>(at[i])} << (8 * i);
  }
  sip.absorb(last);
  sip.v2 ^= 0xee;
  const uint64_t low = sip.squeeze();
  sip.v1 ^= 0xdd;
  return {low, sip.squeeze()};
}

}  // namespace penstock
