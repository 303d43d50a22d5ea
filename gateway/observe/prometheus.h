// Writes metrics in Prometheus' text format 0.0.4. A family is opened once, then its samples follow; label
// values are escaped here and nowhere else. Any thread; owned by whoever answers a scrape. Knows nothing of
// where numbers come from.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "observe/request_metrics.h"

namespace penstock::observe {

struct Label {
  std::string_view name, value;
};
enum class MetricKind : uint8_t { counter, gauge, histogram };

class PrometheusText {
 public:
  static constexpr std::string_view content_type = "text/plain; version=0.0.4; charset=utf-8";

  // HELP and TYPE of what follows; samples of one family stand together.
  void family(std::string_view name, MetricKind kind, std::string_view help);
  // A sample of the family opened last.
  void sample(std::span<const Label> labels, double value);
  void sample(std::initializer_list<Label> labels, double value) {
    sample(std::span(labels.begin(), labels.size()), value);
  }
  // buckets: one more than bounds, not cumulative; the last is +Inf.
  void histogram(std::span<const Label> labels, std::span<const double> bounds,
                 std::span<const uint64_t> buckets, double sum);

  const std::string& text() const { return text_; }

 private:
  void line(std::string_view suffix, std::span<const Label> labels, std::string_view bound, double value);
  std::string text_, family_;
};

// http_server_request_duration_seconds, http_server_active_requests, http_server_open_connections and
// penstock_upstream_retries_total.
void write_requests(PrometheusText& out, const RequestMetrics& metrics);

}  // namespace penstock::observe
