// Copies values into a line and looks at them on the way: nearly all are printable ASCII without '"' and
// '\\' from end to end, and whoever copied many asks once, at the end, whether all were. Nothing is written
// behind a value's end. Keeps only what it has seen.
#pragma once
#include <cstdint>
#include <cstring>
#include <string_view>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace logging {

// True when all eight bytes are printable ASCII other than '"' and '\\'.
inline bool plain8(uint64_t bytes) {
  constexpr uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
  const auto zero_byte = [](uint64_t v) { return (v - ones) & ~v; };
  const uint64_t control = (bytes - ones * 0x20) & ~bytes;
  return ((bytes | control | zero_byte(bytes ^ ones * '"') | zero_byte(bytes ^ ones * '\\')) & highs) == 0;
}

inline uint64_t load8(const char* at) {
  uint64_t bytes;
  std::memcpy(&bytes, at, 8);
  return bytes;
}

class PlainCopy {
 public:
  // Behind the copy. Each size is copied in pieces of one width, the last one overlapping the one before.
  char* copy(char* to, std::string_view text) {
    seen_ = copy(to, text.data(), text.size(), seen_);
    return to + text.size();
  }
#if defined(__SSE2__)
  // Until here, everything was plain.
  bool all() const { return _mm_movemask_epi8(seen_) == 0; }

 private:
  using Seen = __m128i;  // bytes of all ones where something was not plain
  static Seen look(__m128i bytes) {
    const __m128i low = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20));  // signed: 0x80 and above are low, too
    const __m128i marks =
        _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
    return _mm_or_si128(low, marks);
  }
  static Seen look(uint64_t low, uint64_t high) {
    return look(_mm_set_epi64x(static_cast<int64_t>(high), static_cast<int64_t>(low)));
  }
  static Seen add(Seen a, Seen b) { return _mm_or_si128(a, b); }
  Seen seen_ = _mm_setzero_si128();
#else
  bool all() const { return seen_; }

 private:
  using Seen = bool;
  static Seen look(uint64_t low, uint64_t high) { return plain8(low) && plain8(high); }
  static Seen add(Seen a, Seen b) { return a && b; }
  Seen seen_ = true;
#endif
  // One function for all members of a line: small code stays in the cache.
  [[gnu::noinline]] static Seen copy(char* to, const char* at, size_t n, Seen seen) {
#if defined(__SSE2__)
    if (n >= 16) {
      const auto piece = [&](size_t i) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at + i));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), bytes);
        seen = add(seen, look(bytes));
      };
      for (size_t i = 0; i + 16 < n; i += 16) piece(i);
      piece(n - 16);
      return seen;
    }
#endif
    if (n >= 8) {
      const auto piece = [&](size_t i) {
        const uint64_t bytes = load8(at + i);
        std::memcpy(to + i, &bytes, 8);
        return bytes;
      };
      for (size_t i = 0; i + 16 < n; i += 8) seen = add(seen, look(piece(i), spaces));
      const uint64_t first = piece(n >= 16 ? n - 16 : 0);
      return add(seen, look(first, piece(n - 8)));
    }
    if (n >= 4) {
      uint32_t first, last;
      std::memcpy(&first, at, 4);
      std::memcpy(&last, at + n - 4, 4);
      std::memcpy(to, &first, 4);
      std::memcpy(to + n - 4, &last, 4);
      return add(seen, look(uint64_t{first} << 32 | last, spaces));
    }
    uint64_t bytes = spaces;
    for (size_t i = 0; i < n; ++i) {
      to[i] = at[i];
      bytes = bytes << 8 | static_cast<uint8_t>(at[i]);
    }
    return add(seen, look(bytes, spaces));
  }
  static constexpr uint64_t spaces = 0x2020202020202020u;  // plain, where there is nothing to look at
};

}  // namespace logging
