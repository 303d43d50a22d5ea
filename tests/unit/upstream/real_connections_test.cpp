#include <doctest/doctest.h>

#include "base/reason.h"
#include "fakes.h"
#include "unit/net/net_support.h"

using namespace penstock;
using namespace penstock::upstream;
using namespace penstock::upstream::fakes;

namespace {

// A backend in the test's own thread: accepts, reads and answers when the test says so.
class Backend {
 public:
  Backend() : socket_(net::ListenSocket::bind(net::loopback())) { REQUIRE(socket_.has_value()); }
  std::string name() const { return socket_->address().to_string(); }
  net::Fd accept() {
    pollfd ready{socket_->fd(), POLLIN, 0};
    REQUIRE(::poll(&ready, 1, 10'000) == 1);
    net::Fd fd(::accept4(socket_->fd(), nullptr, nullptr, SOCK_CLOEXEC));
    REQUIRE(fd.get() >= 0);
    return fd;
  }

 private:
  std::expected<net::ListenSocket, net::BindError> socket_;
};

// A port where nobody listens: a bound socket keeps others off it.
struct ClosedPort {
  ClosedPort() : fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), at(net::loopback()) {
    REQUIRE(::bind(fd.get(), &at.any, at.length()) == 0);
    socklen_t length = sizeof(at.v6);
    ::getsockname(fd.get(), &at.any, &length);
  }
  net::Fd fd;
  net::Address at;
};

// An exchange of one GET without a body.
class Getter final : public Attempt, public http::StreamHandler {
 public:
  explicit Getter(net::LoopRunner& runner)
      : Attempt(static_cast<http::StreamHandler&>(*this)), runner_(runner) {}

  void start(Cluster& cluster, Endpoint& endpoint) {
    status = 0;
    done = false;
    stream = cluster.acquire(*this, endpoint, 5'000);
    lent_at_once = stream != nullptr;
    if (!stream) return;
    send();
    runner_.turns(1);  // it leaves at the end of this one
  }
  void wait() {
    runner_.until([&] { return done; });
  }
  void on_acquired(http::Stream& got) override {
    stream = &got;
    send();
  }
  void on_acquire_failed(const Error& got) override { failed(got); }
  void on_head(http::Message& head, http::EndStream end) override {
    status = head.status;
    if (end == http::EndStream::yes) done = true;
  }
  void on_end() override { done = true; }
  void on_reset(const Error& got) override {
    stream = nullptr;
    failed(got);
  }
  void on_bad_head(const Error&, http::Message&) override {}
  void on_informational(http::Message&) override {}
  void on_data(std::string_view) override {}
  void on_trailers(http::Headers&) override {}
  void on_turn_end() override {}
  void on_drained() override {}

  http::Stream* stream = nullptr;
  int status = 0;
  bool done = false, lent_at_once = false, reused = false;
  Error error;

 private:
  void send() {
    reused = stream->reused();
    http::Message head(stream->arena());
    head.method_text = "GET";
    head.target = "/";
    head.path = "/";
    head.authority = "backend";
    stream->send_head(head, http::EndStream::yes);
    stream->flush();
  }
  void failed(const Error& got) {
    error = got;
    done = true;
  }
  net::LoopRunner& runner_;
};

struct Rig {
  explicit Rig(std::vector<EndpointInfo> endpoints, ClusterSettings settings = {})
      : cluster(std::make_unique<Cluster>(runner.loop, 0, 1, std::move(settings))) {
    cluster->set_endpoints(set_of(std::move(endpoints)));
  }
  Endpoint& only() { return *cluster->pick({}); }

  net::LoopRunner runner;
  std::unique_ptr<Cluster> cluster;
};

constexpr std::string_view answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

// Reads one request head and answers it.
void serve(net::Fd& connection) {
  std::string request;
  while (request.find("\r\n\r\n") == std::string::npos) {
    std::string byte = net::read_all(connection.get(), 1);
    REQUIRE(!byte.empty());
    request += byte;
  }
  CHECK(request.starts_with("GET / HTTP/1.1\r\n"));
  net::send_all(connection.get(), answer);
}

void finish(Cluster& cluster, Getter& getter, Outcome outcome) {
  if (getter.stream) getter.stream->release();
  getter.stream = nullptr;
  cluster.finish(getter, outcome);
}

}  // namespace

TEST_CASE("a connection serves request after request") {
  Backend backend;
  Rig rig({endpoint(backend.name())});
  Getter getter(rig.runner);
  getter.start(*rig.cluster, rig.only());
  CHECK(!getter.lent_at_once);
  rig.runner.until([&] { return getter.stream != nullptr; });
  net::Fd connection = backend.accept();
  for (int i = 0; i < 3; ++i) {
    CHECK(getter.reused == (i > 0));
    serve(connection);
    getter.wait();
    CHECK(getter.status == 200);
    finish(*rig.cluster, getter, Outcome::success);
    CHECK(rig.cluster->idle_connections() == 1);
    getter.start(*rig.cluster, rig.only());
    CHECK(getter.lent_at_once);
  }
  serve(connection);
  getter.wait();
  finish(*rig.cluster, getter, Outcome::success);
  CHECK(rig.cluster->open_connections() == 1);
}

TEST_CASE("a connection that the backend closes while it is idle is never lent") {
  Backend backend;
  Rig rig({endpoint(backend.name())});
  Getter getter(rig.runner);
  getter.start(*rig.cluster, rig.only());
  rig.runner.until([&] { return getter.stream != nullptr; });
  {
    net::Fd connection = backend.accept();
    serve(connection);
    getter.wait();
    finish(*rig.cluster, getter, Outcome::success);
    CHECK(rig.cluster->idle_connections() == 1);
  }
  rig.runner.until([&] { return rig.cluster->open_connections() == 0; });
  getter.start(*rig.cluster, rig.only());
  CHECK(!getter.lent_at_once);
  rig.runner.until([&] { return getter.stream != nullptr; });
  net::Fd connection = backend.accept();
  serve(connection);
  getter.wait();
  CHECK(getter.status == 200);
  finish(*rig.cluster, getter, Outcome::success);
}

TEST_CASE("a connection that broke in use leaves the pool") {
  Backend backend;
  Rig rig({endpoint(backend.name())});
  Getter getter(rig.runner);
  getter.start(*rig.cluster, rig.only());
  rig.runner.until([&] { return getter.stream != nullptr; });
  net::Fd connection = backend.accept();
  connection.reset();
  getter.wait();
  CHECK(getter.error.reason == reason::upstream_reset);
  finish(*rig.cluster, getter, Outcome::failure);
  CHECK(rig.cluster->open_connections() == 0);
}

TEST_CASE("a port that refuses fails every attempt and rests after five") {
  ClosedPort closed;
  EndpointInfo bad = endpoint(closed.at.to_string());
  Rig rig({bad});
  for (int i = 0; i < 5; ++i) {
    CHECK(bad.state->resting_until_ms == 0);
    Getter getter(rig.runner);
    getter.start(*rig.cluster, rig.only());
    getter.wait();
    CHECK(getter.error.kind == ErrorKind::refused);
    CHECK(getter.error.reason == reason::upstream_connect_refused);
    CHECK(getter.error.retry == Retry::yes);
    finish(*rig.cluster, getter, Outcome::failure);
  }
  CHECK(bad.state->resting_until_ms > rig.runner.loop.now_ms());
  CHECK(bad.state->active.sum() == 0);
}

TEST_CASE("an attempt that leaves while connecting leaves its connection to the next") {
  Backend backend;
  EndpointInfo info = endpoint(backend.name());
  Rig rig({info});
  {
    Getter gone(rig.runner);
    gone.start(*rig.cluster, rig.only());
    CHECK(info.state->active.sum() == 1);
  }
  CHECK(info.state->active.sum() == 0);
  rig.runner.until([&] { return rig.cluster->idle_connections() == 1; });
  Getter getter(rig.runner);
  getter.start(*rig.cluster, rig.only());
  CHECK(getter.lent_at_once);
  net::Fd connection = backend.accept();
  serve(connection);
  getter.wait();
  finish(*rig.cluster, getter, Outcome::success);
}

TEST_CASE("a name goes on to its next address when the first one refuses") {
  ClosedPort closed;
  Backend backend;
  EndpointInfo info = endpoint("two.internal:80", {closed.at.to_string(), backend.name()});
  Rig rig({info});
  Getter getter(rig.runner);
  getter.start(*rig.cluster, rig.only());
  rig.runner.until([&] { return getter.stream != nullptr; });
  net::Fd connection = backend.accept();
  serve(connection);
  getter.wait();
  CHECK(getter.status == 200);
  CHECK(info.state->consecutive_failures == 0);
  finish(*rig.cluster, getter, Outcome::success);
}

TEST_CASE("a cluster may end while connections are being made, idle and cut") {
  Backend backend;
  Rig rig({endpoint(backend.name())});
  Getter done(rig.runner), cut(rig.runner);
  done.start(*rig.cluster, rig.only());
  cut.start(*rig.cluster, rig.only());
  rig.runner.until([&] { return done.stream && cut.stream; });
  net::Fd one = backend.accept();
  serve(one);
  net::Fd other = backend.accept();
  serve(other);
  done.wait();
  finish(*rig.cluster, done, Outcome::success);
  cut.stream->reset();
  cut.stream = nullptr;
  rig.cluster->finish(cut, Outcome::neutral);
  {
    Getter leaves(rig.runner), waits(rig.runner);
    leaves.start(*rig.cluster, rig.only());
    waits.start(*rig.cluster, rig.only());
    leaves.stream->reset();
  }
  CHECK(rig.cluster->attempts() == 0);
  rig.cluster.reset();
  rig.runner.turns(2);
  for (net::Fd* end : {&one, &other}) {  // closed from our side, whatever was sent on it before
    (void)net::read_all(end->get());
    char byte;
    CHECK(::recv(end->get(), &byte, 1, 0) <= 0);
  }
}
