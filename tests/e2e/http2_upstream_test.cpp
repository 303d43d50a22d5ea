// Backends of HTTP/2 behind the real daemon: another Penstock, whose client's side is HTTP/2, and python3-h2.
// Clients speak HTTP/1.1 unless a test says otherwise.
#include <doctest/doctest.h>

#include <csignal>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/listening_port.h"
#include "e2e/harness/memory.h"
#include "e2e/harness/metrics.h"

using namespace e2e;

namespace {

std::string configuration(const std::string& endpoint, const std::string& upstream, int workers = 2) {
  return "schema: 1\nworkers: " + std::to_string(workers) +
         "\nstatus: { address: \"127.0.0.1:0\" }\naccess_log: [{ format: json, file: access.log }]\n"
         "drain: { accept_for: 0s, timeout: 20s }\n"
         "listeners:\n  - { name: http, address: \"127.0.0.1:0\", protocols: [h2, http/1.1] }\n"
         "routes:\n  - { name: all, match: { path_prefix: / }, public: true, upstream: u }\n"
         "upstreams: { u: { endpoints: \"" +
         endpoint + "\"" + upstream + " } }\n";
}
const std::string by_h2 = ", protocol: h2";

std::string port_of(const Gateway& gateway) { return "127.0.0.1:" + std::to_string(gateway.port()); }

// A gateway that speaks HTTP/2 to another one, which speaks HTTP/1.1 to the echo backend.
struct Chain {
  Backend backend;
  Gateway inner{configuration(backend.endpoint(), "")};
  Gateway outer{configuration(port_of(inner), by_h2)};
};

Ran curl(const Gateway& gateway, const std::string& path, const std::vector<std::string>& more) {
  std::vector<std::string> words{"curl", "-sS", "--max-time", "30", "http://" + port_of(gateway) + path};
  words.insert(words.end(), more.begin(), more.end());
  return run(words);
}

std::string numbers(size_t size) {
  std::string out;
  for (size_t i = 0; out.size() < size; ++i) out += std::to_string(i) + " ";
  return out;
}

// A backend of python3-h2: on(c, t, e) is told of each event of each connection and has c (the library's) and
// t (the transport) to answer.
const std::string server_head = R"(
import asyncio, sys, h2.connection, h2.config, h2.events, h2.settings
from hyperframe.frame import GoAwayFrame
class Server(asyncio.Protocol):
    def connection_made(self, t):
        self.t = t
        self.c = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False,
            header_encoding='utf-8', validate_outbound_headers=False, normalize_outbound_headers=False))
        self.last = self.count = 0
        self.c.initiate_connection(); self.out()
    def out(self): self.t.write(self.c.data_to_send())
    def data_received(self, data):
        for e in self.c.receive_data(data): on(self, self.c, e)
        self.out()
    def eof_received(self): self.t.close()
def answer(c, id, body=b'ok', status='200', more=[]):
    c.send_headers(id, [(':status', status)] + more)
    c.send_data(id, body, end_stream=True)
def serve():
    async def main():
        s = await asyncio.get_running_loop().create_server(Server, '127.0.0.1', 0)
        print('port', s.sockets[0].getsockname()[1], flush=True)
        await s.serve_forever()
    asyncio.run(main())
)";

struct Python {
  explicit Python(const std::string& script)
      : process({"/usr/bin/python3", "-W", "ignore", "-c", server_head + script + "\nserve()\n"},
                Process::Read::standard_output) {
    endpoint = "127.0.0.1:" + process.wait_for_line("port ").substr(5);
  }
  Process process;
  std::string endpoint;
};

size_t count(const std::string& text, const std::string& what) {
  size_t found = 0;
  for (size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++found;
  return found;
}

}  // namespace

TEST_CASE("bodies go both ways as they are, whichever version the client speaks") {
  Chain chain;
  chain.outer.folder().write("large", numbers(2'000'000));
  const std::string large = chain.outer.folder().read("large");
  const std::string upload = "@" + chain.outer.folder().file("large");
  for (const std::string version : {"--http1.1", "--http2-prior-knowledge"}) {
    CAPTURE(version);
    for (const std::string path : {"/bytes/0", "/bytes/10", "/bytes/1000000", "/chunked/1000000"})
      CHECK(curl(chain.outer, path, {version}).out == curl(chain.inner, path, {"--http1.1"}).out);
    CHECK(curl(chain.outer, "/echo", {version, "--data-binary", upload}).out == large);
    CHECK(curl(chain.outer, "/echo", {version, "-H", "transfer-encoding: chunked", "--data-binary", upload})
              .out == large);
    CHECK(curl(chain.outer, "/echo", {version, "-H", "expect: 100-continue", "--data-binary", upload}).out ==
          large);
    CHECK(curl(chain.outer, "/bytes/10", {version, "-I"}).out.find("content-length: 10\r\n") !=
          std::string::npos);
    CHECK(curl(chain.outer, "/status/418", {version, "-o", "/dev/null", "-w", "%{http_code}"}).out == "418");
    CHECK(curl(chain.outer, "/early", {version, "-i"}).out.find(" 103") != std::string::npos);
    CHECK(curl(chain.outer, "/reset?at=10", {version}).exit_code != 0);  // cut, and seen as cut
  }
  // What the backend was told says by which version the inner gateway was asked.
  std::string log;
  await("the inner log's lines", [&] {
    log = chain.inner.folder().read("access.log");
    return log.find("418") != std::string::npos;
  });
  CHECK(log.find(R"("network.protocol.version":"2")") != std::string::npos);
  CHECK(chain.outer.stop(SIGTERM) == 0);
  CHECK(chain.inner.stop(SIGTERM) == 0);
}

TEST_CASE("a 100-continue comes from the backend, and its refusal spares the body") {
  Chain chain;
  Client client(chain.outer.port());
  client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  const Response first = client.read_head();
  CHECK((first.status == 100 || first.status == 200));  // /echo begins to answer with the head
  client.send("abc");
  const Response answer = first.status == 100 ? client.read_response() : first;
  CHECK(answer.status == 200);
}

TEST_CASE("trailers go both ways") {
  Chain chain;
  Client client(chain.outer.port());
  client.send("GET /trailers HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
  CHECK(client.read_through("\r\n\r\n").find("200") != std::string::npos);
  CHECK(client.read_through("\r\n\r\n").find("x-checksum: ") != std::string::npos);

  Python backend(R"(
bodies = {}
def on(server, c, e):
    if isinstance(e, h2.events.TrailersReceived): bodies[e.stream_id] = dict(e.headers)
    if isinstance(e, h2.events.DataReceived): c.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
    if isinstance(e, h2.events.StreamEnded):
        answer(c, e.stream_id, repr(bodies.get(e.stream_id)).encode())
)");
  Gateway gateway(configuration(backend.endpoint, by_h2));
  Client sender(gateway.port());
  sender.send(
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n"
      "3\r\nabc\r\n0\r\nx-sum: 6\r\n\r\n");
  CHECK(sender.read_response().body == "{'x-sum': '6'}");
}

TEST_CASE("a hundred requests at once go over few connections") {
  Python backend(R"(
connections = set()
def on(server, c, e):
    connections.add(server)
    if isinstance(e, h2.events.StreamEnded): answer(c, e.stream_id, str(len(connections)).encode())
)");
  Gateway gateway(configuration(backend.endpoint, by_h2, 1));
  const Ran load = run({"h2load", "--h1", "-n", "2000", "-c", "100", "http://" + port_of(gateway) + "/"});
  CHECK(load.out.find("2000 succeeded, 0 failed, 0 errored") != std::string::npos);
  CHECK(get(gateway.port(), "/").body == "1");
}

TEST_CASE("a backend that ends its connections by GOAWAY in the middle of a load loses no request") {
  // After 20 requests: the streams up to then are answered, those that were under way behind them are not.
  Python backend(R"(
def on(server, c, e):
    if not isinstance(e, h2.events.StreamEnded) or (server.last and e.stream_id > server.last): return
    server.count += 1
    answer(c, e.stream_id, more=[('x-connection', str(id(server)))])
    if server.count == 20:
        server.last = e.stream_id
        server.out()
        server.t.write(GoAwayFrame(0, last_stream_id=e.stream_id).serialize())
)");
  Gateway gateway(configuration(backend.endpoint, by_h2));
  const std::string body = gateway.folder().write("body", "a=b");
  const std::vector<std::vector<std::string>> kinds{{"--h1"}, {}, {"--h1", "-d", body}};
  for (const std::vector<std::string>& kind : kinds) {
    std::vector<std::string> words{"h2load", "-n", "3000", "-c", "10", "http://" + port_of(gateway) + "/"};
    words.insert(words.begin() + 1, kind.begin(), kind.end());
    const Ran load = run(words);
    CAPTURE(load.out);
    CHECK(load.out.find("3000 succeeded, 0 failed, 0 errored") != std::string::npos);
    CHECK(load.out.find("3000 2xx") != std::string::npos);
  }
  CHECK(gateway.stop(SIGTERM) == 0);
}

TEST_CASE("a backend that refuses every stream is asked some times, and the client hears of it") {
  Python backend(R"(
def on(server, c, e):
    if isinstance(e, h2.events.RequestReceived): print('asked', flush=True); c.reset_stream(e.stream_id, 7)
)");
  Gateway gateway(configuration(backend.endpoint, by_h2));
  CHECK(get(gateway.port(), "/").status == 502);
  CHECK(get(gateway.port(), "/").status == 502);
  const double resets =
      metric(gateway, "penstock_upstream_http2_stream_resets_total{upstream=\"u\",error=\"REFUSED_STREAM\"}");
  CHECK(gateway.stop(SIGTERM) == 0);
  backend.process.poll_output();
  const size_t asked = count(backend.process.output(), "asked");
  CHECK(resets == static_cast<double>(asked));
  CHECK(asked >= 4);
  CHECK(asked <= 8);
}

TEST_CASE("a backend that breaks the rules gives a 502 with a reason, and a cut body is seen as cut") {
  Python backend(R"(
def on(server, c, e):
    if not isinstance(e, h2.events.RequestReceived): return
    id, path = e.stream_id, dict(e.headers)[':path']
    if path == '/upper': c.send_headers(id, [(':status', '200'), ('Age', '1')], end_stream=True)
    if path == '/connection': c.send_headers(id, [(':status', '200'), ('connection', 'close')], end_stream=True)
    if path == '/short':
        c.send_headers(id, [(':status', '200'), ('content-length', '10')]); c.send_data(id, b'12345', end_stream=True)
    if path == '/reset': c.send_headers(id, [(':status', '200')]); c.send_data(id, b'12345'); c.reset_stream(id, 2)
    if path == '/gone': c.send_headers(id, [(':status', '200')]); c.send_data(id, b'12345'); server.out(); server.t.close()
    if path == '/large': c.send_headers(id, [(':status', '200')] + [('a', 'x' * 30000)] * 3, end_stream=True)
    if path == '/ok': answer(c, id)
)");
  Gateway gateway(configuration(backend.endpoint, by_h2, 1));
  for (const std::string path : {"/upper", "/connection"}) {
    const Response refused = get(gateway.port(), path);
    CHECK(refused.status == 502);
    CHECK(refused.body.find("upstream.protocol") != std::string::npos);
    CHECK(get(gateway.port(), "/ok").body == "ok");
  }
  CHECK(get(gateway.port(), "/large").body.find("upstream.header_too_large") != std::string::npos);
  for (const std::string path : {"/short", "/reset", "/gone"}) {
    CAPTURE(path);
    CHECK(curl(gateway, path, {"--http1.1"}).exit_code == 18);  // partial
    CHECK(curl(gateway, path, {"--http2-prior-knowledge"}).exit_code == 92);
    CHECK(get(gateway.port(), "/ok").body == "ok");
  }
}

TEST_CASE("a backend of HTTP/1 where HTTP/2 is asked for gives a 502 with a reason") {
  Backend backend;
  Gateway gateway(configuration(backend.endpoint(), by_h2));
  const Response refused = get(gateway.port(), "/bytes/10");
  CHECK(refused.status == 502);
  CHECK(refused.body.find("upstream.") != std::string::npos);
}

TEST_CASE("auto without TLS is HTTP/1.1, and the protocol may change with a reload") {
  Backend backend;
  Gateway inner(configuration(backend.endpoint(), ""));
  const std::string endpoint = port_of(inner);
  Gateway gateway(configuration(endpoint, ", protocol: auto"));
  CHECK(get(gateway.port(), "/bytes/10").status == 200);
  for (const std::string protocol : {"h2", "http/1.1", "h2"}) {
    CHECK(gateway.reload(configuration(endpoint, ", protocol: " + protocol)).find("error") ==
          std::string::npos);
    CHECK(get(gateway.port(), "/status/201").status == 201);
  }
  std::string log;
  await("the inner log's lines", [&] {
    log = inner.folder().read("access.log");
    return count(log, ":201") == 3;
  });
  CHECK(count(log, R"("network.protocol.version":"2")") == 2);
}

TEST_CASE("a client that takes nothing stalls its own stream, not the others of the backend's connection") {
  Chain chain;
  const size_t before = chain.outer.resident_bytes();
  Client stuck(chain.outer.port());
  stuck.send("GET /bytes/50000000 HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(stuck.read_through("\r\n\r\n").find("200") != std::string::npos);
  for (int i = 0; i < 20; ++i) CHECK(get(chain.outer.port(), "/bytes/100000").body.size() == 100'000);
  CHECK(chain.outer.resident_bytes() < before + 32 * mebibyte * memory_factor);
  CHECK(stuck.read(50'000'000).size() == 50'000'000);
}
