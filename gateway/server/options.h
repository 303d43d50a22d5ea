// The command line: `penstock COMMAND [options]` as values. Pure; whoever calls it prints.
#pragma once
#include <chrono>
#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "admin/explain.h"
#include "config/render.h"

namespace penstock::server {

enum class Command : uint8_t { run, check, explain, plugin, versions, version, help };
enum class Output : uint8_t { human, json };

// `penstock plugin ...`
struct PluginTask {
  enum class Verb : uint8_t { info, check, make } verb = Verb::info;
  std::string subject;  // a file, or the name of a new plugin
  enum class Language : uint8_t { c, cxx } language = Language::cxx;
  std::chrono::milliseconds patience{10'000};  // what a step of the plugin's code may take
  // A plugin's code runs in a process of its own, which is this program once more.
  enum class Process : uint8_t { first, child } process = Process::first;
};

struct Options {
  Command command = Command::help;
  std::string configuration;  // -c
  config::Format format = config::Format::human;
  config::Strictness strictness = config::Strictness::errors_only;
  Output output = Output::human;  // of explain, plugin and versions
  admin::Question question;       // of explain
  PluginTask plugin;
};

// What is wrong with the command line, in one sentence.
std::expected<Options, std::string> parse_options(const std::vector<std::string>& arguments);
// The words behind `plugin`.
std::expected<Options, std::string> parse_plugin_options(std::span<const std::string> words);

std::string_view usage();

}  // namespace penstock::server
