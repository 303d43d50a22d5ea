// The listening sockets of the process: one a worker and address, made and counted by the main thread and
// kept over reloads for as long as the address stays (closing one drops what waits in its accept queue).
// Workers share the ownership: the last one to let go of a removed socket empties its queue and closes it.
#pragma once
#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "net/listener.h"

namespace penstock::server {

using SharedSocket = std::shared_ptr<net::ListenSocket>;

// All sockets of one address, by worker.
struct SocketGroup {
  std::vector<SharedSocket> sockets;
  const net::Address& address() const { return sockets.front()->address(); }
};

using SocketGroups = std::map<std::string, SocketGroup>;

// What a listener's sockets are kept by: its address or path, or with port 0 its name.
std::string socket_key(const config::Listener& listener);

// The sockets for these listeners: those that are there already and new ones, bound now, one a worker. On
// failure one line that says what to do.
std::expected<SocketGroups, std::string> bind_listeners(const std::vector<config::Listener>& listeners,
                                                        const SocketGroups& known, uint32_t workers);

// One line for a human: what could not be bound, why, and what to do about it.
std::string bind_failure(const std::string& what, const std::string& address, const net::BindError& error);

// One socket there, when nobody else listens. With SO_REUSEPORT a second gateway would bind without an error
// and take half of the connections, and a unix socket's file would be taken away from it, so that is asked
// first.
std::expected<net::ListenSocket, net::BindError> bind_free(const config::Address& address, uint32_t mode,
                                                           int backlog);

// "127.0.0.1:80", "unix:/run/x.sock".
std::string address_text(const config::Address& address);
net::Address socket_address(const config::Address& address);

}  // namespace penstock::server
