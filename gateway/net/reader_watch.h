// Watches a peer that leaves a rest of what it is sent: by the kernel's count of what it acknowledged, since
// a socket is writable again only when a third of its buffer is free, which a slow peer may take minutes for.
// Made by a socket the first time a rest is left, owned by it; its timer runs only while there is one.
#pragma once
#include <cstdint>

#include "base/minimum_rate.h"
#include "net/timer.h"

namespace penstock::net {

class Socket;

class ReaderWatch {
 public:
  explicit ReaderWatch(Socket& socket);
  void start();  // a rest is left; nothing when it runs
 private:
  static void on_timer(void* self);
  void look();

  Socket& socket_;
  MinimumRate rate_;
  uint64_t taken_ = 0;  // by the peer, at the last look
  uint64_t looked_ms_ = 0;
  uint64_t progress_ms_ = 0;
  Timer timer_;
};

}  // namespace penstock::net
