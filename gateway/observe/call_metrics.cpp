#include "observe/call_metrics.h"

namespace penstock::observe {

void CallMetrics::record(std::string_view route, std::string_view path, GrpcStatus status, Said said,
                         int64_t ns) {
  auto known = methods_.find(CallKeyView{route, path});
  const bool is_method = said == Said::by_backend && status != GrpcStatus::unimplemented;
  if (known == methods_.end() && (!is_method || methods_.size() >= max_methods)) {
    path = {};
    known = methods_.find(CallKeyView{route, path});
  }
  if (known == methods_.end()) {
    if (methods_.size() >= 2 * max_methods) route = "other";  // of more routes than anybody has
    known = methods_.try_emplace(CallKey{std::string(route), std::string(path)}).first;
  }
  ++known->second.statuses[static_cast<size_t>(status)];
  known->second.duration.record(ns);
}

void CallMetrics::merge(const CallMetrics& other) {
  for (const auto& [key, method] : other.methods_) {
    Method& sum = methods_[key];
    for (size_t i = 0; i < status_count; ++i) sum.statuses[i] += method.statuses[i];
    sum.duration.merge(method.duration);
  }
}

}  // namespace penstock::observe
