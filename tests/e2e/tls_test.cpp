#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"

using namespace e2e;

namespace {

// Self-signed certificates, made by the openssl command.
struct Certificates {
  TempFolder folder;
  Certificates() {
    make("api", "api.test");
    make("docs", "docs.test");
  }
  void make(const std::string& name, const std::string& host) {
    Ran ran = run({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                   "-nodes", "-days", "2", "-subj", "/CN=" + host, "-addext", "subjectAltName=DNS:" + host,
                   "-keyout", folder.file(name + ".key"), "-out", folder.file(name + ".crt")});
    REQUIRE(ran.exit_code == 0);
  }
  std::string pair(const std::string& cert, const std::string& key) const {
    return "{ cert: " + folder.file(cert + ".crt") + ", key: " + folder.file(key + ".key") + " }";
  }
};

std::string configuration(const std::string& certificates, const std::string& more_tls = {}) {
  return "schema: 1\nworkers: 2\naccess_log: none\nstatus: { address: \"127.0.0.1:0\" }\n"
         "drain: { accept_for: 0s, timeout: 5s }\n"
         "listeners:\n"
         "  - { name: https, address: \"127.0.0.1:0\", tls: { certificates: [" +
         certificates + "]" + more_tls +
         " } }\n"
         "  - { name: plain, address: \"127.0.0.1:0\", redirect: https }\n"
         "routes: [{ name: r, match: { path_prefix: / }, public: true, respond: { status: 200, body: "
         "\"hello\\n\" } }]\n";
}

Ran curl(const Gateway& gateway, const std::string& host, std::vector<std::string> more) {
  std::string port = std::to_string(gateway.port("https"));
  std::vector<std::string> words{"curl",
                                 "-sS",
                                 "--max-time",
                                 "30",
                                 "--resolve",
                                 host + ":" + port + ":127.0.0.1",
                                 "https://" + host + ":" + port + "/x"};
  words.insert(words.end(), more.begin(), more.end());
  return run(words);
}

}  // namespace

namespace {

// Passes bytes between the one client that connects to port() and a socket, until both have ended.
class Relay {
 public:
  explicit Relay(int far) : far_(far) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    REQUIRE(bind(listener_, reinterpret_cast<sockaddr*>(&address), length) == 0);
    REQUIRE(listen(listener_, 1) == 0);
    REQUIRE(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length) == 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::jthread([this] { pass(); });
  }
  ~Relay() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }
  std::string port() const { return std::to_string(port_); }

 private:
  static bool move(int from, int to) {
    char buffer[16'384];
    const auto size = recv(from, buffer, sizeof buffer, 0);
    if (size <= 0) return shutdown(to, SHUT_WR), false;
    return send(to, buffer, static_cast<size_t>(size), MSG_NOSIGNAL) == size;
  }
  void pass() const {
    const int near = accept(listener_, nullptr, nullptr);
    if (near < 0) return;
    pollfd both[2] = {{near, POLLIN, 0}, {far_, POLLIN, 0}};
    while ((both[0].fd >= 0 || both[1].fd >= 0) && poll(both, 2, 30'000) > 0) {
      if (both[0].revents != 0 && !move(near, far_)) both[0].fd = -1;
      if (both[1].revents != 0 && !move(far_, near)) both[1].fd = -1;
    }
    close(near);
  }

  int far_, listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  uint16_t port_ = 0;
  std::jthread thread_;
};

}  // namespace

TEST_CASE("a handshake that ends after its listener was removed gets one answer") {
  Certificates certificates;
  const std::string before = configuration(certificates.pair("api", "api"));
  Gateway gateway(before);
  Client early(gateway.port("https"));
  std::string after = before;
  const size_t at = after.find("  - { name: https");
  after.replace(at, after.find("routes:") - at, "  - { name: plain, address: \"127.0.0.1:0\" }\n");
  CHECK(gateway.reload(after).find("penstock: reloaded") != std::string::npos);
  Relay relay(early.descriptor());
  Ran ran = run({"curl", "-sSki", "--max-time", "30", "--connect-to", "::127.0.0.1:" + relay.port(),
                 "https://api.test/x"});
  CAPTURE(ran.err);
  CHECK(ran.out.find("HTTP/1.1 200") == 0);
  CHECK(ran.out.find("connection: close") != std::string::npos);
}

TEST_CASE("the certificate is picked by the name the client asks for, over TLS 1.2 and 1.3") {
  Certificates certificates;
  std::string both = certificates.pair("api", "api") + ", " + certificates.pair("docs", "docs");
  Gateway gateway(configuration(both));
  for (const char* version : {"1.2", "1.3"}) {
    for (const char* name : {"api", "docs"}) {
      Ran ran = curl(gateway, std::string(name) + ".test",
                     {"--cacert", certificates.folder.file(std::string(name) + ".crt"), "--tls-max", version,
                      std::string("--tlsv") + version});
      CHECK(ran.out == "hello\n");
    }
  }
  // Somebody unknown is served with the first one.
  CHECK(curl(gateway, "other.test", {"-k"}).out == "hello\n");
}

TEST_CASE("a client below min_version is refused and others go on") {
  Certificates certificates;
  Gateway gateway(configuration(certificates.pair("api", "api"), ", min_version: TLSv1.3"));
  CHECK(curl(gateway, "api.test", {"-k", "--tls-max", "1.2"}).exit_code == 35);
  CHECK(curl(gateway, "api.test", {"-k"}).out == "hello\n");
}

TEST_CASE("a client that speaks no TLS or goes away within the handshake harms nobody") {
  Certificates certificates;
  Gateway gateway(configuration(certificates.pair("api", "api")));
  {
    Client plain(gateway.port("https"));
    plain.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    plain.read_to_end();
    Client gone(gateway.port("https"));
    gone.send(std::string_view("\x16\x03\x01", 3));
    gone.reset();
    Client silent(gateway.port("https"));
    CHECK(curl(gateway, "api.test", {"-k"}).out == "hello\n");
  }
  Response metrics;
  do metrics = get(gateway.status_port(), "/metrics");
  while (metrics.body.find("http_server_open_connections 0\n") == std::string::npos);
}

TEST_CASE("a redirect listener sends every request to https on the other port") {
  Certificates certificates;
  Gateway gateway(configuration(certificates.pair("api", "api")));
  Client client(gateway.port("plain"));
  client.send("POST /a/b?c=d HTTP/1.1\r\nhost: api.test:80\r\ncontent-length: 0\r\n\r\n");
  Response response = client.read_response();
  CHECK(response.status == 308);
  CHECK(response.header("location") ==
        "https://api.test:" + std::to_string(gateway.port("https")) + "/a/b?c=d");
}

TEST_CASE("a key that belongs to another certificate is refused with its place") {
  Certificates certificates;
  TempFolder folder;
  Ran ran = run({binary("penstock"), "check", "-c",
                 folder.write("c.yaml", configuration(certificates.pair("api", "docs")))});
  CHECK(ran.exit_code == 1);
  CHECK(ran.out.find("c.yaml:7:") != std::string::npos);
  CHECK(ran.out.find("error[bad-certificate]") != std::string::npos);
}

TEST_CASE("a reload takes new certificates for new connections") {
  Certificates certificates;
  Gateway gateway(configuration(certificates.pair("api", "api")));
  CHECK(curl(gateway, "docs.test", {"--cacert", certificates.folder.file("docs.crt")}).exit_code == 60);
  CHECK(gateway.reload(configuration(certificates.pair("docs", "docs"))).find("reloaded") !=
        std::string::npos);
  CHECK(curl(gateway, "docs.test", {"--cacert", certificates.folder.file("docs.crt")}).out == "hello\n");
}

TEST_CASE("a listener that becomes TLS by reload keeps its port; plain connections end after their answer") {
  Certificates certificates;
  std::string tls = configuration(certificates.pair("api", "api"));
  std::string plain = tls;
  size_t at = plain.find(", tls:");
  plain.erase(at, plain.find(" }\n", at) - at);
  plain.erase(plain.find("  - { name: plain"), plain.find("routes:") - plain.find("  - { name: plain"));
  Gateway gateway(plain);
  uint16_t port = gateway.port("https");
  Client old(port);
  old.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  CHECK(old.read_response().body == "hello\n");
  CHECK(gateway.reload(tls).find("reloaded") != std::string::npos);
  CHECK(curl(gateway, "api.test", {"-k"}).out == "hello\n");
  CHECK(gateway.port("https") == port);
  CHECK(old.at_end());
}
