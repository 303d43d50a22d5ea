// A timer to the millisecond, where the wheel's 10 ms are too coarse: one uv_timer_t of its own. For few
// owners that have one deadline for many things, never one a request. Destroying it cancels.
#pragma once
#include <cstdint>
#include <memory>

namespace penstock::net {

class Loop;

class PreciseTimer {
 public:
  // fn(owner) runs on the loop's thread, at most once a start(); the timer may be restarted or destroyed
  // inside it.
  using Callback = void (*)(void* owner);
  PreciseTimer(Loop& loop, Callback fn, void* owner);
  ~PreciseTimer();
  PreciseTimer(const PreciseTimer&) = delete;
  PreciseTimer& operator=(const PreciseTimer&) = delete;

  void start(uint64_t delay_ms);  // restarts when it is running
  void stop();
  bool running() const;

 private:
  struct Handle;
  Handle* handle_;  // frees itself in its close callback
};

}  // namespace penstock::net
