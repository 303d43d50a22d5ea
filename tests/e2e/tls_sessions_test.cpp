// Resumption, rotation of files, and floods of handshakes against the real daemon.
#include <doctest/doctest.h>

#include <csignal>
#include <filesystem>
#include <memory>
#include <vector>

#include "e2e/harness/client.h"
#include "e2e/harness/metrics.h"
#include "e2e/harness/waiting.h"
#include "e2e/tls_support.h"

using namespace e2e;

namespace {

// Resumes one session `count` times, each on a connection of its own, so that every worker meets it; prints
// how many went on.
constexpr const char* resume_program = R"(
import socket, ssl, sys
port, version, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
if version == '1.2': context.maximum_version = ssl.TLSVersion.TLSv1_2
def visit(session):
    with socket.create_connection(('127.0.0.1', port)) as raw:
        with context.wrap_socket(raw, server_hostname='api.test', session=session) as tls:
            tls.sendall(b'GET /x HTTP/1.1\r\nhost: api.test\r\nconnection: close\r\n\r\n')
            while tls.recv(4096): pass
            return tls.session_reused, tls.session
_, session = visit(None)
print(sum(visit(session)[0] for _ in range(count)), flush=True)
)";

std::string port_of(const Gateway& gateway) { return std::to_string(gateway.port("https")); }

// One exchange with openssl s_client, whose session is written to or read from a file.
std::string visit(const Gateway& gateway, const std::string& option, const std::string& session) {
  return run({"/bin/sh", "-c",
              "printf 'GET /x HTTP/1.1\\r\\nhost: api.test\\r\\nconnection: close\\r\\n\\r\\n' | openssl "
              "s_client "
              "-connect 127.0.0.1:$0 -servername api.test -ign_eof $1 $2",
              port_of(gateway), option, session})
      .out;
}

}  // namespace

TEST_CASE("a hundred resumptions over four workers all resume") {
  TlsFiles files;
  files.make("api", "api.test");
  Gateway gateway(tls_gateway(files.pair("api"), "", "workers: 4\n"));
  for (const char* version : {"1.2", "1.3"}) {
    Ran ran = python(resume_program, {port_of(gateway), version, "100"});
    CAPTURE(ran.err);
    CHECK(ran.out == "100\n");
  }
  CHECK(sample(gateway,
               "penstock_tls_handshakes_total{listener=\"https\",version=\"TLSv1.2\",resumed=\"true\"}") ==
        100);
  CHECK(sample(gateway,
               "penstock_tls_handshakes_total{listener=\"https\",version=\"TLSv1.3\",resumed=\"true\"}") ==
        100);
  CHECK(sample(gateway,
               "penstock_tls_handshakes_total{listener=\"https\",version=\"TLSv1.3\",resumed=\"false\"}") ==
        1);
}

TEST_CASE("a session of before a reload goes on after it on every worker; without tickets none does") {
  TlsFiles files;
  files.make("api", "api.test");
  Gateway gateway(tls_gateway(files.pair("api"), "", "workers: 4\n"));
  CHECK(visit(gateway, "-sess_out", files.file("session")).find("\nNew, TLSv1.3") != std::string::npos);
  CHECK(gateway.reload(tls_gateway(files.pair("api"), ", max_handshakes: 500", "workers: 4\n"))
            .find("reloaded") != std::string::npos);
  for (int i = 0; i < 20; ++i)
    CHECK(visit(gateway, "-sess_in", files.file("session")).find("\nReused, TLSv1.3") != std::string::npos);

  CHECK(gateway.reload(tls_gateway(files.pair("api"), ", tickets: none", "workers: 4\n")).find("reloaded") !=
        std::string::npos);
  for (const char* version : {"1.2", "1.3"})
    CHECK(python(resume_program, {port_of(gateway), version, "5"}).out == "0\n");
}

TEST_CASE("a fleet with one key file resumes each other's sessions") {
  TlsFiles files;
  files.make("api", "api.test");
  files.folder.write("tickets", std::string(160, '7') + "\n");
  const std::string configuration =
      tls_gateway(files.pair("api"), ", tickets: { key_file: " + files.file("tickets") + " }");
  Gateway one(configuration), two(configuration);
  CHECK(visit(one, "-sess_out", files.file("session")).find("\nNew, TLSv1.3") != std::string::npos);
  CHECK(visit(two, "-sess_in", files.file("session")).find("\nReused, TLSv1.3") != std::string::npos);
  // A new key goes in front; the old one still decrypts until it is taken out.
  files.folder.write("tickets", std::string(160, '8') + "\n" + std::string(160, '7') + "\n");
  two.process().wait_for_line("listener https: re-read ");
  CHECK(visit(two, "-sess_in", files.file("session")).find("\nReused, TLSv1.3") != std::string::npos);
  files.folder.write("tickets", std::string(160, '8') + "\n");
  two.process().wait_for_line("listener https: re-read ");
  CHECK(visit(two, "-sess_in", files.file("session")).find("\nNew, TLSv1.3") != std::string::npos);
}

TEST_CASE("a certificate that is renewed in its place is served without a reload and without an error") {
  TlsFiles files;
  files.make("api", "api.test");
  Gateway gateway(tls_gateway(files.pair("api")));
  Process load({"/usr/bin/python3", "-c", R"(
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
seen, visits = [], 0
while len(seen) < 2:
    with socket.create_connection(('127.0.0.1', int(sys.argv[1]))) as raw:
        with context.wrap_socket(raw, server_hostname='api.test') as tls:
            tls.sendall(b'GET /x HTTP/1.1\r\nhost: api.test\r\nconnection: close\r\n\r\n')
            answer = b''
            while part := tls.recv(4096): answer += part
            assert answer.startswith(b'HTTP/1.1 200'), answer
            shown = tls.getpeercert(True)
            if shown not in seen: seen.append(shown)
    visits += 1
    if visits == 1: print('begun', flush=True)
print('done', flush=True)
)",
                port_of(gateway)},
               Process::Read::standard_output);
  load.wait_for_line("begun");
  files.make("new", "api.test");
  std::filesystem::rename(files.file("new.crt"), files.file("api.crt"));
  std::filesystem::rename(files.file("new.key"), files.file("api.key"));
  gateway.process().wait_for_line("listener https: re-read ");
  CHECK(load.wait_for_line("") == "done");
  CHECK(load.wait() == 0);
  CHECK(sample(gateway, "penstock_tls_rereads_total{listener=\"https\",result=\"taken\"}") == 1);
}

TEST_CASE("a key that does not belong to the new certificate is kept out until it does") {
  TlsFiles files;
  files.make("api", "api.test");
  files.make("docs", "docs.test");
  Gateway gateway(tls_gateway(files.pair("api")));
  std::filesystem::copy(files.file("docs.crt"), files.file("api.crt"),
                        std::filesystem::copy_options::overwrite_existing);
  gateway.process().wait_for_line("the old one stays: key '");
  CHECK(fetch(gateway, "api.test", {"-k"}).out == "hello\n");
  CHECK(fetch(gateway, "docs.test", {"--cacert", files.file("docs.crt")}).exit_code == 60);
  CHECK(sample(gateway, "penstock_tls_rereads_total{listener=\"https\",result=\"refused\"}") == 1);
  std::filesystem::copy(files.file("docs.key"), files.file("api.key"),
                        std::filesystem::copy_options::overwrite_existing);
  gateway.process().wait_for_line("listener https: re-read ");
  CHECK(fetch(gateway, "docs.test", {"--cacert", files.file("docs.crt")}).out == "hello\n");
}

TEST_CASE("certificates behind an exchanged link are re-read, as secrets are mounted in containers") {
  TlsFiles files;
  for (const char* version : {"v1", "v2"}) {
    std::filesystem::create_directory(files.file(version));
    files.make(std::string(version) + "/tls", std::string(version) + ".test");
  }
  std::filesystem::create_directory_symlink("v1", files.file("data"));
  Gateway gateway(tls_gateway(files.pair("data/tls")));
  CHECK(fetch(gateway, "v1.test", {"--cacert", files.file("v1/tls.crt")}).out == "hello\n");
  CHECK(sample(gateway, "penstock_certificate_expiry_timestamp_seconds{listener=\"https\",file=\"" +
                            files.file("data/tls.crt") + "\"}") > 0);
  std::filesystem::create_directory_symlink("v2", files.file("next"));
  std::filesystem::rename(files.file("next"), files.file("data"));
  gateway.process().wait_for_line("listener https: re-read ");
  CHECK(fetch(gateway, "v2.test", {"--cacert", files.file("v2/tls.crt")}).out == "hello\n");
}

TEST_CASE("a thousand half-open handshakes keep nobody out, new or old") {
  TlsFiles files;
  files.make("api", "api.test");
  Gateway gateway(tls_gateway(files.pair("api"), ", max_handshakes: 200"));
  Process old({"/usr/bin/python3", "-c", R"(
import signal, socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
tls = context.wrap_socket(socket.create_connection(('127.0.0.1', int(sys.argv[1]))), server_hostname='api.test')
def ask():
    tls.sendall(b'GET /x HTTP/1.1\r\nhost: api.test\r\n\r\n')
    answer = b''
    while not answer.endswith(b'hello\n'): answer += tls.recv(4096)
    print('answered', flush=True)
ask()
half = []
for i in range(1000):
    raw = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
    try:
        if i % 2: raw.sendall(b'\x16\x03\x01\x02\x00\x01\x00')
    except OSError: pass
    half.append(raw)
ask()
signal.pause()
)",
               port_of(gateway)},
              Process::Read::standard_output);
  old.wait_for_line("answered");
  old.wait_for_line("answered");
  CHECK(fetch(gateway, "api.test", {"-k"}).out == "hello\n");
  // Those that say nothing have not begun: the others are too many. On a slow machine their own time may be
  // over.
  auto ended = [&] {
    const std::string family = "penstock_tls_handshake_failures_total{listener=\"https\",reason=\"";
    return sample(gateway, family + "evicted\"}") + sample(gateway, family + "timeout\"}");
  };
  const auto until = Clock::now() + patience;
  while (ended() < 295 && Clock::now() < until) {}
  CHECK(ended() >= 295);
  CHECK(sample(gateway, "penstock_tls_handshakes_in_flight{listener=\"https\"}") <= 202);
}

// They took the place of whoever was in the middle of a handshake, which is everybody with a round trip.
TEST_CASE("connections that say nothing cost a client in the middle of its handshake nothing") {
  TlsFiles files;
  files.make("api", "api.test");
  Gateway gateway(tls_gateway(files.pair("api"), ", max_handshakes: 1", "workers: 1\n"));
  Process slow({"/usr/bin/python3", "-c", R"(
import signal, socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
tls = context.wrap_bio(into, out, server_hostname='api.test')
raw = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
def step(act):
    while True:
        try: return act()
        except ssl.SSLWantReadError: pass
        if out.pending: raw.sendall(out.read())
        received = raw.recv(65536)
        if not received: raise SystemExit('given up')
        into.write(received)
try: tls.do_handshake()
except ssl.SSLWantReadError: pass
hello = out.read()
raw.sendall(hello[:50])
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
print('half', flush=True)
signal.sigwait({signal.SIGUSR1})
raw.sendall(hello[50:])
step(tls.do_handshake)
tls.write(b'GET /x HTTP/1.1\r\nhost: api.test\r\nconnection: close\r\n\r\n')
raw.sendall(out.read())
print(step(lambda: tls.read(100)).split()[1].decode(), flush=True)
)",
                port_of(gateway)},
               Process::Read::standard_output);
  slow.wait_for_line("half");
  await_metric(gateway, "penstock_tls_handshakes_in_flight{listener=\"https\"}", 1);
  std::vector<std::unique_ptr<Client>> silent;
  for (int i = 0; i < 20; ++i) silent.push_back(std::make_unique<Client>(gateway.port("https")));
  await_metric(gateway, "http_server_open_connections", 21);
  CHECK(sample(gateway, "penstock_tls_handshakes_in_flight{listener=\"https\"}") == 1);
  slow.signal(SIGUSR1);
  slow.wait_for_line("200");
  CHECK(sample(gateway, "penstock_tls_handshake_failures_total{listener=\"https\",reason=\"evicted\"}") == 0);
}

TEST_CASE("a handshake that stops after its first bytes ends with handshake_timeout") {
  TlsFiles files;
  files.make("api", "api.test");
  Gateway gateway(tls_gateway(files.pair("api"), ", handshake_timeout: 50ms"));
  Client half(gateway.port("https"));
  half.send(std::string_view("\x16\x03\x01\x02\x00\x01", 6));
  CHECK(half.at_end());
  Client silent(gateway.port("https"));
  CHECK(silent.at_end());
  CHECK(sample(gateway, "penstock_tls_handshake_failures_total{listener=\"https\",reason=\"timeout\"}") == 2);
}

// Attackers that each send the whole of a ClientHello, stop, and come back as soon as they are cut.
TEST_CASE("handshakes that stop and come back, on every place and with every turn taken, refuse no client") {
  TlsFiles files;
  files.make("api", "api.test");
  std::string text = tls_gateway(files.pair("api"), ", max_handshakes: 4", "workers: 1\n");
  text.replace(text.find("tls: {"), 0, "limits: { max_connections: 20, max_connections_per_client: none }, ");
  Gateway gateway(text);
  Process attackers({"/usr/bin/python3", "-c", R"(
import select, socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
out = ssl.MemoryBIO()
try: context.wrap_bio(ssl.MemoryBIO(), out, server_hostname='api.test').do_handshake()
except ssl.SSLWantReadError: pass
hello = out.read()
poller, attackers = select.poll(), {}
def come():
    raw = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
    raw.sendall(hello)
    attackers[raw.fileno()] = raw
    poller.register(raw, select.POLLIN)
for _ in range(30): come()
print('there', flush=True)
while True:
    for fd, _ in poller.poll():
        try:
            if attackers[fd].recv(65536): continue
        except OSError: pass
        poller.unregister(fd)
        attackers.pop(fd).close()
        come()
)",
                     port_of(gateway)},
                    Process::Read::standard_output);
  attackers.wait_for_line("there");
  for (int i = 0; i < 4; ++i) CHECK(fetch(gateway, "api.test", {"-k"}).out == "hello\n");
}

TEST_CASE("half-open handshakes on every place of a listener make room for new clients") {
  TlsFiles files;
  files.make("api", "api.test");
  std::string text = tls_gateway(files.pair("api"), "", "workers: 1\n");
  text.replace(text.find("tls: {"), 0, "limits: { max_connections: 20 }, ");
  Gateway gateway(text);
  std::vector<std::unique_ptr<Client>> half;
  for (int i = 0; i < 20; ++i) half.push_back(std::make_unique<Client>(gateway.port("https")));
  for (int i = 0; i < 3; ++i) CHECK(fetch(gateway, "api.test", {"-k"}).out == "hello\n");
  // One for one, or none for a newcomer that found the place of the last.
  double evicted = sample(gateway, "penstock_listener_evicted_connections_total{listener=\"https\"}");
  CHECK(evicted >= 1);
  CHECK(evicted <= 3);
  CHECK(sample(gateway, "penstock_listener_refused_connections_total{listener=\"https\"}") == 0);
}
