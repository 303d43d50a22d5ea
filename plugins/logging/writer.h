// The thread that writes: takes lines from the rings of all workers and gives them to the sink. Workers never
// wait for it; what does not fit into a ring is dropped and counted by the worker, what cannot be written by
// the sink. The thread starts with the first ring and ends with the object, after everything queued was
// written or the patience is used up.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "ring.h"
#include "sink.h"

namespace logging {

class Writer {
 public:
  // A file system that keeps a long write in few large pieces takes half the time for it: ext4 217 us a MiB
  // in writes of 256 KiB, 400 in such of nearly 64 (whole lines), 450 in 50, 790 in 12.
  static constexpr size_t max_write = 256 * 1024, min_write = 64 * 1024;
  static constexpr size_t most_of_one_ring = 1024 * 1024;    // before the next one's turn
  static constexpr std::chrono::milliseconds gathering{10};  // between looks at the rings while there is work

  using MakeSink = std::function<std::unique_ptr<Sink>(Ending&)>;
  // `patience`: how long the destructor may wait for the sink. The report outlives the writer.
  Writer(const MakeSink& make_sink, Report& report, size_t ring_bytes, Clock::duration patience);
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // Any thread. Opens the sink the first time; throws std::runtime_error when it cannot. The ring is the
  // worker's until it calls close() on it.
  Ring* attach();
  // A worker's thread, after a push: wakes the writer if it sleeps. Usually one load.
  void pushed() {
    if (sleeping_.load(std::memory_order_seq_cst)) wake();
  }
  // Any thread: the writer has the sink opened anew (log rotation).
  void reopen();

 private:
  void wake();
  void run();
  bool drain();
  bool drain_ring(Ring& ring);
  void sleep(std::unique_lock<std::mutex>& lock, std::optional<Clock::time_point> until);

  Report& report_;
  const size_t ring_bytes_;
  const Clock::duration patience_;
  Ending ending_;
  const std::unique_ptr<Sink> sink_;  // the writer's thread, once that runs

  std::mutex mutex_;  // guards what follows up to the thread
  std::condition_variable changed_;
  std::vector<std::unique_ptr<Ring>> rings_;
  bool stopping_ = false, reopening_ = false;
  std::thread thread_;
  std::atomic<bool> sleeping_{false};

  std::vector<Ring*> round_;  // the writer's thread alone
};

}  // namespace logging
