// Connections without sockets for tests of the pool: a test says when a connect succeeds or fails, when a
// stream ends and when the backend closes. Everything happens in the test's own frame but deferred deletion.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "http/connection.h"
#include "net/loop.h"
#include "upstream/cluster.h"
#include "upstream/connector.h"

namespace penstock::upstream::fakes {

class FakeConnection;

class FakeStream final : public http::Stream {
 public:
  explicit FakeStream(FakeConnection& connection, BlockPool& blocks)
      : connection_(connection), arena_(blocks) {}
  FakeConnection& connection() { return connection_; }

  void release() override;  // ended cleanly
  void reset() override;    // cut: the connection closes
  void send_informational(const http::Message&) override {}
  void send_head(const http::Message&, http::EndStream) override {}
  void send_data(std::string_view) override {}
  void send_trailers(const http::Headers&) override {}
  void send_end() override {}
  void flush() override {}
  size_t unsent() const override { return 0; }
  void pause(PauseReason) override {}
  void resume(PauseReason) override {}
  void close_after() override {}
  Arena& arena() override { return arena_; }
  http::Version version() const override { return http::Version::http_1_1; }
  const net::Address& peer() const override { return address_; }
  const net::Address& local() const override { return address_; }
  const net::TlsInfo* tls() const override { return nullptr; }
  bool reused() const override { return false; }
  bool any_byte_received() const override { return false; }
  bool any_byte_sent() const override { return false; }
  uint64_t bytes_written() const override { return 0; }
  uint64_t bytes_received() const override { return 0; }
  uint64_t bytes_taken() const override { return 0; }
  uint64_t bytes_sent() const override { return 0; }
  uint64_t started_ms() const override { return 0; }

 private:
  FakeConnection& connection_;
  Arena arena_;
  net::Address address_;
};

class FakeConnection final : public http::UpstreamConnection {
 public:
  // Streams at once: over 1 it is one of HTTP/2.
  FakeConnection(net::Loop& loop, http::UpstreamOwner& owner, int& alive, uint32_t streams = 1)
      : most(streams), loop_(loop), owner_(owner), alive_(alive) {
    many_streams = streams > 1;
    ++alive_;
  }
  ~FakeConnection() override { --alive_; }

  http::Stream* open(http::StreamHandler&) override {
    if (broken || (many_streams && !has_room())) return nullptr;
    ++lent_;
    ++opened;
    if (!many_streams && !streams_.empty()) return streams_.front().get();
    streams_.push_back(std::make_unique<FakeStream>(*this, loop_.blocks()));
    return streams_.back().get();
  }
  size_t open_streams() const override { return lent_; }
  bool has_room() const override { return many_streams && !broken && lent_ < most; }
  uint32_t most_streams() const override { return most; }
  bool quiet() const override { return !noisy; }
  void close() override { finish(); }  // tells its owner at once, which the pool must bear

  void stream_ended() {
    const bool full = !has_room();
    if (--lent_ == 0)
      owner_.on_idle(*this);
    else if (full && has_room())
      owner_.on_room(*this);
  }
  void room_changed(uint32_t to) {
    most = to;
    owner_.on_room(*this);
  }
  void finish() {  // also: the backend closes
    if (closed) return;
    closed = true;
    lent_ = 0;
    owner_.on_closed(*this);
  }

  uint32_t most;
  bool broken = false;
  bool noisy = false;  // bytes wait that nobody asked for
  bool closed = false;
  int opened = 0;

 private:
  net::Loop& loop_;
  http::UpstreamOwner& owner_;
  std::vector<std::unique_ptr<FakeStream>> streams_;  // all that were opened
  uint32_t lent_ = 0;
  int& alive_;
};

inline void FakeStream::release() { connection_.stream_ended(); }
inline void FakeStream::reset() { connection_.finish(); }

class FakeConnector final : public Connector {
 public:
  struct Asked {  // one connect() and what the test does about it
    net::Address to;
    uint64_t timeout_ms;
    http::UpstreamOwner* owner;
    Done done;
    void* who;
    enum class State { open, answered, cancelled } state = State::open;
  };

  explicit FakeConnector(std::vector<std::unique_ptr<Asked>>& asked) : asked_(asked) {}

  std::unique_ptr<Pending> connect(const net::Address& to, net::TlsPeer&, uint64_t timeout_ms,
                                   http::UpstreamOwner& owner, Done done, void* who) override {
    asked_.push_back(std::make_unique<Asked>(Asked{to, timeout_ms, &owner, done, who}));
    return std::make_unique<FakePending>(*asked_.back());
  }

 private:
  struct FakePending final : Pending {
    explicit FakePending(Asked& of) : asked(of) {}
    ~FakePending() override {
      if (asked.state == Asked::State::open) asked.state = Asked::State::cancelled;
    }
    Asked& asked;
  };
  std::vector<std::unique_ptr<Asked>>& asked_;
};

// An attempt that notes what it gets.
class Taker final : public Attempt, public http::StreamHandler {
 public:
  explicit Taker(std::string name = {}, std::string* log = nullptr)
      : Attempt(static_cast<http::StreamHandler&>(*this)), name_(std::move(name)), log_(log) {}

  void on_acquired(http::Stream& got) override {
    stream = &got;
    if (log_) *log_ += name_;
    if (then) then(*this);
  }
  void on_acquire_failed(const Error& got) override {
    failures.push_back(got);
    if (log_) *log_ += "!" + name_;
    if (then) then(*this);
  }
  FakeConnection& connection() { return static_cast<FakeStream*>(stream)->connection(); }

  void on_head(http::Message&, http::EndStream) override {}
  void on_bad_head(const Error&, http::Message&) override {}
  void on_informational(http::Message&) override {}
  void on_data(std::string_view) override {}
  void on_trailers(http::Headers&) override {}
  void on_end() override {}
  void on_turn_end() override {}
  void on_drained() override {}
  void on_reset(const Error&) override {}

  http::Stream* stream = nullptr;
  std::vector<Error> failures;
  std::function<void(Taker&)> then;

 private:
  std::string name_;
  std::string* log_;
};

inline net::Address address(const std::string& text) { return *net::Address::parse(text); }

inline EndpointInfo endpoint(const std::string& name, std::vector<std::string> addresses = {},
                             uint32_t weight = 1) {
  EndpointInfo info;
  info.name = name;
  info.weight = weight;
  info.state = std::make_shared<EndpointState>();
  if (addresses.empty()) addresses = {name};
  for (const std::string& text : addresses) info.addresses.push_back(address(text));
  return info;
}

inline std::shared_ptr<const EndpointSet> set_of(std::vector<EndpointInfo> endpoints) {
  return std::make_shared<const EndpointSet>(EndpointSet{std::move(endpoints)});
}

// One turn: deferred deletions happen.
inline void turn(net::Loop& loop) {
  loop.post([&] { loop.stop(); });
  loop.run();
}

// A cluster over fake connections.
struct Bench {
  explicit Bench(ClusterSettings with = {}, uint32_t worker = 0, uint32_t workers = 1) {
    with.name = "test";
    cluster = std::make_unique<Cluster>(loop, worker, workers, with, std::make_unique<FakeConnector>(asked));
  }
  ~Bench() {
    cluster.reset();
    turn(loop);
  }

  Endpoint& only() { return *cluster->pick({}); }
  http::Stream* acquire(Taker& taker, uint32_t timeout_ms = 10'000) {
    taker.stream = cluster->acquire(taker, only(), timeout_ms);
    return taker.stream;
  }
  // The n-th connect succeeds.
  FakeConnection& connected(size_t n, uint32_t most = 1) {
    FakeConnector::Asked& one = *asked.at(n);
    one.state = FakeConnector::Asked::State::answered;
    auto connection = std::make_unique<FakeConnection>(loop, *one.owner, alive, most);
    FakeConnection& made = *connection;
    one.done(one.who, std::move(connection));
    return made;
  }
  // The n-th connect succeeds, but no stream can be opened on what it made.
  void connected_in_vain(size_t n, uint32_t most = 1) {
    FakeConnector::Asked& one = *asked.at(n);
    one.state = FakeConnector::Asked::State::answered;
    auto connection = std::make_unique<FakeConnection>(loop, *one.owner, alive, most);
    connection->broken = true;
    one.done(one.who, std::move(connection));
  }
  void refused(size_t n, ErrorKind kind = ErrorKind::refused) {
    FakeConnector::Asked& one = *asked.at(n);
    one.state = FakeConnector::Asked::State::answered;
    one.done(one.who,
             std::unexpected(Error{kind, ErrorSource::upstream, Retry::yes, {}, "as the test says"}));
  }
  void done(Taker& taker, Outcome outcome = Outcome::success) {
    taker.stream->release();
    cluster->finish(taker, outcome);
  }

  net::Loop loop;
  std::vector<std::unique_ptr<FakeConnector::Asked>> asked;
  int alive = 0;  // connections
  std::unique_ptr<Cluster> cluster;
};

}  // namespace penstock::upstream::fakes
