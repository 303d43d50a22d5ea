#include "proxy/retry.h"

namespace penstock::proxy {
namespace {

constexpr uint64_t floor_per_second = 10;
constexpr uint64_t window_s = 10;

// Each cell holds the second that it counts and the count; a cell of another second counts as empty. Only its
// own worker writes a slot, so load and store need no read-modify-write.
void bump(std::atomic<uint64_t>& cell, uint64_t second) {
  uint64_t value = cell.load(std::memory_order_relaxed);
  uint64_t count = (value >> 32) == (second & 0xffffffff) ? (value & 0xffffffff) + 1 : 1;
  cell.store((second & 0xffffffff) << 32 | count, std::memory_order_relaxed);
}

}  // namespace

RetryBudget::RetryBudget(uint32_t workers) : slots_(workers) {}

void RetryBudget::count_request(uint32_t worker, uint64_t now_ms) {
  uint64_t second = now_ms / 1000;
  bump(slots_[worker].requests[second % seconds], second);
}

uint64_t RetryBudget::total(uint64_t now_s, Count what) const {
  uint64_t sum = 0;
  for (const Slot& slot : slots_) {
    for (const auto& cell : what == Count::retries ? slot.retries : slot.requests) {
      uint64_t value = cell.load(std::memory_order_relaxed);
      uint64_t age = (now_s - (value >> 32)) & 0xffffffff;
      if (age < window_s) sum += value & 0xffffffff;
    }
  }
  return sum;
}

bool RetryBudget::take(uint32_t worker, uint64_t now_ms, double share) {
  uint64_t second = now_ms / 1000;
  double allowed = static_cast<double>(total(second, Count::requests)) * share;
  if (allowed < floor_per_second * window_s) allowed = floor_per_second * window_s;
  if (static_cast<double>(total(second, Count::retries)) >= allowed) return false;
  bump(slots_[worker].retries[second % seconds], second);
  return true;
}

RetryVerdict judge(const config::Retries& rule, http::Method method, const AttemptEnd& end) {
  if (end.informational_forwarded || !end.body_held) return RetryVerdict::no;
  if (!end.status && !end.request_bytes_sent && end.error.source != ErrorSource::downstream)
    return rule.on_connect || end.reused_connection ? RetryVerdict::free : RetryVerdict::no;
  bool post_or_patch = method == http::Method::post || method == http::Method::patch;
  bool repeatable =
      http::idempotent(method) || (post_or_patch && rule.unsafe == config::Retries::Unsafe::allowed);
  if (!repeatable || end.error.source == ErrorSource::downstream) return RetryVerdict::no;
  if (end.status) return RetryVerdict::elsewhere;
  if (end.response_bytes_received) return RetryVerdict::no;
  if (end.error.kind == ErrorKind::timeout)
    return rule.on_timeout ? RetryVerdict::elsewhere : RetryVerdict::no;
  if (end.error.kind == ErrorKind::reset || end.error.kind == ErrorKind::closed ||
      end.error.kind == ErrorKind::tls) {
    if (end.reused_connection) return RetryVerdict::free;
    return rule.on_reset ? RetryVerdict::elsewhere : RetryVerdict::no;
  }
  return RetryVerdict::no;
}

}  // namespace penstock::proxy
