// HTTP/2 with the real daemon: curl, h2load and python3-h2 as clients, over TLS and with prior knowledge.
#include <doctest/doctest.h>

#include <csignal>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/listening_port.h"
#include "e2e/harness/metrics.h"
#include "e2e/tls_support.h"

using namespace e2e;

namespace {

// Both listeners speak both versions.
std::string configuration(const std::string& endpoint, const TlsFiles* files = nullptr,
                          const std::string& more_routes = {}, const std::string& more_upstreams = {}) {
  const std::string both = "protocols: [h2, http/1.1]";
  std::string out =
      "schema: 1\nworkers: 2\nstatus: { address: \"127.0.0.1:0\" }\n"
      "access_log: [{ format: json, file: access.log }]\n"
      "drain: { accept_for: 0s, timeout: 20s }\n"
      "listeners:\n  - { name: http, address: \"127.0.0.1:0\", " +
      both + " }\n";
  if (files) {
    out += "  - { name: https, address: \"127.0.0.1:0\", " + both;
    out += ", tls: { certificates: [" + files->pair("a") + "] } }\n";
  }
  return out + "routes:\n" + more_routes +
         "  - { name: all, match: { path_prefix: / }, public: true, upstream: u }\nupstreams: { u: { "
         "endpoints: \"" +
         endpoint + "\" }" + more_upstreams + " }\n";
}

Ran curl(const Gateway& gateway, const std::string& listener, const std::string& path,
         const std::vector<std::string>& more) {
  const bool tls = listener == "https";
  std::vector<std::string> words{
      "curl",
      "-sS",
      "-k",
      "--max-time",
      "30",
      (tls ? "https://127.0.0.1:" : "http://127.0.0.1:") + std::to_string(gateway.port(listener)) + path};
  words.push_back(tls ? "--http2" : "--http2-prior-knowledge");
  words.insert(words.end(), more.begin(), more.end());
  return run(words);
}

// What a script of python3-h2 begins with: a connection, and events until one is there.
const std::string script_head = R"(
import socket, sys, h2.connection, h2.config, h2.events, h2.errors, h2.settings
port = int(sys.argv[1])
c = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding='utf-8',
    validate_outbound_headers=False, normalize_outbound_headers=False))
s = socket.create_connection(('127.0.0.1', port)); s.settimeout(20)
seen = []
def out(): s.sendall(c.data_to_send())
def until(what):
    while True:
        for e in seen:
            if what(e): return e
        data = s.recv(65536)
        if not data: return None
        seen.extend(c.receive_data(data)); out()
def ended(id): return lambda e: isinstance(e, h2.events.StreamEnded) and e.stream_id == id
def status(id): return [dict(e.headers)[':status'] for e in seen
    if isinstance(e, h2.events.ResponseReceived) and e.stream_id == id]
def request(id, path, method='GET', end=True, more=[]):
    c.send_headers(id, [(':method', method), (':scheme', 'http'), (':authority', 'a'), (':path', path)] + more,
                   end_stream=end); out()
c.initiate_connection(); out()
)";

}  // namespace

TEST_CASE("curl speaks HTTP/2 over TLS and with prior knowledge, and HTTP/1.1 to the same listeners") {
  Backend backend;
  TlsFiles files;
  files.make("a", "a.test");
  Gateway gateway(configuration(backend.endpoint(), &files));
  std::string large;
  for (int i = 0; large.size() < 2'000'000; ++i) large += std::to_string(i) + " ";
  files.folder.write("large", large);
  const std::string upload = "@" + files.file("large");
  for (const std::string listener : {"http", "https"}) {
    CAPTURE(listener);
    const std::string version = "%{http_version}";
    CHECK(curl(gateway, listener, "/x", {"-o", "/dev/null", "-w", version}).out == "2");
    CHECK(curl(gateway, listener, "/x", {"--http1.1", "-o", "/dev/null", "-w", version}).out == "1.1");
    for (const std::string path : {"/bytes/10", "/bytes/1000000", "/chunked/1000000"})
      CHECK(curl(gateway, listener, path, {}).out == curl(gateway, listener, path, {"--http1.1"}).out);
    CHECK(curl(gateway, listener, "/echo", {"--data-binary", upload}).out == large);
    CHECK(curl(gateway, listener, "/echo",
               {"-H", "expect: 100-continue", "-X", "POST", "-T", files.file("large")})
              .out == large);
    const Ran head = curl(gateway, listener, "/bytes/10", {"-I"});
    CHECK(head.out.starts_with("HTTP/2 200"));
    CHECK(head.out.find("content-length: 10\r\n") != std::string::npos);
    CHECK(curl(gateway, listener, "/status/418", {"-o", "/dev/null", "-w", "%{http_code}"}).out == "418");
    const Ran early = curl(gateway, listener, "/early", {"-i"});
    CHECK(early.out.starts_with("HTTP/2 103"));
    CHECK(early.out.find("HTTP/2 200") != std::string::npos);
    CHECK(curl(gateway, listener, "/reset?at=10", {}).exit_code == 92);  // the stream was not closed cleanly
  }
  std::string log;
  await("the log's lines", [&] {
    log = gateway.folder().read("access.log");
    return log.find("418") != std::string::npos;
  });
  CHECK(log.find(R"("network.protocol.version":"2")") != std::string::npos);
  CHECK(log.find(R"("network.protocol.version":"1.1")") != std::string::npos);
  CHECK(gateway.stop(SIGTERM) == 0);
}

TEST_CASE("many streams of many connections are served, and nothing is left of them") {
  Backend backend;
  TlsFiles files;
  files.make("a", "a.test");
  Gateway gateway(configuration(backend.endpoint(), &files));
  for (const std::string listener : {"http", "https"}) {
    const std::string url = (listener == "https" ? "https://127.0.0.1:" : "http://127.0.0.1:") +
                            std::to_string(gateway.port(listener));
    const Ran ran = run({"h2load", "-n", "3000", "-c", "6", "-m", "50", url + "/bytes/2000", url + "/x"});
    CHECK(ran.out.find("3000 succeeded, 0 failed") != std::string::npos);
  }
  await_metric(gateway, "http_server_active_requests", 0);
  CHECK(gateway.stop(SIGTERM) == 0);
}

TEST_CASE("a stalled upload waits by itself, and costs its window: other streams of its connection go on") {
  ListeningPort stuck(4096);
  Backend backend;
  Gateway gateway(
      configuration(backend.endpoint(), nullptr,
                    "  - { name: s, match: { path_prefix: /stuck }, public: true, upstream: s }\n",
                    ", s: { endpoints: \"" + stuck.endpoint() + "\" }"));
  Process client({"/usr/bin/python3", "-W", "ignore", "-u", "-c", script_head + R"(
total, sent, other = 9_000_000, 0, 3
request(1, '/stuck', 'POST', end=False)
def push():
    global sent
    while sent < total:
        room = min(c.local_flow_control_window(1), c.max_outbound_frame_size, total - sent)
        if room <= 0: return
        c.send_data(1, b'x' * room); out(); sent += room
still = 0
while still < 3:  # nothing of it moves while others are served
    before = sent
    push()
    request(other, '/slow?ms=50')
    assert until(ended(other)) and status(other) == ['200']
    other += 2
    still = still + 1 if sent == before else 0
print('stalled', sent)
while sent < total:
    data = s.recv(65536)
    assert data
    seen.extend(c.receive_data(data)); push(); out()
c.end_stream(1); out()
until(ended(1))
print('done', status(1))
)",
                  std::to_string(gateway.port())},
                 Process::Read::standard_output);
  const std::string line = client.wait_for_line("stalled");
  CHECK(std::stoul(line.substr(line.find(' '))) < 6'000'000);  // its window, and what kernels hold
  auto taken = stuck.accept();
  CHECK(taken->read_through("\r\n\r\n").find("transfer-encoding: chunked") != std::string::npos);
  taken->read_through("\r\n0\r\n\r\n");
  taken->send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  CHECK(client.wait_for_line("done").find("200") != std::string::npos);
  CHECK(gateway.stop(SIGTERM) == 0);
}

TEST_CASE(
    "at a full listener an idle connection of HTTP/2 makes room, one with a request under way does not") {
  Backend backend;
  Gateway gateway(
      "schema: 1\nworkers: 1\naccess_log: none\nstatus: { address: \"127.0.0.1:0\" }\n"
      "drain: { accept_for: 0s, timeout: 20s }\n"
      "listeners: [{ name: http, address: \"127.0.0.1:0\", protocols: [h2, http/1.1], limits: { "
      "max_connections: 2 } }]\n" +
      all_to(backend.endpoint()));
  const Ran ran = python(script_head + R"(
def another():
    o = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding='utf-8'))
    t = socket.create_connection(('127.0.0.1', port)); t.settimeout(20)
    o.initiate_connection()
    o.send_headers(1, [(':method', 'GET'), (':scheme', 'http'), (':authority', 'a'), (':path', '/x')], end_stream=True)
    t.sendall(o.data_to_send())
    while True:
        data = t.recv(65536)
        if not data: return o, t, None
        for e in o.receive_data(data):
            if isinstance(e, h2.events.ResponseReceived): return o, t, dict(e.headers)[':status']
        t.sendall(o.data_to_send())
request(1, '/slow?ms=1000')
o, idle, first = another()
p, last, second = another()   # takes the place of the idle one
rest = b''
while True:
    data = idle.recv(65536)
    if not data: break
    rest += data
until(ended(1))
print(first, second, [int(e.error_code) for e in o.receive_data(rest)
    if isinstance(e, h2.events.ConnectionTerminated)], status(1))
)",
                         {std::to_string(gateway.port())});
  CHECK(ran.out == "200 200 [0] ['200']\n");
  CHECK(gateway.stop(SIGTERM) == 0);
}

TEST_CASE("an end that is asked for loses no request: two GOAWAYs, and the answers under way") {
  Backend backend;
  Gateway gateway(configuration(backend.endpoint()));
  Process client({"nghttp", "-v", "http://127.0.0.1:" + std::to_string(gateway.port()) + "/slow?ms=700"},
                 Process::Read::standard_output);
  await_metric(gateway, "http_server_active_requests", 1);
  gateway.process().signal(SIGTERM);
  client.wait_for_line("recv GOAWAY");
  CHECK(client.wait_for_line("last_stream_id").find("last_stream_id=2147483647, error_code=NO_ERROR") !=
        std::string::npos);
  client.wait_for_line("recv GOAWAY");
  const std::string last = client.wait_for_line("last_stream_id");
  CHECK(last.find("error_code=NO_ERROR") != std::string::npos);
  CHECK(last.find("2147483647") == std::string::npos);
  client.wait_for_line(":status: 200");
  CHECK(gateway.wait() == 0);
}

TEST_CASE("a client that floods is cut with ENHANCE_YOUR_CALM, and the others do not notice") {
  Backend backend;
  Gateway gateway(configuration(backend.endpoint()));
  Process other({"h2load", "-n", "20000", "-c", "2", "-m", "10",
                 "http://127.0.0.1:" + std::to_string(gateway.port()) + "/bytes/100"},
                Process::Read::standard_output);
  const Ran ran = python(script_head + R"(
id = 1
try:
    for i in range(2000):
        request(id, '/slow?ms=20'); c.reset_stream(id, 8); out(); id += 2
        if i % 10 == 0: c.ping(b'12345678'); out()
    e = until(lambda e: isinstance(e, h2.events.ConnectionTerminated))
    print('goaway', int(e.error_code))
except (ConnectionError, h2.exceptions.ProtocolError):
    e = None
    try: e = until(lambda e: isinstance(e, h2.events.ConnectionTerminated))
    except Exception: pass
    print('goaway', int(e.error_code) if e else 'cut')
)",
                         {std::to_string(gateway.port())});
  CHECK(ran.err.empty());
  CHECK((ran.out == "goaway 11\n" || ran.out == "goaway cut\n"));
  CHECK(reached(gateway, "http2.max_resets") == 1);
  CHECK(other.wait() == 0);
  CHECK(other.output().find("20000 succeeded, 0 failed") != std::string::npos);
  CHECK(gateway.stop(SIGTERM) == 0);
}
