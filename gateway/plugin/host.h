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
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "config/diagnostic.h"
#include "plugin/fetches.h"
#include "plugin/gcra_store.h"
#include "plugin/library.h"
#include "plugin/metrics.h"
#include "plugin/tickets.h"
#include "proxy/attribute.h"
#include "proxy/filter.h"

namespace penstock::plugin {

enum class LogLevel : uint8_t { debug, info, warning, error };
enum class Event : uint8_t {
  reopen_logs = GW_EVENT_REOPEN_LOGS,
  drain = GW_EVENT_DRAIN,
  start = GW_EVENT_START,
  tick = GW_EVENT_TICK
};

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
  bool type_secret = false;  // not to be printed
};

struct HostSettings {
  std::string state_dir;  // private copies of libraries; empty: in memory
  // Any thread. Absent: to standard error.
  std::function<void(LogLevel, std::string_view line)> log;
  LogLevel min_level = LogLevel::info;
  size_t max_limit_keys = size_t{1} << 20;
  // What gw.clock answers outside a request; absent: the system's.
  int64_t (*wall_ns)() = nullptr;
  int64_t (*monotonic_ns)() = nullptr;
};

class Host {
 public:
  Host(proxy::Names& names, HostSettings settings);
  ~Host();  // after every filter and library
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  // A library, or one sentence why not. The same bytes are loaded once.
  std::expected<std::shared_ptr<Library>, std::string> load(const std::string& path);
  // Runs the plugin's configure. Null: the diagnostics say why.
  std::unique_ptr<proxy::Filter> configure(const InstanceSpec& spec, const TypeSet& types,
                                           TargetSink& targets, config::Diagnostics& diagnostics);
  void notify(Event event);
  // A configuration was taken: START for those instances that have not had it.
  void start_instances();
  std::vector<MetricSample> metrics() const { return metrics_.collect(); }

  // For the tables.
  proxy::Names& names() { return names_; }
  GcraStore& limits() { return limits_; }
  Metrics& metric_store() { return metrics_; }
  Tickets& tickets() { return *tickets_; }
  Fetches& fetches() { return fetches_; }
  int64_t wall_ns() const { return wall_ns_(); }
  int64_t monotonic_ns() const { return monotonic_ns_(); }
  bool logs(LogLevel level) const { return level >= settings_.min_level; }
  void log(LogLevel level, const gw_instance* instance, std::string_view request_id,
           std::string_view message) const;
  struct Subscription {
    const gw_instance* instance;
    uint32_t mask;
    void (*fn)(void* user, uint32_t event);
    void* user;
    bool started = false;
  };
  void subscribe(Subscription subscription) { subscriptions_.push_back(subscription); }
  void unsubscribe(const gw_instance& instance);

 private:
  proxy::Names& names_;
  HostSettings settings_;
  int64_t (*wall_ns_)();
  int64_t (*monotonic_ns_)();
  GcraStore limits_;
  Metrics metrics_;
  std::shared_ptr<Tickets> tickets_;
  Fetches fetches_;
  std::vector<Subscription> subscriptions_;
  std::map<std::string, std::weak_ptr<Library>> loaded_;  // by content hash
};

}  // namespace penstock::plugin
