// Points in time as the configuration writes them and as HTTP sends them. UTC only. Pure functions.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace api_version {

// 2026-06-01 (00:00 UTC), 2035-12-01T10:00Z, 2035-12-01T10:00:30Z: seconds since 1970. nullopt: not such a
// text, or no such day.
std::optional<int64_t> parse_instant(std::string_view text);

// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 section 5.6.7).
std::string http_date(int64_t seconds);

}  // namespace api_version
