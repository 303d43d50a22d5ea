// An exchange between a scripted client stream and scripted backends, as a test drives it.
#pragma once
#include <doctest/doctest.h>

#include <string_view>
#include <vector>

#include "proxy/one_route.h"
#include "proxy/scripted.h"

namespace penstock::proxy::testing {

struct TestWorker final : WorkerContext {
  TestWorker(net::Loop& l, Names& n, RetryBudget& b) : WorkerContext(l, n, b, 0, 42) {}
  void generation_unused(Generation&) override {}
};

// One route "/" to one upstream of three endpoints (ports 1, 2, 3), a worker, and one client stream.
struct Bench : OneRoute {
  net::Loop loop;
  Names names;
  RetryBudget budget{1};
  TestWorker worker{loop, names, budget};
  ListenerInfo listener;
  std::unique_ptr<upstream::Cluster> cluster;
  ScriptedConnector* backend = nullptr;
  Generation generation;
  ScriptedStream client{loop};
  http::Message* head = nullptr;

  explicit Bench(std::vector<uint16_t> ports = {1, 2, 3}) {
    listener.name = "http";
    listener.scheme = "http";
    listener.body_size_limit = 1 << 20;
    upstream::ClusterSettings settings;
    settings.name = "backend";
    settings.balance = upstream::BalancePolicy::round_robin;
    auto connector = std::make_unique<ScriptedConnector>(loop);
    backend = connector.get();
    cluster = std::make_unique<upstream::Cluster>(loop, 0, 1, settings, std::move(connector));
    auto set = std::make_shared<upstream::EndpointSet>();
    for (uint16_t port : ports)
      set->endpoints.push_back({"127.0.0.1:" + std::to_string(port),
                                "127.0.0.1",
                                {*net::Address::from_ip("127.0.0.1", port)},
                                1,
                                std::make_shared<upstream::EndpointState>()});
    cluster->set_endpoints(set);
    generation.snapshot = snapshot;
    generation.clusters = {cluster.get()};
    generation.filter_states = {nullptr};
  }

  ~Bench() {  // the client leaves what a test did not bring to its end
    for (auto& connection : backend->connections) connection->finished = false;
    if (client.handler && generation.users)
      client.handler->on_reset({ErrorKind::closed, ErrorSource::downstream, Retry::no, {}, {}});
    turn();
  }

  // A request's head arrives.
  void request(std::string_view method, std::string_view target, http::BodyKind body = http::BodyKind::none,
               uint64_t length = 0) {
    http::StreamHandler& handler = make_exchange(worker, client, generation, listener);
    client.handler = &handler;
    head = client.arena().make<http::Message>(client.arena());
    head->method = http::method_from(method);
    head->method_text = method;
    head->authority = "api.example.com";
    size_t mark = target.find('?');
    head->path = target.substr(0, mark);
    head->has_query = mark != std::string_view::npos;
    if (head->has_query) head->query = target.substr(mark + 1);
    head->body = body;
    head->content_length = length;
    handler.on_head(*head, body == http::BodyKind::none ? http::EndStream::yes : http::EndStream::no);
  }
  // Lets the loop run what is due now.
  void turn() {
    for (int i = 0; i < 3; ++i) {
      loop.post([this] { loop.stop(); });
      loop.run();
    }
  }
  ScriptedStream& stream(size_t connection = 0, size_t number = 0) {
    REQUIRE(backend->connections.size() > connection);
    REQUIRE(backend->connections[connection]->streams.size() > number);
    return *backend->connections[connection]->streams[number];
  }
  http::Message& respond(ScriptedStream& up, uint16_t status, http::BodyKind body = http::BodyKind::none,
                         uint64_t length = 0) {
    auto* response = up.arena().make<http::Message>(up.arena());
    response->status = status;
    response->body = body;
    response->content_length = length;
    up.received_any = true;
    up.handler->on_head(*response, body == http::BodyKind::none ? http::EndStream::yes : http::EndStream::no);
    return *response;
  }
  static Error lost(ErrorKind kind = ErrorKind::reset) {
    return {kind, ErrorSource::upstream, Retry::no, {}, "by script"};
  }
};

}  // namespace penstock::proxy::testing
