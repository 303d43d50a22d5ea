// What /metrics shows of endpoints: which can be picked, why others cannot, and how their checks end. Main
// thread.
#pragma once
#include <cstdint>

#include "discovery/directory.h"
#include "observe/prometheus.h"
#include "proxy/snapshot.h"
#include "upstream/health/health_checks.h"

namespace penstock::server {

struct EndpointsShown {
  const proxy::Snapshot& snapshot;
  const discovery::Directory& directory;
  const upstream::HealthChecks& checks;
  uint64_t now_ms;
};

void write_endpoints(observe::PrometheusText& out, const EndpointsShown& shown);

}  // namespace penstock::server
