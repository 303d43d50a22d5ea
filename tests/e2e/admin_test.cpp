// What operators may ask a running gateway by its admin socket.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <csignal>

#include <nlohmann/json.hpp>
#include <string>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"

using namespace e2e;

namespace {

std::string versioned(const std::string& more = {}) {
  return basics(
      "admin: { address: \"unix:admin.sock\" }\n"
      "plugins:\n  keys: { type: api_key }\n"
      "consumers:\n"
      "  - { name: app, credentials: { api_keys: [key-of-the-app-1] } }\n"
      "  - { name: other, credentials: { api_keys: [key-of-another-1] } }\n"
      "routes:\n"
      "  - name: orders\n"
      "    match: { path_prefix: /orders }\n"
      "    auth: keys\n"
      "    version:\n"
      "      from: [header.x-version]\n"
      "      default: v2\n"
      "      versions: { v1: { respond: { status: 200 }, deprecated: 2026-01-01 }, v2: { respond: { status: "
      "200 } } }\n" +
      more);
}

nlohmann::json versions(const Gateway& gateway) {
  Ran ran = penstock({"versions", "-c", gateway.folder().file("gateway.yaml"), "--json"});
  CAPTURE(ran.err);
  REQUIRE(ran.exit_code == 0);
  return nlohmann::json::parse(ran.out)["instances"][0]["versions"];
}

void ask(const Gateway& gateway, const std::string& version, const std::string& key, int times) {
  for (int i = 0; i < times; ++i)
    get(gateway.port(), "/orders", "x-version: " + version + "\r\nx-api-key: " + key + "\r\n");
}

}  // namespace

TEST_CASE("who uses which API version is counted by consumer, over reloads too") {
  Gateway gateway(versioned());
  CHECK(versions(gateway)[0]["requests"] == 0);
  ask(gateway, "v1", "key-of-the-app-1", 3);
  ask(gateway, "v2", "key-of-another-1", 2);
  ask(gateway, "v2", "nobody's", 1);
  for (int round = 0; round < 2; ++round) {
    auto said = versions(gateway);
    REQUIRE(said.size() == 2);
    CHECK(said[0]["version"] == "v1");
    CHECK(said[0]["requests"] == 3);
    REQUIRE(said[0]["consumers"].size() == 1);
    CHECK(said[0]["consumers"][0]["consumer"] == "app");
    CHECK(said[0]["last_seen"].get<std::string>().ends_with("Z"));
    CHECK(said[1]["requests"] == 3);
    REQUIRE(said[1]["consumers"].size() == 2);
    CHECK(said[1]["consumers"][0]["consumer"] == "other");
    CHECK(said[1]["consumers"][1]["consumer"] == "(nobody)");
    if (round == 0)
      CHECK(gateway
                .reload(versioned("  - { name: more, match: { path: /more }, public: true, respond: "
                                  "{ status: 200 } }\n"))
                .find("reloaded") != std::string::npos);
  }
  ask(gateway, "v1", "key-of-the-app-1", 1);
  CHECK(versions(gateway)[0]["requests"] == 4);
  Ran table = penstock({"versions", "-c", gateway.folder().file("gateway.yaml")});
  CHECK(table.out.find("app") != std::string::npos);
  CHECK(table.out.find("LAST SEEN") != std::string::npos);
}

TEST_CASE("the admin socket is its owner's, and `versions` says what is missing") {
  Gateway gateway(versioned());
  struct stat info{};
  REQUIRE(::stat(gateway.folder().file("admin.sock").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  CHECK(gateway.stop(SIGTERM) == 0);
  Ran gone = penstock({"versions", "-c", gateway.folder().file("gateway.yaml")});
  CHECK(gone.exit_code == 1);
  CHECK(gone.err.find("is the gateway running?") != std::string::npos);
  TempFolder folder;
  Ran none = penstock({"versions", "-c",
                       folder.write("p.yaml", basics("routes: [{ name: r, match: { path: / }, public: "
                                                     "true, respond: { status: 200 } }]\n"))});
  CHECK(none.exit_code == 1);
  CHECK(none.err.find("admin") != std::string::npos);
  Ran tcp =
      penstock({"check", "-c", folder.write("t.yaml", basics("admin: { address: \"127.0.0.1:0\" }\n"))});
  CHECK(tcp.out.find("not-supported-yet") != std::string::npos);
}
