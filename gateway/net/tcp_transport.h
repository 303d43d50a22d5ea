// Plain TCP over uv_poll_t with our own recv and sendmsg: costs what uv_tcp_t costs and leaves the descriptor
// to us (splice, TLS on the descriptor, plain close). See transport.h for the contract.
#pragma once
#include <memory>

#include "net/transport.h"

namespace penstock::net {

// Takes ownership of a connected non-blocking descriptor of a client (its errors have source downstream).
std::unique_ptr<Transport> make_tcp_transport(Loop& loop, int fd, const Address& peer);

// A pending outgoing connection; destroying it cancels. The callback comes exactly once, never inside the
// constructor.
class Connect {
 public:
  using Done = void (*)(void* owner, Result<std::unique_ptr<Transport>> result);
  virtual ~Connect() = default;
};
// Errors: refused, timeout, system; source upstream, retry yes (no byte was sent). timeout_ms 0: the kernel's
// own bound only. The callback may destroy the Connect.
std::unique_ptr<Connect> connect_tcp(Loop& loop, const Address& to, uint64_t timeout_ms, Connect::Done fn,
                                     void* owner);

// For net/ alone: the socket of a transport that connect_tcp made, which can only be destroyed then. Its
// events go to nobody who lives until it has another owner.
Socket& take_socket(Transport& connected);

}  // namespace penstock::net
