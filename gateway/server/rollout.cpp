// Start and reload of the server: a configuration becomes a snapshot, its new sockets are bound, every worker
// starts its plugins, and only then all of them take it. Whatever fails on the way leaves what is there.
#include <fmt/format.h>
#include <sys/resource.h>

#include <random>

#include "config/render.h"
#include "server/build_snapshot.h"
#include "server/console.h"
#include "server/server.h"

namespace penstock::server {
namespace {

// Workers let go of a removed listener's socket when they have taken its queue, within milliseconds. One that
// is stuck keeps no reload waiting for longer.
constexpr uint64_t most_leaving_ms = 2'000;

void print(const LoadedConfiguration& loaded) {
  say_text(config::render(loaded.diagnostics, loaded.sources, config::Format::human));
}

std::vector<std::string> dns_servers(const config::Config& config) {
  std::vector<std::string> servers;
  for (const config::Address& server : config.dns.servers)
    servers.push_back(socket_address(server).to_string());
  return servers;
}

uint64_t seed() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

// The configured ones and those that plugins ask.
std::vector<config::Upstream> upstreams_of(const proxy::Snapshot& snapshot) {
  std::vector<config::Upstream> all = snapshot.config->upstreams;
  all.insert(all.end(), snapshot.asked.begin(), snapshot.asked.end());
  return all;
}

// A proxied connection is two descriptors.
void warn_of_descriptor_limit(const config::Config& config) {
  uint64_t wanted = 0;
  for (const config::Listener& listener : config.listeners)
    wanted += uint64_t{listener.limits.max_connections} * 2;
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= wanted) return;
  say(fmt::format(
      "warning: max_connections of all listeners need {} descriptors, the limit is {} (ulimit -n): lower "
      "one or raise the other",
      wanted, files.rlim_cur));
}

}  // namespace

ExitCode Server::start() {
  LoadedConfiguration loaded = load_configuration(configuration_path_, plugins_);
  print(loaded);
  if (!loaded.snapshot) {
    say("not started: the configuration was refused");
    return loaded.exit_code();
  }
  const config::Config& config = *loaded.config;
  workers_.resize(worker_count(config));
  rollout_.emplace();
  if (std::string problem = bind(loaded); !problem.empty()) {
    say(problem);
    return ExitCode::cannot_bind;
  }
  warn_of_descriptor_limit(config);
  resolver_ = std::make_unique<net::Resolver>(loop_, dns_servers(config));
  directory_ =
      std::make_unique<discovery::Directory>(discovery::Sources{loop_, *resolver_, endpoint_states_});
  health_checks_ =
      std::make_unique<upstream::HealthChecks>(loop_, seed(), [](const std::string& line) { say(line); });
  directory_->subscribe([this](const std::string& upstream, discovery::Directory::Set set) {
    if (committing_) return;
    health_checks_->set_endpoints(upstream, *set);
    plugins_.host->fetches().set_endpoints(upstream, set);
    for (auto& worker : workers_) worker->set_endpoints(upstream, set);
  });
  plugins_.host->fetches().serve(loop_);
  certificates_ =
      std::make_unique<Certificates>(loop_, [this](const std::string& listener, const TlsServing& serving) {
        for (auto& worker : workers_) worker->set_tls(listener, serving);
      });
  make_workers(config);
  hook_watch_ = std::make_unique<plugin::HookWatch>(loop_, *plugins_.host);
  rollout_->loaded = std::move(loaded);
  roll_out();
  return ExitCode::good;
}

void Server::make_workers(const config::Config&) {
  auto count = static_cast<uint32_t>(workers_.size());
  retry_budget_ = std::make_unique<proxy::RetryBudget>(count);
  for (uint32_t i = 0; i < count; ++i) {
    Worker::Process process{loop_,
                            plugins_.names,
                            *retry_budget_,
                            budget_,
                            count,
                            [this] { relieve(); },
                            [this](const std::string& door, Limit limit, uint32_t asking) {
                              auto made = std::make_shared<std::atomic<bool>>(false);
                              for (uint32_t other = 0; other < workers_.size(); ++other)
                                if (other != asking) workers_[other]->make_room(door, limit, asking, made);
                            },
                            [this](const std::string& door, uint32_t to, std::shared_ptr<ListenerLoad> load) {
                              workers_[to]->take_place(door, std::move(load));
                            },
                            [this] {
                              if (!sockets_leave()) reload_if_asked();
                            }};
    workers_[i] = std::make_unique<Worker>(process, i, seed());
    workers_[i]->start();
  }
}

void Server::reload() {
  if (state_ != State::serving) return;
  if (rollout_ || sockets_leave()) {
    reload_again_ = true;
    return;
  }
  LoadedConfiguration loaded = load_configuration(configuration_path_, plugins_);
  print(loaded);
  if (!loaded.snapshot) return refuse(config::summary(loaded.diagnostics));
  if (std::string fixed = fixed_at_start(*loaded.config); !fixed.empty()) return refuse(fixed);
  rollout_.emplace();
  if (std::string problem = bind(loaded); !problem.empty()) return refuse(problem);
  rollout_->loaded = std::move(loaded);
  roll_out();
}

// What a reload cannot change yet.
std::string Server::fixed_at_start(const config::Config& next) const {
  if (worker_count(next) != workers_.size())
    return fmt::format("workers: {} cannot become {} by a reload; restart for that", workers_.size(),
                       worker_count(next));
  if (dns_servers(next) != dns_servers(*snapshot_->config))
    return "discovery.dns cannot change by a reload; restart for that";
  return {};
}

// Empty, or what could not be bound.
std::string Server::bind(const LoadedConfiguration& loaded) {
  const config::Config& config = *loaded.config;
  auto sockets = bind_listeners(config.listeners, sockets_, static_cast<uint32_t>(workers_.size()));
  if (!sockets) return sockets.error();
  rollout_->sockets = std::move(*sockets);
  if (std::string problem = bind_local(status_settings(config), status_, status_pages_, rollout_->status);
      !problem.empty())
    return problem;
  if (std::string problem = bind_local(admin_settings(config), admin_, admin_pages_, rollout_->admin);
      !problem.empty())
    return problem;
  set_addresses(*loaded.snapshot,
                [&](size_t i) { return rollout_->sockets.at(socket_key(config.listeners[i])).address(); });
  return {};
}

// A service whose address stays is kept, so that nobody finds it closed for a moment.
std::string Server::bind_local(const std::optional<LocalSettings>& wanted,
                               const std::unique_ptr<LocalService>& there, LocalHandler& handler,
                               std::unique_ptr<LocalService>& out) {
  if (!wanted || (there && there->configured() == wanted->address)) return {};
  auto bound = LocalService::bind(loop_, handler, *wanted);
  if (!bound) return bound.error();
  out = std::move(*bound);
  return {};
}

void Server::take_local(const std::optional<LocalSettings>& wanted, std::unique_ptr<LocalService>& next,
                        std::unique_ptr<LocalService>& there) {
  if (next || !wanted) {
    there = std::move(next);
    if (there) there->start();
  } else {
    there->set_max_connections(wanted->max_connections);
  }
}

void Server::roll_out() {
  proxy::Snapshot& snapshot = *rollout_->loaded.snapshot;
  snapshot.generation = generation_ + 1;
  rollout_->waiting = workers_.size();
  for (auto& worker : workers_)
    worker->prepare(rollout_->loaded.snapshot, [this](Worker::Prepared result) { prepared(result); });
}

void Server::prepared(Worker::Prepared result) {
  if (result == Worker::Prepared::refused) rollout_->refused = true;
  if (--rollout_->waiting > 0) return;
  bool starting = state_ == State::starting;
  if (!rollout_->refused && (starting || state_ == State::serving)) return commit();
  for (auto& worker : workers_) worker->abandon();
  if (state_ == State::serving) return refuse("a plugin could not start on a worker");
  rollout_.reset();
  if (!starting) return;
  say("not started: a plugin could not start on a worker");
  exit_code_ = ExitCode::plugin_refused;
  end();
}

void Server::commit() {
  const config::Config& config = *rollout_->loaded.config;
  snapshot_ = rollout_->loaded.snapshot;
  generation_ = snapshot_->generation;
  SocketGroups before = std::exchange(sockets_, std::move(rollout_->sockets));
  // Connections count where they came in, whatever that listener is called today.
  std::erase_if(loads_, [](const auto& one) { return one.second.use_count() == 1; });
  for (size_t i = 0; i < config.listeners.size(); ++i) {
    auto& load = loads_[door_key(i)];
    if (!load) load = std::make_shared<ListenerLoad>();
  }
  budget_.set_limit(config.limits.buffered);
  hook_watch_->set_bound(static_cast<uint64_t>(config.limits.plugin_hook.count()));
  plugins_.host->limits().set_max_entries(config.limits.rate_limit_keys);
  plugins_.host->values().set_max_bytes(config.limits.plugin_store);
  // What is found inside goes to the workers with the settings that it is meant for, in their plans, and to
  // the checks below: never before, when the old ones apply.
  committing_ = true;
  directory_->apply(upstreams_of(*snapshot_));
  committing_ = false;
  health_checks_->set_most(config.limits.health_checks);
  plugins_.host->set_limits(config.limits);
  health_checks_->apply(snapshot_->clusters);
  for (const upstream::ClusterSettings& cluster : snapshot_->clusters)
    health_checks_->set_endpoints(cluster.name, *directory_->current(cluster.name));
  plugin::Fetches& fetches = plugins_.host->fetches();
  fetches.set_most(config.limits.plugin_fetches);
  fetches.apply(*snapshot_, [this](const std::string& name) { return directory_->current(name); });
  certificates_->apply(*snapshot_);
  for (uint32_t i = 0; i < workers_.size(); ++i) workers_[i]->commit(plan_for(i));
  take_local(status_settings(config), rollout_->status, status_);
  take_local(admin_settings(config), rollout_->admin, admin_);
  for (const auto& [key, group] : before)
    if (!sockets_.contains(key)) leaving_.insert(leaving_.end(), group.sockets.begin(), group.sockets.end());
  if (!leaving_.empty()) leaving_timer_.start(most_leaving_ms);
  bool first = state_ == State::starting;
  if (first) serving_since_ms_ = loop_.now_ms();
  state_ = State::serving;
  last_reload_good_ = true;
  rollout_.reset();
  for (const auto& filter : snapshot_->filters) filter->started();
  announce(before);
  say(fmt::format("{}: {} routes, {} workers, generation {}", first ? "ready" : "reloaded",
                  snapshot_->routes.size(), workers_.size(), generation_));
  before.clear();
  reload_if_asked();
}

// Until every worker has let go of them, or is too late.
bool Server::sockets_leave() {
  std::erase_if(leaving_, [](const auto& socket) { return socket.expired(); });
  if (leaving_.empty()) leaving_timer_.stop();
  return !leaving_.empty();
}

void Server::reload_if_asked() {
  if (!rollout_ && std::exchange(reload_again_, false)) reload();
}

// A worker is over the bound on memory and holds little of it itself.
void Server::relieve() {
  for (auto& worker : workers_) worker->relieve();
}

void Server::refuse(const std::string& why) {
  rollout_.reset();
  last_reload_good_ = false;
  say(fmt::format("reload refused: {}. The running configuration (generation {}) was not changed.", why,
                  generation_));
  reload_if_asked();
}

std::string Server::door_key(size_t listener) const {
  return socket_key(snapshot_->config->listeners[listener]) + " " + snapshot_->listeners[listener]->scheme;
}

WorkerPlan Server::plan_for(uint32_t worker) const {
  const auto& listeners = snapshot_->config->listeners;
  WorkerPlan plan;
  for (size_t i = 0; i < listeners.size(); ++i) {
    std::string key = socket_key(listeners[i]);
    const proxy::ListenerInfo& info = *snapshot_->listeners[i];
    std::string door = door_key(i);
    plan.doors.push_back(
        {door, sockets_.at(key).sockets[worker], loads_.at(door), certificates_->serving(info.name), &info});
  }
  for (const upstream::ClusterSettings& cluster : snapshot_->clusters)
    plan.endpoints.push_back(directory_->current(cluster.name));
  return plan;
}

// Where one can connect from now on. Scripts wait for the line after these: "penstock: ready" or "penstock:
// reloaded".
void Server::announce(const SocketGroups& before) const {
  const auto& listeners = snapshot_->config->listeners;
  for (size_t i = 0; i < listeners.size(); ++i) {
    if (before.contains(socket_key(listeners[i]))) continue;
    const proxy::ListenerInfo& info = *snapshot_->listeners[i];
    if (info.address.is_unix())
      say(fmt::format("listener {} on {}", info.name, address_text(listeners[i].address)));
    else
      say(fmt::format("listener {} on {}://{}", info.name, info.scheme, info.address.to_string()));
  }
  if (!before.empty()) return;
  if (admin_) say("admin on " + address_text(admin_->configured()));
  if (!status_) return;
  say("status on " + (status_->address().is_unix() ? address_text(status_->configured())
                                                   : "http://" + status_->address().to_string()));
}

}  // namespace penstock::server
