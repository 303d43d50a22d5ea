// Backends that are dead, that die, and that move.
#include <doctest/doctest.h>
#include <unistd.h>

#include <csignal>
#include <map>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/waiting.h"

using namespace e2e;

namespace {

std::string balanced(const std::string& endpoints, const std::string& balance) {
  return basics(
      "routes: [{ name: all, match: { path_prefix: / }, public: true, upstream: u }]\n"
      "upstreams: { u: { endpoints: [" +
      endpoints + "], balance: " + balance + " } }\n");
}

// dnsmasq with one name whose addresses stand in a file that it rereads on HUP.
class NameServer {
 public:
  static constexpr int ttl_s = 2;
  NameServer() {
    set("127.0.0.2");
    port_ = ClosedPort().port();  // free a moment ago: dnsmasq cannot be told to take any
    process_ = std::make_unique<Process>(
        std::vector<std::string>{"/usr/sbin/dnsmasq", "--no-daemon", "--no-resolv", "--no-hosts",
                                 "--log-queries", "--log-facility=-", "--port=" + std::to_string(port_),
                                 "--listen-address=127.0.0.1", "--bind-interfaces",
                                 "--pid-file=", "--local-ttl=" + std::to_string(ttl_s), "--user=root",
                                 "--addn-hosts=" + folder_.file("hosts")},
        Process::Read::standard_error);
    process_->wait_for_line("read " + folder_.file("hosts"));
  }
  void move_to(const std::string& address) {
    set(address);
    process_->signal(SIGHUP);
    process_->wait_for_line("read " + folder_.file("hosts"));
  }
  uint16_t port() const { return port_; }

 private:
  void set(const std::string& address) { folder_.write("hosts", address + " backend.test\n"); }
  TempFolder folder_;
  uint16_t port_ = 0;
  std::unique_ptr<Process> process_;
};

}  // namespace

TEST_CASE("one dead backend of three costs no client an error, whatever the method") {
  Backend one("one"), two("two");
  ClosedPort dead;
  for (const char* balance : {"round_robin", "random", "least_request"}) {
    CAPTURE(balance);
    Gateway gateway(balanced("\"" + one.endpoint() + "\", \"127.0.0.1:" + std::to_string(dead.port()) +
                                 "\", \"" + two.endpoint() + "\"",
                             balance));
    std::map<std::string, int> answered;
    Client client(gateway.port());
    for (int i = 0; i < 150; ++i) {
      client.send(i % 2 ? "GET / HTTP/1.1\r\nhost: a\r\n\r\n"
                        : "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody");
      Response response = client.read_response();
      REQUIRE(response.status == 200);
      ++answered[response.header("x-backend")];
    }
    CHECK(answered["one"] > 20);
    CHECK(answered["two"] > 20);
  }
}

TEST_CASE("a backend that dies under load costs no client an error") {
  auto dying = std::make_unique<Backend>("dying");
  Backend other("other");
  Gateway gateway(balanced("\"" + dying->endpoint() + "\", \"" + other.endpoint() + "\"", "round_robin"));
  Client client(gateway.port());
  for (int i = 0; i < 100; ++i) {
    if (i == 30) dying.reset();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    REQUIRE(client.read_response().status == 200);
  }
}

TEST_CASE("weights decide how much each backend gets, the same with one worker and with four") {
  Backend one("one"), two("two");
  for (const char* workers : {"workers: 1", "workers: 4"}) {
    std::string text = balanced(
        "\"" + one.endpoint() + "\", { address: \"" + two.endpoint() + "\", weight: 3 }", "round_robin");
    text.replace(text.find("workers: 2"), 10, workers);
    Gateway gateway(text);
    std::map<std::string, int> answered;
    for (int c = 0; c < 20; ++c) {
      Client client(gateway.port());
      for (int i = 0; i < 20; ++i) {
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        ++answered[client.read_response().header("x-backend")];
      }
    }
    CHECK(answered["two"] > 400 * 0.70);
    CHECK(answered["two"] < 400 * 0.80);
  }
}

TEST_CASE("when a name's record changes, traffic moves within the TTL and a second, without an error") {
  Backend before("before", "127.0.0.2");
  Backend after("after", "127.0.0.3", before.port());
  NameServer names;
  Gateway gateway(basics("discovery: { dns: { servers: [\"127.0.0.1:" + std::to_string(names.port()) +
                         "\"] } }\n"
                         "routes: [{ name: all, match: { path_prefix: / }, public: true, upstream: u }]\n"
                         "upstreams: { u: { discover: { dns: backend.test, port: " +
                         std::to_string(before.port()) + " } } }\n"));
  // Not ready before the name server has answered once.
  while (get(gateway.status_port(), "/readyz").status != 200) {}
  Client client(gateway.port());
  client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  CHECK(client.read_response().header("x-backend") == "before");
  names.move_to("127.0.0.3");
  auto moved = Clock::now();
  std::string answered;
  do {
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    Response response = client.read_response();
    REQUIRE(response.status == 200);
    answered = response.header("x-backend");
  } while (answered == "before" && Clock::now() - moved < patience);
  CHECK(answered == "after");
  CHECK(Clock::now() - moved <= std::chrono::seconds(NameServer::ttl_s + 1));
  // Every worker has moved, not only this connection's.
  for (int i = 0; i < 20; ++i) CHECK(get(gateway.port(), "/").header("x-backend") == "after");
}
