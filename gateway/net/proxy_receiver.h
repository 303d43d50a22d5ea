// Takes the PROXY header off an accepted connection before any other layer sees a byte, and exactly that:
// what follows stays in the socket for TLS or HTTP. Owned by who accepted; one loop. See proxy_protocol.h.
#pragma once
#include <cstdint>

#include "net/address.h"
#include "net/proxy_protocol.h"

namespace penstock::net {

class Loop;

enum class ProxyHeaderEnd : uint8_t {
  good,       // header() is valid, and descriptor() the caller's
  malformed,  // or there is none
  closed,     // the peer left, or the socket broke
  timeout
};

class ProxyReceiver {
 public:
  // Once, from the loop; may destroy the receiver.
  using Done = void (*)(void* owner, ProxyHeaderEnd end);
  // Takes the descriptor, which must not block. The whole header has timeout_ms.
  ProxyReceiver(Loop& loop, int fd, uint64_t timeout_ms, Done fn, void* owner);
  ~ProxyReceiver();  // closes the descriptor if nobody took it
  ProxyReceiver(const ProxyReceiver&) = delete;
  ProxyReceiver& operator=(const ProxyReceiver&) = delete;

  void hurry(uint64_t timeout_ms);  // it has so long from now on
  bool input_waits() const;         // in the kernel: bytes, an end or an error; a system call
  const ProxyHeader& header() const;
  int release();  // the descriptor, after `good`

 private:
  struct Handle;
  Handle* handle_;
};

}  // namespace penstock::net
