// The named limits: which one struck. An Error carries it up to whoever counts; /metrics shows one counter
// each, penstock_limit_reached_total{limit="NAME"}. Plain values, every thread.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace penstock {

enum class Limit : uint8_t {
  none,
  // of a listener
  header_size,
  header_count,
  uri_size,
  body_size,
  trailer_size,
  trailer_count,
  header_timeout,
  body_timeout,
  min_body_rate,
  send_timeout,
  min_send_rate,
  idle_timeout,
  half_close_timeout,
  max_requests,
  max_connections,
  max_connections_per_client,
  pipelined_size,
  buffer_size,
  handshake_timeout,
  max_handshakes,
  http2_max_resets,
  http2_max_control_frames,
  http2_ping_timeout,
  // of a route
  body_buffer,
  // of an upstream
  upstream_header_size,
  upstream_header_count,
  upstream_trailer_size,
  upstream_trailer_count,
  upstream_max_informational,
  upstream_http2_max_control_frames,
  upstream_http2_ping_timeout,
  // of the process
  buffered,
  health_checks,
  plugin_work,
  plugin_posts,
  plugin_fetches,
  status_max_connections,
  admin_max_connections,
  descriptors,
  count_
};
inline constexpr size_t limit_count = static_cast<size_t>(Limit::count_);

// As it is written in the configuration; an upstream's begins with "upstream.", the status
// listener's with "status.". Static text.
std::string_view name(Limit limit);

// How often each was reached, as one worker counts.
class LimitCounts {
 public:
  void add(Limit limit, uint64_t times = 1) { counts_[static_cast<size_t>(limit)] += times; }
  uint64_t of(Limit limit) const { return counts_[static_cast<size_t>(limit)]; }
  void merge(const LimitCounts& other) {
    for (size_t i = 0; i < limit_count; ++i) counts_[i] += other.counts_[i];
  }

 private:
  std::array<uint64_t, limit_count> counts_{};  // Limit::none takes what is no limit's doing
};

}  // namespace penstock
