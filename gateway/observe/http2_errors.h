// Error codes of HTTP/2 (RFC 9113 7) that frames brought or were sent with, counted by one worker. Plain
// numbers.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace penstock::observe {

class Http2ErrorCounts {
 public:
  static constexpr size_t codes = 14;
  // What is beyond them counts as INTERNAL_ERROR.
  void count(uint32_t code) { ++counts_[code < codes ? code : 2]; }
  void merge(const Http2ErrorCounts& other) {
    for (size_t i = 0; i < codes; ++i) counts_[i] += other.counts_[i];
  }
  uint64_t of(size_t code) const { return counts_[code]; }
  static std::string_view name(size_t code);  // "NO_ERROR", ...; static text

 private:
  std::array<uint64_t, codes> counts_{};
};

}  // namespace penstock::observe
