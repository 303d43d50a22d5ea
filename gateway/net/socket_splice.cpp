// Bytes that go from one socket to another through a pipe, within the kernel.
#include <errno.h>

#include <utility>

#include "net/socket.h"

namespace penstock::net {

// Instead of a recv(). False: it has to be one, which also tells why nothing was moved: a FIN, urgent data.
bool Socket::splice_once(const NextRead<Socket>& to) {
  if (!to.sink || !to.sink->takes_pipe()) return false;
  std::unique_ptr<Pipe> pipe = loop_.pipes().take(loop_.now_ms());
  if (!pipe) return false;
  ssize_t size;
  do {
    size = pipe->fill(fd_, to.most);
  } while (size < 0 && errno == EINTR);
  if (size <= 0) {
    const int error = size < 0 ? errno : EAGAIN;
    loop_.pipes().give(std::move(pipe));
    if (error == EAGAIN) return false;
    // The kernel tells each error of a connection once.
    if (error != EINVAL && error != ENOSYS && error != EPERM && error != ENOMEM) return fail(error), true;
    loop_.pipes().refuse(loop_.now_ms());
    return false;
  }
  bytes_read_ += static_cast<uint64_t>(size);
  to.sink->take_pipe(std::move(pipe));
  if (owner_) owner_->on_socket_spliced(static_cast<size_t>(size));
  return true;
}

// What was copied before has to leave first. Pipes are bounded by worker, memory by process: what slow peers
// of all workers leave in pipes takes a share of it at most, and the bodies of others are copied.
bool Socket::takes_pipe() const {
  return state_ == State::open && finish_ == Finish::no && unsent() == 0 && loop_.blocks().plenty();
}

void Socket::take_pipe(std::unique_ptr<Pipe> pipe) {
  pipe_ = std::move(pipe);
  drain_pipe();
  if (!pipe_) return;
  drain_due_ = true;
  watch_reader();
  update_events();
}

void Socket::drain_pipe() {
  ssize_t sent;
  do {
    sent = pipe_->drain(fd_);
  } while (sent < 0 && errno == EINTR);
  if (sent > 0) {
    loop_.cork().forget(*this);
    bytes_written_ += static_cast<uint64_t>(sent);
    sent_ms_ = loop_.now_ms();
  } else if (sent < 0 && errno != EAGAIN) {
    return lose(errno);
  }
  if (pipe_->held() == 0) drop_pipe();
}

void Socket::drop_pipe() { loop_.pipes().give(std::move(pipe_)); }

}  // namespace penstock::net
