// Active health checks of the real daemon: backends that say they are ill, that die and come back, and those
// that answer a check with whatever comes to their mind.
#include <doctest/doctest.h>

#include <atomic>
#include <csignal>
#include <map>
#include <mutex>
#include <set>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/listening_port.h"
#include "e2e/harness/metrics.h"
#include "e2e/harness/wire_server.h"

using namespace e2e;

namespace {

using Conversation = WireServer::Conversation;

std::string quick(const std::string& more) {
  return "{ " + more + ", interval: 50ms, timeout: 5s, healthy: 2, unhealthy: 3 }";
}

std::string configuration(const std::string& endpoints, const std::string& check, int workers = 2,
                          const std::string& upstream = "") {
  return "schema: 1\nworkers: " + std::to_string(workers) +
         "\nstatus: { address: \"127.0.0.1:0\" }\naccess_log: none\n"
         "drain: { accept_for: 0s, timeout: 5s }\n"
         "listeners: [{ name: http, address: \"127.0.0.1:0\" }]\n"
         "routes: [{ name: all, match: { path_prefix: / }, public: true, upstream: u }]\n"
         "upstreams: { u: { endpoints: [" +
         endpoints + "], balance: round_robin, health_check: " + check + upstream + " } }\n";
}

std::string quoted(const std::string& endpoint) { return "\"" + endpoint + "\""; }

std::string up_series(const std::string& endpoint) {
  return "penstock_upstream_endpoint_up{upstream=\"u\",endpoint=\"" + endpoint + "\"}";
}
std::string out_series(const std::string& endpoint, const std::string& reason) {
  return "penstock_upstream_endpoint_out{upstream=\"u\",endpoint=\"" + endpoint + "\",reason=\"check." +
         reason + "\"}";
}
// Out, and for this reason.
void await_out(const Gateway& gateway, const std::string& endpoint, const std::string& reason) {
  await_metric(gateway, up_series(endpoint), 0);
  const std::string all = get(gateway.status_port(), "/metrics").body;
  const size_t at = all.find("\npenstock_upstream_endpoint_out{upstream=\"u\",endpoint=\"" + endpoint + "\"");
  CHECK(all.substr(at + 1, all.find('\n', at + 1) - at - 1) == out_series(endpoint, reason) + " 1");
}
std::string in_state(const std::string& state) {
  return "penstock_upstream_endpoints{upstream=\"u\",state=\"" + state + "\"}";
}
std::string ended(const std::string& result) {
  return "penstock_health_checks_total{upstream=\"u\",result=\"" + result + "\"}";
}

// Of HTTP/1.1, whose health a test decides. Everything but the check is answered with its name.
class Patient {
 public:
  explicit Patient(const std::string& name)
      : name_(name), server_([this](Conversation& talk) { answer(talk); }) {}
  void is(int status) { status_ = status; }
  int asked() const { return asked_; }
  std::string endpoint() const { return server_.endpoint(); }

 private:
  void answer(Conversation& talk) {
    while (!talk.ended) {
      size_t end = talk.received.find("\r\n\r\n", talk.taken);
      if (end == std::string::npos) return;
      bool check = talk.received.compare(talk.taken, 13, "GET /healthz ") == 0;
      talk.taken = end + 4;
      if (check) ++asked_;
      talk.to_send += "HTTP/1.1 " + std::to_string(check ? status_.load() : 200) +
                      " x\r\nContent-Length: " + std::to_string(name_.size()) + "\r\n\r\n" + name_;
    }
  }
  std::string name_;
  std::atomic<int> status_{200}, asked_{0};
  WireServer server_;
};

std::set<std::string> who_answers(const Gateway& gateway) {
  std::set<std::string> names;
  for (int c = 0; c < 10; ++c) {
    Client client(gateway.port());
    for (int i = 0; i < 4; ++i) {
      client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
      Response response = client.read_response();
      names.insert(response.status == 200 ? response.body : std::to_string(response.status));
    }
  }
  return names;
}

using Names = std::set<std::string>;

// A server of python3-grpcio with the health service, which knows shop.Orders; USR1 and USR2 are
// NOT_SERVING and SERVING. `kind` none: it has no health service.
struct GrpcServer {
  explicit GrpcServer(const std::string& port = "0", const std::string& kind = "health")
      : process({"/usr/bin/python3", "-W", "ignore", "-c", R"(
import grpc, signal, sys
from concurrent import futures
status = {'': 1, 'shop.Orders': 1}
def check(request, context):
    name = request[2:].decode() if request else ''
    if name not in status: context.abort(grpc.StatusCode.NOT_FOUND, 'unknown service')
    return bytes([8, status[name]])
class Health(grpc.GenericRpcHandler):
    def service(self, details):
        if sys.argv[2] == 'health' and details.method == '/grpc.health.v1.Health/Check':
            return grpc.unary_unary_rpc_method_handler(check)
def become(value):
    def handler(*unused): status['shop.Orders'] = value; print('is', value, flush=True)
    return handler
signal.signal(signal.SIGUSR1, become(2))
signal.signal(signal.SIGUSR2, become(1))
server = grpc.server(futures.ThreadPoolExecutor(2), options=[('grpc.so_reuseport', 0)])
server.add_generic_rpc_handlers((Health(),))
port = server.add_insecure_port('127.0.0.1:' + sys.argv[1])
if not port: sys.exit('no port')
server.start()
print('port', port, flush=True)
while True: signal.pause()
)",
                 port, kind},
                Process::Read::standard_output) {
    number = process.wait_for_line("port ").substr(5);
  }
  void is(int signal) {
    process.signal(signal);
    process.wait_for_line("is ");
  }
  std::string endpoint() const { return "127.0.0.1:" + number; }
  Process process;
  std::string number;
};

}  // namespace

TEST_CASE(
    "an endpoint that fails its checks gets no request until it passes, with one worker and with four") {
  for (int workers : {1, 4}) {
    CAPTURE(workers);
    Patient one("one"), two("two");
    Gateway gateway(configuration(quoted(one.endpoint()) + ", " + quoted(two.endpoint()),
                                  quick("path: /healthz"), workers));
    await("checks", [&] { return one.asked() > 0 && two.asked() > 0; });
    CHECK(who_answers(gateway) == Names{"one", "two"});
    CHECK(metric(gateway, up_series(one.endpoint())) == 1);

    one.is(503);
    await_metric(gateway, up_series(one.endpoint()), 0);
    CHECK(metric(gateway, out_series(one.endpoint(), "status")) == 1);
    CHECK(metric(gateway, in_state("failing")) == 1);
    CHECK(metric(gateway, in_state("up")) == 1);
    CHECK(who_answers(gateway) == Names{"two"});
    CHECK(gateway.process().wait_for_line("is out").find(
              one.endpoint() + " is out after 3 failed checks: status 503; 1 of 2 left") !=
          std::string::npos);

    // None is left: no request is sent anywhere, and the reason says so.
    two.is(500);
    await_metric(gateway, in_state("failing"), 2);
    Response refused = get(gateway.port(), "/");
    CHECK(refused.status == 503);
    CHECK(refused.body.find("upstream.no_healthy_endpoint") != std::string::npos);

    one.is(200);
    await_metric(gateway, up_series(one.endpoint()), 1);
    gateway.process().wait_for_line(one.endpoint() + " is back after 2 passed checks; 1 of 2 left");
    CHECK(who_answers(gateway) == Names{"one"});
    CHECK(metric(gateway, ended("status")) >= 5);
    CHECK(metric(gateway, ended("passed")) >= 2);
    CHECK(metric(gateway, ended("timeout")) == 0);
  }
}

TEST_CASE("each endpoint is asked once an interval, however many workers there are") {
  for (int workers : {1, 4}) {
    CAPTURE(workers);
    Patient one("one");
    const auto begun = Clock::now();
    Gateway gateway(configuration(quoted(one.endpoint()),
                                  "{ path: /healthz, interval: 100ms, jitter: 0%, timeout: 5s }", workers));
    await("ten checks", [&] { return one.asked() >= 10; });
    const auto asked = one.asked();
    CHECK(asked <= 1 + (Clock::now() - begun) / std::chrono::milliseconds(100));
    CHECK(metric(gateway, ended("passed")) >= asked - 1);
  }
}

TEST_CASE("a backend that is killed goes out, and is back when it was started again") {
  auto one = std::make_unique<Backend>("one");
  Backend two("two");
  const uint16_t port = one->port();
  const std::string endpoint = one->endpoint();
  Gateway gateway(
      configuration(quoted(endpoint) + ", " + quoted(two.endpoint()), quick("path: /status/200")));
  await_metric(gateway, in_state("up"), 2);
  one.reset();
  await_metric(gateway, up_series(endpoint), 0);
  CHECK(metric(gateway, out_series(endpoint, "refused")) == 1);
  for (int i = 0; i < 20; ++i) CHECK(get(gateway.port(), "/").header("x-backend") == "two");
  one = std::make_unique<Backend>("one", "127.0.0.1", port);
  await_metric(gateway, up_series(endpoint), 1);
  std::map<std::string, int> answered;
  for (int i = 0; i < 40; ++i) ++answered[get(gateway.port(), "/").header("x-backend")];
  CHECK(answered["one"] > 5);
  CHECK(answered["two"] > 5);
}

TEST_CASE("what is asked is what was written, and the whole answer decides") {
  std::mutex mutex;
  std::string asked;
  WireServer server([&](Conversation& talk) {
    if (talk.ended || talk.received.find("\r\n\r\n") == std::string::npos) return;
    std::lock_guard lock(mutex);
    asked = talk.received;
    talk.to_send =
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 302 Found\r\nTransfer-Encoding: chunked\r\n\r\n"
        "5\r\nall i\r\n6\r\ns well\r\n0\r\n\r\n";
    talk.piece = 7;
    talk.close = Conversation::Close::after_sending;
  });
  ClosedPort elsewhere;
  Gateway gateway(configuration(
      "\"127.0.0.1:" + std::to_string(elsewhere.port()) + "\"",
      quick("path: \"/up?deep=1\", port: " + std::to_string(server.port()) +
            ", host: internal.example, method: OPTIONS, headers: { X-Probe: \"{1}\", user-agent: mine }, "
            "status: [200, 300-399], body: all is well")));
  await("a passed check", [&] { return metric(gateway, ended("passed")) >= 1; });
  std::lock_guard lock(mutex);
  CHECK(asked.starts_with("OPTIONS /up?deep=1 HTTP/1.1\r\nhost: internal.example\r\n"));
  CHECK(asked.find("\r\nx-probe: {1}\r\n") != std::string::npos);
  CHECK(asked.find("\r\nuser-agent: mine\r\n") != std::string::npos);
  CHECK(asked.find("penstock-health-check") == std::string::npos);
}

TEST_CASE("an answer that is none, or not the right one, takes an endpoint out and says why") {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  using Close = Conversation::Close;
  struct Row {
    std::string what, answer;
    Close close;
    std::string reason, more = {};
  };
  std::string many_heads;
  for (int i = 0; i < 40; ++i) many_heads += "HTTP/1.1 100 Continue\r\n\r\n";
  const Row rows[] = {
      {"silence", "", Close::keep, "timeout", ", timeout: 100ms"},
      {"half a head", ok, Close::keep, "timeout", ", timeout: 100ms"},
      {"half a body", ok + "Content-Length: 10\r\n\r\n12345", Close::keep, "timeout", ", timeout: 100ms"},
      {"no protocol", "go away\r\n\r\n", Close::keep, "malformed"},
      {"two lengths", ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", Close::keep, "malformed"},
      {"no answer", "", Close::after_sending, "closed"},
      {"a reset", "", Close::at_once, "closed"},
      {"a body cut short", ok + "Content-Length: 10\r\n\r\n12345", Close::after_sending, "closed"},
      {"chunks without an end", ok + "Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n", Close::after_sending,
       "closed"},
      {"a body without an end", ok + "\r\n" + std::string(300'000, 'x'), Close::keep, "over_limit",
       ", body_size: 1KiB"},
      {"chunks over the bound", ok + "Transfer-Encoding: chunked\r\n\r\n2000\r\n" + std::string(8192, 'x'),
       Close::keep, "over_limit", ", body_size: 1KiB"},
      {"a head over the bound", ok + "x: " + std::string(100'000, 'x'), Close::keep, "over_limit"},
      {"interim answers without an end", many_heads, Close::keep, "over_limit"},
      {"an error", "HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n", Close::keep, "status"},
      {"a redirect", "HTTP/1.1 301 x\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", Close::keep, "status"},
      {"a switch of protocols", "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
       Close::keep, "malformed"},
      {"another body", ok + "Content-Length: 4\r\n\r\nill!", Close::keep, "body", ", body: well"},
      {"no body", "HTTP/1.1 204 x\r\n\r\n", Close::keep, "body", ", body: well"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    WireServer server([&](Conversation& talk) {
      if (talk.ended || talk.received.find("\r\n\r\n") == std::string::npos) return;
      talk.to_send = row.answer;
      talk.close = row.close;
    });
    Gateway gateway(configuration(
        quoted(server.endpoint()),
        "{ path: /healthz, interval: 20ms, unhealthy: 2" +
            (row.more.find("timeout") == std::string::npos ? ", timeout: 20s" + row.more : row.more) + " }"));
    await_out(gateway, server.endpoint(), row.reason);
    CHECK(metric(gateway, ended("passed")) == 0);
    CHECK(get(gateway.port(), "/").status == 503);
    // Whatever it was, nothing of it is left open: one check at a time, and its connection goes with it.
    CHECK(metric(gateway, "penstock_health_checks_running") <= 1);
  }
}

TEST_CASE("a connection is enough where the check says tcp") {
  ListeningPort silent;
  ClosedPort dead;
  const std::string closed = "127.0.0.1:" + std::to_string(dead.port());
  Gateway gateway(configuration(quoted(silent.endpoint()) + ", " + quoted(closed), quick("tcp: true")));
  await_out(gateway, closed, "refused");
  await("passed checks", [&] { return metric(gateway, ended("passed")) >= 3; });
  CHECK(metric(gateway, up_series(silent.endpoint())) == 1);
}

TEST_CASE("checks that hang keep their places, and the others get their turn all the same") {
  ListeningPort silent[4];  // take every connection and never answer
  Patient patient("one");
  std::string endpoints = quoted(patient.endpoint());
  for (const ListeningPort& port : silent) endpoints += ", " + quoted(port.endpoint());
  Gateway gateway(configuration(endpoints, "{ path: /healthz, interval: 20ms, timeout: 100ms }") +
                  "limits: { health_checks: 2 }\n");
  for (const ListeningPort& port : silent) await_out(gateway, port.endpoint(), "timeout");
  CHECK(metric(gateway, "penstock_health_checks_running") <= 2);
  CHECK(metric(gateway, ended("timeout")) >= 12);
  CHECK(reached(gateway, "health_checks") > 0);
  const int before = patient.asked();
  await("its turns", [&] { return patient.asked() > before + 3; });
  CHECK(metric(gateway, up_series(patient.endpoint())) == 1);
}

TEST_CASE("a passed check ends the rest of an endpoint that requests have failed on") {
  // It answers its checks and cuts everything else.
  WireServer server([](Conversation& talk) {
    if (talk.ended || talk.received.find("\r\n\r\n") == std::string::npos) return;
    if (talk.received.starts_with("GET /healthz "))
      talk.to_send = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    talk.close = Conversation::Close::after_sending;
  });
  Gateway gateway(configuration(quoted(server.endpoint()), "{ path: /healthz, interval: 2s, jitter: 0% }"));
  await("a check", [&] { return metric(gateway, ended("passed")) >= 1; });
  const auto begun = Clock::now();
  for (int i = 0; i < 5; ++i) CHECK(get(gateway.port(), "/").status == 502);
  CHECK(metric(gateway, in_state("resting")) == 1);
  const std::string all = get(gateway.status_port(), "/metrics").body;
  CHECK(all.find("endpoint=\"" + server.endpoint() + "\",reason=\"passive\"} 1\n") != std::string::npos);
  await_metric(gateway, in_state("up"), 1);
  CHECK(Clock::now() - begun < std::chrono::seconds(15));  // half of what a rest takes
  CHECK(get(gateway.port(), "/").status == 502);           // the next failure begins another
  CHECK(metric(gateway, in_state("resting")) == 1);
}

TEST_CASE("a reload keeps what a check has found out, unless it asks something else") {
  Patient one("one"), two("two");
  const std::string endpoints = quoted(one.endpoint()) + ", " + quoted(two.endpoint());
  const auto with = [&](const std::string& check) { return configuration(endpoints, check); };
  one.is(503);
  Gateway gateway(with(quick("path: /healthz")));
  await_metric(gateway, up_series(one.endpoint()), 0);
  // An hour from now on: what it is after the reload, it is because that was kept.
  const std::string slow = ", interval: 1h, timeout: 5s, unhealthy: 1";
  CHECK(gateway.reload(with("{ path: /healthz" + slow + " }")).find("reloaded") != std::string::npos);
  CHECK(metric(gateway, up_series(one.endpoint())) == 0);
  CHECK(who_answers(gateway) == Names{"two"});

  // Another question: nothing is known yet, so it serves; and its first check comes at once.
  one.is(200);
  const int before = one.asked();
  CHECK(gateway.reload(with("{ path: /healthz, host: other" + slow + " }")).find("reloaded") !=
        std::string::npos);
  CHECK(metric(gateway, in_state("up")) == 2);
  await("the new check", [&] { return one.asked() > before; });
  CHECK(who_answers(gateway) == Names{"one", "two"});

  one.is(503);
  CHECK(gateway.reload(with("{ path: /healthz" + slow + " }")).find("reloaded") != std::string::npos);
  await_metric(gateway, up_series(one.endpoint()), 0);
  CHECK(gateway.reload(with("none")).find("reloaded") != std::string::npos);
  CHECK(metric(gateway, in_state("up")) == 2);
  CHECK(who_answers(gateway) == Names{"one", "two"});
}

TEST_CASE("explain says how an upstream is checked") {
  TempFolder folder;
  const auto explained = [&](const std::string& check) {
    const std::string file = folder.write("gateway.yaml", configuration("\"127.0.0.1:1\"", check));
    return run({binary("penstock"), "explain", "-c", file, "http://127.0.0.1/"}).out;
  };
  CHECK(explained("none").find("checked") == std::string::npos);
  CHECK(explained("/healthz").find(", checked by GET /healthz\n") != std::string::npos);
  CHECK(explained("{ tcp: true, port: 9 }").find(", checked by a connection on port 9\n") !=
        std::string::npos);
  CHECK(explained("{ grpc: a.B }").find(", checked by gRPC a.B\n") != std::string::npos);
}

TEST_CASE("a gRPC server's word is taken, with one worker and with four") {
  for (int workers : {1, 4}) {
    CAPTURE(workers);
    auto server = std::make_unique<GrpcServer>();
    const std::string endpoint = server->endpoint(), port = server->number;
    Gateway gateway(configuration(quoted(endpoint), quick("grpc: shop.Orders"), workers, ", protocol: h2"));
    await("passed checks", [&] { return metric(gateway, ended("passed")) >= 2; });
    CHECK(metric(gateway, up_series(endpoint)) == 1);
    server->is(SIGUSR1);
    await_out(gateway, endpoint, "not_serving");
    gateway.process().wait_for_line("failed checks: it says NOT_SERVING; 0 of 1 left");
    CHECK(get(gateway.port(), "/").body.find("upstream.no_healthy_endpoint") != std::string::npos);
    server->is(SIGUSR2);
    await_metric(gateway, up_series(endpoint), 1);
    server.reset();
    await_out(gateway, endpoint, "refused");
    server = std::make_unique<GrpcServer>(port);
    await_metric(gateway, up_series(endpoint), 1);
  }
}

TEST_CASE("a gRPC server is asked as a whole, and one that does not know is out") {
  GrpcServer server, without("0", "none");
  Gateway whole(configuration(quoted(server.endpoint()), quick("grpc: ''")));
  await("passed checks", [&] { return metric(whole, ended("passed")) >= 2; });
  Gateway unknown(configuration(quoted(server.endpoint()), quick("grpc: shop.Nothing")));
  await_out(unknown, server.endpoint(), "grpc_status");
  unknown.process().wait_for_line("grpc-status 5 (not found");
  Gateway bare(configuration(quoted(without.endpoint()), quick("grpc: shop.Orders")));
  await_out(bare, without.endpoint(), "grpc_status");
  bare.process().wait_for_line("grpc-status 12 (unimplemented");
}

TEST_CASE("a check by path speaks what its upstream speaks") {
  // Over TCP without TLS only HTTP/2 with prior knowledge is HTTP/2: python3-h2 knows nothing else.
  Process server({"/usr/bin/python3", "-W", "ignore", "-c", R"(
import asyncio, h2.connection, h2.config, h2.events
class Server(asyncio.Protocol):
    def connection_made(self, t):
        self.t = t
        self.c = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding='utf-8'))
        self.c.initiate_connection(); t.write(self.c.data_to_send())
    def data_received(self, data):
        for e in self.c.receive_data(data):
            if isinstance(e, h2.events.RequestReceived):
                path = dict(e.headers)[':path']
                self.c.send_headers(e.stream_id, [(':status', '200' if path == '/up?x' else '404')])
                self.c.send_data(e.stream_id, b'fine', end_stream=True)
        self.t.write(self.c.data_to_send())
async def main():
    s = await asyncio.get_running_loop().create_server(Server, '127.0.0.1', 0)
    print('port', s.sockets[0].getsockname()[1], flush=True)
    await s.serve_forever()
asyncio.run(main())
)"},
                 Process::Read::standard_output);
  const std::string endpoint = "127.0.0.1:" + server.wait_for_line("port ").substr(5);
  Gateway h2(configuration(quoted(endpoint), quick("path: '/up?x', body: fine"), 2, ", protocol: h2"));
  await("passed checks", [&] { return metric(h2, ended("passed")) >= 2; });
  CHECK(get(h2.port(), "/up?x").status == 200);
  Gateway h1(configuration(quoted(endpoint), quick("path: '/up?x'")));
  await_metric(h1, up_series(endpoint), 0);
}

TEST_CASE("hostile answers to a gRPC check take the endpoint out and say why") {
  struct Row {
    std::string what, answer, reason;
  };
  // c: the connection of python3-h2, i: the stream; g: the fields of a good answer's head.
  const Row rows[] = {
      {"no service there", "c.send_headers(i, [(':status', '404')], end_stream=True)", "status"},
      {"a web page",
       "c.send_headers(i, [(':status', '200'), ('content-type', 'text/html')]); c.send_data(i, "
       "b'<p>', end_stream=True)",
       "malformed"},
      {"a type that only begins so",
       "c.send_headers(i, [(':status', '200'), ('content-type', 'application/grpcx')], end_stream=True)",
       "malformed"},
      {"no trailers", "c.send_headers(i, g); c.send_data(i, bytes([0,0,0,0,2,8,1]), end_stream=True)",
       "malformed"},
      {"trailers without a status",
       "c.send_headers(i, g); c.send_data(i, bytes([0,0,0,0,2,8,1])); c.send_headers(i, [('x', '0')], "
       "end_stream=True)",
       "malformed"},
      {"a status that is no number",
       "c.send_headers(i, g); c.send_data(i, bytes([0,0,0,0,2,8,1])); c.send_headers(i, [('grpc-status', "
       "'0x')], end_stream=True)",
       "malformed"},
      {"a good end without a message", "c.send_headers(i, g + [('grpc-status', '0')], end_stream=True)",
       "malformed"},
      {"no message of that kind",
       "c.send_headers(i, g); c.send_data(i, bytes([0,0,0,0,2,10,1])); c.send_headers(i, [('grpc-status', "
       "'0')], end_stream=True)",
       "malformed"},
      {"a message without an end", "c.send_headers(i, g); c.send_data(i, bytes(9000))", "malformed"},
      {"a message that does not come", "c.send_headers(i, g); c.send_data(i, bytes([0,0,0,0,2]))", "timeout"},
      {"no answer", "pass", "timeout"},
      {"an error behind a good message",
       "c.send_headers(i, g); c.send_data(i, bytes([0,0,0,0,2,8,1])); c.send_headers(i, [('grpc-status', "
       "'14')], end_stream=True)",
       "grpc_status"},
      {"a service that it does not know",
       "c.send_headers(i, g); c.send_data(i, bytes([0,0,0,0,2,8,3])); c.send_headers(i, [('grpc-status', "
       "'0')], end_stream=True)",
       "not_serving"},
      {"a status of a later version",
       "c.send_headers(i, g); c.send_data(i, bytes([0,0,0,0,2,8,9])); c.send_headers(i, [('grpc-status', "
       "'0')], end_stream=True)",
       "not_serving"},
      {"a reset", "c.reset_stream(i, 2)", "closed"},
      {"a connection that is closed", "self.t.close()", "closed"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    Process server({"/usr/bin/python3", "-W", "ignore", "-c", R"(
import asyncio, sys, h2.connection, h2.config, h2.events
g = [(':status', '200'), ('content-type', 'application/grpc')]
class Server(asyncio.Protocol):
    def connection_made(self, t):
        self.t = t
        self.c = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False,
            header_encoding='utf-8', validate_outbound_headers=False))
        self.c.initiate_connection(); t.write(self.c.data_to_send())
    def data_received(self, data):
        c = self.c
        for e in c.receive_data(data):
            if isinstance(e, h2.events.RequestReceived):
                i = e.stream_id
                exec(sys.argv[1])
        self.t.write(c.data_to_send())
async def main():
    s = await asyncio.get_running_loop().create_server(Server, '127.0.0.1', 0)
    print('port', s.sockets[0].getsockname()[1], flush=True)
    await s.serve_forever()
asyncio.run(main())
)",
                    row.answer},
                   Process::Read::standard_output);
    const std::string endpoint = "127.0.0.1:" + server.wait_for_line("port ").substr(5);
    const std::string timeout = row.reason == "timeout" ? "100ms" : "20s";
    Gateway gateway(configuration(quoted(endpoint),
                                  "{ grpc: a.B, interval: 20ms, unhealthy: 2, timeout: " + timeout + " }"));
    await_out(gateway, endpoint, row.reason);
    CHECK(metric(gateway, ended("passed")) == 0);
  }
  // What speaks HTTP/1 alone is no gRPC server.
  Patient patient("one");
  Gateway gateway(configuration(quoted(patient.endpoint()),
                                "{ grpc: a.B, interval: 20ms, unhealthy: 2, timeout: 100ms }"));
  await_metric(gateway, in_state("failing"), 1);
}
