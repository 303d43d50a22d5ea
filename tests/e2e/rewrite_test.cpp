// What a route makes of a path, a query and a Location never becomes more than was meant: no segment,
// parameter or host that a client wrote.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/recording.h"
#include "e2e/harness/wire_server.h"

using namespace e2e;

namespace {

std::string location(const Gateway& gateway, const std::string& request) {
  Client client(gateway.port());
  client.send(request);
  return client.read_response(request.substr(0, request.find(' '))).header("location");
}

std::string get_text(const std::string& target) {
  return "GET " + target + " HTTP/1.1\r\nhost: a.test\r\n\r\n";
}

}  // namespace

TEST_CASE("a rewritten path reads as it was put together, or the request is refused") {
  Recording backend;
  Gateway gateway(
      basics("routes:\n"
             "  - { name: files, match: { path_regex: \"/files-(?P<name>.*)\" }, public: true, upstream: u,\n"
             "      rewrite: { path: \"/public/{path.name}\" } }\n"
             "  - { name: named, match: { path: \"/named/{id}\" }, public: true, upstream: u,\n"
             "      rewrite: { path: \"/v1/{path.id}/{route.name}\" } }\n"
             "upstreams: { u: { endpoints: \"" +
             backend.endpoint() + "\" } }\n"));
  struct Row {
    std::string sent;
    int status;
    std::string forwarded = {};
  };
  for (const auto& [sent, status, forwarded] : std::vector<Row>{
           {"/files-a", 200, "/public/a"},
           {"/files-a/b", 200, "/public/a/b"},
           {"/files-/b", 200, "/public/b"},
           {"/files-", 200, "/public/"},
           {"/files-a%20b?q=%2e%2e", 200, "/public/a%20b?q=%2e%2e"},
           {"/files-..", 400},
           {"/files-../secret", 400},
           {"/files-%2e%2e/secret", 400},
           {"/files-./secret", 400},
           {"/named/7", 200, "/v1/7/named"},
           {"/named/7%3fx=1", 200, "/v1/7%3Fx=1/named"},
       }) {
    CAPTURE(sent);
    Response response = get(gateway.port(), sent);
    CHECK(response.status == status);
    if (status == 200) CHECK(response.body == forwarded);
    CHECK(backend.take().size() == (status == 200 ? 1 : 0));
  }
}

TEST_CASE("what a client wrote becomes one value of a redirect, never a parameter or a part of the URL") {
  Gateway gateway(
      basics("routes:\n"
             "  - { name: q, match: { path: /q }, public: true,\n"
             "      redirect: { path: /n, query: \"u={query.q}&fixed=1\" } }\n"
             "  - { name: p, match: { path: \"/p/{id}\" }, public: true,\n"
             "      redirect: { path: /n, query: \"u={path.id}&q={query.z}\" } }\n"));
  for (const auto& [sent, query] : std::vector<std::pair<std::string, std::string>>{
           {"/q?q=a%20b", "u=a%20b&fixed=1"},
           {"/q?q=a%26adm=1", "u=a%26adm%3D1&fixed=1"},
           {"/q?q=a%3fb%23c", "u=a%3Fb%23c&fixed=1"},
           {"/q?q=%ff", "u=%FF&fixed=1"},
           {"/q", "u=&fixed=1"},
           {"/p/x&y=1?z=%20", "u=x%26y%3D1&q=%20"},
       }) {
    CAPTURE(sent);
    CHECK(location(gateway, get_text(sent)) == "http://a.test/n?" + query);
  }
}

TEST_CASE("a Location is mapped back to what the client knows, on its own host alone") {
  std::string sent;
  WireServer backend([&](WireServer::Conversation& talk) {
    if (!talk.received.substr(talk.taken).contains("\r\n\r\n")) return;
    talk.taken = talk.received.size();
    talk.to_send += "HTTP/1.1 302 Found\r\n" + (sent.empty() ? "" : "Location: " + sent + "\r\n") +
                    "Content-Length: 0\r\n\r\n";
  });
  auto route = [](const std::string& name, const std::string& prefix, const std::string& more) {
    return "  - { name: " + name + ", match: { path_prefix: " + prefix +
           " }, public: true, upstream: u, rewrite: { location: true, path_prefix: " + more + " } }\n";
  };
  Gateway gateway(basics("routes:\n" + route("root", "/", "/api") + route("shop", "/shop", "/api") +
                         route("bare", "/bare", "/") + route("hosted", "/hosted", "/api, host: inner.test") +
                         "upstreams: { u: { endpoints: \"" + backend.endpoint() + "\" } }\n"));
  struct Row {
    std::string path, sent, got;
  };
  for (const auto& [path, text, got] : std::vector<Row>{
           {"/x", "/api/x", "/x"},
           {"/x", "/api", "/"},
           {"/x", "/api/", "/"},
           {"/x", "/api?q", "/?q"},
           {"/x", "/api#f", "/#f"},
           {"/x", "/api//evil.example/", "/evil.example/"},
           {"/x", "/apix", "/apix"},
           {"/x", "/other", "/other"},
           {"/x", "//a.test/api/x", "//a.test/api/x"},
           {"/x", "http://a.test/api/x?q", "http://a.test/x?q"},
           {"/x", "https://A.test/api", "https://A.test/"},
           {"/x", "http://b.test/api/x", "http://b.test/api/x"},
           {"/shop/x", "/api/x", "/shop/x"},
           {"/shop/x", "/api", "/shop"},
           {"/shop/x", "/api//x", "/shop/x"},
           {"/shop/x", "", ""},
           {"/bare/x", "", ""},
           {"/bare/x", "/", "/bare/"},
           {"/bare/x", "/y?q", "/bare/y?q"},
           {"/bare/x", "y", "y"},
           {"/bare/x", "?q", "?q"},
           {"/hosted/x", "http://inner.test/api/y", "http://a.test/hosted/y"},
       }) {
    CAPTURE(text);
    sent = text;
    CHECK(location(gateway, get_text(path)) == got);
  }
  // Nobody knows what this client calls us.
  sent = "http://" + backend.endpoint() + "/api/x";
  CHECK(location(gateway, "GET /shop/x HTTP/1.0\r\n\r\n") == "/shop/x");
}

TEST_CASE("a redirect of OPTIONS * and of a request without Host leads to this server") {
  Gateway gateway(
      basics("routes:\n"
             "  - { name: all, match: { host: a.test }, public: true, redirect: { scheme: https } }\n"
             "  - { name: none, match: { path_prefix: / }, public: true, redirect: { scheme: https } }\n"));
  CHECK(location(gateway, "OPTIONS * HTTP/1.1\r\nhost: a.test\r\n\r\n") == "https://a.test");
  const std::string own = "127.0.0.1:" + std::to_string(gateway.port());
  CHECK(location(gateway, "GET /x HTTP/1.0\r\n\r\n") == "https://" + own + "/x");
}

TEST_CASE("the backend of a request without Host is told its own address") {
  Recording backend;
  Gateway gateway(basics(all_to(backend.endpoint())));
  Client client(gateway.port());
  client.send("GET /x HTTP/1.0\r\n\r\n");
  CHECK(client.read_response().status == 200);
  CHECK(backend.take() == std::vector<std::string>{"GET " + backend.endpoint() + " /x "});
}

TEST_CASE("an https target is refused without TLS") {
  Recording backend;
  Gateway gateway(basics(all_to(backend.endpoint())));
  Client client(gateway.port());
  client.send("GET HTTPS://a.test/x HTTP/1.1\r\nhost: a.test\r\n\r\n");
  Response refused = client.read_response();
  CHECK(refused.status == 421);
  CHECK(refused.body.contains("request.misdirected"));
  client.send("GET http://a.test/x HTTP/1.1\r\nhost: a.test\r\n\r\n");
  CHECK(client.read_response().status == 200);
}
