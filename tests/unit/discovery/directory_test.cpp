#include "discovery/directory.h"

#include <doctest/doctest.h>

#include <ctime>

#include "dnsmasq.h"
#include "net/resolver.h"
#include "unit/net/net_support.h"

using namespace penstock;
using namespace penstock::discovery;

namespace {

config::Upstream listed(std::vector<config::Endpoint> endpoints, std::string name = "users") {
  config::Upstream upstream;
  upstream.name = std::move(name);
  upstream.endpoints = std::move(endpoints);
  return upstream;
}

config::Upstream by_dns(const std::string& host, uint16_t port) {
  config::Upstream upstream;
  upstream.name = "users";
  upstream.discover = config::DnsDiscovery{host, port, {}};
  return upstream;
}

// "name=address,address*weight ..." of a set.
std::string text(const upstream::EndpointSet& set) {
  std::string out;
  for (const upstream::EndpointInfo& info : set.endpoints) {
    out += (out.empty() ? "" : " ") + info.name + "=";
    for (const net::Address& address : info.addresses) out += address.to_string() + ",";
    if (info.weight != 1) out += "*" + std::to_string(info.weight);
  }
  return out;
}

struct Rig {
  // Without a server the name lookups fail at once.
  explicit Rig(std::string server = "127.0.0.1:1")
      : resolver(runner.loop, {server}, 500),
        directory(
            {runner.loop, resolver, states, [this](const std::string& line) { lines.push_back(line); }}) {
    directory.subscribe([this](const std::string& upstream, Directory::Set set) {
      heard.push_back(upstream + ": " + text(*set));
    });
  }
  std::string now(const std::string& name = "users") const { return text(*directory.current(name)); }

  net::LoopRunner runner;
  net::Resolver resolver;
  upstream::EndpointStates states;
  std::vector<std::string> heard, lines;
  Directory directory;
};

}  // namespace

TEST_CASE("listed literals are there at once, in the order written and with their weights") {
  Rig rig;
  rig.directory.apply(
      {listed({{"127.0.0.1", 9102, 3, {}}, {"::1", 80, 1, {}}, {"127.0.0.1", 9101, 1, {}}}),
       listed({{"10.0.0.1", 80, 1, {}}, {"10.0.0.2", 80, 0, {}}, {"10.0.0.1", 80, 2, {}}}, "docs")});
  CHECK(rig.now() == "127.0.0.1:9102=127.0.0.1:9102,*3 [::1]:80=[::1]:80, 127.0.0.1:9101=127.0.0.1:9101,");
  CHECK(rig.now("docs") == "10.0.0.1:80=10.0.0.1:80,*3");
  CHECK(rig.heard.size() == 2);
  CHECK(rig.now("nobody") == "");
  for (const auto& info : rig.directory.current("users")->endpoints)
    CHECK(info.state == rig.states.get("users", info.name));
}

TEST_CASE("a long list of endpoints takes time by its length, and doubles still add up") {
  constexpr int count = 100'000;
  std::vector<config::Endpoint> endpoints;
  for (int i = 0; i < count; ++i)
    endpoints.push_back({"10." + std::to_string(100 + i / 40'000) + "." + std::to_string(i / 200 % 200) +
                             "." + std::to_string(i % 200),
                         80,
                         1,
                         {}});
  endpoints.push_back({endpoints.front().host, 80, 4, {}});
  Rig rig;
  const std::clock_t begun = std::clock();  // of this process: what others do on the machine does not count
  rig.directory.apply({listed(std::move(endpoints))});
  const double seconds = static_cast<double>(std::clock() - begun) / CLOCKS_PER_SEC;
  const auto set = rig.directory.current("users");
  REQUIRE(set->endpoints.size() == count);
  CHECK(set->endpoints.front().weight == 5);
  CHECK(seconds < 4);
}

TEST_CASE("an endpoint is to show the host that is written, without brackets or a port") {
  Rig rig;
  rig.directory.apply({listed({{"127.0.0.1", 9102, 1, {}}, {"::1", 80, 1, {}}, {"localhost", 80, 1, {}}})});
  const auto set = rig.directory.current("users");
  REQUIRE(set->endpoints.size() == 3);
  CHECK(set->endpoints[0].host == "127.0.0.1");
  CHECK(set->endpoints[1].host == "::1");
  CHECK(set->endpoints[2].host == "localhost");
}

TEST_CASE("a listed name is one endpoint that gets its addresses when they are known") {
  Rig rig;
  rig.directory.apply({listed({{"localhost", 9105, 2, {}}})});
  CHECK(rig.now() == "localhost:9105=*2");
  CHECK(rig.directory.unresolved() == 1);
  auto state = rig.directory.current("users")->endpoints.at(0).state;
  rig.runner.until([&] { return rig.directory.unresolved() == 0; });
  CHECK(rig.now().starts_with("localhost:9105=127.0.0.1:9105,"));
  CHECK(rig.now().ends_with("*2"));
  CHECK(rig.directory.current("users")->endpoints.at(0).state == state);
}

TEST_CASE("an upstream whose endpoints did not change is left alone by a reload") {
  Rig rig;
  config::Upstream users = listed({{"127.0.0.1", 80, 1, {}}});
  rig.directory.apply({users});
  auto set = rig.directory.current("users");
  users.balance = config::Balance::random;
  users.keepalive.max_idle = 1;
  rig.directory.apply({users, listed({{"127.0.0.1", 81, 1, {}}}, "docs")});
  CHECK(rig.directory.current("users") == set);
  CHECK(rig.heard ==
        std::vector<std::string>{"users: 127.0.0.1:80=127.0.0.1:80,", "docs: 127.0.0.1:81=127.0.0.1:81,"});
}

TEST_CASE("an endpoint that stays keeps its state when the list changes") {
  Rig rig;
  rig.directory.apply({listed({{"127.0.0.1", 80, 1, {}}})});
  auto state = rig.directory.current("users")->endpoints.at(0).state;
  rig.directory.apply({listed({{"127.0.0.1", 81, 1, {}}, {"127.0.0.1", 80, 5, {}}})});
  CHECK(rig.directory.current("users")->endpoints.at(1).state == state);
}

TEST_CASE("an upstream that is gone is forgotten without a word") {
  Rig rig;
  rig.directory.apply({listed({{"127.0.0.1", 80, 1, {}}})});
  rig.directory.apply({});
  CHECK(rig.now() == "");
  CHECK(rig.heard.size() == 1);
}

TEST_CASE("a known name keeps its addresses when its weight changes") {
  Rig rig;
  rig.directory.apply({listed({{"localhost", 80, 1, {}}})});
  rig.runner.until([&] { return rig.directory.unresolved() == 0; });
  std::string before = rig.now();
  rig.directory.apply({listed({{"localhost", 80, 7, {}}})});
  CHECK(rig.now() == before + "*7");
}

TEST_CASE("a changed upstream keeps its old endpoints until the new ones have an address") {
  Rig rig;
  rig.directory.apply({listed({{"127.0.0.1", 80, 1, {}}})});
  rig.directory.apply({by_dns("users.test", 80)});
  CHECK(rig.now() == "127.0.0.1:80=127.0.0.1:80,");
  rig.runner.until([&] { return !rig.lines.empty(); });  // it does not resolve
  CHECK(rig.now() == "127.0.0.1:80=127.0.0.1:80,");
  rig.directory.apply({listed({{"nowhere.test", 80, 1, {}}})});
  CHECK(rig.now() == "127.0.0.1:80=127.0.0.1:80,");
  rig.directory.apply({by_dns("localhost", 81)});
  rig.runner.until([&] { return rig.now().starts_with("127.0.0.1:81=127.0.0.1:81,"); });
}

TEST_CASE("old endpoints are not kept where another protocol or other TLS is spoken from now on") {
  const config::Upstream old = listed({{"127.0.0.1", 80, 1, {}}});
  for (config::Upstream next : {by_dns("users.test", 80), listed({{"users.test", 80, 1, {}}})}) {
    for (const bool tls : {true, false}) {
      CAPTURE(tls);
      if (tls)
        next.tls.emplace().server_name = "a.test";
      else
        next.protocol = config::UpstreamProtocol::http_2;
      const auto gone = [](const std::string& now) { return now == "" || now == "users.test:80="; };
      {
        Rig rig;
        rig.directory.apply({old});
        rig.directory.apply({next});
        CHECK(gone(rig.now()));
        CHECK(rig.heard.size() == 2);
        CHECK(rig.directory.unresolved() == 1);
      }
      // The way changes later than the source, which has no address yet.
      Rig rig;
      rig.directory.apply({old});
      config::Upstream source_alone = next;
      source_alone.tls = old.tls;
      source_alone.protocol = old.protocol;
      rig.directory.apply({source_alone});
      CHECK(rig.now() == "127.0.0.1:80=127.0.0.1:80,");
      rig.directory.apply({next});
      CHECK(gone(rig.now()));
      CHECK(rig.heard.size() == 2);
      next.tls.reset();
      next.protocol = old.protocol;
    }
  }
}

TEST_CASE("endpoints that are their source's own stay when the protocol or TLS changes") {
  Rig rig;
  config::Upstream users = listed({{"localhost", 80, 1, {}}});
  rig.directory.apply({users});
  rig.runner.until([&] { return rig.directory.unresolved() == 0; });
  const std::string before = rig.now();
  users.tls.emplace();
  rig.directory.apply({users});
  CHECK(rig.now() == before);
  users.tls.reset();
  users.endpoints[0].weight = 7;  // another list, but the same name
  rig.directory.apply({users});
  CHECK(rig.now() == before + "*7");
}

TEST_CASE("endpoints from DNS follow the record within its TTL and a second and are never none") {
  Dnsmasq dns("127.0.0.3 users.test\n127.0.0.2 users.test\n", 1);
  Rig rig(dns.server());
  rig.directory.apply({by_dns("users.test", 9000)});
  CHECK(rig.now() == "");  // nothing before the first answer
  rig.runner.until([&] { return rig.directory.unresolved() == 0; });
  CHECK(rig.now() == "127.0.0.2:9000=127.0.0.2:9000, 127.0.0.3:9000=127.0.0.3:9000,");
  auto stays = rig.directory.current("users")->endpoints.at(1).state;
  CHECK(rig.directory.current("users")->endpoints.at(1).host == "users.test");  // the name that was asked

  dns.change("127.0.0.3 users.test\n127.0.0.4 users.test\n");
  uint64_t changed_at = rig.runner.loop.now_ms();
  rig.runner.until([&] { return rig.now().starts_with("127.0.0.3"); });
  CHECK(rig.runner.loop.now_ms() - changed_at <= 2'000);
  CHECK(rig.now() == "127.0.0.3:9000=127.0.0.3:9000, 127.0.0.4:9000=127.0.0.4:9000,");
  CHECK(rig.directory.current("users")->endpoints.at(0).state == stays);

  dns.change("");  // no such name any more
  rig.runner.until([&] { return rig.lines.back().find("does not resolve") != std::string::npos; });
  CHECK(rig.now().starts_with("127.0.0.3"));
  dns.change("127.0.0.5 users.test\n");
  rig.runner.until([&] { return rig.now().starts_with("127.0.0.5"); });
  for (const std::string& line : rig.heard) CHECK(line != "users: ");
}

TEST_CASE("endpoints from DNS stay while the name server is away") {
  Dnsmasq dns("127.0.0.2 users.test\n", 1);
  Rig rig(dns.server());
  rig.directory.apply({by_dns("users.test", 9000)});
  rig.runner.until([&] { return rig.directory.unresolved() == 0; });
  dns.stop();
  rig.runner.until([&] { return rig.lines.back().find("stay in use") != std::string::npos; });
  CHECK(rig.now() == "127.0.0.2:9000=127.0.0.2:9000,");
  CHECK(rig.heard.size() == 1);
}
