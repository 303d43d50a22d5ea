// Real clients and servers of gRPC (python3-grpcio) with the real daemon between them, and curl where a
// client's library would hide what is on the wire.
#include <doctest/doctest.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "e2e/grpc_support.h"
#include "e2e/harness/memory.h"
#include "e2e/harness/metrics.h"

using namespace e2e;

namespace {

std::string said_of(const Ran& ran) { return ran.out + ran.err; }

// A call without a message, whose answer curl writes out, head and trailers included.
std::string curl_call(const Gateway& gateway, const std::string& path,
                      const std::vector<std::string>& more = {}) {
  std::vector<std::string> words{"curl", "-sSi", "-X", "POST", "--max-time", "30", "--http2-prior-knowledge"};
  for (const std::string field : {"te: trailers", "content-type: application/grpc"}) {
    words.push_back("-H");
    words.push_back(field);
  }
  words.insert(words.end(), more.begin(), more.end());
  words.push_back("http://127.0.0.1:" + std::to_string(gateway.port()) + path);
  return run(words).out;
}

std::string logged(const Gateway& gateway, const std::string& mark) {
  std::string log;
  await("the log's line with " + mark, [&] {
    log = gateway.folder().read("access.log");
    return log.find(mark) != std::string::npos;
  });
  const size_t at = log.find(mark), begin = log.rfind('\n', at);
  return log.substr(begin == log.npos ? 0 : begin + 1, log.find('\n', at) - begin);
}

}  // namespace

TEST_CASE("calls of all four kinds go through, with metadata, trailers and trailers-only answers") {
  GrpcServer server;
  Gateway gateway(grpc_configuration(server.endpoint));
  const Ran ran = grpc_client(gateway, R"(
reply, call = unary('Echo').with_call(b'hello', metadata=(('x-sent', 'a'), ('x-sent-bin', b'\x00\xff')))
assert reply == b'hello', reply
assert dict(call.initial_metadata())['x-head'] == 'begin'
trailing = dict(call.trailing_metadata())
assert trailing['x-trailer'] == 'end' and trailing['x-saw'] == 'a' and trailing['x-saw-bin'] == b'\x00\xff', trailing
assert list(server_stream('Count')(b'1000')) == [b'%d' % i for i in range(1000)]
assert client_stream('Add')(iter([b'%d' % i for i in range(1000)])) == b'499500'
assert list(bidi('EchoAll')(iter([b'%d' % i for i in range(1000)]))) == [b'%d' % i for i in range(1000)]
assert list(server_stream('Count')(b'0')) == []
status, details = failure(lambda: unary('Fail')(b''))
assert status == grpc.StatusCode.NOT_FOUND and details == 'no such thing: 100% \u00e9', (status, details)
status, details = failure(lambda: list(server_stream('FailLate')(b'')))
assert status == grpc.StatusCode.DATA_LOSS and details == 'late', (status, details)
)");
  CAPTURE(said_of(ran));
  CHECK(ran.exit_code == 0);
}

TEST_CASE("both sides of a stream talk while the other does, however long one is silent") {
  GrpcServer server;
  Gateway gateway(grpc_configuration(server.endpoint, "", "limits: { body_timeout: 200ms }, "));
  const Ran ran = grpc_client(gateway, R"(
import queue
to_send = queue.Queue()
answers = bidi('EchoAll')(iter(to_send.get, None))
for i in range(20):  # each is sent when the one before it has come back
    to_send.put(b'%d' % i)
    assert next(answers) == b'%d' % i
to_send.put(None)
assert list(answers) == []
to_send = queue.Queue()
answers = bidi('SpeakLater')(iter(to_send.get, None))  # after three times body_timeout, on neither side a byte
assert next(answers) == b'later'
to_send.put(None)
assert list(answers) == []
)");
  CAPTURE(said_of(ran));
  CHECK(ran.exit_code == 0);
}

TEST_CASE("at a full listener the quietest call that waits for its client gives way to a newcomer") {
  GrpcServer server;
  Gateway gateway(grpc_configuration(server.endpoint, "", "limits: { max_connections: 2 }, "));
  const Ran ran = grpc_client(gateway, R"(
import queue
def channel():
    return grpc.insecure_channel('127.0.0.1:' + sys.argv[1], options=[('grpc.enable_http_proxy', 0),
        ('grpc.enable_retries', 0), ('grpc.use_local_subchannel_pool', 1)])
class Listener:
    def __init__(self):
        self.channel, self.to_send = channel(), queue.Queue()
        self.answers = self.channel.stream_stream('/test.Peer/EchoAll')(iter(self.to_send.get, None))
        self.ask()
    def ask(self):
        self.to_send.put(b'?')
        assert next(self.answers) == b'?'
quiet, other = Listener(), Listener()
newcomer = channel()
assert newcomer.unary_unary('/test.Peer/Echo')(b'new', timeout=30) == b'new'
other.ask()
status, details = failure(lambda: next(quiet.answers))
assert status == grpc.StatusCode.UNAVAILABLE, (status, details)
os._exit(0)  # whatever is still open
)");
  CAPTURE(said_of(ran));
  CHECK(ran.exit_code == 0);
  CHECK(metric(gateway, "penstock_listener_evicted_connections_total{listener=\"http\"}") == 1);
}

TEST_CASE("large messages go both ways through windows that are smaller") {
  GrpcServer server;
  Gateway gateway(grpc_configuration(server.endpoint, "limits: { body_size: 64MiB }, "));
  const size_t before = gateway.resident_bytes();
  const Ran ran = grpc_client(gateway, R"(
large = bytes(range(256)) * 32768
assert unary('Echo')(large) == large
assert list(bidi('EchoAll')(iter([large] * 3))) == [large] * 3
)");
  CAPTURE(said_of(ran));
  CHECK(ran.exit_code == 0);
  CHECK(gateway.resident_bytes() < before + 32 * mebibyte * memory_factor);
}

TEST_CASE("a hundred calls at once share a connection") {
  GrpcServer server;
  Gateway gateway(grpc_configuration(server.endpoint));
  const Ran ran = grpc_client(gateway, R"(
calls = [unary('Together').future(b'%d' % i) for i in range(100)]  # the server answers none before it has all
assert [c.result() for c in calls] == [b'%d' % i for i in range(100)]
)");
  CAPTURE(said_of(ran));
  CHECK(ran.exit_code == 0);
}

TEST_CASE("a client that cancels is heard of by the server, and so is one that dies") {
  GrpcServer server;
  Gateway gateway(grpc_configuration(server.endpoint));
  const Ran ran = grpc_client(gateway, R"(
call = server_stream('Hang')(b'')
assert next(call) == b'first'
call.cancel()
assert failure(lambda: next(call))[0] == grpc.StatusCode.CANCELLED
)");
  CAPTURE(said_of(ran));
  CHECK(ran.exit_code == 0);
  server.process.wait_for_line("over");
  CHECK(logged(gateway, "client.closed").find("\"rpc.grpc.status_code\":1,") != std::string::npos);

  const Ran died = grpc_client(gateway, R"(
call = server_stream('Hang')(b'')
assert next(call) == b'first'
os._exit(7)
)");
  CHECK(died.exit_code == 7);
  server.process.wait_for_line("over");
}

TEST_CASE("a server that is not there, resets or dies is a status with a reason, also in mid-answer") {
  GrpcServer server;
  Gateway gateway(grpc_configuration(server.endpoint));
  const Ran ran = grpc_client(gateway, R"(
import queue
to_send = queue.Queue()
call = bidi('DieLater')(iter(to_send.get, None))
assert next(call) == b'first'
to_send.put(b'now')
status, details = failure(lambda: list(call))
assert status == grpc.StatusCode.UNAVAILABLE and 'upstream.reset' in details, (status, details)
status, details = failure(lambda: unary('Echo')(b''))
assert status == grpc.StatusCode.UNAVAILABLE and details.startswith('upstream.'), (status, details)
)");
  CAPTURE(said_of(ran));
  CHECK(ran.exit_code == 0);

  RawGrpcServer raw;
  Gateway to_raw(grpc_configuration(raw.endpoint));
  const Ran reset = grpc_client(to_raw, R"(
codes = grpc.StatusCode
of_code = {7: codes.UNAVAILABLE, 8: codes.CANCELLED, 11: codes.RESOURCE_EXHAUSTED, 12: codes.PERMISSION_DENIED}
for code in range(1, 13):
    for method in 'Reset%d', 'HalfAndReset%d':
        status, details = failure(lambda: list(server_stream(method % code)(b'')))
        assert status == of_code.get(code, codes.INTERNAL) and 'upstream.reset' in details, (method % code, status, details)
)");
  CAPTURE(said_of(reset));
  CHECK(reset.exit_code == 0);
}

TEST_CASE("a call's deadline is the exchange's, and the server is told") {
  RawGrpcServer raw;  // which looks at no deadline itself
  Gateway to_raw(grpc_configuration(raw.endpoint));
  const std::string answer = curl_call(to_raw, "/test.Peer/Silent", {"-H", "grpc-timeout: 100m"});
  CAPTURE(answer);
  CHECK(answer.starts_with("HTTP/2 200"));
  CHECK(answer.find("\ngrpc-status: 4\r\n") != std::string::npos);
  CHECK(answer.find("\ngrpc-message: request.deadline: ") != std::string::npos);
  raw.process.wait_for_line("reset 8");
  // With the head out, in the trailers.
  const std::string late = curl_call(to_raw, "/test.Peer/Half", {"-H", "grpc-timeout: 100m"});
  CAPTURE(late);
  CHECK(late.find("first") != std::string::npos);
  CHECK(late.find("grpc-status: 4\r\n") > late.find("first"));
  CHECK(late.find("grpc-status: 4\r\n") != std::string::npos);
  raw.process.wait_for_line("reset 8");
  const std::string line = logged(to_raw, "request.deadline");
  CHECK(line.find("\"http.response.status_code\":504,") != std::string::npos);
  CHECK(line.find("\"rpc.grpc.status_code\":4,") != std::string::npos);

  GrpcServer server;
  Gateway gateway(grpc_configuration(server.endpoint));
  const Ran ran = grpc_client(gateway, R"(
left = float(unary('TimeLeft')(b'', timeout=20))
assert 10 < left < 21, left  # the libraries round it
assert failure(lambda: unary('HangUnary')(b'', timeout=0.2))[0] == grpc.StatusCode.DEADLINE_EXCEEDED
)");
  CAPTURE(said_of(ran));
  CHECK(ran.exit_code == 0);
  server.process.wait_for_line("over");
}

TEST_CASE("every refusal is a status with its reason, and its own fields stay") {
  GrpcServer server;
  ClosedPort nobody;
  Gateway gateway(grpc_configuration(
      server.endpoint, "limits: { body_size: 1KiB }, ", "",
      "  - { name: closed, match: { path_prefix: /test.Closed }, auth: keys, upstream: u }\n"
      "  - { name: quota, match: { path: /test.Peer/Rare }, public: true, plugins: once, upstream: u }\n"
      "  - { name: dead, match: { path_prefix: /test.Dead }, public: true, upstream: dead }\n"
      "  - { name: web, match: { path_prefix: /web }, public: true, respond: { status: 404, body: "
      "\"<html>\", "
      "headers: { content-type: text/html } } }\n"
      "plugins:\n"
      "  keys: { type: api_key, header: x-api-key }\n"
      "  once: { type: rate_limit, key: client.address, limits: [1/h], headers: [ratelimit, retry-after] }\n",
      "  dead: { protocol: h2, endpoints: \"127.0.0.1:" + std::to_string(nobody.port()) + "\" }\n"));
  const Ran ran = grpc_client(gateway, R"(
def refused(path, status, reason, message=b''):
    got = failure(lambda: ch.unary_unary(path)(message))
    assert got[0] == status and reason in got[1], (path, got)
refused('/no.Such/Route', grpc.StatusCode.UNIMPLEMENTED, 'route.none')
refused('/test.Closed/A', grpc.StatusCode.UNAUTHENTICATED, 'auth.missing')
refused('/test.Peer/Echo', grpc.StatusCode.RESOURCE_EXHAUSTED, 'request.body_too_large', b'x' * 5000)
refused('/test.Dead/A', grpc.StatusCode.UNAVAILABLE, 'upstream.connect.refused')
refused('/web/A', grpc.StatusCode.UNIMPLEMENTED, 'Not Found')
got = failure(lambda: ch.stream_unary('/no.Such/Route')(iter([b'x' * 1000000] * 20)))  # while it still sends
assert got[0] == grpc.StatusCode.UNIMPLEMENTED and 'route.none' in got[1], got
assert unary('Rare')(b'once') == b'once'
refused('/test.Peer/Rare', grpc.StatusCode.RESOURCE_EXHAUSTED, 'limit.rate')
)");
  CAPTURE(said_of(ran));
  CHECK(ran.exit_code == 0);

  const std::string limited = curl_call(gateway, "/test.Peer/Rare");
  CAPTURE(limited);
  CHECK(limited.starts_with("HTTP/2 200"));
  for (const std::string field : {"\ncontent-type: application/grpc\r\n", "\ngrpc-status: 8\r\n",
                                  "\nretry-after: ", "\nratelimit: ", "\nx-request-id: "})
    CHECK(limited.find(field) != std::string::npos);
  CHECK(limited.find("content-length") == std::string::npos);
  CHECK(limited.ends_with("\r\n\r\n"));
  CHECK(curl_call(gateway, "/test.Closed/A").find("\nwww-authenticate: ApiKey") != std::string::npos);
  // Who speaks HTTP/1.1 gets what HTTP/1.1 has.
  CHECK(curl_call(gateway, "/no.Such/Route", {"--http1.1"}).starts_with("HTTP/1.1 404"));

  const std::string line = logged(gateway, "limit.rate");
  const auto record = nlohmann::json::parse(line);
  CHECK(record["http.response.status_code"] == 429);
  CHECK(record["rpc.system"] == "grpc");
  CHECK(record["rpc.grpc.status_code"] == 8);
  CHECK(record["rpc.service"] == "test.Peer");
  CHECK(record["rpc.method"] == "Rare");
}

TEST_CASE("methods are routed and counted by their names") {
  GrpcServer one, two;
  Gateway gateway(grpc_configuration(
      one.endpoint, "", "",
      "  - { name: method, match: { path: /test.Peer/Add }, public: true, upstream: two }\n"
      "  - { name: service, match: { path_prefix: /test.Other }, public: true, upstream: two }\n",
      "  two: { protocol: h2, endpoints: \"" + two.endpoint + "\" }\n"));
  const Ran ran = grpc_client(gateway, R"(
assert unary('Who')(b'').decode() in sys.argv[2]
assert ch.unary_unary('/test.Other/Who')(b'').decode() in sys.argv[3]
assert client_stream('Add')(iter([b'1', b'2'])) == b'3'
assert failure(lambda: unary('NotThere')(b''))[0] == grpc.StatusCode.UNIMPLEMENTED
assert failure(lambda: unary('Fail')(b''))[0] == grpc.StatusCode.NOT_FOUND
)",
                              {one.endpoint, two.endpoint});
  CAPTURE(said_of(ran));
  CHECK(ran.exit_code == 0);
  const auto calls = [](const std::string& route, const std::string& service, const std::string& method,
                        int status) {
    return "penstock_grpc_calls_total{http_route=\"" + route + "\",rpc_service=\"" + service +
           "\",rpc_method=\"" + method + "\",rpc_grpc_status_code=\"" + std::to_string(status) + "\"}";
  };
  await_metric(gateway, calls("all", "test.Peer", "Who", 0), 1);
  await_metric(gateway, calls("service", "test.Other", "Who", 0), 1);
  await_metric(gateway, calls("method", "test.Peer", "Add", 0), 1);
  await_metric(gateway, calls("all", "_OTHER", "_OTHER", 5), 1);  // no proof that there is one
  await_metric(gateway, calls("all", "_OTHER", "_OTHER", 12), 1);
}

TEST_CASE("the C++ library's calls go through, too") {
  Process server({binary("penstock_grpc_peer"), "server"}, Process::Read::standard_output);
  Gateway gateway(grpc_configuration("127.0.0.1:" + server.wait_for_line("port ").substr(5)));
  const Ran ran = run({binary("penstock_grpc_peer"), "client", std::to_string(gateway.port())});
  CAPTURE(said_of(ran));
  CHECK(ran.exit_code == 0);
}

TEST_CASE("gRPC-Web, as browsers send it, in binary and in text, over HTTP/1.1") {
  GrpcServer server;
  Gateway gateway(grpc_configuration(server.endpoint, "grpc_web: true, "));
  const Ran ran = run({"/usr/bin/python3", "-c", grpc_web_client + R"(
for kind in ('application/grpc-web+proto', 'application/grpc-web', 'application/grpc-web-text+proto', 'application/grpc-web-text'):
    for chunked in (False, True):
        head, messages, trailers = call('/test.Peer/Echo', kind, [b'hello'], chunked)
        assert head['content-type'] == kind and head['x-head'] == 'begin', head
        assert messages == [b'hello'] and trailers['grpc-status'] == '0' and trailers['x-trailer'] == 'end', trailers
    head, messages, trailers = call('/test.Peer/Count', kind, [b'300'])
    assert messages == [b'%d' % i for i in range(300)] and trailers['grpc-status'] == '0'
    head, messages, trailers = call('/test.Peer/Fail', kind, [b''])
    assert messages == [] and trailers['grpc-status'] == '5' and 'grpc-status' not in head, (head, trailers)
    large = bytes(range(256)) * 4096
    head, messages, trailers = call('/test.Peer/Echo', kind, [large], True)
    assert messages == [large] and trailers['grpc-status'] == '0'
    head, messages, trailers = call('/no.Such/Route', kind, [b''])
    assert messages == [] and trailers['grpc-status'] == '12' and trailers['grpc-message'].startswith('route.none'), trailers
    head, messages, trailers = call('/test.Peer/HangUnary', kind, [b''], more={'grpc-timeout': '200m'})
    assert messages == [] and trailers['grpc-status'] == '4', trailers
# The first message is there while the call goes on.
connection, answer = begin('/test.Peer/Hang', 'application/grpc-web-text', [b''])
read = b''
while b'first' not in from_text(read[:len(read) // 4 * 4]): read += answer.read1(100)
connection.close()
)",
                       std::to_string(gateway.port())});
  CAPTURE(said_of(ran));
  CHECK(ran.exit_code == 0);
  for (int i = 0; i < 5; ++i) server.process.wait_for_line("over");
}
