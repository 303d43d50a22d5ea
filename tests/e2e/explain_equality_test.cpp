// explain and the daemon must say the same about every request: random configurations and requests through
// the real shared objects and a real socket on one side, and through the offline decision on the other.
#include <doctest/doctest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "admin/explain.h"
#include "config/render.h"
#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/waiting.h"
#include "e2e/random_gateway.h"
#include "server/build_snapshot.h"
#include "server/listen_sockets.h"
#include "server/loaded_configuration.h"

using namespace e2e;
using penstock::admin::Explained;
using penstock::admin::Question;

namespace {

// One side's account of a request, as text that can be compared.
struct Account {
  int status = 0;
  std::string reason, route, version, consumer, upstream, location;
  bool operator==(const Account&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Account& a) {
  return out << a.status << " reason=" << a.reason << " route=" << a.route << " version=" << a.version
             << " consumer=" << a.consumer << " upstream=" << a.upstream << " location=" << a.location;
}

struct Offline {
  penstock::server::PluginEnvironment plugins{
      .shipped_folder = binary("plugins"), .names = {}, .host = nullptr};
  penstock::server::LoadedConfiguration loaded;

  bool load(const std::string& path) {
    loaded = penstock::server::load_configuration(path, plugins);
    if (!loaded.snapshot) return false;
    penstock::server::set_addresses(*loaded.snapshot, [&](size_t i) {
      return penstock::server::socket_address(loaded.config->listeners[i].address);
    });
    return true;
  }

  Account account(const RandomRequest& request) {
    Question question;
    question.method = request.method;
    question.url = "http://a.test" + request.target;
    question.headers = request.headers;
    question.headers.emplace_back("host", request.host);
    auto explained = penstock::admin::explain(loaded.snapshot, plugins.names, question);
    REQUIRE(explained);
    Account account;
    account.status = explained->answer ? explained->answer->status : 200;
    if (explained->answer) account.reason = explained->answer->reason;
    if (explained->route) account.route = explained->route->name;
    account.version = explained->api_version;
    account.consumer = explained->consumer;
    if (explained->target && explained->target->kind == "upstream")
      account.upstream = explained->target->name;
    if (explained->target && explained->target->kind == "redirect")
      account.location = explained->target->name;
    return account;
  }
};

class Live {
 public:
  explicit Live(uint16_t port) : port_(port) {}
  Account account(const RandomRequest& request) {
    if (!client_) client_.emplace(port_);
    std::string bytes = request.method + " " + request.target + " HTTP/1.1\r\nhost: " + request.host + "\r\n";
    for (const auto& [name, value] : request.headers) bytes += name + ": " + value + "\r\n";
    client_->send(bytes + "\r\n");
    Response response = client_->read_response(request.method);
    if (response.header("connection") == "close") client_.reset();
    Account account{response.status,
                    {},
                    response.header("x-route"),
                    response.header("x-version"),
                    response.header("x-consumer"),
                    response.header("x-upstream"),
                    response.header("location")};
    if (response.header("content-type") == "application/problem+json" && !response.body.empty())
      account.reason = nlohmann::json::parse(response.body).value("reason", "");
    return account;
  }

 private:
  uint16_t port_;
  std::optional<Client> client_;
};

constexpr int configurations = 50, requests = 200;

}  // namespace

TEST_CASE("explain says of 10,000 random requests what the daemon then does") {
  Backend backend;
  Tokens tokens = make_tokens();
  Dice dice(20261121);
  std::map<std::string, int> seen;
  int compared = 0;
  for (int made = 0; made < configurations;) {
    std::string text = basics(random_configuration(dice, backend.endpoint()));
    TempFolder folder;
    Offline offline;
    // Two routes that nothing tells apart are an error; priority tells all others apart.
    if (!offline.load(folder.write("gateway.yaml", text))) {
      CAPTURE(penstock::config::render(offline.loaded.diagnostics, offline.loaded.sources,
                                       penstock::config::Format::human));
      REQUIRE(++seen["refused configuration"] < configurations);
      continue;
    }
    ++made;
    Gateway gateway(text);
    Live live(gateway.port());
    for (int i = 0; i < requests; ++i) {
      RandomRequest request = random_request(dice, tokens);
      Account told = offline.account(request), done = live.account(request);
      // A HEAD has no body that could tell the reason.
      if (request.method == "HEAD") told.reason = done.reason = {};
      ++compared;
      ++seen[done.reason.empty() ? done.upstream.empty() ? "answered" : "forwarded" : done.reason];
      if (told == done) continue;
      CAPTURE(text);
      CAPTURE(request.method + " " + request.host + " " + request.target);
      REQUIRE(told == done);
    }
  }
  CHECK(compared == configurations * requests);
  // The comparison is worth something only when all kinds of answers are in it.
  for (const char* kind : {"forwarded", "answered", "route.none", "route.method", "auth.missing",
                           "auth.forbidden", "auth.key.unknown", "auth.jwt.expired", "auth.jwt.signature",
                           "version.unknown", "version.gone", "request.malformed"}) {
    CAPTURE(kind);
    CHECK(seen[kind] >= compared / 500);
  }
}
