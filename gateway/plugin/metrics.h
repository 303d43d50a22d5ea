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

// One series; the handle that plugins hold.
struct gw_metric {
  static constexpr size_t shards = 16;
  struct alignas(64) Shard {
    std::atomic<uint64_t> count{0};
    std::atomic<double> sum{0};
    std::unique_ptr<std::atomic<uint64_t>[]> buckets;  // of a histogram, not cumulative
  };
  std::string name, help, instance, label, label_value;
  std::vector<double> bounds;  // of a histogram
  bool is_histogram = false;
  std::array<Shard, shards> shard;

  void add(uint64_t delta);
  void observe(double value);
};

namespace penstock::plugin {

struct MetricSample {
  std::string name, help;
  std::vector<std::pair<std::string, std::string>> labels;  // plugin=INSTANCE first
  bool is_histogram = false;
  uint64_t count = 0;  // of a counter its value
  double sum = 0;
  std::vector<std::pair<double, uint64_t>> buckets;  // upper bound and cumulative count, without +Inf
};

class Metrics {
 public:
  static constexpr size_t max_series = 10'000;

  // Main thread. Null: a bad name, other bounds than before, or too many series.
  gw_metric* declare(std::string_view instance, std::string_view name, std::string_view help,
                     std::string_view label, std::string_view label_value, std::span<const double> bounds,
                     bool histogram);
  // Any thread but a hot one: all series, sorted by name.
  std::vector<MetricSample> collect() const;

 private:
  mutable std::mutex mutex_;  // of the list; never taken for adding
  std::vector<std::unique_ptr<gw_metric>> series_;
};

}  // namespace penstock::plugin
