// TLS to backends that others have written, behind the real daemon: nginx, with and without its HTTP/2, and
// nghttpx, each in front of the echo backend.
#include <doctest/doctest.h>

#include <csignal>
#include <functional>

#include "e2e/harness/client.h"
#include "e2e/harness/listening_port.h"
#include "e2e/harness/metrics.h"
#include "e2e/tls_support.h"

using namespace e2e;

namespace {

// A program that cannot be told to let the kernel choose its port: it gets one that was free a moment ago,
// and another one when it was not.
class Server {
 public:
  using Command = std::function<std::vector<std::string>(const std::string& port)>;
  Server(const Command& command, const std::string& ready) {
    for (int left = 5; !process_; --left) {
      port_ = std::to_string(ClosedPort().port());
      auto process = std::make_unique<Process>(command(port_), Process::Read::standard_error);
      try {
        process->wait_for_line(ready);
        process_ = std::move(process);
      } catch (const Failure&) {
        if (left == 0) throw;
      }
    }
  }
  std::string endpoint() const { return "127.0.0.1:" + port_; }
  Process& process() { return *process_; }

 private:
  std::string port_;
  std::unique_ptr<Process> process_;
};

// What both have: a certificate for a.test and 127.0.0.1, the echo backend, and a log of what they saw.
struct RealBackend {
  TestCa ca;
  Backend echo;
  TempFolder folder;
  RealBackend() { ca.sign("a", "DNS:a.test,IP:127.0.0.1"); }

  // The line about this path: it is written when the answer is out.
  std::string seen(const std::string& path) const {
    std::string line;
    await("a line about " + path, [&] {
      const std::string log = "\n" + folder.read("log");
      const size_t at = log.find("\n" + path + " ");
      const size_t end = at == log.npos ? at : log.find('\n', at + 1);
      if (end != log.npos) line = log.substr(at + 1, end - at - 1);
      return !line.empty();
    });
    return line.substr(path.size() + 1);
  }
};

// Its lines: path, version, whether the session was resumed ("r" or "."), the client's certificate.
struct Nginx : RealBackend {
  explicit Nginx(const std::string& listen = "ssl", const std::string& more = {})
      : server(
            [&](const std::string& port) {
              return std::vector<std::string>{
                  "/usr/sbin/nginx", "-p", folder.path(), "-c",
                  folder.write("nginx.conf", configuration("127.0.0.1:" + port + " " + listen, more))};
            },
            "getrlimit(RLIMIT_NOFILE)") {}

  std::string configuration(const std::string& listen, const std::string& more) const {
    std::string folders;
    for (const char* name : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"})
      folders += name + std::string("_temp_path ") + folder.file(name) + "; ";
    return "daemon off; master_process off; pid " + folder.file("pid") +
           "; error_log stderr info;\nevents {}\nhttp {\n"
           "log_format seen '$uri $server_protocol $ssl_session_reused $ssl_client_s_dn';\naccess_log " +
           folder.file("log") + " seen; client_max_body_size 0;\n" + folders + "\nserver { listen " + listen +
           "; ssl_protocols TLSv1.2 TLSv1.3;\nssl_certificate " + ca.file("a.crt") +
           "; ssl_certificate_key " + ca.file("a.key") + ";\n" + more +
           "\nlocation / { proxy_http_version 1.1; proxy_pass http://" + echo.endpoint() + "; }\n} }\n";
  }
  Server server;
};

// Its lines: path, what ALPN chose, whether the session was resumed.
struct Nghttpx : RealBackend {
  Nghttpx()
      : server(
            [&](const std::string& port) {
              std::string backend = echo.endpoint();
              backend.replace(backend.find(':'), 1, ",");
              return std::vector<std::string>{"nghttpx",
                                              "--conf=/dev/null",
                                              "--no-ocsp",
                                              "--single-process",
                                              "--workers=1",
                                              "--frontend=127.0.0.1," + port,
                                              "--backend=" + backend,
                                              "--accesslog-file=" + folder.file("log"),
                                              "--accesslog-format=$path $alpn $tls_session_reused",
                                              "--log-level=NOTICE",
                                              ca.file("a.key"),
                                              ca.file("a.crt")};
            },
            "Listening on") {}
  Server server;
};

std::string configuration(const std::string& endpoint, const std::string& tls, const std::string& more = {}) {
  return "schema: 1\nworkers: 1\nstatus: { address: \"127.0.0.1:0\" }\n"
         "access_log: [{ format: json, file: access.log }]\n"
         "drain: { accept_for: 0s, timeout: 20s }\n"
         "listeners: [{ name: http, address: \"127.0.0.1:0\", protocols: [h2, http/1.1] }]\n"
         "routes: [{ name: all, match: { path_prefix: / }, public: true, upstream: u }]\n"
         "upstreams: { u: { endpoints: \"" +
         endpoint + "\", tls: { " + tls + " }" + more + " } }\n";
}
std::string speaking(const std::string& protocol) { return ", protocol: " + protocol; }
const std::string nothing_kept = ", keepalive: { max_idle: 0 }";

Ran curl(const Gateway& gateway, const std::string& path, const std::vector<std::string>& more = {}) {
  std::vector<std::string> words{"curl", "-sS", "--max-time", "30",
                                 "http://127.0.0.1:" + std::to_string(gateway.port()) + path};
  words.insert(words.end(), more.begin(), more.end());
  return run(words);
}

const std::string uploaded = [] {
  std::string out;
  for (int i = 0; out.size() < 2'000'000; ++i) out += std::to_string(i) + " ";
  return out;
}();

// `says`: what the server's log calls each version of HTTP.
template <class Real>
void check_versions(Real& real, bool speaks_h2, const std::string& h1, const std::string& h2) {
  Gateway gateway(configuration(real.server.endpoint(), real.ca.trust()));
  const std::string upload = "@" + gateway.folder().write("large", uploaded);
  for (const std::string protocol : {"http/1.1", "h2", "auto"}) {
    CAPTURE(protocol);
    REQUIRE(gateway.reload(configuration(real.server.endpoint(), real.ca.trust(), speaking(protocol)))
                .find("reloaded") != std::string::npos);
    if (protocol == "h2" && !speaks_h2) {
      const Response refused = get(gateway.port(), "/bytes/1");
      CHECK(refused.status == 502);
      CHECK(refused.body.find("upstream.tls.protocol") != std::string::npos);
      continue;
    }
    CHECK(curl(gateway, "/bytes/1000000").out.size() == 1'000'000);
    CHECK(curl(gateway, "/chunked/1000000").out.size() == 1'000'000);
    CHECK(curl(gateway, "/echo", {"--data-binary", upload}).out == uploaded);
    CHECK(curl(gateway, "/echo", {"-H", "transfer-encoding: chunked", "--data-binary", upload}).out ==
          uploaded);
    CHECK(curl(gateway, "/cut", {"-X", "HEAD", "-I"}).out.find(" 200 ") != std::string::npos);
    const std::string path = "/seen-" + protocol.substr(0, 4);
    CHECK(get(gateway.port(), path).status == 200);
    CHECK(real.seen(path).starts_with(speaks_h2 && protocol != "http/1.1" ? h2 : h1));
  }
}

double connections(const Gateway& gateway, const std::string& version) {
  return metric(gateway, "penstock_upstream_open_connections{upstream=\"u\",network_protocol_version=\"" +
                             version + "\"}");
}

double streams(const Gateway& gateway) {
  return metric(gateway, "penstock_upstream_http2_open_streams{upstream=\"u\"}");
}

}  // namespace

TEST_CASE("nginx over TLS is spoken to in the version that is asked for, or that it chooses") {
  Nginx plain("ssl");
  check_versions(plain, false, "HTTP/1.1", "HTTP/2.0");
  Nginx http2("ssl http2");
  check_versions(http2, true, "HTTP/1.1", "HTTP/2.0");
}

TEST_CASE("nghttpx over TLS is spoken to in the version that is asked for, or that it chooses") {
  Nghttpx nghttpx;
  check_versions(nghttpx, true, "http/1.1", "h2");
}

TEST_CASE("nginx under another CA or another name is refused, and answer and log say why") {
  TestCa other("other");
  Nginx nginx("ssl http2");
  struct Row {
    std::string tls, reason;
  };
  for (const std::string protocol : {"http/1.1", "h2", "auto"})
    for (const Row& row : {Row{other.trust(), "upstream.tls.certificate"},
                           Row{nginx.ca.trust() + ", server_name: b.test", "upstream.tls.name"},
                           Row{nginx.ca.trust() + ", server_name: a.test", ""}}) {
      CAPTURE(protocol);
      CAPTURE(row.reason);
      Gateway gateway(configuration(nginx.server.endpoint(), row.tls, speaking(protocol)));
      const Response answer = get(gateway.port(), "/bytes/10");
      const bool refused = !row.reason.empty();
      CHECK(answer.status == (refused ? 502 : 200));
      CHECK((answer.body.find("\"reason\":\"" + row.reason + "\"") != answer.body.npos) == refused);
      CHECK(gateway.stop(SIGTERM) == 0);
      const std::string log = gateway.folder().read("access.log");
      CHECK((log.find("\"penstock.reason\":\"" + row.reason + "\"") != log.npos) == refused);
    }
  // The peer heard it, too.
  nginx.server.process().wait_for_line("alert unknown ca");
}

TEST_CASE("nginx that asks for a certificate gets ours, and none where none is configured") {
  TestCa clients("clients");
  clients.sign("us", "DNS:us.test");
  TestCa other("other");
  other.sign("us", "DNS:us.test");
  TempFolder folder;
  Nginx nginx("ssl http2", "ssl_verify_client on; ssl_client_certificate " + clients.file("ca.crt") + ";");
  for (const std::string protocol : {"http/1.1", "h2"}) {
    CAPTURE(protocol);
    const std::string path = "/mutual-" + protocol.substr(0, 4);
    auto ask = [&](const std::string& pair) {
      Gateway gateway(configuration(nginx.server.endpoint(), nginx.ca.trust() + pair, speaking(protocol)));
      return get(gateway.port(), path).status;
    };
    CHECK(ask("") == 400);  // nginx finishes the handshake, and answers this
    CHECK(nginx.seen(path).ends_with(" -"));
    CHECK(ask(", " + other.pair("us")) == 400);
    nginx.folder.write("log", "");
    CHECK(ask(", " + clients.pair("us")) == 200);
    CHECK(nginx.seen(path).ends_with(" CN=us"));
  }
}

TEST_CASE("sessions with nginx are resumed, by tickets and by ids, as its log says") {
  for (const std::string settings :
       {"ssl_protocols TLSv1.3;", "ssl_protocols TLSv1.2;",
        "ssl_protocols TLSv1.2; ssl_session_tickets off; ssl_session_cache builtin;"})
    for (const std::string protocol : {"http/1.1", "h2"}) {
      CAPTURE(settings);
      CAPTURE(protocol);
      Nginx nginx("ssl http2", settings);
      Gateway gateway(
          configuration(nginx.server.endpoint(), nginx.ca.trust(), speaking(protocol) + nothing_kept));
      for (const char* path : {"/0", "/1", "/2", "/3"}) {
        CHECK(get(gateway.port(), path).status == 200);
        CHECK(nginx.seen(path).find(path == std::string("/0") ? " . " : " r ") != std::string::npos);
      }
      CHECK(connections(gateway, "1.1") + connections(gateway, "2") == 0);
    }
}

TEST_CASE("sessions with nghttpx are resumed, as its log says") {
  Nghttpx nghttpx;
  Gateway gateway(
      configuration(nghttpx.server.endpoint(), nghttpx.ca.trust(), speaking("h2") + nothing_kept));
  for (const char* path : {"/0", "/1", "/2", "/3"}) {
    CHECK(get(gateway.port(), path).status == 200);
    CHECK(nghttpx.seen(path) == (path == std::string("/0") ? "h2 ." : "h2 r"));
  }
}

TEST_CASE("nginx that ends a connection after every few requests loses none of a load") {
  Nginx nginx("ssl http2", "keepalive_requests 20;");
  for (const std::string protocol : {"http/1.1", "h2"}) {
    CAPTURE(protocol);
    Gateway gateway(configuration(nginx.server.endpoint(), nginx.ca.trust(), speaking(protocol)));
    const std::string to = "http://127.0.0.1:" + std::to_string(gateway.port()) + "/bytes/100";
    for (const char* body : {"", "a=b"}) {
      std::vector<std::string> words{"h2load", "--h1", "-n", "1000", "-c", "10", to};
      if (*body) words.insert(words.end(), {"-d", gateway.folder().write("body", body)});
      const Ran load = run(words);
      CAPTURE(load.out);
      CHECK(load.out.find("1000 succeeded, 0 failed, 0 errored") != std::string::npos);
      CHECK(load.out.find("1000 2xx") != std::string::npos);
    }
    if (protocol == "h2")
      CHECK(metric(gateway, "penstock_upstream_http2_goaways_total{upstream=\"u\",error=\"NO_ERROR\"}") >=
            50);
  }
}

TEST_CASE("metrics say what is open at a backend of HTTP/2, and how it ends it") {
  Nghttpx nghttpx;
  Gateway gateway(configuration(nghttpx.server.endpoint(), nghttpx.ca.trust(), speaking("auto")));
  CHECK(get(gateway.port(), "/bytes/1").status == 200);
  CHECK(connections(gateway, "2") == 1);
  CHECK(connections(gateway, "1.1") == 0);
  CHECK(streams(gateway) == 0);
  {
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < 3; ++i) {
      clients.push_back(std::make_unique<Client>(gateway.port()));
      clients.back()->send("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    await("three streams", [&] { return streams(gateway) == 3; });
    CHECK(connections(gateway, "2") == 1);
    for (auto& client : clients) client->reset();
  }
  await("no stream", [&] { return streams(gateway) == 0; });
  CHECK(connections(gateway, "2") == 1);  // idle, and counted
  const std::string resets =
      "penstock_upstream_http2_stream_resets_total{upstream=\"u\",error=\"INTERNAL_ERROR\"}";
  CHECK(get(gateway.status_port(), "/metrics").body.find(resets) == std::string::npos);
  // The echo backend breaks off, and nghttpx resets the stream: before it has sent a head, or behind that.
  Client client(gateway.port());
  client.send("GET /reset?at=1000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  const std::string answer = client.read_to_end();
  CHECK((answer.find("\"upstream.reset\"") != std::string::npos || answer.starts_with("HTTP/1.1 200 ")));
  await("a reset", [&] {
    return get(gateway.status_port(), "/metrics").body.find("\n" + resets + " 1\n") != std::string::npos;
  });
  // And without HTTP/2, of the same upstream.
  gateway.reload(configuration(nghttpx.server.endpoint(), nghttpx.ca.trust(), speaking("http/1.1")));
  CHECK(get(gateway.port(), "/bytes/1").status == 200);
  CHECK(connections(gateway, "1.1") == 1);
  await("the old connection's end", [&] { return connections(gateway, "2") == 0; });
}

TEST_CASE("requests that wait for a backend to begin are counted while they do") {
  ListeningPort silent;
  Gateway gateway(configuration(silent.endpoint(), "", speaking("auto")));
  const std::string waiting = "penstock_upstream_waiting_requests{upstream=\"u\"}";
  CHECK(metric(gateway, waiting) == 0);
  {
    Client one(gateway.port()), other(gateway.port());
    for (Client* client : {&one, &other}) client->send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await_metric(gateway, waiting, 2);
    one.reset();
    other.reset();
  }
  await_metric(gateway, waiting, 0);
}
