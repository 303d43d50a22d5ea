// What the daemon keeps for plugins, for the life of the process: interned names, the store of limits,
// metrics, tickets, event subscriptions, loaded libraries. Owned by the server and made before the first
// snapshot; outlives every snapshot. Loading, configuring and events: main thread. The stores are used by
// workers through the tables.
#pragma once
#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/limit.h"
#include "config/config.h"
#include "config/diagnostic.h"
#include "plugin/events.h"
#include "plugin/fetches.h"
#include "plugin/gcra_store.h"
#include "plugin/hook_counts.h"
#include "plugin/instances.h"
#include "plugin/kv_store.h"
#include "plugin/library.h"
#include "plugin/metrics.h"
#include "plugin/offload.h"
#include "plugin/tickets.h"
#include "proxy/attribute.h"
#include "proxy/filter.h"
#include "store/redis_store.h"

namespace penstock::plugin {

enum class LogLevel : uint8_t { debug, info, warning, error };

// Gives a `target` of a plugin's configuration its id. Implemented by whoever builds the snapshot.
class TargetSink {
 public:
  // The map that holds upstream:, split:, ... or a scalar that names an upstream. 0: it cannot be one, and
  // the diagnostic was given.
  virtual uint32_t add_target(const config::Node& node) = 0;
  // Whom a plugin asks over HTTP becomes a cluster of the snapshot; `path` is where the configuration says
  // so.
  struct Asked {
    uint32_t cluster;  // in Snapshot::clusters
    std::string name;  // of the cluster
  };
  virtual Asked add_asked(config::Upstream upstream, const std::string& path) = 0;

 protected:
  ~TargetSink() = default;
};

// The plugin types that one snapshot may use. Kept by the snapshot: it keeps the code loaded.
class TypeSet {
 public:
  struct Type {
    const gw_plugin* plugin;
    std::shared_ptr<Library> library;
  };
  // Empty, or why not: a type that another library registers already.
  std::string add(std::shared_ptr<Library> library);
  const Type* find(std::string_view type) const;  // null: no library registers it
  std::vector<std::string> names() const;
  const std::map<std::string, Type, std::less<>>& all() const { return types_; }

 private:
  std::map<std::string, Type, std::less<>> types_;
};

// What an instance tells operators.
struct InstanceStatus {
  std::string name, type;
  std::string text;  // one JSON object
};
// Of those that tell something. Main thread.
std::vector<InstanceStatus> statuses(const proxy::Snapshot& snapshot);

// One instance to make, as the configuration has it.
struct InstanceSpec {
  std::string name;
  std::string type;
  const config::Node& node;  // without type and on_error
  std::string path;          // "plugins.per-ip", for diagnostics
  config::Position at;
  std::string at_text;  // file:line:column
  proxy::OnError on_error = proxy::OnError::fail;
  config::Position type_at, on_error_at;
  const std::vector<std::string>& files;  // by Position::file; relative paths start from their folders
  // The instances of this configuration made so far; what their authenticators read is masked in logs.
  std::span<const std::unique_ptr<proxy::Filter>> configured = {};
  // The whole of it: whose consumers a plugin may ask for. Null: it has none.
  std::shared_ptr<const config::Config> configuration = {};
  bool type_secret = false;  // not to be printed
};

struct HostSettings {
  std::string state_dir;  // private copies of libraries; empty: in memory
  uint32_t workers = 1;   // that hooks run on, numbered from 0
  // Any thread. Absent: to standard error.
  std::function<void(LogLevel, std::string_view line)> log;
  LogLevel min_level = LogLevel::info;
  net::Loop* main = nullptr;  // of the main thread; null: check and explain, where nothing starts
  size_t max_limit_keys = size_t{1} << 20;
  size_t max_value_bytes = KvStore::default_bytes;
  // What gw.clock answers outside a request; absent: the system's.
  int64_t (*wall_ns)() = nullptr;
  int64_t (*monotonic_ns)() = nullptr;
};

class Host {
 public:
  Host(proxy::Names& names, HostSettings settings);
  ~Host();  // after every filter, library and loop of requests
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  // A library, or one sentence why not. The same bytes are loaded once.
  std::expected<std::shared_ptr<Library>, std::string> load(const std::string& path);
  // Runs the plugin's configure. Null: the diagnostics say why.
  std::unique_ptr<proxy::Filter> configure(const InstanceSpec& spec, const TypeSet& types,
                                           TargetSink& targets, config::Diagnostics& diagnostics);
  void notify(Event event) { events_.notify(event); }
  void set_limits(const config::ProcessLimits& limits);
  LimitCounts limit_counts() const;  // how often those were reached
  // What `store: redis` means to the instances that are configured from now on; nothing: there is none.
  void set_redis(std::optional<store::RedisSettings> settings) { redis_settings_ = std::move(settings); }
  // The one of those settings, which lives as long as somebody has it. Null: the configuration has none.
  std::shared_ptr<store::RedisStore> redis();
  // The one that instances have; null: none has.
  std::shared_ptr<store::RedisStore> current_redis() const { return redis_.lock(); }
  std::vector<MetricSample> metrics() const;  // sorted by name

  // That worker's thread, before its first hook: whose record is watched.
  void enroll(uint32_t worker);
  // Main thread, as long as the workers' threads live. By worker; null: none came.
  std::vector<const RunningCode*> running() const;
  HookCounts& hook_counts() { return hook_counts_; }

  // For the tables.
  proxy::Names& names() { return names_; }
  GcraStore& limits() { return limits_; }
  KvStore& values() { return values_; }
  Metrics& metric_store() { return metrics_; }
  Tickets& tickets() { return *tickets_; }
  Fetches& fetches() { return fetches_; }
  int64_t wall_ns() const { return wall_ns_(); }
  int64_t monotonic_ns() const { return monotonic_ns_(); }
  bool logs(LogLevel level) const { return level >= settings_.min_level; }
  void log(LogLevel level, const gw_instance* instance, std::string_view request_id,
           std::string_view message) const;
  Offload& offload() { return offload_; }
  Events& events() { return events_; }
  Instances& instances() { return instances_; }

 private:
  proxy::Names& names_;
  HostSettings settings_;
  int64_t (*wall_ns_)();
  int64_t (*monotonic_ns_)();
  GcraStore limits_;
  KvStore values_;
  Metrics metrics_;
  std::shared_ptr<Tickets> tickets_;
  Offload offload_;
  Events events_;
  Fetches fetches_;
  std::map<std::string, std::weak_ptr<Library>> loaded_;  // by content hash
  bool swept_ = false;                                    // the folder of private copies
  HookCounts hook_counts_;
  mutable std::mutex running_mutex_;  // never taken by a hook
  std::vector<const RunningCode*> running_;
  std::optional<store::RedisSettings> redis_settings_;
  std::weak_ptr<store::RedisStore> redis_;  // the newest
  Instances instances_;                     // last: what is left of them ends first
};

}  // namespace penstock::plugin
