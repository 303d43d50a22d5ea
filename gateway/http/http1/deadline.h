// One moving deadline over a net::Timer: moving it later or clearing it is a plain write, the timer finds out
// when it fires. That makes timeouts free while requests come and go. Member of a connection; one loop.
#pragma once
#include <cstdint>

#include "net/loop.h"
#include "net/timer.h"

namespace penstock::http::http1 {

class Deadline {
 public:
  // fn(owner) when the timer fires: the deadline has passed if struck() says so.
  Deadline(net::Loop& loop, net::Timer::Callback fn, void* owner) : timer_(loop, fn, owner) {}

  void at(net::Loop& loop, uint64_t ms) {
    at_ms_ = ms;
    if (!timer_.running() || ms < timer_.due_ms()) arm(loop);
  }
  void in(net::Loop& loop, uint64_t delay_ms) { at(loop, loop.now_ms() + delay_ms); }
  void clear() { at_ms_ = never; }
  // It is cleared then.
  bool struck(net::Loop& loop) {
    if (at_ms_ == never) return false;
    if (loop.now_ms() < at_ms_) return arm(loop), false;
    clear();
    return true;
  }

 private:
  static constexpr uint64_t never = UINT64_MAX;

  void arm(net::Loop& loop) {
    uint64_t now = loop.now_ms();
    timer_.start(at_ms_ > now ? at_ms_ - now : 0);
  }

  net::Timer timer_;
  uint64_t at_ms_ = never;
};

}  // namespace penstock::http::http1
