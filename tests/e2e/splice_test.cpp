// Long bodies of known length go through the gateway within the kernel: byte for byte, under the same bounds
// and with the same ends as those that are copied.
#include <doctest/doctest.h>
#include <sys/socket.h>

#include <atomic>
#include <csignal>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "e2e/harness/client.h"
#include "e2e/harness/fault_plan.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/listening_port.h"
#include "e2e/harness/memory.h"
#include "e2e/harness/metrics.h"
#include "e2e/harness/wire_server.h"

using namespace e2e;
using faults::Call;

namespace {

constexpr size_t threshold = 64 * kibibyte;

const std::string& pattern() {
  static const std::string made = [] {
    std::string out(10 * mebibyte, '\0');
    uint32_t state = 5;
    for (char& c : out) {
      state = state * 1664525 + 1013904223;
      c = static_cast<char>(state >> 24);
    }
    return out;
  }();
  return made;
}
std::string first(size_t bytes) { return pattern().substr(0, bytes); }

std::string answer(size_t length) {
  return "HTTP/1.1 200 OK\r\ncontent-length: " + std::to_string(length) + "\r\n\r\n";
}
std::string post(const std::string& path, size_t length) {
  return "POST " + path + " HTTP/1.1\r\nhost: a\r\ncontent-length: " + std::to_string(length) + "\r\n\r\n";
}

// GET /N is answered with N bytes of the pattern; what is posted is compared with it. Knows no pipelining.
struct PatternServer {
  std::atomic<size_t> piece = SIZE_MAX;
  std::atomic<int> connections_lost = 0;
  WireServer server{[this](WireServer::Conversation& talk) {
    if (talk.ended) return void(++connections_lost);
    const size_t head = talk.received.find("\r\n\r\n");
    if (head == std::string::npos) return;
    talk.piece = piece;
    if (talk.received.starts_with("GET /")) {
      const size_t size = std::stoul(talk.received.substr(5));
      talk.to_send = answer(size) + first(size);
    } else {
      const size_t field = talk.received.find("ontent-length: ");
      const size_t size = std::stoul(talk.received.substr(field + 15));
      if (talk.received.size() < head + 4 + size) return;
      talk.to_send = answer(2) + (talk.received.substr(head + 4) == first(size) ? "ok" : "no");
    }
    talk.received.clear();
  }};
};

std::string all_routes(const std::string& endpoint, const std::string& limits = {}) {
  return "schema: 1\nworkers: 1\nstatus: { address: \"127.0.0.1:0\" }\n"
         "access_log: [{ format: json, file: access.log }]\n"
         "drain: { accept_for: 0s, timeout: 5s }\n"
         "listeners: [{ name: http, address: \"127.0.0.1:0\", limits: { body_size: 64MiB" +
         limits +
         " } }]\n"
         "routes: [{ name: all, match: { path_prefix: / }, public: true, upstream: u }]\n"
         "upstreams: { u: { endpoints: \"" +
         endpoint + "\" } }\n";
}

std::string get_request(size_t bytes) {
  return "GET /" + std::to_string(bytes) + " HTTP/1.1\r\nhost: a\r\n\r\n";
}

// What the client's kernel takes for it is little.
void read_slowly(const Client& client) {
  int small = 16 * 1024;
  ::setsockopt(client.descriptor(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
}

// A backend whose answer has begun: its head and `sent` of its 10 MiB are on their way.
struct Begun {
  ListeningPort port;
  Gateway gateway;
  Client client;
  std::unique_ptr<Client> backend;
  explicit Begun(size_t sent, const std::string& limits = {})
      : gateway(all_routes(port.endpoint(), limits)), client(gateway.port()) {
    read_slowly(client);
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    backend = port.accept();
    backend->read_through("\r\n\r\n");
    backend->send(answer(10 * mebibyte) + first(sent));
  }
};

// Sends until the gateway holds what the other side does not take; how much that was.
size_t stuff(const Gateway& gateway, Client& peer, std::string_view bytes) {
  size_t sent = 0;
  await("the gateway holds something", [&] {
    sent += peer.send_some(bytes.substr(sent));
    return metric(gateway, "penstock_buffered_bytes") >= 64.0 * kibibyte;
  });
  return sent;
}

}  // namespace

TEST_CASE("bodies around the threshold arrive byte for byte, both ways, on one connection") {
  PatternServer backend;
  SUBCASE("as fast as it goes") {}
  SUBCASE("in small pieces") { backend.piece = 10'000; }
  Gateway gateway(all_routes(backend.server.endpoint()));
  Client client(gateway.port());
  for (size_t size : {size_t{1}, threshold - 1, threshold, threshold + 1, 2 * threshold, 3 * threshold + 7,
                      mebibyte, 10 * mebibyte}) {
    CAPTURE(size);
    client.send(get_request(size));
    CHECK(client.read_response().body == first(size));
    client.send(post("/", size) + first(size));
    CHECK(client.read_response().body == "ok");
    // The body alone: its head was read before.
    client.send(post("/", size));
    client.send(first(size));
    CHECK(client.read_response().body == "ok");
  }
}

TEST_CASE("only long bodies of known length over plain connections are spliced") {
  SharedPlan plan;
  PatternServer pattern_server;
  Backend echo;
  const auto seen = [&](Gateway& gateway, const std::string& request) {
    Client client(gateway.port());
    plan.count(Call::splice);
    client.send(request);
    CHECK(client.read_response().status == 200);
    plan.disarm();
    return plan.seen();
  };
  {
    Gateway gateway(all_routes(pattern_server.server.endpoint()), plan.environment());
    CHECK(seen(gateway, get_request(1024)) == 0);
    CHECK(seen(gateway, get_request(16 * kibibyte)) == 0);
    CHECK(seen(gateway, post("/", 16 * kibibyte) + first(16 * kibibyte)) == 0);
    CHECK(seen(gateway, get_request(4 * mebibyte)) > 0);
    CHECK(seen(gateway, post("/", 4 * mebibyte) + first(4 * mebibyte)) > 0);
  }
  Gateway gateway(all_routes(echo.endpoint()), plan.environment());
  CHECK(seen(gateway, "GET /bytes/4000000 HTTP/1.1\r\nhost: a\r\n\r\n") > 0);
  CHECK(seen(gateway, "GET /chunked/4000000 HTTP/1.1\r\nhost: a\r\n\r\n") == 0);
}

TEST_CASE("after one long message the next one of its connections is spliced behind its head") {
  constexpr size_t length = 100 * kibibyte;  // one read takes all of it
  SharedPlan plan;
  PatternServer backend;
  Gateway gateway(all_routes(backend.server.endpoint()), plan.environment());
  Client client(gateway.port());
  SUBCASE("answers") {
    client.send(get_request(mebibyte));
    CHECK(client.read_response().body == first(mebibyte));
    plan.count(Call::splice);
    client.send(get_request(length));
    CHECK(client.read_response().body == first(length));
  }
  SUBCASE("requests") {
    client.send(post("/", mebibyte) + first(mebibyte));
    CHECK(client.read_response().body == "ok");
    plan.count(Call::splice);
    client.send(post("/", length) + first(length));
    CHECK(client.read_response().body == "ok");
  }
  plan.disarm();
  CHECK(plan.seen() > 0);
}

// The first read of these is short: it ends in the head, with it, with the message, or within the body.
TEST_CASE("after a long message the next ones arrive byte for byte, whatever their length") {
  constexpr size_t short_read = 1024;
  const size_t head = post("/", short_read).size(), answer_head = answer(short_read).size();
  PatternServer backend;
  Gateway gateway(all_routes(backend.server.endpoint()));
  Client client(gateway.port());
  for (size_t size : {size_t{0}, size_t{1}, short_read - head - 1, short_read - head, short_read - head + 1,
                      short_read - answer_head, short_read - answer_head + 1, 2 * short_read, threshold - 1,
                      threshold + short_read, 2 * threshold}) {
    CAPTURE(size);
    client.send(get_request(mebibyte));
    CHECK(client.read_response().body == first(mebibyte));
    client.send(get_request(size));
    CHECK(client.read_response().body == first(size));
    client.send(post("/", mebibyte) + first(mebibyte));
    CHECK(client.read_response().body == "ok");
    client.send(post("/", size) + first(size) + get_request(5));
    CHECK(client.read_response().body == "ok");
    CHECK(client.read_response().body == first(5));
    client.send(post("/", mebibyte) + first(mebibyte));
    CHECK(client.read_response().body == "ok");
    const std::string long_head =
        "GET /7 HTTP/1.1\r\nhost: a\r\nx: " + std::string(size % 3000, 'x') + "\r\n\r\n";
    client.send(long_head + long_head);
    CHECK(client.read_response().body == first(7));
    CHECK(client.read_response().body == first(7));
  }
}

TEST_CASE("what no pipe can be had for is copied") {
  SharedPlan plan;
  PatternServer backend;
  Gateway gateway(all_routes(backend.server.endpoint()), plan.environment());
  Client client(gateway.port());
  plan.arm(Call::pipe2, EMFILE, 1, 1'000'000);
  client.send(get_request(10 * mebibyte));
  CHECK(client.read_response().body == pattern());
  client.send(post("/", 10 * mebibyte) + pattern());
  CHECK(client.read_response().body == "ok");
  CHECK(plan.disarm() > 0);
}

TEST_CASE("ten megabytes go both ways at once") {
  Backend backend;
  Gateway gateway(all_routes(backend.endpoint()));
  Client client(gateway.port());
  auto sent = std::async(std::launch::async, [&] { client.send(post("/echo", 10 * mebibyte) + pattern()); });
  CHECK(client.read_response().body == pattern());
  sent.get();
}

TEST_CASE("what follows a body never goes with it") {
  SUBCASE("the client's next request") {
    PatternServer backend;
    Gateway gateway(all_routes(backend.server.endpoint()));
    Client client(gateway.port());
    auto sent = std::async(std::launch::async, [&] {
      client.send(post("/", 4 * mebibyte) + first(4 * mebibyte) + get_request(3) + get_request(300'000));
    });
    CHECK(client.read_response().body == "ok");
    CHECK(client.read_response().body == first(3));
    CHECK(client.read_response().body == first(300'000));
    sent.get();
  }
  SUBCASE("bytes that nobody asked the backend for") {
    Begun begun(0);
    auto sent = std::async(std::launch::async, [&] {  // the kernels on the way may not hold all of it
      begun.backend->send(pattern());
      begun.backend->send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nnever");
    });
    CHECK(begun.client.read_response().body == pattern());
    sent.get();
    CHECK(begun.backend->at_end());
    begun.client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    auto second = begun.port.accept();
    second->read_through("\r\n\r\n");
    second->send(answer(2) + "ok");
    CHECK(begun.client.read_response().body == "ok");
  }
}

TEST_CASE("a client that reads slowly holds back its backend and gets everything") {
  PatternServer backend;
  Gateway gateway(all_routes(backend.server.endpoint()));
  Client client(gateway.port());
  read_slowly(client);
  client.send(get_request(10 * mebibyte));
  client.read_head();
  std::string body;
  while (body.size() < 10 * mebibyte)
    body += client.read(std::min<size_t>(50'000, 10 * mebibyte - body.size()));
  CHECK(body == pattern());
  client.send(get_request(7));
  CHECK(client.read_response().body == first(7));
}

TEST_CASE("a backend that takes slowly holds back its client and gets everything") {
  const std::string body = pattern() + pattern() + pattern();
  ListeningPort port(16 * 1024);
  Gateway gateway(all_routes(port.endpoint()));
  Client client(gateway.port());
  client.send(post("/", body.size()));
  auto backend = port.accept();
  backend->read_through("\r\n\r\n");
  const size_t sent = stuff(gateway, client, body);
  CHECK(sent < body.size());
  auto rest = std::async(std::launch::async, [&] { client.send(std::string_view(body).substr(sent)); });
  CHECK(backend->read(body.size()) == body);
  rest.get();
  backend->send("HTTP/1.1 204 No Content\r\n\r\n");
  CHECK(client.read_response().status == 204);
}

TEST_CASE("either side that goes in the middle of an answer takes the other along") {
  SUBCASE("the client resets") {
    Begun begun(mebibyte);
    begun.client.read_head();
    begun.client.read(700'000);
    begun.client.reset();
    CHECK_THROWS_AS(begun.backend->read(1), Failure);
  }
  SUBCASE("the client resets while a pipe waits for it") {
    Begun begun(0);
    stuff(begun.gateway, *begun.backend, pattern());
    begun.client.reset();
    CHECK_THROWS_AS(begun.backend->read(1), Failure);
  }
  SUBCASE("the backend resets") {
    Begun begun(mebibyte);
    begun.client.read_head();
    CHECK(begun.client.read(mebibyte) == first(mebibyte));
    begun.backend->reset();
    CHECK(begun.client.at_end());
  }
  SUBCASE("the backend closes too early") {
    Begun begun(mebibyte);
    begun.backend.reset();
    begun.client.read_head();
    const std::string got = begun.client.read_to_end();
    CHECK(got == first(mebibyte));
  }
}

TEST_CASE("either side that goes in the middle of a request takes the other along") {
  ListeningPort port;
  Gateway gateway(all_routes(port.endpoint()));
  Client client(gateway.port());
  client.send(post("/", 10 * mebibyte));
  auto backend = port.accept();
  backend->read_through("\r\n\r\n");
  client.send(first(mebibyte));
  CHECK(backend->read(mebibyte) == first(mebibyte));
  SUBCASE("the client resets") {
    client.reset();
    CHECK(backend->at_end());
  }
  SUBCASE("the client closes") {
    client.end_sending();
    CHECK(backend->at_end());
  }
  SUBCASE("the backend resets") {
    backend->reset();
    CHECK(client.read_response().status == 502);
  }
  SUBCASE("the backend answers and resets") {
    backend->send("HTTP/1.1 413 Content Too Large\r\ncontent-length: 4\r\n\r\nmuch");
    CHECK(client.read_response().body == "much");
    CHECK(client.at_end());
  }
}

TEST_CASE("limits strike within long bodies as they do within short ones") {
  SUBCASE("a client that takes nothing") {
    Begun begun(0, ", send_timeout: 500ms");
    stuff(begun.gateway, *begun.backend, pattern());
    await_reached(begun.gateway, "send_timeout", 1);
    CHECK_THROWS_AS(begun.backend->read(1), Failure);
  }
  SUBCASE("a client that stops sending") {
    ListeningPort port;
    Gateway gateway(all_routes(port.endpoint(), ", body_timeout: 300ms, rate_grace: 200ms"));
    Client client(gateway.port());
    client.send(post("/", 10 * mebibyte));
    auto backend = port.accept();
    backend->read_through("\r\n\r\n");
    client.send(first(mebibyte));
    CHECK(backend->read(mebibyte) == first(mebibyte));
    CHECK(client.read_response().status == 408);
    CHECK(backend->at_end());
  }
}

TEST_CASE("aborted transfers leave neither pipes nor memory behind") {
  PatternServer backend;
  Gateway gateway(all_routes(backend.server.endpoint()));
  {
    Client client(gateway.port());
    client.send(get_request(10 * mebibyte));
    CHECK(client.read_response().body == pattern());
  }
  const auto at_rest = [&] {
    return metric(gateway, "http_server_active_requests") + metric(gateway, "http_server_open_connections") ==
           0;
  };
  await("nobody is connected", at_rest);
  const size_t before = gateway.open_descriptors();
  for (int i = 0; i < 50; ++i) {
    Client client(gateway.port());
    client.send(get_request(10 * mebibyte));
    client.read_head();
    if (i % 2) client.read(mebibyte);
    client.reset();
  }
  await("nobody is connected", at_rest);
  await("no descriptor stays behind", [&] { return gateway.open_descriptors() <= before; });
  CHECK(metric(gateway, "penstock_buffered_bytes") < 64.0 * kibibyte);
  CHECK(get(gateway.port(), "/1000").body == first(1000));
}

TEST_CASE("spliced bytes are in the access log") {
  PatternServer backend;
  Gateway gateway(all_routes(backend.server.endpoint()));
  Client client(gateway.port());
  client.send(get_request(3'000'000));
  client.read_response();
  client.send(post("/", 2'000'000) + first(2'000'000));
  client.read_response();
  CHECK(gateway.stop(SIGTERM) == 0);
  const std::string log = gateway.folder().read("access.log");
  const size_t line = log.find('\n');
  auto down = nlohmann::json::parse(log.substr(0, line), nullptr, false);
  auto up = nlohmann::json::parse(log.substr(line + 1), nullptr, false);
  REQUIRE(down.is_object());
  REQUIRE(up.is_object());
  CHECK(down["http.response.body.size"] == 3'000'000);
  CHECK(up["http.request.body.size"] == 2'000'000);
}
