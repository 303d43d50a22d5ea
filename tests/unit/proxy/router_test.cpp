#include "proxy/router.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "config/patterns.h"
#include "proxy/path_match.h"
#include "unit/proxy/request_fixture.h"

using namespace penstock;
using proxy::testing::Request;

namespace {

// Routes written in a line each; owns what a Router borrows.
struct Routes {
  std::vector<std::unique_ptr<config::Route>> configs;
  std::vector<std::unique_ptr<proxy::Route>> routes;
  std::vector<std::string> listeners{"first", "second"};
  std::unique_ptr<proxy::Router> router;

  config::Route& add(std::string name) {
    auto& config = configs.emplace_back(std::make_unique<config::Route>());
    config->name = std::move(name);
    return *config;
  }
  Routes& exact(std::string name, std::string path, std::string host = {}) {
    return with(std::move(name), *config::parse_path_pattern(path), host);
  }
  Routes& prefix(std::string name, std::string path, std::string host = {}) {
    return with(std::move(name), *config::parse_prefix_pattern(path), host);
  }
  Routes& regex(std::string name, std::string path, std::string host = {}) {
    return with(std::move(name), *config::parse_regex_pattern(path), host);
  }
  Routes& methods(std::vector<std::string> list) {
    configs.back()->match.methods = std::move(list);
    return *this;
  }
  Routes& header(std::string name, std::string value) {
    configs.back()->match.headers.push_back({config::ValueCondition::Kind::exact, name, value, {}});
    return *this;
  }
  Routes& query(std::string name, std::string value) {
    configs.back()->match.query.push_back({config::ValueCondition::Kind::exact, name, value, {}});
    return *this;
  }
  Routes& with(std::string name, config::PathPattern pattern, const std::string& host) {
    config::Route& config = add(std::move(name));
    config.match.paths = {std::move(pattern)};
    if (!host.empty()) config.match.hosts = {*config::parse_host_pattern(host)};
    return *this;
  }
  void build() {
    routes.clear();
    for (auto& config : configs) {
      auto& route = routes.emplace_back(std::make_unique<proxy::Route>());
      route->name = config->name;
      route->index = static_cast<uint32_t>(routes.size() - 1);
      route->config = config.get();
    }
    router = std::make_unique<proxy::Router>(routes, listeners);
  }
  std::string find(Request& request, uint32_t listener = 0) {
    if (!router) build();
    auto found = router->find(request.context, listener);
    if (found.route) return found.route->name;
    return found.allow.empty() ? "404" : "405 " + std::string(found.allow);
  }
  std::string find(std::string_view method, std::string_view host, std::string_view target) {
    Request request(method, host, target);
    return find(request);
  }
};

Routes sample() {
  Routes r;
  r.prefix("everything", "/")
      .exact("users", "/users")
      .exact("user", "/users/{id}")
      .exact("me", "/users/me")
      .prefix("orders", "/{version}/orders")
      .prefix("any-orders", "/{tenant}/orders")
      .prefix("orders-archive", "/{version}/orders/archive")
      .regex("export", "/export/[0-9]{4}\\.csv")
      .prefix("exports", "/export")
      .prefix("docs", "/", "docs.example.com")
      .prefix("docs-wild", "/", "*.docs.example.com")
      .prefix("example-wild", "/", "*.example.com")
      .exact("put-user", "/users/{id}")
      .methods({"PUT"})
      .exact("tenant-user", "/users/{id}")
      .header("x-tenant", "a");
  return r;
}

}  // namespace

TEST_CASE("the more specific host wins, then the more specific path, then more conditions") {
  Routes r = sample();
  CHECK(r.find("GET", "x", "/") == "everything");
  CHECK(r.find("GET", "x", "/users") == "users");
  CHECK(r.find("GET", "x", "/users/") == "everything");
  CHECK(r.find("GET", "x", "/users/me") == "me");
  CHECK(r.find("GET", "x", "/users/17") == "user");
  CHECK(r.find("PUT", "x", "/users/17") == "put-user");
  CHECK(r.find("GET", "x", "/users/17/") == "everything");
  CHECK(r.find("GET", "x", "/v2/orders/7") == "orders");
  CHECK(r.find("GET", "x", "/v2.1/orders") == "orders");
  CHECK(r.find("GET", "x", "/2/orders") == "orders");
  CHECK(r.find("GET", "x", "/vx/orders") == "any-orders");
  CHECK(r.find("GET", "x", "/v2/ordersx") == "everything");
  CHECK(r.find("GET", "x", "/v2/orders/archive/1") == "orders-archive");
  CHECK(r.find("GET", "x", "/export/2024.csv") == "export");
  CHECK(r.find("GET", "x", "/export/2024.csv.bak") == "exports");
  CHECK(r.find("GET", "docs.example.com", "/users") == "docs");
  CHECK(r.find("GET", "docs.example.com:8443", "/users") == "docs");
  CHECK(r.find("GET", "docs.example.com.", "/users") == "docs");
  CHECK(r.find("GET", "a.docs.example.com", "/users") == "docs-wild");
  CHECK(r.find("GET", "a.b.docs.example.com", "/users") == "docs-wild");
  CHECK(r.find("GET", "a.example.com", "/users") == "example-wild");
  CHECK(r.find("GET", "example.com", "/users") == "users");
  Request tenant("GET", "x", "/users/17");
  tenant.header("x-tenant", "b").header("x-tenant", "a");
  CHECK(r.find(tenant) == "tenant-user");
}

TEST_CASE("parameters and the matched prefix come from the winning pattern") {
  Routes r = sample();
  Request user("GET", "x", "/users/a%20b");
  REQUIRE(r.find(user) == "user");
  REQUIRE(user.context.parameters.size() == 1);
  CHECK(user.context.parameters[0].name == "id");
  CHECK(user.context.parameters[0].value == "a%20b");
  Request order("GET", "x", "/v2/orders/7");
  REQUIRE(r.find(order) == "orders");
  CHECK(order.context.path.substr(order.context.matched_prefix) == "/7");
  CHECK(order.context.attribute(*proxy::Attribute::parse("path.version")) == "v2");
}

TEST_CASE("a route whose method does not match lets a less specific one answer; 405 lists the union") {
  Routes r;
  r.exact("read", "/a").methods({"GET"}).exact("write", "/a").methods({"PUT", "DELETE"});
  CHECK(r.find("GET", "x", "/a") == "read");
  CHECK(r.find("HEAD", "x", "/a") == "read");
  CHECK(r.find("DELETE", "x", "/a") == "write");
  CHECK(r.find("POST", "x", "/a") == "405 GET, HEAD, PUT, DELETE");
  CHECK(r.find("POST", "x", "/b") == "404");
  r.router.reset();
  r.prefix("catch-all", "/");
  CHECK(r.find("POST", "x", "/a") == "catch-all");
}

TEST_CASE("conditions on query and headers, and routes bound to a listener") {
  Routes r;
  r.prefix("plain", "/").prefix("full", "/").query("full", "a b");
  r.configs.back()->match.headers.push_back({config::ValueCondition::Kind::absent, "x-no", "", {}});
  r.configs.back()->match.headers.push_back({config::ValueCondition::Kind::regex, "x-n", "[0-9]+", {}});
  r.prefix("second-only", "/only");
  r.configs.back()->listeners.push_back({"second", {}});
  Request full("GET", "x", "/?full=a%20b");
  full.header("x-n", "12");
  CHECK(r.find(full) == "full");
  Request partly("GET", "x", "/?full=a%20b");
  partly.header("x-n", "12a");
  CHECK(r.find(partly) == "plain");
  Request with_no("GET", "x", "/?full=a%20b");
  with_no.header("x-n", "12").header("x-no", "1");
  CHECK(r.find(with_no) == "plain");
  CHECK(r.find("GET", "x", "/?full=a+b") == "plain");
  Request only("GET", "x", "/only");
  CHECK(r.find(only, 0) == "plain");
  CHECK(r.find(only, 1) == "second-only");
}

TEST_CASE("shuffling the routes never changes the winner") {
  std::mt19937 random(7);
  const std::vector<std::string> hosts{"x", "docs.example.com", "a.docs.example.com", "b.example.com"};
  const std::vector<std::string> segments{"users",  "me",       "v2", "orders", "archive",
                                          "export", "2024.csv", "17", "v1.0"};
  const std::vector<std::string> methods{"GET", "PUT", "POST"};
  std::vector<std::tuple<std::string, std::string, std::string>> requests;
  for (int i = 0; i < 500; ++i) {
    std::string path;
    for (unsigned n = random() % 4; n; --n) path += "/" + segments[random() % segments.size()];
    requests.emplace_back(methods[random() % methods.size()], hosts[random() % hosts.size()],
                          path.empty() ? "/" : path);
  }
  Routes first = sample();
  std::vector<std::string> winners;
  for (const auto& [method, host, path] : requests) winners.push_back(first.find(method, host, path));
  CHECK(std::ranges::count(winners, "everything") < 450);  // the requests do reach the other routes
  for (int round = 0; round < 50; ++round) {
    Routes shuffled = sample();
    std::ranges::shuffle(shuffled.configs, random);
    for (size_t i = 0; i < requests.size(); ++i) {
      const auto& [method, host, path] = requests[i];
      REQUIRE(shuffled.find(method, host, path) == winners[i]);
    }
  }
}

TEST_CASE("a path of 31 KB against a regular expression is answered in linear time") {
  Routes r;
  r.regex("nasty", "/(a|aa)+/(b*)*c").prefix("rest", "/");
  std::string path = "/" + std::string(15000, 'a') + "/" + std::string(16000, 'b');
  CHECK(r.find("GET", "x", path) == "rest");
  CHECK(r.find("GET", "x", path + "c") == "nasty");
}

TEST_CASE("why_not names the first thing in which a route differs") {
  Routes r = sample();
  r.build();
  auto why = [&](Request& request, std::string_view route) {
    for (auto& candidate : r.routes)
      if (candidate->name == route) return r.router->why_not(request.context, 0, *candidate);
    return proxy::Mismatch::none;
  };
  Request get("GET", "x", "/users/17");
  CHECK(why(get, "user") == proxy::Mismatch::none);
  CHECK(why(get, "put-user") == proxy::Mismatch::method);
  CHECK(why(get, "tenant-user") == proxy::Mismatch::header);
  CHECK(why(get, "docs") == proxy::Mismatch::host);
  CHECK(why(get, "export") == proxy::Mismatch::path);
  CHECK(why(get, "users") == proxy::Mismatch::path);
}

TEST_CASE("what {version} stands for") {
  for (auto good : {"v1", "1", "v1.2", "10.20.30"}) CHECK(proxy::version_segment(good));
  for (auto bad : {"", "v", "v1.", "v.1", "1..2", "va", "v1a", "V1", "1-2"})
    CHECK_FALSE(proxy::version_segment(bad));
}
