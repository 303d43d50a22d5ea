// Durations by upper bounds, as one worker counts them: plain numbers without atomics.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace penstock::observe {

// Upper bounds in seconds, as OpenTelemetry advises for http.server.request.duration.
inline constexpr std::array<double, 14> duration_bounds{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25,
                                                        0.5,   0.75, 1,     2.5,  5,     7.5, 10};

struct Histogram {
  std::array<uint64_t, duration_bounds.size() + 1> buckets{};  // not cumulative; the last is +Inf
  uint64_t count = 0;
  double sum = 0;  // seconds
  void record(int64_t ns);
  void merge(const Histogram& other);
};

}  // namespace penstock::observe
