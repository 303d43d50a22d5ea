#include "observe/call_metrics.h"

#include <doctest/doctest.h>

#include "observe/prometheus.h"

using namespace penstock;
using namespace penstock::observe;
using Said = CallMetrics::Said;

namespace {

uint64_t count(const CallMetrics& calls, const std::string& route, const std::string& path,
               GrpcStatus status) {
  auto it = calls.methods().find(CallKeyView{route, path});
  return it == calls.methods().end() ? 0 : it->second.statuses[static_cast<size_t>(status)];
}

}  // namespace

TEST_CASE("a method counts by name once a backend has answered for it") {
  CallMetrics calls;
  calls.record("r", "/pkg.S/A", GrpcStatus::resource_exhausted, Said::by_gateway, 1);
  calls.record("r", "/pkg.S/A", GrpcStatus::ok, Said::by_backend, 1);
  calls.record("r", "/pkg.S/A", GrpcStatus::resource_exhausted, Said::by_gateway, 1);
  CHECK(count(calls, "r", "", GrpcStatus::resource_exhausted) == 1);
  CHECK(count(calls, "r", "/pkg.S/A", GrpcStatus::ok) == 1);
  CHECK(count(calls, "r", "/pkg.S/A", GrpcStatus::resource_exhausted) == 1);
}

TEST_CASE("clients cannot make names: neither by what no backend has nor by their number") {
  CallMetrics calls;
  for (int i = 0; i < 5'000; ++i) {
    const std::string path = "/pkg.S/M" + std::to_string(i);
    calls.record("r", path, GrpcStatus::unimplemented, Said::by_backend, 1);
    calls.record("r", path, GrpcStatus::unauthenticated, Said::by_backend, 1);
    calls.record("r", path, GrpcStatus::unavailable, Said::by_gateway, 1);
  }
  CHECK(calls.methods().size() == 1);
  CHECK(count(calls, "r", "", GrpcStatus::unauthenticated) == 5'000);
  CHECK(count(calls, "r", "", GrpcStatus::unimplemented) == 5'000);
  for (int i = 0; i < 5'000; ++i)
    calls.record("r", "/pkg.S/M" + std::to_string(i), GrpcStatus::ok, Said::by_backend, 1);
  CHECK(calls.methods().size() == CallMetrics::max_methods);
  CHECK(count(calls, "r", "", GrpcStatus::ok) == 5'001 - CallMetrics::max_methods);
}

TEST_CASE("the bound on names holds for the workers together") {
  CallMetrics one, two, all;
  for (int i = 0; i < 1'000; ++i) {
    const std::string number = std::to_string(i);
    one.record("r", "/pkg.S/One" + number, GrpcStatus::ok, Said::by_backend, 1);
    two.record("r", "/pkg.S/Two" + number, GrpcStatus::ok, Said::by_backend, 1);
  }
  two.record("r", "/pkg.S/One0", GrpcStatus::unknown, Said::by_backend, 1);
  all.merge(one);
  all.merge(two);
  CHECK(all.methods().size() == CallMetrics::max_methods + 1);  // _OTHER is one more
  CHECK(count(all, "r", "/pkg.S/One999", GrpcStatus::ok) == 1);
  CHECK(count(all, "r", "", GrpcStatus::ok) == 1'000);
  CHECK(count(all, "r", "", GrpcStatus::unknown) == 1);
}

TEST_CASE("shares of several workers add up, and are written with OpenTelemetry's names") {
  RequestMetrics one, two, all;
  one.calls.record("r", "/pkg.S/A", GrpcStatus::ok, Said::by_backend, 1);
  two.calls.record("r", "/pkg.S/A", GrpcStatus::ok, Said::by_backend, 1);
  two.calls.record("r", "/pkg.S/B", GrpcStatus::unimplemented, Said::by_backend, 1);
  all.merge(one);
  all.merge(two);
  PrometheusText out;
  write_requests(out, all);
  for (const std::string line :
       {"penstock_grpc_calls_total{http_route=\"r\",rpc_service=\"pkg.S\",rpc_method=\"A\","
        "rpc_grpc_status_code=\"0\"} 2\n",
        "penstock_grpc_calls_total{http_route=\"r\",rpc_service=\"_OTHER\",rpc_method=\"_OTHER\","
        "rpc_grpc_status_code=\"12\"} 1\n",
        "rpc_server_duration_seconds_count{http_route=\"r\",rpc_service=\"pkg.S\",rpc_method=\"A\"} 2\n"}) {
    CAPTURE(line);
    CHECK(out.text().find(line) != std::string::npos);
  }
}
