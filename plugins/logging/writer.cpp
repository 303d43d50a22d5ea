#include "writer.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>

namespace logging {
namespace {

// The largest prefix of the span that ends with a line; all of it when it holds no end of a line.
Ring::Span whole_lines(Ring::Span span) {
  if (const size_t end = span.second.rfind('\n'); end != std::string_view::npos) {
    return {span.first, span.second.substr(0, end + 1)};
  }
  if (const size_t end = span.first.rfind('\n'); end != std::string_view::npos) {
    // The line behind it goes on in the second piece, or is cut by the limit.
    return {span.first.substr(0, end + 1), {}};
  }
  return span;
}

}  // namespace

Writer::Writer(const MakeSink& make_sink, Report& report, size_t ring_bytes, Clock::duration patience)
    : report_(report), ring_bytes_(ring_bytes), patience_(patience), sink_(make_sink(ending_)) {}

Writer::~Writer() {
  ending_.begin(patience_);
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

Ring* Writer::attach() {
  const std::lock_guard lock(mutex_);
  if (!thread_.joinable()) {
    sink_->open();
    // Signals are the main thread's; a closed pipe is an EPIPE here.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { run(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  rings_.push_back(std::make_unique<Ring>(ring_bytes_));
  return rings_.back().get();
}

void Writer::wake() {
  if (!sleeping_.exchange(false)) return;
  { const std::lock_guard lock(mutex_); }  // the writer is either before its check of the flag, or waiting
  changed_.notify_one();
}

void Writer::reopen() {
  {
    const std::lock_guard lock(mutex_);
    reopening_ = true;
  }
  changed_.notify_one();
}

void Writer::run() {
  while (true) {
    const bool worked = drain();
    const auto again = sink_->settle(Sink::Settle::usual);
    std::unique_lock lock(mutex_);
    if (stopping_) break;
    if (reopening_) {
      reopening_ = false;
      lock.unlock();
      sink_->reopen();
    } else if (worked) {  // gather lines for a while: one write for many of them
      changed_.wait_for(lock, gathering, [this] { return stopping_ || reopening_; });
    } else {
      sleep(lock, again);
    }
  }
  while (drain()) continue;
  sink_->settle(Sink::Settle::last);
}

void Writer::sleep(std::unique_lock<std::mutex>& lock, std::optional<Clock::time_point> until) {
  sleeping_.store(true, std::memory_order_seq_cst);
  const bool empty = std::all_of(rings_.begin(), rings_.end(), [](const auto& ring) {
    return ring->peek(1).size() == 0 && !ring->closed();
  });
  const auto roused = [this] { return stopping_ || reopening_ || !sleeping_.load(); };
  if (empty && until) changed_.wait_until(lock, *until, roused);
  if (empty && !until) changed_.wait(lock, roused);
  sleeping_.store(false);
}

// True when something was taken.
bool Writer::drain() {
  {
    const std::lock_guard lock(mutex_);
    round_.clear();
    for (auto it = rings_.begin(); it != rings_.end();) {
      if ((*it)->closed() && (*it)->peek(1).size() == 0) {
        it = rings_.erase(it);
      } else {
        round_.push_back((it++)->get());
      }
    }
  }
  bool worked = false;
  for (Ring* ring : round_) worked = drain_ring(*ring) || worked;
  return worked;
}

// Other workers' rings fill up meanwhile, so that it ends after a while; and this one's worker has only what
// is not being written.
bool Writer::drain_ring(Ring& ring) {
  const size_t at_once = std::clamp(ring_bytes_ / 4, min_write, max_write);
  size_t taken = 0;
  while (taken < most_of_one_ring) {
    const Ring::Span span = whole_lines(ring.peek(at_once));
    if (span.size() == 0) break;
    if (ending_.over()) {
      report_.lost(Loss::shutdown, count_lines(span));
    } else {
      sink_->take(span);
    }
    ring.pop(span.size());
    taken += span.size();
  }
  return taken > 0;
}

}  // namespace logging
