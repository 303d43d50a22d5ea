#include "net/listener.h"

#include <doctest/doctest.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/resource.h>

#include <set>
#include <vector>

#include "net_support.h"

using namespace penstock::net;

namespace {
struct Accepted {
  std::vector<Fd> fds;
  std::vector<Address> peers;
  std::unique_ptr<Acceptor> acceptor;
  size_t destroy_at = SIZE_MAX;
  static void on_accept(void* raw, int fd, const Address& peer) {
    auto& self = *static_cast<Accepted*>(raw);
    self.fds.emplace_back(fd);
    self.peers.push_back(peer);
    if (self.fds.size() == self.destroy_at) self.acceptor.reset();
  }
};
}  // namespace

TEST_CASE("every connection that was made is delivered once, non-blocking and without delay") {
  LoopRunner runner;
  auto socket = ListenSocket::bind(loopback());
  REQUIRE(socket.has_value());
  CHECK(socket->address().port() != 0);
  Accepted accepted;
  Acceptor acceptor(runner.loop, *socket, Accepted::on_accept, &accepted);
  std::vector<Fd> clients;
  std::set<uint16_t> ports;
  for (int i = 0; i < 200; ++i) clients.push_back(dial(socket->address()));
  runner.until([&] { return accepted.fds.size() >= 200; });
  runner.turns(3);
  CHECK(accepted.fds.size() == 200);
  for (auto& peer : accepted.peers) ports.insert(peer.port());
  CHECK(ports.size() == 200);
  for (auto& fd : accepted.fds) {
    CHECK((::fcntl(fd.get(), F_GETFL) & O_NONBLOCK) != 0);
    CHECK((::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
    int no_delay = 0;
    socklen_t length = sizeof(no_delay);
    ::getsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &no_delay, &length);
    CHECK(no_delay != 0);
  }
  CHECK(acceptor.descriptor_shortages() == 0);
}

TEST_CASE("a paused acceptor takes nothing until it resumes") {
  LoopRunner runner;
  auto socket = ListenSocket::bind(loopback());
  Accepted accepted;
  Acceptor acceptor(runner.loop, *socket, Accepted::on_accept, &accepted);
  acceptor.pause();
  Fd client = dial(socket->address());
  runner.turns(3);
  CHECK(accepted.fds.empty());
  acceptor.resume();
  runner.until([&] { return accepted.fds.size() == 1; });
}

TEST_CASE("what waits at a listener that goes away is counted and taken in parts") {
  auto socket = ListenSocket::bind(loopback());
  Accepted accepted;
  std::vector<Fd> clients;
  for (int i = 0; i < 100; ++i) clients.push_back(dial(socket->address()));
  CHECK(waiting_connections(*socket) == 100);
  CHECK(accept_waiting(*socket, 64, Accepted::on_accept, &accepted) == 64);
  CHECK(waiting_connections(*socket) == 36);
  CHECK(accept_waiting(*socket, 64, Accepted::on_accept, &accepted) == 36);
  CHECK(accepted.fds.size() == 100);
  CHECK(accept_waiting(*socket, 64, Accepted::on_accept, &accepted) == 0);
}

TEST_CASE("an acceptor may be destroyed inside its callback, and the socket still listens") {
  LoopRunner runner;
  auto socket = ListenSocket::bind(loopback());
  Accepted accepted;
  accepted.destroy_at = 2;
  accepted.acceptor = std::make_unique<Acceptor>(runner.loop, *socket, Accepted::on_accept, &accepted);
  std::vector<Fd> clients;
  for (int i = 0; i < 5; ++i) clients.push_back(dial(socket->address()));
  runner.until([&] { return !accepted.acceptor; });
  runner.turns(3);
  CHECK(accepted.fds.size() == 2);
  // The next acceptor on the same descriptor gets what waited.
  accepted.destroy_at = SIZE_MAX;
  accepted.acceptor = std::make_unique<Acceptor>(runner.loop, *socket, Accepted::on_accept, &accepted);
  runner.until([&] { return accepted.fds.size() == 5; });
}

TEST_CASE("two sockets share a port, a third party's is refused with its errno") {
  auto one = ListenSocket::bind(loopback());
  REQUIRE(one.has_value());
  auto two = ListenSocket::bind(one->address());
  REQUIRE(two.has_value());
  CHECK(two->address() == one->address());

  Fd other(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  Address any = loopback();
  REQUIRE(::bind(other.get(), &any.any, any.length()) == 0);
  REQUIRE(::listen(other.get(), 1) == 0);
  socklen_t length = sizeof(any.v6);
  ::getsockname(other.get(), &any.any, &length);
  auto refused = ListenSocket::bind(any);
  REQUIRE(!refused.has_value());
  CHECK(refused.error().system_errno == EADDRINUSE);
  CHECK(std::string_view(refused.error().call) == "bind");
}

TEST_CASE("IPv6 listens on IPv6 only") {
  auto six = ListenSocket::bind(*Address::parse("[::1]:0"));
  REQUIRE(six.has_value());
  int only = 0;
  socklen_t length = sizeof(only);
  ::getsockopt(six->fd(), IPPROTO_IPV6, IPV6_V6ONLY, &only, &length);
  CHECK(only == 1);
  LoopRunner runner;
  Accepted accepted;
  Acceptor acceptor(runner.loop, *six, Accepted::on_accept, &accepted);
  Fd client = dial(six->address());
  runner.until([&] { return accepted.fds.size() == 1; });
  CHECK(accepted.peers[0].ip() == "::1");
}

TEST_CASE("out of descriptors accepting waits and goes on when some are free") {
  LoopRunner runner;
  auto socket = ListenSocket::bind(loopback());
  Accepted accepted;
  Acceptor acceptor(runner.loop, *socket, Accepted::on_accept, &accepted);
  Fd client = dial(socket->address());
  struct Limit {  // put back whatever happens
    rlimit before{};
    Limit() { REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0); }
    ~Limit() { ::setrlimit(RLIMIT_NOFILE, &before); }
  } limit;
  // With a limit just above what is open, one descriptor more fills it.
  Fd probe(::dup(client.get()));
  rlimit tight{static_cast<rlim_t>(probe.get() + 1), limit.before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &tight) == 0);
  runner.until([&] { return acceptor.descriptor_shortages() >= 2; });
  CHECK(accepted.fds.empty());
  probe.reset();
  runner.until([&] { return accepted.fds.size() == 1; });
}

TEST_CASE("out of descriptors, what the owner closes is used at once") {
  LoopRunner runner;
  auto socket = ListenSocket::bind(loopback());
  struct Owner {
    std::vector<Fd> fds;
    int asked = 0;
    static void on_accept(void* raw, int fd, const Address&) {
      static_cast<Owner*>(raw)->fds.emplace_back(fd);
    }
    static bool on_shortage(void* raw) {
      auto& self = *static_cast<Owner*>(raw);
      ++self.asked;
      self.fds.erase(self.fds.begin());
      return true;
    }
  } owner;
  Acceptor acceptor(runner.loop, *socket, Owner::on_accept, &owner, Owner::on_shortage);
  Fd first = dial(socket->address());
  runner.until([&] { return owner.fds.size() == 1; });
  Fd second = dial(socket->address());
  struct Limit {
    rlimit before{};
    Limit() { REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0); }
    ~Limit() { ::setrlimit(RLIMIT_NOFILE, &before); }
  } limit;
  Fd probe(::dup(second.get()));
  rlimit tight{static_cast<rlim_t>(probe.get() + 1), limit.before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &tight) == 0);
  runner.until([&] { return owner.asked > 0; });
  runner.turns(3);
  CHECK(owner.asked == 1);       // a full table is told even when nobody waits: that is not asked about
  CHECK(owner.fds.size() == 1);  // the second in the place of the first, in the same turn
  CHECK(acceptor.descriptor_shortages() > 0);
  CHECK(read_all(first.get()).empty());
}
