// How long a request body may still keep its connection waiting: without a byte (limits.body_timeout), and on
// the whole by its rate (min_body_rate). Only the time in which it is awaited counts. Member of a connection.
#pragma once
#include <algorithm>
#include <cstdint>

#include "base/minimum_rate.h"
#include "http/connection.h"

namespace penstock::http::http1 {

class BodyPace {
 public:
  void start(const DownstreamSettings& settings) {
    rate_ = {settings.min_body_rate, settings.rate_grace_ms};
    received_ = 0;
    since_ms_ = stopped;
  }
  // The body is awaited, and has brought so many bytes so far: how long is this still borne?
  uint64_t patience_ms(const DownstreamSettings& settings, uint64_t now_ms, uint64_t received) {
    look(now_ms, received);
    return std::min<uint64_t>(settings.body_timeout_ms, rate_.left_ms());
  }
  void stop(uint64_t now_ms, uint64_t received) {
    if (since_ms_ == stopped) return;
    look(now_ms, received);
    since_ms_ = stopped;
  }
  // Since when nothing came of a body that is awaited; UINT64_MAX: none is.
  uint64_t silent_since_ms() const { return since_ms_; }
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
};

}  // namespace penstock::http::http1
