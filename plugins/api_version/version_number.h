// Version names as people write them: v2 = 2 = 2.0, compared number by number. Pure functions, no memory of
// their own.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace api_version {

// v?N(.N)*, without its final zeros.
struct VersionNumber {
  static constexpr size_t max_parts = 8;
  std::array<uint32_t, max_parts> parts{};
  uint8_t count = 0;
};

// nullopt: not of that form, or longer or larger than anybody's versions are.
std::optional<VersionNumber> parse_version(std::string_view text);

// < 0, 0, > 0
int compare(const VersionNumber& a, const VersionNumber& b);

// The version that an Accept field asks for: `version=` or `v=` of a media range, or vnd.X.v2+json; the first
// range that has one decides. Empty: none. A view into the field.
std::string_view version_in_accept(std::string_view field);

}  // namespace api_version
