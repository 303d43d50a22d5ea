// What the tests of the log's writer and sinks have in common.
#pragma once
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "logging/stream_sink.h"
#include "logging/writer.h"

namespace penstock::plugin::testing {

// Long enough for a sanitizer on a busy machine; never waited out when all is well.
inline constexpr std::chrono::seconds log_patience{30};

// Remembers what it is told; anybody can wait for it.
class Heard final : public logging::Report {
 public:
  void lost(logging::Loss why, uint64_t lines) override {
    change([&] { lost_[static_cast<size_t>(why)] += lines; });
  }
  void retried() override {
    change([&] { ++retries_; });
  }
  void failed(const std::string& sentence) override {
    change([&] { failures_.push_back(sentence); });
  }
  void recovered(const std::string& sentence) override {
    change([&] { recoveries_.push_back(sentence); });
  }

  uint64_t lost(logging::Loss why) const {
    const std::lock_guard lock(mutex_);
    return lost_[static_cast<size_t>(why)];
  }
  uint64_t all_lost() const {
    const std::lock_guard lock(mutex_);
    uint64_t sum = 0;
    for (const uint64_t n : lost_) sum += n;
    return sum;
  }
  std::string failures() const {
    const std::lock_guard lock(mutex_);
    std::string out;
    for (const std::string& each : failures_) out += each + "\n";
    return out;
  }
  void await_retries(uint64_t n) {
    await("a retry", [&] { return retries_ >= n; });
  }
  void await_failure() {
    await("a failure", [&] { return !failures_.empty(); });
  }
  void await_lost(logging::Loss why, uint64_t n) {
    await("a loss", [&] { return lost_[static_cast<size_t>(why)] >= n; });
  }
  void await_recovery() {
    await("a recovery", [&] { return !recoveries_.empty(); });
  }

 private:
  template <class Change>
  void change(Change what) {
    {
      const std::lock_guard lock(mutex_);
      what();
    }
    changed_.notify_all();
  }
  template <class Done>
  void await(const char* what, Done done) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, log_patience, done))
      throw std::runtime_error(std::string(what) + " did not come");
  }
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::array<uint64_t, logging::loss_names.size()> lost_{};
  uint64_t retries_ = 0;
  std::vector<std::string> failures_, recoveries_;
};

inline logging::Destination destination(const std::string& text) {
  std::string error;
  auto parsed = logging::parse_destination(text, error);
  if (!parsed) throw std::runtime_error(error);
  return *parsed;
}

inline logging::Writer::MakeSink to_file(const std::string& path, logging::Report& report) {
  return [to = destination(path), &report](logging::Ending& ending) {
    return std::make_unique<logging::StreamSink>(to, report, ending);
  };
}

}  // namespace penstock::plugin::testing
