// The status codes of gRPC, and which of them a refusal of ours is. Pure, every thread.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"

namespace penstock {

enum class GrpcStatus : uint8_t {
  ok,
  cancelled,
  unknown,
  invalid_argument,
  deadline_exceeded,
  not_found,
  already_exists,
  permission_denied,
  resource_exhausted,
  failed_precondition,
  aborted,
  out_of_range,
  unimplemented,
  internal,
  unavailable,
  data_loss,
  unauthenticated,
};
// "UNAVAILABLE", as gRPC's documents write it.
std::string_view name(GrpcStatus status);

// What a refusal with this HTTP status and reason is to a client of gRPC.
GrpcStatus grpc_status_of(uint16_t http_status, std::string_view reason_code);
// What a stream that was reset is to a client of gRPC ("gRPC over HTTP2", Errors); nullopt: nothing of its
// own.
std::optional<GrpcStatus> grpc_status_of(ResetCause cause);

}  // namespace penstock
