#include "instant.h"

#include <chrono>
#include <cstdio>

namespace api_version {
namespace {

// Exactly `digits` decimal digits at the front.
std::optional<int> take_number(std::string_view& text, size_t digits) {
  if (text.size() < digits) return std::nullopt;
  int value = 0;
  for (size_t i = 0; i < digits; ++i) {
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(digits);
  return value;
}

bool take(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

// "10:00Z" or "10:00:30Z" as seconds of the day.
std::optional<int64_t> take_time(std::string_view& text) {
  const auto hour = take_number(text, 2);
  if (!hour || *hour > 23 || !take(text, ':')) return std::nullopt;
  const auto minute = take_number(text, 2);
  if (!minute || *minute > 59) return std::nullopt;
  int second = 0;
  if (take(text, ':')) {
    const auto given = take_number(text, 2);
    if (!given || *given > 59) return std::nullopt;
    second = *given;
  }
  if (!take(text, 'Z')) return std::nullopt;
  return *hour * 3600 + *minute * 60 + second;
}

}  // namespace

std::optional<int64_t> parse_instant(std::string_view text) {
  using namespace std::chrono;
  const auto y = take_number(text, 4);
  if (!y || !take(text, '-')) return std::nullopt;
  const auto m = take_number(text, 2);
  if (!m || !take(text, '-')) return std::nullopt;
  const auto d = take_number(text, 2);
  if (!d) return std::nullopt;
  const year_month_day date{year(*y), month(static_cast<unsigned>(*m)), day(static_cast<unsigned>(*d))};
  if (!date.ok()) return std::nullopt;
  int64_t seconds = sys_days(date).time_since_epoch().count() * int64_t{86400};
  if (take(text, 'T')) {
    const auto time = take_time(text);
    if (!time) return std::nullopt;
    seconds += *time;
  }
  return text.empty() ? std::optional(seconds) : std::nullopt;
}

std::string http_date(int64_t seconds) {
  using namespace std::chrono;
  static constexpr const char* weekdays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const sys_seconds point{std::chrono::seconds(seconds)};
  const sys_days day = floor<days>(point);
  const year_month_day date(day);
  const auto of_day = (point - day).count();
  char out[40];
  const int n = std::snprintf(out, sizeof out, "%s, %02u %s %04d %02d:%02d:%02d GMT",
                              weekdays[weekday(day).c_encoding()], static_cast<unsigned>(date.day()),
                              months[static_cast<unsigned>(date.month()) - 1], static_cast<int>(date.year()),
                              static_cast<int>(of_day / 3600), static_cast<int>(of_day / 60 % 60),
                              static_cast<int>(of_day % 60));
  return {out, static_cast<size_t>(n)};
}

}  // namespace api_version
