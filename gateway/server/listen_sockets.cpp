#include "server/listen_sockets.h"

#include <fmt/format.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace penstock::server {

net::Address socket_address(const config::Address& address) {
  // Validation has taken literals only.
  return net::Address::from_ip(address.host, address.port).value_or(net::Address{});
}

std::string socket_key(const config::Listener& listener) {
  std::string key = socket_address(listener.address).to_string();
  return listener.address.port == 0 ? key + " of " + listener.name : key;
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
    case EMFILE:
    case ENFILE: advice = "no descriptors left: raise the limit of open files (ulimit -n)"; break;
    default: advice = "see `" + std::string(error.call) + "` in the system's manual"; break;
  }
  return fmt::format("{} cannot listen on {}: {} ({}); {}", what, address, std::strerror(error.system_errno),
                     error.call, advice);
}

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

std::expected<SocketGroups, std::string> bind_listeners(const std::vector<config::Listener>& listeners,
                                                        const SocketGroups& known, uint32_t workers) {
  SocketGroups groups;
  for (const config::Listener& listener : listeners) {
    std::string key = socket_key(listener);
    if (auto there = known.find(key); there != known.end()) {
      groups.emplace(key, there->second);
      continue;
    }
    SocketGroup group;
    net::Address address = socket_address(listener.address);
    auto refused = [&](const net::BindError& error) {
      return std::unexpected(bind_failure("listener '" + listener.name + "'", address.to_string(), error));
    };
    if (auto error = occupied(address)) return refused(*error);
    for (uint32_t i = 0; i < workers; ++i) {
      auto socket = net::ListenSocket::bind(address);
      if (!socket) return refused(socket.error());
      address = socket->address();  // with port 0 the others take what the first was given
      group.sockets.push_back(std::make_shared<net::ListenSocket>(std::move(*socket)));
    }
    groups.emplace(std::move(key), std::move(group));
  }
  return groups;
}

}  // namespace penstock::server
