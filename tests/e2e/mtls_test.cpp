// Consumers known by their client certificates: the real daemon, certificates made by openssl, curl and
// python.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "e2e/tls_support.h"

using namespace e2e;

namespace {

std::string configuration(const TlsFiles& server, const TestCa& clients, const std::string& consumers) {
  return "schema: 1\nworkers: 2\naccess_log: none\nstatus: { address: \"127.0.0.1:0\" }\n"
         "drain: { accept_for: 0s, timeout: 5s }\n"
         "listeners:\n  - { name: https, address: \"127.0.0.1:0\", protocols: [h2, http/1.1], tls: { "
         "certificates: [" +
         server.pair("api") + "], client_auth: { ca: " + clients.file("ca.crt") +
         ", mode: optional } } }\n"
         "plugins: { clients: { type: mtls }, keys: { type: api_key } }\n"
         "consumers:\n  - { name: app, credentials: { api_keys: [app-key] } }\n" +
         consumers +
         "routes:\n  - { name: r, match: { path_prefix: / }, auth: { any_of: [clients, keys] }, "
         "respond: { status: 200, body: \"hello\\n\" }, response_headers: { set: { x-who: "
         "\"{consumer.id}\" } } }\n";
}

// The consumer's name, or status and reason.
std::string who(const Gateway& gateway, std::vector<std::string> more) {
  more.insert(more.end(), {"-k", "-i"});
  const Ran ran = fetch(gateway, "api.test", more);
  for (const char* mark : {"\"reason\":\"", "x-who: "}) {
    const size_t at = ran.out.find(mark);
    if (at == std::string::npos) continue;
    const size_t begin = at + std::string(mark).size();
    const std::string found = ran.out.substr(begin, ran.out.find_first_of("\"\r", begin) - begin);
    return *mark == 'x' ? found : ran.out.substr(ran.out.find(' ') + 1, 3) + " " + found;
  }
  return "nothing: " + ran.err + ran.out;
}

std::vector<std::string> as(const TestCa& ca, const std::string& stem, const char* version = "--http1.1") {
  return {version, "--cert", ca.file(stem + ".crt"), "--key", ca.file(stem + ".key")};
}

std::string fingerprint(const std::string& certificate) {
  const Ran ran = run({"openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", certificate});
  const size_t at = ran.out.find('=') + 1;
  return ran.out.substr(at, ran.out.find('\n') - at);
}

// Visits with one session, each on a connection of its own: what it was called on each, and whether it
// resumed.
constexpr const char* resume_program = R"(
import socket, ssl, sys
port, version, cert, key = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
context.load_cert_chain(cert, key)
if version == '1.2': context.maximum_version = ssl.TLSVersion.TLSv1_2
def visit(session):
    with socket.create_connection(('127.0.0.1', port)) as raw:
        with context.wrap_socket(raw, server_hostname='api.test', session=session) as tls:
            data, who = b'', []
            for last in (b'', b'connection: close\r\n'):
                tls.sendall(b'GET /x HTTP/1.1\r\nhost: api.test\r\n' + last + b'\r\n')
                data = b''
                while not data.endswith(b'hello\n'):
                    more = tls.recv(4096)
                    assert more, data
                    data += more
                who += [l[7:].decode() for l in data.split(b'\r\n') if l.startswith(b'x-who: ')]
            return ' '.join(who), tls.session_reused, tls.session
first, reused, session = visit(None)
assert not reused
for _ in range(10):
    again, reused, session = visit(session)
    assert (again, reused) == (first, True), (again, reused)
print(first)
)";

}  // namespace

TEST_CASE("consumers are known by their client certificates, over either version of HTTP") {
  TlsFiles server;
  server.make("api", "api.test");
  TestCa clients;
  clients.sign("print", "DNS:other.test");
  clients.sign("name", "URI:spiffe://example/billing");
  clients.sign("Subject", "DNS:other.test");
  clients.sign("stranger", "DNS:stranger.test");
  Gateway gateway(configuration(server, clients,
                                "  - { name: by-print, credentials: { mtls_fingerprints: [\"" +
                                    fingerprint(clients.file("print.crt")) +
                                    "\"] } }\n"
                                    "  - { name: by-name, credentials: { mtls_sans: "
                                    "[\"URI:spiffe://example/billing\"] } }\n"
                                    "  - { name: by-subject, credentials: { mtls_subjects: [\"cn = "
                                    "subject\"] } }\n"));
  for (const char* version : {"--http1.1", "--http2"}) {
    CAPTURE(version);
    CHECK(who(gateway, as(clients, "print", version)) == "by-print");
    CHECK(who(gateway, as(clients, "name", version)) == "by-name");
    CHECK(who(gateway, as(clients, "Subject", version)) == "by-subject");
    CHECK(who(gateway, as(clients, "stranger", version)) == "401 auth.mtls.unknown");
    CHECK(who(gateway, {version}) == "401 auth.missing");
    CHECK(who(gateway, {version, "-H", "x-api-key: app-key"}) == "app");
  }
  auto both = as(clients, "stranger");
  both.insert(both.end(), {"-H", "x-api-key: app-key"});
  CHECK(who(gateway, both) == "app");
}

TEST_CASE("a resumed session is its consumer's as the full one was, until the configuration says otherwise") {
  TlsFiles server;
  server.make("api", "api.test");
  TestCa clients;
  clients.sign("one", "DNS:one.test");
  const auto with = [&](const std::string& name) {
    return configuration(server, clients,
                         "  - { name: " + name + ", credentials: { mtls_sans: [\"DNS:one.test\"] } }\n");
  };
  Gateway gateway(with("first"));
  const auto visits = [&](const char* version) {
    const Ran ran = python(resume_program, {std::to_string(gateway.port("https")), version,
                                            clients.file("one.crt"), clients.file("one.key")});
    return ran.out + ran.err;
  };
  CHECK(visits("1.2") == "first first\n");
  CHECK(visits("1.3") == "first first\n");
  CHECK(gateway.reload(with("second")).find("reloaded") != std::string::npos);
  CHECK(visits("1.3") == "second second\n");
}
