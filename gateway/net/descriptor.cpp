#include "net/descriptor.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace penstock::net {

bool input_waits(int descriptor) {
  char byte;
  const ssize_t size = ::recv(descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return size >= 0 || (errno != EAGAIN && errno != EINTR);
}

uint64_t quiet_ms(int descriptor) {
  tcp_info info{};
  socklen_t length = sizeof info;
  const bool known = ::getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &length) == 0;
  return known ? info.tcpi_last_data_recv : 0;  // before any data since the connect
}

}  // namespace penstock::net
