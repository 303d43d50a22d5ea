#include "net/descriptor.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>

namespace penstock::net {

bool input_waits(int descriptor) {
  char byte;
  const ssize_t size = ::recv(descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return size >= 0 || (errno != EAGAIN && errno != EINTR);
}

uint32_t quiet_ms(int descriptor) {
  tcp_info info{};
  socklen_t length = sizeof info;
  const bool known = ::getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &length) == 0;
  return known ? info.tcpi_last_data_recv : 0;  // before any data since the connect
}

int descriptor_mark() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return INT32_MAX;
  const rlim_t most = std::min<rlim_t>(files.rlim_cur, INT32_MAX);
  return static_cast<int>(most - std::min<rlim_t>(most / 8, 256));
}

}  // namespace penstock::net
