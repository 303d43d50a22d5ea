// The command line: `penstock COMMAND [options]` as values. Pure; whoever calls it prints.
#pragma once
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "admin/explain.h"
#include "config/render.h"

namespace penstock::server {

enum class Command : uint8_t { run, check, explain, versions, version, help };
enum class Output : uint8_t { human, json };

struct Options {
  Command command = Command::help;
  std::string configuration;  // -c
  config::Format format = config::Format::human;
  config::Strictness strictness = config::Strictness::errors_only;
  Output output = Output::human;  // of explain and versions
  admin::Question question;       // of explain
};

// What is wrong with the command line, in one sentence.
std::expected<Options, std::string> parse_options(const std::vector<std::string>& arguments);

std::string_view usage();

}  // namespace penstock::server
