#include "observe/call_metrics.h"

namespace penstock::observe {
namespace {

enum class Learn : uint8_t { no, yes };  // a name that is new

// Where a call counts: without its path, or even its route, where there is no room.
CallMetrics::Method& place_of(CallMetrics::Methods& methods, CallKeyView called, Learn learn) {
  auto known = methods.find(called);
  if (known == methods.end() && (learn == Learn::no || methods.size() >= CallMetrics::max_methods)) {
    called.path = {};
    known = methods.find(called);
  }
  if (known == methods.end() && methods.size() >= 2 * CallMetrics::max_methods) {
    called.route = "other";  // of more routes than anybody has
    known = methods.find(called);
  }
  if (known == methods.end())
    known = methods.try_emplace(CallKey{std::string(called.route), std::string(called.path)}).first;
  return known->second;
}

}  // namespace

void CallMetrics::record(std::string_view route, std::string_view path, GrpcStatus status, Said said,
                         int64_t ns) {
  // Any other status is no proof that there is such a method: who authenticates before looking for it says
  // UNAUTHENTICATED to every path.
  const bool proves_method = said == Said::by_backend && status == GrpcStatus::ok;
  Method& method = place_of(methods_, {route, path}, proves_method ? Learn::yes : Learn::no);
  ++method.statuses[static_cast<size_t>(status)];
  method.duration.record(ns);
}

void CallMetrics::merge(const CallMetrics& other) {
  for (const auto& [key, share] : other.methods_) {
    Method& sum = place_of(methods_, {key.route, key.path}, Learn::yes);
    for (size_t i = 0; i < status_count; ++i) sum.statuses[i] += share.statuses[i];
    sum.duration.merge(share.duration);
  }
}

}  // namespace penstock::observe
