// WebSockets over HTTP/2 with the real daemon: python3-h2 as a client of extended CONNECT (RFC 8441) and as
// such a backend, python3-websockets as client and server of HTTP/1.1, and two gateways that speak HTTP/2 to
// each other.
#include <doctest/doctest.h>

#include <csignal>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/metrics.h"
#include "e2e/harness/process.h"

using namespace e2e;

namespace {

std::string configuration(const std::string& endpoint, const std::string& upstream = {}) {
  return "schema: 1\nworkers: 2\nstatus: { address: \"127.0.0.1:0\" }\n"
         "access_log: [{ format: json, file: access.log }]\ndrain: { accept_for: 0s, timeout: 20s }\n"
         "listeners:\n  - { name: http, address: \"127.0.0.1:0\", protocols: [h2, http/1.1] }\n"
         "routes:\n  - { name: all, match: { path_prefix: / }, public: true, upstream: u }\n"
         "upstreams: { u: { endpoints: \"" +
         endpoint + "\"" + upstream + " } }\n";
}

// python3-websockets: echoes, compresses when asked, answers pings.
struct Server {
  Process process{{"/usr/bin/python3", "-W", "ignore", "-c", R"(
import asyncio, websockets
async def echo(socket, path=None):
    try:
        async for message in socket:
            if message == 'end': return await socket.close()
            await socket.send(message)
    except websockets.ConnectionClosed: pass
async def main():
    server = await websockets.serve(echo, "127.0.0.1", 0, max_size=None, subprotocols=['chat'])
    print('port', server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Future()
asyncio.run(main())
)"},
                  Process::Read::standard_output};
  std::string endpoint = "127.0.0.1:" + process.wait_for_line("port ").substr(5);
};

// Frames of RFC 6455 5.2 by hand over python3-h2: what a browser would send on a stream.
const std::string http2_client = R"(
import signal, socket, struct, sys, h2.connection, h2.config, h2.events, h2.settings
port = int(sys.argv[1])
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
c = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding='utf-8',
    validate_outbound_headers=False, normalize_outbound_headers=False))
s = socket.create_connection(('127.0.0.1', port)); s.settimeout(20)
heads, buffers, ended, cut = {}, {}, set(), {}
def out(): s.sendall(c.data_to_send())
def pump():
    data = s.recv(65536)
    assert data
    for e in c.receive_data(data):
        if isinstance(e, h2.events.ResponseReceived): heads[e.stream_id] = dict(e.headers)
        elif isinstance(e, h2.events.DataReceived):
            buffers[e.stream_id] = buffers.get(e.stream_id, b'') + e.data
            if e.flow_controlled_length: c.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
        elif isinstance(e, h2.events.StreamEnded): ended.add(e.stream_id)
        elif isinstance(e, h2.events.StreamReset): cut[e.stream_id] = e.error_code
    out()
def put(id, data, end=False):
    while data or end:
        room = min(c.local_flow_control_window(id), c.max_outbound_frame_size, len(data))
        if data and room <= 0: pump(); continue
        last = end and room == len(data)
        c.send_data(id, data[:room], end_stream=last); data = data[room:]; out()
        if last: return
def message(text, opcode=1):
    data = text.encode()
    size = struct.pack('!B', 128 | len(data)) if len(data) < 126 else struct.pack('!BQ', 255, len(data))
    return struct.pack('!B', 128 | opcode) + size + b'\0\0\0\0' + data
def take(id, count):
    while len(buffers.get(id, b'')) < count: pump()
    data, buffers[id] = buffers[id][:count], buffers[id][count:]
    return data
def answer(id):
    first, size = take(id, 2)
    if size == 126: size, = struct.unpack('!H', take(id, 2))
    elif size == 127: size, = struct.unpack('!Q', take(id, 8))
    return first & 15, take(id, size)
def connect(id, protocol='websocket', more=[('sec-websocket-protocol', 'chat')]):
    c.send_headers(id, [(':method', 'CONNECT'), (':protocol', protocol), (':scheme', 'http'),
        (':path', '/chat'), (':authority', 'a'), ('sec-websocket-version', '13')] + more); out()
def head(id):
    while id not in heads: pump()
    return heads[id]
c.initiate_connection(); out()
while not c.remote_settings.enable_connect_protocol: pump()
)";

const std::string talk = http2_client + R"(
connect(1)
h = head(1)
assert h[':status'] == '200' and h['sec-websocket-protocol'] == 'chat', h
assert 'sec-websocket-accept' not in h and 'upgrade' not in h and 'connection' not in h, h
put(1, message('hello'))
assert answer(1) == (1, b'hello')
connect(3)                               # side by side on one connection
assert head(3)[':status'] == '200'
large = 'w' * 1_000_000
put(3, message(large)); put(1, message('meanwhile'))
assert answer(1) == (1, b'meanwhile')
assert answer(3) == (1, large.encode())
put(1, message('end'))                   # the server closes: its close frame, then its end
assert answer(1)[0] == 8
put(1, message('\x03\xe8', 8), end=True)
while 1 not in ended: pump()
assert 1 not in cut
put(3, message('still here'))
assert answer(3) == (1, b'still here')
print('open', flush=True)
signal.sigwait({signal.SIGUSR1})
c.reset_stream(3, 8); out()
connect(5, 'connect-udp')
assert head(5)[':status'] == '501'
print('done', flush=True)
)";

void talk_through(const Gateway& gateway) {
  Process client({"/usr/bin/python3", "-W", "ignore", "-u", "-c", talk, std::to_string(gateway.port())},
                 Process::Read::standard_output);
  client.wait_for_line("open");
  await_metric(gateway, "penstock_active_tunnels", 1);
  client.signal(SIGUSR1);
  client.wait_for_line("done");
  await_metric(gateway, "penstock_active_tunnels", 0);
  await_metric(gateway, "penstock_tunnels_total", 2);
}

// python3-websockets as a client of HTTP/1.1.
Ran websocket_client(const Gateway& gateway, const std::string& script) {
  return run({"/usr/bin/python3", "-W", "ignore", "-c",
              "import asyncio, sys, websockets\nasync def main():\n    uri = 'ws://127.0.0.1:" +
                  std::to_string(gateway.port()) + "/chat'\n" + script + "\nasyncio.run(main())\n"});
}

const std::string echo_client = R"(
    async with websockets.connect(uri, max_size=None, subprotocols=['chat']) as ws:
        assert ws.subprotocol == 'chat'
        for size in (1, 100, 70_000, 1_000_000):
            await ws.send('w' * size)
            assert await ws.recv() == 'w' * size
        await (await ws.ping())
    print('closed', ws.close_code)
)";

}  // namespace

TEST_CASE("a client of HTTP/2 talks to a WebSocket server of HTTP/1.1") {
  Server server;
  Gateway gateway(configuration(server.endpoint));
  talk_through(gateway);
  await("the log's lines", [&] {
    return gateway.folder().read("access.log").find("\"http.response.status_code\":501") != std::string::npos;
  });
  const std::string log = gateway.folder().read("access.log");
  CHECK(log.find("\"http.request.method\":\"GET\"") != std::string::npos);
  CHECK(log.find("\"http.response.status_code\":101") != std::string::npos);
  CHECK(log.find("\"network.protocol.version\":\"2\"") != std::string::npos);
  await_metric(gateway, "http_client_open_connections", 0);
  CHECK(gateway.stop(SIGTERM) == 0);
}

TEST_CASE("WebSockets go through two gateways that speak HTTP/2 to each other, from either version") {
  Server server;
  Gateway inner(configuration(server.endpoint)),
      outer(configuration("127.0.0.1:" + std::to_string(inner.port()), ", protocol: h2"));
  talk_through(outer);
  const Ran ran = websocket_client(outer, echo_client);
  CHECK(ran.out == "closed 1000\n");
  await_metric(outer, "penstock_tunnels_total", 3);
  await_metric(inner, "penstock_active_tunnels", 0);
  CHECK(outer.stop(SIGTERM) == 0);
  CHECK(inner.stop(SIGTERM) == 0);
}

TEST_CASE("a server that dies cuts the tunnel of a client of HTTP/2, and a client that dies its own") {
  Server server;
  Gateway gateway(configuration(server.endpoint));
  Process client({"/usr/bin/python3", "-W", "ignore", "-u", "-c", http2_client + R"(
connect(1)
assert head(1)[':status'] == '200'
print('open', flush=True)
while 1 not in cut and 1 not in ended: pump()
print('over', flush=True)
connect(3)
print('then', head(3)[':status'], flush=True)
)",
                  std::to_string(gateway.port())},
                 Process::Read::standard_output);
  client.wait_for_line("open");
  server.process.signal(9);
  client.wait_for_line("over");
  CHECK(client.wait_for_line("then") == "then 502");
  await_metric(gateway, "penstock_active_tunnels", 0);
  CHECK(gateway.stop(SIGTERM) == 0);
}

TEST_CASE("a backend of python3-h2: WebSockets where it takes them, a refusal where it does not") {
  const std::string backend = R"(
import asyncio, sys, h2.connection, h2.config, h2.events, h2.settings
class Server(asyncio.Protocol):
    def connection_made(self, t):
        self.t = t
        self.c = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding='utf-8'))
        if sys.argv[1] == 'takes':
            self.c.local_settings = h2.settings.Settings(client=False, initial_values={
                h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL: 1})
        self.c.initiate_connection(); self.t.write(self.c.data_to_send())
    def data_received(self, data):
        for e in self.c.receive_data(data):
            if isinstance(e, h2.events.RequestReceived):
                h = dict(e.headers)
                good = h[':method'] == 'CONNECT' and h.get(':protocol') == 'websocket' and 'sec-websocket-key' not in h
                self.c.send_headers(e.stream_id, [(':status', '200' if good else '400')], end_stream=not good)
            elif isinstance(e, h2.events.DataReceived):
                self.c.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
                if e.data: self.c.send_data(e.stream_id, e.data.upper())
            elif isinstance(e, h2.events.StreamEnded): self.c.end_stream(e.stream_id)
        self.t.write(self.c.data_to_send())
async def main():
    s = await asyncio.get_running_loop().create_server(Server, '127.0.0.1', 0)
    print('port', s.sockets[0].getsockname()[1], flush=True)
    await s.serve_forever()
asyncio.run(main())
)";
  for (const std::string what : {"takes", "does not"}) {
    CAPTURE(what);
    Process python({"/usr/bin/python3", "-W", "ignore", "-c", backend, what}, Process::Read::standard_output);
    Gateway gateway(configuration("127.0.0.1:" + python.wait_for_line("port ").substr(5), ", protocol: h2"));
    Client client(gateway.port());
    client.send(
        "GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    if (what == "takes") {
      const Response response = client.read_head();
      CHECK(response.status == 101);
      CHECK(response.header("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
      client.send("hello");
      CHECK(client.read(5) == "HELLO");
      client.end_sending();
      CHECK(client.read_to_end() == "");
    } else {
      const Response response = client.read_response();
      CHECK(response.status == 502);
      CHECK(response.body.find("upstream.upgrade") != std::string::npos);
    }
    await_metric(gateway, "http_server_active_requests", 0);
    CHECK(gateway.stop(SIGTERM) == 0);
  }
}
