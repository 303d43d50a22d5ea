#include "net/tcp_transport.h"

#include <doctest/doctest.h>
#include <uv.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <future>
#include <string>
#include <thread>

#include "base/reason.h"
#include "net_support.h"

using namespace penstock;
using namespace penstock::net;

namespace {

std::string pattern(size_t size) {
  std::string out(size, '\0');
  uint32_t state = 1;
  for (char& c : out) {
    state = state * 1664525 + 1013904223;
    c = static_cast<char>(state >> 24);
  }
  return out;
}

// How often the loop turns while the runner asks 50 times, a millisecond apart: about as often, and
// thousands of times when a descriptor that nobody serves keeps waking it.
int turns_of_a_waiting_loop(LoopRunner& runner) {
  runner.turns(3);  // what is ready now
  uv_check_t check;
  int turns = 0;
  uv_check_init(runner.loop.raw(), &check);
  check.data = nullptr;
  static int* counter;
  counter = &turns;
  uv_check_start(&check, [](uv_check_t*) { ++*counter; });
  runner.turns(50);
  uv_close(reinterpret_cast<uv_handle_t*>(&check), [](uv_handle_t*) { counter = nullptr; });
  runner.until([] { return counter == nullptr; });
  return turns;
}

struct Connection {
  LoopRunner runner;
  Pair pair;
  Recorder handler;
  std::unique_ptr<Transport> transport;
  explicit Connection(int near_send_buffer = 0, int far_receive_buffer = 0)
      : pair(near_send_buffer, far_receive_buffer) {
    transport = make_tcp_transport(runner.loop, pair.near.release(), pair.peer);
    transport->set_handler(&handler);
  }
};

}  // namespace

TEST_CASE("bytes read come back as an echo and are counted") {
  Connection c;
  c.handler.when_read = [&](std::span<const char> bytes) {
    c.transport->append_borrowed({bytes.data(), bytes.size()});
    c.transport->flush();
  };
  c.transport->start_reading();
  send_all(c.pair.far.get(), "hello");
  c.runner.until([&] { return c.handler.read.size() == 5; });
  CHECK(read_all(c.pair.far.get(), 5) == "hello");
  CHECK(c.transport->bytes_read() == 5);
  CHECK(c.transport->bytes_written() == 5);
  CHECK(c.transport->unsent() == 0);
  CHECK(c.transport->peer() == c.pair.peer);
  CHECK(c.transport->local().valid());
  CHECK(c.transport->tls() == nullptr);
}

TEST_CASE("head, borrowed body and reserved tail leave together and in order") {
  Connection c;
  std::string body(3000, 'b');
  c.transport->append("head|");
  c.transport->append_borrowed(body);
  auto room = c.transport->reserve(5);
  std::copy_n("|tail", 5, room.data());
  c.transport->commit(5);
  CHECK(c.transport->unsent() == 3010);
  c.transport->flush();
  CHECK(c.transport->unsent() == 0);
  CHECK(read_all(c.pair.far.get(), 3010) == "head|" + body + "|tail");
}

TEST_CASE("a hundred small borrowed slices flush themselves when the segments are used up") {
  Connection c;
  std::string expected;
  std::vector<std::string> pieces;
  for (int i = 0; i < 100; ++i) pieces.push_back(std::to_string(i) + ",");
  for (auto& piece : pieces) {
    c.transport->append_borrowed(piece);
    expected += piece;
  }
  c.transport->flush();
  CHECK(read_all(c.pair.far.get(), expected.size()) == expected);
}

TEST_CASE("ten megabytes to a slow reader arrive whole with the sender's memory bounded by its mark") {
  Connection c(16 * 1024, 16 * 1024);
  const std::string data = pattern(10 * 1024 * 1024);
  size_t at = 0, most_unsent = 0;
  auto produce = [&] {
    while (at < data.size() && c.transport->unsent() <= Transport::high_mark) {
      std::string scratch = data.substr(at, 32 * 1024);
      at += scratch.size();
      c.transport->append_borrowed(scratch);
      c.transport->flush();
      scratch.assign(scratch.size(), '!');  // borrowed only until flush() returned
      most_unsent = std::max(most_unsent, c.transport->unsent());
    }
    if (at == data.size()) c.transport->shutdown();
  };
  c.handler.when_drained = produce;
  auto received = std::async(std::launch::async, [&] { return read_all(c.pair.far.get()); });
  produce();
  CHECK(at < data.size());
  size_t blocks = c.runner.loop.blocks().in_use();
  CHECK(blocks * BlockPool::block_size < 2 * Transport::high_mark);
  c.runner.until([&] { return at == data.size() && c.transport->unsent() == 0; });
  CHECK(received.get() == data);
  CHECK(c.handler.drains > 10);
  CHECK(most_unsent <= Transport::high_mark + 32 * 1024);
  CHECK(c.runner.loop.blocks().in_use() == 0);
  CHECK(c.transport->bytes_written() == data.size());
}

TEST_CASE("a paused transport reads nothing until its last reason is gone") {
  Connection c;
  c.transport->start_reading();
  c.transport->pause(PauseReason::sink_full);
  c.transport->pause(PauseReason::plugin);
  send_all(c.pair.far.get(), "held");
  c.runner.turns(3);
  CHECK(c.handler.read.empty());
  c.transport->resume(PauseReason::sink_full);
  c.runner.turns(3);
  CHECK(c.handler.read.empty());
  c.transport->resume(PauseReason::plugin);
  c.runner.until([&] { return c.handler.read == "held"; });
}

TEST_CASE("a pause inside on_read holds what comes next") {
  Connection c;
  c.handler.when_read = [&](auto) { c.transport->pause(PauseReason::pipelined); };
  c.transport->start_reading();
  send_all(c.pair.far.get(), "one");
  c.runner.until([&] { return c.handler.reads == 1; });
  send_all(c.pair.far.get(), "two");
  c.runner.turns(3);
  CHECK(c.handler.read == "one");
  c.handler.when_read = nullptr;
  c.transport->resume(PauseReason::pipelined);
  c.runner.until([&] { return c.handler.read == "onetwo"; });
}

TEST_CASE("nothing is read before start_reading") {
  Connection c;
  send_all(c.pair.far.get(), "early");
  c.runner.turns(3);
  CHECK(c.handler.reads == 0);
  c.transport->start_reading();
  c.runner.until([&] { return c.handler.read == "early"; });
}

TEST_CASE("after the peer's FIN writing goes on") {
  Connection c;
  c.transport->start_reading();
  send_all(c.pair.far.get(), "question");
  ::shutdown(c.pair.far.get(), SHUT_WR);
  c.runner.until([&] { return c.handler.ends == 1; });
  CHECK(c.handler.read == "question");
  c.transport->append("answer");
  c.transport->shutdown();
  CHECK(read_all(c.pair.far.get()) == "answer");
  c.runner.turns(3);
  CHECK(c.handler.ends == 1);
  CHECK(c.handler.errors == 0);
}

TEST_CASE("a FIN while paused is announced once, and told after resuming, behind the bytes") {
  Connection c;
  c.transport->start_reading();
  c.transport->pause(PauseReason::waiting);
  send_all(c.pair.far.get(), "last");
  c.runner.turns(3);
  CHECK(c.handler.announced == 0);
  ::shutdown(c.pair.far.get(), SHUT_WR);
  c.runner.until([&] { return c.handler.announced == 1; });
  CHECK(c.handler.ends == 0);
  c.transport->resume(PauseReason::waiting);
  c.runner.until([&] { return c.handler.ends == 1; });
  CHECK(c.handler.read == "last");
  CHECK(c.handler.announced == 1);
}

TEST_CASE("a reset is one error and the last callback") {
  Connection c;
  c.transport->start_reading();
  set_reset_on_close(c.pair.far.get());
  c.pair.far.reset();
  c.runner.until([&] { return c.handler.errors == 1; });
  CHECK(c.handler.error.kind == ErrorKind::reset);
  CHECK(c.handler.error.source == ErrorSource::downstream);
  CHECK(c.handler.error.reason == reason::client_closed);
  c.transport->append("more");
  c.transport->flush();
  c.runner.turns(3);
  CHECK(c.handler.errors == 1);
  CHECK(c.handler.ends == 0);
}

TEST_CASE("a client's reset is noticed while reading is paused, although bytes wait") {
  Connection c;
  c.transport->start_reading();
  c.transport->pause(PauseReason::waiting);
  send_all(c.pair.far.get(), "nobody needs this any more");
  set_reset_on_close(c.pair.far.get());
  c.pair.far.reset();
  c.runner.until([&] { return c.handler.errors == 1; });
  CHECK(c.handler.error.kind == ErrorKind::reset);
}

TEST_CASE("a reset that follows the client's FIN is noticed without writing") {
  Connection c;
  c.transport->start_reading();
  send_all(c.pair.far.get(), "question");
  SUBCASE("while reading is paused") {
    c.transport->pause(PauseReason::waiting);
    ::shutdown(c.pair.far.get(), SHUT_WR);
    c.runner.turns(5);
    CHECK(c.handler.ends == 0);
  }
  SUBCASE("after the end was told") {
    ::shutdown(c.pair.far.get(), SHUT_WR);
    c.runner.until([&] { return c.handler.ends == 1; });
  }
  // Its answer is sent before it is gone; nothing is sent afterwards.
  c.transport->append("answer");
  c.transport->flush();
  c.runner.turns(3);
  CHECK(c.handler.errors == 0);
  c.pair.far.reset();  // with unread bytes: a reset
  c.runner.until([&] { return c.handler.errors == 1; });
  CHECK(c.handler.error.kind == ErrorKind::reset);
}

TEST_CASE("a connection whose two sides ended keeps the loop asleep") {
  Connection c;
  c.transport->start_reading();
  bool paused = false;
  SUBCASE("read to its end") {}
  SUBCASE("paused") {
    paused = true;
    c.transport->pause(PauseReason::waiting);
  }
  SUBCASE("with urgent data behind") {
    paused = true;
    c.transport->pause(PauseReason::waiting);
    CHECK(::send(c.pair.far.get(), "!", 1, MSG_OOB) == 1);
  }
  ::shutdown(c.pair.far.get(), SHUT_WR);
  c.runner.turns(5);
  CHECK(turns_of_a_waiting_loop(c.runner) < 200);
  c.transport->shutdown();
  c.runner.turns(5);
  CHECK(turns_of_a_waiting_loop(c.runner) < 200);
  CHECK(c.handler.errors == 0);
  CHECK(c.handler.ends == (paused ? 0 : 1));
}

TEST_CASE("a failing flush reports outside of flush") {
  Connection c;
  set_reset_on_close(c.pair.far.get());
  c.pair.far.reset();
  bool inside = false;
  int seen_inside = 0;
  c.handler.when_error = [&] { seen_inside += inside; };
  inside = true;
  for (int i = 0; i < 5; ++i) {
    c.transport->append("into the void");
    c.transport->flush();
  }
  inside = false;
  CHECK(c.handler.errors == 0);
  c.runner.until([&] { return c.handler.errors == 1; });
  CHECK(seen_inside == 0);
  CHECK(c.handler.error.kind == ErrorKind::reset);
  CHECK(c.transport->unsent() == 0);
}

TEST_CASE("a transport may be destroyed inside each of its callbacks") {
  SUBCASE("on_read") {
    Connection c;
    c.handler.when_read = [&](auto) { c.transport.reset(); };
    c.transport->start_reading();
    send_all(c.pair.far.get(), "x");
    c.runner.until([&] { return !c.transport; });
    CHECK(read_all(c.pair.far.get()).empty());
  }
  SUBCASE("on_read_end") {
    Connection c;
    c.handler.when_ended = [&] { c.transport.reset(); };
    c.transport->start_reading();
    ::shutdown(c.pair.far.get(), SHUT_WR);
    c.runner.until([&] { return !c.transport; });
  }
  SUBCASE("on_drained") {
    Connection c(16 * 1024, 16 * 1024);
    c.handler.when_drained = [&] { c.transport.reset(); };
    c.transport->start_reading();
    c.transport->append(std::string(8 << 20, 'x'));
    c.transport->flush();
    auto reader = std::async(std::launch::async, [&] { return read_all(c.pair.far.get()).size(); });
    c.runner.until([&] { return !c.transport; });
    CHECK(reader.get() > 0);
  }
  SUBCASE("on_error") {
    Connection c;
    c.handler.when_error = [&] { c.transport.reset(); };
    c.transport->start_reading();
    set_reset_on_close(c.pair.far.get());
    c.pair.far.reset();
    c.runner.until([&] { return !c.transport; });
  }
  SUBCASE("on_read, after answering and closing gracefully") {
    Connection c;
    c.handler.when_read = [&](auto) {
      c.transport->append("bye");
      c.transport->close_gracefully(1000);
      c.transport.reset();
    };
    c.transport->start_reading();
    send_all(c.pair.far.get(), "x");
    c.runner.until([&] { return !c.transport; });
    CHECK(read_all(c.pair.far.get()) == "bye");
  }
}

TEST_CASE("a graceful close delivers the rest and our FIN although the peer still sends") {
  Connection c(16 * 1024, 16 * 1024);
  const std::string data = pattern(2 << 20);
  auto reader = std::async(std::launch::async, [&] {
    send_all(c.pair.far.get(), std::string(100'000, 'u'));  // never read by the handler
    std::string got = read_all(c.pair.far.get());
    c.pair.far.reset();
    return got;
  });
  c.transport->append(data);
  c.transport->close_gracefully(5'000);
  c.transport.reset();
  c.runner.until([&] { return reader.wait_for(std::chrono::seconds(0)) == std::future_status::ready; });
  CHECK(reader.get() == data);
  CHECK(c.handler.errors == 0);
}

TEST_CASE("lingering ends when the peer does not close") {
  Connection c;
  c.transport->append("bye");
  c.transport->close_gracefully(50);
  c.transport.reset();
  CHECK(read_all(c.pair.far.get()) == "bye");
  // Our side is gone once sending to it meets a reset.
  c.runner.until([&] {
    ::send(c.pair.far.get(), "x", 1, MSG_NOSIGNAL);
    return ::send(c.pair.far.get(), "x", 1, MSG_NOSIGNAL) < 0;
  });
}

namespace {
struct CountedPlace final : Place {
  explicit CountedPlace(int& p) : places(p) { ++places; }
  ~CountedPlace() override { --places; }
  int& places;
};
}  // namespace

TEST_CASE("a place is given back when the socket is closed, not when its transport goes") {
  int places = 0;
  Connection c(16 * 1024, 16 * 1024);
  auto* place = new CountedPlace(places);
  c.transport->hold(std::unique_ptr<Place>(place));
  const std::string data = pattern(2 << 20);
  c.transport->append(data);
  SUBCASE("after the rest is out") {
    c.transport->close_gracefully(5'000);
    c.transport.reset();
    CHECK(places == 1);
    auto reader = std::async(std::launch::async, [&] {
      std::string got = read_all(c.pair.far.get());
      c.pair.far.reset();
      return got;
    });
    c.runner.until([&] { return places == 0; });
    CHECK(reader.get() == data);
  }
  SUBCASE("when it is cut: the peer sees that it has not got all") {
    place->cut();
    CHECK(places == 1);  // a transport is still there
    c.transport->close_gracefully(5'000);
    c.transport.reset();
    place->cut();
    CHECK(places == 0);
    char buffer[4096];
    ssize_t size;
    while ((size = ::recv(c.pair.far.get(), buffer, sizeof(buffer), 0)) > 0) {}
    CHECK(size == -1);
    CHECK(errno == ECONNRESET);
  }
}

TEST_CASE("a loop that ends closes connections that still linger") {
  Pair pair;
  {
    Loop loop;
    auto transport = make_tcp_transport(loop, pair.near.release(), pair.peer);
    transport->append("bye");
    transport->close_gracefully(60'000);
  }
  CHECK(read_all(pair.far.get()) == "bye");
}

TEST_CASE("abort is a reset for the peer") {
  Connection c;
  c.transport->append("part of a body");
  c.transport->flush();
  c.transport->abort();
  char buffer[100];
  ssize_t size;
  while ((size = ::recv(c.pair.far.get(), buffer, sizeof(buffer), 0)) > 0) {}
  CHECK(size == -1);
  CHECK(errno == ECONNRESET);
}

namespace {
struct Attempt {
  std::unique_ptr<Connect> pending;
  std::optional<Result<std::unique_ptr<Transport>>> result;
  bool inside_call = false;
  static void done(void* raw, Result<std::unique_ptr<Transport>> r) {
    auto& self = *static_cast<Attempt*>(raw);
    CHECK(!self.inside_call);
    CHECK(!self.result.has_value());
    self.pending.reset();
    self.result.emplace(std::move(r));
  }
  void start(Loop& loop, const Address& to, uint64_t timeout_ms) {
    inside_call = true;
    pending = connect_tcp(loop, to, timeout_ms, done, this);
    inside_call = false;
  }
};
}  // namespace

TEST_CASE("connecting gives a transport that talks to the listener") {
  LoopRunner runner;
  auto listener = ListenSocket::bind(loopback());
  REQUIRE(listener.has_value());
  Attempt attempt;
  attempt.start(runner.loop, listener->address(), 5'000);
  runner.until([&] { return attempt.result.has_value(); });
  REQUIRE(attempt.result->has_value());
  auto& transport = **attempt.result;
  Recorder handler;
  transport->set_handler(&handler);
  transport->start_reading();
  transport->append("ping");
  transport->flush();
  Fd accepted(::accept4(listener->fd(), nullptr, nullptr, SOCK_CLOEXEC));
  CHECK(read_all(accepted.get(), 4) == "ping");
  send_all(accepted.get(), "pong");
  runner.until([&] { return handler.read == "pong"; });
  CHECK(transport->peer() == listener->address());
  CHECK(transport->local().is_loopback());
  set_reset_on_close(accepted.get());
  accepted.reset();
  runner.until([&] { return handler.errors == 1; });
  CHECK(handler.error.source == ErrorSource::upstream);
  CHECK(handler.error.retry == Retry::if_reused);
}

namespace {
// A connection to a backend: the transport as the gateway has it, the other end for the test.
struct BackendConnection {
  LoopRunner runner;
  Fd backend;
  Recorder handler;
  std::unique_ptr<Transport> transport;
  BackendConnection() {
    auto listener = ListenSocket::bind(loopback());
    REQUIRE(listener.has_value());
    Attempt attempt;
    attempt.start(runner.loop, listener->address(), 5'000);
    runner.until([&] { return attempt.result.has_value(); });
    REQUIRE(attempt.result->has_value());
    transport = std::move(**attempt.result);
    transport->set_handler(&handler);
    transport->start_reading();
    backend = Fd(::accept4(listener->fd(), nullptr, nullptr, SOCK_CLOEXEC));
    REQUIRE(backend.get() >= 0);
  }
  void send(std::string_view bytes) {
    transport->append(bytes);
    transport->flush();
  }
  void wait_for_request() {
    pollfd ready{backend.get(), POLLIN, 0};
    REQUIRE(::poll(&ready, 1, 10'000) == 1);
  }
  // Answers without reading: closing with unread bytes sends the answer, then a reset.
  void answer_and_reset(std::string_view answer) {
    wait_for_request();
    send_all(backend.get(), answer);
    backend.reset();
  }
};

// This process's descriptor of the connection that `end` is the other end of.
int other_end(const Fd& end) {
  sockaddr_in address{};
  socklen_t size = sizeof(address);
  REQUIRE(::getpeername(end.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  for (int fd = 0; fd < 1024; ++fd) {
    sockaddr_in local{};
    size = sizeof(local);
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&local), &size) == 0 &&
        local.sin_port == address.sin_port)
      return fd;
  }
  FAIL("no such descriptor");
  return -1;
}
}  // namespace

TEST_CASE("a backend's early answer is read although sending to it failed first") {
  BackendConnection c;
  c.send("request");
  c.answer_and_reset("413 too large");
  bool error_last = false;
  c.handler.when_error = [&] { error_last = c.handler.read == "413 too large"; };
  for (int i = 0; i < 3; ++i) c.send("the body goes on");  // the first meets the reset
  CHECK(c.transport->unsent() == 0);
  CHECK(c.transport->bytes_written() == 7);
  CHECK(c.handler.reads == 0);
  CHECK(c.handler.errors == 0);
  c.runner.until([&] { return c.handler.errors == 1; });
  CHECK(error_last);
  CHECK(c.handler.ends == 0);  // a reset is no end
  CHECK(c.handler.error.kind == ErrorKind::reset);
  CHECK(c.handler.error.source == ErrorSource::upstream);
  CHECK(c.transport->bytes_read() == 13);
  c.runner.turns(3);
  CHECK(c.handler.errors == 1);
}

TEST_CASE("a backend's early answer with its FIN is read and ended although sending to it failed first") {
  BackendConnection c;
  c.send("request");
  CHECK(read_all(c.backend.get(), 7) == "request");
  send_all(c.backend.get(), "until the end");
  c.backend.reset();           // all was read: a FIN
  c.send("the body goes on");  // is answered with a reset
  c.send("and meets the reset");
  c.runner.until([&] { return c.handler.errors == 1; });
  CHECK(c.handler.read == "until the end");
  CHECK(c.handler.ends == 1);
}

TEST_CASE("a send that fails while the backend is there is an error behind what it has answered") {
  BackendConnection c;
  c.send("request");
  c.wait_for_request();
  send_all(c.backend.get(), "half an answer");
  // Nothing is ever to come after it: neither a FIN nor a reset.
  ::shutdown(other_end(c.backend), SHUT_WR);
  c.send("the body goes on");
  c.runner.until([&] { return c.handler.errors == 1; });
  CHECK(c.handler.read == "half an answer");
  CHECK(c.handler.ends == 0);
}

TEST_CASE("without an answer a failed send to a backend is the error alone") {
  BackendConnection c;
  c.send("request");
  c.answer_and_reset("");
  c.send("the body goes on");
  c.runner.until([&] { return c.handler.errors == 1; });
  CHECK(c.handler.reads == 0);
  CHECK(c.handler.ends == 0);
  CHECK(c.handler.error.retry == Retry::if_reused);
}

TEST_CASE("a transport may be destroyed by the early answer of a backend that reset") {
  BackendConnection c;
  c.send("request");
  c.answer_and_reset("413");
  c.send("the body goes on");
  SUBCASE("in on_read") {
    c.handler.when_read = [&](auto) { c.transport.reset(); };
    c.runner.until([&] { return !c.transport; });
    CHECK(c.handler.errors == 0);
  }
  SUBCASE("before it was read") {
    c.transport.reset();
    c.runner.turns(3);
    CHECK(c.handler.reads == 0);
  }
  SUBCASE("after leaving it gracefully") {
    c.transport->close_gracefully(1000);
    c.transport.reset();
    c.runner.turns(3);
    CHECK(c.handler.reads == 0);
  }
}

TEST_CASE("what a backend sent before its reset waits for a paused reader, the error behind it") {
  BackendConnection c;
  c.transport->pause(PauseReason::sink_full);
  SUBCASE("nothing left to send") {
    c.send("request");
    c.answer_and_reset("a whole answer");
    c.runner.turns(5);
    CHECK(c.handler.drains == 0);
  }
  SUBCASE("a writer that waits for room is let go") {
    c.send(std::string(8 << 20, 'x'));
    REQUIRE(c.transport->unsent() > 0);
    c.answer_and_reset("a whole answer");
    c.runner.until([&] { return c.handler.drains == 1; });
    CHECK(c.transport->unsent() == 0);
    c.send("more");
    CHECK(c.transport->unsent() == 0);
    c.runner.turns(5);
    CHECK(c.handler.drains == 1);
  }
  CHECK(c.handler.reads == 0);
  CHECK(c.handler.errors == 0);
  c.transport->resume(PauseReason::sink_full);
  c.runner.until([&] { return c.handler.errors == 1; });
  CHECK(c.handler.read == "a whole answer");
  CHECK(c.handler.ends == 0);
  CHECK(c.handler.error.kind == ErrorKind::reset);
}

TEST_CASE("a reset of a backend that sent nothing is noticed while reading is paused") {
  BackendConnection c;
  c.transport->pause(PauseReason::waiting);
  c.send("request");
  c.answer_and_reset("");
  c.runner.until([&] { return c.handler.errors == 1; });
  CHECK(c.handler.error.kind == ErrorKind::reset);
}

TEST_CASE("a connection that waits for a paused reader after a reset keeps the loop asleep") {
  BackendConnection c;
  c.transport->pause(PauseReason::sink_full);
  c.send("request");
  c.answer_and_reset("answer");
  CHECK(turns_of_a_waiting_loop(c.runner) < 200);
  CHECK(c.handler.errors == 0);
}

TEST_CASE("a refused connection is an error that may be retried") {
  LoopRunner runner;
  Address nobody;
  {
    // Bound without listening: the port is taken, so nothing can connect to it, not even itself.
    auto listener = ListenSocket::bind(loopback());
    nobody = listener->address();
  }
  Attempt attempt;
  attempt.start(runner.loop, nobody, 5'000);
  runner.until([&] { return attempt.result.has_value(); });
  REQUIRE(!attempt.result->has_value());
  CHECK(attempt.result->error().kind == ErrorKind::refused);
  CHECK(attempt.result->error().source == ErrorSource::upstream);
  CHECK(attempt.result->error().retry == Retry::yes);
  CHECK(attempt.result->error().reason == reason::upstream_connect_refused);
}

TEST_CASE("a listener whose backlog is full times out") {
  LoopRunner runner;
  auto listener = ListenSocket::bind(loopback(), 0);
  REQUIRE(listener.has_value());
  // A backlog of 0 takes one connection; further ones get no answer to their SYN.
  std::vector<std::unique_ptr<Attempt>> attempts;
  for (int i = 0; i < 4; ++i)
    attempts.emplace_back(std::make_unique<Attempt>())->start(runner.loop, listener->address(), 100);
  runner.until([&] {
    return std::all_of(attempts.begin(), attempts.end(), [](auto& a) { return a->result.has_value(); });
  });
  int timeouts = 0;
  for (auto& attempt : attempts) {
    if (attempt->result->has_value()) continue;
    CHECK(attempt->result->error().kind == ErrorKind::timeout);
    CHECK(attempt->result->error().reason == reason::upstream_connect_timeout);
    CHECK(attempt->result->error().retry == Retry::yes);
    ++timeouts;
  }
  CHECK(timeouts >= 1);
}

TEST_CASE("a connect that is destroyed never calls back") {
  LoopRunner runner;
  auto listener = ListenSocket::bind(loopback());
  Attempt attempt;
  attempt.start(runner.loop, listener->address(), 50);
  attempt.pending.reset();
  runner.turns(10);
  CHECK(!attempt.result.has_value());
}

TEST_CASE("an address that cannot be connected to is an error, not a crash") {
  LoopRunner runner;
  Attempt attempt;
  attempt.start(runner.loop, *Address::from_ip("255.255.255.255", 9), 5'000);
  runner.until([&] { return attempt.result.has_value(); });
  REQUIRE(!attempt.result->has_value());
  CHECK(attempt.result->error().retry == Retry::yes);
}

namespace {

// A transport with more to send than the kernel takes at once.
struct SlowReader : Connection {
  SlowReader() : Connection(8 * 1024, 8 * 1024) {
    transport->limit_sending({100, 1'000});
    transport->start_reading();
    transport->append(std::string(1 << 20, 'x'));
    transport->flush();
  }
};

}  // namespace

TEST_CASE("a client that takes nothing for send_timeout is cut, and told apart from one that left") {
  SlowReader c;
  REQUIRE(c.transport->unsent() > 0);
  c.runner.until([&] { return c.handler.errors == 1; });
  CHECK(c.handler.error.kind == ErrorKind::timeout);
  CHECK(c.handler.error.reason == reason::client_slow);
  CHECK(c.handler.error.limit == Limit::send_timeout);
  c.transport.reset();
  char byte;
  while (::recv(c.pair.far.get(), &byte, 1, 0) == 1) {}
  CHECK(errno == ECONNRESET);  // never an end that looks whole
}

TEST_CASE("a client that takes a byte now and then is cut for its rate") {
  Connection c(8 * 1024, 8 * 1024);
  c.transport->limit_sending({200, 1'000'000'000});
  c.transport->start_reading();
  c.transport->append(std::string(1 << 20, 'x'));
  c.transport->flush();
  std::array<char, 4096> some;
  c.runner.until([&] {
    [[maybe_unused]] ssize_t got = ::recv(c.pair.far.get(), some.data(), some.size(), MSG_DONTWAIT);
    return c.handler.errors == 1;
  });
  CHECK(c.handler.error.limit == Limit::min_send_rate);
}

TEST_CASE("a client that takes everything in time is never cut, however often a rest is left") {
  Connection c(8 * 1024, 8 * 1024);
  c.transport->limit_sending({10'000, 1});
  c.transport->start_reading();
  const std::string piece(100'000, 'x');
  for (int i = 0; i < 20; ++i) {
    c.transport->append(piece);
    c.transport->flush();
    std::thread reader([&] { CHECK(read_all(c.pair.far.get(), piece.size()).size() == piece.size()); });
    c.runner.until([&] { return c.transport->unsent() == 0; });
    reader.join();
  }
  CHECK(c.handler.errors == 0);
}

TEST_CASE("a writer hears when its rest falls to the mark, and when nothing of it is left") {
  Connection c(16 * 1024, 16 * 1024);
  std::vector<size_t> left;
  c.handler.when_drained = [&] { left.push_back(c.transport->unsent()); };
  c.transport->append(pattern(4 << 20));
  c.transport->flush();
  REQUIRE(c.transport->unsent() > Transport::low_mark);
  auto reader = std::async(std::launch::async, [&] { return read_all(c.pair.far.get(), 4 << 20).size(); });
  c.runner.until([&] { return c.transport->unsent() == 0; });
  CHECK(reader.get() == 4 << 20);
  REQUIRE(!left.empty());
  CHECK(left.back() == 0);
  CHECK(left.size() <= 2);
}

TEST_CASE(
    "a close without a linger leaves the peer what the kernel still holds for it, also over unread input") {
  Connection c(1 << 20, 8 * 1024);
  const std::string answer = pattern(100'000);
  c.transport->append(answer);
  c.transport->flush();
  REQUIRE(c.transport->unsent() == 0);
  REQUIRE(c.transport->bytes_taken() < answer.size());
  send_all(c.pair.far.get(), "GET");
  c.runner.until([&] { return c.transport->input_waits(); });
  c.transport->close_gracefully(0);
  c.transport.reset();
  CHECK(read_all(c.pair.far.get()) == answer);
}

TEST_CASE("a last answer that is still being taken is not thrown away when the linger is over") {
  Connection c(1 << 20, 8 * 1024);
  c.transport->limit_sending({10'000, 1});
  c.transport->start_reading();
  const std::string answer(100'000, 'x');
  c.transport->append(answer);
  c.transport->flush();
  REQUIRE(c.transport->unsent() == 0);
  c.transport->close_gracefully(5);
  c.transport.reset();
  std::atomic<bool> late = false;
  Timer timer(c.runner.loop, [](void* flag) { *static_cast<std::atomic<bool>*>(flag) = true; }, &late);
  timer.start(30);
  c.runner.until([&] { return late.load(); });
  // A client that still sends: a reset comes back from a socket that is closed.
  std::string got;
  std::thread reader([&] {
    while (got.size() < answer.size() && ::send(c.pair.far.get(), "y", 1, MSG_NOSIGNAL) == 1) {
      std::string piece = read_all(c.pair.far.get(), 4'000);
      if (piece.empty()) break;
      got += piece;
    }
    late = false;
  });
  c.runner.until([&] { return !late.load(); });
  reader.join();
  CHECK(got == answer);
}

TEST_CASE("the rest of a connection that was given up is bounded by send_timeout too") {
  struct Flag final : Place {
    explicit Flag(bool& at) : gone(at) {}
    ~Flag() override { gone = true; }
    bool& gone;
  };
  SlowReader c;
  bool gone = false;
  c.transport->hold(std::make_unique<Flag>(gone));
  c.transport->close_gracefully(1'000);
  c.transport.reset();
  CHECK(!gone);
  c.runner.until([&] { return gone; });
  char byte;
  while (::recv(c.pair.far.get(), &byte, 1, 0) == 1) {}
  CHECK(errno == ECONNRESET);
}
