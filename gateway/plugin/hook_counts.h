// What is known of each plugin instance's hooks: calls, errors, how long a sample of them took, and how many
// were slow. One line of memory a worker and hook, written by that worker without a lock; read by the main
// thread for /metrics. By the instance's name, so that a reload counts on; gone with the last instance of
// that name.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "plugin/metrics.h"
#include "plugin/plugin_code.h"

namespace penstock::plugin {

inline constexpr uint64_t sampled_one_of = 64;  // calls; a power of two
inline constexpr std::array<double, 12> hook_seconds{1e-6, 2.5e-6, 5e-6, 1e-5,  2.5e-5, 5e-5,
                                                     1e-4, 1e-3,   1e-2, 0.025, 0.1,    1};

// Of one hook of one instance on one worker. Only that worker writes, but for `slow`.
struct alignas(64) HookCount {
  std::atomic<uint64_t> calls{0}, errors{0};
  std::atomic<uint64_t> sampled_ns{0};
  std::array<std::atomic<uint64_t>, hook_seconds.size() + 1> buckets{};  // not cumulative
  std::atomic<uint64_t> slow{0};                                         // main thread

  void failed();
  void took(int64_t ns);
};
int64_t steady_ns();

struct InstanceCounts {
  std::string plugin;
  std::array<std::unique_ptr<HookCount[]>, counted_kinds> hooks;  // null: it has none of that kind
};

// Main thread.
class HookCounts {
 public:
  explicit HookCounts(uint32_t workers) : workers_(workers) {}
  std::shared_ptr<InstanceCounts> of(const std::string& instance);
  // Makes room for counts of that hook where there is none.
  HookCount* add(InstanceCounts& counts, CodeKind kind) const;
  void collect(std::vector<MetricSample>& out) const;
  uint32_t workers() const { return workers_; }

 private:
  uint32_t workers_;
  std::map<std::string, std::weak_ptr<InstanceCounts>> by_name_;
};

// While it lives, this thread runs that hook for that request.
enum class Counted : bool { no, yes };
class HookRun {
 public:
  HookRun(const PluginCode& hook, Counted counted, const gw_req& frame, const proxy::Route* route,
          uint32_t worker) {
    running_code.request.store(&frame, std::memory_order_relaxed);
    running_code.route.store(route, std::memory_order_relaxed);
    running_code.code.store(&hook, std::memory_order_release);
    if (counted == Counted::no) return;
    HookCount& count = hook.counts[worker];
    const uint64_t before = count.calls.load(std::memory_order_relaxed);
    count.calls.store(before + 1, std::memory_order_relaxed);
    if (before % sampled_one_of != 0) [[likely]]
      return;
    sampled_ = &count;
    since_ns_ = steady_ns();
  }
  ~HookRun() {
    running_code.code.store(nullptr, std::memory_order_relaxed);
    if (sampled_ != nullptr) [[unlikely]]
      sampled_->took(steady_ns() - since_ns_);
  }
  HookRun(const HookRun&) = delete;
  HookRun& operator=(const HookRun&) = delete;

 private:
  HookCount* sampled_ = nullptr;
  int64_t since_ns_;
};

}  // namespace penstock::plugin
