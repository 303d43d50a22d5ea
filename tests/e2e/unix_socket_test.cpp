// Listeners at unix sockets: the file's mode and life, what is known of their clients, and over a reload.
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/metrics.h"
#include "e2e/harness/process.h"
#include "e2e/harness/waiting.h"

using namespace e2e;
using nlohmann::json;

namespace {

std::string configuration(const Backend& backend, const std::string& path, const std::string& more = {}) {
  return "schema: 1\nworkers: 2\naccess_log: [{ format: json, file: access.log }]\n"
         "status: { address: \"127.0.0.1:0\" }\n"
         "drain: { accept_for: 0s, timeout: 5s }\n"
         "listeners:\n"
         "  - { name: http, address: \"127.0.0.1:0\" }\n"
         "  - { name: local, address: \"unix:" +
         path + "\"" + more +
         " }\n"
         "routes: [{ name: all, match: { path_prefix: / }, public: true, upstream: u }]\n"
         "upstreams: { u: { endpoints: \"" +
         backend.endpoint() + "\" } }\n";
}

std::string curl(const std::string& path, const std::string& field = "x-none: 1") {
  Ran got = run({"curl", "-s", "-H", field, "--unix-socket", path, "http://a/r"});
  if (got.exit_code != 0) return "curl " + std::to_string(got.exit_code);
  return json::parse(got.out)["headers"].value("x-forwarded-for", "none");
}

unsigned mode_of(const std::string& path) {
  struct stat info{};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  CHECK(S_ISSOCK(info.st_mode));
  return info.st_mode & 0777;
}

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

// A socket's file that somebody left behind, or one where somebody listens.
int bind_at(const std::string& path) {
  int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  REQUIRE(::bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  return descriptor;
}

}  // namespace

TEST_CASE("a unix socket serves like any other, has its mode, and its file goes with the gateway") {
  Backend backend;
  TempFolder folder;
  const std::string path = folder.file("http.sock");
  {
    Gateway gateway(configuration(backend, path));
    CHECK(mode_of(path) == 0660);
    for (int i = 0; i < 20; ++i) CHECK(curl(path) == "unix:");  // on whichever worker
    CHECK(gateway.stop(15) == 0);
    CHECK(gateway.folder().read("access.log").find("\"unix:\"") != std::string::npos);
  }
  CHECK(!exists(path));
  CHECK(!exists(path + ".new"));
}

TEST_CASE("unix peers are believed when trusted_proxies names them, and not otherwise") {
  Backend backend;
  TempFolder folder;
  const std::string path = folder.file("http.sock");
  Gateway gateway(configuration(backend, path));
  CHECK(curl(path, "x-forwarded-for: 203.0.113.9") == "unix:");
  REQUIRE(gateway.reload(configuration(backend, path, ", trusted_proxies: [unix]")).find("reloaded") !=
          std::string::npos);
  CHECK(curl(path, "x-forwarded-for: 203.0.113.9") == "203.0.113.9, unix:");
  REQUIRE(
      gateway
          .reload(configuration(backend, path, ", trusted_proxies: [unix], client_address: proxy_protocol"))
          .find("reloaded") != std::string::npos);
  Ran got = run({"curl", "-s", "--haproxy-protocol", "--unix-socket", path, "http://a/r"});
  CHECK(got.exit_code == 0);  // curl says UNKNOWN there
  CHECK(json::parse(got.out)["headers"].value("x-forwarded-for", "none") == "unix:");
}

TEST_CASE("a socket's file is kept over a reload, takes a new mode, and goes with its listener") {
  Backend backend;
  TempFolder folder;
  const std::string path = folder.file("a.sock"), other = folder.file("b.sock");
  Gateway gateway(configuration(backend, path));
  struct stat before{}, after{};
  REQUIRE(::stat(path.c_str(), &before) == 0);
  REQUIRE(gateway.reload(configuration(backend, path, ", socket_mode: 0600")).find("reloaded") !=
          std::string::npos);
  REQUIRE(::stat(path.c_str(), &after) == 0);
  CHECK(before.st_ino == after.st_ino);
  CHECK(mode_of(path) == 0600);
  CHECK(curl(path) == "unix:");
  REQUIRE(gateway.reload(configuration(backend, other)).find("reloaded") != std::string::npos);
  CHECK(curl(other) == "unix:");
  for (auto until = Clock::now() + patience; exists(path) && Clock::now() < until;) {}
  CHECK(!exists(path));  // when the last worker has let go of it
}

// The queue of the removed listener's socket takes its worker some turns.
TEST_CASE("a listener that one reload removes and the next one adds again finds its address free") {
  Backend backend;
  TempFolder folder;
  const std::string path = folder.file("a.sock"), other = folder.file("b.sock");
  const std::string limits = ", limits: { max_connections: 1 }";
  Gateway gateway(configuration(backend, path, limits));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  for (int round = 0; round < 3; ++round) {
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < 600; ++i) {
      const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
      clients.push_back(Client::adopt(descriptor));
      REQUIRE(::connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
      if (i == 0) clients[0]->send("GET /hang HTTP/1.1\r\nhost: a\r\n\r\n");
      if (i == 0) await_metric(gateway, "http_server_active_requests", 1);
    }
    REQUIRE(gateway.reload(configuration(backend, other, limits)).find("reloaded") != std::string::npos);
    const std::string line = gateway.reload(configuration(backend, path, limits));
    CHECK_MESSAGE(line.find("reloaded") != std::string::npos, line);
    clients.clear();  // the first still had the only place
    CHECK(curl(path) == "unix:");
    await_metric(gateway, "http_server_active_requests", 0);
  }
}

TEST_CASE("a file that was left behind is replaced; one where somebody listens and a plain file are not") {
  Backend backend;
  TempFolder folder;
  const std::string stale = folder.file("stale.sock"), taken = folder.file("taken.sock"),
                    plain = folder.write("plain", "text");
  ::close(bind_at(stale));
  {
    Gateway gateway(configuration(backend, stale));
    CHECK(curl(stale) == "unix:");
    int listening = bind_at(taken);
    REQUIRE(::listen(listening, 1) == 0);
    CHECK(gateway.reload(configuration(backend, taken)).find("another process listens there") !=
          std::string::npos);
    CHECK(gateway.reload(configuration(backend, plain)).find("no socket") != std::string::npos);
    CHECK(gateway.reload(configuration(backend, folder.file("no/such/a.sock"))).find("create it") !=
          std::string::npos);
    CHECK(curl(stale) == "unix:");
    CHECK(exists(taken));
    ::close(listening);
  }
  CHECK(folder.read("plain") == "text");
}

TEST_CASE("a file that somebody else has put in our place is not removed at the end") {
  Backend backend;
  TempFolder folder;
  const std::string path = folder.file("http.sock");
  Gateway gateway(configuration(backend, path));
  REQUIRE(::unlink(path.c_str()) == 0);
  int theirs = bind_at(path);
  CHECK(gateway.stop(15) == 0);
  CHECK(exists(path));
  ::close(theirs);
}

TEST_CASE("status at a unix socket") {
  Backend backend;
  TempFolder folder;
  const std::string path = folder.file("status.sock");
  std::string text = configuration(backend, folder.file("http.sock"));
  const std::string status = "status: { address: \"127.0.0.1:0\" }";
  text.replace(text.find(status), status.size(), "status: \"unix:" + path + "\"");
  {
    Gateway gateway(text);
    CHECK(run({"curl", "-s", "--unix-socket", path, "http://a/livez"}).out == "alive\n");
    CHECK(mode_of(path) == 0660);
  }
  CHECK(!exists(path));
}
