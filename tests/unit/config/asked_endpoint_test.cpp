#include "config/asked_endpoint.h"

#include <doctest/doctest.h>

using namespace penstock::config;

namespace {

Node scalar(std::string key, std::string text) {
  Node node;
  node.kind = NodeKind::scalar;
  node.key = std::move(key);
  node.text = std::move(text);
  node.at = node.key_at = {0, 3, 7};
  return node;
}

Node map(std::string key, std::vector<Node> children) {
  Node node;
  node.kind = NodeKind::map;
  node.key = std::move(key);
  node.children = std::move(children);
  node.at = node.key_at = {0, 2, 5};
  return node;
}

std::string wrong(const Node& node) {
  Diagnostics diagnostics;
  CHECK_FALSE(compile_asked_endpoint(node, "plugins.idp.url", "idp:url", "/etc", diagnostics).has_value());
  std::string out;
  for (const Diagnostic& each : diagnostics.all())
    out += each.code + " " + each.path + ": " + each.message + "\n";
  return out;
}

}  // namespace

TEST_CASE("asked endpoint: what a URL says") {
  struct Case {
    const char* text;
    const char *host, *authority, *path, *query;
    uint16_t port;
  };
  const Case cases[] = {
      {"https://idp.example/keys", "idp.example", "idp.example", "/keys", "", 443},
      {"https://IDP.example:443", "idp.example", "idp.example", "/", "", 443},
      {"http://idp.example:8080/a%20b?c=d&e", "idp.example", "idp.example:8080", "/a%20b", "c=d&e", 8080},
      {"http://[::1]/x", "::1", "[::1]", "/x", "", 80},
      {"http://[::1]:81?q", "::1", "[::1]:81", "/", "q", 81},
      {"http://127.0.0.1:80/", "127.0.0.1", "127.0.0.1", "/", "", 80},
  };
  for (const Case& each : cases) {
    CAPTURE(each.text);
    const auto url = parse_http_url(each.text);
    REQUIRE(url.has_value());
    CHECK(url->host == each.host);
    CHECK(url->port == each.port);
    CHECK(url->authority == each.authority);
    CHECK(url->path == each.path);
    CHECK(url->query == each.query);
    CHECK(url->has_query == (std::string(each.text).find('?') != std::string::npos));
  }
}

TEST_CASE("asked endpoint: what is no URL to ask") {
  for (const char* text : {"",
                           "idp.example/keys",
                           "//idp.example",
                           "ftp://idp.example",
                           "HTTPS//x",
                           "https://",
                           "https:///keys",
                           "https://user:pass@idp.example/",
                           "https://user@idp.example/",
                           "https://idp.example/#part",
                           "https://idp.example:/",
                           "https://idp.example:0/",
                           "https://idp.example:65536/",
                           "https://idp..example/",
                           "https://[::1/",
                           "https://::1/",
                           "https://1.2.3.4.5/",
                           "https://idp.example/a b",
                           "https://idp.example/%zz",
                           "https://idp.example/%2",
                           "https://idp.example/\r\nx: y",
                           "https://idp.example\\@other/",
                           "https://idp.example/\xc3\xa9"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_http_url(text).has_value());
  }
}

TEST_CASE("asked endpoint: it is an upstream with one endpoint") {
  Diagnostics diagnostics;
  const auto plain =
      compile_asked_endpoint(scalar("url", "http://idp.example:81/k"), "p", "idp:url", "", diagnostics);
  REQUIRE(plain.has_value());
  CHECK(plain->upstream.name == "idp:url");
  REQUIRE(plain->upstream.endpoints.size() == 1);
  CHECK(plain->upstream.endpoints[0].host == "idp.example");
  CHECK(plain->upstream.endpoints[0].port == 81);
  CHECK_FALSE(plain->upstream.tls.has_value());

  const auto tls = compile_asked_endpoint(
      map("url", {scalar("url", "https://idp.example"),
                  map("tls", {scalar("server_name", "other.example"), scalar("min_version", "TLSv1.3")})}),
      "p", "idp:url", "", diagnostics);
  REQUIRE(tls.has_value());
  REQUIRE(tls->upstream.tls.has_value());
  CHECK(tls->upstream.tls->server_name == "other.example");
  CHECK(tls->upstream.tls->min_version == TlsVersion::tls_1_3);
  CHECK(tls->upstream.protocol == UpstreamProtocol::automatic);
  CHECK(diagnostics.ok());
}

TEST_CASE("asked endpoint: what is wrong is said, a password is not") {
  CHECK(wrong(scalar("url", "idp.example")) ==
        "bad-url plugins.idp.url: the URL 'idp.example' is no absolute URL of http or https\n");
  CHECK(wrong(scalar("url", "https://me:hunter2@idp.example/")).find("hunter2") == std::string::npos);
  CHECK(wrong(map("url", {})) == "missing-key plugins.idp.url.url: 'url' is missing under plugins.idp.url\n");
  CHECK(wrong(map("url", {scalar("url", "https://a.example"), scalar("tsl", "x")})) ==
        "unknown-key plugins.idp.url.tsl: 'tsl' is not known under plugins.idp.url\n");
  CHECK(wrong(map("url", {scalar("url", "http://a.example"), map("tls", {})})) ==
        "no-effect plugins.idp.url.tls: tls has no effect, the URL is one of http\n");
  CHECK(wrong(map("url", {scalar("url", "https://a.example"), scalar("tls", "none")}))
            .starts_with("bad-value plugins.idp.url.tls: a URL of https is asked over TLS"));
  CHECK(wrong(map("url", {scalar("url", "https://a.example"), map("tls", {scalar("min_version", "SSLv3")})}))
            .starts_with("bad-value plugins.idp.url.tls.min_version"));
  CHECK(wrong(map("url", {scalar("url", "https://a.example"), map("tls", {scalar("ca", "/nowhere.pem")})}))
            .starts_with("missing-file plugins.idp.url.tls.ca"));
}
