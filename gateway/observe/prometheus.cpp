#include "observe/prometheus.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

namespace penstock::observe {
namespace {

std::string_view name(MetricKind kind) {
  switch (kind) {
    case MetricKind::counter: return "counter";
    case MetricKind::gauge: return "gauge";
    case MetricKind::histogram: return "histogram";
  }
  return "untyped";
}

enum class Quotes : uint8_t { as_they_are, escaped };

void append_escaped(std::string& out, std::string_view text, Quotes quotes) {
  for (char c : text) {
    if (c == '\\')
      out += "\\\\";
    else if (c == '\n')
      out += "\\n";
    else if (c == '"' && quotes == Quotes::escaped)
      out += "\\\"";
    else
      out += c;
  }
}

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  // Whole numbers up to 2^53 without an exponent: easier to read and to compare.
  if (value == std::floor(value) && std::abs(value) < 9007199254740992.0)
    return fmt::format("{}", static_cast<int64_t>(value));
  return fmt::format("{}", value);
}

}  // namespace

void PrometheusText::family(std::string_view name_of_family, MetricKind kind, std::string_view help) {
  family_ = name_of_family;
  text_ += fmt::format("# HELP {} ", family_);
  append_escaped(text_, help, Quotes::as_they_are);
  text_ += fmt::format("\n# TYPE {} {}\n", family_, name(kind));
}

void PrometheusText::line(std::string_view suffix, std::span<const Label> labels, std::string_view bound,
                          double value) {
  text_ += family_;
  text_ += suffix;
  char before = '{';
  auto add = [&](std::string_view label, std::string_view text) {
    text_ += before;
    text_ += label;
    text_ += "=\"";
    append_escaped(text_, text, Quotes::escaped);
    text_ += '"';
    before = ',';
  };
  for (const Label& label : labels) add(label.name, label.value);
  if (!bound.empty()) add("le", bound);
  if (before == ',') text_ += '}';
  text_ += ' ';
  text_ += number(value);
  text_ += '\n';
}

void PrometheusText::sample(std::span<const Label> labels, double value) { line({}, labels, {}, value); }

void PrometheusText::histogram(std::span<const Label> labels, std::span<const double> bounds,
                               std::span<const uint64_t> buckets, double sum) {
  uint64_t below = 0;
  for (size_t i = 0; i < buckets.size(); ++i) {
    below += buckets[i];
    line("_bucket", labels, i < bounds.size() ? number(bounds[i]) : "+Inf", static_cast<double>(below));
  }
  line("_sum", labels, {}, sum);
  line("_count", labels, {}, static_cast<double>(below));
}

namespace {

// RFC 9113 7.
// "/SERVICE/METHOD" as the labels of a call.
std::array<Label, 3> labels_of(const CallKey& key) {
  const std::string_view path = key.path;
  const size_t slash = path.rfind('/');
  const bool named = slash != path.npos && slash > 0;
  return {Label{"http_route", key.route},
          Label{"rpc_service", named ? path.substr(1, slash - 1) : std::string_view("_OTHER")},
          Label{"rpc_method", named ? path.substr(slash + 1) : std::string_view("_OTHER")}};
}

void write_calls(PrometheusText& out, const CallMetrics& calls) {
  if (calls.methods().empty()) return;
  out.family("rpc_server_duration_seconds", MetricKind::histogram, "Time that a call of gRPC took.");
  for (const auto& [key, method] : calls.methods())
    out.histogram(labels_of(key), duration_bounds, method.duration.buckets, method.duration.sum);
  out.family("penstock_grpc_calls_total", MetricKind::counter,
             "Calls of gRPC by the status they ended with.");
  for (const auto& [key, method] : calls.methods()) {
    const auto [route, service, name_of_method] = labels_of(key);
    for (size_t i = 0; i < method.statuses.size(); ++i)
      if (method.statuses[i] > 0)
        out.sample({route, service, name_of_method, {"rpc_grpc_status_code", std::to_string(i)}},
                   static_cast<double>(method.statuses[i]));
  }
}

}  // namespace

void write_requests(PrometheusText& out, const RequestMetrics& metrics) {
  out.family("http_server_request_duration_seconds", MetricKind::histogram,
             "Time from the first byte of a request to the last byte of its answer.");
  for (const auto& [key, histogram] : metrics.series()) {
    std::string status = key.status ? std::to_string(key.status) : "";
    std::array<Label, 5> labels{Label{"http_route", key.route}, Label{"http_request_method", key.method},
                                Label{"http_response_status_code", status},
                                Label{"error_type", key.error_type},
                                Label{"network_protocol_version", key.version}};
    out.histogram(labels, duration_bounds, histogram.buckets, histogram.sum);
  }
  write_calls(out, metrics.calls);
  out.family("http_server_active_requests", MetricKind::gauge, "Requests that are being served.");
  out.sample({}, static_cast<double>(metrics.active_requests));
  out.family("http_server_open_connections", MetricKind::gauge, "Client connections that are open.");
  out.sample({}, static_cast<double>(metrics.open_connections));
  out.family("penstock_active_tunnels", MetricKind::gauge,
             "WebSockets and other upgraded connections that are open.");
  out.sample({}, static_cast<double>(metrics.active_tunnels));
  out.family("penstock_tunnels_total", MetricKind::counter, "Upgrades that a backend accepted.");
  out.sample({}, static_cast<double>(metrics.tunnels()));
  out.family("penstock_http2_open_connections", MetricKind::gauge,
             "Client connections of HTTP/2 that are open.");
  out.sample({}, static_cast<double>(metrics.http2_connections));
  out.family("penstock_http2_open_streams", MetricKind::gauge,
             "Requests over HTTP/2, tunnels among them, that are being served.");
  out.sample({}, static_cast<double>(metrics.http2_streams));
  out.family("penstock_http2_connection_errors_total", MetricKind::counter,
             "Client connections of HTTP/2 that were ended with an error, by the code in their GOAWAY.");
  for (size_t i = 1; i < Http2ErrorCounts::codes; ++i)
    out.sample(std::array{Label{"error", Http2ErrorCounts::name(i)}},
               static_cast<double>(metrics.http2_errors.of(i)));
  out.family("penstock_upstream_retries_total", MetricKind::counter,
             "Attempts that replaced a failed one on another connection or endpoint.");
  out.sample({}, static_cast<double>(metrics.retries()));
  out.family("penstock_limit_reached_total", MetricKind::counter,
             "How often a limit of the configuration was reached.");
  for (size_t i = 1; i < limit_count; ++i) {
    auto limit = static_cast<Limit>(i);
    std::array<Label, 1> labels{Label{"limit", name(limit)}};
    out.sample(labels, static_cast<double>(metrics.limits.of(limit)));
  }
}

}  // namespace penstock::observe
