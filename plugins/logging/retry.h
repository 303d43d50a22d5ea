// When something is tried again: twice as late each time, a little at random so that many senders do not come
// at once, and not for ever.
#pragma once
#include <algorithm>
#include <optional>
#include <random>

#include "sink.h"

namespace logging {

struct RetryPolicy {
  std::chrono::nanoseconds first = std::chrono::milliseconds(200);
  std::chrono::nanoseconds longest = std::chrono::seconds(30);
  std::chrono::nanoseconds give_up = std::chrono::minutes(5);  // since the first try
};

// For one delivery.
class Backoff {
 public:
  explicit Backoff(const RetryPolicy& policy)
      : policy_(policy), wait_(policy.first), until_(Clock::now() + policy.give_up) {}

  // How long to wait before the next try; nothing: it is time to give up. What the receiver asked for is
  // granted up to the longest wait.
  std::optional<Clock::duration> next(std::optional<std::chrono::seconds> asked = std::nullopt) {
    std::uniform_int_distribution<int64_t> part(wait_.count() / 2, wait_.count());
    std::chrono::nanoseconds wait(part(random_));
    if (asked)
      wait = std::max<std::chrono::nanoseconds>(wait,
                                                std::min<std::chrono::nanoseconds>(*asked, policy_.longest));
    wait_ = std::min(wait_ * 2, policy_.longest);
    if (Clock::now() + wait > until_) return std::nullopt;
    return wait;
  }

 private:
  const RetryPolicy& policy_;
  std::chrono::nanoseconds wait_;
  Clock::time_point until_;
  std::minstd_rand random_{std::random_device{}()};
};

// Says when something begins to fail and when it is over, and no more than that once a minute.
class Outage {
 public:
  explicit Outage(Report& report) : report_(report) {}
  void failed(const std::string& sentence) {
    const auto now = Clock::now();
    if (now < again_) return;
    report_.failed(sentence);
    again_ = now + std::chrono::minutes(1);
    said_ = true;
  }
  void recovered(const std::string& sentence) {
    if (said_) report_.recovered(sentence);
    said_ = false;
  }

 private:
  Report& report_;
  Clock::time_point again_{};
  bool said_ = false;
};

}  // namespace logging
