// The thread that writes: takes lines from the rings of all workers and gives them to a file, a pipe or a
// terminal, up to 256 KiB at once. Workers never wait for it; what does not fit into a ring, or cannot be
// written, is counted. The thread starts with the first ring and ends with the object, after everything
// queued was written (at most `patience` when nobody reads the pipe).
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "ring.h"

namespace logging {

class Writer {
 public:
  // A file system that keeps a long write in few large pieces takes half the time for it: ext4 217 us a MiB
  // in writes of 256 KiB, 400 in such of nearly 64 (whole lines), 450 in 50, 790 in 12.
  static constexpr size_t max_write = 256 * 1024, min_write = 64 * 1024;
  static constexpr size_t most_of_one_ring = 1024 * 1024;    // before the next one's turn
  static constexpr std::chrono::milliseconds gathering{10};  // between looks at the rings while there is work
  static constexpr std::chrono::seconds patience{2};

  // `file`: "stdout", "stderr" or a path. `lost` gets the number of lines that could not be written,
  // `complain` a sentence; both are called on the writer's thread.
  Writer(std::string file, size_t ring_bytes, std::function<void(uint64_t)> lost,
         std::function<void(const std::string&)> complain);
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // Any thread. Opens the file the first time; throws std::runtime_error when it cannot. The ring is the
  // worker's until it calls close() on it.
  Ring* attach();
  // A worker's thread, after a push: wakes the writer if it sleeps. Usually one load.
  void pushed() {
    if (sleeping_.load(std::memory_order_seq_cst)) wake();
  }
  // Any thread: the file is closed and opened again by the writer (log rotation).
  void reopen();

 private:
  void wake();
  void run();
  bool drain();
  bool drain_ring(Ring& ring);
  void write_span(Ring::Span span);
  bool wait_writable();
  void count_lost(Ring::Span rest);
  void reopen_now();
  int open_file(std::string& error) const;

  const std::string file_;
  const size_t ring_bytes_;
  const std::function<void(uint64_t)> lost_;
  const std::function<void(const std::string&)> complain_;

  std::mutex mutex_;  // guards what follows up to the thread
  std::condition_variable changed_;
  std::vector<std::unique_ptr<Ring>> rings_;
  bool stopping_ = false, reopening_ = false;
  std::thread thread_;
  std::atomic<bool> sleeping_{false};
  std::atomic<bool> hurry_{false};  // stopping: no gathering, bounded patience

  // The writer's thread alone.
  int fd_ = -1;
  bool torn_line_ = false;  // the last write ended inside a line
  bool failing_ = false;    // said so already
  std::vector<Ring*> round_;
  std::chrono::steady_clock::time_point deadline_{};
};

}  // namespace logging
