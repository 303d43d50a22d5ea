// The floor of the bench: an epoll relay that copies bytes between a client and its own backend connection
// and parses nothing. What it costs, any proxy on this kernel costs; what a proxy costs beyond it is its own.
// penstock_floor PORT BACKEND_PORT
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

// One of the two sides; `unsent` is what its socket did not take yet, and while there is some the peer is not
// read.
struct Side {
  int descriptor = -1;
  Side* peer = nullptr;
  std::string unsent;
};

sockaddr_in loopback(const char* port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(std::atoi(port)));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

class Relay {
 public:
  Relay(const char* port, const char* backend_port) : backend_(loopback(backend_port)) {
    auto address = loopback(port);
    int on = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(listener_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ready_ = bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
             listen(listener_, 4096) == 0;
    epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, listener_, &event);
  }
  bool ready() const { return ready_; }

  [[noreturn]] void run() {
    std::array<epoll_event, 256> events;
    for (;;) {
      int count = epoll_wait(epoll_, events.data(), events.size(), -1);
      for (int i = 0; i < count; ++i) {
        auto* side = static_cast<Side*>(events[static_cast<size_t>(i)].data.ptr);
        if (!side)
          accept_all();
        else if (side->descriptor >= 0)
          serve(*side, events[static_cast<size_t>(i)].events);
      }
      for (auto* side : dead_) delete side;
      dead_.clear();
    }
  }

 private:
  void accept_all() {
    for (;;) {
      int client = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (client < 0) return;
      int out = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      int on = 1;
      setsockopt(out, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      connect(out, reinterpret_cast<sockaddr*>(&backend_), sizeof backend_);
      auto* down = new Side{.descriptor = client};
      auto* up = new Side{.descriptor = out, .peer = down};
      down->peer = up;
      for (auto* side : {down, up}) {
        epoll_event event{.events = EPOLLIN, .data = {.ptr = side}};
        epoll_ctl(epoll_, EPOLL_CTL_ADD, side->descriptor, &event);
      }
    }
  }

  void serve(Side& side, uint32_t events) {
    if (events & EPOLLOUT) {
      auto put = send(side.descriptor, side.unsent.data(), side.unsent.size(), MSG_NOSIGNAL);
      if (put > 0) side.unsent.erase(0, static_cast<size_t>(put));
      if (put < 0 && errno != EAGAIN) return end(side);
      if (side.unsent.empty()) watch(side, EPOLLIN), watch(*side.peer, EPOLLIN);
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) copy(side);
  }

  void copy(Side& from) {
    auto& to = *from.peer;
    if (!to.unsent.empty()) return;
    auto got = recv(from.descriptor, buffer_.data(), buffer_.size(), 0);
    if (got == 0 || (got < 0 && errno != EAGAIN)) return end(from);
    if (got < 0) return;
    auto put = send(to.descriptor, buffer_.data(), static_cast<size_t>(got), MSG_NOSIGNAL);
    if (put < 0 && errno != EAGAIN && errno != ENOTCONN) return end(from);
    if (put < 0) put = 0;
    if (put == got) return;
    to.unsent.assign(buffer_.data() + put, static_cast<size_t>(got - put));
    watch(to, EPOLLOUT | EPOLLIN);
    watch(from, 0);
  }

  void watch(Side& side, uint32_t events) {
    epoll_event event{.events = events, .data = {.ptr = &side}};
    epoll_ctl(epoll_, EPOLL_CTL_MOD, side.descriptor, &event);
  }

  void end(Side& side) {
    for (auto* each : {&side, side.peer}) {
      close(each->descriptor);
      each->descriptor = -1;
      dead_.push_back(each);
    }
  }

  sockaddr_in backend_;
  int listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int epoll_ = epoll_create1(EPOLL_CLOEXEC);
  bool ready_ = false;
  std::array<char, 128 * 1024> buffer_{};
  std::vector<Side*> dead_;
};

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) {
    std::fputs("usage: penstock_floor PORT BACKEND_PORT\n", stderr);
    return 2;
  }
  static Relay relay(arguments[1], arguments[2]);
  if (!relay.ready()) {
    std::perror("penstock_floor");
    return 3;
  }
  relay.run();
}
