#include "server/admin_client.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace penstock::server {
namespace {

constexpr size_t max_answer = 64u << 20;
constexpr timeval patience{5, 0};  // for each read or write

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

bool send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

bool read_all(int fd, std::string& out) {
  char bytes[16 * 1024];
  while (out.size() < max_answer) {
    const ssize_t got = ::read(fd, bytes, sizeof bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return got == 0;
    out.append(bytes, static_cast<size_t>(got));
  }
  return false;
}

}  // namespace

std::expected<std::string, std::string> ask_admin(const config::Address& address, std::string_view path) {
  const auto failed = [&](std::string_view what) {
    return std::unexpected(fmt::format("unix:{}: {}", address.unix_path, what));
  };
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (address.unix_path.size() >= sizeof name.sun_path) return failed("is too long for a socket's name");
  std::memcpy(name.sun_path, address.unix_path.data(), address.unix_path.size());
  const Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0)
    return failed(fmt::format("nobody answers there ({}); is the gateway running?", std::strerror(errno)));
  std::string answer;
  if (!send_all(socket.get(),
                fmt::format("GET {} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n", path)) ||
      !read_all(socket.get(), answer))
    return failed("the answer did not come");
  const size_t head = answer.find("\r\n\r\n");
  if (!answer.starts_with("HTTP/1.1 ") || head == std::string::npos)
    return failed("this is no admin API of Penstock");
  if (answer.compare(9, 3, "200") != 0) return failed("answered " + answer.substr(9, answer.find('\r') - 9));
  return answer.substr(head + 4);
}

}  // namespace penstock::server
