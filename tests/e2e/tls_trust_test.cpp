// What a TLS listener is told from outside while it runs: revocations, OCSP answers, files that cannot be
// served, keys that rotate, listeners that come and go; and ends of sessions that were cut.
#include <doctest/doctest.h>

#include <csignal>
#include <filesystem>
#include <future>
#include <vector>

#include "e2e/harness/client.h"
#include "e2e/harness/metrics.h"
#include "e2e/harness/waiting.h"
#include "e2e/harness/wire_server.h"
#include "e2e/tls_support.h"

using namespace e2e;

namespace {

// A CA with a database, as the openssl command keeps one.
struct Authority : TlsFiles {
  Authority() {
    make("ca", "ca");
    folder.write("index.txt", "");
    folder.write("ca.cnf", "[ca]\ndefault_ca = d\n[d]\ndatabase = " + file("index.txt") +
                               "\ndefault_md = sha256\ndefault_crl_days = 1\n");
  }
  void openssl(std::vector<std::string> words) const {
    words.insert(words.begin(), "openssl");
    const Ran ran = run(words);
    REQUIRE_MESSAGE(ran.exit_code == 0, ran.err);
  }
  void sign(const std::string& stem, const std::string& host, const std::string& serial) const {
    openssl({"req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
             "/CN=" + host, "-keyout", file(stem + ".key"), "-out", file(stem + ".csr")});
    openssl({"x509", "-req", "-in", file(stem + ".csr"), "-CA", file("ca.crt"), "-CAkey", file("ca.key"),
             "-set_serial", serial, "-days", "1", "-out", file(stem + ".crt")});
  }
  // Changes in one step, as a renewal should.
  void replace(const std::string& name) const { std::filesystem::rename(file(name + ".new"), file(name)); }
  void write_crl() const {
    openssl({"ca", "-config", file("ca.cnf"), "-cert", file("ca.crt"), "-keyfile", file("ca.key"), "-gencrl",
             "-out", file("crl.pem.new")});
    replace("crl.pem");
  }
  void revoke(const std::string& stem) const {
    openssl({"ca", "-config", file("ca.cnf"), "-cert", file("ca.crt"), "-keyfile", file("ca.key"), "-revoke",
             file(stem + ".crt")});
  }
  // Of the certificate with that serial number, for so many days.
  void write_ocsp(const std::string& stem, const std::string& days, const std::string& serial = "77") const {
    folder.write("index.txt", "V\t491231235959Z\t\t" + serial + "\tunknown\t/CN=api.test\n");
    openssl({"ocsp", "-index", file("index.txt"), "-rsigner", file("ca.crt"), "-rkey", file("ca.key"), "-CA",
             file("ca.crt"), "-issuer", file("ca.crt"), "-cert", file(stem + ".crt"), "-noverify", "-respout",
             file(stem + ".der.new"), "-ndays", days});
    replace(stem + ".der");
  }
};

// One GET by openssl s_client; everything it says.
std::string visit(const Gateway& gateway, const std::string& options) {
  return run({"/bin/sh", "-c",
              "printf 'GET /x HTTP/1.1\\r\\nhost: api.test\\r\\nconnection: close\\r\\n\\r\\n' | openssl "
              "s_client -connect 127.0.0.1:" +
                  std::to_string(gateway.port("https")) + " -servername api.test -ign_eof " + options +
                  " 2>&1"})
      .out;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// The first 16 bytes of the last ticket that s_client printed: the name of its key.
std::string key_name(const std::string& said) {
  const size_t ticket = said.rfind("TLS session ticket:");
  const size_t begin = ticket == said.npos ? said.npos : said.find("0000 - ", ticket);
  return begin == said.npos ? "" : said.substr(begin + 7, 47);
}

}  // namespace

TEST_CASE("a client that a new CRL revokes neither resumes nor connects, without a reload") {
  Authority files;
  files.make("api", "api.test");
  files.sign("client", "client", "4660");
  files.write_crl();
  Gateway gateway(tls_gateway(files.pair("api"), ", client_auth: { ca: " + files.file("ca.crt") +
                                                     ", crl: " + files.file("crl.pem") + " }"));
  const std::string client = "-cert " + files.file("client.crt") + " -key " + files.file("client.key");
  for (const std::string version : {" -tls1_2", " -tls1_3"}) {
    const std::string session = files.file("session" + version.substr(5)) + version;
    CHECK(has(visit(gateway, client + " -sess_out " + session), "\nNew, TLSv1."));
    CHECK(has(visit(gateway, client + " -sess_in " + session), "\nReused, TLSv1."));
  }
  files.revoke("client");
  files.write_crl();
  gateway.process().wait_for_line("listener https: re-read ");
  for (const std::string version : {" -tls1_2", " -tls1_3"}) {
    const std::string session = files.file("session" + version.substr(5)) + version;
    const std::string said = visit(gateway, client + " -sess_in " + session);
    CHECK_MESSAGE(!has(said, "Reused"), said);
    CHECK_MESSAGE(has(said, "alert certificate revoked"), said);
    CHECK_FALSE(has(said, "hello"));
    gateway.process().wait_for_line("tls.handshake: the client's certificate is revoked");
  }
}

TEST_CASE("an OCSP answer is stapled, and a newer one of its file without a reload") {
  Authority files;
  files.sign("api", "api.test", "0x77");
  files.openssl({"x509", "-in", files.file("ca.crt"), "-out", files.file("issuer.pem")});
  REQUIRE(run({"/bin/sh", "-c", "cat $0 >> $1", files.file("issuer.pem"), files.file("api.crt")}).exit_code ==
          0);
  files.write_ocsp("api", "1");
  std::string pair = files.pair("api");
  pair.insert(pair.size() - 2, ", ocsp: " + files.file("api.der"));
  Gateway gateway(tls_gateway(pair));
  auto next_update = [&] {
    const std::string said = visit(gateway, "-status");
    REQUIRE_MESSAGE(has(said, "OCSP Response Status: successful"), said);
    CHECK(has(said, "Cert Status: good"));
    const size_t at = said.find("Next Update: ");
    return said.substr(at, said.find('\n', at) - at);
  };
  const std::string before = next_update();
  files.write_ocsp("api", "3");
  gateway.process().wait_for_line("listener https: re-read ");
  CHECK(next_update() != before);
  files.folder.write("api.der.new", "hello");
  files.replace("api.der");
  gateway.process().wait_for_line("the old one stays: OCSP answer '");
  next_update();
  // A renewed certificate does not wait for its answer.
  files.sign("next", "api.test", "0x78");
  REQUIRE(run({"/bin/sh", "-c", "cat $0 >> $1 && mv $2 $3 && mv $1 $4", files.file("issuer.pem"),
               files.file("next.crt"), files.file("next.key"), files.file("api.key"), files.file("api.crt")})
              .exit_code == 0);
  gateway.process().wait_for_line("nothing is stapled until it is renewed");
  gateway.process().wait_for_line("listener https: re-read ");
  const std::string without = visit(gateway, "-status");
  CHECK(has(without, "OCSP response: no response sent"));
  CHECK(has(without, "hello"));
  files.write_ocsp("api", "2", "78");
  gateway.process().wait_for_line("listener https: re-read ");
  next_update();
}

TEST_CASE("connections and sessions go on while the ticket keys rotate") {
  TlsFiles files;
  files.make("api", "api.test");
  Gateway gateway(tls_gateway(files.pair("api"), ", tickets: { rotate: 1s }", "workers: 4\n"));
  const std::string session = files.file("session");
  std::string said = visit(gateway, "-sess_out " + session);
  std::string key = key_name(said);
  REQUIRE(!key.empty());
  // A session under one key that goes on and comes back under the next one, twice.
  int carried = 0;
  const auto until = Clock::now() + patience;
  while (carried < 2 && Clock::now() < until) {
    said = visit(gateway, "-sess_in " + session + " -sess_out " + session);
    REQUIRE_MESSAGE(has(said, "hello"), said);
    const std::string next = key_name(said);
    if (next != key && has(said, "\nReused, TLSv1.3")) ++carried;
    key = next;
  }
  CHECK(carried == 2);
}

TEST_CASE("the handshakes of a listener that was removed stay in the totals") {
  TlsFiles files;
  files.make("api", "api.test");
  const std::string with = tls_gateway(files.pair("api"));
  std::string without = with;
  const size_t at = without.find("  - { name: https");
  without.replace(at, without.find("routes:") - at, "  - { name: plain, address: \"127.0.0.1:0\" }\n");
  Gateway gateway(with);
  const std::string series =
      "penstock_tls_handshakes_total{listener=\"https\",version=\"TLSv1.3\",resumed=\"false\"}";
  for (double count : {1.0, 2.0}) {
    CHECK(fetch(gateway, "api.test", {"-k"}).out == "hello\n");
    CHECK(sample(gateway, series) == count);
    CHECK(has(gateway.reload(without), "reloaded"));
    CHECK(sample(gateway, series) == count);
    CHECK(has(gateway.reload(with), "reloaded"));
    CHECK(sample(gateway, series) == count);
  }
}

// It was read again twice a second, with a line each time.
TEST_CASE("files of which nothing can be served are tried once, until they change again") {
  TlsFiles files;
  files.make("api", "api.test");
  files.make("new", "new.test");
  auto one_file = [&](const std::string& stem, const std::string& to) {
    REQUIRE(run({"/bin/sh", "-c", "cat $0 $1 > $2", files.file(stem + ".crt"), files.file(stem + ".key"),
                 files.file(to)})
                .exit_code == 0);
  };
  one_file("api", "tls.pem");
  Gateway gateway(tls_gateway("{ cert: " + files.file("tls.pem") + ", key: " + files.file("tls.pem") + " }"));
  REQUIRE(run({"openssl", "req", "-x509", "-newkey", "rsa:512", "-nodes", "-subj", "/CN=weak", "-keyout",
               files.file("weak.key"), "-out", files.file("weak.crt")})
              .exit_code == 0);
  one_file("weak", "next.pem");
  std::filesystem::rename(files.file("next.pem"), files.file("tls.pem"));
  gateway.process().wait_for_line("cannot be served");
  CHECK(fetch(gateway, "api.test", {"--cacert", files.file("api.crt")}).out == "hello\n");
  one_file("new", "next.pem");
  std::filesystem::rename(files.file("next.pem"), files.file("tls.pem"));
  gateway.process().wait_for_line("listener https: re-read ");
  CHECK(fetch(gateway, "new.test", {"--cacert", files.file("new.crt")}).out == "hello\n");
  CHECK(sample(gateway, "penstock_tls_rereads_total{listener=\"https\",result=\"refused\"}") == 1);
  CHECK(sample(gateway, "penstock_tls_rereads_total{listener=\"https\",result=\"taken\"}") == 1);
}

TEST_CASE("a request that a client cuts off, with or without close_notify, is cut for the backend, too") {
  TlsFiles files;
  files.make("api", "api.test");
  for (const char* framing :
       {"content-length: 10\\r\\n\\r\\nhello", "transfer-encoding: chunked\\r\\n\\r\\n5\\r\\nhello\\r\\n"})
    for (const char* end : {"raw.shutdown(socket.SHUT_WR)", "tls.unwrap()"}) {
      CAPTURE(framing);
      CAPTURE(end);
      std::promise<std::string> seen;
      WireServer backend([&](WireServer::Conversation& talk) {
        // So that the client knows that what it sent has come through.
        if (talk.taken == 0 && has(talk.received, "hello")) {
          talk.taken = talk.received.size();
          talk.to_send = "HTTP/1.1 103 Early Hints\r\n\r\n";
        }
        if (talk.ended) seen.set_value(talk.received);
      });
      std::string text = tls_gateway(files.pair("api"));
      const size_t at = text.find("respond:");
      text.replace(at, std::string::npos,
                   "upstream: u }]\nupstreams: { u: { endpoints: \"" + backend.endpoint() + "\" } }\n");
      Gateway gateway(text);
      const Ran ran =
          python(std::string(R"(
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
raw = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
tls = context.wrap_socket(raw, suppress_ragged_eofs=False)
raw = socket.fromfd(tls.fileno(), socket.AF_INET, socket.SOCK_STREAM)
tls.sendall(b'POST /x HTTP/1.1\r\nhost: api.test\r\n)") +
                     framing + "')\nassert tls.recv(4096).startswith(b'HTTP/1.1 103')\ntry: " + end + R"(
except OSError: pass
while True:
    try:
        if not raw.recv(4096): break
    except OSError: break
)",
                 {std::to_string(gateway.port("https"))});
      CAPTURE(ran.err);
      CHECK(ran.exit_code == 0);
      auto future = seen.get_future();
      REQUIRE(future.wait_for(patience) == std::future_status::ready);
      const std::string received = future.get();
      CHECK_FALSE(received.ends_with("0\r\n\r\n"));
      CHECK_FALSE(has(received, "content-length: 5\r\n"));
    }
}

TEST_CASE("a drain waits for silent TLS connections no longer than for other silent ones") {
  TlsFiles files;
  files.make("api", "api.test");
  std::string text = tls_gateway(files.pair("api"), ", handshake_timeout: 10m");
  text.replace(text.find("timeout: 5s"), 11, "timeout: 10m");
  std::string say, header;
  SUBCASE("without a byte") {}
  SUBCASE("with a part of a ClientHello") { say = std::string("\x16\x03\x01\x02\x00", 5); }
  SUBCASE("behind a PROXY header") {
    header = "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n";
    text.replace(text.find("tls: {"), 0, "client_address: proxy_protocol, trusted_proxies: [127.0.0.1], ");
  }
  Gateway gateway(text);
  Client client(gateway.port("https"));
  if (!header.empty()) client.send(header);
  if (!say.empty()) client.send(say);
  await_metric(gateway, "http_server_open_connections", 1);
  const auto before = Clock::now();
  CHECK(gateway.stop(SIGTERM) == 0);
  CHECK(Clock::now() - before < std::chrono::seconds(15));
  CHECK(client.at_end());
}

TEST_CASE("a silent connection's handshake meets the rules of the reload that came before it") {
  TlsFiles files;
  files.make("api", "api.test");
  files.make("newer", "api.test");
  Gateway gateway(tls_gateway(files.pair("api")));
  Process client({"/usr/bin/python3", "-c", R"(
import signal, socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.load_verify_locations(sys.argv[2])
raw = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
print('silent', flush=True)
signal.sigwait({signal.SIGUSR1})
print(context.wrap_socket(raw).version(), flush=True)
)",
                  std::to_string(gateway.port("https")), files.file("newer.crt")},
                 Process::Read::standard_output);
  client.wait_for_line("silent");
  await_metric(gateway, "http_server_open_connections", 1);
  REQUIRE(gateway.reload(tls_gateway(files.pair("newer"))).find("reloaded") != std::string::npos);
  client.signal(SIGUSR1);
  client.wait_for_line("TLSv1.3");
}
