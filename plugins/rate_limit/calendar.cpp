#include "calendar.h"

#include <algorithm>

namespace rate_limit {
namespace {

constexpr int64_t day_ns = 86'400ll * 1'000'000'000;

constexpr bool leap(int64_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

// Days from 1970-01-01 to the first of January of that year, from 1970 on.
constexpr int64_t days_before(int64_t year) {
  const int64_t y = year - 1;
  return 365 * (year - 1970) + (y / 4 - y / 100 + y / 400) - (1969 / 4 - 1969 / 100 + 1969 / 400);
}

// The number of the first day of the month after that of `day`.
constexpr int64_t next_month(int64_t day) {
  int64_t year = 1970 + day / 366;  // never too late
  while (days_before(year + 1) <= day) ++year;
  const int64_t lengths[] = {31, leap(year) ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  int64_t first = days_before(year);
  for (const int64_t length : lengths) {
    first += length;
    if (first > day) break;
  }
  return first;
}
static_assert(next_month(0) == 31 && next_month(58) == 59 && next_month(364) == 365);
static_assert(next_month(days_before(2028) + 31) == days_before(2028) + 60);
static_assert(next_month(days_before(2100) + 31) == days_before(2100) + 59);

}  // namespace

int64_t left_ns(Per per, int64_t wall_ns) {
  const int64_t at = std::max<int64_t>(wall_ns, 0);
  const int64_t day = at / day_ns;
  return (per == Per::day ? day + 1 : next_month(day)) * day_ns - at;
}

}  // namespace rate_limit
