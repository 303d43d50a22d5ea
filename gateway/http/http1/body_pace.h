// How long a request body may still keep its connection waiting: without a byte (limits.body_timeout), and on
// the whole by its rate (min_body_rate). Only the time in which it is awaited counts. How long a full door
// bears a body is counted from a mark: it moves on with what min_body_rate brings in that time, not with each
// byte. Members of a connection.
#pragma once
#include <algorithm>
#include <cstdint>
#include <utility>

#include "base/minimum_rate.h"
#include "http/connection.h"

namespace penstock::http::http1 {

class BodyMark {
 public:
  // A body is awaited that has brought so many bytes so far. True when that begins, or the mark has moved on.
  bool look(const DownstreamSettings& settings, uint64_t now_ms, uint64_t received) {
    if (since_ms_ != none && received - received_ < enough(settings)) return false;
    since_ms_ = now_ms;
    received_ = received;
    return true;
  }
  void stop() { since_ms_ = none; }
  // UINT64_MAX: none is awaited.
  uint64_t since_ms() const { return since_ms_; }

 private:
  static constexpr uint64_t none = UINT64_MAX;

  // Bytes that move it on.
  static uint64_t enough(const DownstreamSettings& settings) {
    return std::max<uint64_t>(1, settings.min_body_rate * DownstreamConnection::slow_body_ms / 1'000);
  }

  uint64_t since_ms_ = none;
  uint64_t received_ = 0;  // then
};

class BodyPace {
 public:
  void start(const DownstreamSettings& settings) {
    rate_ = {settings.min_body_rate, settings.rate_grace_ms};
    received_ = 0;
    since_ms_ = stopped;
    mark_.stop();
  }
  // The body is awaited, and has brought so many bytes so far: how long is this still borne?
  uint64_t patience_ms(const DownstreamSettings& settings, uint64_t now_ms, uint64_t received) {
    look(now_ms, received);
    moved_on_ |= mark_.look(settings, now_ms, received);
    return std::min<uint64_t>(settings.body_timeout_ms, rate_.left_ms());
  }
  void stop(uint64_t now_ms, uint64_t received) {
    if (since_ms_ == stopped) return;
    look(now_ms, received);
    since_ms_ = stopped;
    mark_.stop();
  }
  // The mark of a body that is awaited; UINT64_MAX: none is.
  uint64_t slow_since_ms() const { return mark_.since_ms(); }
  // True once each time it has moved on.
  bool take_moved_on() { return std::exchange(moved_on_, false); }
  bool too_slow(uint64_t now_ms, uint64_t received) {
    look(now_ms, received);
    return rate_.broken();
  }

 private:
  static constexpr uint64_t stopped = UINT64_MAX;

  void look(uint64_t now_ms, uint64_t received) {
    if (since_ms_ != stopped) rate_.waited(now_ms - since_ms_);
    rate_.received(received - received_);
    since_ms_ = now_ms;
    received_ = received;
  }

  MinimumRate rate_;
  uint64_t since_ms_ = stopped;
  uint64_t received_ = 0;
  BodyMark mark_;
  bool moved_on_ = false;
};

}  // namespace penstock::http::http1
