// Why a token is refused.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace auth {

// The order is that of the table in verify.cpp.
enum class Fault : uint8_t {
  none,
  malformed,
  repeated,
  algorithm,
  key,
  signature,
  expired,
  not_yet,
  issuer,
  audience,
  missing_claim,  // exp, or the one that names the consumer
  claim,          // known, but a claim of `require` does not hold
  scope,          // known, but a scope is missing
  no_keys         // there are none yet to judge it with
};
inline constexpr size_t fault_count = 14;

struct FaultText {
  uint16_t status;
  std::string_view reason;       // stable code
  std::string_view description;  // for error_description (RFC 6750 3: neither quotes nor backslashes)
};
const FaultText& text_of(Fault fault);

}  // namespace auth
