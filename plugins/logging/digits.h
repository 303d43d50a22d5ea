// Numbers as decimal text, made in place by table: a division for each three digits, no locale, no
// allocation. Pure functions; both write at most max_number bytes and give back the end.
#pragma once
#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>

namespace logging {

constexpr size_t max_number = 32;  // 20 digits and a fraction

// 000 to 999 as text of four bytes, the last one of no meaning: copied as one word.
constexpr std::array<char, 4000> triples = [] {
  std::array<char, 4000> text{};
  for (size_t i = 0; i < 1000; ++i) {
    text[i * 4] = static_cast<char>('0' + i / 100);
    text[i * 4 + 1] = static_cast<char>('0' + i / 10 % 10);
    text[i * 4 + 2] = static_cast<char>('0' + i % 10);
  }
  return text;
}();

// Below 1000, without leading zeros. Four bytes are written.
inline char* write_small(char* to, uint32_t value) {
  const uint32_t skipped = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  std::memcpy(to, &triples[value * 4 + skipped], 4);
  return to + (3 - skipped);
}

inline char* write_number(char* to, uint64_t value) {
  if (value < 1000) return write_small(to, static_cast<uint32_t>(value));
  if (value >= 1'000'000) return std::to_chars(to, to + 20, value).ptr;
  const auto all = static_cast<uint32_t>(value);
  to = write_small(to, all / 1000);
  std::memcpy(to, &triples[all % 1000 * 4], 4);
  return to + 3;
}

// Nanoseconds as seconds with six decimals, cut, not rounded: 0.000412. What is negative is 0.
inline char* write_seconds(char* to, int64_t ns) {
  const uint64_t micros = ns > 0 ? static_cast<uint64_t>(ns) / 1000 : 0;
  uint32_t rest;
  if (micros < 1'000'000) [[likely]] {
    *to++ = '0';
    rest = static_cast<uint32_t>(micros);
  } else {
    to = write_number(to, micros / 1'000'000);
    rest = static_cast<uint32_t>(micros % 1'000'000);
  }
  *to++ = '.';
  std::memcpy(to, &triples[rest / 1000 * 4], 4);
  std::memcpy(to + 3, &triples[rest % 1000 * 4], 4);
  return to + 6;
}

}  // namespace logging
