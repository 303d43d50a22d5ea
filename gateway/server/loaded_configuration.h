// From the file's name to a snapshot, with everything that was found on the way: what run, reload, check and
// explain have in common. Main thread.
#pragma once
#include <memory>
#include <string>

#include "config/load.h"
#include "plugin/host.h"
#include "proxy/snapshot.h"
#include "server/exit_code.h"

namespace penstock::server {

struct LoadedConfiguration {
  std::shared_ptr<const config::Config> config;
  std::shared_ptr<proxy::Snapshot> snapshot;  // null: refused
  config::Diagnostics diagnostics;
  config::Sources sources;

  ExitCode exit_code() const;
};

// Names and the host of plugins: made with the first configuration, kept for the life of the process.
struct PluginEnvironment {
  std::string shipped_folder;
  net::Loop* main = nullptr;  // null: plugins are configured, but never started
  proxy::Names names;
  std::unique_ptr<plugin::Host> host;  // null until the first configuration was read: it needs its state_dir
};

// `workers`, or the processors that this process may use.
uint32_t worker_count(const config::Config& config);

LoadedConfiguration load_configuration(const std::string& path, PluginEnvironment& plugins);

// The folder of the shipped plugins: `plugins` beside the binary, else where they were installed.
std::string shipped_plugins_folder();

}  // namespace penstock::server
