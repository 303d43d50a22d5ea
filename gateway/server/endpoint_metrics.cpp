#include "server/endpoint_metrics.h"

#include <array>
#include <string>
#include <vector>

namespace penstock::server {
namespace {

using observe::MetricKind;
using upstream::EndpointInfo;

// As a pick sees it (upstream::Candidates).
enum class Standing : uint8_t { up, resting, failing, unresolved, count_ };
constexpr std::array<std::string_view, 4> standing_names{"up", "resting", "failing", "unresolved"};

Standing standing_of(const EndpointInfo& endpoint, uint64_t now_ms) {
  constexpr auto relaxed = std::memory_order_relaxed;
  if (endpoint.addresses.empty()) return Standing::unresolved;
  if (endpoint.state->health.load(relaxed) == upstream::Health::down) return Standing::failing;
  return endpoint.state->resting_until_ms.load(relaxed) > now_ms ? Standing::resting : Standing::up;
}

template <class See>
void each_endpoint(const EndpointsShown& shown, size_t most, See see) {
  for (const upstream::ClusterSettings& cluster : shown.snapshot.clusters)
    for (const EndpointInfo& endpoint : shown.directory.current(cluster.name)->endpoints) {
      if (most-- == 0) return;
      see(cluster.name, endpoint, standing_of(endpoint, shown.now_ms));
    }
}

void write_sums(observe::PrometheusText& out, const EndpointsShown& shown) {
  out.family("penstock_upstream_endpoints", MetricKind::gauge,
             "Endpoints by state: up, resting after failed requests, failing their checks, unresolved.");
  for (const upstream::ClusterSettings& cluster : shown.snapshot.clusters) {
    std::array<size_t, standing_names.size()> sums{};
    for (const EndpointInfo& endpoint : shown.directory.current(cluster.name)->endpoints)
      ++sums[static_cast<size_t>(standing_of(endpoint, shown.now_ms))];
    for (size_t i = 0; i < sums.size(); ++i)
      out.sample({{"upstream", cluster.name}, {"state", standing_names[i]}}, static_cast<double>(sums[i]));
  }
}

// "passive", "unresolved", "check.status"
std::string why_out(const EndpointsShown& shown, const std::string& upstream, const EndpointInfo& endpoint,
                    Standing standing) {
  if (standing == Standing::unresolved) return "unresolved";
  if (standing == Standing::resting) return "passive";
  return "check." + std::string(name(shown.checks.known(upstream, endpoint.name).last.result));
}

void write_each(observe::PrometheusText& out, const EndpointsShown& shown) {
  const auto& status = shown.snapshot.config->status;
  const size_t most = status ? status->endpoint_series : 0;
  out.family("penstock_upstream_endpoint_up", MetricKind::gauge,
             "1 when requests are sent to the endpoint, 0 when it is out.");
  each_endpoint(
      shown, most, [&](const std::string& upstream, const EndpointInfo& endpoint, Standing standing) {
        out.sample({{"upstream", upstream}, {"endpoint", endpoint.name}}, standing == Standing::up ? 1 : 0);
      });
  out.family("penstock_upstream_endpoint_out", MetricKind::gauge,
             "1 for an endpoint that is out, with the reason: passive (failed requests), unresolved, check.* "
             "(how its last check failed).");
  each_endpoint(shown, most,
                [&](const std::string& upstream, const EndpointInfo& endpoint, Standing standing) {
                  if (standing == Standing::up) return;
                  out.sample({{"upstream", upstream},
                              {"endpoint", endpoint.name},
                              {"reason", why_out(shown, upstream, endpoint, standing)}},
                             1);
                });
}

void write_checks(observe::PrometheusText& out, const upstream::HealthChecks& checks) {
  out.family("penstock_health_checks_total", MetricKind::counter, "Health checks by how they ended.");
  for (const auto& [upstream, counts] : checks.counts())
    for (size_t i = 0; i < counts.size(); ++i)
      out.sample({{"upstream", upstream}, {"result", name(static_cast<upstream::CheckResult>(i))}},
                 static_cast<double>(counts[i]));
  out.family("penstock_health_checks_running", MetricKind::gauge, "Health checks that are under way.");
  out.sample({}, static_cast<double>(checks.running()));
  out.family("penstock_health_checks_waiting", MetricKind::gauge,
             "Health checks that are due and wait for a place under limits.health_checks.");
  out.sample({}, static_cast<double>(checks.waiting()));
}

}  // namespace

void write_endpoints(observe::PrometheusText& out, const EndpointsShown& shown) {
  write_sums(out, shown);
  write_each(out, shown);
  write_checks(out, shown.checks);
}

}  // namespace penstock::server
