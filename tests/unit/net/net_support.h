// What the network tests share: real sockets over loopback on ports that the kernel chose, a loop that stops
// when the test has seen what it waits for (or fails loudly), and a handler that records.
#pragma once
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "base/result.h"
#include "net/listener.h"
#include "net/loop.h"
#include "net/tcp_transport.h"
#include "net/timer.h"
#include "net/transport.h"

namespace penstock::net {

class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() { reset(); }
  void reset() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

inline Address loopback(uint16_t port = 0) { return *Address::from_ip("127.0.0.1", port); }

inline Fd dial(const Address& to) {
  Fd fd(::socket(to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(::connect(fd.get(), &to.any, to.length()) == 0);
  return fd;
}

// Both ends of one TCP connection: `near` non-blocking for a transport, `far` blocking for the test.
struct Pair {
  Fd near, far;
  Address peer;
  explicit Pair(int near_send_buffer = 0, int far_receive_buffer = 0) {
    auto listener = ListenSocket::bind(loopback());
    REQUIRE(listener.has_value());
    far = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (far_receive_buffer > 0)
      ::setsockopt(far.get(), SOL_SOCKET, SO_RCVBUF, &far_receive_buffer, sizeof(far_receive_buffer));
    REQUIRE(::connect(far.get(), &listener->address().any, listener->address().length()) == 0);
    pollfd ready{listener->fd(), POLLIN, 0};
    REQUIRE(::poll(&ready, 1, 10'000) == 1);
    socklen_t length = sizeof(peer.v6);
    near = Fd(::accept4(listener->fd(), &peer.any, &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    REQUIRE(near.get() >= 0);
    if (near_send_buffer > 0)
      ::setsockopt(near.get(), SOL_SOCKET, SO_SNDBUF, &near_send_buffer, sizeof(near_send_buffer));
  }
};

inline void send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
}

// Blocking: until FIN, an error or `limit` bytes.
inline std::string read_all(int fd, size_t limit = SIZE_MAX) {
  std::string out;
  char buffer[65536];
  while (out.size() < limit) {
    ssize_t size = ::recv(fd, buffer, std::min(sizeof(buffer), limit - out.size()), 0);
    if (size <= 0) break;
    out.append(buffer, static_cast<size_t>(size));
  }
  return out;
}

inline void set_reset_on_close(int fd) {
  linger at_once{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

// Runs the loop until done(), asked every 10 ms, or for 20 s, which fails the test.
class LoopRunner {
 public:
  LoopRunner() : ask_(loop, on_ask, this), limit_(loop, on_limit, this) {}

  void until(std::function<bool()> done) {
    done_ = std::move(done);
    in_time_ = true;
    limit_.start(20'000);
    ask_.start(0);
    loop.serve();
    ask_.stop();
    limit_.stop();
    CHECK_MESSAGE(in_time_, "what the test waits for did not happen");
  }
  // A few turns, so that whatever is ready now has been handled.
  void turns(int count) {
    until([&] { return count-- == 0; });
  }

  Loop loop;

 private:
  static void on_ask(void* raw) {
    auto& self = *static_cast<LoopRunner*>(raw);
    if (self.done_())
      self.loop.stop();
    else
      self.ask_.start(1);
  }
  static void on_limit(void* raw) {
    auto& self = *static_cast<LoopRunner*>(raw);
    self.in_time_ = false;
    self.loop.stop();
  }
  Timer ask_, limit_;
  std::function<bool()> done_;
  bool in_time_ = true;
};

struct Recorder final : TransportHandler {
  void on_read(std::span<const char> bytes) override {
    read.append(bytes.data(), bytes.size());
    ++reads;
    if (when_read) when_read(bytes);
  }
  void on_read_end() override {
    ++ends;
    if (when_ended) when_ended();
  }
  void on_end_announced() override { ++announced; }
  void on_drained() override {
    ++drains;
    if (when_drained) when_drained();
  }
  void on_error(const Error& e) override {
    ++errors;
    error = e;
    if (when_error) when_error();
  }

  std::string read;
  int reads = 0, ends = 0, announced = 0, drains = 0, errors = 0;
  Error error;
  std::function<void(std::span<const char>)> when_read;
  std::function<void()> when_ended, when_drained, when_error;
};

}  // namespace penstock::net
