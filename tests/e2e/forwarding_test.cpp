// HTTP/1.1 through the real daemon to a real backend.
#include <doctest/doctest.h>

#include <csignal>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/wire_server.h"

using namespace e2e;

TEST_CASE("requests on one client connection share one backend connection") {
  Backend backend;
  Gateway gateway(basics(all_to(backend.endpoint())));
  Client client(gateway.port());
  for (int i = 1; i <= 5; ++i) {
    client.send("GET /n HTTP/1.1\r\nhost: a\r\n\r\n");
    Response response = client.read_response();
    CHECK(response.status == 200);
    CHECK(response.body.find("\"connection\":1,\"request\":" + std::to_string(i)) != std::string::npos);
  }
}

TEST_CASE("pipelined requests are answered in their order") {
  Backend backend;
  Gateway gateway(basics(all_to(backend.endpoint())));
  Client client(gateway.port());
  std::string requests;
  for (int i = 0; i < 50; ++i) requests += "GET /" + std::to_string(i) + " HTTP/1.1\r\nhost: a\r\n\r\n";
  client.send(requests);
  for (int i = 0; i < 50; ++i)
    CHECK(client.read_response().body.find("\"target\":\"/" + std::to_string(i) + "\"") != std::string::npos);
}

TEST_CASE("bodies go through chunked and with a length, both ways") {
  Backend backend;
  Gateway gateway(basics(all_to(backend.endpoint())));
  Client client(gateway.port());
  client.send(
      "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: "
      "chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n");
  CHECK(client.read_response().body == "abcdefg");
  client.send("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello");
  CHECK(client.read_response().body == "hello");
  client.send("GET /chunked/100000 HTTP/1.1\r\nhost: a\r\n\r\n");
  CHECK(client.read_response().body.size() == 100'000);
  client.send("GET /bytes/100000 HTTP/1.1\r\nhost: a\r\n\r\n");
  CHECK(client.read_response().body.size() == 100'000);
}

TEST_CASE("the backend's 100 and 103 reach the client before the answer") {
  Backend backend;
  Gateway gateway(basics(all_to(backend.endpoint())));
  Client client(gateway.port());
  client.send("POST /x HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n");
  CHECK(client.read_response().status == 100);
  client.send("ok");
  CHECK(client.read_response().body.find("\"body\":\"ok\"") != std::string::npos);
  client.send("GET /early HTTP/1.1\r\nhost: a\r\n\r\n");
  CHECK(client.read_response().status == 103);
  CHECK(client.read_response().status == 200);
}

TEST_CASE("an interim answer says nothing of the request id, which is the gateway's") {
  WireServer backend([](WireServer::Conversation& talk) {
    if (!talk.received.substr(talk.taken).contains("\r\n\r\n")) return;
    talk.taken = talk.received.size();
    talk.to_send +=
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX-Request-Id: forged\r\n\r\n"
        "HTTP/1.1 200 OK\r\nX-Request-Id: forged\r\nContent-Length: 0\r\n\r\n";
  });
  Gateway gateway(basics(all_to(backend.endpoint())));
  Client client(gateway.port());
  client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  Response hints = client.read_response(), answer = client.read_response();
  CHECK(hints.status == 103);
  CHECK(hints.header("link") == "</a>");
  CHECK(hints.header("x-request-id") == "");
  CHECK(answer.header("x-request-id").size() == 32);
}

TEST_CASE("answers without a body leave the connection usable") {
  Backend backend;
  Gateway gateway(basics(all_to(backend.endpoint())));
  Client client(gateway.port());
  client.send("HEAD /bytes/77 HTTP/1.1\r\nhost: a\r\n\r\n");
  CHECK(client.read_response("HEAD").header("content-length") == "77");
  client.send("GET /status/204 HTTP/1.1\r\nhost: a\r\n\r\n");
  CHECK(client.read_response().status == 204);
  client.send("GET /status/304 HTTP/1.1\r\nhost: a\r\n\r\n");
  CHECK(client.read_response().status == 304);
  client.send("GET /bytes/3 HTTP/1.1\r\nhost: a\r\n\r\n");
  CHECK(client.read_response().body.size() == 3);
}

TEST_CASE("an HTTP/1.0 client gets its answer and the end of the connection") {
  Backend backend;
  Gateway gateway(basics(all_to(backend.endpoint())));
  Client client(gateway.port());
  client.send("GET /chunked/1000 HTTP/1.0\r\nhost: a\r\n\r\n");
  Response response = client.read_response();
  CHECK(response.status == 200);
  CHECK(response.header("transfer-encoding").empty());
  CHECK(response.body.size() == 1000);
  CHECK(client.at_end());
}

TEST_CASE("hop-by-hop fields stay behind and forwarding fields are written anew") {
  Backend backend;
  Gateway gateway(basics(all_to(backend.endpoint())));
  Response response = get(gateway.port(), "/x",
                          "connection: x-hop\r\nx-hop: secret\r\nte: gzip\r\nproxy-connection: keep-alive\r\n"
                          "x-forwarded-for: 6.6.6.6\r\nx-request-id: mine\r\n");
  CHECK(response.body.find("x-hop") == std::string::npos);
  CHECK(response.body.find("proxy-connection") == std::string::npos);
  CHECK(response.body.find("6.6.6.6") == std::string::npos);
  CHECK(response.body.find("\"x-forwarded-for\":\"127.0.0.1\"") != std::string::npos);
  CHECK(response.body.find("\"x-correlation-id\":\"mine\"") != std::string::npos);
  std::string id = response.header("x-request-id");
  CHECK(id.size() == 32);
  CHECK(response.body.find("\"x-request-id\":\"" + id + "\"") != std::string::npos);
}

TEST_CASE("IPv6 clients are served") {
  Backend backend;
  std::string configuration = basics(all_to(backend.endpoint()));
  configuration.replace(configuration.find("\"127.0.0.1:0\" }\nroutes"), 13, "\"[::1]:0\"");
  Gateway gateway(configuration);
  Client client(gateway.port(), "::1");
  client.send("GET /six HTTP/1.1\r\nhost: a\r\n\r\n");
  CHECK(client.read_response().body.find("\"x-forwarded-for\":\"::1\"") != std::string::npos);
}

TEST_CASE("a client that leaves within an answer frees what was held for it") {
  Backend backend;
  Gateway gateway(basics(all_to(backend.endpoint())));
  {
    Client client(gateway.port());
    client.send("GET /bytes/100000000 HTTP/1.1\r\nhost: a\r\n\r\n");
    client.read_head();
    client.reset();
  }
  Response metrics;
  do metrics = get(gateway.status_port(), "/metrics");
  while (metrics.body.find("http_server_active_requests 0\n") == std::string::npos);
  CHECK(metrics.body.find("http_server_open_connections 0\n") != std::string::npos);
  CHECK(gateway.stop(SIGTERM) == 0);  // the log is written by then
  CHECK(gateway.folder().read("access.log").find("client.closed") != std::string::npos);
}
