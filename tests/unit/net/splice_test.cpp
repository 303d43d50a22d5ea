// Bytes from one plain connection to another within the kernel.
#include <doctest/doctest.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <csignal>
#include <future>
#include <string>

#include "net_support.h"

using namespace penstock;
using namespace penstock::net;

namespace {

constexpr size_t mebibyte = 1 << 20;

std::string pattern(size_t size) {
  std::string out(size, '\0');
  uint32_t state = 7;
  for (char& c : out) {
    state = state * 1664525 + 1013904223;
    c = static_cast<char>(state >> 24);
  }
  return out;
}

// What comes on `from` goes to `to`: `left` bytes by splicing where that can be, the rest of them by copying.
// What comes behind them is kept.
struct Relay : TransportHandler {
  struct Sink final : TransportHandler {
    Relay& relay;
    explicit Sink(Relay& of) : relay(of) {}
    void on_read(std::span<const char>) override {}
    void on_read_end() override {}
    void on_drained() override {
      ++relay.drains;
      relay.from->resume(PauseReason::sink_full);
    }
    void on_error(const Error&) override { ++relay.sink_errors; }
  };

  LoopRunner runner;
  Pair near, far;
  int sink_descriptor;
  std::unique_ptr<Transport> from, to;
  Sink sink{*this};
  uint64_t left, spliced = 0, copied = 0;
  std::string behind;
  int ends = 0, errors = 0, drains = 0, sink_errors = 0;
  bool splices = true;
  size_t head = 0;  // of what comes first, read shortly and sent on by itself
  std::string heads;
  int reads = 0;

  virtual ~Relay() = default;
  explicit Relay(uint64_t bytes, int send_buffer = 0, int receive_buffer = 0)
      : far(send_buffer, receive_buffer), sink_descriptor(far.near.get()), left(bytes) {
    std::signal(SIGPIPE, SIG_IGN);  // as the daemon does
    from = make_tcp_transport(runner.loop, near.near.release(), near.peer);
    to = make_tcp_transport(runner.loop, far.near.release(), far.peer);
    from->set_handler(this);
    to->set_handler(&sink);
    from->start_reading();
    to->start_reading();
  }

  NextRead<Transport> next_read() override {
    if (heads.size() < head) return {.at_first = static_cast<uint32_t>(head)};
    if (splices && left > 0) return {.sink = to.get(), .most = left};
    return {};
  }
  void on_spliced(size_t bytes) override {
    spliced += bytes;
    REQUIRE(bytes <= left);
    left -= bytes;
    hold_back();
  }
  void on_read(std::span<const char> bytes) override {
    ++reads;
    if (heads.size() < head) {
      heads.append(bytes.data(), bytes.size());
      to->append_borrowed({bytes.data(), bytes.size()});
      return to->flush();
    }
    const size_t mine = std::min<uint64_t>(left, bytes.size());
    behind.append(bytes.data() + mine, bytes.size() - mine);
    copied += mine;
    left -= mine;
    to->append_borrowed({bytes.data(), mine});
    to->flush();
    hold_back();
  }
  void on_read_end() override { ++ends; }
  void on_drained() override {}
  void on_error(const Error&) override { ++errors; }

  void hold_back() {
    if (to->unsent() > 0) from->pause(PauseReason::sink_full);
  }
  PipePool& pipes() { return runner.loop.pipes(); }
};

}  // namespace

TEST_CASE("ten megabytes go from one socket to the other, and what is behind them does not") {
  const std::string body = pattern(10 * mebibyte);
  Relay relay(body.size());
  auto received = std::async(std::launch::async, [&] { return read_all(relay.far.far.get(), body.size()); });
  auto sent = std::async(std::launch::async, [&] { send_all(relay.near.far.get(), body + "GET /next"); });
  relay.runner.until([&] { return relay.behind.size() == 9; });
  CHECK(received.get() == body);
  CHECK(relay.behind == "GET /next");
  CHECK(relay.copied == 0);
  CHECK(relay.spliced == body.size());
  CHECK(relay.from->bytes_read() == body.size() + 9);
  CHECK(relay.to->bytes_written() == body.size());
  CHECK(relay.to->unsent() == 0);
  CHECK(relay.pipes().lent() == 0);
  CHECK(relay.pipes().idle() == 1);
  CHECK(relay.runner.loop.blocks().in_use() == 0);
}

TEST_CASE("a peer that does not read holds one pipe, which is counted, and gets everything when it does") {
  const std::string body = pattern(4 * mebibyte);
  Relay relay(body.size(), 16 * 1024, 16 * 1024);
  auto sent = std::async(std::launch::async, [&] { send_all(relay.near.far.get(), body); });
  relay.runner.until([&] { return relay.to->unsent() > 0; });
  relay.runner.turns(5);
  const size_t held = relay.to->unsent();
  CHECK(held <= mebibyte);
  CHECK(relay.pipes().lent() == 1);
  CHECK(relay.runner.loop.blocks().held() == static_cast<int64_t>(held));
  CHECK(relay.spliced < body.size());
  auto received = std::async(std::launch::async, [&] { return read_all(relay.far.far.get(), body.size()); });
  relay.runner.until([&] { return relay.left == 0 && relay.to->unsent() == 0; });
  CHECK(received.get() == body);
  CHECK(relay.drains > 0);
  CHECK(relay.pipes().lent() == 0);
  CHECK(relay.runner.loop.blocks().held() == 0);
}

TEST_CASE("what was appended while a pipe holds bytes follows them") {
  const std::string body = pattern(2 * mebibyte);
  Relay relay(body.size(), 16 * 1024, 16 * 1024);
  auto sent = std::async(std::launch::async, [&] { send_all(relay.near.far.get(), body); });
  relay.runner.until([&] { return relay.to->unsent() > 0 && relay.spliced > 0; });
  relay.splices = false;  // the rest is copied
  relay.from->resume(PauseReason::sink_full);
  auto received = std::async(std::launch::async, [&] { return read_all(relay.far.far.get()); });
  relay.runner.until([&] { return relay.left == 0; });
  CHECK(relay.copied > 0);
  relay.to->append("the end");
  relay.to->shutdown();
  relay.runner.until([&] { return relay.to->unsent() == 0; });
  CHECK(received.get() == body + "the end");
}

TEST_CASE("a pipe that holds bytes goes with its connection, never to another") {
  const std::string body = pattern(2 * mebibyte);
  Relay relay(body.size(), 16 * 1024, 16 * 1024);
  auto sent = std::async(std::launch::async, [&] { send_all(relay.near.far.get(), body); });
  relay.runner.until([&] { return relay.to->unsent() > 0; });
  REQUIRE(relay.pipes().lent() == 1);
  const uint64_t moved = relay.spliced;
  SUBCASE("it is aborted") {
    relay.to->abort();
    relay.to.reset();
    CHECK(relay.pipes().idle() == 0);
  }
  SUBCASE("its peer resets it") {
    set_reset_on_close(relay.far.far.get());
    relay.far.far.reset();
    relay.runner.until([&] { return relay.sink_errors == 1; });
    CHECK(relay.to->unsent() == 0);
    CHECK(relay.pipes().idle() == 0);
  }
  SUBCASE("it closes politely: the peer gets what was moved, then the end") {
    relay.to->close_gracefully(1'000);
    relay.to.reset();
    auto received = std::async(std::launch::async, [&] { return read_all(relay.far.far.get()); });
    relay.runner.until([&] { return relay.pipes().lent() == 0; });
    CHECK(received.get() == body.substr(0, moved));
  }
  CHECK(relay.pipes().lent() == 0);
  CHECK(relay.runner.loop.blocks().held() == 0);
  relay.from->abort();
  relay.from.reset();
  sent.get();
}

TEST_CASE("the end and a reset of the source are told as ever") {
  const std::string body = pattern(300'000);
  Relay relay(body.size() + 1);
  auto received = std::async(std::launch::async, [&] { return read_all(relay.far.far.get(), body.size()); });
  send_all(relay.near.far.get(), body);
  relay.runner.until([&] { return relay.left == 1; });
  CHECK(received.get() == body);
  SUBCASE("FIN") {
    ::shutdown(relay.near.far.get(), SHUT_WR);
    relay.runner.until([&] { return relay.ends == 1; });
    CHECK(relay.errors == 0);
  }
  SUBCASE("reset") {
    set_reset_on_close(relay.near.far.get());
    relay.near.far.reset();
    relay.runner.until([&] { return relay.errors == 1; });
    CHECK(relay.ends == 0);
  }
  CHECK(relay.pipes().lent() == 0);
}

// splice(2) stops before urgent data and finds nothing for good; recv() passes over it.
TEST_CASE("urgent data does not hold up what is behind it") {
  const std::string body = pattern(400'000);
  Relay relay(body.size());
  auto received = std::async(std::launch::async, [&] { return read_all(relay.far.far.get(), body.size()); });
  send_all(relay.near.far.get(), std::string_view(body).substr(0, 200'000));
  CHECK(::send(relay.near.far.get(), "!", 1, MSG_OOB) == 1);
  send_all(relay.near.far.get(), std::string_view(body).substr(200'000));
  relay.runner.until([&] { return relay.left == 0; });
  CHECK(received.get() == body);
}

TEST_CASE("a process that is short of memory copies") {
  const std::string body = pattern(300'000);
  Relay relay(body.size());
  MemoryBudget budget;
  budget.set_limit(mebibyte);
  relay.runner.loop.blocks().report_to(&budget, nullptr, nullptr);
  int64_t held = mebibyte * 3 / 4;
  SUBCASE("pressed") {}
  SUBCASE("an eighth of it is used") { held = mebibyte / 8; }
  relay.runner.loop.blocks().charge(held);
  auto received = std::async(std::launch::async, [&] { return read_all(relay.far.far.get(), body.size()); });
  send_all(relay.near.far.get(), body);
  relay.runner.until([&] { return relay.left == 0; });
  CHECK(received.get() == body);
  CHECK(relay.spliced == 0);
  relay.runner.loop.blocks().charge(-held);
  relay.runner.loop.blocks().report_to(nullptr, nullptr, nullptr);
}

// --- a short first read ---

namespace {

constexpr size_t head_size = 1000;

struct ShortRelay : Relay {
  explicit ShortRelay(uint64_t body) : Relay(body) { head = head_size; }
  // Taken by the kernel, but not sent to the peer.
  int held_in_kernel() const {
    int bytes = -1;
    ::ioctl(sink_descriptor, SIOCOUTQNSD, &bytes);
    return bytes;
  }
};

}  // namespace

TEST_CASE("after a short first read the rest of a body is spliced in the same turn") {
  const std::string first = pattern(head_size), body = pattern(100'000);
  ShortRelay relay(body.size());
  send_all(relay.near.far.get(), first + body);
  relay.runner.until([&] { return relay.heads.size() == head_size; });
  CHECK(relay.heads == first);
  CHECK(relay.reads == 1);
  CHECK(relay.spliced > 0);
  relay.runner.until([&] { return relay.left == 0; });
  CHECK(read_all(relay.far.far.get(), head_size + body.size()) == first + body);
  CHECK(relay.copied == 0);
}

TEST_CASE("after a short first read the rest is read in full where it cannot be spliced") {
  const std::string first = pattern(head_size), body = pattern(20'000);
  ShortRelay relay(body.size());
  relay.splices = false;
  send_all(relay.near.far.get(), first + body);
  relay.runner.until([&] { return relay.heads.size() == head_size; });
  CHECK(relay.reads == 2);
  CHECK(relay.copied == body.size());
  CHECK(relay.held_in_kernel() == 0);
  CHECK(read_all(relay.far.far.get(), head_size + body.size()) == first + body);
}

TEST_CASE("what was sent on after a short first read does not wait for more that does not come") {
  ShortRelay relay(100'000);
  send_all(relay.near.far.get(), pattern(head_size));
  relay.runner.until([&] { return relay.heads.size() == head_size; });
  CHECK(relay.held_in_kernel() == 0);
  CHECK(read_all(relay.far.far.get(), head_size) == pattern(head_size));
  CHECK(relay.reads == 1);
}

TEST_CASE("a read that does not fill its short buffer is the only one") {
  ShortRelay relay(100'000);
  send_all(relay.near.far.get(), pattern(head_size - 1));
  relay.runner.until([&] { return relay.heads.size() == head_size - 1; });
  CHECK(relay.reads == 1);
  CHECK(relay.held_in_kernel() == 0);
}

TEST_CASE("a handler may end either side in a short first read") {
  struct Ending final : ShortRelay {
    bool own_side;
    explicit Ending(bool own) : ShortRelay(100'000), own_side(own) {}
    void on_read(std::span<const char> bytes) override {
      if (!from || !to) return;
      Relay::on_read(bytes);
      (own_side ? from : to).reset();
      splices = false;
      left = 0;
    }
  };
  for (bool own : {true, false}) {
    CAPTURE(own);
    Ending relay(own);
    send_all(relay.near.far.get(), pattern(2 * head_size));
    relay.runner.until([&] { return relay.heads.size() == head_size; });
    relay.runner.turns(2);
    CHECK(read_all(relay.far.far.get(), head_size) == pattern(head_size));
  }
}
