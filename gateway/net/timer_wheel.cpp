#include "net/timer_wheel.h"

#include <algorithm>
#include <bit>

#include "net/loop.h"

namespace penstock::net {

void Timer::start(uint64_t delay_ms) { loop_.timers().start(*this, loop_.now_ms(), delay_ms); }
void Timer::extend(uint64_t delay_ms) { loop_.timers().extend(*this, loop_.now_ms(), delay_ms); }
void Timer::remove() { loop_.timers().stop(*this); }

uint64_t TimerWheel::tick_at_or_after(uint64_t at_ms) const {
  uint64_t since = at_ms > base_ms_ ? at_ms - base_ms_ : 0;
  return (since + tick_ms - 1) / tick_ms;
}

void TimerWheel::start(Timer& timer, uint64_t now_ms, uint64_t delay_ms) {
  if (timer.running()) {
    take_out(timer);
    --running_;
  }
  if (running_ == 0 && !advancing_) elapsed_ = std::max(elapsed_, (now_ms - base_ms_) / tick_ms);
  timer.deadline_ms_ = now_ms + std::min(delay_ms, max_delay_ms);
  ++running_;
  place(timer);
}

void TimerWheel::extend(Timer& timer, uint64_t now_ms, uint64_t delay_ms) {
  uint64_t deadline = now_ms + std::min(delay_ms, max_delay_ms);
  if (timer.running() && deadline >= timer.deadline_ms_)
    timer.deadline_ms_ = deadline;
  else
    start(timer, now_ms, delay_ms);
}

void TimerWheel::take_out(Timer& timer) {
  timer.unlink();
  if (timer.slot_ == in_due) return;
  int level = timer.slot_ / slots, index = timer.slot_ % slots;
  if (slots_[level][index].empty()) occupied_[level] &= ~(uint64_t{1} << index);
}

void TimerWheel::stop(Timer& timer) {
  if (!timer.running()) return;
  take_out(timer);
  if (--running_ == 0 && !advancing_) {
    armed_tick_ = never;
    alarm_.clear();
  }
}

void TimerWheel::place(Timer& timer) {
  uint64_t tick = std::max(tick_at_or_after(timer.deadline_ms_), elapsed_ + 1);
  // The level is where the highest differing bit lies. Slots at or below elapsed_ are empty at every level,
  // so the lowest occupied bit of the lowest occupied level is always what comes next.
  int level = (63 - std::countl_zero((tick ^ elapsed_) | (slots - 1))) / slot_bits;
  level = std::min(level, levels - 1);  // only reached after decades of running
  int index = static_cast<int>(tick >> (slot_bits * level)) & (slots - 1);
  timer.slot_ = static_cast<uint16_t>(level * slots + index);
  slots_[level][index].push_back(timer);
  occupied_[level] |= uint64_t{1} << index;
  uint64_t begins = tick >> (slot_bits * level) << (slot_bits * level);
  if (begins < armed_tick_ && !advancing_) {
    armed_tick_ = begins;
    alarm_.set(base_ms_ + begins * tick_ms);
  }
}

std::optional<TimerWheel::Slot> TimerWheel::next_slot() const {
  for (int level = 0; level < levels; ++level) {
    if (occupied_[level] == 0) continue;
    int index = std::countr_zero(occupied_[level]);
    int above = slot_bits * (level + 1);
    uint64_t tick = (elapsed_ >> above << above) | (static_cast<uint64_t>(index) << (slot_bits * level));
    return Slot{level, index, tick};
  }
  return std::nullopt;
}

void TimerWheel::collect_due(uint64_t now_tick) {
  for (auto next = next_slot(); next && next->tick <= now_tick; next = next_slot()) {
    elapsed_ = next->tick;
    occupied_[next->level] &= ~(uint64_t{1} << next->index);
    auto& list = slots_[next->level][next->index];
    while (Timer* timer = list.pop_front()) {
      if (tick_at_or_after(timer->deadline_ms_) <= now_tick) {
        timer->slot_ = in_due;
        due_.push_back(*timer);
      } else {
        place(*timer);
      }
    }
  }
  elapsed_ = std::max(elapsed_, now_tick);
}

void TimerWheel::advance(uint64_t now_ms) {
  advancing_ = true;
  collect_due((now_ms - base_ms_) / tick_ms);
  while (Timer* timer = due_.pop_front()) {
    if (timer->deadline_ms_ > now_ms) {  // extended by the callback of another
      place(*timer);
      continue;
    }
    --running_;
    timer->fn_(timer->owner_);
  }
  advancing_ = false;
  rearm();
}

void TimerWheel::rearm() {
  auto next = next_slot();
  armed_tick_ = next ? next->tick : never;
  if (next)
    alarm_.set(base_ms_ + next->tick * tick_ms);
  else
    alarm_.clear();
}

}  // namespace penstock::net
