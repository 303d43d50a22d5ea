// The bound on what all workers together hold for clients and backends (limits.buffered). Pools report to it
// in steps, so that the steady state touches no shared memory. Any thread; owned by the server.
#pragma once
#include <atomic>
#include <cstdint>

namespace penstock {

class MemoryBudget {
 public:
  void set_limit(uint64_t bytes) { limit_.store(static_cast<int64_t>(bytes), std::memory_order_relaxed); }
  uint64_t limit() const { return static_cast<uint64_t>(limit_.load(std::memory_order_relaxed)); }
  void add(int64_t bytes) { used_.fetch_add(bytes, std::memory_order_relaxed); }
  int64_t used() const { return used_.load(std::memory_order_relaxed); }

  // Over the limit: nothing new begins, the largest end.
  bool exceeded() const { return used() > limit_.load(std::memory_order_relaxed); }
  // Over half of it: everybody gets less.
  bool pressed() const { return used() > limit_.load(std::memory_order_relaxed) / 2; }
  // Under an eighth of it: there is memory for what only saves time.
  bool plenty() const { return used() < limit_.load(std::memory_order_relaxed) / 8; }

 private:
  alignas(64) std::atomic<int64_t> used_{0};
  alignas(64) std::atomic<int64_t> limit_{256 * 1024 * 1024};
};

}  // namespace penstock
