// What a wrong start says, and what it exits with.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "e2e/harness/gateway.h"

using namespace e2e;

namespace {

std::string minimal(const std::string& address = "127.0.0.1:0", const std::string& more = {}) {
  return "schema: 1\naccess_log: none\ndrain: { accept_for: 0s }\nlisteners: [{ name: http, address: \"" +
         address + "\"" + more +
         " }]\nroutes: [{ name: r, match: { path: / }, public: true, respond: { status: 200 } }]\n";
}

}  // namespace

TEST_CASE("a wrong command line exits with 2 and shows how it is meant") {
  for (std::vector<std::string> words : {std::vector<std::string>{},
                                         {"serve"},
                                         {"run"},
                                         {"run", "-c"},
                                         {"run", "-c", "x", "--fast"},
                                         {"check", "-c", "x", "--format", "xml"},
                                         {"explain", "-c", "x"},
                                         {"explain", "-c", "x", "a", "b"},
                                         {"explain", "-c", "x", "http://a/", "-H", "nocolon"}}) {
    Ran ran = penstock(words);
    CHECK(ran.exit_code == 2);
    CHECK(ran.err.find("usage: penstock") != std::string::npos);
    CHECK(ran.out.empty());
  }
  Ran help = penstock({"--help"});
  CHECK(help.exit_code == 0);
  CHECK(help.out.find("usage: penstock") != std::string::npos);
  CHECK(penstock({"version"}).out.starts_with("penstock "));
}

TEST_CASE("a configuration that is not there or wrong exits with 1 and says where") {
  TempFolder folder;
  Ran absent = penstock({"run", "-c", folder.file("none.yaml")});
  CHECK(absent.exit_code == 1);
  CHECK(absent.err.find("none.yaml") != std::string::npos);
  std::string wrong =
      folder.write("wrong.yaml", minimal() + "limts: 3\nupstreams: { u: { endpoints: nowhere } }\n");
  Ran refused = penstock({"run", "-c", wrong});
  CHECK(refused.exit_code == 1);
  CHECK(refused.err.find("wrong.yaml:6:1: error[unknown-key]") != std::string::npos);
  CHECK(refused.err.find("wrong.yaml:7:") != std::string::npos);
  Ran checked = penstock({"check", "-c", wrong, "--format", "json"});
  CHECK(checked.exit_code == 1);
  auto diagnostics = nlohmann::json::parse(checked.out, nullptr, false)["diagnostics"];
  REQUIRE(diagnostics.size() >= 2);
  CHECK(diagnostics[0]["code"] == "unknown-key");
  CHECK(diagnostics[0]["line"] == 6);
}

TEST_CASE("mistakes of the core, of plugins and of certificates are reported in one go") {
  TempFolder folder;
  std::string file = folder.write(
      "all.yaml",
      "schema: 1\nlisteners:\n  - name: tls\n    address: \"127.0.0.1:0\"\n"
      "    tls: { certificates: [{ cert: all.yaml, key: all.yaml }] }\n"
      "plugins:\n  per-ip: { type: rate_limit, key: client.address, limts: [200/s], limits: [200/s] }\n"
      "  what: { type: telepathy }\n"
      "routes:\n  - { name: r, match: { path: / }, auth: per-ip, upstream: nope }\n"
      "  - { name: s, match: { path: /s }, auth: what, respond: { status: 200 } }\n");
  Ran checked = penstock({"check", "-c", file});
  CHECK(checked.exit_code == 1);
  CHECK(checked.out.find("all.yaml:7:") != std::string::npos);
  CHECK(checked.out.find("limts") != std::string::npos);
  CHECK(checked.out.find("did you mean 'limits'?") != std::string::npos);
  CHECK(checked.out.find("unknown-plugin-type") != std::string::npos);
  CHECK(checked.out.find("unknown-upstream") != std::string::npos);
  CHECK(checked.out.find("bad-certificate") != std::string::npos);
}

TEST_CASE("one mistake is one error, whichever layers meet it") {
  TempFolder folder;
  auto errors = [&](const std::string& more, const std::string& listener_more = "") {
    std::string file = folder.write(
        "one.yaml", "schema: 1\nlisteners: [{ name: a, address: \"127.0.0.1:0\"" + listener_more +
                        " }]\nroutes: [{ name: r, match: { path: / }, public: true, respond: 200 }]\n" +
                        more);
    Ran checked = penstock({"check", "-c", file, "--format", "json"});
    CHECK(checked.exit_code == 1);
    std::string codes;
    const auto all = nlohmann::json::parse(checked.out, nullptr, false)["diagnostics"];
    for (const auto& one : all)
      if (one["severity"] == "error") codes += one["code"].get<std::string>() + " ";
    return codes;
  };
  CHECK(errors("plugin_libraries: [nope.so]\nplugins: { a: { type: audit } }\n") == "missing-file ");
  CHECK(errors("plugins: { a: { b: c } }\n") == "missing-key ");
  CHECK(errors("access_log: { file: \"syslog:udp:127.0.0.1:514\" }\n") == "not-supported-yet ");
  CHECK(errors("access_log: { file: \"http://127.0.0.1/x\" }\n") == "not-supported-yet ");
  CHECK(errors("", ", tls: {}") == "missing-key ");
  CHECK(errors("plugins: { a: { type: cors, origins: [x] }, b: { type: ip_restriction } }\n") ==
        "not-supported-yet not-supported-yet ");
}

TEST_CASE("only an authenticator may stand under auth") {
  TempFolder folder;
  std::string file = folder.write(
      "auth.yaml",
      minimal() +
          "  - { name: a, match: { path: /a }, auth: lim, respond: { status: 200 } }\n"
          "  - { name: b, match: { path: /b }, public: true, before_auth: keys, respond: { status: 200 } }\n"
          "plugins:\n  lim: { type: rate_limit, key: client.address, limits: [1/s] }\n"
          "  keys: { type: api_key, header: x-api-key }\n");
  std::string text = folder.read("auth.yaml");
  text.replace(text.find("routes: [{"), 10, "routes:\n  - {");
  text.replace(text.find("} }]\n"), 5, "} }\n");
  folder.write("auth.yaml", text);
  Ran checked = penstock({"check", "-c", file});
  CHECK(checked.exit_code == 1);
  CHECK(checked.out.find("auth.yaml:7:") != std::string::npos);
  CHECK(checked.out.find("not-an-authenticator") != std::string::npos);
  CHECK(checked.out.find("misplaced-authenticator") != std::string::npos);
}

TEST_CASE("an address in use exits with 3 and one line that says what to do") {
  Backend backend;
  TempFolder folder;
  Ran ran = penstock({"run", "-c", folder.write("a.yaml", minimal(backend.endpoint()))});
  CHECK(ran.exit_code == 3);
  CHECK(ran.err.find("listener 'http' cannot listen on " + backend.endpoint()) != std::string::npos);
  CHECK(ran.err.find("stop it or choose another port") != std::string::npos);
}

TEST_CASE("a second gateway on the same address does not start") {
  Gateway first(minimal());
  TempFolder folder;
  std::string address = "127.0.0.1:" + std::to_string(first.port());
  Ran second = penstock({"run", "-c", folder.write("b.yaml", minimal(address))});
  CHECK(second.exit_code == 3);
}

TEST_CASE("a plugin library that is none exits with 4") {
  TempFolder folder;
  folder.write("broken.so", "not a shared object");
  Ran ran = penstock({"run", "-c", folder.write("p.yaml", minimal() + "plugin_libraries: [broken.so]\n")});
  CHECK(ran.exit_code == 4);
  CHECK(ran.err.find("p.yaml:6:") != std::string::npos);
  CHECK(ran.err.find("broken.so") != std::string::npos);
}

TEST_CASE("check takes the sample of the language apart without starting anything") {
  TempFolder folder;
  Ran ran = penstock({"check", "-c", folder.write("ok.yaml", minimal())});
  CHECK(ran.exit_code == 0);
  CHECK(ran.out.find("good (1 routes") != std::string::npos);
}
