#include "server/loaded_configuration.h"

#include <sched.h>

#include <algorithm>
#include <filesystem>

#include "server/build_snapshot.h"

namespace penstock::server {

ExitCode LoadedConfiguration::exit_code() const {
  if (snapshot) return ExitCode::good;
  bool plugin = std::ranges::any_of(diagnostics.all(), [](const config::Diagnostic& diagnostic) {
    return diagnostic.code == refused_library;
  });
  return plugin ? ExitCode::plugin_refused : ExitCode::configuration_refused;
}

uint32_t worker_count(const config::Config& config) {
  if (config.workers) return config.workers;
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (::sched_getaffinity(0, sizeof cpus, &cpus) != 0) return 1;
  return static_cast<uint32_t>(CPU_COUNT(&cpus));
}

LoadedConfiguration load_configuration(const std::string& path, PluginEnvironment& plugins) {
  config::Loaded loaded = config::load(path);
  LoadedConfiguration result;
  result.sources = std::move(loaded.sources);
  result.diagnostics = std::move(loaded.diagnostics);
  result.config = std::make_shared<const config::Config>(std::move(loaded.config));
  if (!plugins.host)
    plugins.host = std::make_unique<plugin::Host>(
        plugins.names, plugin::HostSettings{.state_dir = result.config->state_dir,
                                            .workers = worker_count(*result.config),
                                            .main = plugins.main,
                                            .max_limit_keys = result.config->limits.rate_limit_keys,
                                            .max_value_bytes = result.config->limits.plugin_store});
  plugin::Host& host = *plugins.host;
  // Without a type set nothing can be said about plugins, and nothing is to be said twice.
  if (auto types = load_libraries(*result.config, host, plugins.shipped_folder, result.diagnostics))
    result.snapshot = build_snapshot(result.config, host, std::move(types), result.diagnostics);
  result.diagnostics.sort();
  return result;
}

std::string shipped_plugins_folder() {
  std::error_code error;
  auto binary = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) {
    // An installed tree may lie elsewhere than it was configured for.
    for (const char* folder : {"plugins", PENSTOCK_PLUGIN_FOLDER_FROM_BINARY}) {
      const auto found = (binary.parent_path() / folder).lexically_normal();
      if (std::filesystem::is_directory(found, error)) return found.string();
    }
  }
  return PENSTOCK_PLUGIN_FOLDER;
}

}  // namespace penstock::server
