// penstock_echo: the backend of the demo, of the end-to-end tests and of the bench. One epoll loop,
// HTTP/1.1 with keep-alive and pipelining. Any path answers a JSON report of the request it saw; besides:
//   /bytes/N /chunked/N   N filler bytes            /echo         the request's body comes back
//   /status/NNN           that status               /early        103 Early Hints first
//   /slow?ms=N            the report, late          /sse?n=&ms=   server-sent events
//   /drip?n=&ms=          pieces, chunked           /trailers     a trailer field
//   /close                ends by closing           /reset?at=N   breaks off (?head: before any byte)
//   /hang                 never answers             /garbage      no HTTP at all
//   ?now on any path      answers before the body   upgrade: websocket   echoes frames
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "echo/connection.h"

namespace echo {
namespace {

struct Options {
  std::string address = "127.0.0.1", name = "echo";
  int port = 0, free_ports = 0;
};

// A bound and listening socket, or -1 with errno.
int listen_on(const std::string& address, int port, int& chosen_port) {
  sockaddr_storage any{};
  socklen_t size = sizeof(sockaddr_in);
  auto* v4 = reinterpret_cast<sockaddr_in*>(&any);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&any);
  if (inet_pton(AF_INET, address.c_str(), &v4->sin_addr) == 1) {
    any.ss_family = AF_INET;
  } else if (inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr) == 1) {
    any.ss_family = AF_INET6;
    size = sizeof(sockaddr_in6);
  } else {
    errno = EINVAL;
    return -1;
  }
  v4->sin_port = htons(static_cast<uint16_t>(port));  // the same place in both
  int descriptor = socket(any.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int on = 1;
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // accepted sockets inherit it
  if (bind(descriptor, reinterpret_cast<sockaddr*>(&any), size) != 0 || listen(descriptor, 4096) != 0) {
    int error = errno;
    close(descriptor);
    errno = error;
    return -1;
  }
  size = sizeof any;
  getsockname(descriptor, reinterpret_cast<sockaddr*>(&any), &size);
  chosen_port = ntohs(v4->sin_port);
  return descriptor;
}

class Loop {
 public:
  Loop(int listener, std::string name)
      : listener_(listener), epoll_(epoll_create1(EPOLL_CLOEXEC)), name_(std::move(name)) {
    epoll_event event{.events = EPOLLIN, .data = {.fd = listener_}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, listener_, &event);
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 256> events;
    for (;;) {
      int count = epoll_wait(epoll_, events.data(), events.size(), wait_ms());
      for (int i = 0; i < count; ++i) {
        int descriptor = events[static_cast<size_t>(i)].data.fd;
        if (descriptor == listener_)
          accept_all();
        else
          serve(descriptor, events[static_cast<size_t>(i)].events);
      }
      run_timers();
    }
  }

 private:
  struct Slot {
    std::unique_ptr<Connection> connection;
    uint32_t interest = 0;
    bool timed = false;
  };
  struct Timer {
    int descriptor;
    uint64_t number;
  };

  void accept_all() {
    for (;;) {
      int descriptor = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (descriptor < 0) return;
      auto& slot = slots_[descriptor];
      slot = {.connection = std::make_unique<Connection>(descriptor, ++accepted_, name_),
              .interest = EPOLLIN};
      epoll_event event{.events = EPOLLIN, .data = {.fd = descriptor}};
      epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event);
    }
  }

  void serve(int descriptor, uint32_t events) {
    auto at = slots_.find(descriptor);
    if (at == slots_.end()) return;
    auto& connection = *at->second.connection;
    auto state = Connection::State::open;
    if (events & EPOLLOUT) state = connection.advance();
    if (state == Connection::State::open && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
      state = connection.on_readable();
    settle(at, state);
  }

  void settle(std::unordered_map<int, Slot>::iterator at, Connection::State state) {
    if (state == Connection::State::closed) {
      slots_.erase(at);  // closing the descriptor takes it out of epoll
      return;
    }
    auto& [descriptor, slot] = *at;
    uint32_t interest = (slot.connection->wants_read() ? uint32_t{EPOLLIN} : 0) |
                        (slot.connection->wants_write() ? uint32_t{EPOLLOUT} : 0);
    if (interest != slot.interest) {
      epoll_event event{.events = interest, .data = {.fd = descriptor}};
      epoll_ctl(epoll_, EPOLL_CTL_MOD, descriptor, &event);
      slot.interest = interest;
    }
    if (auto due = slot.connection->due(); due && !slot.timed) {
      timers_.emplace(*due, Timer{descriptor, slot.connection->number()});
      slot.timed = true;
    }
  }

  int wait_ms() const {
    if (timers_.empty()) return -1;
    auto left = std::chrono::ceil<std::chrono::milliseconds>(timers_.begin()->first - Clock::now());
    return static_cast<int>(std::max<int64_t>(0, left.count()));
  }

  void run_timers() {
    while (!timers_.empty() && timers_.begin()->first <= Clock::now()) {
      auto timer = timers_.begin()->second;
      timers_.erase(timers_.begin());
      auto at = slots_.find(timer.descriptor);
      if (at == slots_.end() || at->second.connection->number() != timer.number) continue;
      at->second.timed = false;
      settle(at, at->second.connection->advance());
    }
  }

  int listener_, epoll_;
  std::string name_;
  uint64_t accepted_ = 0;
  std::unordered_map<int, Slot> slots_;
  std::multimap<Clock::time_point, Timer> timers_;
};

bool parse_options(int count, char** arguments, Options& options) {
  for (int i = 1; i < count; i += 2) {
    std::string key = arguments[i];
    if (i + 1 >= count) return false;
    std::string value = arguments[i + 1];
    if (key == "--name") {
      options.name = value;
    } else if (key == "--free-ports") {
      options.free_ports = std::atoi(value.c_str());
    } else if (key == "--listen" && value.rfind(':') != std::string::npos) {
      options.port = std::atoi(value.c_str() + value.rfind(':') + 1);
      options.address = value.substr(0, value.rfind(':'));
      if (options.address.starts_with('['))
        options.address = options.address.substr(1, options.address.size() - 2);
    } else {
      return false;
    }
  }
  return true;
}

// Prints ports that were free a moment ago, all different: for scripts that write a configuration.
int print_free_ports(int count) {
  std::vector<int> held;
  for (int i = 0; i < count; ++i) {
    int port = 0;
    held.push_back(listen_on("127.0.0.1", 0, port));
    std::printf("%d\n", port);
  }
  for (int descriptor : held) close(descriptor);
  return 0;
}

int main_with(const Options& options) {
  if (options.free_ports > 0) return print_free_ports(options.free_ports);
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  int port = 0;
  int listener = listen_on(options.address, options.port, port);
  if (listener < 0) {
    std::fprintf(stderr, "penstock_echo: cannot listen on %s:%d: %s\n", options.address.c_str(), options.port,
                 std::strerror(errno));
    return 3;
  }
  std::printf("%d\n", port);
  std::fflush(stdout);
  Loop(listener, options.name).run();
}

}  // namespace
}  // namespace echo

int main(int count, char** arguments) {
  echo::Options options;
  if (!echo::parse_options(count, arguments, options)) {
    std::fputs("usage: penstock_echo [--listen ADDRESS:PORT] [--name NAME] | --free-ports N\n", stderr);
    return 2;
  }
  return echo::main_with(options);
}
