#include "observe/request_metrics.h"

#include <algorithm>

namespace penstock::observe {

namespace {
std::string_view known_method(std::string_view method) {
  static constexpr std::string_view known[] = {"GET",     "HEAD",  "POST",  "PUT",    "DELETE",
                                               "OPTIONS", "PATCH", "TRACE", "CONNECT"};
  return std::ranges::find(known, method) != std::end(known) ? method : std::string_view("_OTHER");
}

// Short methods differ in their first two bytes and length; "_OTHER" never meets a known one. The versions
// differ in their last digit, and a status has ten bits.
uint32_t pack(std::string_view method, uint16_t status, std::string_view version) {
  return static_cast<uint32_t>(static_cast<unsigned char>(method[0])) << 24 |
         static_cast<uint32_t>(static_cast<unsigned char>(method[1])) << 16 |
         (static_cast<uint32_t>(version.back()) & 3) << 14 | (status & 0x3fffu);
}
}  // namespace

void RequestMetrics::record(std::string_view route, std::string_view method, uint16_t status,
                            std::string_view error_type, std::string_view version, int64_t ns) {
  method = known_method(method);
  const uint32_t packed = pack(method, status, version);
  size_t slot = (reinterpret_cast<uintptr_t>(route.data()) / 16 + packed + 7 * (packed >> 14 & 3) +
                 7 * error_type.size()) %
                recent_.size();
  Recent& recent = recent_[slot];
  // The address only spreads: an old snapshot's memory may hold another route's name today, so texts are
  // compared.
  if (recent.histogram && recent.packed == packed && recent.key->route == route &&
      recent.key->error_type == error_type) {
    recent.histogram->record(ns);
    return;
  }
  RequestKey key{std::string(route), std::string(method), status, std::string(error_type),
                 std::string(version)};
  auto it = series_.find(key);
  if (it == series_.end()) {
    if (series_.size() >= max_series) key = {"other", "_OTHER", 0, "other", std::string(version)};
    it = series_.try_emplace(std::move(key)).first;
  }
  it->second.record(ns);
  recent = {&it->first, &it->second, packed};
}

void RequestMetrics::merge(const RequestMetrics& other) {
  for (const auto& [key, histogram] : other.series_) series_[key].merge(histogram);
  limits.merge(other.limits);
  calls.merge(other.calls);
  active_requests += other.active_requests;
  open_connections += other.open_connections;
  active_tunnels += other.active_tunnels;
  http2_connections += other.http2_connections;
  http2_streams += other.http2_streams;
  http2_errors.merge(other.http2_errors);
  retries_ += other.retries_;
  tunnels_ += other.tunnels_;
}

}  // namespace penstock::observe
