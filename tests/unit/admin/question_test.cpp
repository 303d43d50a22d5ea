#include "admin/question.h"

#include <doctest/doctest.h>

using namespace penstock::admin;

TEST_CASE("a URL is taken apart into what a client would send") {
  auto url = parse_url("https://API.example.com:8443/v2/orders?x=1#part");
  REQUIRE(url);
  CHECK(url->scheme == "https");
  CHECK(url->host == "api.example.com");
  CHECK(url->authority == "API.example.com:8443");
  CHECK(url->port == 8443);
  CHECK(url->target == "/v2/orders?x=1");
  CHECK(parse_url("http://a")->target == "/");
  CHECK(parse_url("http://a")->port == 80);
  CHECK(parse_url("http://a?b")->target == "/?b");
  CHECK(parse_url("http://[::1]:80/")->host == "[::1]");
  CHECK(parse_url("http://[::1]/")->port == 80);
}

TEST_CASE("what is no URL is refused") {
  for (const char* text :
       {"", "a/b", "ftp://a/", "http://", "http:///x", "http://a:0/", "http://a:x/", "http://a:99999/"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_url(text));
  }
}

TEST_CASE("a question cannot smuggle a second header or request") {
  Question question;
  question.url = "http://a/";
  question.headers = {{"x", "1\r\ny: 2"}};
  CHECK_FALSE(request_bytes(question, *parse_url(question.url)));
  question.headers = {{"X-A", "1"}, {"Host", "b"}};
  CHECK(*request_bytes(question, *parse_url(question.url)) == "GET / HTTP/1.1\r\nhost: b\r\nX-A: 1\r\n\r\n");
  question.method = "GET / HTTP/1.1\r\n\r\nGET";
  CHECK_FALSE(request_bytes(question, *parse_url(question.url)));
}
