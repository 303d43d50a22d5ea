#include "base/keyed_hash.h"

#include <doctest/doctest.h>

#include <bit>
#include <memory>
#include <set>
#include <string>

using penstock::Hash128;
using penstock::keyed_hash;

namespace {

// SipHash-1-3-128 as its authors describe it, a byte at a time.
struct Reference {
  uint64_t v0, v1, v2, v3;
  void round() {
    v0 += v1, v1 = std::rotl(v1, 13) ^ v0, v0 = std::rotl(v0, 32);
    v2 += v3, v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3, v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1, v1 = std::rotl(v1, 17) ^ v2, v2 = std::rotl(v2, 32);
  }
  static Hash128 of(Hash128 key, std::string_view text) {
    Reference r{key.low ^ 0x736f6d6570736575u, key.high ^ 0x646f72616e646f6du ^ 0xee,
                key.low ^ 0x6c7967656e657261u, key.high ^ 0x7465646279746573u};
    std::string padded(text);
    padded.resize(text.size() / 8 * 8 + 7, '\0');
    padded += static_cast<char>(text.size());
    for (size_t at = 0; at < padded.size(); at += 8) {
      uint64_t word = 0;
      for (size_t i = 0; i < 8; ++i) word |= uint64_t{static_cast<uint8_t>(padded[at + i])} << (8 * i);
      r.v3 ^= word;
      r.round();
      r.v0 ^= word;
    }
    const auto out = [&] {
      for (int i = 0; i < 3; ++i) r.round();
      return r.v0 ^ r.v1 ^ r.v2 ^ r.v3;
    };
    r.v2 ^= 0xee;
    const uint64_t low = out();
    r.v1 ^= 0xdd;
    return {low, out()};
  }
};

}  // namespace

TEST_CASE("a keyed hash is SipHash-1-3-128 at every length") {
  const Hash128 key{0x0706050403020100u, 0x0f0e0d0c0b0a0908u};
  std::set<uint64_t> seen;
  for (size_t size = 0; size < 300; ++size) {
    auto exact = std::make_unique<char[]>(size);  // a look beyond its ends would be seen
    for (size_t i = 0; i < size; ++i) exact[i] = static_cast<char>(i * 37 + 200);
    const Hash128 hash = keyed_hash(key, {exact.get(), size});
    REQUIRE(hash == Reference::of(key, {exact.get(), size}));
    REQUIRE(seen.insert(hash.low).second);
  }
  CHECK(keyed_hash(key, "a") != keyed_hash({key.low + 1, key.high}, "a"));
}
