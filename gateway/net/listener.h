// Listening sockets. The main thread makes them (one per worker and address, SO_REUSEPORT), owns the
// descriptors and keeps them over reloads; a worker only polls and accepts on the one it is lent.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "net/address.h"

namespace penstock::net {

class Loop;

// A bound, listening, non-blocking descriptor: SO_REUSEPORT, SO_REUSEADDR, TCP_NODELAY (inherited by what it
// accepts), IPV6_V6ONLY on IPv6. Any thread; errors carry errno in `system_errno`.
struct BindError {
  int system_errno;
  const char* call;
};
class ListenSocket {
 public:
  static constexpr int max_backlog = 4096;
  static std::expected<ListenSocket, BindError> bind(const Address& address, int backlog = max_backlog);
  // At a path, with this mode from the first moment on; what lies there is replaced, so ask before who
  // listens (server/listen_sockets.h). The file goes with the socket, if it is still this one's.
  static std::expected<ListenSocket, BindError> bind_unix(const std::string& path, uint32_t mode,
                                                          int backlog = max_backlog);
  ListenSocket(ListenSocket&& other) noexcept;
  ListenSocket& operator=(ListenSocket&& other) noexcept;
  ~ListenSocket();
  int fd() const { return fd_; }
  const std::string& path() const { return file_.path; }  // of a unix socket
  const Address& address() const {
    return address_;
  }  // with the port that the kernel chose when 0 was asked for

 private:
  struct File {
    std::string path;
    uint64_t device = 0, inode = 0;
  };
  ListenSocket(int fd, Address address) : fd_(fd), address_(address) {}
  int fd_ = -1;
  Address address_;
  File file_;
};

// Accepts on a lent descriptor. One loop. The callback gets a connected, non-blocking, close-on-exec
// descriptor that it owns. At most `batch` accepts a turn, so that a flood of connections does not stall the
// established ones. Out of descriptors (EMFILE, ENFILE) while somebody waits: `shortage`, where there is one,
// may close something and say so (true), then it is tried once more; otherwise accepting stops for 100 ms and
// goes on; counted.
class Acceptor {
 public:
  using OnAccept = void (*)(void* owner, int fd, const Address& peer);
  using OnShortage = bool (*)(void* owner);
  Acceptor(Loop& loop, const ListenSocket& socket, OnAccept fn, void* owner, OnShortage shortage = nullptr);
  ~Acceptor();  // stops; the descriptor stays open
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;
  void pause();  // stops taking; the kernel's queue goes on filling
  void resume();
  uint64_t descriptor_shortages() const;

 private:
  struct Handle;
  Handle* handle_;
};

// How many connections wait to be accepted; of a unix socket as many as may.
size_t waiting_connections(const ListenSocket& socket);
// Takes so many of them without an Acceptor, for a listener that goes away; how many there were. What the
// callback destroys must not be the socket.
size_t accept_waiting(const ListenSocket& socket, size_t most, Acceptor::OnAccept fn, void* owner);

}  // namespace penstock::net
