#include "upstream/health/check_result.h"

#include <fmt/format.h>

#include "base/reason.h"

namespace penstock::upstream {

std::string_view name(CheckResult result) {
  switch (result) {
    case CheckResult::passed: return "passed";
    case CheckResult::refused: return "refused";
    case CheckResult::unreachable: return "unreachable";
    case CheckResult::timeout: return "timeout";
    case CheckResult::tls: return "tls";
    case CheckResult::closed: return "closed";
    case CheckResult::malformed: return "malformed";
    case CheckResult::over_limit: return "over_limit";
    case CheckResult::status: return "status";
    case CheckResult::body: return "body";
    case CheckResult::not_serving: return "not_serving";
    case CheckResult::grpc_status: return "grpc_status";
    case CheckResult::skipped: return "skipped";
    case CheckResult::count_: break;
  }
  return {};
}

CheckReport report_of(const Error& error) {
  using enum CheckResult;
  // Our own shortages alone: a check that could never be made must not pass for one that says nothing.
  if (error.limit == Limit::descriptors || error.reason == reason::overload) return {skipped, 0, error.text};
  switch (error.kind) {
    case ErrorKind::refused: return {refused, 0, error.text};
    case ErrorKind::timeout: return {timeout, 0, error.text};
    case ErrorKind::tls: return {tls, 0, error.text};
    case ErrorKind::closed:
    case ErrorKind::reset: return {closed, 0, error.text};
    case ErrorKind::protocol: return {malformed, 0, error.text};
    case ErrorKind::limit: return {over_limit, 0, error.text};
    case ErrorKind::unresolved:
    case ErrorKind::cancelled:
    case ErrorKind::system: break;
  }
  return {unreachable, 0, error.text};
}

static std::string_view serving_status(uint64_t number) {
  switch (number) {
    case 0: return "UNKNOWN";
    case 2: return "NOT_SERVING";
    case 3: return "SERVICE_UNKNOWN";
    default: return "an unknown status";
  }
}

static std::string_view grpc_code(uint64_t number) {
  switch (number) {
    case 4: return " (deadline exceeded)";
    case 5: return " (not found: it does not know the service)";
    case 7: return " (permission denied)";
    case 8: return " (resource exhausted)";
    case 12: return " (unimplemented: it has no health service)";
    case 13: return " (internal)";
    case 14: return " (unavailable)";
    case 16: return " (unauthenticated)";
    default: return "";
  }
}

std::string describe(const CheckReport& report) {
  switch (report.result) {
    case CheckResult::status: return fmt::format("status {}", report.number);
    case CheckResult::not_serving: return fmt::format("it says {}", serving_status(report.number));
    case CheckResult::grpc_status:
      return fmt::format("grpc-status {}{}", report.number, grpc_code(report.number));
    default: return std::string(report.text.empty() ? name(report.result) : report.text);
  }
}

}  // namespace penstock::upstream
