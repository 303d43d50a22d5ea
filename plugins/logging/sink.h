// What stands between the writer's thread and the world: a sink takes whole lines and brings them to their
// destination. It may wait, within bounds of the configuration, since nobody but that thread waits with it.
#pragma once
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "ring.h"

namespace logging {

using Clock = std::chrono::steady_clock;

// Why a line was not written; loss_names are the values of the metric's label.
enum class Loss : uint8_t { queue, write, unavailable, refused, shutdown };
inline constexpr std::array<std::string_view, 5> loss_names{"queue", "write", "unavailable", "refused",
                                                            "shutdown"};

// Who hears what became of lines. Called on any thread, for a sink on the writer's alone.
class Report {
 public:
  virtual ~Report() = default;
  virtual void lost(Loss why, uint64_t lines) = 0;
  virtual void retried() = 0;  // something is about to be sent once more
  virtual void failed(const std::string& sentence) = 0;
  virtual void recovered(const std::string& sentence) = 0;
};

// The end of the writer: begun by whoever destroys it, over when its patience is.
class Ending {
 public:
  // Any thread.
  void begin(Clock::duration patience) {
    {
      const std::lock_guard lock(mutex_);
      over_at_ = Clock::now() + patience;
    }
    changed_.notify_all();
  }
  bool over() const {
    const std::lock_guard lock(mutex_);
    return over_at_ && Clock::now() >= *over_at_;
  }
  // What is left of a wait that may take so long.
  Clock::duration bounded(Clock::duration wanted) const {
    const std::lock_guard lock(mutex_);
    if (!over_at_) return wanted;
    const auto left = *over_at_ - Clock::now();
    return left < wanted ? (left.count() > 0 ? left : Clock::duration{}) : wanted;
  }
  // Waits so long, but not past the end; one that begins meanwhile ends the wait at once, so that a receiver
  // gets one more try. False: it is over.
  bool pause(Clock::duration wanted) {
    std::unique_lock lock(mutex_);
    const auto until = Clock::now() + wanted;
    if (over_at_) {
      changed_.wait_until(lock, until < *over_at_ ? until : *over_at_, [] { return false; });
      return Clock::now() < *over_at_;
    }
    changed_.wait_until(lock, until, [this] { return over_at_.has_value(); });
    return !over_at_ || Clock::now() < *over_at_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Clock::time_point> over_at_;
};

class Sink {
 public:
  enum class Settle { usual, last };

  virtual ~Sink() = default;
  // Any thread, once, before everything else. Throws std::runtime_error when there can be no sink; a receiver
  // that is not there yet is no reason.
  virtual void open() = 0;
  // The rest: the writer's thread. Whole lines of one worker, in its order; what is not brought to its
  // destination is reported. The views end with the call.
  virtual void take(Ring::Span lines) = 0;
  virtual void reopen() {}
  // After each look at all rings: what waits inside may go now, and with `last` it must. When to ask again
  // if nothing else comes; nothing waits: never.
  virtual std::optional<Clock::time_point> settle(Settle) { return std::nullopt; }
};

inline uint64_t count_lines(std::string_view text) {
  uint64_t lines = 0;
  for (const char c : text) lines += c == '\n' ? 1 : 0;
  return lines;
}
inline uint64_t count_lines(const Ring::Span& span) {
  return count_lines(span.first) + count_lines(span.second);
}

// The lines of a span one by one, without their ends; one that crosses the span's two pieces is put together.
class Lines {
 public:
  explicit Lines(Ring::Span span) : rest_(span) {}
  bool next(std::string_view& line) {
    if (rest_.first.empty()) rest_ = {rest_.second, {}};
    if (rest_.first.empty()) return false;
    if (const size_t end = rest_.first.find('\n'); end != std::string_view::npos) {
      line = rest_.first.substr(0, end);
      rest_.first.remove_prefix(end + 1);
      return true;
    }
    const size_t end = rest_.second.find('\n');
    joined_ = rest_.first;
    joined_ += rest_.second.substr(0, end);
    rest_ = {end == std::string_view::npos ? std::string_view() : rest_.second.substr(end + 1), {}};
    line = joined_;
    return true;
  }

 private:
  Ring::Span rest_;
  std::string joined_;
};

}  // namespace logging
