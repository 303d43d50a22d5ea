// The process: the main loop with everything that exists once. Owns sockets, names, plugins, providers, the
// current snapshot and the workers; takes signals; carries out start, reload (rollout.h) and drain. One
// instance, main thread; known by no one below.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "discovery/directory.h"
#include "net/loop.h"
#include "net/resolver.h"
#include "net/signals.h"
#include "net/timer.h"
#include "observe/prometheus.h"
#include "plugin/hook_watch.h"
#include "plugin/host.h"
#include "proxy/snapshot.h"
#include "server/admin_pages.h"
#include "server/certificates.h"
#include "server/exit_code.h"
#include "server/heap_trim.h"
#include "server/listen_sockets.h"
#include "server/loaded_configuration.h"
#include "server/status.h"
#include "server/worker.h"
#include "upstream/health/health_checks.h"

namespace penstock::server {

// A snapshot on its way to the workers: they start its plugins first, then all of them take it.
struct Rollout {
  LoadedConfiguration loaded;
  SocketGroups sockets;
  std::unique_ptr<LocalService> status, admin;  // when their addresses changed
  size_t waiting = 0;                           // workers that have not answered yet
  bool refused = false;
};

class Server final : private StatusSource, private AdminSource {
 public:
  explicit Server(std::string configuration_path);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  ExitCode run();

 private:
  enum class State : uint8_t { starting, serving, draining, closing, ending };
  enum class Urgency : uint8_t { patient, impatient };

  // start and reload (rollout.cpp)
  ExitCode start();
  void make_workers(const config::Config& config);
  void reload();
  std::string fixed_at_start(const config::Config& next) const;
  std::string bind(const LoadedConfiguration& loaded);
  std::string bind_local(const std::optional<LocalSettings>& wanted,
                         const std::unique_ptr<LocalService>& there, LocalHandler& handler,
                         std::unique_ptr<LocalService>& out);
  static void take_local(const std::optional<LocalSettings>& wanted, std::unique_ptr<LocalService>& next,
                         std::unique_ptr<LocalService>& there);
  void roll_out();
  void prepared(Worker::Prepared result);
  void relieve();
  void commit();
  void refuse(const std::string& why);
  bool sockets_leave();
  void reload_if_asked();
  WorkerPlan plan_for(uint32_t worker) const;
  void announce(const SocketGroups& before) const;

  // signals and the end
  void on_signal(int number);
  void drain(Urgency urgency);
  void on_drain_timer();
  void stop_accepting();
  void end();
  void worker_ended();

  // StatusSource (metrics.cpp)
  bool ready() override;
  void collect(std::function<void(std::string)> done) override;
  // AdminSource
  std::vector<admin::PluginFacts> plugin_facts() override;
  // Address and scheme: what a door and its load are kept by over reloads.
  std::string door_key(size_t listener) const;
  void write_loads(observe::PrometheusText& out, uint64_t (ListenerLoad::*number)() const) const;
  std::string render_metrics(const std::vector<std::shared_ptr<const WorkerShare>>& shares) const;

  std::string configuration_path_;
  MemoryBudget budget_;
  net::Loop loop_;
  HeapTrim heap_trim_{loop_, budget_};
  PluginEnvironment plugins_;
  std::unique_ptr<net::Resolver> resolver_;
  upstream::EndpointStates endpoint_states_;
  std::unique_ptr<upstream::HealthChecks> health_checks_;
  std::unique_ptr<discovery::Directory> directory_;
  bool committing_ = false;  // while the directory takes a new configuration
  std::unique_ptr<proxy::RetryBudget> retry_budget_;
  std::unique_ptr<Certificates> certificates_;
  SocketGroups sockets_;
  std::map<std::string, std::shared_ptr<ListenerLoad>> loads_;  // by address and scheme, like doors
  std::shared_ptr<const proxy::Snapshot> snapshot_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<plugin::HookWatch> hook_watch_;
  StatusPages status_pages_{*this};
  AdminPages admin_pages_{*this};
  std::unique_ptr<LocalService> status_, admin_;
  std::optional<net::Signals> signals_;
  std::optional<Rollout> rollout_;
  bool reload_again_ = false;  // asked for while a rollout was under way, or after it
  // Sockets of removed listeners, which workers may still hold: who adds such a listener again would find its
  // address taken.
  std::vector<std::weak_ptr<net::ListenSocket>> leaving_;
  net::Timer leaving_timer_;
  State state_ = State::starting;
  bool readiness_was_asked_ = false;
  bool backends_known_ = false;  // discovery has answered once
  uint64_t serving_since_ms_ = 0;
  bool last_reload_good_ = true;
  uint64_t generation_ = 0;
  size_t busy_ = 0;     // workers that still have connections, in State::closing
  size_t running_ = 0;  // workers that have not ended, in State::ending
  net::Timer drain_timer_;
  ExitCode exit_code_ = ExitCode::good;
};

}  // namespace penstock::server
