// The SHA-256 of API keys that were shown lately, so that a key which comes with every request is not hashed
// anew each time. Found by the key's keyed hash of 128 bits, which nobody outside can foresee, so no key is
// kept and no other one can be taken for it. Bounded: a key takes the slot of another. One a worker, no
// locks.
#pragma once
#include <array>
#include <cstdint>
#include <memory>

#include "base/keyed_hash.h"

namespace penstock::proxy {

using Digest = std::array<uint8_t, 32>;

class KeyDigests {
 public:
  // compute() gives the digest when it is not known. Valid until the next call.
  template <class Compute>
  const Digest& get(Hash128 key, Compute compute) {
    if (!slots_) slots_ = std::make_unique<std::array<Slot, slot_count>>();
    Slot& slot = (*slots_)[key.low % slot_count];
    if (!slot.used || slot.key != key) slot = {key, compute(), true};
    return slot.digest;
  }

 private:
  static constexpr size_t slot_count = 256;
  struct Slot {
    Hash128 key;
    Digest digest{};
    bool used = false;
  };
  std::unique_ptr<std::array<Slot, slot_count>> slots_;  // made for the first key
};

}  // namespace penstock::proxy
