#include "server/listen_sockets.h"

#include <fmt/format.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace penstock::server {
namespace {

constexpr int client_backlog = 4096;

// Why nobody can listen here right now; nullopt: one can.
std::optional<net::BindError> occupied(const net::Address& address) {
  int descriptor = ::socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return net::BindError{errno, "socket"};
  int on = 1;
  ::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address.any.sa_family == AF_INET6) ::setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  int error = ::bind(descriptor, &address.any, address.length()) == 0 ? 0 : errno;
  ::close(descriptor);
  return error ? std::optional(net::BindError{error, "bind"}) : std::nullopt;
}

// A socket's file that nobody listens on any more may be replaced; one that somebody answers at may not, nor
// anything else that lies there.
std::optional<net::BindError> occupied(const std::string& path) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0)
    return errno == ENOENT ? std::nullopt : std::optional(net::BindError{errno, "stat"});
  if (!S_ISSOCK(info.st_mode)) return net::BindError{EEXIST, "bind"};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof address.sun_path - 1));
  int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return net::BindError{errno, "socket"};
  bool refused = ::connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 &&
                 errno == ECONNREFUSED;
  ::close(descriptor);
  return refused ? std::nullopt : std::optional(net::BindError{EADDRINUSE, "bind"});
}

}  // namespace

std::expected<net::ListenSocket, net::BindError> bind_free(const config::Address& address, uint32_t mode,
                                                           int backlog) {
  if (!address.unix_path.empty()) {
    if (auto error = occupied(address.unix_path)) return std::unexpected(*error);
    return net::ListenSocket::bind_unix(address.unix_path, mode, backlog);
  }
  net::Address at = socket_address(address);
  if (auto error = occupied(at)) return std::unexpected(*error);
  return net::ListenSocket::bind(at, backlog);
}

std::string address_text(const config::Address& address) {
  return address.unix_path.empty() ? socket_address(address).to_string() : "unix:" + address.unix_path;
}

net::Address socket_address(const config::Address& address) {
  if (!address.unix_path.empty()) return net::Address::unix_peer();
  // Validation has taken literals only.
  return net::Address::from_ip(address.host, address.port).value_or(net::Address{});
}

std::string socket_key(const config::Listener& listener) {
  std::string key = address_text(listener.address);
  bool chosen = listener.address.unix_path.empty() && listener.address.port == 0;
  return chosen ? key + " of " + listener.name : key;
}

std::string bind_failure(const std::string& what, const std::string& address, const net::BindError& error) {
  std::string advice;
  switch (error.system_errno) {
    case EADDRINUSE:
      advice = "another process listens there: stop it or choose another port (ss -ltnp shows who it is)";
      break;
    case EACCES:
      advice = "ports below 1024 need CAP_NET_BIND_SERVICE: choose a higher one or grant it";
      break;
    case EADDRNOTAVAIL:
      advice = "this machine has no such address: use one that `ip address` shows, or 0.0.0.0";
      break;
    case EEXIST: advice = "what lies there is no socket: remove it or choose another path"; break;
    case ENOENT: advice = "the folder is not there: create it"; break;
    case EMFILE:
    case ENFILE: advice = "no descriptors left: raise the limit of open files (ulimit -n)"; break;
    default: advice = "see `" + std::string(error.call) + "` in the system's manual"; break;
  }
  return fmt::format("{} cannot listen on {}: {} ({}); {}", what, address, std::strerror(error.system_errno),
                     error.call, advice);
}

std::expected<SocketGroups, std::string> bind_listeners(const std::vector<config::Listener>& listeners,
                                                        const SocketGroups& known, uint32_t workers) {
  SocketGroups groups;
  for (const config::Listener& listener : listeners) {
    std::string key = socket_key(listener);
    if (auto there = known.find(key); there != known.end()) {
      if (!listener.address.unix_path.empty())
        ::chmod(listener.address.unix_path.c_str(), listener.socket_mode);
      groups.emplace(key, there->second);
      continue;
    }
    SocketGroup group;
    auto refused = [&](const net::BindError& error) {
      return std::unexpected(
          bind_failure("listener '" + listener.name + "'", address_text(listener.address), error));
    };
    auto first = bind_free(listener.address, listener.socket_mode, client_backlog);
    if (!first) return refused(first.error());
    group.sockets.push_back(std::make_shared<net::ListenSocket>(std::move(*first)));
    while (group.sockets.size() < workers) {
      if (group.address().is_unix()) {  // has no SO_REUSEPORT: all accept on the one
        group.sockets.push_back(group.sockets.front());
        continue;
      }
      // With port 0 the others take what the first was given.
      auto next = net::ListenSocket::bind(group.address(), client_backlog);
      if (!next) return refused(next.error());
      group.sockets.push_back(std::make_shared<net::ListenSocket>(std::move(*next)));
    }
    groups.emplace(std::move(key), std::move(group));
  }
  return groups;
}

}  // namespace penstock::server
