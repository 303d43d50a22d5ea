// A lock for sections of some 50 ns that all workers share: short waits spin, and a holder that lost its core
// gets the chance to run. Lockable, so std::lock_guard takes it.
#pragma once
#include <atomic>
#include <thread>

namespace penstock {

class SpinLock {
 public:
  void lock() {
    for (int spins = 0; locked_.exchange(true, std::memory_order_acquire);) {
      while (locked_.load(std::memory_order_relaxed)) {
        if (++spins % 128 == 0) std::this_thread::yield();
      }
    }
  }
  void unlock() { locked_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> locked_{false};
};

}  // namespace penstock
