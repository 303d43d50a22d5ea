// TLS to backends behind the real daemon: another Penstock, and servers of Python that do what it would not.
#include <doctest/doctest.h>

#include <csignal>
#include <filesystem>
#include <future>

#include "e2e/harness/client.h"
#include "e2e/harness/metrics.h"
#include "e2e/tls_support.h"

using namespace e2e;

namespace {

using Authority = TestCa;

std::string head(const std::string& listener) {
  return "schema: 1\nworkers: 1\nstatus: { address: \"127.0.0.1:0\" }\n"
         "access_log: [{ format: json, file: access.log }]\n"
         "drain: { accept_for: 0s, timeout: 20s }\n"
         "listeners:\n  - { name: http, address: \"127.0.0.1:0\"" +
         listener +
         " }\n"
         "routes:\n  - { name: all, match: { path_prefix: / }, public: true, upstream: u }\n";
}

// Speaks TLS to its clients and plain HTTP/1.1 to the echo backend.
std::string inner(const Backend& backend, const std::string& tls,
                  const std::string& protocols = "[h2, http/1.1]") {
  return head(", protocols: " + protocols + ", tls: { " + tls + " }") + "upstreams: { u: { endpoints: \"" +
         backend.endpoint() + "\" } }\n";
}

std::string outer(const std::string& endpoints, const std::string& upstream) {
  return head("") + "upstreams: { u: { endpoints: [" + endpoints + "], " + upstream + " } }\n";
}

std::string at(const Gateway& gateway) { return "\"127.0.0.1:" + std::to_string(gateway.port()) + "\""; }

std::string tls(const std::string& what) { return "tls: { " + what + " }"; }

// A gateway whose backend is another one with a certificate for a.test.
struct Chain {
  Authority ca;
  Backend backend;
  std::unique_ptr<Gateway> behind, front;
  explicit Chain(const std::string& more = {}, const std::string& upstream = ", protocol: auto",
                 const std::string& protocols = "[h2, http/1.1]") {
    ca.sign("a", "DNS:a.test,IP:127.0.0.1");
    behind = std::make_unique<Gateway>(
        inner(backend, "certificates: [{ " + ca.pair("a") + " }]" + more, protocols));
    front = std::make_unique<Gateway>(outer(at(*behind), tls(ca.trust()) + upstream));
  }
  Response ask(const std::string& target = "/bytes/10") const { return get(front->port(), target); }
};

Ran curl(const Gateway& gateway, const std::string& path, const std::vector<std::string>& more = {}) {
  std::vector<std::string> words{"curl", "-sS", "--max-time", "30",
                                 "http://127.0.0.1:" + std::to_string(gateway.port()) + path};
  words.insert(words.end(), more.begin(), more.end());
  return run(words);
}

std::string failures(const std::string& reason) {
  return "penstock_upstream_connect_failures_total{upstream=\"u\",reason=\"" + reason + "\"}";
}

// A server of Python's ssl: `serve(t)` has each connection that it accepted.
struct Python {
  Python(const Authority& ca, const std::string& script)
      : process({"/usr/bin/python3", "-W", "ignore", "-c", R"(
import socket, ssl, sys, threading
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
def head(t):
    got = b''
    while b'\r\n\r\n' not in got:
        more = t.recv(65536)
        if not more: break
        got += more
    return got
)" + script + R"(
listener = socket.create_server(('127.0.0.1', 0))
print('port', listener.getsockname()[1], flush=True)
def each(c):
    try: serve(c)
    except OSError: pass
while True:
    c, _ = listener.accept()
    threading.Thread(target=each, args=(c,), daemon=True).start()
)",
                 ca.file("a.crt"), ca.file("a.key")},
                Process::Read::standard_output) {
    endpoint = "\"127.0.0.1:" + process.wait_for_line("port ").substr(5) + "\"";
  }
  Process process;
  std::string endpoint;
};

}  // namespace

TEST_CASE("bodies go both ways over TLS as they are, in either version of HTTP") {
  Chain chain;
  std::string numbers;
  for (int i = 0; numbers.size() < 2'000'000; ++i) numbers += std::to_string(i) + " ";
  const std::string upload = "@" + chain.front->folder().write("large", numbers);
  for (const std::string protocol : {"http/1.1", "h2", "auto"}) {
    CAPTURE(protocol);
    CHECK(chain.front->reload(outer(at(*chain.behind), tls(chain.ca.trust()) + ", protocol: " + protocol))
              .find("error") == std::string::npos);
    for (const std::string path : {"/bytes/0", "/bytes/1000000", "/chunked/1000000"})
      CHECK(curl(*chain.front, path).out.size() == (path == "/bytes/0" ? 0 : 1'000'000));
    CHECK(curl(*chain.front, "/echo", {"--data-binary", upload}).out == numbers);
    CHECK(curl(*chain.front, "/echo", {"-H", "transfer-encoding: chunked", "--data-binary", upload}).out ==
          numbers);
    CHECK(curl(*chain.front, "/bytes/10", {"-I"}).out.find("200") != std::string::npos);
    CHECK(curl(*chain.front, "/reset?at=10").exit_code != 0);  // cut, and seen as cut
    CHECK(chain.ask("/status/" + std::string(protocol == "http/1.1" ? "211" : "212")).status / 10 == 21);
  }
  std::string log;
  await("the inner log's lines", [&] {
    log = chain.behind->folder().read("access.log");
    return log.rfind("212") != log.find("212");
  });
  for (size_t line = 0; line < log.size(); line = log.find('\n', line) + 1) {
    const std::string text = log.substr(line, log.find('\n', line) - line);
    if (text.find("code\":211") != text.npos) CHECK(text.find("version\":\"1.1\"") != text.npos);
    if (text.find("code\":212") != text.npos) CHECK(text.find("version\":\"2\"") != text.npos);
  }
}

TEST_CASE("a backend that is not who it should be, or cannot be talked to, gives a 502 with its reason") {
  Authority other("other");
  other.sign("a", "IP:127.0.0.1");
  Chain chain;
  chain.ca.sign_expired("late", "IP:127.0.0.1");
  Gateway expired(inner(chain.backend, "certificates: [{ " + chain.ca.pair("late") + " }]"));
  Gateway stranger(inner(chain.backend, "certificates: [{ " + other.pair("a") + " }]"));
  Gateway old(inner(chain.backend, "max_version: TLSv1.2, certificates: [{ " + chain.ca.pair("a") + " }]"));
  Gateway only_1(inner(chain.backend, "certificates: [{ " + chain.ca.pair("a") + " }]", "[http/1.1]"));
  Gateway strict(inner(chain.backend, "client_auth: { " + chain.ca.trust() + " }, certificates: [{ " +
                                          chain.ca.pair("a") + " }]"));
  const std::string trust = chain.ca.trust();
  struct Row {
    std::string endpoint, upstream, reason;  // no reason: 200
  };
  for (const Row& row : {
           Row{at(*chain.behind), tls(trust), ""},
           Row{at(*chain.behind), tls(trust + ", server_name: a.test"), ""},
           Row{at(*chain.behind), tls(trust + ", server_name: b.test"), "upstream.tls.name"},
           Row{at(*chain.behind), tls(trust + ", server_name: 127.0.0.2"), "upstream.tls.name"},
           Row{at(*chain.behind), tls(""), "upstream.tls.certificate"},  // the system's do not have it
           Row{at(stranger), tls(trust), "upstream.tls.certificate"},
           Row{at(expired), tls(trust), "upstream.tls.expired"}, Row{at(old), tls(trust), ""},
           Row{at(old), tls(trust + ", min_version: TLSv1.3"), "upstream.tls.refused"},
           Row{at(only_1), tls(trust) + ", protocol: auto", ""},
           Row{at(only_1), tls(trust) + ", protocol: h2", "upstream.tls.protocol"},
           Row{at(strict), tls(trust), "upstream.tls.refused"},
           Row{at(strict), tls(trust) + ", protocol: h2", "upstream.tls.refused"},
           Row{at(strict), tls(trust + ", " + chain.ca.pair("a")), ""},
           Row{at(*chain.front), tls(trust), "upstream.tls.handshake"},  // its own plain door
       }) {
    CAPTURE(row.upstream);
    CAPTURE(row.reason);
    CHECK(chain.front->reload(outer(row.endpoint, row.upstream)).find("error") == std::string::npos);
    const Response answer = chain.ask();
    CHECK(answer.status == (row.reason.empty() ? 200 : 502));
    CHECK(answer.body.find(row.reason) != std::string::npos);
  }
  CHECK(metric(*chain.front, failures("upstream.tls.name")) == 2);
  CHECK(metric(*chain.front, failures("upstream.tls.expired")) == 1);
  CHECK(metric(*chain.front, failures("upstream.tls.protocol")) == 1);
}

TEST_CASE("a request whose handshake failed goes to another endpoint, a POST too") {
  Authority other("other");
  other.sign("a", "IP:127.0.0.1");
  Chain chain;
  Gateway stranger(inner(chain.backend, "certificates: [{ " + other.pair("a") + " }]"));
  chain.front->reload(outer(at(stranger) + ", " + at(*chain.behind),
                            tls(chain.ca.trust()) + ", balance: round_robin, keepalive: { max_idle: 0 }"));
  for (int i = 0; i < 4; ++i) CHECK(curl(*chain.front, "/echo", {"--data-binary", "abc"}).out == "abc");
  CHECK(metric(*chain.front, failures("upstream.tls.certificate")) >= 1);
}

TEST_CASE(
    "connections are kept and sessions resumed, and a reload drops neither unless what it reads changed") {
  Chain chain(", tickets: { rotate: 1h }", "");
  const std::string series = "penstock_upstream_tls_handshakes_total{upstream=\"u\",version=\"TLSv1.3\",";
  for (int i = 0; i < 5; ++i) CHECK(chain.ask().status == 200);
  CHECK(metric(*chain.front, series + "resumed=\"false\"}") == 1);
  const std::string same = outer(at(*chain.behind), tls(chain.ca.trust()));
  CHECK(chain.front->reload(same).find("error") == std::string::npos);
  CHECK(chain.ask().status == 200);
  CHECK(metric(*chain.front, series + "resumed=\"false\"}") == 1);
  // Nothing is kept, so each request makes a connection, and goes on from a session.
  chain.front->reload(outer(at(*chain.behind), tls(chain.ca.trust()) + ", keepalive: { max_idle: 0 }"));
  for (int i = 0; i < 5; ++i) CHECK(chain.ask().status == 200);
  CHECK(metric(*chain.front, series + "resumed=\"false\"}") == 1);
  CHECK(metric(*chain.front, series + "resumed=\"true\"}") >= 4);
  // Another CA under the same name of a file: nobody passes with what was verified before.
  Authority other("other");
  std::filesystem::rename(other.file("ca.crt"), chain.ca.file("ca.crt"));
  chain.front->reload(outer(at(*chain.behind), tls(chain.ca.trust()) + ", keepalive: { max_idle: 0 }"));
  CHECK(chain.ask().body.find("upstream.tls.certificate") != std::string::npos);
}

TEST_CASE("a body that ends with the connection is whole with close_notify alone") {
  Authority ca;
  ca.sign("a", "IP:127.0.0.1");
  Python backend(ca, R"(
def serve(c):
    t = context.wrap_socket(c, server_side=True)
    asked = head(t)
    t.sendall(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n' + asked)
    if b'/whole' in asked: t.unwrap()
    c = socket.socket(fileno=t.detach())
    c.shutdown(socket.SHUT_WR)
    c.close()
)");
  Gateway gateway(outer(backend.endpoint, tls(ca.trust())));
  const Ran whole = curl(gateway, "/whole");
  CHECK(whole.exit_code == 0);
  CHECK(whole.out.starts_with("GET /whole HTTP/1.1\r\n"));
  CHECK(whole.out.find("x-forwarded-proto: http\r\n") != std::string::npos);  // the client's, not this one's
  CHECK(curl(gateway, "/cut").exit_code != 0);
}

TEST_CASE("many requests at once share the one connection of a backend that chooses HTTP/2") {
  Chain chain;
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 40; ++i) {
    clients.push_back(std::make_unique<Client>(chain.front->port()));
    clients.back()->send("GET /bytes/1000 HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  for (auto& client : clients) CHECK(client->read_response().body.size() == 1000);
  CHECK(metric(
            *chain.front,
            "penstock_upstream_tls_handshakes_total{upstream=\"u\",version=\"TLSv1.3\",resumed=\"false\"}") ==
        1);
}

TEST_CASE("a backend that stops within its handshake costs timeouts.connect, not the other requests") {
  Authority ca;
  ca.sign("a", "IP:127.0.0.1");
  Python backend(ca, R"(
def serve(c):
    c.recv(65536)
    c.sendall(b'\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03')
    c.recv(65536)
)");
  Chain chain;
  std::string text = outer(backend.endpoint, tls(chain.ca.trust()));
  text.replace(text.find("upstream: u }"), 13, "upstream: u, timeouts: { connect: 300ms } }");
  Gateway gateway(text);
  const Response late = get(gateway.port(), "/");
  CHECK(late.status == 504);
  CHECK(late.body.find("upstream.connect.timeout") != std::string::npos);
}

TEST_CASE("check finds files that cannot be used, and explain says that it is TLS") {
  Authority ca;
  ca.sign("a", "IP:127.0.0.1");
  ca.sign("b", "IP:127.0.0.1");
  auto checked = [&](const std::string& keys) {
    const std::string file = ca.folder.write("gateway.yaml", outer("\"127.0.0.1:1\"", tls(keys)));
    const Ran ran = run({binary("penstock"), "check", "-c", file});
    return std::to_string(ran.exit_code) + " " + ran.out + ran.err;
  };
  CHECK(checked(ca.trust() + ", " + ca.pair("a")).starts_with("0 "));
  CHECK(checked("ca: " + ca.file("absent")).find("gateway.yaml:") != std::string::npos);
  CHECK(checked("ca: " + ca.file("absent")).starts_with("0 ") == false);
  CHECK(checked("ca: " + ca.file("a.csr")).find("is no PEM file of CA certificates") != std::string::npos);
  CHECK(checked("cert: " + ca.file("a.crt") + ", key: " + ca.file("b.key"))
            .find("does not belong to certificate") != std::string::npos);
  const std::string file = ca.folder.write(
      "gateway.yaml",
      outer("\"127.0.0.1:1\"", tls(ca.trust() + ", server_name: docs.internal") + ", protocol: auto"));
  const Ran explained = run({binary("penstock"), "explain", "-c", file, "http://a/"});
  CHECK(explained.out.find("TLS to docs.internal, h2 or http/1.1") != std::string::npos);
}
