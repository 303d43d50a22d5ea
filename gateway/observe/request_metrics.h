// Requests and durations by route, as one worker counts them: plain numbers without atomics. /metrics asks
// each worker to copy its share on its own thread and adds the copies up. Labels come only from the
// configuration and from reason codes, so the number of series is bounded; past max_series what is new is
// counted under "other".
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/limit.h"
#include "observe/call_metrics.h"
#include "observe/histogram.h"
#include "observe/http2_errors.h"

namespace penstock::observe {

struct RequestKey {
  std::string route;   // empty: no route
  std::string method;  // "_OTHER" for what is not one of RFC 9110's or PATCH (OpenTelemetry)
  uint16_t status = 0;
  std::string error_type;  // reason code; empty without one
  std::string version;     // "1.0", "1.1" or "2"
  auto operator<=>(const RequestKey&) const = default;
};

class RequestMetrics {
 public:
  static constexpr size_t max_series = 10'000;

  RequestMetrics() = default;
  RequestMetrics(const RequestMetrics&) = delete;  // merge() into a fresh one copies
  RequestMetrics& operator=(const RequestMetrics&) = delete;

  // The worker's thread. Allocates only for a combination that it sees for the first time.
  void record(std::string_view route, std::string_view method, uint16_t status, std::string_view error_type,
              std::string_view version, int64_t ns);
  void count_retry() { ++retries_; }
  void tunnel_began() { ++active_tunnels, ++tunnels_; }

  LimitCounts limits;
  Http2ErrorCounts http2_errors;  // that ended connections of clients
  CallMetrics calls;
  int64_t active_requests = 0;
  int64_t open_connections = 0;
  int64_t active_tunnels = 0;  // upgraded exchanges; they are among the active requests, too
  int64_t http2_connections = 0, http2_streams = 0;  // of clients; among the open connections and requests

  const std::map<RequestKey, Histogram>& series() const { return series_; }
  uint64_t retries() const { return retries_; }
  uint64_t tunnels() const { return tunnels_; }
  void merge(const RequestMetrics& other);

 private:
  std::map<RequestKey, Histogram> series_;
  // The last series hit: most requests repeat a few combinations. Keys of a map do not move.
  struct Recent {
    const RequestKey* key = nullptr;
    Histogram* histogram = nullptr;
    uint32_t packed = 0;  // method, status and version
  };
  std::array<Recent, 64> recent_{};
  uint64_t retries_ = 0, tunnels_ = 0;
};

}  // namespace penstock::observe
