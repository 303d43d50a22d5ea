#include "plugin/metrics.h"

#include <algorithm>

namespace {

// Threads are dealt out over the shards; two on one shard are slower, never wrong.
size_t shard_of_thread() {
  static std::atomic<size_t> next{0};
  thread_local const size_t mine = next.fetch_add(1, std::memory_order_relaxed) % gw_metric::shards;
  return mine;
}

bool metric_name(std::string_view name) {
  if (name.empty() || (name.front() >= '0' && name.front() <= '9')) return false;
  return std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

}  // namespace

void gw_metric::add(uint64_t delta) {
  if (kind != Kind::counter) return;
  shard[shard_of_thread()].count.fetch_add(delta, std::memory_order_relaxed);
}

void gw_metric::set(double value) {
  if (kind == Kind::gauge) level.store(value, std::memory_order_relaxed);
}

void gw_metric::observe(double value) {
  if (kind != Kind::histogram) return;
  Shard& mine = shard[shard_of_thread()];
  const auto bucket = static_cast<size_t>(std::ranges::lower_bound(bounds, value) - bounds.begin());
  mine.buckets[bucket].fetch_add(1, std::memory_order_relaxed);
  mine.count.fetch_add(1, std::memory_order_relaxed);
  mine.sum.fetch_add(value, std::memory_order_relaxed);
}

namespace penstock::plugin {

gw_metric* Metrics::declare(std::string_view instance, std::string_view name, std::string_view help,
                            std::string_view label, std::string_view label_value,
                            std::span<const double> bounds, SeriesKind kind) {
  if (!metric_name(name) || (!label.empty() && !metric_name(label)) || !std::ranges::is_sorted(bounds))
    return nullptr;
  const std::lock_guard lock(mutex_);
  for (const auto& known : series_) {
    if (known->name != name || known->instance != instance || known->label != label ||
        known->label_value != label_value) {
      continue;
    }
    return known->kind == kind && std::ranges::equal(known->bounds, bounds) ? known.get() : nullptr;
  }
  if (series_.size() >= max_series) return nullptr;
  auto made = std::make_unique<gw_metric>();
  made->name = name;
  made->help = help;
  made->instance = instance;
  made->label = label;
  made->label_value = label_value;
  made->bounds.assign(bounds.begin(), bounds.end());
  made->kind = kind;
  if (kind == SeriesKind::histogram) {
    for (auto& shard : made->shard)
      shard.buckets = std::make_unique<std::atomic<uint64_t>[]>(bounds.size() + 1);
  }
  series_.push_back(std::move(made));
  return series_.back().get();
}

std::vector<MetricSample> Metrics::collect() const {
  const std::lock_guard lock(mutex_);
  std::vector<MetricSample> out;
  for (const auto& series : series_) {
    MetricSample& sample = out.emplace_back();
    sample.name = series->name;
    sample.help = series->help;
    sample.labels.emplace_back("plugin", series->instance);
    if (!series->label.empty()) sample.labels.emplace_back(series->label, series->label_value);
    sample.kind = series->kind;
    sample.level = series->level.load(std::memory_order_relaxed);
    for (const double bound : series->bounds) sample.buckets.emplace_back(bound, 0);
    for (const auto& shard : series->shard) {
      sample.count += shard.count.load(std::memory_order_relaxed);
      sample.sum += shard.sum.load(std::memory_order_relaxed);
      uint64_t below = 0;
      for (size_t i = 0; i < sample.buckets.size(); ++i) {
        below += shard.buckets[i].load(std::memory_order_relaxed);
        sample.buckets[i].second += below;
      }
    }
  }
  std::ranges::stable_sort(out, {}, &MetricSample::name);
  return out;
}

}  // namespace penstock::plugin
