#include <doctest/doctest.h>

#include "api_version/instant.h"
#include "api_version/version_number.h"
#include "plugins/harness.h"

using namespace penstock::plugin::testing;
using penstock::proxy::Action;

namespace {

int order(const char* a, const char* b) {
  return api_version::compare(*api_version::parse_version(a), *api_version::parse_version(b));
}

constexpr int64_t second = 1'000'000'000;

}  // namespace

TEST_CASE("version names compare number by number") {
  CHECK(order("v2", "2") == 0);
  CHECK(order("2.0", "v2") == 0);
  CHECK(order("v2.10", "v2.9") > 0);
  CHECK(order("1.9.9", "2") < 0);
  CHECK(order("v0", "0.0.0") == 0);
}

TEST_CASE("what is no number is no version number") {
  for (const char* text :
       {"", "v", "V2", "2.", ".2", "2..1", "2-beta", "latest", "4294967296", "1.2.3.4.5.6.7.8.9"}) {
    CAPTURE(text);
    CHECK_FALSE(api_version::parse_version(text));
  }
}

TEST_CASE("Accept names a version by parameter or by vendor subtype") {
  using api_version::version_in_accept;
  CHECK(version_in_accept("application/json; version=2") == "2");
  CHECK(version_in_accept("application/json;V=\"3\"") == "3");
  CHECK(version_in_accept("application/vnd.orders.v2+json") == "v2");
  CHECK(version_in_accept("application/vnd.orders.v2.1+json;q=0.5") == "v2.1");
  CHECK(version_in_accept("text/html, application/vnd.x.v4+json, a/b;v=5") == "v4");
  CHECK(version_in_accept("a/b;x=\"; v=9, c/d; v=8\"") == "");
  CHECK(version_in_accept("application/vnd.value+json") == "");
  CHECK(version_in_accept("*/*") == "");
  CHECK(version_in_accept("") == "");
}

TEST_CASE("dates are read in UTC and written as HTTP dates") {
  using namespace api_version;
  CHECK(parse_instant("2026-06-01") == 1780272000);
  CHECK(parse_instant("2035-12-01T10:00Z") == parse_instant("2035-12-01").value() + 36000);
  CHECK(parse_instant("2035-12-01T10:00:30Z") == parse_instant("2035-12-01").value() + 36030);
  CHECK(http_date(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT");
  for (const char* text :
       {"2026-02-30", "2026-6-1", "2026-06-01T10:00", "2026-06-01T25:00Z", "tomorrow", ""}) {
    CAPTURE(text);
    CHECK_FALSE(parse_instant(text));
  }
}

TEST_CASE("the first source present decides the version and with it the target") {
  World w;
  REQUIRE(w.load(shipped("api_version")) == "");
  auto* filter = w.make("version", "orders.version",
                        R"({"from": ["path.version", "header.x-api-version", "query.v", "accept"],
      "default": "v2", "versions": {"v1": {"upstream": "orders-v1"}, "v2": {"split": {"a": 90, "b": 10}}}})");
  REQUIRE_MESSAGE(filter != nullptr, w.messages());
  REQUIRE(w.target_nodes.size() == 2);

  SUBCASE("a header before the query") {
    Request r(w);
    CHECK(r.header("x-api-version", "1").query("v=2").run(*filter) == Action::next);
    CHECK(r.context.api_version == "v1");
    CHECK(r.context.target == w.snapshot.targets[0].get());
  }
  SUBCASE("an empty value is absent") {
    Request r(w);
    CHECK(r.header("x-api-version", "").query("v=1").run(*filter) == Action::next);
    CHECK(r.context.api_version == "v1");
  }
  SUBCASE("nothing present: the default") {
    Request r(w);
    CHECK(r.run(*filter) == Action::next);
    CHECK(r.context.api_version == "v2");
    CHECK(r.context.target == w.snapshot.targets[1].get());
  }
  SUBCASE("an unknown one decides all the same: 404 and the list") {
    Request r(w);
    CHECK(r.header("x-api-version", "9").query("v=1").run(*filter) == Action::respond);
    CHECK(r.context.local.status == 404);
    CHECK(r.context.local.reason == "version.unknown");
    CHECK(r.context.local.members == R"("versions":["v1","v2"])");
    CHECK(r.context.target == nullptr);
  }
  SUBCASE("explain gives the verdict of the live request") {
    Request r(w);
    CHECK(r.header("accept", "a/vnd.orders.v1+json").explain(*filter).verdict ==
          penstock::proxy::Explanation::Verdict::next);
    CHECK(r.context.api_version == "v1");
    Request unknown(w);
    CHECK(unknown.query("v=7").explain(*filter).verdict == penstock::proxy::Explanation::Verdict::answer);
    CHECK(unknown.context.local.status == 404);
  }
}

TEST_CASE("without a version and without a default the answer is 400 with the list") {
  World w;
  REQUIRE(w.load(shipped("api_version")) == "");
  auto* filter = w.make("version", "v", R"({"from": "query.v", "versions": {"v1": {}}})");
  REQUIRE_MESSAGE(filter != nullptr, w.messages());
  Request r(w);
  CHECK(r.run(*filter) == Action::respond);
  CHECK(r.context.local.status == 400);
  CHECK(r.context.local.reason == "version.missing");
}

TEST_CASE("nearest_lower takes the highest version that is not above") {
  World w;
  REQUIRE(w.load(shipped("api_version")) == "");
  auto* filter = w.make("version", "v", R"({"from": "query.v", "unknown": "nearest_lower",
      "versions": {"v1": {}, "v2.5": {}, "v2.1": {}, "v10": {}}})");
  REQUIRE_MESSAGE(filter != nullptr, w.messages());
  const auto chosen = [&](const char* query) {
    Request r(w);
    return r.query(query).run(*filter) == Action::next ? std::string(r.context.api_version)
                                                       : std::string("refused");
  };
  CHECK(chosen("v=2.4") == "v2.1");
  CHECK(chosen("v=9.9") == "v2.5");
  CHECK(chosen("v=99") == "v10");
  CHECK(chosen("v=0.9") == "refused");
  CHECK(chosen("v=latest") == "refused");
}

TEST_CASE("deprecation, sunset and links stand on answers, and on the 410") {
  World w;
  REQUIRE(w.load(shipped("api_version")) == "");
  auto* filter = w.make("version", "v", R"({"from": "query.v", "versions": {
      "v1": {"deprecated": "2026-06-01", "sunset": "2027-01-15T08:00Z", "link": "https://docs.example.com/v2",
             "successor": "https://api.example.com/v2",
             "brownouts": [{"from": "2027-01-15T07:00Z", "for": "15m"}]}}})");
  REQUIRE_MESSAGE(filter != nullptr, w.messages());
  const std::string fields =
      "deprecation: @1780272000\nsunset: Fri, 15 Jan 2027 08:00:00 GMT\n"
      "link: <https://docs.example.com/v2>; rel=\"deprecation\", "
      "<https://api.example.com/v2>; rel=\"successor-version\"\n";
  const auto at = [&](int64_t before_sunset_s) {
    auto r = std::make_unique<Request>(w);
    r->query("v=1");
    r->context.wall_ns -= before_sunset_s * second;
    return r;
  };
  auto before = at(7200);
  CHECK(before->run(*filter) == Action::next);
  CHECK(before->respond(*filter) == fields);
  auto brownout = at(3600 - 60);
  CHECK(brownout->run(*filter) == Action::respond);
  CHECK(brownout->context.local.status == 503);
  CHECK(brownout->context.local.reason == "version.brownout");
  REQUIRE(brownout->context.local.headers != nullptr);
  CHECK(brownout->context.local.headers->name == "retry-after");
  CHECK(brownout->context.local.headers->value == "840");
  auto between = at(1);
  CHECK(between->run(*filter) == Action::next);
  auto gone = at(0);
  CHECK(gone->run(*filter) == Action::respond);
  CHECK(gone->context.local.status == 410);
  CHECK(gone->context.local.reason == "version.gone");
  CHECK(gone->respond(*filter) == fields);
  Request untouched(w);
  CHECK(untouched.respond(*filter) == "");
}

TEST_CASE("versions that add no field to answers are not called for them") {
  using penstock::proxy::Filter;
  World w;
  REQUIRE(w.load(shipped("api_version")) == "");
  const auto called = [&](const char* json) {
    auto* filter = w.make("version", "v", json);
    REQUIRE_MESSAGE(filter != nullptr, w.messages());
    CHECK(filter->has(Filter::request_headers_hook));
    return filter->has(Filter::response_headers_hook);
  };
  CHECK_FALSE(called(R"({"from": "query.v", "versions": {"v1": {}, "v2": {}}})"));
  CHECK(called(R"({"from": "query.v", "versions": {"v1": {}, "v2": {"deprecated": "2026-06-01"}}})"));
  CHECK(called(R"({"from": "query.v", "versions": {"v1": {"sunset": "2035-06-01"}, "v2": {}}})"));
  CHECK(called(R"({"from": "query.v", "versions": {"v1": {"successor": "https://a/v2"}}})"));
}

TEST_CASE("a wrong version configuration is refused with the place") {
  World w;
  REQUIRE(w.load(shipped("api_version")) == "");
  const auto refused = [&](const char* json, const char* part) {
    CAPTURE(json);
    CHECK(w.make("version", "v", json) == nullptr);
    CHECK_MESSAGE(w.messages().find(part) != std::string::npos, w.messages());
  };
  refused(R"({"from": "query.v", "versions": {"v1": {}, "1.0": {}}})", "same version");
  refused(R"({"from": "query.v", "default": "v3", "versions": {"v1": {}}})",
          "'v3' is not one of the versions");
  refused(R"({"from": "body.v", "versions": {"v1": {}}})", "'body.v' is no source");
  refused(R"({"from": "query.v", "unknown": "nearest_lower", "versions": {"blue": {}}})",
          "nearest_lower needs");
  refused(R"({"from": "query.v", "unknown": "maybe", "versions": {"v1": {}}})",
          "not one of: reject, nearest_lower");
  refused(R"({"from": "query.v", "versions": {"v1": {"sunset": "soon"}}})", "'soon' is no date");
  refused(R"({"from": "query.v", "versions": {"v1": {"brownouts": [{"form": "x"}]}}})",
          "'form' is not known");
  refused(R"({"from": "query.v"})", "'versions' is missing");
  refused(R"({"from": "query.v", "version": {}, "versions": {"v1": {}}})",
          "'version' is not known under plugins.v");
}
