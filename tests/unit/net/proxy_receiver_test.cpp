#include "net/proxy_receiver.h"

#include <doctest/doctest.h>

#include <string>

#include "net_support.h"

using namespace penstock;
using namespace penstock::net;
using namespace std::string_literals;

namespace {

struct Received {
  LoopRunner runner;
  Pair pair;
  std::unique_ptr<ProxyReceiver> receiver;
  int ends = 0;
  ProxyHeaderEnd end{};
  std::string source;
  Fd fd;

  explicit Received(uint64_t timeout_ms = 60'000) {
    receiver = std::make_unique<ProxyReceiver>(runner.loop, pair.near.release(), timeout_ms, on_done, this);
  }
  static void on_done(void* raw, ProxyHeaderEnd end) {
    auto& self = *static_cast<Received*>(raw);
    ++self.ends;
    self.end = end;
    if (end == ProxyHeaderEnd::good) {
      self.source = self.receiver->header().source.to_string();
      self.fd = Fd(self.receiver->release());
    }
    self.receiver.reset();
  }
  void until_end() {
    runner.until([&] { return ends > 0; });
  }
};

const std::string line = "PROXY TCP4 192.0.2.1 198.51.100.1 1234 443\r\n";
const std::string binary = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\1\4\xd2\1\xbb"s;

}  // namespace

TEST_CASE("the header is taken, and every byte behind it stays for the next layer") {
  for (const std::string& header : {line, binary}) {
    Received r;
    send_all(r.pair.far.get(), header + "GET / HTTP/1.1\r\n\r\n");
    r.until_end();
    REQUIRE(r.end == ProxyHeaderEnd::good);
    CHECK(r.source == "192.0.2.1:1234");
    Recorder handler;
    auto transport = make_tcp_transport(r.runner.loop, r.fd.release(), r.pair.peer);
    transport->set_handler(&handler);
    transport->start_reading();
    r.runner.until([&] { return handler.read.size() >= 18; });
    CHECK(handler.read == "GET / HTTP/1.1\r\n\r\n");
    r.runner.turns(3);  // the receiver's own handle closes meanwhile
    send_all(r.pair.far.get(), "more");
    r.runner.until([&] { return handler.read.size() >= 22; });
    CHECK(r.ends == 1);
  }
}

TEST_CASE("a header may come byte by byte") {
  for (const std::string& header : {line, binary}) {
    Received r;
    for (char byte : header) {
      CHECK(r.ends == 0);
      send_all(r.pair.far.get(), {&byte, 1});
      r.runner.turns(2);
    }
    r.until_end();
    CHECK(r.end == ProxyHeaderEnd::good);
    CHECK(r.source == "192.0.2.1:1234");
  }
}

TEST_CASE("what is no header, a peer that leaves, and one that is silent end it") {
  Received request;
  send_all(request.pair.far.get(), "GET / HTTP/1.1\r\n\r\n");
  request.until_end();
  CHECK(request.end == ProxyHeaderEnd::malformed);

  Received left;
  send_all(left.pair.far.get(), line.substr(0, 10));
  ::shutdown(left.pair.far.get(), SHUT_WR);
  left.until_end();
  CHECK(left.end == ProxyHeaderEnd::closed);

  Received reset;
  set_reset_on_close(reset.pair.far.get());
  reset.pair.far.reset();
  reset.until_end();
  CHECK(reset.end == ProxyHeaderEnd::closed);

  Received silent(30);
  send_all(silent.pair.far.get(), line.substr(0, 10));
  silent.until_end();
  CHECK(silent.end == ProxyHeaderEnd::timeout);
}

TEST_CASE("a receiver that is destroyed closes the connection and is never called") {
  Received r;
  send_all(r.pair.far.get(), line.substr(0, 10));
  r.runner.turns(2);
  r.receiver.reset();
  CHECK(read_all(r.pair.far.get()).empty());
  r.runner.turns(3);
  CHECK(r.ends == 0);
}
