// The words behind `penstock plugin`.
#include <array>
#include <optional>

#include "config/parse_values.h"
#include "server/options.h"

namespace penstock::server {
namespace {

using Verb = PluginTask::Verb;

constexpr std::array verbs{std::pair{std::string_view("info"), Verb::info},
                           std::pair{std::string_view("check"), Verb::check},
                           std::pair{std::string_view("new"), Verb::make}};

bool take_flag(Options& options, std::string_view word) {
  PluginTask& task = options.plugin;
  const bool make = task.verb == Verb::make;
  if (make && word == "--c") {
    task.language = PluginTask::Language::c;
  } else if (!make && word == "--json") {
    options.output = Output::json;
  } else if (!make && word == "--in-child") {  // how we call ourselves; not for people
    task.process = PluginTask::Process::child;
  } else {
    return false;
  }
  return true;
}

// Empty, or what is wrong.
std::string take_timeout(PluginTask& task, std::string_view text) {
  const auto value = config::parse_duration(text);
  if (!value || *value <= std::remove_cvref_t<decltype(*value)>::zero())
    return "--timeout takes a duration such as 10s, not '" + std::string(text) + "'";
  task.patience = std::chrono::duration_cast<std::chrono::milliseconds>(*value);
  return {};
}

// Empty, or what is wrong. Takes one word, or two.
std::string take_words(Options& options, std::span<const std::string>& words) {
  constexpr std::string_view timeout = "--timeout";
  PluginTask& task = options.plugin;
  const std::string word = words.front();
  words = words.subspan(1);
  if (!word.starts_with('-')) {
    if (!task.subject.empty()) return "'" + word + "' is one word too many";
    task.subject = word;
    return {};
  }
  if (take_flag(options, word)) return {};
  if (task.verb == Verb::make || !word.starts_with(timeout)) return "unknown option '" + word + "'";
  if (word.size() > timeout.size()) {
    if (word[timeout.size()] != '=') return "unknown option '" + word + "'";
    return take_timeout(task, std::string_view(word).substr(timeout.size() + 1));
  }
  if (words.empty()) return "'--timeout' needs a value";
  const std::string& value = words.front();
  words = words.subspan(1);
  return take_timeout(task, value);
}

}  // namespace

std::expected<Options, std::string> parse_plugin_options(std::span<const std::string> words) {
  Options options;
  if (words.empty()) return std::unexpected("plugin info, plugin check or plugin new?");
  for (const std::string& word : words)
    if (word == "-h" || word == "--help") return options;
  std::optional<Verb> verb;
  for (const auto& [name, value] : verbs)
    if (name == words.front()) verb = value;
  if (!verb) return std::unexpected("unknown command 'plugin " + words.front() + "'");
  options.command = Command::plugin;
  options.plugin.verb = *verb;
  words = words.subspan(1);
  while (!words.empty())
    if (std::string wrong = take_words(options, words); !wrong.empty()) return std::unexpected(wrong);
  if (options.plugin.subject.empty()) {
    return std::unexpected(*verb == Verb::make ? "plugin new needs a name, such as my_plugin"
                                               : "which file? plugin info and plugin check need a .so");
  }
  return options;
}

}  // namespace penstock::server
