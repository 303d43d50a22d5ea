// What a connection takes of a limit (a place among a listener's connections) and gives back when its socket
// is closed, which may be long after its transport is gone: destroyed then, on the loop's thread, inside the
// call that closes. Made by whoever counts; owned by the socket (Transport::hold).
#pragma once
#include "base/intrusive_list.h"

namespace penstock::net {

class Socket;

class Place : public ListHook {
 public:
  virtual ~Place() = default;
  // Closes a socket that its transport has left to itself, with a reset if something was still to be sent;
  // destroys *this. Nothing while a transport is there.
  void cut();

 private:
  friend class Socket;
  Socket* socket_ = nullptr;
};

}  // namespace penstock::net
