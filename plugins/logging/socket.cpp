#include "socket.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

namespace logging {
namespace {

// What may lie unacknowledged in the kernel, and so has to be kept for another connection.
constexpr int send_buffer = 256 * 1024;

int milliseconds(Clock::duration time) {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(time).count();
  return static_cast<int>(std::clamp<int64_t>(ms, 0, 1 << 30));
}

// 0, or an errno.
int wait_for(int fd, short events, Clock::duration timeout) {
  const auto until = Clock::now() + timeout;
  while (true) {
    pollfd wanted{fd, events, 0};
    const int n = ::poll(&wanted, 1, milliseconds(until - Clock::now()));
    if (n > 0) return 0;
    if (n == 0) return ETIMEDOUT;
    if (errno != EINTR) return errno;
  }
}

// 0, or an errno; the socket is closed then.
int connect_to(int fd, const sockaddr* address, socklen_t size, Clock::duration timeout) {
  if (::connect(fd, address, size) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  if (const int error = wait_for(fd, POLLOUT, timeout); error != 0) return error;
  int error = 0;
  socklen_t length = sizeof error;
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
  return error;
}

// A dead peer is found out after the time that a send may take, also while nothing is sent.
void tune_stream(int fd, Clock::duration timeout) {
  const int on = 1, size = send_buffer, ms = milliseconds(timeout);
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  ::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);
}

int open_unix(const std::string& path, Clock::duration timeout, int& error) {
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) {
    error = errno;
    return -1;
  }
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof address.sun_path - 1));
  error = connect_to(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address, timeout);
  if (error == 0) return fd;
  ::close(fd);
  return -1;
}

int open_internet(const addrinfo& to, Clock::duration timeout, int& error) {
  const int fd = ::socket(to.ai_family, to.ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, to.ai_protocol);
  if (fd < 0) {
    error = errno;
    return -1;
  }
  if (to.ai_socktype == SOCK_STREAM) tune_stream(fd, timeout);
  error = connect_to(fd, to.ai_addr, to.ai_addrlen, timeout);
  if (error == 0) return fd;
  ::close(fd);
  return -1;
}

}  // namespace

bool Socket::connect(const Destination& to, Clock::duration timeout, std::string& error) {
  close();
  int number = 0;
  if (to.kind == Destination::Kind::syslog_unix) {
    fd_ = open_unix(to.path, timeout, number);
    if (fd_ < 0) error = std::strerror(number);
    return fd_ >= 0;
  }
  addrinfo wanted{};
  wanted.ai_socktype = to.kind == Destination::Kind::syslog_tcp ? SOCK_STREAM : SOCK_DGRAM;
  wanted.ai_flags = AI_NUMERICSERV;
  addrinfo* list = nullptr;
  if (const int fault = ::getaddrinfo(to.host.c_str(), to.port.c_str(), &wanted, &list); fault != 0) {
    error = ::gai_strerror(fault);
    return false;
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(list, &::freeaddrinfo);
  for (const addrinfo* one = list; one != nullptr && fd_ < 0; one = one->ai_next)
    fd_ = open_internet(*one, timeout, number);
  if (fd_ < 0) error = std::strerror(number);
  return fd_ >= 0;
}

ssize_t Socket::send(std::string_view bytes, Clock::duration timeout) {
  while (true) {
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n >= 0) return n;
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return -1;
    if (const int error = wait_for(fd_, POLLOUT, timeout); error != 0) {
      errno = error;
      return -1;
    }
  }
}

size_t Socket::unacknowledged() const {
  int bytes = 0;
  return ::ioctl(fd_, TIOCOUTQ, &bytes) == 0 && bytes > 0 ? static_cast<size_t>(bytes) : 0;
}

bool Socket::ended_by_peer() const {
  char unread[512];
  while (true) {
    const ssize_t n = ::recv(fd_, unread, sizeof unread, MSG_DONTWAIT);
    if (n == 0) return true;
    if (n < 0) return errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR;
  }
}

bool Socket::finish(Clock::duration timeout) {
  const auto until = Clock::now() + timeout;
  ::shutdown(fd_, SHUT_WR);
  while (wait_for(fd_, POLLIN, until - Clock::now()) == 0) {
    char unread[512];
    const ssize_t n = ::recv(fd_, unread, sizeof unread, MSG_DONTWAIT);
    if (n == 0) return true;
    if (n < 0 && errno != EAGAIN && errno != EINTR) return false;
  }
  return false;
}

void Socket::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

}  // namespace logging
