#include "server/worker.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "base/reason.h"
#include "plugin/crash_report.h"
#include "server/console.h"

namespace penstock::server {
namespace {
// How long an idle keep-alive connection of a removed listener is kept, so that a request which is under way
// to us is still answered.
constexpr uint32_t idle_grace_ms = 1'000;
// Under pressure the connections are looked through no more often than this, and seldom when nothing was
// found; those that hold no more than a head takes are not worth cutting.
constexpr uint64_t relief_interval_ms = 20;
constexpr uint64_t vain_relief_interval_ms = 250;
constexpr size_t worth_cutting = 2 * BlockPool::block_size;
// Lines a second about connections that brought no request.
constexpr uint32_t max_refusals_told = 10;
}  // namespace

// A generation that nobody uses: its plugins are stopped before the loop blocks again, outside of whoever let
// go of it, and the snapshot goes back to the main thread, where plugin instances are destroyed.
class Worker::Retired final : public net::Deferred {
 public:
  Retired(Worker& worker, std::unique_ptr<proxy::Generation> generation)
      : worker_(worker), generation_(std::move(generation)) {}
  ~Retired() override { worker_.retire(std::move(generation_)); }

 private:
  Worker& worker_;
  std::unique_ptr<proxy::Generation> generation_;
};

class Worker::GoneDoor final : public net::Deferred {
 public:
  GoneDoor(Worker& worker, std::unique_ptr<Door> door) : worker_(worker), door_(std::move(door)) {}
  ~GoneDoor() override {
    proxy::Generation& generation = door_->generation();
    door_.reset();
    worker_.unpin(generation);
    worker_.report_if_empty();
    worker_.end_if_done();
  }

 private:
  Worker& worker_;
  std::unique_ptr<Door> door_;
};

Worker::Worker(Process process, uint32_t index, uint64_t seed)
    : WorkerContext(own_loop, process.names, process.retry_budget, index, seed), process_(process) {
  auto exceeded = [](void* self) {
    auto& exceeding = *static_cast<Worker*>(self);
    exceeding.loop.schedule(exceeding.own_relief_);
  };
  loop.blocks().report_to(&process_.memory, exceeded, this);
}

Worker::~Worker() { loop.blocks().report_to(nullptr, nullptr, nullptr); }

void Worker::start() {
  // Signals are the main thread's.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] {
    const plugin::OwnThread own;
    loop.serve();
  });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread_.native_handle(), ("worker-" + std::to_string(worker)).c_str());
}

void Worker::join() {
  if (thread_.joinable()) thread_.join();
}

void Worker::prepare(std::shared_ptr<const proxy::Snapshot> snapshot, std::function<void(Prepared)> done) {
  loop.post([this, snapshot = std::move(snapshot), done = std::move(done)]() mutable {
    Prepared result = start_plugins(std::move(snapshot));
    process_.main.post([done = std::move(done), result] { done(result); });
  });
}

void Worker::abandon() {
  loop.post([this] {
    if (prepared_) stop_plugins(std::move(prepared_));
  });
}

void Worker::commit(WorkerPlan plan) {
  // std::function wants something that can be copied.
  auto shared = std::make_shared<WorkerPlan>(std::move(plan));
  loop.post([this, shared = std::move(shared)] { make_current(std::move(*shared)); });
}

void Worker::set_endpoints(const std::string& upstream, std::shared_ptr<const upstream::EndpointSet> set) {
  loop.post([this, upstream, set = std::move(set)]() mutable {
    if (auto it = clusters_.find(upstream); it != clusters_.end())
      it->second.cluster->set_endpoints(std::move(set));
  });
}

void Worker::make_room(const std::string& door, Limit limit, uint32_t asking,
                       std::shared_ptr<std::atomic<bool>> made) {
  loop.post([this, door, limit, asking, made = std::move(made)] {
    if (made->exchange(true)) return;
    auto it = doors_.find(door);
    if (it == doors_.end() || !it->second->make_room_elsewhere(limit, asking)) *made = false;
  });
}

void Worker::take_place(const std::string& door, std::shared_ptr<ListenerLoad> load) {
  loop.post([this, door, load = std::move(load)] {
    auto it = doors_.find(door);
    it == doors_.end() ? load->leave() : it->second->take_place(load);
  });
}

void Worker::relieve() {
  loop.post([this] { shed(Relief::own); });
}

void Worker::set_tls(const std::string& listener, const TlsServing& serving) {
  loop.post([this, listener, serving] {
    for (auto& [key, door] : doors_)
      if (door->info().name == listener) door->serve_tls(serving);
  });
}

void Worker::set_draining() {
  loop.post([this] { draining = true; });
}

void Worker::stop_accepting(uint32_t grace_ms, std::function<void()> empty) {
  loop.post([this, grace_ms, empty = std::move(empty)]() mutable {
    draining = true;
    empty_ = std::move(empty);
    close_doors(std::exchange(doors_, {}), grace_ms);
    for (auto& [name, use] : clusters_) use.cluster->close_idle();
    report_if_empty();
  });
}

void Worker::collect(std::function<void(std::shared_ptr<const WorkerShare>)> done) {
  loop.post([this, done = std::move(done)]() mutable {
    auto share = std::make_shared<WorkerShare>();
    share->requests.merge(metrics);
    share->lag_ms = loop.lag_ms();
    for (const auto& [name, use] : clusters_) {
      share->upstream_connections += use.cluster->open_connections();
      share->connects[name].merge(use.cluster->connects());
      share->use[name].merge(use.cluster->use());
    }
    share->tls = past_tls_;
    auto add = [&](const Door& door) {
      if (const auto* counters = door.tls_counters()) share->tls[door.info().name].merge(*counters);
    };
    for (const auto& [key, door] : doors_) add(*door);
    for (const auto& door : closed_doors_) add(*door);
    process_.main.post([done = std::move(done), share = std::move(share)] { done(share); });
  });
}

void Worker::stop(std::function<void()> ended) {
  loop.post([this, ended = std::move(ended)]() mutable {
    ended_ = std::move(ended);
    state_ = State::stopping;
    empty_ = nullptr;
    if (prepared_) stop_plugins(std::move(prepared_));
    close_doors(std::exchange(doors_, {}), 0);
    cut_connections();
    if (proxy::Generation* last = std::exchange(current_, nullptr)) unpin(*last);
    end_if_done();
  });
}

// --- the worker's thread from here on ---

Worker::Prepared Worker::start_plugins(std::shared_ptr<const proxy::Snapshot> snapshot) {
  auto generation = std::make_unique<proxy::Generation>();
  generation->snapshot = std::move(snapshot);
  const auto& filters = generation->snapshot->filters;
  for (const auto& filter : filters) {
    void* state = nullptr;
    if (!filter->worker_start(worker, loop, &state)) {
      stop_plugins(std::move(generation));
      return Prepared::refused;
    }
    generation->filter_states.push_back(state);
  }
  prepared_ = std::move(generation);
  return Prepared::ready;
}

// Also for a generation whose start broke off: stops those that have started.
void Worker::stop_plugins(std::unique_ptr<proxy::Generation> generation) {
  const auto& filters = generation->snapshot->filters;
  for (size_t i = generation->filter_states.size(); i-- > 0;)
    filters[i]->worker_stop(worker, generation->filter_states[i]);
  process_.main.post([snapshot = std::move(generation->snapshot)] {});
}

void Worker::make_current(WorkerPlan plan) {
  if (!prepared_ || state_ != State::serving) return;
  proxy::Generation& next = *generations_.emplace_back(std::move(prepared_));
  attach_clusters(next, plan);
  pin(next);
  proxy::Generation* last = std::exchange(current_, &next);
  open_doors(std::move(plan.doors), next);
  if (last) unpin(*last);
}

void Worker::attach_clusters(proxy::Generation& generation, const WorkerPlan& plan) {
  const auto& settings = generation.snapshot->clusters;
  for (size_t i = 0; i < settings.size(); ++i) {
    ClusterUse& use = clusters_[settings[i].name];
    if (use.cluster)
      use.cluster->set_settings(settings[i]);
    else
      use.cluster = std::make_unique<upstream::Cluster>(loop, worker, process_.workers, settings[i],
                                                        static_cast<upstream::DescriptorOwner*>(this));
    use.cluster->set_endpoints(plan.endpoints[i]);
    ++use.generations;
    generation.clusters.push_back(use.cluster.get());
  }
}

void Worker::open_doors(std::vector<DoorPlan> plans, proxy::Generation& generation) {
  auto leaving = std::exchange(doors_, {});
  std::vector<DoorPlan> added;
  for (DoorPlan& plan : plans) {
    auto known = leaving.find(plan.key);
    if (known == leaving.end()) {
      added.push_back(std::move(plan));
      continue;
    }
    std::unique_ptr<Door> door = std::move(known->second);
    leaving.erase(known);
    proxy::Generation& last = door->generation();
    pin(generation);
    if (door->tls_counters()) door->take_tls_counters(past_tls_[door->info().name]);
    door->renew(std::move(plan), generation);
    unpin(last);
    doors_.emplace(door->key(), std::move(door));
  }
  // The old ones first: a door that became TLS has its socket in common with one that leaves.
  close_doors(std::move(leaving), idle_grace_ms);
  for (DoorPlan& plan : added) {
    std::string key = plan.key;
    pin(generation);
    doors_.emplace(std::move(key),
                   std::make_unique<Door>(static_cast<DoorOwner&>(*this), std::move(plan), generation));
  }
}

void Worker::close_doors(Doors doors, uint32_t grace_ms) {
  // An empty one reports itself inside close() and leaves the list.
  for (auto& [key, door] : doors) closed_doors_.emplace_back(std::move(door))->close(grace_ms);
}

void Worker::cut_connections() {
  // A door whose last connection closes reports itself and leaves the list: walk over a copy.
  std::vector<Door*> doors;
  for (auto& door : closed_doors_) doors.push_back(door.get());
  for (Door* door : doors) door->cut();
}

// The largest first, until what this worker let go of is what the process is over its bound, and a little
// more. What the other workers hold only they can let go of.
void Worker::shed(Relief whose) {
  const MemoryBudget& memory = process_.memory;
  uint64_t now = loop.now_ms();
  if (!memory.exceeded()) return;
  if (now < next_relief_ms_) return look_again(next_relief_ms_ - now);
  int64_t limit = static_cast<int64_t>(memory.limit());
  int64_t excess = memory.used() - limit + limit / 16;
  // What is left of answers that are over is not looked for: from half of the limit on buffers are so small
  // that it cannot grow beyond that half.
  std::vector<std::pair<size_t, http::DownstreamConnection*>> large;
  auto look = [&](http::DownstreamConnection& connection) {
    if (size_t held = connection.held_bytes(); held >= worth_cutting) large.emplace_back(held, &connection);
  };
  for (auto& [key, door] : doors_) door->for_each_connection(look);
  for (auto& door : closed_doors_) door->for_each_connection(look);
  // It may be exceeded still when nothing more is taken that would bring us back here.
  uint64_t interval = large.empty() ? vain_relief_interval_ms : relief_interval_ms;
  next_relief_ms_ = now + interval;
  look_again(interval);
  std::ranges::sort(large, std::ranges::greater{}, &std::pair<size_t, http::DownstreamConnection*>::first);
  // Connections are deleted late: those further down the list are still there.
  for (auto& [held, connection] : large) {
    if (excess <= 0) return;
    connection->shed(Limit::buffered);
    excess -= static_cast<int64_t>(held);
  }
  if (excess > 0 && whose == Relief::everywhere) process_.main.post([this] { process_.relieve_all(); });
}

void Worker::look_again(uint64_t delay_ms) {
  if (!relief_timer_.running()) relief_timer_.start(delay_ms);
}

void Worker::room_wanted(Door& door, Limit limit) {
  if (process_.workers == 1) return;
  process_.main.post([this, key = door.key(), limit] { process_.make_room(key, limit, worker); });
}

void Worker::hand_over(Door& door, uint32_t to) {
  process_.main.post([this, key = door.key(), to, load = door.load()]() mutable {
    process_.hand_over(key, to, std::move(load));
  });
}

// Newcomers make room for themselves; this is for what was kept for backends and has run out. However many
// want one, the others are asked once a turn.
bool Worker::descriptor_wanted() {
  limit_reached(Limit::descriptors);
  for (auto& [key, door] : doors_)
    if (door->free_descriptor()) return true;
  if (std::exchange(others_asked_, loop.polls()) == loop.polls()) return false;
  for (auto& [key, door] : doors_) room_wanted(*door, Limit::descriptors);
  return false;
}

// Whoever can connect can cause these, so a flood of them is told in part.
void Worker::refused(Door& door, const net::Address& peer, std::string_view reason, std::string_view text) {
  uint64_t second = loop.now_ms() / 1000;
  if (std::exchange(refusals_.second, second) != second) refusals_.told = 0;
  if (refusals_.told == max_refusals_told) {
    ++refusals_.untold;
    return;
  }
  ++refusals_.told;
  uint32_t untold = std::exchange(refusals_.untold, 0);
  process_.main.post([name = door.info().name, peer = peer.to_string(), reason, text, untold] {
    say(fmt::format("listener {}: {}: {}: {}{}", name, peer, reason, text,
                    untold ? fmt::format(" ({} more like this were not told)", untold) : std::string()));
  });
}

void Worker::door_empty(Door& door) {
  auto it = std::ranges::find(closed_doors_, &door, &std::unique_ptr<Door>::get);
  if (it == closed_doors_.end()) return;
  if (door.tls_counters()) door.take_tls_counters(past_tls_[door.info().name]);
  loop.defer_delete(std::make_unique<GoneDoor>(*this, std::move(*it)));
  closed_doors_.erase(it);
}

http::StreamHandler& Worker::on_stream(http::Stream& stream, http::DownstreamConnection& connection) {
  Door& door = *static_cast<Door*>(connection.context);
  return proxy::make_exchange(*this, stream, door.generation(), door.info());
}

void Worker::on_closed(http::DownstreamConnection& connection) {
  static_cast<Door*>(connection.context)->left(connection);
}

void Worker::on_awaiting(http::DownstreamConnection& connection, http::Awaited what) {
  static_cast<Door*>(connection.context)->awaits(connection, what);
}

void Worker::on_http2(http::DownstreamConnection& connection, std::unique_ptr<net::Transport> transport,
                      std::string_view before, std::string_view read) {
  static_cast<Door*>(connection.context)->speaks_http2(connection, std::move(transport), before, read);
}

void Worker::generation_unused(proxy::Generation& generation) {
  auto it = std::ranges::find(generations_, &generation, &std::unique_ptr<proxy::Generation>::get);
  if (it == generations_.end()) return;
  ++retiring_;
  loop.defer_delete(std::make_unique<Retired>(*this, std::move(*it)));
  generations_.erase(it);
}

void Worker::retire(std::unique_ptr<proxy::Generation> generation) {
  release_clusters(*generation->snapshot);
  stop_plugins(std::move(generation));
  --retiring_;
  end_if_done();
}

void Worker::release_clusters(const proxy::Snapshot& snapshot) {
  for (const upstream::ClusterSettings& settings : snapshot.clusters) {
    auto it = clusters_.find(settings.name);
    if (it != clusters_.end() && --it->second.generations == 0) clusters_.erase(it);
  }
}

// A worker that lets nobody in tells when its last connection is gone.
void Worker::report_if_empty() {
  if (empty_ && doors_.empty() && closed_doors_.empty()) process_.main.post(std::exchange(empty_, nullptr));
}

void Worker::end_if_done() {
  bool done = doors_.empty() && closed_doors_.empty() && generations_.empty() && retiring_ == 0;
  if (state_ != State::stopping || !done) return;
  state_ = State::ended;
  // A turn later: what was deferred in this one still uses clusters and free lists.
  loop.post([this] {
    clusters_.clear();
    process_.main.post(std::move(ended_));  // after every snapshot that was handed back
    loop.stop();
  });
}

}  // namespace penstock::server
