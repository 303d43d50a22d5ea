#include "upstream/cluster.h"

#include <algorithm>
#include <cassert>
#include <unordered_map>
#include <unordered_set>

#include "net/loop.h"
#include "upstream/balancers/balancer.h"
#include "upstream/connector.h"
#include "upstream/endpoint.h"

namespace penstock::upstream {
namespace {

// This worker's part of a limit of the whole process: the parts sum up to it, but none is 0 unless it is.
uint32_t share_of(uint32_t limit, uint32_t worker, uint32_t workers) {
  uint32_t share = limit / workers + (worker < limit % workers ? 1 : 0);
  return limit == 0 ? 0 : std::max(1u, share);
}

// Whether those that are there were begun with something that a new one would not be.
bool other_connections(const http::UpstreamSettings& one, const http::UpstreamSettings& other) {
  return one.protocol != other.protocol ||
         (one.protocol == http::Protocol::http2 && one.http2 != other.http2);
}

}  // namespace

struct Cluster::State {
  ClusterShared shared;
  std::unique_ptr<Connector> connector;
  std::unique_ptr<Balancer> balancer;
  std::vector<Member> members;        // in the set's order; one reference each
  IntrusiveList<Endpoint> endpoints;  // of the set, and those that left it while something refers to them
};

Cluster::Cluster(net::Loop& loop, uint32_t worker, uint32_t workers, ClusterSettings settings,
                 DescriptorOwner* descriptors)
    : Cluster(loop, worker, workers, std::move(settings), std::unique_ptr<Connector>(), descriptors) {}

Cluster::Cluster(net::Loop& loop, uint32_t worker, uint32_t workers, ClusterSettings settings,
                 std::unique_ptr<Connector> connector, DescriptorOwner* descriptors)
    : loop_(loop),
      worker_(worker),
      workers_(std::max(1u, workers)),
      set_(std::make_shared<const EndpointSet>()),
      state_(std::make_unique<State>()) {
  if (!connector) connector = make_tcp_connector(loop, settings_.http, descriptors);
  state_->connector = std::move(connector);
  state_->shared.connector = state_->connector.get();
  state_->shared.worker = worker;
  settings_.name = settings.name;
  set_settings(std::move(settings));
}

Cluster::~Cluster() {
  assert(attempts() == 0);
  state_->endpoints.for_each([](Endpoint& endpoint) { endpoint.pool().close_all(); });
  for (const Member& member : state_->members) member.endpoint->unref();
}

void Cluster::set_settings(ClusterSettings settings) {
  bool other_policy = !state_->balancer || settings.balance != settings_.balance;
  ClusterShared& shared = state_->shared;
  if (other_connections(settings.http, settings_.http)) ++shared.epoch;
  settings_ = std::move(settings);
  const http::UpstreamSettings& http = settings_.http;
  shared.streams_each = http.protocol == http::Protocol::http2 ? http.http2.max_concurrent_streams : 1;
  shared.max_idle = share_of(settings_.max_idle, worker_, workers_);
  shared.idle_timeout_ms = settings_.idle_timeout_ms;
  shared.failures_to_rest = settings_.failures_to_rest;
  shared.rest_ms = settings_.rest_ms;
  state_->endpoints.for_each([](Endpoint& endpoint) { endpoint.pool().apply_limits(); });
  if (!other_policy) return;
  state_->balancer =
      make_balancer(settings_.balance, worker_, workers_,
                    loop_.now_ns() ^ (uint64_t{worker_} << 48) ^ std::hash<std::string>{}(settings_.name));
  state_->balancer->reset(state_->members);
}

void Cluster::set_endpoints(std::shared_ptr<const EndpointSet> set) {
  std::unordered_map<std::string_view, Endpoint*> known;
  for (const Member& member : state_->members) known.emplace(member.endpoint->name(), member.endpoint);

  std::vector<Member> members;
  members.reserve(set->endpoints.size());
  std::unordered_set<std::string_view> seen;
  for (const EndpointInfo& info : set->endpoints) {
    assert(info.state);
    if (info.weight == 0 || !seen.insert(info.name).second) continue;
    auto found = known.find(info.name);
    Endpoint* endpoint = nullptr;
    if (found != known.end() && found->second->shared_state() == info.state) {
      endpoint = found->second;
      known.erase(found);
      endpoint->pool().set_addresses(info.addresses);
    } else {
      endpoint = new Endpoint(loop_, info, state_->shared);
      state_->endpoints.push_back(*endpoint);
    }
    members.push_back({endpoint, info.state.get(), info.weight,
                       info.addresses.empty() ? Member::Name::unresolved : Member::Name::resolved});
  }
  state_->members = std::move(members);
  set_ = std::move(set);
  state_->balancer->reset(state_->members);
  for (auto& [name, endpoint] : known) {
    endpoint->pool().retire();
    endpoint->unref();
  }
}

Endpoint* Cluster::pick(const Tried& tried) {
  using Ring = Candidates::Ring;
  for (Ring ring : {Ring::in_use, Ring::resting, Ring::unresolved}) {
    if (ring == Ring::unresolved && tried.count() > 0) break;
    size_t index = state_->balancer->pick(Candidates(state_->members, tried, loop_.now_ms(), ring));
    if (index != Balancer::none) return state_->members[index].endpoint;
  }
  return nullptr;
}

http::Stream* Cluster::acquire(Attempt& attempt, Endpoint& endpoint, uint32_t connect_timeout_ms) {
  return endpoint.acquire(attempt, connect_timeout_ms);
}

void Cluster::finish(Attempt& attempt, Outcome outcome) {
  if (Endpoint* endpoint = attempt.endpoint()) endpoint->finish(attempt, outcome);
}

size_t Cluster::attempts() const { return state_->shared.attempts; }

size_t Cluster::open_connections() const {
  size_t sum = 0;
  state_->endpoints.for_each([&](Endpoint& endpoint) { sum += endpoint.pool().open(); });
  return sum;
}

size_t Cluster::idle_connections() const {
  size_t sum = 0;
  state_->endpoints.for_each([&](Endpoint& endpoint) { sum += endpoint.pool().idle(); });
  return sum;
}

void Cluster::close_idle() {
  state_->endpoints.for_each([](Endpoint& endpoint) { endpoint.pool().close_idle(); });
}

}  // namespace penstock::upstream
