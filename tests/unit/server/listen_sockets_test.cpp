#include "server/listen_sockets.h"

#include <doctest/doctest.h>

#include <cerrno>

#include "server/listener_load.h"

using namespace penstock;
using namespace penstock::server;

namespace {
config::Listener listener(const std::string& name, uint16_t port = 0) {
  config::Listener out;
  out.name = name;
  out.address = {"127.0.0.1", port, false, true};
  return out;
}
}  // namespace

TEST_CASE("all workers' sockets of one address have one port, and a second plan keeps them") {
  auto first = bind_listeners({listener("a"), listener("b")}, {}, 3);
  REQUIRE(first);
  REQUIRE(first->size() == 2);
  const SocketGroup& group = first->at(socket_key(listener("a")));
  REQUIRE(group.sockets.size() == 3);
  for (const auto& socket : group.sockets) CHECK(socket->address() == group.address());

  auto second = bind_listeners({listener("a"), listener("c")}, *first, 3);
  REQUIRE(second);
  CHECK(second->at(socket_key(listener("a"))).sockets[2] == group.sockets[2]);
  CHECK_FALSE(second->contains(socket_key(listener("b"))));
}

TEST_CASE("an address where somebody listens is refused, even by one of our own kind") {
  auto first = bind_listeners({listener("a")}, {}, 1);
  REQUIRE(first);
  uint16_t port = first->at(socket_key(listener("a"))).address().port();
  auto second = bind_listeners({listener("x", port)}, {}, 1);
  REQUIRE_FALSE(second);
  CHECK(second.error().find("listener 'x' cannot listen on 127.0.0.1:") == 0);
}

TEST_CASE("a failed bind says what to do") {
  CHECK(bind_failure("listener 'a'", "0.0.0.0:80", {EACCES, "bind"}).find("CAP_NET_BIND_SERVICE") !=
        std::string::npos);
  CHECK(bind_failure("listener 'a'", "9.9.9.9:80", {EADDRNOTAVAIL, "bind"}).find("ip address") !=
        std::string::npos);
}

TEST_CASE("a listener's limit is one number for the process") {
  ListenerLoad load;
  CHECK(load.enter(2));
  CHECK(load.enter(2));
  CHECK_FALSE(load.enter(2));
  CHECK(load.connections() == 2);
  load.leave();
  CHECK(load.enter(2));
  CHECK_FALSE(load.enter(1));  // a reload lowered the limit: nobody new until enough have left
}
