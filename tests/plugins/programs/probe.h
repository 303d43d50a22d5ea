// What a test and the plugin `services` share: they are one process, and the configuration carries its
// address.
#pragma once
#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>

struct Probe {
  // Work waits here until the test lets it go on.
  void open() {
    const std::lock_guard lock(mutex);
    is_open = true;
    changed.notify_all();
  }
  void wait_open() {
    ++begun;
    std::unique_lock lock(mutex);
    changed.notify_all();
    changed.wait(lock, [&] { return is_open; });
  }
  void ended() {
    const std::lock_guard lock(mutex);
    ++done;
    changed.notify_all();
  }
  void wait_until(const std::atomic<int>& counter, int value) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return counter >= value; });
  }

  std::mutex mutex;
  std::condition_variable changed;
  bool is_open = false;
  std::atomic<int> begun{0}, done{0};  // pieces of work
  std::atomic<int> released{0};        // pieces whose memory was given back, by on_resume or by discard
  std::atomic<int> resumed{0};
  std::atomic<int> posted{0}, destroyed{0};
  std::string events;  // one letter each: S, T, R, D
  std::function<void()> told = [] {};
  std::string secrets;  // "consumer/name=secret " each, as configure saw them
  std::string status = R"({"things":3})";
  bool (*post)(void*) = nullptr;  // any thread: one more call of `posted`
  void* poster = nullptr;
};
