// A whole proxy without sockets: a client's HTTP/1 connection, the exchange, a cluster and backends' HTTP/1
// connections over scripted transports. A test feeds the bytes of either side and reads what reached the
// other. One route "/" to endpoints on the ports 1, 2, ... that are taken in turn.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "http/scripted_transport.h"
#include "http/turn.h"
#include "net/loop.h"
#include "net/timer.h"
#include "proxy/exchange.h"
#include "proxy/one_route.h"
#include "upstream/connector.h"

namespace penstock::proxy::testing {

using test::feed;
using test::feed_each_byte;
using test::feed_end;
using test::feed_error;
using test::Wire;

// Every connect succeeds a turn later, on a port of `refusing` it is refused. With Protocol::http2 in the
// settings it succeeds when the test has fed the backend's SETTINGS.
struct WireConnector final : upstream::Connector {
  struct Made final : Pending, http::UpstreamStart {
    Made(Done told, void* of) : done(told), who(of) {}
    ~Made() override { *alive = false; }
    void on_usable(http::UpstreamConnection&) override { done(who, std::move(made)); }
    void on_unusable(http::UpstreamConnection&, const Error& error) override {
      done(who, std::unexpected(error));
    }
    Done done;
    void* who;
    std::unique_ptr<http::UpstreamConnection> made;
    std::shared_ptr<bool> alive = std::make_shared<bool>(true);
  };
  explicit WireConnector(net::Loop& l) : loop(l) {}
  std::unique_ptr<Pending> connect(const net::Address& to, net::TlsPeer&, uint64_t,
                                   http::UpstreamOwner& owner, Done done, void* who) override {
    auto pending = std::make_unique<Made>(done, who);
    bool refused = std::ranges::find(refusing, to.port()) != refusing.end();
    loop.post([this, &owner, done, who, refused, made = pending.get(), alive = pending->alive] {
      if (!*alive) return;
      if (refused) {
        done(who,
             std::unexpected(Error{ErrorKind::refused, ErrorSource::upstream, Retry::yes, {}, "by script"}));
        return;
      }
      Wire& wire = *wires.emplace_back(std::make_unique<Wire>());
      auto transport = std::make_unique<test::ScriptedTransport>(wire);
      if (settings.protocol == http::Protocol::http2) {
        made->made = http::make_http2_upstream(loop, std::move(transport), settings, owner, *made);
        return;
      }
      done(who, http::make_http1_upstream(loop, std::move(transport), settings, owner));
    });
    return pending;
  }
  net::Loop& loop;
  http::UpstreamSettings settings;
  std::vector<uint16_t> refusing;
  std::vector<std::unique_ptr<Wire>> wires;
};

struct Pipe : OneRoute, http::DownstreamOwner {
  struct TestWorker final : WorkerContext {
    TestWorker(net::Loop& l, Names& n, RetryBudget& b) : WorkerContext(l, n, b, 0, 42) {}
    void generation_unused(Generation&) override {}
  };

  net::Loop loop;
  Names names;
  RetryBudget budget{1};
  TestWorker worker{loop, names, budget};
  ListenerInfo listener;
  http::DownstreamSettings settings;
  std::unique_ptr<upstream::Cluster> cluster;
  WireConnector* connector = nullptr;
  Generation generation;
  Wire client;
  std::unique_ptr<http::DownstreamConnection> connection;

  explicit Pipe(uint16_t endpoints = 1) {
    listener.name = "http";
    listener.scheme = "http";
    listener.address = *net::Address::parse("127.0.0.1:8080");
    listener.body_size_limit = 1 << 20;
    upstream::ClusterSettings cluster_settings;
    cluster_settings.name = "backend";
    cluster_settings.balance = upstream::BalancePolicy::round_robin;
    auto made = std::make_unique<WireConnector>(loop);
    connector = made.get();
    cluster = std::make_unique<upstream::Cluster>(loop, 0, 1, cluster_settings, std::move(made));
    auto set = std::make_shared<upstream::EndpointSet>();
    for (uint16_t port = 1; port <= endpoints; ++port)
      set->endpoints.push_back({"127.0.0.1:" + std::to_string(port),
                                "127.0.0.1",
                                {*net::Address::from_ip("127.0.0.1", port)},
                                1,
                                std::make_shared<upstream::EndpointState>()});
    cluster->set_endpoints(set);
    generation.snapshot = snapshot;
    generation.clusters = {cluster.get()};
    generation.filter_states = {nullptr};
    client.peer = *net::Address::parse("192.0.2.7:4711");
    client.local = listener.address;
  }
  virtual ~Pipe() {  // the client leaves what a test did not bring to its end
    if (connection) connection->close();
    turn();
  }

  // The client connects with the settings as they are by then.
  void connect() {
    connection =
        http::make_http1_downstream(loop, std::make_unique<test::ScriptedTransport>(client), settings, *this);
  }
  // What the client sends goes through, as far as it does without an answer.
  void send(std::string_view bytes) {
    if (!connection && client.end == Wire::End::open) connect();
    feed(client, bytes);
    turn();
  }
  void turn() {
    for (int i = 0; i < 3; ++i) test::turn(loop);
  }
  Wire& backend(size_t number = 0) {
    REQUIRE(connector->wires.size() > number);
    return *connector->wires[number];
  }
  void answer(std::string_view bytes, size_t number = 0) {
    feed(backend(number), bytes);
    turn();
  }
  void end_of_backend(size_t number = 0) {
    feed_end(backend(number));
    turn();
  }
  void reset_of_backend(size_t number = 0) {
    feed_error(backend(number), {ErrorKind::reset, ErrorSource::upstream, Retry::no, {}, "by script"});
    turn();
  }
  void reset_of_client() {
    feed_error(client, {ErrorKind::reset, ErrorSource::downstream, Retry::no, {}, "by script"});
    turn();
  }
  // Nobody waits for anything any more, and nothing was forgotten.
  bool at_rest() const {
    return worker.metrics.active_requests == 0 && worker.metrics.active_tunnels == 0 &&
           generation.users == 0 && cluster->attempts() == 0;
  }

  http::StreamHandler& on_stream(http::Stream& stream, http::DownstreamConnection&) override {
    return make_exchange(worker, stream, generation, listener);
  }
  void on_closed(http::DownstreamConnection&) override { loop.defer_delete(std::move(connection)); }
};

// The message with the random request id as ID.
inline std::string without_id(std::string message) {
  constexpr std::string_view name = "x-request-id: ";
  for (size_t at = 0; (at = message.find(name, at)) != message.npos;) {
    at += name.size();
    message.replace(at, message.find("\r\n", at) - at, "ID");
  }
  return message;
}

}  // namespace penstock::proxy::testing
