// HTTP Basic against the real daemon: passwords are hashed on its pool, while it serves and reloads.
#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <string>

#include "e2e/harness/gateway.h"

using namespace e2e;

namespace {

// Of "swordfish": some milliseconds of work.
constexpr const char* hash = "$2b$08$ydIdx6.rCZrLbr/GZy9TWO44LZKKO.saWLt2QHXmo43BXKxDpPOp2";

std::string configuration(const std::string& settings = {}) {
  return "schema: 1\nworkers: 2\naccess_log: none\nstatus: { address: \"127.0.0.1:0\" }\n"
         "drain: { accept_for: 0s, timeout: 5s }\n"
         "listeners: [{ name: http, address: \"127.0.0.1:0\" }]\n"
         "plugins: { users: { type: basic" +
         settings +
         " } }\n"
         "consumers: [{ name: app, credentials: { basic: [{ username: ann, password: \"" +
         hash +
         "\" }] } }]\n"
         "routes: [{ name: r, match: { path_prefix: / }, auth: users, respond: { status: 200, body: "
         "\"hello\\n\" }, response_headers: { set: { x-who: \"{consumer.id}\" } } }]\n";
}

std::string ask(const Gateway& gateway, const std::string& options) {
  return run({"/bin/sh", "-c",
              "curl -s -i --max-time 30 " + options + " http://127.0.0.1:" + std::to_string(gateway.port()) +
                  "/"})
      .out;
}

}  // namespace

TEST_CASE("users are let in by their passwords, and nobody else") {
  Gateway gateway(configuration());
  for (int i = 0; i < 3; ++i) {
    const std::string good = ask(gateway, "-u ann:swordfish");
    CHECK(good.starts_with("HTTP/1.1 200"));
    CHECK(good.find("x-who: app\r\n") != std::string::npos);
  }
  const std::string wrong = ask(gateway, "-u ann:Swordfish");
  CHECK(wrong.starts_with("HTTP/1.1 401"));
  CHECK(wrong.find("auth.basic.unknown") != std::string::npos);
  CHECK(wrong.find("www-authenticate: Basic realm=\"users\", charset=\"UTF-8\"\r\n") != std::string::npos);
  CHECK(ask(gateway, "-u eve:swordfish").find("auth.basic.unknown") != std::string::npos);
  CHECK(ask(gateway, "").find("auth.missing") != std::string::npos);
}

TEST_CASE("requests whose passwords are being hashed survive reloads") {
  Gateway gateway(configuration(", cache: none"));
  Process clients({"/bin/sh", "-c",
                   "seq 40 | xargs -P 8 -I{} curl -s -o /dev/null --max-time 30 -w '%{http_code}\\n' -u "
                   "ann:swordfish http://127.0.0.1:" +
                       std::to_string(gateway.port()) + "/"},
                  Process::Read::standard_output);
  for (int i = 0; i < 4; ++i) {
    clients.wait_for_line("200");
    CHECK(gateway.reload(configuration(", cache: none, cache_entries: " + std::to_string(10 + i)))
              .find("reloaded") != std::string::npos);
  }
  CHECK(clients.wait() == 0);
  const std::string& said = clients.output();
  CHECK(std::count(said.begin(), said.end(), '\n') == 40);
  size_t good = 0;
  for (size_t at = said.find("200\n"); at != said.npos; at = said.find("200\n", at + 1)) ++good;
  CHECK(good == 40);
}
