#include "plugin/hook_watch.h"

#include <fmt/format.h>

#include <algorithm>

#include "net/loop.h"
#include "plugin/handles.h"
#include "proxy/route.h"

namespace penstock::plugin {

HookWatch::HookWatch(net::Loop& loop, Host& host)
    : loop_(loop),
      host_(host),
      timer_(
          loop, [](void* self) { static_cast<HookWatch*>(self)->look(); }, this),
      seen_(host.hook_counts().workers()) {}

// A hook is told at most a quarter of the bound late.
uint64_t HookWatch::period_ms() const { return std::clamp<uint64_t>(bound_ms_ / 4, 10, 25); }

void HookWatch::set_bound(uint64_t bound_ms) {
  bound_ms_ = bound_ms;
  looked_ms_ = loop_.now_ms();
  timer_.start(period_ms());
}

void HookWatch::look() {
  const uint64_t now = loop_.now_ms();
  // When we ourselves were kept from looking, so may the hook have been: a process that was stopped, a
  // machine that has too much to do.
  const uint64_t passed = std::min(now - looked_ms_, 2 * period_ms());
  looked_ms_ = now;
  const std::vector<const RunningCode*> records = host_.running();
  for (uint32_t worker = 0; worker < records.size(); ++worker)
    if (records[worker] != nullptr) look_at(worker, *records[worker], passed);
  timer_.start(period_ms());
}

void HookWatch::look_at(uint32_t worker, const RunningCode& running, uint64_t passed_ms) {
  Seen& seen = seen_[worker];
  const PluginCode* code = running.code.load(std::memory_order_acquire);
  uint64_t call = 0;
  if (code != nullptr && code->counts != nullptr)
    call = code->counts[worker].calls.load(std::memory_order_relaxed);
  if (code == nullptr || code != seen.code || call != seen.call) {
    if (seen.told) tell_end(worker, seen);
    seen = {code, call, 0, false, {}};
    return;
  }
  seen.for_ms += passed_ms;
  if (!seen.told && seen.for_ms >= bound_ms_) tell(worker, seen, running);
}

void HookWatch::tell(uint32_t worker, Seen& seen, const RunningCode& running) {
  const PluginCode& code = *seen.code;
  const proxy::Route* route = running.route.load(std::memory_order_acquire);
  // Its route is the one read in between two looks at the same call, and lives as long as we do not return.
  const bool same =
      running.code.load(std::memory_order_acquire) == seen.code &&
      (code.counts == nullptr || code.counts[worker].calls.load(std::memory_order_relaxed) == seen.call);
  if (!same) return;
  if (code.counts != nullptr) code.counts[worker].slow.fetch_add(1, std::memory_order_relaxed);
  seen.told = true;
  seen.what = fmt::format("{} of {} ({}, {})", name(code.kind), code.owner->instance->name,
                          code.owner->instance->type, code.owner->file);
  if (route != nullptr) seen.what += fmt::format(" on route {}", route->name);
  host_.log(LogLevel::warning, nullptr, {},
            fmt::format("{} has kept worker {} and all its connections waiting for {} ms", seen.what, worker,
                        seen.for_ms));
}

void HookWatch::tell_end(uint32_t worker, const Seen& seen) const {
  host_.log(LogLevel::warning, nullptr, {},
            fmt::format("{} let go of worker {} after about {} ms", seen.what, worker, seen.for_ms));
}

}  // namespace penstock::plugin
