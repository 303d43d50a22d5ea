#include "plugin/hook_counts.h"

#include <algorithm>
#include <ctime>

namespace penstock::plugin {
namespace {

void add(std::atomic<uint64_t>& to, uint64_t what) {
  to.store(to.load(std::memory_order_relaxed) + what, std::memory_order_relaxed);
}

template <class Count>
uint64_t sum(const HookCount* counts, uint32_t workers, Count count) {
  uint64_t out = 0;
  for (uint32_t i = 0; i < workers; ++i) out += count(counts[i]).load(std::memory_order_relaxed);
  return out;
}

MetricSample sample_of(const char* name, const char* help, const std::string& plugin, CodeKind kind) {
  MetricSample out;
  out.name = name;
  out.help = help;
  out.labels = {{"plugin", plugin}, {"hook", std::string(penstock::plugin::name(kind))}};
  return out;
}

}  // namespace

int64_t steady_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void HookCount::took(int64_t ns) {
  const double seconds = static_cast<double>(ns) * 1e-9;
  const auto bucket = std::ranges::lower_bound(hook_seconds, seconds) - hook_seconds.begin();
  add(buckets[static_cast<size_t>(bucket)], 1);
  add(sampled_ns, static_cast<uint64_t>(ns));
}

void HookCount::failed() { add(errors, 1); }

std::shared_ptr<InstanceCounts> HookCounts::of(const std::string& instance) {
  std::erase_if(by_name_, [](const auto& known) { return known.second.expired(); });
  auto& known = by_name_[instance];
  auto counts = known.lock();
  if (!counts) {
    counts = std::make_shared<InstanceCounts>();
    counts->plugin = instance;
    known = counts;
  }
  return counts;
}

HookCount* HookCounts::add(InstanceCounts& counts, CodeKind kind) const {
  auto& hook = counts.hooks[static_cast<size_t>(kind)];
  if (!hook) hook = std::make_unique<HookCount[]>(workers_);
  return hook.get();
}

void HookCounts::collect(std::vector<MetricSample>& out) const {
  for (const auto& [name, known] : by_name_) {
    const auto counts = known.lock();
    if (!counts) continue;
    for (size_t i = 0; i < counted_kinds; ++i) {
      const HookCount* of = counts->hooks[i].get();
      if (of == nullptr) continue;
      const auto kind = static_cast<CodeKind>(i);
      const auto total = [&](const char* metric, const char* help, auto member) {
        MetricSample& sample = out.emplace_back(sample_of(metric, help, name, kind));
        sample.count = sum(of, workers_, [&](const HookCount& count) -> auto& { return count.*member; });
      };
      total("penstock_plugin_calls_total", "Calls of plugins' hooks.", &HookCount::calls);
      total("penstock_plugin_errors_total", "Hooks that threw or returned what they may not.",
            &HookCount::errors);
      total("penstock_plugin_slow_hooks_total", "Hooks that ran over limits.plugin_hook.", &HookCount::slow);
      MetricSample& took = out.emplace_back(
          sample_of("penstock_plugin_duration_seconds",
                    "How long plugins' hooks ran, of one in 64 calls on each worker.", name, kind));
      took.kind = SeriesKind::histogram;
      took.sum = 1e-9 * static_cast<double>(
                            sum(of, workers_, [](const HookCount& c) -> auto& { return c.sampled_ns; }));
      for (size_t bucket = 0; bucket <= hook_seconds.size(); ++bucket) {
        took.count +=
            sum(of, workers_, [&](const HookCount& count) -> auto& { return count.buckets[bucket]; });
        if (bucket < hook_seconds.size()) took.buckets.emplace_back(hook_seconds[bucket], took.count);
      }
    }
  }
}

}  // namespace penstock::plugin
