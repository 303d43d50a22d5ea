#include "base/grpc_status.h"

#include <doctest/doctest.h>

#include "base/reason.h"

using namespace penstock;

TEST_CASE("an HTTP status that says enough has the status of gRPC's own mapping") {
  CHECK(grpc_status_of(400, "") == GrpcStatus::internal);
  CHECK(grpc_status_of(401, "auth.key.unknown") == GrpcStatus::unauthenticated);
  CHECK(grpc_status_of(403, "auth.forbidden") == GrpcStatus::permission_denied);
  CHECK(grpc_status_of(404, "route.none") == GrpcStatus::unimplemented);
  CHECK(grpc_status_of(502, "") == GrpcStatus::unavailable);
  CHECK(grpc_status_of(503, "overload") == GrpcStatus::unavailable);
  CHECK(grpc_status_of(504, "") == GrpcStatus::unavailable);
  CHECK(grpc_status_of(418, "") == GrpcStatus::unknown);
  CHECK(grpc_status_of(308, "") == GrpcStatus::unknown);
}

TEST_CASE("what a reason says better goes before it") {
  CHECK(grpc_status_of(429, "limit.rate") == GrpcStatus::resource_exhausted);
  CHECK(grpc_status_of(413, reason::request_body_too_large) == GrpcStatus::resource_exhausted);
  CHECK(grpc_status_of(504, reason::request_deadline) == GrpcStatus::deadline_exceeded);
  CHECK(grpc_status_of(504, reason::upstream_timeout_total) == GrpcStatus::deadline_exceeded);
  CHECK(grpc_status_of(504, reason::upstream_connect_timeout) == GrpcStatus::unavailable);
  CHECK(grpc_status_of(400, reason::version_missing) == GrpcStatus::invalid_argument);
  CHECK(name(grpc_status_of(499, reason::client_closed)) == "CANCELLED");
}

TEST_CASE("no refusal of the core is taken for a success") {
  for (const ReasonRow& row : reason_table()) {
    CAPTURE(row.code);
    CHECK(grpc_status_of(row.status, row.code) != GrpcStatus::ok);
  }
  CHECK(name(GrpcStatus::ok) == "OK");
  CHECK(name(GrpcStatus::unauthenticated) == "UNAUTHENTICATED");
}
