// Header edits, hosts and paths of a route that would break its messages, or that it could never honour.
#include <algorithm>
#include <cctype>

#include "config_support.h"

using namespace penstock::config;
using namespace penstock::config::test;

namespace {

// The diagnostics of one public route with `rest`, which begins at 5:39.
std::string problems(std::string_view rest) {
  return joined(
      lines(load_rest("upstreams: { u: { endpoints: 'a:1' } }\nroutes:\n"
                      "- { name: o, match: { path: /o }, public: true, upstream: u }\n"
                      "- { name: r, match: {}, public: true, " +
                      std::string(rest) + " }\n")));
}

}  // namespace

TEST_CASE("a header value with a control character is an error wherever headers are made") {
  for (const std::string_view value :
       {"a\\r\\nb: c", "\\0", "a\\x1f", "\\x7f{route.name}", "{header.x}\\n"}) {
    CAPTURE(value);
    for (const std::string_view where : {"upstream: u, request_headers: {{ set: {{ X-A: \"{}\" }} }}",
                                         "upstream: u, request_headers: {{ add: {{ X-A: \"{}\" }} }}",
                                         "upstream: u, response_headers: {{ set: {{ X-A: \"{}\" }} }}",
                                         "upstream: u, response_headers: {{ add: {{ X-A: \"{}\" }} }}",
                                         "respond: {{ headers: {{ X-A: \"{}\" }} }}",
                                         "version: {{ from: accept, versions: {{ a: {{ respond: {{ headers: "
                                         "{{ X-A: \"{}\" }} }} }} }} }}"}) {
      CAPTURE(where);
      const std::string text = fmt::format(fmt::runtime(where), value);
      CHECK(problems(text) == fmt::format("5:{} error[bad-header] the value of 'X-A' holds a control "
                                          "character, which no header may\n",
                                          39 + text.find('"')));
    }
  }
  CHECK(problems("upstream: u, request_headers: { set: { x: \"a\\tb \\u00e9\" } }") == "");
}

TEST_CASE("hosts, paths and links that no message could carry are errors") {
  const auto code = [](std::string_view rest) {
    const std::string found = problems(rest);
    return found.substr(found.find('[') + 1, found.find(']') - found.find('[') - 1);
  };
  for (const std::string_view host : {"a\\nb", "a b", "a/b", "\\0", ""}) {
    CAPTURE(host);
    CHECK(code(fmt::format("upstream: u, rewrite: {{ host: \"{}\" }}", host)) == "bad-host");
    CHECK(code(fmt::format("redirect: {{ host: \"{}\" }}", host)) == "bad-host");
  }
  for (const std::string_view path :
       {"/a\\r\\nb: c", "/a b", "/\\x7f", "/\\t", "a", "/n?x=1", "/n#b", "/\\u00e4", "/n/../x", "/./x", "//x",
        "/a%2fb", "/a%zz", "/%61", "/a\\\\b"}) {
    CAPTURE(path);
    CHECK(code(fmt::format("upstream: u, rewrite: {{ path: \"{}\" }}", path)) == "bad-path");
    CHECK(code(fmt::format("upstream: u, rewrite: {{ path_prefix: \"{}\" }}", path)) == "bad-path");
    CHECK(code(fmt::format("redirect: {{ path: \"{}\" }}", path)) == "bad-path");
  }
  CHECK(code("redirect: { query: \"a\\nb\" }") == "bad-value");
  CHECK(code("redirect: { query: 'a b' }") == "bad-value");
  for (const std::string_view key : {"link", "successor"})
    CHECK(problems(fmt::format(
              "upstream: u, version: {{ from: accept, versions: {{ a: {{ {}: \"https://a/\\nb\" }} }} }}",
              key)) ==
          fmt::format("5:{} error[bad-value] {} 'https://a/\nb' is no URL\n", 96 + key.size(), key));
  CHECK(problems("redirect: { host: 'a.example:8443', path: '/a%20b', query: 'x=1&y={query.y}' }") == "");
}

TEST_CASE("an edit of a field that the gateway writes itself is an error, with what to do instead") {
  const auto found = [](std::string_view rest) {
    const Loaded loaded = load_rest(
        "upstreams: { u: { endpoints: 'a:1' } }\nroutes:\n"
        "- { name: r, match: {}, public: true, upstream: u, " +
        std::string(rest) + " }\n");
    REQUIRE(loaded.diagnostics.all().size() == 1);
    const Diagnostic& item = loaded.diagnostics.all()[0];
    return fmt::format("{} {} {}; {}", item.at.column, item.code, item.message, item.hint);
  };
  const std::string nothing = "take it out, it would have no effect";
  for (const std::string_view name : {"Content-Length", "transfer-encoding", "connection", "keep-alive", "te",
                                      "trailer", "proxy-connection", "http2-settings"}) {
    CAPTURE(name);
    std::string lower(name);
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    for (const std::string_view side : {"request", "response"}) {
      const auto message = [&](size_t column) {
        return fmt::format("{} bad-header '{}' is written by the gateway itself for every {}; {}",
                           column + side.size(), lower, side, nothing);
      };
      CHECK(found(fmt::format("{}_headers: {{ set: {{ {}: a }} }}", side, name)) == message(71));
      CHECK(found(fmt::format("{}_headers: {{ add: {{ {}: a }} }}", side, name)) == message(71));
      CHECK(found(fmt::format("{}_headers: {{ remove: {} }}", side, name)) == message(72));
    }
    CHECK(found(fmt::format("identity_headers: {{ {}: consumer.id }}", name)).find("for every request") !=
          std::string::npos);
    CHECK(problems(fmt::format("respond: {{ headers: {{ {}: a }} }}", name)) ==
          fmt::format("5:61 error[bad-header] '{}' is written by the gateway itself for every response\n",
                      lower));
  }
  CHECK(found("request_headers: { set: { Host: a } }").ends_with("; use rewrite: { host: NAME }"));
  CHECK(found("identity_headers: { host: consumer.id }").ends_with("; use rewrite: { host: NAME }"));
  CHECK(found("request_headers: { remove: host }").ends_with("; use rewrite: { host: NAME }"));
  CHECK(found("request_headers: { remove: upgrade }").find("upgrade: [NAME]") != std::string::npos);
  CHECK(found("response_headers: { set: { upgrade: x } }").ends_with(nothing));
  CHECK(found("request_headers: { set: { expect: x } }").ends_with(nothing));
  CHECK(problems("upstream: u, response_headers: { set: { host: a, expect: b, vary: c } }") == "");
  CHECK(problems("upstream: u, request_headers: { remove: [authorization], add: { accept: b } }") == "");
}

TEST_CASE("h2c is never let through as an upgrade, whatever else is") {
  CHECK(problems("upstream: u, upgrade: [websocket, H2C]") ==
        "5:73 error[bad-upgrade] h2c would carry requests past the plugins\n");
  CHECK(problems("upstream: u, upgrade: [websocket, other, SPDY/3.1]").empty());
  CHECK(problems("upstream: u, upgrade: [spdy/]") ==
        "5:62 error[bad-protocol] upgrade 'spdy/' is no protocol\n");
}

TEST_CASE("a listener's name in Via is a token, and the forwarding fields are a choice") {
  auto of = [](std::string_view keys) {
    return load_text("t.yaml",
                     fmt::format("listeners: {{ name: a, address: '127.0.0.1:0', {} }}\n"
                                 "routes: {{ name: r, match: {{}}, public: true, respond: {{}} }}\n",
                                 keys),
                     environment());
  };
  CHECK(joined(lines(of("via: 'a b'"))).find("error[bad-header]") != std::string::npos);
  CHECK(joined(lines(of("forwarded: rfc7239"))).find("x, standard, both") != std::string::npos);
  const Loaded said = of("via: edge-1, forwarded: both");
  REQUIRE(said.ok());
  CHECK(said.config.listeners[0].via == "edge-1");
  CHECK(said.config.listeners[0].forwarded == ForwardedForm::both);
  const Loaded silent = of("trusted_proxies: []");
  REQUIRE(silent.ok());
  CHECK(silent.config.listeners[0].via.empty());
  CHECK(silent.config.listeners[0].forwarded == ForwardedForm::x);
}
