// A certificate that is exchanged: who was shown the old one is asked to come again, without losing a
// request.
#include <doctest/doctest.h>

#include <csignal>

#include "e2e/harness/gateway.h"
#include "e2e/harness/metrics.h"
#include "e2e/tls_support.h"

using namespace e2e;

namespace {

std::string configuration(const std::string& endpoint, const TlsFiles& files) {
  return "schema: 1\nworkers: 1\nstatus: { address: \"127.0.0.1:0\" }\naccess_log: none\n"
         "drain: { accept_for: 0s, timeout: 20s }\n"
         "listeners:\n  - { name: https, address: \"127.0.0.1:0\", protocols: [h2, http/1.1], tls: { "
         "certificates: [" +
         files.pair("a") + ", " + files.pair("b") +
         "] } }\nroutes: [{ name: all, match: { path_prefix: / }, public: true, upstream: u }]\n"
         "upstreams: { u: { endpoints: \"" +
         endpoint + "\" } }\n";
}

// Three connections: HTTP/2 under either name, with one request under way on the first, and HTTP/1.1.
const std::string client = R"(
import signal, socket, ssl, sys, h2.connection, h2.config
port = int(sys.argv[1])
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
context = ssl._create_unverified_context()
def tls(name, protocol):
    context.set_alpn_protocols([protocol])
    s = context.wrap_socket(socket.create_connection(('127.0.0.1', port)), server_hostname=name)
    s.settimeout(20)
    return s, s.getpeercert(True)
class Http2:
    def __init__(self, name):
        self.s, self.shown = tls(name, 'h2')
        self.rest, self.id = b'', 1
        self.c = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.c.initiate_connection()
    def ask(self, path, end=True):
        self.c.send_headers(self.id, [(':method', 'GET' if end else 'POST'), (':scheme', 'https'),
                                      (':authority', 'x'), (':path', path)], end_stream=end)
        self.id += 2
        self.s.sendall(self.c.data_to_send())
    def frame(self):  # type, flags, stream, payload; None at the end
        while len(self.rest) < 9 or len(self.rest) < 9 + int.from_bytes(self.rest[:3], 'big'):
            data = self.s.recv(65536)
            if not data: return None
            self.rest += data
        size = int.from_bytes(self.rest[:3], 'big')
        head, payload, self.rest = self.rest[:9], self.rest[9:9 + size], self.rest[9 + size:]
        if head[3] == 6 and not head[4] & 1: self.s.sendall(b'\0\0\x08\x06\x01\0\0\0\0' + payload)
        return head[3], head[4], int.from_bytes(head[5:], 'big'), payload
    def until_end(self, stream):
        while True:
            f = self.frame()
            assert f and f[0] != 7, f
            if f[0] in (0, 1) and f[1] & 1 and f[2] == stream: return
def http1(s):
    s.sendall(b'GET /x HTTP/1.1\r\nHost: x\r\n\r\n')
    data = b''
    while b'\r\n\r\n' not in data: data += s.recv(65536)
    head, body = data.split(b'\r\n\r\n', 1)
    size = int([l for l in head.lower().split(b'\r\n') if l.startswith(b'content-length:')][0].split(b':')[1])
    while len(body) < size: body += s.recv(65536)
    return head.lower()
a, b = Http2('a.test'), Http2('b.test')
one, shown = tls('a.test', 'http/1.1')
assert shown == a.shown != b.shown
a.ask('/x'); a.until_end(1)
b.ask('/x'); b.until_end(1)
assert b'connection: close' not in http1(one)
a.ask('/echo', end=False)
print('ready', flush=True)
signal.sigwait({signal.SIGUSR1})
seen = []
while True:
    f = a.frame()
    if f is None: break
    if f[0] == 7:
        seen.append((int.from_bytes(f[3][:4], 'big'), int.from_bytes(f[3][4:8], 'big')))
        if len(seen) == 2:
            a.c.send_data(3, b'late', end_stream=True); a.s.sendall(a.c.data_to_send())
    if f[0] in (0, 1) and f[1] & 1: seen.append(('answer', f[2]))
assert seen == [(2**31 - 1, 0), (3, 0), ('answer', 3)], seen
b.ask('/x'); b.until_end(3)              # its certificate is what it was
assert b'connection: close' in http1(one)
assert one.recv(1) == b''
again = Http2('a.test')
assert again.shown != a.shown
again.ask('/x'); again.until_end(1)
print('done', flush=True)
)";

}  // namespace

TEST_CASE("connections with a certificate that was exchanged are drained, and no others") {
  Backend backend;
  TlsFiles files;
  files.make("a", "a.test");
  files.make("b", "b.test");
  const std::string text = configuration(backend.endpoint(), files);
  Gateway gateway(text);
  Process python(
      {"/usr/bin/python3", "-W", "ignore", "-u", "-c", client, std::to_string(gateway.port("https"))},
      Process::Read::standard_output);
  python.wait_for_line("ready");
  CHECK(sample(gateway, "penstock_http2_open_connections") == 2);
  gateway.reload(text);  // with the same: nobody is drained
  CHECK(sample(gateway, "penstock_http2_open_connections") == 2);
  files.make("a", "a.test");
  SUBCASE("by a reload") { gateway.reload(text); }
  SUBCASE("by the files alone") { gateway.process().wait_for_line("listener https: re-read "); }
  python.signal(SIGUSR1);
  python.wait_for_line("done");
  await_metric(gateway, "penstock_http2_open_streams", 0);
  CHECK(sample(gateway,
               "http_server_request_duration_seconds_count{http_route=\"all\",http_request_method="
               "\"GET\",http_response_status_code=\"200\",error_type=\"\",network_protocol_version="
               "\"2\"}") == 4);
  CHECK(gateway.stop(SIGTERM) == 0);
}
