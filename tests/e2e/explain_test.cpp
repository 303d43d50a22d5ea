// `penstock explain` as a user runs it.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "e2e/harness/gateway.h"

using namespace e2e;
using nlohmann::json;

namespace {

struct Asked {
  TempFolder folder;
  std::string file = folder.write(
      "gateway.yaml",
      "schema: 1\naccess_log: none\n"
      "listeners:\n  - { name: http, address: \"127.0.0.1:8080\" }\n"
      "consumers:\n  - { name: app, groups: [users], credentials: { api_keys: [\"${file:key}\"] } }\n"
      "plugins:\n  keys: { type: api_key, header: x-api-key }\n"
      "  per-ip: { type: rate_limit, key: client.address, limits: [200/s] }\n"
      "  late: { type: rate_limit, key: consumer.id, limits: [100/s] }\n"
      "routes:\n"
      "  - name: orders\n"
      "    match: { host: api.test, path_prefix: \"/{version}/orders\" }\n"
      "    before_auth: per-ip\n"
      "    auth: keys\n"
      "    plugins: late\n"
      "    version: { from: path.version, versions: { v2: { upstream: orders-v2 } } }\n"
      "  - { name: moved, match: { path: /old }, public: true, redirect: { path: /new, status: 301 } }\n"
      "upstreams:\n  orders-v2: { endpoints: \"127.0.0.1:9101\" }\n");
  Asked() { folder.write("key", "app-key\n"); }

  Ran ask(std::vector<std::string> words) {
    words.insert(words.begin(), {binary("penstock"), "explain", "-c", file});
    return run(words);
  }
};

}  // namespace

TEST_CASE("explain shows route, plugins in their order, target and endpoints, each with its place") {
  Asked asked;
  Ran ran = asked.ask({"http://api.test/v2/orders/17", "-H", "x-api-key: app-key", "--json"});
  CHECK(ran.exit_code == 0);
  json out = json::parse(ran.out, nullptr, false);
  REQUIRE(out.is_object());
  auto at = [&](int line, int column) {
    return asked.file + ":" + std::to_string(line) + ":" + std::to_string(column);
  };
  CHECK(out["listener"]["name"] == "http");
  CHECK(out["route"]["name"] == "orders");
  CHECK(out["route"]["at"] == at(12, 5));
  CHECK(out["route"]["considered"][0]["name"] == "moved");
  CHECK(out["route"]["considered"][0]["why_not"] == "path does not match");
  REQUIRE(out["plugins"].size() == 4);
  CHECK(out["plugins"][0]["name"] == "version");
  CHECK(out["plugins"][0]["verdict"] == "continue");
  CHECK(out["plugins"][1]["name"] == "per-ip");
  CHECK(out["plugins"][1]["verdict"] == "depends");
  CHECK(out["plugins"][1]["on"] == "limit");
  CHECK(out["plugins"][2]["name"] == "auth");
  CHECK(out["plugins"][2]["verdict"] == "continue");
  CHECK(out["plugins"][3]["name"] == "late");
  CHECK(out["target"]["upstream"] == "orders-v2");
  CHECK(out["endpoints"][0]["address"] == "127.0.0.1:9101");
  CHECK(out["answer"].is_null());
}

TEST_CASE("a refusal shows where it stops, and exits with 1") {
  Asked asked;
  Ran ran = asked.ask({"http://api.test/v2/orders/17", "--client-ip", "203.0.113.9"});
  CHECK(ran.exit_code == 1);
  CHECK(ran.out.starts_with("GET http://api.test/v2/orders/17   (client 203.0.113.9)\n"));
  CHECK(ran.out.find("answers 401 auth.missing      <- stops here") != std::string::npos);
  CHECK(ran.out.find("4 late") < ran.out.find("not reached"));
  CHECK(ran.out.find("app-key") == std::string::npos);

  json none = json::parse(asked.ask({"http://nobody.test/", "--json"}).out, nullptr, false);
  CHECK(none["answer"]["status"] == 404);
  CHECK(none["answer"]["reason"] == "route.none");
  CHECK(asked.ask({"http://api.test/v9/orders"}).exit_code == 1);
  CHECK(asked.ask({"http://api.test/a%zz"}).out.find("answers 400 request.malformed") != std::string::npos);
}

TEST_CASE("what the route itself answers is granted, and a consumer can be assumed") {
  Asked asked;
  Ran moved = asked.ask({"http://api.test/old?x=1", "--json"});
  CHECK(moved.exit_code == 0);
  json out = json::parse(moved.out, nullptr, false);
  CHECK(out["answer"]["status"] == 301);
  CHECK(out["target"]["redirect"].get<std::string>().ends_with("/new?x=1"));
  Ran as = asked.ask({"http://api.test/v2/orders/17", "--as", "app", "--json"});
  CHECK(as.exit_code == 0);
  CHECK(json::parse(as.out, nullptr, false)["request"]["consumer"] == "app");
  CHECK(asked.ask({"http://api.test/", "--as", "nobody"}).exit_code == 2);
}

TEST_CASE("explain says which versions of HTTP are spoken on either side") {
  TempFolder folder;
  auto ask = [&](const std::string& protocols, const std::string& upstream) {
    const std::string file =
        folder.write("gateway.yaml",
                     "schema: 1\naccess_log: none\n"
                     "listeners: [{ name: http, address: \"127.0.0.1:8080\"" +
                         protocols +
                         " }]\n"
                         "routes: [{ name: all, match: { path_prefix: / }, public: true, upstream: u }]\n"
                         "upstreams: { u: { endpoints: \"127.0.0.1:9101\"" +
                         upstream + " } }\n");
    const Ran human = run({binary("penstock"), "explain", "-c", file, "http://a/"});
    const Ran machine = run({binary("penstock"), "explain", "-c", file, "http://a/", "--json"});
    const json out = json::parse(machine.out, nullptr, false);
    return std::pair(human.out, out["listener"]["protocols"].dump() + out["target"]["protocols"].dump());
  };
  const auto [plain, plain_json] = ask("", "");
  CHECK(plain_json == R"(["http/1.1"]["http/1.1"])");
  CHECK(plain.find("  http/1.1\n") != plain.npos);
  CHECK(plain.find("least_request, http/1.1, first_byte") != plain.npos);
  const auto [both, both_json] = ask(", protocols: [http/1.1, h2]", ", tls: {}, protocol: auto");
  CHECK(both_json == R"(["h2","http/1.1"]["h2","http/1.1"])");
  CHECK(both.find("  h2 or http/1.1\n") != both.npos);
  CHECK(both.find("TLS, h2 or http/1.1, first_byte") != both.npos);
  const auto [alone, alone_json] = ask(", protocols: [h2]", ", protocol: h2");
  CHECK(alone_json == R"(["h2"]["h2"])");
  // Without TLS nobody can choose.
  CHECK(ask("", ", protocol: auto").second == R"(["http/1.1"]["http/1.1"])");
}
