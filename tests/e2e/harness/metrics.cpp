#include "e2e/harness/metrics.h"

#include "e2e/harness/client.h"

namespace e2e {
namespace {

std::string limit_series(const std::string& limit) {
  return "penstock_limit_reached_total{limit=\"" + limit + "\"}";
}

}  // namespace

double metric(const Gateway& gateway, const std::string& series) {
  std::string all = get(gateway.status_port(), "/metrics").body;
  size_t at = all.find("\n" + series + " ");
  if (at == std::string::npos) throw Failure("no metric " + series);
  return std::stod(all.substr(at + series.size() + 2));
}

void await_metric(const Gateway& gateway, const std::string& series, double value) {
  await(series + " is " + std::to_string(value), [&] { return metric(gateway, series) == value; });
}

double reached(const Gateway& gateway, const std::string& limit) {
  return metric(gateway, limit_series(limit));
}

void await_reached(const Gateway& gateway, const std::string& limit, double times) {
  await_metric(gateway, limit_series(limit), times);
}

}  // namespace e2e
