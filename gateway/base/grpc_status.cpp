#include "base/grpc_status.h"

#include <algorithm>
#include <array>

#include "base/reason.h"

namespace penstock {
namespace {

using enum GrpcStatus;

// gRPC's "HTTP to gRPC status code mapping" is made for clients that know nothing but an HTTP status. It says
// UNKNOWN for what is not in it and UNAVAILABLE for 429 and 504, which many clients repeat at once. What we
// know better stands here, too.
GrpcStatus by_http_status(uint16_t status) {
  switch (status) {
    case 400: return internal;
    case 401: return unauthenticated;
    case 403: return permission_denied;
    case 404: return unimplemented;
    case 405: return unimplemented;       // no route takes this method with POST
    case 408: return deadline_exceeded;   // the request did not come in time
    case 410: return unimplemented;       // an API version that has ended
    case 413: return resource_exhausted;  // as gRPC's own libraries refuse what is too large
    case 414: return resource_exhausted;
    case 429: return resource_exhausted;  // a quota: repeated at once, it is refused again
    case 431: return resource_exhausted;
    case 499: return cancelled;
    case 500: return internal;
    case 501: return unimplemented;
    case 502: return unavailable;
    case 503: return unavailable;
    case 504: return unavailable;
    default: return unknown;
  }
}

// Where the reason says more. The backend may have done what a timeout cut off: UNAVAILABLE would invite the
// client to have it done twice, so that is left to what did not get there.
struct Row {
  std::string_view reason;
  GrpcStatus status;
};
constexpr std::array by_reason{
    Row{reason::version_missing, invalid_argument},
    Row{reason::request_deadline, deadline_exceeded},
    Row{reason::upstream_timeout_first_byte, deadline_exceeded},
    Row{reason::upstream_timeout_idle, deadline_exceeded},
    Row{reason::upstream_timeout_total, deadline_exceeded},
};

constexpr std::array<std::string_view, 17> names{
    "OK",        "CANCELLED",       "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS",  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",    "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED",
};

}  // namespace

std::string_view name(GrpcStatus status) { return names[static_cast<size_t>(status)]; }

GrpcStatus grpc_status_of(uint16_t http_status, std::string_view reason_code) {
  const auto* row = std::ranges::find(by_reason, reason_code, &Row::reason);
  return row != by_reason.end() ? row->status : by_http_status(http_status);
}

std::optional<GrpcStatus> grpc_status_of(ResetCause cause) {
  switch (cause) {
    case ResetCause::unsaid: break;
    case ResetCause::refused: return unavailable;
    case ResetCause::cancelled: return cancelled;
    case ResetCause::overloaded: return resource_exhausted;
    case ResetCause::insecure: return permission_denied;
    case ResetCause::other: return internal;
  }
  return std::nullopt;
}

}  // namespace penstock
