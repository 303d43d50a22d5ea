// What one socket is sent while a reader hands on the first piece of a long message waits in the kernel for
// what follows it at once, so that both leave in the same packets (MSG_MORE). Whatever becomes of that, end()
// sends it on its way before the reader's callback returns. One loop. Private to net/.
#pragma once

namespace penstock::net {

class Socket;

class Cork {
 public:
  // More of the message is about to be read.
  void begin() { begun_ = true; }
  // It was, or will not be: what is sent from now on goes at once, and takes along what waits.
  void stop() { begun_ = false; }
  // stop(), and what still waits goes.
  void end();
  // True: what this socket sends now may wait. Of one turn's sockets only the first is to, and stays it.
  bool claim(Socket& socket) {
    if (!begun_ || (held_ && held_ != &socket)) return false;
    held_ = &socket;
    return true;
  }
  // Its bytes went; or it is closed.
  void forget(const Socket& socket) {
    if (held_ == &socket) held_ = nullptr;
  }

 private:
  Socket* held_ = nullptr;
  bool begun_ = false;
};

}  // namespace penstock::net
