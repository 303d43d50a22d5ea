// The n-th system call fails, n = 1, 2, 3, ... until an exchange goes through untouched. After each step the
// client has a right answer, a clear 502 or 503, or a transfer that is visibly broken; the next request is
// served; at the end nothing is left open.
#include <doctest/doctest.h>
#include <unistd.h>

#include <cerrno>
#include <functional>

#include "e2e/harness/client.h"
#include "e2e/harness/fault_plan.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/waiting.h"

using namespace e2e;
using faults::Call;
using faults::Plan;

namespace {

struct World {
  Backend one{"one"}, two{"two"};
  SharedPlan plan;
  TempFolder certificates;
  std::unique_ptr<Gateway> gateway;

  // max_idle 0: every request connects anew.
  explicit World(int max_idle) {
    Ran made = run({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                    "-nodes", "-days", "2", "-subj", "/CN=t", "-keyout", certificates.file("t.key"), "-out",
                    certificates.file("t.crt")});
    REQUIRE(made.exit_code == 0);
    gateway = std::make_unique<Gateway>(
        basics("  - { name: https, address: \"127.0.0.1:0\", tls: { certificates: [{ cert: " +
               certificates.file("t.crt") + ", key: " + certificates.file("t.key") +
               " }] } }\n"
               "routes: [{ name: all, match: { path_prefix: / }, public: true, upstream: u }]\n"
               "upstreams: { u: { endpoints: [\"" +
               one.endpoint() + "\", \"" + two.endpoint() +
               "\"], keepalive: { max_idle: " + std::to_string(max_idle) + " } } }\n"),
        plan.environment());
  }
  uint16_t port() const { return gateway->port(); }
  // A request of its own beside all that is broken.
  void check_served() const { CHECK(get(port(), "/status/200").status == 200); }
  double metric(const std::string& name) const {
    std::string text = get(gateway->status_port(), "/metrics").body;
    size_t at = text.find("\n" + name + " ");
    REQUIRE(at != std::string::npos);
    return std::stod(text.substr(at + name.size() + 2));
  }
};

struct Wrong : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// One of the three; throws Wrong for anything else. A Failure means that the transfer broke, unless nobody
// said anything for too long.
using Exchange = std::function<void(World&, SharedPlan& plan, const std::function<void()>& arm)>;

void judge(const Response& response, const std::string& right) {
  if (response.status == 502 || response.status == 503) return;
  if (response.status != 200) throw Wrong("answered with " + std::to_string(response.status));
  if (response.body != right) throw Wrong("a wrong body that looks whole");
}

std::string letters(size_t size) {
  std::string out;
  for (size_t i = 0; i < size; ++i) out += static_cast<char>('a' + i * 7 % 26);
  return out;
}

void plain(World& world, SharedPlan&, const std::function<void()>& arm) {
  arm();
  Client client(world.port());
  client.send("GET /status/200 HTTP/1.1\r\nhost: a\r\n\r\n");
  judge(client.read_response(), "status\n");
}

void second_on_connection(World& world, SharedPlan&, const std::function<void()>& arm) {
  Client client(world.port());
  client.send("GET /status/200 HTTP/1.1\r\nhost: a\r\n\r\n");
  judge(client.read_response(), "status\n");
  arm();
  client.send("GET /status/200 HTTP/1.1\r\nhost: a\r\n\r\n");
  judge(client.read_response(), "status\n");
}

void upload(World& world, SharedPlan&, const std::function<void()>& arm) {
  static const std::string body = letters(20'000);
  arm();
  Client client(world.port());
  client.send("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: " + std::to_string(body.size()) +
              "\r\n\r\n" + body);
  judge(client.read_response(), body);
}

void long_upload(World& world, SharedPlan&, const std::function<void()>& arm) {
  static const std::string body = letters(400'000);
  arm();
  Client client(world.port());
  client.send("POST /count HTTP/1.1\r\nhost: a\r\ncontent-length: " + std::to_string(body.size()) +
              "\r\n\r\n" + body);
  const Response response = client.read_response();
  judge(response, response.body);
  if (response.status == 200 && response.body.find("\"body_length\":400000") == std::string::npos)
    throw Wrong("a body that the backend has not got");
}

void long_download(World& world, SharedPlan&, const std::function<void()>& arm) {
  static const std::string right = get(world.port(), "/bytes/400000").body;
  arm();
  Client client(world.port());
  client.send("GET /bytes/400000 HTTP/1.1\r\nhost: a\r\n\r\n");
  judge(client.read_response(), right);
}

void chunks(World& world, SharedPlan&, const std::function<void()>& arm) {
  arm();
  Client client(world.port());
  client.send("PUT /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
  client.send("6\r\n world\r\n0\r\n\r\n");
  judge(client.read_response(), "hello world");
}

void over_tls(World& world, SharedPlan&, const std::function<void()>& arm) {
  arm();
  Ran ran = run({"curl", "-sS", "-k", "--max-time", "30", "-w", "\n%{http_code}",
                 "https://127.0.0.1:" + std::to_string(world.gateway->port("https")) + "/bytes/5000"});
  if (ran.exit_code == 28) throw Wrong("curl waited in vain");
  if (ran.exit_code != 0) throw Failure("curl: " + ran.err);
  if (ran.out.ends_with("\n502") || ran.out.ends_with("\n503")) return;
  if (!ran.out.ends_with("\n200") || ran.out.size() != 5'004) throw Wrong("a wrong body that looks whole");
}

void web_socket(World& world, SharedPlan&, const std::function<void()>& arm) {
  arm();
  Client client(world.port());
  client.send(
      "GET /socket HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
      "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
  Response response = client.read_head();
  if (response.status == 502 || response.status == 503) return;
  if (response.status != 101) throw Wrong("answered with " + std::to_string(response.status));
  if (response.header("sec-websocket-accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") throw Wrong("another's 101");
  client.send(std::string("\x81\x85\0\0\0\0hello", 11));  // masked with zeros
  if (client.read(7) != "\x81\x05hello") throw Wrong("a wrong frame");
}

struct Fault {
  const char* name;
  Call call;
  int error;
  uint32_t times = 1;
};
constexpr Fault faults_tried[] = {
    {"recv: EINTR", Call::recv, EINTR, 2},
    {"recv: EAGAIN", Call::recv, EAGAIN},
    {"recv: ECONNRESET", Call::recv, ECONNRESET},
    {"recv: ENOMEM", Call::recv, ENOMEM},
    {"recv: the end", Call::recv, Plan::end},
    {"recv: one byte", Call::recv, Plan::one_byte, 50},
    {"send: EINTR", Call::send, EINTR, 2},
    {"send: EAGAIN", Call::send, EAGAIN, 2},
    {"send: EPIPE", Call::send, EPIPE},
    {"send: ECONNRESET", Call::send, ECONNRESET},
    {"send: ENOBUFS", Call::send, ENOBUFS},
    {"send: one byte", Call::send, Plan::one_byte, 50},
    {"connect: ECONNREFUSED", Call::connect, ECONNREFUSED},
    {"connect: EADDRNOTAVAIL, always", Call::connect, EADDRNOTAVAIL, 1000},
    {"connect: EINTR", Call::connect, EINTR},
    {"accept4: ECONNABORTED", Call::accept4, ECONNABORTED, 3},
    {"accept4: EINTR", Call::accept4, EINTR, 3},
    {"accept4: EMFILE", Call::accept4, EMFILE, 2},
    {"socket: EMFILE", Call::socket, EMFILE},
    {"socket: ENOBUFS, always", Call::socket, ENOBUFS, 1000},
    {"splice: EINTR", Call::splice, EINTR, 2},
    {"splice: EAGAIN", Call::splice, EAGAIN},
    {"splice: ECONNRESET", Call::splice, ECONNRESET},
    {"splice: EPIPE", Call::splice, EPIPE},
    {"splice: one byte", Call::splice, Plan::one_byte, 50},
    {"splice: EINVAL", Call::splice, EINVAL},  // the last: nothing is spliced for a while
    {"pipe2: EMFILE", Call::pipe2, EMFILE},
    {"epoll: ENOSPC", Call::epoll_add, ENOSPC},
    {"epoll: ENOMEM, always", Call::epoll_add, ENOMEM, 1000},
};

// How often the fault struck; 0: the exchange went through untouched.
uint32_t step(World& world, const Exchange& exchange, const Fault& fault, uint32_t at) {
  try {
    exchange(world, world.plan, [&] { world.plan.arm(fault.call, fault.error, at, fault.times); });
    return world.plan.disarm();
  } catch (const Failure& failure) {
    uint32_t struck = world.plan.disarm();
    CHECK(std::string(failure.what()) != "the peer is silent");
    CHECK(struck > 0);
    return std::max(1u, struck);
  } catch (const Wrong& wrong) {
    uint32_t struck = world.plan.disarm();
    FAIL_CHECK(wrong.what());
    return std::max(1u, struck);
  }
}

enum class Bodies : uint8_t { short_ones, long_ones };

void try_all(const Exchange& exchange, int max_idle, Bodies bodies = Bodies::short_ones) {
  World world(max_idle);
  world.check_served();
  size_t descriptors = world.gateway->open_descriptors();
  for (const Fault& fault : faults_tried) {
    INFO("fault: ", std::string(fault.name));
    uint32_t at = 1;
    while (step(world, exchange, fault, at) > 0) {
      CAPTURE(at);
      world.check_served();
      REQUIRE(++at < 300);
    }
    // With a connection at hand nobody connects.
    if (fault.call == Call::pipe2) continue;  // there may be one
    if (fault.call == Call::splice)
      CHECK((at > 1) == (bodies == Bodies::long_ones));
    else if (max_idle == 0 || fault.call == Call::recv || fault.call == Call::send)
      CHECK(at > 1);
  }
  while (world.metric("http_server_active_requests") + world.metric("http_server_open_connections") +
             world.metric("penstock_active_tunnels") >
         0) {}
  // What stays are idle connections to the two backends, on each of the two workers, and the pipe of each.
  constexpr size_t pipes = 2 * 2;
  double idle = world.metric("http_client_open_connections");
  size_t most = descriptors + static_cast<size_t>(idle) + pipes;
  auto until = Clock::now() + patience;  // the connection of the last question is about to go
  while (world.gateway->open_descriptors() > most && left_ms(until) > 0) {}
  CHECK(world.gateway->open_descriptors() <= most);
}

}  // namespace

TEST_CASE("every system call of a request may fail") { try_all(plain, 0); }
TEST_CASE("every system call of a request on kept connections may fail") {
  try_all(second_on_connection, 64);
}
TEST_CASE("every system call of an upload may fail") { try_all(upload, 0); }
TEST_CASE("every system call of a long upload may fail") { try_all(long_upload, 64, Bodies::long_ones); }
TEST_CASE("every system call of a long download may fail") { try_all(long_download, 64, Bodies::long_ones); }
TEST_CASE("every system call of a chunked request may fail") { try_all(chunks, 64); }
TEST_CASE("every system call of a request over TLS may fail") { try_all(over_tls, 0); }
TEST_CASE("every system call of a WebSocket may fail") { try_all(web_socket, 0); }
