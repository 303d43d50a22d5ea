// What checks in a row say of an endpoint. Until one has passed or enough have failed nothing is known, and
// an endpoint of which nothing is known is used. Pure; one of each check.
#pragma once
#include <algorithm>
#include <cstdint>

#include "upstream/endpoint_set.h"
#include "upstream/health/check_settings.h"

namespace penstock::upstream {

class Verdict {
 public:
  enum class Change : uint8_t { none, went_down, came_back };

  Change passed(const CheckPace& pace) {
    count(1);
    if (health_ == Health::unknown) health_ = Health::up;
    if (health_ != Health::down || in_row_ < static_cast<int64_t>(pace.healthy)) return Change::none;
    health_ = Health::up;
    return Change::came_back;
  }
  Change failed(const CheckPace& pace) {
    count(-1);
    if (health_ == Health::down || -in_row_ < static_cast<int64_t>(pace.unhealthy)) return Change::none;
    health_ = Health::down;
    return Change::went_down;
  }

  Health health() const { return health_; }
  int64_t in_row() const { return in_row_; }  // passed; below 0: failed

 private:
  void count(int64_t one) { in_row_ = in_row_ * one > 0 ? in_row_ + one : one; }
  Health health_ = Health::unknown;
  int64_t in_row_ = 0;
};

// Until the next check, from the beginning of this one. `point` is anywhere in [0, 1).
inline uint64_t check_delay_ms(const CheckPace& pace, double point) {
  double interval = pace.interval_ms;
  return std::max<uint64_t>(1, static_cast<uint64_t>(interval * (1 + pace.jitter * (2 * point - 1))));
}

// Until the first one: soon, but not all at once. What comes beyond waits for a place.
inline uint64_t first_check_delay_ms(const CheckPace& pace, double point) {
  constexpr uint32_t most_ms = 1'000;
  return static_cast<uint64_t>(std::min(pace.interval_ms, most_ms) * point);
}

}  // namespace penstock::upstream
