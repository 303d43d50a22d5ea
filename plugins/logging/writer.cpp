#include "writer.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

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

uint64_t lines_in(std::string_view text) {
  return static_cast<uint64_t>(std::count(text.begin(), text.end(), '\n'));
}

void advance(Ring::Span& span, size_t n) {
  const size_t first = std::min(n, span.first.size());
  span.first.remove_prefix(first);
  span.second.remove_prefix(n - first);
}

}  // namespace

Writer::Writer(std::string file, size_t ring_bytes, std::function<void(uint64_t)> lost,
               std::function<void(const std::string&)> complain)
    : file_(std::move(file)),
      ring_bytes_(ring_bytes),
      lost_(std::move(lost)),
      complain_(std::move(complain)) {}

Writer::~Writer() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    deadline_ = std::chrono::steady_clock::now() + patience;
    hurry_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
  if (fd_ >= 0) ::close(fd_);
}

// stdout and stderr are opened anew, so that O_NONBLOCK is ours alone and not shared with whoever started us.
int Writer::open_file(std::string& error) const {
  constexpr int flags = O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
  const bool out = file_ == "stdout", err = file_ == "stderr";
  int fd = -1;
  if (out || err) {
    fd = ::open(out ? "/proc/self/fd/1" : "/proc/self/fd/2", flags);
    if (fd < 0) fd = ::fcntl(out ? 1 : 2, F_DUPFD_CLOEXEC, 3);
  } else {
    fd = ::open(file_.c_str(), flags | O_CREAT, 0640);
  }
  if (fd < 0) error = file_ + ": " + std::strerror(errno);
  return fd;
}

Ring* Writer::attach() {
  std::lock_guard lock(mutex_);
  if (!thread_.joinable()) {
    std::string error;
    fd_ = open_file(error);
    if (fd_ < 0) throw std::runtime_error(error);
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
  { std::lock_guard lock(mutex_); }  // the writer is either before its check of the flag, or waiting
  changed_.notify_one();
}

void Writer::reopen() {
  {
    std::lock_guard lock(mutex_);
    reopening_ = true;
  }
  changed_.notify_one();
}

void Writer::run() {
  while (true) {
    const bool worked = drain();
    std::unique_lock lock(mutex_);
    if (stopping_) {
      lock.unlock();
      drain();  // what came between the last look and the flag
      return;
    }
    if (reopening_) {
      reopening_ = false;
      lock.unlock();
      reopen_now();
      continue;
    }
    if (worked) {  // gather lines for a while: one write for many of them
      changed_.wait_for(lock, gathering, [this] { return stopping_ || reopening_; });
      continue;
    }
    sleeping_.store(true, std::memory_order_seq_cst);
    const bool empty = std::all_of(rings_.begin(), rings_.end(), [](const auto& ring) {
      return ring->peek(1).size() == 0 && !ring->closed();
    });
    if (empty) changed_.wait(lock, [this] { return stopping_ || reopening_ || !sleeping_.load(); });
    sleeping_.store(false);
  }
}

// True when something was written.
bool Writer::drain() {
  {
    std::lock_guard lock(mutex_);
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
  size_t written = 0;
  while (written < most_of_one_ring) {
    const Ring::Span span = whole_lines(ring.peek(at_once));
    if (span.size() == 0) break;
    write_span(span);
    ring.pop(span.size());
    written += span.size();
  }
  return written > 0;
}

void Writer::write_span(Ring::Span span) {
  if (torn_line_ && ::write(fd_, "\n", 1) == 1) torn_line_ = false;
  while (span.size() > 0) {
    const iovec pieces[2] = {{const_cast<char*>(span.first.data()), span.first.size()},
                             {const_cast<char*>(span.second.data()), span.second.size()}};
    const ssize_t n = ::writev(fd_, pieces, 2);
    if (n > 0) {
      torn_line_ = true;
      failing_ = false;
      advance(span, static_cast<size_t>(n));
      if (span.size() == 0) torn_line_ = false;
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN && wait_writable()) continue;
    count_lost(span);
    return;
  }
}

// A pipe that nobody reads: waits, but not past the end of the process's patience.
bool Writer::wait_writable() {
  while (true) {
    pollfd wanted{fd_, POLLOUT, 0};
    const int n = ::poll(&wanted, 1, 100);
    if (n > 0) return (wanted.revents & POLLOUT) != 0;
    if (n < 0 && errno != EINTR) return false;
    if (hurry_ && std::chrono::steady_clock::now() > deadline_) return false;
  }
}

void Writer::count_lost(Ring::Span rest) {
  const int error = errno;
  lost_(lines_in(rest.first) + lines_in(rest.second));
  if (!failing_) complain_("cannot write the access log to " + file_ + ": " + std::strerror(error));
  failing_ = true;
}

void Writer::reopen_now() {
  std::string error;
  const int fd = open_file(error);
  if (fd < 0) {
    complain_("cannot reopen the access log, going on with the old file: " + error);
    return;
  }
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
  torn_line_ = false;
}

}  // namespace logging
