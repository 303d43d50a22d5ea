// SipHash-1-3 with 128 bits of result, for tables whose keys come from clients (limits, API keys): nobody
// outside may be able to choose two that meet. Pure functions; the key is drawn once for a process.
#pragma once
#include <cstdint>
#include <string_view>

namespace penstock {

struct Hash128 {
  uint64_t low = 0, high = 0;
  bool operator==(const Hash128&) const = default;
};

Hash128 random_hash_key();
Hash128 keyed_hash(Hash128 key, std::string_view bytes);

}  // namespace penstock
