#include "server/options.h"

#include <doctest/doctest.h>

using namespace penstock::server;

TEST_CASE("options are taken apart, attached or not") {
  auto check = parse_options({"check", "--format=json", "-c", "a.yaml", "--strict"});
  REQUIRE(check);
  CHECK(check->command == Command::check);
  CHECK(check->configuration == "a.yaml");
  CHECK(check->format == penstock::config::Format::json);
  CHECK(check->strictness == penstock::config::Strictness::warnings_too);

  auto explain = parse_options({"explain", "-ca.yaml", "-XPUT", "-H", "x-a:  b c", "https://a/b", "-H",
                                "x-e:", "--client-ip", "203.0.113.9", "--as", "app", "--json"});
  REQUIRE(explain);
  CHECK(explain->configuration == "a.yaml");
  CHECK(explain->question.method == "PUT");
  CHECK(explain->question.url == "https://a/b");
  REQUIRE(explain->question.headers.size() == 2);
  CHECK(explain->question.headers[0].second == "b c");
  CHECK(explain->question.headers[1].second.empty());
  CHECK(explain->question.client_ip == "203.0.113.9");
  CHECK(explain->question.consumer == "app");
  CHECK(explain->output == Output::json);
}

TEST_CASE("help is help wherever it stands") {
  CHECK(parse_options({"--help"})->command == Command::help);
  CHECK(parse_options({"run", "-h"})->command == Command::help);
  CHECK(parse_options({"--version"})->command == Command::version);
}

TEST_CASE("an option of another command is unknown") {
  CHECK_FALSE(parse_options({"run", "-c", "x", "--strict"}));
  CHECK_FALSE(parse_options({"check", "-c", "x", "--as", "me"}));
  CHECK_FALSE(parse_options({"run", "-c", "x", "word"}));
  CHECK(parse_options({"run"}).error().find("-c FILE") != std::string::npos);
}
