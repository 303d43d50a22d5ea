#include "e2e/harness/listening_port.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "e2e/harness/waiting.h"

namespace e2e {

ListeningPort::ListeningPort(int receive_buffer)
    : descriptor_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  if (receive_buffer != 0)
    ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(descriptor_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::listen(descriptor_, 4096) != 0)
    throw Failure("no port for a backend");
  ::getsockname(descriptor_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
}

ListeningPort::~ListeningPort() { ::close(descriptor_); }

std::unique_ptr<Client> ListeningPort::accept() {
  pollfd ready{descriptor_, POLLIN, 0};
  if (::poll(&ready, 1, left_ms(Clock::now() + patience)) <= 0) throw Failure("nobody connects");
  return Client::adopt(::accept4(descriptor_, nullptr, nullptr, SOCK_CLOEXEC));
}

}  // namespace e2e
