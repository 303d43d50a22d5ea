// Timers of one loop: all on one wheel behind one uv_timer_t, so starting or stopping one is a list operation
// and never a system call. Resolution is TimerWheel::tick_ms; a timer never fires early (by the loop's cached
// clock). A Timer is a member of whatever waits: its destructor cancels it.
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/intrusive_list.h"

namespace penstock::net {

class Loop;

class Timer : private ListHook {
 public:
  // fn(owner) runs on the loop's thread, at most once a start(); the timer may be restarted or destroyed
  // inside it.
  using Callback = void (*)(void* owner);
  Timer(Loop& loop, Callback fn, void* owner) : loop_(loop), fn_(fn), owner_(owner) {}
  ~Timer() { stop(); }

  void start(uint64_t delay_ms);  // restarts when it is running
  // Cheap when the timer already runs and the new deadline is later, as for idle timeouts renewed by every
  // read: only the deadline is written, the wheel moves the timer when its old slot comes round.
  void extend(uint64_t delay_ms);
  void stop() {
    if (linked()) remove();
  }
  bool running() const { return linked(); }
  uint64_t due_ms() const { return deadline_ms_; }  // while it runs; by the loop's clock

 private:
  friend class TimerWheel;
  friend class IntrusiveList<Timer>;
  void remove();
  Loop& loop_;
  Callback fn_;
  void* owner_;
  uint64_t deadline_ms_ : 48 = 0;
  uint64_t slot_ : 16 = 0;  // where in the wheel, while running
};

}  // namespace penstock::net
