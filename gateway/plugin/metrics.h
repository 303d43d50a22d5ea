// The metrics that plugins declare while they are configured. Series live as long as the process, so that a
// reload counts on; adding is wait-free, on a shard of the calling thread. Labels come from the configuration
// only.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::plugin {
enum class SeriesKind : uint8_t { counter, gauge, histogram };
}  // namespace penstock::plugin

// One series; the handle that plugins hold.
struct gw_metric {
  using Kind = penstock::plugin::SeriesKind;
  static constexpr size_t shards = 16;
  struct alignas(64) Shard {
    std::atomic<uint64_t> count{0};
    std::atomic<double> sum{0};
    std::unique_ptr<std::atomic<uint64_t>[]> buckets;  // of a histogram, not cumulative
  };
  std::string name, help, instance, label, label_value;
  std::vector<double> bounds;  // of a histogram
  Kind kind = Kind::counter;
  std::array<Shard, shards> shard;
  std::atomic<double> level{0};  // of a gauge; the last one that was set

  // Each does nothing to a series of another kind.
  void add(uint64_t delta);
  void set(double value);
  void observe(double value);
};

namespace penstock::plugin {

struct MetricSample {
  std::string name, help;
  std::vector<std::pair<std::string, std::string>> labels;  // plugin=INSTANCE first
  SeriesKind kind = SeriesKind::counter;
  uint64_t count = 0;  // of a counter its value
  double level = 0;    // of a gauge
  double sum = 0;
  std::vector<std::pair<double, uint64_t>> buckets;  // upper bound and cumulative count, without +Inf
};

class Metrics {
 public:
  static constexpr size_t max_series = 10'000;

  // Main thread. Null: a bad name, another kind or other bounds than before, or too many series.
  gw_metric* declare(std::string_view instance, std::string_view name, std::string_view help,
                     std::string_view label, std::string_view label_value, std::span<const double> bounds,
                     SeriesKind kind);
  // Any thread but a hot one: all series, sorted by name.
  std::vector<MetricSample> collect() const;

 private:
  mutable std::mutex mutex_;  // of the list; never taken for adding
  std::vector<std::unique_ptr<gw_metric>> series_;
};

}  // namespace penstock::plugin
