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

bool same_tls(const ClusterSettings& one, const ClusterSettings& other) {
  if (!one.tls || !other.tls) return !one.tls && !other.tls;
  return one.tls->digest() == other.tls->digest();
}

bool may_be_http2(const ClusterSettings& settings) {
  return settings.http.protocol == http::Protocol::http2 ||
         (settings.http.protocol == http::Protocol::by_alpn && settings.tls);
}

// Whether those that are there were begun with something that a new one would not be.
bool other_connections(const ClusterSettings& one, const ClusterSettings& other) {
  return one.http.protocol != other.http.protocol || !same_tls(one, other) ||
         (may_be_http2(one) && one.http.http2 != other.http.http2);
}

}  // namespace

void ConnectCounters::merge(const ConnectCounters& other) {
  for (size_t i = 0; i < handshakes.size(); ++i) handshakes[i] += other.handshakes[i];
  for (const auto& [reason, count] : other.failures) failures[reason] += count;
  goaways.merge(other.goaways);
  stream_resets.merge(other.stream_resets);
}

void ClusterUse::merge(const ClusterUse& other) {
  for (size_t i = 0; i < connections.size(); ++i) connections[i] += other.connections[i];
  http2_streams += other.http2_streams;
  waiting += other.waiting;
}

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
  if (!connector) connector = make_connector(loop, settings_, state_->shared.connects, descriptors);
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
  if (other_connections(settings, settings_)) ++shared.epoch;
  // The one that sessions were made with, while it does the same.
  if (settings.tls && same_tls(settings, settings_)) settings.tls = settings_.tls;
  settings_ = std::move(settings);
  shared.streams_each = may_be_http2(settings_) ? settings_.http.http2.max_concurrent_streams : 1;
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
      endpoint->pool().set_place(info.host, info.addresses);
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

const ConnectCounters& Cluster::connects() const { return state_->shared.connects; }

size_t Cluster::attempts() const { return state_->shared.attempts; }

size_t Cluster::open_connections() const {
  size_t sum = 0;
  state_->endpoints.for_each([&](Endpoint& endpoint) { sum += endpoint.pool().open(); });
  return sum;
}

ClusterUse Cluster::use() const {
  ClusterUse sum;
  state_->endpoints.for_each([&](Endpoint& endpoint) { sum.merge(endpoint.pool().use()); });
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
