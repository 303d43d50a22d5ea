#include "net/listener.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include <cstring>
#include <utility>

#include "net/loop.h"
#include "net/loop_handle.h"
#include "net/timer.h"

namespace penstock::net {

std::expected<ListenSocket, BindError> ListenSocket::bind(const Address& address, int backlog) {
  int fd = ::socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return std::unexpected(BindError{errno, "socket"});
  ListenSocket out(fd, address);  // closes fd on every way out
  int on = 1;
  auto set = [&](int level, int option) { return ::setsockopt(fd, level, option, &on, sizeof(on)) == 0; };
  if (!set(SOL_SOCKET, SO_REUSEADDR) || !set(SOL_SOCKET, SO_REUSEPORT) || !set(IPPROTO_TCP, TCP_NODELAY))
    return std::unexpected(BindError{errno, "setsockopt"});
  if (address.any.sa_family == AF_INET6 && !set(IPPROTO_IPV6, IPV6_V6ONLY))
    return std::unexpected(BindError{errno, "setsockopt"});
  if (::bind(fd, &address.any, address.length()) != 0) return std::unexpected(BindError{errno, "bind"});
  if (::listen(fd, backlog) != 0) return std::unexpected(BindError{errno, "listen"});
  socklen_t length = sizeof(out.address_.v6);
  if (::getsockname(fd, &out.address_.any, &length) != 0)
    return std::unexpected(BindError{errno, "getsockname"});
  return out;
}

// Bound beside the path and moved there when it listens, so that whoever connects meets the old socket or the
// new one, never none.
std::expected<ListenSocket, BindError> ListenSocket::bind_unix(const std::string& path, uint32_t mode,
                                                               int backlog) {
  sockaddr_un address{};
  const std::string made = path + ".new";
  if (made.size() >= sizeof address.sun_path) return std::unexpected(BindError{ENAMETOOLONG, "bind"});
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, made.data(), made.size());
  int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return std::unexpected(BindError{errno, "socket"});
  ListenSocket out(fd, Address::unix_peer());  // closes fd on every way out
  ::unlink(made.c_str());                      // of a start that was broken off
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return std::unexpected(BindError{errno, "bind"});
  struct stat info{};
  // Nobody can connect before listen().
  bool good = ::chmod(made.c_str(), mode) == 0 && ::stat(made.c_str(), &info) == 0 &&
              ::listen(fd, backlog) == 0 && ::rename(made.c_str(), path.c_str()) == 0;
  if (!good) {
    BindError error{errno, "listen"};
    ::unlink(made.c_str());
    return std::unexpected(error);
  }
  out.file_ = {path, info.st_dev, info.st_ino};
  return out;
}

ListenSocket::ListenSocket(ListenSocket&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), address_(other.address_), file_(std::exchange(other.file_, {})) {}

ListenSocket& ListenSocket::operator=(ListenSocket&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(address_, other.address_);
  std::swap(file_, other.file_);
  return *this;
}

ListenSocket::~ListenSocket() {
  struct stat info{};
  bool ours = !file_.path.empty() && ::stat(file_.path.c_str(), &info) == 0 && info.st_dev == file_.device &&
              info.st_ino == file_.inode;
  if (ours) ::unlink(file_.path.c_str());
  if (fd_ >= 0) ::close(fd_);
}

namespace {

// The next connection, or -1 with an errno that says why there is none.
int accept_from(int fd, Address& peer) {
  for (;;) {
    socklen_t length = sizeof(peer.v6);
    int accepted = ::accept4(fd, &peer.any, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted >= 0 && peer.is_unix()) peer = Address::unix_peer();  // whatever name it bound itself to
    if (accepted >= 0) return accepted;
    switch (errno) {
      // The connection that was next is gone already (accept(2): pending network errors are passed on).
      case EINTR:
      case ECONNABORTED:
      case EPROTO:
      case ENETDOWN:
      case ENETUNREACH:
      case EHOSTDOWN:
      case EHOSTUNREACH:
      case ENONET:
      case EPERM: continue;
      default: return -1;
    }
  }
}

bool out_of(int system_errno) {
  return system_errno == EMFILE || system_errno == ENFILE || system_errno == ENOBUFS ||
         system_errno == ENOMEM;
}

}  // namespace

// The loop side: lives until its close callback. `acceptor` is null once the owner is gone, which may happen
// inside any on_accept.
struct Acceptor::Handle final : LoopHandle {
  static constexpr int batch = 32;              // a turn; the kernel's queue keeps the rest
  static constexpr uint64_t shortage_ms = 100;  // until descriptors may be free again
  enum class Took { connection, nothing, shortage };

  Handle(Loop& on, Acceptor& of, int fd_to_poll, OnAccept on_accept, void* accept_owner,
         OnShortage on_shortage)
      : loop(on),
        acceptor(&of),
        fd(fd_to_poll),
        fn(on_accept),
        owner(accept_owner),
        shortage_fn(on_shortage),
        retry(on, on_retry, this) {
    polled = uv_poll_init(loop.raw(), &poll, fd) == 0;
    poll.data = static_cast<LoopHandle*>(this);
    update();
  }

  void update() {
    bool want = acceptor && polled && !paused && !retry.running();
    if (want == watching) return;
    watching = want;
    if (want)
      uv_poll_start(&poll, UV_READABLE, on_poll);
    else
      uv_poll_stop(&poll);
  }

  static Handle& from(uv_poll_t* raw) { return *static_cast<Handle*>(static_cast<LoopHandle*>(raw->data)); }

  static void on_poll(uv_poll_t* raw, int status, int) {
    Handle& self = from(raw);
    if (status < 0) self.watching = false;  // libuv stopped the handle
    for (int i = 0; i < batch && self.acceptor && !self.paused; ++i)
      if (self.take_one(i == 0) != Took::connection) break;
    self.update();
  }

  static void on_retry(void* raw) { static_cast<Handle*>(raw)->update(); }

  // After the first of a turn nobody may be waiting: then no descriptor is needed either.
  Took take_one(bool somebody_waits) {
    for (bool relieved = false;;) {
      Address peer;
      int accepted = accept_from(fd, peer);
      if (accepted >= 0) {
        fn(owner, accepted, peer);
        return Took::connection;
      }
      if (!out_of(errno) || !somebody_waits) return Took::nothing;
      // What waits in the queue is served when others have closed; polling on would spin.
      ++shortages;
      if (!relieved && shortage_fn && shortage_fn(owner)) {
        relieved = true;
        continue;
      }
      retry.start(shortage_ms);
      return Took::shortage;
    }
  }

  void close() {
    acceptor = nullptr;
    retry.stop();
    update();
    if (!polled) {
      bury();
      return;
    }
    uv_close(reinterpret_cast<uv_handle_t*>(&poll),
             [](uv_handle_t* raw) { delete &from(reinterpret_cast<uv_poll_t*>(raw)); });
  }
  void loop_ends() override { close(); }

  void bury();

  Loop& loop;
  Acceptor* acceptor;
  int fd;
  OnAccept fn;
  void* owner;
  OnShortage shortage_fn;
  uint64_t shortages = 0;
  bool polled = false;
  bool watching = false;
  bool paused = false;
  Timer retry;
  uv_poll_t poll;
};

// For a handle that libuv refused and so will not close.
void Acceptor::Handle::bury() {
  struct Grave final : Deferred {
    explicit Grave(Handle* of) : handle(of) {}
    std::unique_ptr<Handle> handle;
  };
  loop.defer_delete(std::make_unique<Grave>(this));
}

Acceptor::Acceptor(Loop& loop, const ListenSocket& socket, OnAccept fn, void* owner, OnShortage shortage)
    : handle_(new Handle(loop, *this, socket.fd(), fn, owner, shortage)) {}

Acceptor::~Acceptor() { handle_->close(); }

void Acceptor::pause() {
  handle_->paused = true;
  handle_->update();
}

void Acceptor::resume() {
  handle_->paused = false;
  handle_->update();
}

uint64_t Acceptor::descriptor_shortages() const { return handle_->shortages; }

size_t waiting_connections(const ListenSocket& socket) {
  tcp_info info{};
  socklen_t length = sizeof(info);
  bool known = socket.path().empty() && ::getsockopt(socket.fd(), IPPROTO_TCP, TCP_INFO, &info, &length) == 0;
  return known ? info.tcpi_unacked : ListenSocket::max_backlog;  // of a listening socket: its queue
}

size_t accept_waiting(const ListenSocket& socket, size_t most, Acceptor::OnAccept fn, void* owner) {
  size_t taken = 0;
  for (Address peer; taken < most; ++taken) {
    int accepted = accept_from(socket.fd(), peer);
    if (accepted < 0) break;
    fn(owner, accepted, peer);
  }
  return taken;
}

}  // namespace penstock::net
