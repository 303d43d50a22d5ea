// What the backend gets to see of a request: prepare_request_head() over a request made by hand.
#include <doctest/doctest.h>

#include "config/parse_values.h"
#include "proxy/exchange_state.h"
#include "unit/proxy/request_fixture.h"

using namespace penstock;
using namespace penstock::proxy;

namespace {

struct Forwarded : proxy::testing::Request {
  explicit Forwarded(std::string_view target) : Request("GET", "api.example.com", target) {
    route.config = &config;
    route.dropped_headers = {"x-token"};
    route.dropped_query = {"api_key", "t"};
    route.dropped_cookies = {"key"};
    context.route = &route;
    listener.name = "http";
    listener.scheme = "http";
  }
  Forwarded& with(std::string_view name, std::string_view value) {
    header(name, value);
    return *this;
  }
  void forward() { prepare_request_head(context, listener); }
  // "?a=1", "?" or nothing, as the backend gets it.
  std::string query() {
    forward();
    return head.has_query ? "?" + std::string(head.query) : "";
  }
  // Of all fields, with '|' between them.
  std::string cookies() {
    forward();
    std::string out;
    for (const http::Field& field : head.headers.fields())
      if (field.name == "cookie") out += (out.empty() ? "" : "|") + std::string(field.value);
    return out;
  }
  config::Route config;
  Route route;
  ListenerInfo listener;
};

}  // namespace

TEST_CASE("query parameters that carry credentials are not forwarded, the others byte for byte") {
  const std::pair<const char*, const char*> cases[] = {
      {"/", ""},
      {"/?", "?"},
      {"/?a=1&&b=%zz&", "?a=1&&b=%zz&"},
      {"/?api_key=secret", ""},
      {"/?api_key", ""},
      {"/?api_key=a=b&x=1", "?x=1"},
      {"/?x=1&api_key=secret", "?x=1"},
      {"/?x=1&api_key=secret&y=%41+b", "?x=1&y=%41+b"},
      {"/?api%5Fkey=secret&%61pi_key=other&x", "?x"},
      {"/?t=1&api_key=2&t=3&&x", "?&x"},
      {"/?api_keys=1&xapi_key=2&API_KEY=3", "?api_keys=1&xapi_key=2&API_KEY=3"},
      {"/?x=api_key=1", "?x=api_key=1"}};
  for (const auto& [sent, forwarded] : cases) {
    CAPTURE(sent);
    CHECK(Forwarded(sent).query() == forwarded);
  }
  Forwarded keeps("/?api_key=secret");
  keeps.route.dropped_query.clear();  // forward_credentials
  CHECK(keeps.query() == "?api_key=secret");
}

TEST_CASE("cookies that carry credentials are not forwarded, whichever field they stand in") {
  const auto cookies = [](std::initializer_list<const char*> fields) {
    Forwarded r("/");
    for (const char* field : fields) r.header("cookie", field);
    return r.cookies();
  };
  CHECK(cookies({"key=secret"}) == "");
  CHECK(cookies({"a=b; key=secret; c=d"}) == "a=b; c=d");
  CHECK(cookies({"key=secret;a=b"}) == "a=b");
  CHECK(cookies({"a=b;\tkey =secret"}) == "a=b");
  CHECK(cookies({"key=1; a=b", "key=2", "c=d; key"}) == "a=b; c=d");
  CHECK(cookies({"keys=1; Key=2; a=key=3"}) == "keys=1; Key=2; a=key=3");
  Forwarded keeps("/");
  keeps.route.dropped_cookies.clear();
  CHECK(keeps.with("cookie", "key=secret").cookies() == "key=secret");
  Forwarded none("/");
  none.with("cookie", "key=secret").forward();
  CHECK(none.head.headers.find("cookie") == nullptr);
}

TEST_CASE("a dropped credential is in no template either, and only the log still learns what was sent") {
  Forwarded r("/?api_key=secret&x=1");
  r.route.request_edits.set.emplace_back(
      "x-query",
      TextTemplate(*config::parse_template("{query.x}/{query.api_key}/{header.x-token}"), r.names));
  r.with("x-token", "secret").forward();
  CHECK(r.head.headers.find("x-token") == nullptr);
  REQUIRE(r.head.headers.find("x-query") != nullptr);
  CHECK(r.head.headers.find("x-query")->value == "1//");
  CHECK(r.context.attribute(*Attribute::parse("request.query")) == "x=1");
  r.context.phase = Phase::complete;
  CHECK(r.context.attribute(*Attribute::parse("request.query")) == "api_key=secret&x=1");
}

TEST_CASE("many credentials cost no more memory than one long one") {
  std::string target = "/?";
  while (target.size() < 60'000) target += "t=1&x&";
  Forwarded r(target);
  const size_t before = r.arena.bytes_held();
  CHECK(r.query().size() < target.size() / 2);
  CHECK(r.arena.bytes_held() - before < 4 * target.size());
}

TEST_CASE("a value that a client gave a control byte makes no header field of its own") {
  Forwarded r("/?q=a%0d%0ax-admin:%201&del=%7f&ok=a%20b");
  for (const char* name : {"q", "del", "ok"})
    r.route.identity_headers.push_back(
        {std::string("x-") + name, *Attribute::parse(std::string("query.") + name)});
  r.route.request_edits.set.emplace_back(
      "x-mixed", TextTemplate(*config::parse_template("<{query.q}{query.ok}>"), r.names));
  r.route.request_edits.add.emplace_back("x-alone",
                                         TextTemplate(*config::parse_template("{query.q}"), r.names));
  r.with("x-q", "forged").forward();
  CHECK(r.head.headers.find("x-q") == nullptr);
  CHECK(r.head.headers.find("x-del") == nullptr);
  CHECK(r.head.headers.find("x-alone") == nullptr);
  REQUIRE(r.head.headers.find("x-ok") != nullptr);
  CHECK(r.head.headers.find("x-ok")->value == "a b");
  REQUIRE(r.head.headers.find("x-mixed") != nullptr);
  CHECK(r.head.headers.find("x-mixed")->value == "<a b>");
}
