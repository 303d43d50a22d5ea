// What the client sends, what the backend gets; what the backend answers, what the client gets. In the order
// of RFC 9110. Bytes on both sides; each case whole and byte by byte.
#include <doctest/doctest.h>

#include <charconv>

#include "proxy/pipe.h"

using namespace penstock;
using namespace penstock::proxy;
using namespace penstock::proxy::testing;
using Form = config::ForwardedForm;

namespace {

struct Case {
  const char* name;
  std::string sent;
  std::string got;  // by the other side; empty: nothing
  void (*with)(Pipe&) = nullptr;
};

std::string get(std::string_view fields) {
  return "GET /a HTTP/1.1\r\nHost: x\r\n" + std::string(fields) + "\r\n";
}

// What the gateway adds to a request of a client whom nobody vouches for.
std::string added(std::string_view host = "x") {
  return "x-request-id: ID\r\nx-forwarded-for: 192.0.2.7\r\nx-forwarded-proto: http\r\nx-forwarded-host: " +
         std::string(host) + "\r\nx-forwarded-port: 8080\r\n";
}
std::string got(std::string_view fields, std::string_view connection = "") {
  return "GET /a HTTP/1.1\r\nhost: x\r\n" + std::string(fields) + added() + std::string(connection) + "\r\n";
}

void trust(Pipe& pipe) { pipe.listener.trusted_proxies = {*net::Cidr::parse("192.0.2.0/24")}; }
void trust_standard(Pipe& pipe) {
  trust(pipe);
  pipe.listener.client_address = config::ClientAddress::forwarded;
  pipe.listener.forwarded = Form::standard;
}
void traced(Pipe& pipe) { pipe.route_config.match.methods = {"GET", "TRACE"}; }
void named(Pipe& pipe) { pipe.listener.via = "edge"; }

const std::vector<Case>& requests() {
  static const std::vector<Case> cases{
      // 5.3, 5.5: fields
      {"order, multiplicity and obs-text", get("A: 1\r\nB: \xe4\r\nA: 2\r\n"),
       got("a: 1\r\nb: \xe4\r\na: 2\r\n")},
      // 4.2.3, LANGUAGE "Canonical path"
      {"the canonical path, the query byte for byte",
       "GET /%7euser//b/../c;d?x=%7e&&y=/../ HTTP/1.1\r\nHost: X:80\r\n\r\n",
       "GET /~user/c;d?x=%7e&&y=/../ HTTP/1.1\r\nhost: x:80\r\n" + added("x:80") + "\r\n"},
      // 7.6.1: Connection
      {"fields of the connection and those it names",
       get("Connection: X-A, keep-alive\r\nX-A: 1\r\nKeep-Alive: 5\r\nProxy-Connection: close\r\n"), got("")},
      {"Connection names what the gateway writes", get("Connection: X-Forwarded-For, X-Request-Id\r\n"),
       got("")},
      {"Connection names a credential, which is then not there", get("Connection: Cookie\r\nCookie: a\r\n"),
       got("")},
      {"close is the client's own matter", get("Connection: close\r\n"), got("")},
      // 7.6.2: Max-Forwards
      {"Max-Forwards counts down", "OPTIONS /a HTTP/1.1\r\nHost: x\r\nMax-Forwards: 5\r\n\r\n",
       "OPTIONS /a HTTP/1.1\r\nhost: x\r\nmax-forwards: 4\r\n" + added() + "\r\n"},
      {"TRACE counts, too", "TRACE /a HTTP/1.1\r\nHost: x\r\nMax-Forwards: 1\r\n\r\n",
       "TRACE /a HTTP/1.1\r\nhost: x\r\nmax-forwards: 0\r\n" + added() + "\r\n", traced},
      // 9.3.8
      {"TRACE goes where a route names it", "TRACE /a HTTP/1.1\r\nHost: x\r\n\r\n",
       "TRACE /a HTTP/1.1\r\nhost: x\r\n" + added() + "\r\n", traced},
      {"and nowhere else", "TRACE /a HTTP/1.1\r\nHost: x\r\n\r\n", ""},
      // RFC 9112 3.2.4
      {"asterisk-form", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
       "OPTIONS * HTTP/1.1\r\nhost: x\r\n" + added() + "\r\n",
       [](Pipe& pipe) { pipe.route_config.match.paths.front().every_target = true; }},
      {"a number beyond all numbers", "OPTIONS /a HTTP/1.1\r\nHost: x\r\nMax-Forwards: 99999999999\r\n\r\n",
       "OPTIONS /a HTTP/1.1\r\nhost: x\r\nmax-forwards: 4294967294\r\n" + added() + "\r\n"},
      {"the last hop answers OPTIONS", "OPTIONS /a HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n", ""},
      {"the last hop reflects no TRACE", "TRACE /a HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n", "",
       traced},
      {"Max-Forwards twice", "OPTIONS /a HTTP/1.1\r\nHost: x\r\nMax-Forwards: 1\r\nMax-Forwards: 2\r\n\r\n",
       ""},
      {"Max-Forwards that is no number", "OPTIONS /a HTTP/1.1\r\nHost: x\r\nMax-Forwards: -1\r\n\r\n", ""},
      {"Max-Forwards means nothing elsewhere", get("Max-Forwards: 0\r\n"), got("max-forwards: 0\r\n")},
      // 7.6.3: Via
      {"no Via unless asked for", get("Via: 1.1 before\r\n"), got("via: 1.1 before\r\n")},
      {"our name in Via, behind the others", get("Via: 1.1 before\r\n"),
       "GET /a HTTP/1.1\r\nhost: x\r\nvia: 1.1 before\r\n" + added() + "via: 1.1 edge\r\n\r\n", named},
      {"Via tells the version that came", "GET /a HTTP/1.0\r\nHost: x\r\n\r\n",
       "GET /a HTTP/1.1\r\nhost: x\r\n" + added() + "via: 1.0 edge\r\n\r\n", named},
      {"a loop", get("Via: 1.0 before (a, \\) b), HTTP/1.1 EDGE (c)\r\n"), "", named},
      {"our name in a comment is no loop", get("Via: 1.1 before (edge, 1.1 edge)\r\n"),
       "GET /a HTTP/1.1\r\nhost: x\r\nvia: 1.1 before (edge, 1.1 edge)\r\n" + added() +
           "via: 1.1 edge\r\n\r\n",
       named},
      // 7.8: Upgrade
      {"h2c is dropped, and its settings",
       get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
           "HTTP2-Settings: AAMAAABkAAQAAP__\r\n"),
       got("")},
      {"a protocol that the route does not know", get("Connection: Upgrade\r\nUpgrade: tls/1.0\r\n"),
       got("")},
      {"a protocol behind h2c", get("Connection: Upgrade\r\nUpgrade: h2c, other\r\n"),
       got("", "upgrade: other\r\nconnection: upgrade\r\n"),
       [](Pipe& pipe) { pipe.route_config.upgrade = {"other", "h2c"}; }},
      // 10.1.1: Expect
      {"Expect goes to the backend",
       "PUT /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
       "PUT /a HTTP/1.1\r\nhost: x\r\n" + added() + "content-length: 1\r\nexpect: 100-continue\r\n\r\n"},
      // 10.1.4: TE, 6.5: trailers
      {"TE says only what we relay", get("TE: trailers, deflate;q=0.5\r\nConnection: TE\r\n"),
       got("", "te: trailers\r\nconnection: te\r\n")},
      {"trailers, without those that Connection names",
       "PUT /a HTTP/1.1\r\nHost: x\r\nConnection: X-Hop\r\nTransfer-Encoding: chunked\r\nTrailer: "
       "X-Sum\r\n\r\n"
       "0\r\nX-Sum: 1\r\nX-Hop: 2\r\nX-Forwarded-For: 3\r\n\r\n",
       "PUT /a HTTP/1.1\r\nhost: x\r\ntrailer: X-Sum\r\n" + added() +
           "transfer-encoding: chunked\r\n\r\n0\r\nx-sum: 1\r\n\r\n"},
      // RFC 6265 5.4
      {"empty Cookie fields beside others",
       get("Cookie: a=1\r\nCookie:\r\nX: 1\r\nCookie: b=2\r\nCookie:\r\n"),
       got("cookie: a=1; b=2\r\nx: 1\r\n")},
      {"one Cookie field", get("Cookie: a=1\r\nX: 1\r\nCookie: b=2; c=3\r\n"),
       got("cookie: a=1; b=2; c=3\r\nx: 1\r\n")},
      // LANGUAGE "Forwarding": who is believed
      {"nobody's word",
       get("Forwarded: for=1.1.1.1\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Port: 1\r\n"
           "X_Forwarded_Proto: ftp\r\nX-Forwarded-Host: evil\r\n"),
       got("")},
      {"a trusted proxy's word",
       get("X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n"
           "X-Forwarded-Proto: https\r\nX-Forwarded-Port: 443\r\n"),
       "GET /a HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 1.1.1.1, 2.2.2.2, 192.0.2.7\r\nx-forwarded-proto: "
       "https\r\n"
       "x-forwarded-port: 443\r\nx-request-id: ID\r\nx-forwarded-host: x\r\n\r\n",
       trust},
      {"of the family that client_address names",
       get("X-Forwarded-For: 1.1.1.1\r\nForwarded: for=9.9.9.9\r\n"),
       "GET /a HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 1.1.1.1, 192.0.2.7\r\nx-request-id: ID\r\n"
       "x-forwarded-proto: http\r\nx-forwarded-host: x\r\nx-forwarded-port: 8080\r\n\r\n",
       trust},
      {"of that family alone, whatever is written",
       get("X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: ftp\r\nForwarded: for=1.1.1.1\r\n"),
       "GET /a HTTP/1.1\r\nhost: x\r\nforwarded: for=1.1.1.1, for=192.0.2.7;proto=http;host=x\r\n"
       "x-request-id: ID\r\n\r\n",
       trust_standard},
      // RFC 7239
      {"Forwarded in place of X-Forwarded-*", get(""),
       "GET /a HTTP/1.1\r\nhost: x\r\nx-request-id: ID\r\nforwarded: for=192.0.2.7;proto=http;host=x\r\n\r\n",
       [](Pipe& pipe) { pipe.listener.forwarded = Form::standard; }},
      {"both", get(""),
       "GET /a HTTP/1.1\r\nhost: x\r\n" + added() + "forwarded: for=192.0.2.7;proto=http;host=x\r\n\r\n",
       [](Pipe& pipe) { pipe.listener.forwarded = Form::both; }},
      {"Forwarded quotes what is no token", "GET /a HTTP/1.1\r\nHost: x:80\r\n\r\n",
       "GET /a HTTP/1.1\r\nhost: x:80\r\nx-request-id: ID\r\n"
       "forwarded: for=\"[2001:db8::1]\";proto=http;host=\"x:80\"\r\n\r\n",
       [](Pipe& pipe) {
         pipe.listener.forwarded = Form::standard;
         pipe.client.peer = *net::Address::parse("[2001:db8::1]:99");
       }},
      {"a trusted proxy's Forwarded is continued", get("Forwarded: for=1.1.1.1;proto=https\r\n"),
       "GET /a HTTP/1.1\r\nhost: x\r\nforwarded: for=1.1.1.1;proto=https, for=192.0.2.7;proto=http;host=x\r\n"
       "x-request-id: ID\r\n\r\n",
       trust_standard},
      {"a client known by the other family begins the list", get("Forwarded: for=1.1.1.1\r\n"),
       "GET /a HTTP/1.1\r\nhost: x\r\nforwarded: for=1.1.1.1\r\nx-request-id: ID\r\n"
       "x-forwarded-for: 1.1.1.1, 192.0.2.7\r\nx-forwarded-proto: http\r\nx-forwarded-host: x\r\n"
       "x-forwarded-port: 8080\r\n\r\n",
       [](Pipe& pipe) {
         trust_standard(pipe);
         pipe.listener.forwarded = Form::x;
       }},
  };
  return cases;
}

std::string ok(std::string_view fields, std::string_view body = "") {
  return "HTTP/1.1 200 OK\r\nDate: D\r\n" + std::string(fields) + "\r\n" + std::string(body);
}
std::string seen(std::string_view fields, std::string_view end, std::string_view body = "") {
  return "HTTP/1.1 200 OK\r\ndate: D\r\n" + std::string(fields) + "x-request-id: ID\r\n" + std::string(end) +
         "\r\n" + std::string(body);
}

const std::vector<Case>& answers() {
  static const std::vector<Case> cases{
      {"fields of the connection and those it names",
       ok("Connection: X-A\r\nX-A: 1\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n"
          "Content-Length: 0\r\n"),
       seen("set-cookie: a\r\nset-cookie: b\r\n", "content-length: 0\r\n")},
      {"close is the backend's own matter", ok("Connection: close\r\nContent-Length: 0\r\n"),
       seen("", "content-length: 0\r\n")},
      {"trailers, without those that Connection names",
       ok("Connection: X-Hop\r\nTransfer-Encoding: chunked\r\n",
          "1\r\na\r\n0\r\nX-Hop: 1\r\nX-Sum: 2\r\n\r\n"),
       seen("", "transfer-encoding: chunked\r\n", "1\r\na\r\n0\r\nx-sum: 2\r\n\r\n")},
      {"early hints", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok("Content-Length: 0\r\n"),
       "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + seen("", "content-length: 0\r\n")},
      {"early hints say nothing that the route takes away",
       "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX-Inner: 1\r\n\r\n" +
           ok("X-Inner: 1\r\nContent-Length: 0\r\n"),
       "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + seen("", "content-length: 0\r\n"),
       [](Pipe& pipe) { pipe.route->response_edits.remove = {"x-inner"}; }},
      {"our name in Via", ok("Via: 1.1 inner\r\nContent-Length: 0\r\n"),
       "HTTP/1.1 200 OK\r\ndate: D\r\nvia: 1.1 inner\r\nvia: 1.1 edge\r\nx-request-id: ID\r\ncontent-length: "
       "0\r\n\r\n",
       named},
      {"Via tells the version that came", "HTTP/1.0 200 OK\r\nDate: D\r\nContent-Length: 0\r\n\r\n",
       "HTTP/1.1 200 OK\r\ndate: D\r\nvia: 1.0 edge\r\nx-request-id: ID\r\ncontent-length: 0\r\n\r\n", named},
      {"205", "HTTP/1.1 205 Reset Content\r\nDate: D\r\nContent-Length: 0\r\n\r\n",
       "HTTP/1.1 205 Reset Content\r\ndate: D\r\nx-request-id: ID\r\ncontent-length: 0\r\n\r\n"},
      {"an unknown status of a known class", "HTTP/1.1 299 Odd\r\nDate: D\r\nContent-Length: 0\r\n\r\n",
       "HTTP/1.1 299 Odd\r\ndate: D\r\nx-request-id: ID\r\ncontent-length: 0\r\n\r\n"},
  };
  return cases;
}

}  // namespace

TEST_CASE("what a client sends reaches the backend as RFC 9110 has it") {
  for (const Case& each : requests()) {
    for (bool bytewise : {false, true}) {
      CAPTURE(each.name);
      CAPTURE(bytewise);
      Pipe pipe;
      if (each.with) each.with(pipe);
      pipe.connect();
      if (bytewise)
        feed_each_byte(pipe.client, each.sent);
      else
        feed(pipe.client, each.sent);
      pipe.turn();
      if (each.got.empty())
        CHECK(pipe.connector->wires.empty());
      else
        CHECK(without_id(pipe.backend().sent) == each.got);
    }
  }
}

TEST_CASE("what a backend answers reaches the client as RFC 9110 has it") {
  for (const Case& each : answers()) {
    for (bool bytewise : {false, true}) {
      CAPTURE(each.name);
      CAPTURE(bytewise);
      Pipe pipe;
      if (each.with) each.with(pipe);
      pipe.send(get(""));
      if (bytewise)
        feed_each_byte(pipe.backend(), each.sent);
      else
        pipe.answer(each.sent);
      CHECK(without_id(pipe.client.sent) == each.got);
      CHECK(pipe.client.end == Wire::End::open);
      CHECK(pipe.at_rest());
    }
  }
}

TEST_CASE("what the last hop answers itself") {
  struct Local {
    std::string sent, starts, has;
  };
  const Local cases[] = {
      {"OPTIONS /a HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n", "HTTP/1.1 200 ",
       "allow: GET, HEAD, POST"},
      {"TRACE /a HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n", "HTTP/1.1 405 ", "route.method"},
      {"TRACE /a HTTP/1.1\r\nHost: x\r\nMax-Forwards: x\r\n\r\n", "HTTP/1.1 400 ", "request.malformed"},
      {get("Via: 1.1 edge\r\n"), "HTTP/1.1 508 ", "request.loop"},
  };
  for (const Local& each : cases) {
    CAPTURE(each.sent);
    Pipe pipe;
    pipe.listener.via = "edge";
    pipe.send(each.sent);
    CHECK(pipe.client.sent.starts_with(each.starts));
    CHECK(pipe.client.sent.find(each.has) != std::string::npos);
  }
}

TEST_CASE("an HTTP/1.0 client gets no interim answer, no chunk and no trailer") {
  Pipe pipe;
  pipe.send("GET /a HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n");
  pipe.answer("HTTP/1.1 103 Early Hints\r\n\r\n" +
              ok("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"));
  CHECK(without_id(pipe.client.sent) == seen("", "connection: close\r\n", "hello"));
  CHECK(pipe.client.end == Wire::End::graceful);
}

TEST_CASE("events pass one by one, as they come") {
  Pipe pipe;
  pipe.send(get(""));
  pipe.answer(ok("Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"));
  pipe.client.take();
  for (std::string event : {"data: 1\n\n", "data: 2\n\n", "d"}) {
    char size[3];
    *std::to_chars(size, size + 2, event.size(), 16).ptr = 0;
    pipe.answer(size + ("\r\n" + event) + "\r\n");
    CHECK(pipe.client.take() == size + ("\r\n" + event) + "\r\n");
  }
  pipe.answer("0\r\n\r\n");
  CHECK(pipe.client.take() == "0\r\n\r\n");
}

TEST_CASE("a request's bytes pass as they come, too") {
  Pipe pipe;
  pipe.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n");
  pipe.backend().take();
  for (std::string_view byte : {"a", "b", "c"}) {
    pipe.send(byte);
    CHECK(pipe.backend().take() == byte);
  }
}
