// How a socket reads: by splicing where it can, else into the loop's buffer.
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "net/socket.h"

namespace penstock::net {

NextRead<Socket> Socket::next_read() {
  return state_ == State::open && owner_ ? owner_->next_socket_read() : NextRead<Socket>{};
}

// One read a readiness event, also after a full buffer: the poll is level-triggered, and others are waiting.
// A short one that was filled has only found out what the rest is, which comes next.
bool Socket::read_once() {
  if (!reading_ || read_ended_) return true;
  const NextRead<Socket> how = next_read();
  if (splice_once(how)) return true;
  const ReadBytes first = receive(how.at_first > 0 ? how.at_first : SIZE_MAX);
  if (first == ReadBytes::filled) {
    const bool goes_on = owner_ && state_ == State::open && reading_;
    if (goes_on && !splice_once(next_read())) {
      loop_.cork().stop();
      receive(SIZE_MAX);
    }
    loop_.cork().end();
  }
  return first != ReadBytes::none;
}

// `most`: a buffer of that size is filled only if there is likely more.
Socket::ReadBytes Socket::receive(size_t most) {
  std::span<char> buffer = read_into_ == ReadInto::read_buffer ? loop_.read_buffer() : loop_.cipher_buffer();
  const bool short_read = most < buffer.size();
  if (short_read) buffer = buffer.first(most);
  ssize_t size;
  do {
    size = ::recv(fd_, buffer.data(), buffer.size(), 0);
  } while (size < 0 && errno == EINTR);
  if (size > 0) {
    const bool filled = short_read && static_cast<size_t>(size) == most;
    if (filled) loop_.cork().begin();
    bytes_read_ += static_cast<uint64_t>(size);
    if (owner_) owner_->on_socket_read({buffer.data(), static_cast<size_t>(size)});
    // What a backend sent before the end is read, then: a call that fails without that end leaves a silent
    // one.
    if (state_ == State::broken && reading_ && !input_waits()) fail(error_);
    return filled ? ReadBytes::filled : ReadBytes::some;
  }
  if (size < 0 && errno == EAGAIN) return ReadBytes::none;
  size == 0 ? end_input() : fail(errno);
  return ReadBytes::some;
}

void Socket::end_input() {
  bool broken = state_ == State::broken;
  // Once the reset was reported, recv() ends with 0 as well: only EPIPE says that a FIN came before it.
  if (broken && error_ != EPIPE) return fail(error_);
  read_ended_ = true;
  if (owner_)
    owner_->on_socket_read_end();
  else if (finish_ == Finish::done)
    close();
  if (broken) fail(error_);
}

void Cork::end() {
  begun_ = false;
  if (!held_) return;
  // Where it is set already, as here, it sends what is pending all the same: tcp(7).
  const int on = 1;
  ::setsockopt(std::exchange(held_, nullptr)->fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace penstock::net
