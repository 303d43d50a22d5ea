// Hostile masses: slow clients by the thousand, no descriptors left, no memory left. Others are served all
// the time, what is held stays under its bound, and all is well again when the pressure ends.
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/listening_port.h"
#include "e2e/harness/memory.h"
#include "e2e/harness/metrics.h"
#include "e2e/harness/waiting.h"

using namespace e2e;

namespace {

constexpr long patient_cpu_ms = sanitized ? 1'500 : 700;

std::string configuration(const Backend& backend, const std::string& limits,
                          const std::string& process = {}) {
  return "schema: 1\nworkers: 2\naccess_log: none\nstatus: { address: \"127.0.0.1:0\" }\n" + process +
         "drain: { accept_for: 0s, timeout: 1s }\n"
         "listeners: [{ name: http, address: \"127.0.0.1:0\", limits: { " +
         limits +
         " } }]\n"
         "routes: [{ name: all, match: { path_prefix: / }, public: true, upstream: u }]\n"
         "upstreams: { u: { endpoints: \"" +
         backend.endpoint() + "\" } }\n";
}

bool served(uint16_t port) {
  try {
    return get(port, "/r").status == 200;
  } catch (const std::exception&) {
    return false;  // refused while there is no room
  }
}

using Clients = std::vector<std::unique_ptr<Client>>;

void add(Clients& clients, uint16_t port, size_t count, const std::string& say) {
  for (size_t i = 0; i < count; ++i) {
    clients.push_back(std::make_unique<Client>(port));
    if (!say.empty()) clients.back()->send(say);
  }
}

// User and system time of the process so far, in ms.
long cpu_ms(Gateway& gateway) {
  std::ifstream file("/proc/" + std::to_string(gateway.process().pid()) + "/stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  std::istringstream rest(text.substr(text.rfind(')') + 2));
  std::string word;
  long user = 0, system = 0;
  for (int field = 3; field <= 13; ++field) rest >> word;
  rest >> user >> system;
  return (user + system) * 1000 / ::sysconf(_SC_CLK_TCK);
}

void allow_descriptors(Gateway& gateway, size_t count) {
  rlimit files{};
  REQUIRE(::prlimit(gateway.process().pid(), RLIMIT_NOFILE, nullptr, &files) == 0);
  files.rlim_cur = count;
  REQUIRE(::prlimit(gateway.process().pid(), RLIMIT_NOFILE, &files, nullptr) == 0);
}

const std::string slow_head = "GET /r HTTP/1.1\r\nhost: a\r\nx-slow: " + std::string(100, 's');

double evicted(const Gateway& gateway) {
  return metric(gateway, "penstock_listener_evicted_connections_total{listener=\"http\"}");
}

}  // namespace

TEST_CASE("2,000 slow heads cost at most 5 KiB each, and others are served meanwhile") {
  Backend backend;
  std::string head = slow_head;
  SUBCASE("small ones") {}
  SUBCASE("of 2 KB") { head += std::string(1'900, 's'); }
  Gateway gateway(configuration(backend, "header_timeout: 10m"));
  for (int i = 0; i < 50; ++i) REQUIRE(served(gateway.port()));
  size_t before = gateway.resident_bytes();
  Clients slow;
  add(slow, gateway.port(), 2'000, head);
  await("all are open", [&] { return metric(gateway, "http_server_open_connections") >= 2'000; });
  for (int i = 0; i < 50; ++i) CHECK(served(gateway.port()));
  CHECK(gateway.resident_bytes() - before <= 2'000 * 5 * kibibyte * memory_factor);
}

TEST_CASE("a house full of slow heads makes room for newcomers") {
  Backend backend;
  Gateway gateway(configuration(backend, "header_timeout: 10m, max_connections: 200"));
  Clients slow;
  add(slow, gateway.port(), 200, slow_head);
  await("all are open", [&] { return metric(gateway, "http_server_open_connections") == 200; });
  await("a newcomer is served", [&] { return served(gateway.port()); });
  CHECK(evicted(gateway) > 0);
  for (int i = 0; i < 20; ++i) CHECK(served(gateway.port()));
  CHECK(metric(gateway, "http_server_open_connections") <= 200);
}

TEST_CASE("a house full of silent bodies makes room for newcomers too") {
  Backend backend;
  Gateway gateway(configuration(backend, "max_connections: 100, body_timeout: 10m, min_body_rate: none"));
  Clients slow;
  add(slow, gateway.port(), 100, "POST /r HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhello");
  await("all are requests", [&] { return metric(gateway, "http_server_active_requests") == 100; });
  await("a newcomer is served", [&] { return served(gateway.port()); });
  CHECK(evicted(gateway) > 0);
  for (int i = 0; i < 20; ++i) CHECK(served(gateway.port()));
}

TEST_CASE("a house full of clients that do not read makes room, too") {
  Backend backend;
  Gateway gateway(configuration(backend, "max_connections: 50, send_timeout: 10m, min_send_rate: none"));
  Clients deaf;
  add(deaf, gateway.port(), 50, "GET /bytes/104857600 HTTP/1.1\r\nhost: a\r\n\r\n");
  await("all are requests", [&] { return metric(gateway, "http_server_active_requests") == 50; });
  await("a newcomer is served", [&] { return served(gateway.port()); });
  CHECK(evicted(gateway) > 0);
  for (int i = 0; i < 5; ++i) CHECK(served(gateway.port()));
  CHECK(metric(gateway, "http_server_open_connections") <= 50);
}

TEST_CASE("slow bodies by the thousand are ended by their rate, while others are served") {
  Backend backend;
  Gateway gateway(configuration(backend, "body_timeout: 10m, min_body_rate: 1KiB/s, rate_grace: 1s"));
  Clients slow;
  add(slow, gateway.port(), 1'000, "POST /r HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\nx");
  for (int i = 0; i < 20; ++i) CHECK(served(gateway.port()));
  for (auto& client : slow) CHECK(client->read_response().status == 408);
  await("all is free", [&] { return metric(gateway, "http_server_active_requests") == 0; });
  await("backends too", [&] { return metric(gateway, "http_client_open_connections") <= 64; });
  CHECK(reached(gateway, "min_body_rate") == 1'000);
}

TEST_CASE("out of descriptors: no busy loop, idle connections make room, and all is well afterwards") {
  Backend backend;
  Gateway gateway(configuration(backend, "idle_timeout: 10m"));
  REQUIRE(served(gateway.port()));
  bool by_mark = false;
  SUBCASE("found at accept") {}
  SUBCASE("seen before, by the number of the descriptor") { by_mark = true; }
  size_t most = gateway.open_descriptors() + 60;
  allow_descriptors(gateway, most);
  if (by_mark)
    REQUIRE(gateway.reload(configuration(backend, "idle_timeout: 10m")).find("reloaded") !=
            std::string::npos);
  Clients idle;
  add(idle, gateway.port(), 100, "");
  // There are more of them than descriptors: who came first has to go.
  await("idle connections make room", [&] { return evicted(gateway) > 0; });
  long before = cpu_ms(gateway);
  await("a newcomer is served", [&] { return served(gateway.port()); });
  CHECK(cpu_ms(gateway) - before < patient_cpu_ms);
  CHECK(reached(gateway, "descriptors") > 0);
  idle.clear();
  await("all is well", [&] { return served(gateway.port()); });
  for (int i = 0; i < 20; ++i) CHECK(served(gateway.port()));
}

TEST_CASE("clients that keep us waiting make room for connections to backends, too") {
  Backend backend;
  Gateway gateway(configuration(backend, "idle_timeout: 10m, header_timeout: 10m"));
  REQUIRE(served(gateway.port()));
  const size_t most = gateway.open_descriptors() + 100;
  allow_descriptors(gateway, most);
  REQUIRE(gateway.reload(configuration(backend, "idle_timeout: 10m, header_timeout: 10m")).find("reloaded") !=
          std::string::npos);
  Clients silent, busy;
  add(silent, gateway.port(), 150, "");
  await("only what is kept for backends is left", [&] { return evicted(gateway) > 0; });
  // More than that: each takes a descriptor for itself and one for its backend.
  add(busy, gateway.port(), most / 8 + 10, "GET /drip?n=1&ms=3600000 HTTP/1.1\r\nhost: a\r\n\r\n");
  for (auto& client : busy) CHECK(client->read_head().status == 200);
}

TEST_CASE("no descriptor for a backend is 503 and not the backend's fault") {
  Backend backend;
  Gateway gateway(configuration(backend, "idle_timeout: 10m"));
  Client client(gateway.port());
  client.send("GET /close HTTP/1.1\r\nhost: a\r\n\r\n");  // the client's connection is there, no other is
  client.read_response();
  await("no backend connection", [&] { return metric(gateway, "http_client_open_connections") == 0; });
  allow_descriptors(gateway, 3);
  for (int i = 0; i < 10; ++i) {
    client.send("GET /r HTTP/1.1\r\nhost: a\r\n\r\n");
    Response response = client.read_response();
    CHECK(response.status == 503);
    CHECK(response.body.find("\"overload\"") != std::string::npos);
  }
  allow_descriptors(gateway, 1'000);
  client.send("GET /r HTTP/1.1\r\nhost: a\r\n\r\n");
  CHECK(client.read_response().status == 200);  // the endpoint did not rest
}

TEST_CASE("slow readers in masses stay under the bound on memory, and others are answered") {
  Backend backend;
  Gateway gateway(configuration(backend, "send_timeout: 10m", "limits: { buffered: 16MiB }\n"));
  for (int i = 0; i < 50; ++i) REQUIRE(served(gateway.port()));
  size_t before = gateway.resident_bytes();
  Clients slow;
  for (int round = 0; round < 10; ++round) {
    add(slow, gateway.port(), 50, "GET /bytes/104857600 HTTP/1.1\r\nhost: a\r\n\r\n");
    await("somebody is answered", [&] { return served(gateway.port()); });
    CHECK(metric(gateway, "penstock_buffered_bytes") < 20.0 * mebibyte);
  }
  CHECK(gateway.resident_bytes() - before < 48 * mebibyte * memory_factor);
  slow.clear();
  await("all is free", [&] { return metric(gateway, "penstock_buffered_bytes") < 1.0 * mebibyte; });
  for (int i = 0; i < 20; ++i) CHECK(served(gateway.port()));
}

TEST_CASE("short of memory, connections of HTTP/2 that are idle are asked to go before their time") {
  using namespace std::string_literals;
  ListeningPort deaf(4096);  // it accepts nothing
  Gateway gateway(
      "schema: 1\nworkers: 2\naccess_log: none\nstatus: { address: \"127.0.0.1:0\" }\n"
      "limits: { buffered: 16MiB }\ndrain: { accept_for: 0s, timeout: 1s }\n"
      "listeners: [{ name: http, address: \"127.0.0.1:0\", protocols: [h2, http/1.1],\n"
      "  limits: { body_timeout: 10m, min_body_rate: none, idle_timeout: 40s } }]\n"
      "routes:\n"
      "  - { name: deaf, match: { path_prefix: /deaf }, public: true, upstream: deaf }\n"
      "  - { name: here, match: { path_prefix: / }, public: true, respond: { status: 200 } }\n"
      "upstreams: { deaf: { endpoints: \"" +
      deaf.endpoint() + "\" } }\n");
  Client idle(gateway.port());
  idle.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"s + "\0\0\0\4\0\0\0\0\0"s);
  idle.send("\0\0\6\1\5\0\0\0\1\x82\x86\x84\x41\1a"s);  // GET http://a/
  idle.read_through("\x88");                            // :status 200
  Clients uploads;
  add(uploads, gateway.port(), 250,
      "POST /deaf HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n7a1200\r\n" +
          std::string(64 * kibibyte, 'b'));
  await("memory is short", [&] { return metric(gateway, "penstock_buffered_bytes") > 8.0 * mebibyte; });
  const std::string heard = idle.read_to_end();  // long before 40 s are over: it waits for 30
  CHECK(heard.find("\0\0\x08\7\0\0\0\0\0\0\0\0\1\0\0\0\0"s) != std::string::npos);  // GOAWAY, NO_ERROR
}

TEST_CASE("uploads in masses that no backend takes stay under the bound too, and others are answered") {
  Backend backend;
  ListeningPort deaf(4096);  // it accepts nothing
  Gateway gateway(
      "schema: 1\nworkers: 2\naccess_log: none\nstatus: { address: \"127.0.0.1:0\" }\n"
      "limits: { buffered: 16MiB }\ndrain: { accept_for: 0s, timeout: 1s }\n"
      "listeners: [{ name: http, address: \"127.0.0.1:0\", limits: { body_timeout: 10m, "
      "min_body_rate: none } }]\n"
      "routes:\n"
      "  - { name: deaf, match: { path_prefix: /deaf }, public: true, upstream: deaf }\n"
      "  - { name: all, match: { path_prefix: / }, public: true, upstream: u }\n"
      "upstreams:\n  u: { endpoints: \"" +
      backend.endpoint() + "\" }\n  deaf: { endpoints: \"" + deaf.endpoint() + "\" }\n");
  for (int i = 0; i < 50; ++i) REQUIRE(served(gateway.port()));
  size_t before = gateway.resident_bytes();
  const std::string piece(16 * kibibyte, 'b');
  std::string framing = "content-length: 8000000\r\n\r\n";
  bool copied = false;  // what is spliced waits in the kernel's buffers, and little of it in ours
  SUBCASE("of known length") {}
  SUBCASE("in one large chunk") {
    framing = "transfer-encoding: chunked\r\n\r\n7a1200\r\n";
    copied = true;
  }
  const std::string head = "POST /deaf HTTP/1.1\r\nhost: a\r\n" + framing;
  Clients uploads;
  for (int round = 0; round < 8; ++round) {
    size_t first = uploads.size();
    add(uploads, gateway.port(), 250, head);
    for (size_t part = 0; part < 16; ++part)
      for (size_t i = first; i < uploads.size(); ++i) {
        try {
          uploads[i]->send_some(piece);
        } catch (const std::exception&) {  // it was ended to make room
        }
      }
    await("somebody is answered", [&] { return served(gateway.port()); });
    // One turn of the loop may read from all of them before the first one is ended.
    CHECK(metric(gateway, "penstock_buffered_bytes") < 32.0 * mebibyte);
    await("room is made", [&] { return metric(gateway, "penstock_buffered_bytes") < 20.0 * mebibyte; });
  }
  if (copied) await("the bound is reached", [&] { return reached(gateway, "buffered") > 0; });
  CHECK(gateway.resident_bytes() - before < 48 * mebibyte * memory_factor);
  uploads.clear();
  await("all is free", [&] { return metric(gateway, "penstock_buffered_bytes") < 1.0 * mebibyte; });
  for (int i = 0; i < 20; ++i) CHECK(served(gateway.port()));
}

TEST_CASE("a client that does not read costs a few buffers, and its backend is released when it goes") {
  Backend backend;
  Gateway gateway(configuration(backend, "send_timeout: 10m"));
  REQUIRE(served(gateway.port()));
  size_t before = gateway.resident_bytes();
  Clients deaf;
  add(deaf, gateway.port(), 8, "GET /bytes/1073741824 HTTP/1.1\r\nhost: a\r\n\r\n");
  for (auto& client : deaf) CHECK(client->read_head().status == 200);
  for (int i = 0; i < 20; ++i) CHECK(served(gateway.port()));
  CHECK(gateway.resident_bytes() - before < 8 * mebibyte * memory_factor);
  deaf.clear();
  await("its backend is free", [&] { return metric(gateway, "http_server_active_requests") == 0; });
}

TEST_CASE("a tunnel that is not read costs a few buffers too, both ways") {
  Backend backend;
  Gateway gateway(configuration(backend, "send_timeout: 10m"));
  REQUIRE(served(gateway.port()));
  size_t before = gateway.resident_bytes();
  Client client(gateway.port());
  client.send(
      "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
      "sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n");
  REQUIRE(client.read_head().status == 101);
  // A masked binary frame of 64,000 bytes, over and over; its echo is not read.
  const std::string frame = std::string("\x82\xfe\xfa\x00\x00\x00\x00\x00", 8) + std::string(64'000, 'f');
  size_t sent = 0, at = 0;
  for (int stuck = 0; sent < 256 * mebibyte && stuck < 50;) {
    size_t part = client.send_some(std::string_view(frame).substr(at));
    at = (at + part) % frame.size();
    sent += part;
    stuck = part == 0 ? stuck + 1 : 0;
    if (part == 0) CHECK(served(gateway.port()));
  }
  CHECK(sent < 256 * mebibyte);  // the pressure has come back to the client
  CHECK(gateway.resident_bytes() - before < 8 * mebibyte * memory_factor);
}
