// How urgent an answer is (RFC 9218 4), as a `priority` field or a PRIORITY_UPDATE says it. A plain value.
#pragma once
#include <cstdint>
#include <string_view>

namespace penstock::http::http2 {

struct Priority {
  uint8_t urgency = 3;  // 0 to 7, 0 first
  bool incremental = false;

  // Takes over what the field says; what it does not say, or not as RFC 9218 wants it, stays.
  void merge(std::string_view field);
  bool operator==(const Priority&) const = default;
};

}  // namespace penstock::http::http2
