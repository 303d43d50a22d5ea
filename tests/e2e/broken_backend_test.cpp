// A backend that closes or resets in the middle of its answer, over real sockets: no client, plain or TLS,
// takes what came for the whole.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <thread>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/listening_port.h"
#include "e2e/harness/waiting.h"

using namespace e2e;

namespace {

// Answers every request's head with the same bytes and ends the connection so.
class BreakingBackend {
 public:
  enum class End { fin, rst };
  BreakingBackend(std::string answer, End end) : answer_(std::move(answer)), end_(end) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    REQUIRE(::bind(listener_, reinterpret_cast<sockaddr*>(&address), length) == 0);
    REQUIRE(::listen(listener_, 16) == 0);
    REQUIRE(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length) == 0);
    endpoint_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    thread_ = std::jthread([this] { serve(); });
  }
  ~BreakingBackend() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  const std::string& endpoint() const { return endpoint_; }

 private:
  void serve() const {
    for (int fd; (fd = ::accept(listener_, nullptr, nullptr)) >= 0;) {
      std::string head;
      std::array<char, 4096> bytes;
      for (ssize_t got;
           head.find("\r\n\r\n") == head.npos && (got = ::recv(fd, bytes.data(), bytes.size(), 0)) > 0;)
        head.append(bytes.data(), static_cast<size_t>(got));
      ::send(fd, answer_.data(), answer_.size(), MSG_NOSIGNAL);
      linger at_once{1, 0};
      if (end_ == End::rst) ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
      ::close(fd);
    }
  }

  std::string answer_, endpoint_;
  End end_;
  int listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  std::jthread thread_;
};

struct Certificate {
  TempFolder folder;
  Certificate() {
    Ran made =
        run({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-days", "2", "-subj", "/CN=t", "-keyout", folder.file("t.key"), "-out", folder.file("t.crt")});
    REQUIRE(made.exit_code == 0);
  }
};

}  // namespace

TEST_CASE("a transfer that a backend breaks off is broken for its client, whatever version and framing") {
  Certificate certificate;
  struct Broken {
    const char* name;
    std::string answer;
    bool ends_by_close;  // a FIN is its right end
  };
  const Broken cases[] = {
      {"a length", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello", false},
      {"chunks", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", false},
      {"until close", "HTTP/1.1 200 OK\r\n\r\nhello", true},
  };
  for (const Broken& each : cases) {
    for (auto end : {BreakingBackend::End::fin, BreakingBackend::End::rst}) {
      CAPTURE(each.name);
      CAPTURE(static_cast<int>(end));
      bool whole = each.ends_by_close && end == BreakingBackend::End::fin;
      BreakingBackend backend(each.answer, end);
      Gateway gateway(
          basics("  - { name: https, address: \"127.0.0.1:0\", tls: { certificates: [{ cert: " +
                 certificate.folder.file("t.crt") + ", key: " + certificate.folder.file("t.key") +
                 " }] } }\nroutes: [{ name: all, match: { path_prefix: / }, public: true, upstream: u }]\n"
                 "upstreams: { u: { endpoints: \"" +
                 backend.endpoint() + "\" } }\n"));
      for (std::string version : {"1.1", "1.0"}) {
        CAPTURE(version);
        Client client(gateway.port());
        client.send("GET / HTTP/" + version + "\r\nhost: a\r\n\r\n");
        if (whole)
          CHECK(client.read_response().body == "hello");
        else
          CHECK_THROWS_AS(client.read_response(), Failure);
        Ran ran = run({"curl", "-sSk", "--max-time", "30", "--http" + version,
                       "https://127.0.0.1:" + std::to_string(gateway.port("https")) + "/"});
        CAPTURE(ran.err);
        CHECK((ran.exit_code == 0) == whole);
        CHECK(ran.exit_code != 28);
      }
      CHECK(get(gateway.status_port(), "/livez").status == 200);
    }
  }
}

TEST_CASE(
    "when idle connections have died unseen the request goes on a new one, and nobody meets the others") {
  ListeningPort port;
  Gateway gateway(
      "schema: 1\nworkers: 1\naccess_log: none\nstatus: { address: \"127.0.0.1:0\" }\n"
      "drain: { accept_for: 0s, timeout: 5s }\nlisteners: [{ name: http, address: \"127.0.0.1:0\" }]\n"
      "routes: [{ name: all, match: { path_prefix: / }, public: true, upstream: u }]\n"
      "upstreams: { u: { endpoints: \"" +
      port.endpoint() + "\" } }\n");
  const std::string ok = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
  std::array<std::unique_ptr<Client>, 3> clients, backends;
  for (size_t i = 0; i < clients.size(); ++i) {
    clients[i] = std::make_unique<Client>(gateway.port());
    clients[i]->send("GET /r HTTP/1.1\r\nhost: a\r\n\r\n");
    backends[i] = port.accept();
    backends[i]->read_through("\r\n\r\n");
  }
  for (size_t i = 0; i < clients.size(); ++i) {
    backends[i]->send(ok);
    CHECK(clients[i]->read_response().status == 200);
  }
  // The one that was used last is lent; its host was started anew and knows none of them.
  clients[0]->send("GET /again HTTP/1.1\r\nhost: a\r\n\r\n");
  backends[2]->read_through("\r\n\r\n");
  backends[2]->reset();
  auto fresh = port.accept();
  CHECK(fresh->read_through("\r\n\r\n").starts_with("GET /again "));
  fresh->send(ok);
  CHECK(clients[0]->read_response().status == 200);
  CHECK(backends[0]->at_end());
  CHECK(backends[1]->at_end());
  clients[1]->send(
      "POST /r HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx");  // it could not be sent twice
  fresh->read_through("\r\n\r\nx");
  fresh->send(ok);
  CHECK(clients[1]->read_response().status == 200);
}
