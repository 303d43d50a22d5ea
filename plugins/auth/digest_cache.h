// What a worker remembers of credentials that somebody else judged, by their SHA-256: neither the table nor a
// core dump of it holds one. Bounded, without locks; one a worker and instance. An entry is good until the
// time that was given with it.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

namespace auth {

using Digest = std::array<unsigned char, 32>;
Digest digest_of(std::string_view text);

template <class Value>
class DigestCache {
 public:
  static constexpr size_t ways = 4;

  explicit DigestCache(size_t entries) {
    if (entries == 0) return;
    sets_ = 1;
    while (sets_ * ways < entries) sets_ *= 2;
    slots_.resize(sets_ * ways);
  }
  Value* find(const Digest& digest, int64_t now_ns) {
    if (slots_.empty()) return nullptr;
    Slot* set = set_of(digest);
    for (size_t i = 0; i < ways; ++i)
      if (set[i].until_ns > now_ns && set[i].digest == digest) return &set[i].value;
    return nullptr;
  }
  // In place of itself, of an expired or of the oldest one. Null: nothing is kept.
  Value* insert(const Digest& digest, Value value, int64_t until_ns, int64_t now_ns) {
    if (slots_.empty() || until_ns <= now_ns) return nullptr;
    Slot* set = set_of(digest);
    Slot* place = &set[turn_++ % ways];
    for (size_t i = 0; i < ways; ++i)
      if (set[i].until_ns <= now_ns) place = &set[i];
    for (size_t i = 0; i < ways; ++i)
      if (set[i].digest == digest) place = &set[i];
    *place = {digest, until_ns, std::move(value)};
    return &place->value;
  }

 private:
  struct Slot {
    Digest digest{};
    int64_t until_ns = INT64_MIN;
    Value value{};
  };
  // SHA-256 spreads evenly whatever a client sends.
  Slot* set_of(const Digest& digest) {
    uint64_t number = 0;
    std::memcpy(&number, digest.data(), sizeof number);
    return &slots_[(number & (sets_ - 1)) * ways];
  }

  size_t sets_ = 0;
  std::vector<Slot> slots_;
  uint32_t turn_ = 0;
};

}  // namespace auth
