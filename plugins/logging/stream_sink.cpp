#include "stream_sink.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace logging {
namespace {

void advance(Ring::Span& span, size_t n) {
  const size_t first = std::min(n, span.first.size());
  span.first.remove_prefix(first);
  span.second.remove_prefix(n - first);
}

}  // namespace

StreamSink::StreamSink(Destination destination, Report& report, const Ending& ending)
    : destination_(std::move(destination)), report_(report), ending_(ending) {}

StreamSink::~StreamSink() {
  if (fd_ >= 0) ::close(fd_);
}

// stdout and stderr are opened anew, so that O_NONBLOCK is ours alone and not shared with whoever started us.
int StreamSink::open_file(std::string& error) const {
  constexpr int flags = O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
  int fd = -1;
  if (destination_.kind == Destination::Kind::file) {
    fd = ::open(destination_.path.c_str(), flags | O_CREAT, 0640);
  } else {
    const bool out = destination_.kind == Destination::Kind::standard_output;
    fd = ::open(out ? "/proc/self/fd/1" : "/proc/self/fd/2", flags);
    if (fd < 0) fd = ::fcntl(out ? 1 : 2, F_DUPFD_CLOEXEC, 3);
  }
  if (fd < 0) error = destination_.text + ": " + std::strerror(errno);
  return fd;
}

void StreamSink::open() {
  std::string error;
  fd_ = open_file(error);
  if (fd_ < 0) throw std::runtime_error(error);
}

void StreamSink::take(Ring::Span lines) {
  if (torn_line_ && ::write(fd_, "\n", 1) == 1) torn_line_ = false;
  while (lines.size() > 0) {
    const iovec pieces[2] = {{const_cast<char*>(lines.first.data()), lines.first.size()},
                             {const_cast<char*>(lines.second.data()), lines.second.size()}};
    const ssize_t n = ::writev(fd_, pieces, 2);
    if (n > 0) {
      torn_line_ = true;
      failing_ = false;
      advance(lines, static_cast<size_t>(n));
      if (lines.size() == 0) torn_line_ = false;
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN && wait_writable()) continue;
    return give_up(lines);
  }
}

// A pipe that nobody reads: waits, but not past the end of the process's patience.
bool StreamSink::wait_writable() const {
  while (true) {
    pollfd wanted{fd_, POLLOUT, 0};
    const int n = ::poll(&wanted, 1, 100);
    if (n > 0) return (wanted.revents & POLLOUT) != 0;
    if (n < 0 && errno != EINTR) return false;
    if (ending_.over()) return false;
  }
}

void StreamSink::give_up(Ring::Span rest) {
  const int error = errno;
  report_.lost(ending_.over() ? Loss::shutdown : Loss::write, count_lines(rest));
  if (!failing_)
    report_.failed("cannot write the access log to " + destination_.text + ": " + std::strerror(error));
  failing_ = true;
}

void StreamSink::reopen() {
  std::string error;
  const int fd = open_file(error);
  if (fd < 0) return report_.failed("cannot reopen the access log, going on with the old file: " + error);
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
  torn_line_ = false;
}

}  // namespace logging
