// The fields that tell a client what is left: RateLimit and RateLimit-Policy as in
// draft-ietf-httpapi-ratelimit-headers-10, X-RateLimit-*, and seconds as Retry-After has them.
#pragma once
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "tiers.h"

namespace rate_limit {

inline uint64_t seconds_up(int64_t ns) {
  return ns <= 0 ? 0 : static_cast<uint64_t>((ns - 1) / 1'000'000'000 + 1);
}

// Text into a buffer of fixed size; what does not fit is left out.
class Line {
 public:
  Line& operator<<(std::string_view text) {
    const size_t n = std::min(text.size(), sizeof buffer_ - size_);
    std::memcpy(buffer_ + size_, text.data(), n);
    size_ += n;
    return *this;
  }
  Line& operator<<(uint64_t number) {
    char digits[20];
    const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    return *this << std::string_view(digits, static_cast<size_t>(end - digits));
  }
  bool empty() const { return size_ == 0; }
  std::string_view text() const { return {buffer_, size_}; }

 private:
  char buffer_[2048];
  size_t size_ = 0;
};

// RateLimit: what is left of each window, and of the requests at once.
inline void write_remaining(Line& line, const Tier& tier, const gw_limit_state* states, uint64_t at_once) {
  for (size_t i = 0; i < tier.windows.size(); ++i) {
    if (!line.empty()) line << ", ";
    line << tier.names[i] << ";r=" << std::min(states[i].remaining, largest_integer)
         << ";t=" << seconds_up(states[i].reset_ns);
  }
  if (tier.concurrency == 0) return;
  if (!line.empty()) line << ", ";
  line << tier.concurrency_name << ";r=" << (tier.concurrency > at_once ? tier.concurrency - at_once : 0);
}

// The window that X-RateLimit-* tell of: the one with the least left.
inline size_t tightest(const Tier& tier, const gw_limit_state* states) {
  size_t out = 0;
  for (size_t i = 1; i < tier.windows.size(); ++i) {
    if (states[i].remaining < states[out].remaining) out = i;
  }
  return out;
}

inline uint64_t most_of(const gw_limit& limit) {
  return limit.burst >= GW_LIMIT_QUOTA ? limit.count : limit.burst;
}

}  // namespace rate_limit
