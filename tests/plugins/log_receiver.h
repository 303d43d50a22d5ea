// A port on 127.0.0.1 whose connections the test plays the receiver of, and that listens only once it is told
// to: until then connections are refused.
#pragma once
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <stdexcept>
#include <string>

#include "e2e/harness/client.h"
#include "e2e/harness/waiting.h"

namespace penstock::plugin::testing {

class Receiver {
 public:
  enum class Begin { listening, closed };
  explicit Receiver(Begin begin = Begin::listening, int type = SOCK_STREAM)
      : descriptor_(::socket(AF_INET, type | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(descriptor_, reinterpret_cast<sockaddr*>(&address), size) != 0) throw e2e::Failure("no port");
    ::getsockname(descriptor_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    if (begin == Begin::listening && type == SOCK_STREAM) listen();
  }
  ~Receiver() { ::close(descriptor_); }
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  void listen() { ::listen(descriptor_, 16); }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  std::unique_ptr<e2e::Client> accept() {
    wait();
    return e2e::Client::adopt(::accept4(descriptor_, nullptr, nullptr, SOCK_CLOEXEC));
  }
  // The next datagram.
  std::string datagram() {
    wait();
    char buffer[65536];
    const ssize_t n = ::recv(descriptor_, buffer, sizeof buffer, 0);
    return {buffer, n > 0 ? static_cast<size_t>(n) : 0};
  }

 private:
  void wait() {
    pollfd ready{descriptor_, POLLIN, 0};
    if (::poll(&ready, 1, e2e::left_ms(e2e::Clock::now() + e2e::patience)) <= 0)
      throw e2e::Failure("nothing comes");
  }
  int descriptor_;
  uint16_t port_;
};

}  // namespace penstock::plugin::testing
