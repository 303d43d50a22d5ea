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

// What a listener's sockets are kept by: its address, or with port 0 its name.
std::string socket_key(const config::Listener& listener);

// The sockets for these listeners: those that are there already and new ones, bound now, one a worker. On
// failure one line that says what to do.
std::expected<SocketGroups, std::string> bind_listeners(const std::vector<config::Listener>& listeners,
                                                        const SocketGroups& known, uint32_t workers);

// One line for a human: what could not be bound, why, and what to do about it.
std::string bind_failure(const std::string& what, const std::string& address, const net::BindError& error);

// Why nobody can listen on this address right now; nullopt: one can. With SO_REUSEPORT a second gateway would
// bind without an error and take half of the connections, so this is asked first.
std::optional<net::BindError> occupied(const net::Address& address);

net::Address socket_address(const config::Address& address);

}  // namespace penstock::server
