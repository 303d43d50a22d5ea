// The timers of one loop: a hierarchical wheel of 6 levels of 64 slots, the finest 10 ms wide, so that a
// delay of a second and one of a month cost the same. A timer sits in the level where its tick first differs
// from now and moves down at most once a level. The wheel knows no libuv: the loop gives it the time and an
// alarm.
#pragma once
#include <array>
#include <cstdint>
#include <optional>

#include "base/intrusive_list.h"
#include "net/timer.h"

namespace penstock::net {

// The one clock event that the wheel asks for.
class WheelAlarm {
 public:
  virtual void set(uint64_t at_ms) = 0;  // replaces what was set
  virtual void clear() = 0;              // no timer is left

 protected:
  ~WheelAlarm() = default;
};

class TimerWheel {
 public:
  static constexpr uint64_t tick_ms = 10;
  static constexpr uint64_t max_delay_ms = 10ull * 365 * 24 * 3600 * 1000;  // longer delays are cut to this

  TimerWheel(WheelAlarm& alarm, uint64_t now_ms) : alarm_(alarm), base_ms_(now_ms) {}
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  void start(Timer& timer, uint64_t now_ms, uint64_t delay_ms);
  void extend(Timer& timer, uint64_t now_ms, uint64_t delay_ms);
  void stop(Timer& timer);
  // Fires everything that is due, in the order of the slots. What a callback starts fires in a later call.
  void advance(uint64_t now_ms);
  size_t running() const { return running_; }

 private:
  static constexpr int levels = 6;
  static constexpr int slot_bits = 6;
  static constexpr int slots = 1 << slot_bits;
  static constexpr uint16_t in_due = 0xffff;
  static constexpr uint64_t never = UINT64_MAX;
  struct Slot {
    int level;
    int index;
    uint64_t tick;  // when it begins
  };

  uint64_t tick_at_or_after(uint64_t at_ms) const;
  void place(Timer& timer);
  void take_out(Timer& timer);
  std::optional<Slot> next_slot() const;
  void collect_due(uint64_t now_tick);
  void rearm();

  WheelAlarm& alarm_;
  uint64_t base_ms_;
  uint64_t elapsed_ = 0;  // every slot up to this tick is empty
  uint64_t armed_tick_ = never;
  size_t running_ = 0;
  bool advancing_ = false;
  std::array<uint64_t, levels> occupied_{};  // one bit a slot
  std::array<std::array<IntrusiveList<Timer>, slots>, levels> slots_;
  IntrusiveList<Timer> due_;  // taken out of the wheel, about to fire
};

}  // namespace penstock::net
