// How a check ended: the word for metrics, and a sentence for the log. Plain values.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace penstock::upstream {

enum class CheckResult : uint8_t {
  passed,
  refused,      // nobody takes connections
  unreachable,  // no route, or whatever else the system says
  timeout,
  tls,
  closed,      // within the answer, or before it
  malformed,   // not the protocol that was to be spoken
  over_limit,  // of sizes, of what comes before the answer, of frames that bring nothing
  status,
  body,
  not_serving,  // grpc.health.v1 says so
  grpc_status,
  skipped,  // for want of a descriptor: says nothing about the endpoint
  count_
};
inline constexpr size_t check_result_count = static_cast<size_t>(CheckResult::count_);

std::string_view name(CheckResult result);  // static text

struct CheckReport {
  CheckResult result = CheckResult::passed;
  uint64_t number = 0;    // of a status
  std::string_view text;  // static
};

// Of a connection that could not be made, or was lost.
CheckReport report_of(const Error& error);
// "status 503", "no answer in time": what stands behind "because".
std::string describe(const CheckReport& report);

using CheckCounts = std::array<uint64_t, check_result_count>;

}  // namespace penstock::upstream
