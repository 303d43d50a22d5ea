// What a connection takes of a limit (a place among a listener's connections) and gives back when its socket
// is closed, which may be long after its transport is gone: destroyed then, on the loop's thread, inside the
// call that closes. Made by whoever counts; owned by the socket (Transport::hold).
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/intrusive_list.h"

namespace penstock::net {

class Socket;

class Place : public ListHook {
 public:
  virtual ~Place() = default;
  // What its socket says; nothing of all this before it is held.
  bool left() const;             // by its transport: it sends the rest alone, or lingers
  size_t unsent() const;         // see Transport
  uint64_t bytes_taken() const;  // a system call
  uint64_t sent_ms() const;      // when the kernel last took something to send
  bool input_waits() const;      // bytes in the kernel, an end or an error; a system call
  // Closes a socket that its transport has left to itself, with a reset if something was still to be sent;
  // destroys *this. Nothing while a transport is there.
  void cut();

 private:
  friend class Socket;
  Socket* socket_ = nullptr;
};

}  // namespace penstock::net
