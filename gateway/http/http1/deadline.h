// One moving deadline over a net::Timer: moving it later or clearing it is a plain write, the timer finds out
// when it fires. That makes timeouts free while requests come and go. Member of a connection; one loop.
#pragma once
#include <cstdint>

#include "net/loop.h"
#include "net/timer.h"

namespace penstock::http::http1 {

class Deadline {
 public:
  // fn(owner) when the deadline passed; it is cleared then.
  Deadline(net::Loop& loop, net::Timer::Callback fn, void* owner)
      : loop_(loop), fn_(fn), owner_(owner), timer_(loop, on_timer, this) {}

  void at(uint64_t ms) {
    at_ms_ = ms;
    if (!timer_.running() || ms < armed_ms_) arm();
  }
  void in(uint64_t delay_ms) { at(loop_.now_ms() + delay_ms); }
  void clear() { at_ms_ = never; }
  bool set() const { return at_ms_ != never; }

 private:
  static constexpr uint64_t never = UINT64_MAX;

  void arm() {
    uint64_t now = loop_.now_ms();
    armed_ms_ = at_ms_;
    timer_.start(at_ms_ > now ? at_ms_ - now : 0);
  }
  static void on_timer(void* raw) {
    auto& self = *static_cast<Deadline*>(raw);
    if (!self.set()) return;
    if (self.loop_.now_ms() < self.at_ms_) return self.arm();
    self.clear();
    self.fn_(self.owner_);
  }

  net::Loop& loop_;
  net::Timer::Callback fn_;
  void* owner_;
  net::Timer timer_;
  uint64_t at_ms_ = never;
  uint64_t armed_ms_ = 0;
};

}  // namespace penstock::http::http1
