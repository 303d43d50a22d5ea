#include "server/commands.h"

#include <fmt/format.h>

#include <cstdio>

#include "admin/plugin_report.h"
#include "plugin/crash_report.h"
#include "server/admin_client.h"
#include "server/build_snapshot.h"
#include "server/console.h"
#include "server/listen_sockets.h"
#include "server/plugin_commands.h"
#include "server/server.h"

namespace penstock::server {
namespace {

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

ExitCode check(const Options& options) {
  PluginEnvironment plugins{.shipped_folder = shipped_plugins_folder(), .names = {}, .host = nullptr};
  LoadedConfiguration loaded = load_configuration(options.configuration, plugins);
  print(config::render(loaded.diagnostics, loaded.sources, options.format));
  if (!loaded.snapshot) return loaded.exit_code();
  if (!config::acceptable(loaded.diagnostics, options.strictness)) return ExitCode::configuration_refused;
  if (options.format == config::Format::human)
    print(fmt::format("{}: good ({} routes, {} upstreams, {} plugin instances)\n", options.configuration,
                      loaded.snapshot->routes.size(), loaded.snapshot->clusters.size(),
                      loaded.snapshot->filters.size()));
  return ExitCode::good;
}

ExitCode explain(const Options& options) {
  PluginEnvironment plugins{.shipped_folder = shipped_plugins_folder(), .names = {}, .host = nullptr};
  LoadedConfiguration loaded = load_configuration(options.configuration, plugins);
  if (!loaded.snapshot) {
    say_text(config::render(loaded.diagnostics, loaded.sources, config::Format::human));
    return loaded.exit_code();
  }
  set_addresses(*loaded.snapshot,
                [&](size_t i) { return socket_address(loaded.config->listeners[i].address); });
  auto explained = admin::explain(loaded.snapshot, plugins.names, options.question);
  if (!explained) {
    say(explained.error());
    return ExitCode::usage;
  }
  print(options.output == Output::json ? admin::to_json(*explained) : admin::to_human(*explained));
  return explained->granted() ? ExitCode::good : ExitCode::configuration_refused;
}

// What the gateway that runs with this configuration counts.
ExitCode versions(const Options& options) {
  PluginEnvironment plugins{.shipped_folder = shipped_plugins_folder(), .names = {}, .host = nullptr};
  LoadedConfiguration loaded = load_configuration(options.configuration, plugins);
  if (!loaded.snapshot) {
    say_text(config::render(loaded.diagnostics, loaded.sources, config::Format::human));
    return loaded.exit_code();
  }
  if (!loaded.config->admin) {
    say("the configuration has no `admin: { address: unix:PATH }` to ask");
    return ExitCode::configuration_refused;
  }
  const auto answer = ask_admin(loaded.config->admin->address, "/v1/versions");
  if (!answer) {
    say(answer.error());
    return ExitCode::configuration_refused;
  }
  print(options.output == Output::json ? *answer : admin::versions_table(*answer));
  return ExitCode::good;
}

ExitCode version() {
  print(fmt::format("penstock {}\nbuilt with {}\n", PENSTOCK_VERSION, PENSTOCK_LIBRARIES));
  return ExitCode::good;
}

}  // namespace

ExitCode execute(const Options& options) {
  const plugin::OwnThread main_thread;
  plugin::report_crashes();
  switch (options.command) {
    case Command::run: return Server(options.configuration).run();
    case Command::check: return check(options);
    case Command::explain: return explain(options);
    case Command::plugin: return plugin_command(options);
    case Command::versions: return versions(options);
    case Command::version: return version();
    case Command::help: print(std::string(usage())); return ExitCode::good;
  }
  return ExitCode::usage;
}

}  // namespace penstock::server
