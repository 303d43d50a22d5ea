#include "e2e/grpc_support.h"

namespace e2e {
namespace {

const std::string server = R"(
import grpc, os, sys, threading, time
from concurrent import futures
port = None
together = threading.Barrier(100)
def echo(m, c):
    c.send_initial_metadata((('x-head', 'begin'),))
    saw = dict(c.invocation_metadata())
    trailing = [('x-trailer', 'end'), ('x-saw', saw.get('x-sent', ''))]
    if 'x-sent-bin' in saw: trailing.append(('x-saw-bin', saw['x-sent-bin']))
    c.set_trailing_metadata(trailing)
    return m
def count(m, c):
    for i in range(int(m or 0)): yield b'%d' % i
def add(ms, c): return b'%d' % sum(int(m) for m in ms)
def echo_all(ms, c):
    for m in ms: yield m
def speak_later(ms, c):
    time.sleep(0.6)  # three times the gateway's body_timeout
    yield b'later'
    for m in ms: pass
def fail(m, c): c.abort(grpc.StatusCode.NOT_FOUND, 'no such thing: 100% \u00e9')
def fail_late(m, c):
    yield b'first'
    c.abort(grpc.StatusCode.DATA_LOSS, 'late')
def end_of(c):
    over = threading.Event()
    def say():
        print('over', flush=True)
        over.set()
    if not c.add_callback(say): say()
    return over
def hang(m, c):
    over = end_of(c)  # first: a call that is cancelled meanwhile is not gone on with
    yield b'first'
    over.wait()
def hang_unary(m, c):
    end_of(c).wait()
    return b''
def die_later(ms, c):
    yield b'first'
    for m in ms: os._exit(1)
def wait_for_all(m, c):
    together.wait(30)
    return m
unary = {'Echo': echo, 'Rare': echo, 'Fail': fail, 'HangUnary': hang_unary, 'Together': wait_for_all,
    'Who': lambda m, c: b'%d' % port, 'TimeLeft': lambda m, c: str(c.time_remaining()).encode()}
server_stream = {'Count': count, 'FailLate': fail_late, 'Hang': hang}
class Peer(grpc.GenericRpcHandler):
    def service(self, details):
        method = details.method.split('/')[-1]
        if method in unary: return grpc.unary_unary_rpc_method_handler(unary[method])
        if method in server_stream: return grpc.unary_stream_rpc_method_handler(server_stream[method])
        if method == 'Add': return grpc.stream_unary_rpc_method_handler(add)
        if method == 'EchoAll': return grpc.stream_stream_rpc_method_handler(echo_all)
        if method == 'SpeakLater': return grpc.stream_stream_rpc_method_handler(speak_later)
        if method == 'DieLater': return grpc.stream_stream_rpc_method_handler(die_later)
s = grpc.server(futures.ThreadPoolExecutor(max_workers=120), handlers=(Peer(),),
    options=[('grpc.max_receive_message_length', -1), ('grpc.so_reuseport', 0)])
port = s.add_insecure_port('127.0.0.1:0')
s.start()
print('port', port, flush=True)
s.wait_for_termination()
)";

const std::string raw_server = R"(
import asyncio, h2.connection, h2.config, h2.events
class Server(asyncio.Protocol):
    def connection_made(self, t):
        self.t = t
        self.c = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding='utf-8'))
        self.c.initiate_connection()
        t.write(self.c.data_to_send())
    def data_received(self, data):
        for e in self.c.receive_data(data):
            if isinstance(e, h2.events.StreamReset): print('reset', int(e.error_code), flush=True)
            if isinstance(e, h2.events.RequestReceived): self.begin(e.stream_id, dict(e.headers)[':path'].split('/')[-1])
        self.t.write(self.c.data_to_send())
    def begin(self, id, method):
        if 'Half' in method:
            self.c.send_headers(id, [(':status', '200'), ('content-type', 'application/grpc')])
            self.c.send_data(id, b'\0\0\0\0\x50first')
        if 'Reset' in method: self.c.reset_stream(id, int(method.split('Reset')[1] or 2))
async def main():
    s = await asyncio.get_running_loop().create_server(Server, '127.0.0.1', 0)
    print('port', s.sockets[0].getsockname()[1], flush=True)
    await s.serve_forever()
asyncio.run(main())
)";

const std::string client = R"(
import grpc, os, sys
ch = grpc.insecure_channel('127.0.0.1:' + sys.argv[1], options=[('grpc.enable_http_proxy', 0),
    ('grpc.max_receive_message_length', -1), ('grpc.enable_retries', 0)])
def unary(m): return ch.unary_unary('/test.Peer/' + m)
def server_stream(m): return ch.unary_stream('/test.Peer/' + m)
def client_stream(m): return ch.stream_unary('/test.Peer/' + m)
def bidi(m): return ch.stream_stream('/test.Peer/' + m)
def failure(call):
    try: got = call()
    except grpc.RpcError as e: return e.code(), e.details()
    raise AssertionError('no failure but ' + repr(got)[:100])
)";

}  // namespace

GrpcServer::GrpcServer()
    : process({"/usr/bin/python3", "-c", server}, Process::Read::standard_output),
      endpoint("127.0.0.1:" + process.wait_for_line("port ").substr(5)) {}

RawGrpcServer::RawGrpcServer()
    : process({"/usr/bin/python3", "-W", "ignore", "-c", raw_server}, Process::Read::standard_output),
      endpoint("127.0.0.1:" + process.wait_for_line("port ").substr(5)) {}

Ran grpc_client(const Gateway& gateway, const std::string& script, const std::vector<std::string>& more) {
  std::vector<std::string> words{"/usr/bin/python3", "-c", client + script, std::to_string(gateway.port())};
  words.insert(words.end(), more.begin(), more.end());
  return run(words);
}

const std::string grpc_web_client = R"(
import base64, http.client, struct, sys
def from_text(text):  # groups of four, any of which may be padded
    return b''.join(base64.b64decode(text[i:i + 4], validate=True) for i in range(0, len(text), 4))
def begin(path, kind, messages, chunked=False, more={}):
    body = b''.join(struct.pack('>BI', 0, len(m)) + m for m in messages)
    if 'text' in kind: body = base64.b64encode(body)
    connection = http.client.HTTPConnection('127.0.0.1', int(sys.argv[1]), timeout=30)
    pieces = [body[i:i + 7001] for i in range(0, len(body), 7001)]
    connection.request('POST', path, iter(pieces) if chunked else body, encode_chunked=chunked,
        headers={'content-type': kind, 'x-grpc-web': '1', **({'transfer-encoding': 'chunked'} if chunked else {}), **more})
    return connection, connection.getresponse()
def call(path, kind, messages, chunked=False, more={}):
    connection, answer = begin(path, kind, messages, chunked, more)
    assert answer.status == 200, answer.status
    body = answer.read()
    if 'text' in kind: body = from_text(body)
    got, trailers = [], None
    while body:
        flag, size = struct.unpack('>BI', body[:5])
        frame, body = body[5:5 + size], body[5 + size:]
        assert len(frame) == size and trailers is None
        if flag == 0x80: trailers = dict(l.split(': ', 1) for l in frame.decode().split('\r\n')[:-1])
        else: got.append(frame)
    connection.close()
    return {k.lower(): v for k, v in answer.getheaders()}, got, trailers
)";

std::string grpc_configuration(const std::string& endpoint, const std::string& route,
                               const std::string& listener, const std::string& more_routes,
                               const std::string& more_upstreams) {
  return "schema: 1\nworkers: 1\n"
         "status: { address: \"127.0.0.1:0\" }\naccess_log: [{ format: json, file: access.log }]\n"
         "listeners:\n  - { name: http, " +
         listener + "address: \"127.0.0.1:0\", protocols: [h2, http/1.1] }\n" +
         "upstreams:\n  u: { protocol: h2, endpoints: \"" + endpoint + "\" }\n" + more_upstreams +
         "routes:\n  - { name: all, match: { path_prefix: /test.Peer }, public: true, " + route +
         "upstream: u }\n" + more_routes;
}

}  // namespace e2e
