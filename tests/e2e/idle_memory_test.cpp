// What a connection that waits for its next request takes of the daemon's memory. So many of them that what
// the daemon takes for itself does not count; a sanitizer has a heap of its own, so its build leaves this
// out.
#include <doctest/doctest.h>
#include <openssl/crypto.h>

#include <memory>
#include <string>
#include <vector>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/process.h"
#include "e2e/tls_support.h"

using namespace e2e;

namespace {

constexpr const char* one_worker = "workers: 1\n";

using Clients = std::vector<std::unique_ptr<Client>>;

void hold(Clients& clients, uint16_t port, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    auto client = std::make_unique<Client>(port);
    client->send("GET /bytes/1024 HTTP/1.1\r\nhost: a\r\n\r\n");
    REQUIRE(client->read_response().status == 200);
    clients.push_back(std::move(client));
  }
}

// Says how many it holds after each of them, and holds them until it is ended.
constexpr const char* hold_program = R"(
import signal, socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
held = []
for _ in range(int(sys.argv[2])):
    raw = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
    tls = context.wrap_socket(raw, server_hostname='api.test')
    tls.sendall(b'GET /x HTTP/1.1\r\nhost: api.test\r\n\r\n')
    answer = b''
    while not answer.endswith(b'hello\n'): answer += tls.recv(4096)
    held.append(tls)
print('all are held', flush=True)
signal.pause()
)";

std::unique_ptr<Process> hold_tls(const Gateway& gateway, size_t count) {
  auto clients = std::make_unique<Process>(
      std::vector<std::string>{"/usr/bin/python3", "-c", hold_program, std::to_string(gateway.port("https")),
                               std::to_string(count)},
      Process::Read::standard_output);
  clients->wait_for_line("all are held");
  return clients;
}

}  // namespace

TEST_CASE("a plain connection that waits for a request takes less than 1.1 KiB") {
  constexpr size_t many = 4'000;
  Backend backend;
  Gateway gateway(std::string("schema: 1\n") + one_worker +
                  "status: { address: \"127.0.0.1:0\" }\naccess_log: none\n"
                  "listeners: [{ name: http, address: \"127.0.0.1:0\" }]\n" +
                  all_to(backend.endpoint()));
  Clients clients;
  hold(clients, gateway.port(), 500);  // what a few take is taken
  const size_t before = gateway.resident_bytes();
  hold(clients, gateway.port(), many);
  CHECK((gateway.resident_bytes() - before) / many < 1'100);
}

TEST_CASE("a TLS connection that waits for a request takes little more than OpenSSL does") {
  constexpr size_t many = 1'000;
  // OpenSSL 3.0 keeps 14,300 bytes after a handshake; 3.5 keeps 28,400: it has larger objects, and the key of
  // ML-KEM stays in them.
  const size_t most = OpenSSL_version_num() < 0x30200000 ? 16'000 : 31'000;
  TlsFiles files;
  files.make("api", "api.test");
  Gateway gateway(tls_gateway(files.pair("api"), "", one_worker));
  const auto few = hold_tls(gateway, 200);
  const size_t before = gateway.resident_bytes();
  const auto all = hold_tls(gateway, many);
  CHECK((gateway.resident_bytes() - before) / many < most);
}
