// Plugins that see bodies, in the real daemon: the example of the SDK and one that does what the client says,
// with clients of HTTP/1 and HTTP/2 (curl) and backends of either.
#include <doctest/doctest.h>

#include <algorithm>

#include "e2e/harness/client.h"
#include "e2e/harness/fault_plan.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/metrics.h"

using namespace e2e;

namespace {

// Everything to one upstream, through `plugins`.
std::string configuration(const std::string& endpoint, const std::string& plugins,
                          const std::string& upstream = {}, const std::string& route = {}) {
  return "schema: 1\nworkers: 1\nstatus: { address: \"127.0.0.1:0\" }\n"
         "access_log: [{ format: json, file: access.log }]\n"
         "listeners:\n  - { name: http, address: \"127.0.0.1:0\", protocols: [h2, http/1.1] }\n"
         "plugin_libraries: [" +
         binary("tests/plugins/bodies.so") + ", " + binary("tests/plugins/body_transform.so") +
         "]\n"
         "plugins:\n  does: { type: bodies }\n"
         "  mask: { type: body_transform, members: [method, ssn], requests: true }\n"
         "routes:\n  - { name: all, match: { path_prefix: / }, public: true, upstream: u, plugins: [" +
         plugins + "]" + route + " }\nupstreams: { u: { endpoints: \"" + endpoint + "\"" + upstream +
         " } }\n";
}

Ran curl(const Gateway& gateway, const std::string& path, const std::vector<std::string>& more) {
  std::vector<std::string> words{"curl", "-sS", "--max-time", "30",
                                 "http://127.0.0.1:" + std::to_string(gateway.port()) + path};
  words.insert(words.end(), more.begin(), more.end());
  return run(words);
}

const std::vector<std::string> versions{"--http1.1", "--http2-prior-knowledge"};

std::string letters(size_t size) {
  std::string out(size, ' ');
  for (size_t i = 0; i < size; ++i) out[i] = static_cast<char>('a' + i * i % 26);
  return out;
}
std::string upper(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::toupper(c); });
  return text;
}

// An echo backend, and behind it the same over HTTP/2.
struct Both {
  Backend backend;
  Gateway inner{configuration(backend.endpoint(), "")};
  Gateway to_http1{configuration(backend.endpoint(), "does")};
  Gateway to_http2{configuration("127.0.0.1:" + std::to_string(inner.port()), "does", ", protocol: h2")};
};

}  // namespace

TEST_CASE("body hooks: requests and answers of every size and version, as they come and whole") {
  Both both;
  for (const Gateway* gateway : {&both.to_http1, &both.to_http2}) {
    for (const std::string& version : versions) {
      for (size_t size : {size_t{1}, size_t{5000}, size_t{300'000}}) {
        for (const std::string how : {"upper", "whole", "hold"}) {
          CAPTURE(version);
          CAPTURE(size);
          CAPTURE(how);
          const std::string body = letters(size);
          const std::string file = gateway->folder().write("body", body);
          Ran ran = curl(*gateway, "/echo",
                         {version, "--data-binary", "@" + file, "-H", "Expect:", "-H", "body: " + how});
          CHECK(ran.err == "");
          CHECK(ran.out == upper(body));
          ran = curl(*gateway, "/echo", {version, "--data-binary", "@" + file, "-H", "answer: " + how});
          CHECK(ran.err == "");
          CHECK(ran.out == upper(body));
        }
      }
    }
  }
}

TEST_CASE("body hooks: what misbehaves is answered, logged and leaves nothing behind") {
  Backend backend;
  Gateway gateway(configuration(backend.endpoint(), "does"));
  for (const std::string& version : versions) {
    const auto status = [&](const std::string& field) {
      return curl(gateway, "/x",
                  {version, "-d", "hello", "-H", field, "-o", "/dev/null", "-w", "%{http_code}"})
          .out;
    };
    for (const std::string what :
         {"throw", "throw-int", "junk", "error", "buffer-end", "respond-nothing", "pause-no-ticket"}) {
      CAPTURE(what);
      CHECK(status("body: " + what) == "500");
    }
    CHECK(status("body: respond") == "422");
    for (const std::string what :
         {"pause", "hold-pause", "pause-again", "forbidden", "hold-forbidden", "detach", "off"})
      CHECK(status("body: " + what) == "200");
    const Ran cut = curl(gateway, "/bytes/5", {version, "-H", "answer: throw"});
    CHECK(cut.exit_code != 0);
    CHECK(status("x: y") == "200");
  }
}

TEST_CASE("body hooks: the example masks JSON, whole and with its length, and lets the rest go") {
  Backend backend;
  Gateway gateway(configuration(backend.endpoint(), "mask"));
  for (const std::string& version : versions) {
    const Ran ran =
        curl(gateway, "/x",
             {version, "-i", "-H", "content-type: application/json", "-d", R"({"name":"a","ssn":"123-45"})"});
    CHECK(ran.out.find(R"("method":"***")") != std::string::npos);
    CHECK(ran.out.find(R"(\"ssn\":\"***\")") != std::string::npos);
    CHECK(ran.out.find("123-45") == std::string::npos);
    CHECK(ran.out.find("\ncontent-length: ") != std::string::npos);
    const Ran bytes = curl(gateway, "/bytes/1000", {version, "-i"});
    CHECK(bytes.out.find("\ncontent-length: 1000") != std::string::npos);
  }
}

TEST_CASE("body hooks: a body over limits.body_buffer is a 413 or a 502, with a counter") {
  Backend backend;
  Gateway gateway("defaults: { route: { limits: { body_buffer: 8KiB } } }\n" +
                  configuration(backend.endpoint(), "does"));
  const std::string large = gateway.folder().write("large", letters(20'000));
  for (const std::string& version : versions) {
    const auto status = [&](const std::string& path, const std::vector<std::string>& more) {
      std::vector<std::string> words{version, "-o", "/dev/null", "-w", "%{http_code}"};
      words.insert(words.end(), more.begin(), more.end());
      return curl(gateway, path, words).out;
    };
    CHECK(status("/x", {"--data-binary", "@" + large, "-H", "body: hold"}) == "413");
    CHECK(status("/bytes/20000", {"-H", "answer: hold"}) == "502");
    CHECK(status("/bytes/8192", {"-H", "answer: hold"}) == "200");
  }
  CHECK(reached(gateway, "body_buffer") == 4);
}

TEST_CASE("body hooks: a client that leaves in a pause leaves nothing") {
  Backend backend;
  Gateway gateway(configuration(backend.endpoint(), "does"));
  for (const std::string what : {"sleep", "whole", "hold"}) {
    Client client(gateway.port());
    client.send("POST /x HTTP/1.1\r\nhost: a\r\nbody: " + what + "\r\ncontent-length: 100\r\n\r\nsome of it");
    client.reset();
  }
  CHECK(get(gateway.port(), "/x").status == 200);
  await_metric(gateway, "http_server_active_requests", 0);
}

TEST_CASE("body hooks: what no plugin wants to see any more goes within the kernel, either way") {
  Backend backend;
  SharedPlan plan;
  Gateway gateway(configuration(backend.endpoint(), "does"), plan.environment());
  const std::string body = letters(3'000'000);
  const std::string length = "content-length: " + std::to_string(body.size()) + "\r\n\r\n";
  for (const std::string how : {"hold-detach", "off", "x"}) {
    CAPTURE(how);
    for (const std::string way : {"body: ", "answer: "}) {
      CAPTURE(way);
      plan.count(faults::Call::splice);
      Client client(gateway.port());
      const bool request = way == "body: ";
      client.send(request ? "POST /x HTTP/1.1\r\nhost: a\r\n" + way + how + "\r\n" + length
                          : "GET /bytes/3000000 HTTP/1.1\r\nhost: a\r\n" + way + how + "\r\n\r\n");
      if (request) client.send(body);
      const Response answer = client.read_response();
      CHECK(answer.status == 200);
      if (request) CHECK(answer.body.find("\"body_length\":3000000") != std::string::npos);
      if (!request) CHECK(answer.body.size() == body.size());
      CHECK((plan.seen() > 0) == (how != "x"));
    }
  }
}

TEST_CASE("body hooks: 100-continue and trailers") {
  Backend backend;
  Gateway gateway(configuration(backend.endpoint(), "does"));
  Client client(gateway.port());
  client.send(
      "POST /echo HTTP/1.1\r\nhost: a\r\nbody: hold\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n");
  CHECK(client.read_response().status == 100);
  client.send("hello");
  CHECK(client.read_response().body == "HELLO");
  client.send("GET /trailers HTTP/1.1\r\nhost: a\r\nte: trailers\r\n\r\n");
  client.read_through("\r\n0\r\n");
  CHECK(client.read_through("\r\n\r\n").find("x-seen: yes\r\n") != std::string::npos);
  client.send(
      "POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx-sum: "
      "refuse\r\n\r\n");
  CHECK(client.read_response().status == 422);
}
