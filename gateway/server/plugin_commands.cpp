#include "server/plugin_commands.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "admin/plugin_text.h"
#include "plugin/inspect.h"
#include "server/console.h"
#include "server/new_plugin.h"
#include "server/plugin_child.h"

namespace penstock::server {
namespace {

using plugin::Inspection;

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

std::string text_of(const Inspection& found, const Options& options) {
  if (options.output == Output::json) return admin::to_json(found);
  return options.plugin.verb == PluginTask::Verb::info ? admin::info_text(found) : admin::check_text(found);
}

// `info` is about what there is, so that only a plugin that cannot be loaded is refused by it.
ExitCode verdict_of(const Inspection& found, const Options& options) {
  const bool good = options.plugin.verb == PluginTask::Verb::info ? !found.types.empty() : found.good();
  return good ? ExitCode::good : ExitCode::plugin_refused;
}

// Whatever the plugin's code prints goes to standard error; what we say keeps the pipe to ourselves.
int take_standard_output() {
  const int report = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  ::dup2(STDERR_FILENO, STDOUT_FILENO);
  return report;
}

void tell(int report, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(report, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) ::_exit(1);  // nobody listens any more
    text.remove_prefix(static_cast<size_t>(n));
  }
}

// The child: does it, and says what it is about to do, so that the parent knows where it ended.
ExitCode inspect_here(const Options& options) {
  const int report = take_standard_output();
  // A sanitizer's handlers would turn a crash into an ordinary exit.
  for (const int crash : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT}) ::signal(crash, SIG_DFL);
  const Inspection found = plugin::inspect(options.plugin.subject, [report](std::string_view step) {
    tell(report, fmt::format("{}{}\n", child_step, step));
  });
  tell(report, fmt::format("{}\n{}", child_report, text_of(found, options)));
  return verdict_of(found, options);
}

ExitCode inspect_in_child(const Options& options) {
  std::vector<std::string> words{"penstock", "plugin",
                                 options.plugin.verb == PluginTask::Verb::info ? "info" : "check",
                                 "--in-child", options.plugin.subject};
  if (options.output == Output::json) words.emplace_back("--json");
  const ChildReport said = run_child(words, options.plugin.patience);
  if (said.problem.empty()) {
    print(said.text);
    return static_cast<ExitCode>(said.exit_code);
  }
  Inspection found;
  found.path = options.plugin.subject;
  found.problems.push_back(said.problem);
  print(text_of(found, options));
  return ExitCode::plugin_refused;
}

ExitCode make(const PluginTask& task) {
  const auto made = new_plugin(task.subject, task.language);
  if (!made) {
    say(made.error());
    return ExitCode::usage;
  }
  print(*made);
  return ExitCode::good;
}

}  // namespace

ExitCode plugin_command(const Options& options) {
  if (options.plugin.verb == PluginTask::Verb::make) return make(options.plugin);
  if (options.plugin.process == PluginTask::Process::child) return inspect_here(options);
  return inspect_in_child(options);
}

}  // namespace penstock::server
