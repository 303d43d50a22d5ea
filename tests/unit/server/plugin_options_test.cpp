#include <doctest/doctest.h>

#include "server/options.h"

using namespace penstock::server;

TEST_CASE("the words behind plugin are taken apart") {
  const auto check = parse_options({"plugin", "check", "--timeout=1500ms", "a.so", "--json"});
  REQUIRE(check);
  CHECK(check->command == Command::plugin);
  CHECK(check->plugin.verb == PluginTask::Verb::check);
  CHECK(check->plugin.subject == "a.so");
  CHECK(check->plugin.patience.count() == 1500);
  CHECK(check->output == Output::json);
  CHECK(check->plugin.process == PluginTask::Process::first);

  const auto info = parse_options({"plugin", "info", "a.so", "--timeout", "1m"});
  REQUIRE(info);
  CHECK(info->plugin.verb == PluginTask::Verb::info);
  CHECK(info->plugin.patience.count() == 60'000);
  CHECK(parse_options({"plugin", "info", "a.so"})->plugin.patience.count() == 10'000);

  const auto make = parse_options({"plugin", "new", "mine", "--c"});
  REQUIRE(make);
  CHECK(make->plugin.verb == PluginTask::Verb::make);
  CHECK(make->plugin.language == PluginTask::Language::c);
  CHECK(parse_options({"plugin", "new", "mine"})->plugin.language == PluginTask::Language::cxx);
  CHECK(parse_options({"plugin", "check", "--help"})->command == Command::help);
}

TEST_CASE("words that make no sense behind plugin are answered in a sentence") {
  const std::pair<std::vector<std::string>, const char*> wrong[] = {
      {{}, "plugin info, plugin check or plugin new?"},
      {{"make", "x"}, "unknown command 'plugin make'"},
      {{"check"}, "which file?"},
      {{"new"}, "needs a name"},
      {{"check", "a.so", "b.so"}, "'b.so' is one word too many"},
      {{"check", "a.so", "--c"}, "unknown option '--c'"},
      {{"new", "x", "--json"}, "unknown option '--json'"},
      {{"new", "x", "--timeout", "1s"}, "unknown option '--timeout'"},
      {{"check", "a.so", "--timeouts=1s"}, "unknown option '--timeouts=1s'"},
      {{"check", "a.so", "--timeout"}, "needs a value"},
      {{"check", "a.so", "--timeout", "soon"}, "not 'soon'"},
      {{"check", "a.so", "--timeout=0s"}, "not '0s'"}};
  for (auto [words, part] : wrong) {
    words.insert(words.begin(), "plugin");
    const auto parsed = parse_options(words);
    CAPTURE(part);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().find(part) != std::string::npos);
  }
}
