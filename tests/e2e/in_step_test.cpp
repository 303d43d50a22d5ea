// In step: what one side has sent is with the other before it sends on, wherever the gateway cuts its reads.
// After a long body these are short (1 KiB), and what follows may go through the kernel: each exchange here
// follows long ones on the same connections, and its first pieces end around those places.
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/listening_port.h"
#include "e2e/harness/temp_folder.h"

using namespace e2e;

namespace {

constexpr size_t long_body = 200'000, short_body = 3'000;
constexpr std::string_view head_end = "\r\n\r\n";

// Every position of it differs from its neighbours', so that a byte too many or too few is seen.
std::string body_of(size_t size) {
  std::string body;
  for (size_t n = 0; body.size() < size; ++n) body += "[" + std::to_string(n) + "]";
  body.resize(size);
  return body;
}

std::string length(size_t bytes) { return "content-length: " + std::to_string(bytes) + "\r\n"; }

std::unique_ptr<Client> connect_to(const std::string& path) {
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  REQUIRE(path.size() < sizeof address.sun_path);
  std::memcpy(address.sun_path, path.data(), path.size());
  REQUIRE(::connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  return Client::adopt(descriptor);
}

// A small piece does not wait until the one before it is acknowledged.
void send_at_once(const Client& end) {
  const int on = 1;
  REQUIRE(::setsockopt(end.descriptor(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
}

// A client and a backend that the test plays both, connected through the gateway.
struct Ends {
  ListeningPort port;
  TempFolder folder;
  std::string path = folder.file("local.sock");
  Gateway gateway{
      "schema: 1\nworkers: 1\ndrain: { accept_for: 0s, timeout: 5s }\n"
      "listeners: [{ name: http, address: \"127.0.0.1:0\" }, { name: local, address: \"unix:" +
      path + "\" }]\n" + all_to(port.endpoint(), ", upgrade: thing")};
  std::unique_ptr<Client> client, backend;

  explicit Ends(bool local) : client(local ? connect_to(path) : std::make_unique<Client>(gateway.port())) {
    client->send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    backend = port.accept();
    backend->read_through(head_end);
    backend->send("HTTP/1.1 200 OK\r\n" + length(0) + "\r\n");
    CHECK(client->read_response().status == 200);
    if (!local) send_at_once(*client);
    send_at_once(*backend);
  }
};

// Body bytes as they come, without their chunks' framing.
std::string read_body(Client& to, size_t bytes, bool chunked) {
  if (!chunked) return to.read(bytes);
  std::string got;
  while (got.size() < bytes) {
    got += to.read(std::stoul(to.read_through("\r\n"), nullptr, 16));
    CHECK(to.read(2) == "\r\n");
  }
  return got;
}

std::string chunk(std::string_view bytes) {
  char size[20];
  std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
  return size + std::string(bytes) + "\r\n";
}

std::vector<size_t> pieces_after(size_t cut) { return {cut, 1, 1024, 1, 66'000, 20'000, SIZE_MAX}; }

// Head and body of known length; the first piece ends at `cut`.
void send_in_step(Client& from, Client& to, const std::string& head, const std::string& body, size_t cut) {
  const std::string all = head + body;
  size_t sent = 0, seen = 0;
  bool head_seen = false;
  for (size_t size : pieces_after(cut)) {
    const size_t piece = std::min(size, all.size() - sent);
    from.send(std::string_view(all).substr(sent, piece));
    sent += piece;
    if (sent < head.size()) continue;
    if (!head_seen) to.read_through(head_end);
    head_seen = true;
    const size_t now = sent - head.size();
    CHECK(to.read(now - seen) == body.substr(seen, now - seen));
    seen = now;
  }
  CHECK(seen == body.size());
}

// The head up to `cut`, the rest of it, then chunks.
void send_chunks_in_step(Client& from, Client& to, const std::string& head, const std::string& body,
                         size_t cut) {
  cut = std::min(cut, head.size());
  from.send(head.substr(0, cut));
  from.send(head.substr(cut));
  to.read_through(head_end);
  size_t sent = 0;
  for (size_t size : pieces_after(1024)) {
    const std::string piece = body.substr(sent, size);
    if (piece.empty()) break;
    from.send(chunk(piece));
    CHECK(read_body(to, piece.size(), true) == piece);
    sent += piece.size();
  }
  from.send("0\r\n\r\n");
  CHECK(to.read(5) == "0\r\n\r\n");
}

std::string request_head(const std::string& fields) {
  return "POST / HTTP/1.1\r\nhost: a\r\n" + fields + "\r\n";
}
std::string answer_head(const std::string& fields) { return "HTTP/1.1 200 OK\r\n" + fields + "\r\n"; }

// Both directions had a long body last, of which most went through the kernel.
void go_long(Ends& ends) {
  const std::string body = body_of(long_body);
  for (int n = 0; n < 2; ++n) {
    send_in_step(*ends.client, *ends.backend, request_head(length(long_body)), body, 1024);
    send_in_step(*ends.backend, *ends.client, answer_head(length(long_body)), body, 1024);
  }
}

// Where a first piece ends: around a short read, and around the end of the head.
std::vector<size_t> cuts_of(const std::string& head) {
  return {1, head.size() - 1, head.size(), head.size() + 1, 1023, 1024, 1025, 4096};
}

template <class Exchange>
void for_each_cut(const std::string& request, const std::string& answer, Exchange exchange) {
  const std::vector<size_t> requests = cuts_of(request), answers = cuts_of(answer);
  for (bool local : {false, true}) {
    CAPTURE(local);
    Ends ends(local);
    for (size_t n = 0; n < requests.size(); ++n) {
      CAPTURE(requests[n]);
      CAPTURE(answers[n]);
      go_long(ends);
      exchange(ends, requests[n], answers[n]);
    }
  }
}

constexpr size_t long_field = 700;  // a head of nearly a short read's size

}  // namespace

TEST_CASE("in step: bodies of known length, long and short, behind heads of any size") {
  for (size_t size : {long_body, short_body}) {
    for (size_t field : {size_t{1}, long_field, size_t{1200}}) {
      CAPTURE(size);
      CAPTURE(field);
      const std::string fields = length(size) + "x-fill: " + std::string(field, 'f') + "\r\n";
      const std::string body = body_of(size), request = request_head(fields), answer = answer_head(fields);
      for_each_cut(request, answer, [&](Ends& ends, size_t in_request, size_t in_answer) {
        send_in_step(*ends.client, *ends.backend, request, body, in_request);
        send_in_step(*ends.backend, *ends.client, answer, body, in_answer);
      });
    }
  }
}

TEST_CASE("in step: chunks after long bodies of known length") {
  const std::string fields = "transfer-encoding: chunked\r\nx-fill: " + std::string(long_field, 'f') + "\r\n";
  const std::string body = body_of(long_body), request = request_head(fields), answer = answer_head(fields);
  for_each_cut(request, answer, [&](Ends& ends, size_t in_request, size_t in_answer) {
    send_chunks_in_step(*ends.client, *ends.backend, request, body, in_request);
    send_chunks_in_step(*ends.backend, *ends.client, answer, body, in_answer);
  });
}

TEST_CASE("in step: a body that waits for 100, an answer behind 103") {
  const std::string fields = length(long_body) + "x-fill: " + std::string(long_field, 'f') + "\r\n";
  const std::string body = body_of(long_body), request = request_head(fields + "expect: 100-continue\r\n"),
                    answer = answer_head(fields), link = "link: </" + std::string(300, 'l') + ">\r\n";
  for_each_cut(request, answer, [&](Ends& ends, size_t in_request, size_t in_answer) {
    const size_t cut = std::min(in_request, request.size());
    ends.client->send(request.substr(0, cut));
    ends.client->send(request.substr(cut));
    ends.backend->read_through(head_end);
    ends.backend->send("HTTP/1.1 100 Continue\r\n\r\n");
    CHECK(ends.client->read_through(head_end).starts_with("HTTP/1.1 100"));
    ends.client->send(body);
    CHECK(ends.backend->read(body.size()) == body);
    ends.backend->send("HTTP/1.1 103 Early Hints\r\n" + link + "\r\n");
    CHECK(ends.client->read_through(head_end).starts_with("HTTP/1.1 103"));
    send_in_step(*ends.backend, *ends.client, answer, body, in_answer);
  });
}

TEST_CASE("in step: a tunnel after long bodies") {
  for (bool local : {false, true}) {
    CAPTURE(local);
    Ends ends(local);
    go_long(ends);
    ends.client->send("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: thing\r\n\r\n");
    ends.backend->read_through(head_end);
    ends.backend->send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: thing\r\n\r\n");
    CHECK(ends.client->read_through(head_end).starts_with("HTTP/1.1 101"));
    for (size_t size : {1, 1023, 1024, 1025, 5'000, 100'000}) {
      const std::string bytes = body_of(size);
      ends.client->send(bytes);
      CHECK(ends.backend->read(size) == bytes);
      ends.backend->send(bytes);
      CHECK(ends.client->read(size) == bytes);
    }
  }
}
