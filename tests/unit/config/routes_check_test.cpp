#include "config_support.h"

using namespace penstock::config;
using namespace penstock::config::test;

namespace {

// Two public routes with these matches; whether they are refused as equal.
bool equal(std::string_view a, std::string_view b, std::string_view more_b = "") {
  const Loaded loaded =
      load_rest(fmt::format("routes:\n- {{ name: a, match: {{ {} }}, public: true, respond: 200 }}\n"
                            "- {{ name: b, match: {{ {} }}, public: true, respond: 200{} }}\n",
                            a, b, more_b));
  for (const Diagnostic& item : loaded.diagnostics.all()) REQUIRE(item.code == "equal-routes");
  return !loaded.ok();
}

}  // namespace

TEST_CASE("two routes that nothing decides between are refused, naming both") {
  const Loaded loaded = load_rest(
      "routes:\n- { name: a, match: { path: '/x/{id}' }, public: true, respond: 200 }\n"
      "- { name: b, match: { path: '/x/{name}' }, public: true, respond: 200 }\n");
  CHECK(render(loaded.diagnostics, loaded.sources, Format::human) ==
        "t.yaml:4:3: error[equal-routes]: routes 'a' and 'b' match the same requests and nothing decides "
        "between "
        "them ('a' at 3:3)\n"
        "   4 | - { name: b, match: { path: '/x/{name}' }, public: true, respond: 200 }\n"
        "     |   ^ add a condition to one, or priority: N\n"
        "1 error\n");
}

TEST_CASE("what makes two routes equal") {
  CHECK(equal("path: /a", "path: /a"));
  CHECK(equal("path: /a%2D", "path: /a-"));
  CHECK(equal("path: [/a, /b]", "path: [/c, /b]"));
  CHECK(equal("path_prefix: /a/", "path_prefix: /a"));
  CHECK(equal("path_regex: /a", "path_regex: /b"));
  CHECK(equal("host: A.example.com.", "host: a.example.com"));
  CHECK(equal("path: '/{version}/a'", "path: '/{version}/a'"));
  CHECK(equal("path: /a, headers: { x: '1' }", "path: /a, headers: { y: '1' }"));
  CHECK(equal("path: /a, headers: { x: '1' }", "path: /a, headers: { X: present }"));
  CHECK(equal("path: /a, methods: GET", "path: /a, methods: [HEAD, PUT]"));
}

TEST_CASE("what decides between two routes") {
  CHECK_FALSE(equal("path: /a", "path: /a/"));
  CHECK_FALSE(equal("path: /a", "path_prefix: /a"));
  CHECK_FALSE(equal("path: '/{version}/a'", "path: '/{v}/a'"));
  CHECK_FALSE(equal("path: '/{x}/b'", "path: '/a/{x}'"));
  CHECK_FALSE(equal("path_prefix: /", "path_prefix: /a"));
  CHECK_FALSE(equal("host: a.b", "host: '*.b'"));
  CHECK_FALSE(equal("host: '*.a.b'", "host: '*.b'"));
  CHECK_FALSE(equal("path: /a", "path: /a, methods: GET"));
  CHECK_FALSE(equal("path: /a, methods: PUT", "path: /a, methods: GET"));
  CHECK_FALSE(equal("path: /a, headers: { x: '1' }", "path: /a, headers: { X: '2' }"));
  CHECK_FALSE(equal("path: /a, query: { x: present }", "path: /a, query: { x: absent }"));
  CHECK_FALSE(equal("path: /a, query: { x: '1' }", "path: /a, query: { x: '2' }"));
  CHECK_FALSE(equal("path: /a", "path: /a", ", priority: 1"));
}

TEST_CASE("routes on different listeners never meet") {
  const std::string text =
      "listeners: [{ name: l1, address: '127.0.0.1:0' }, { name: l2, address: '127.0.0.1:0' }]\n"
      "routes:\n- { name: a, match: {}, public: true, respond: 200, listeners: l1 }\n"
      "- { name: b, match: {}, public: true, respond: 200, listeners: l2 }\n";
  CHECK(joined(lines(load_text("t.yaml", text, environment()))) == "");
}

TEST_CASE("a public route that takes what an authenticated one leaves is a warning") {
  const auto warnings = [](std::string_view guarded, std::string_view open) {
    const Loaded loaded = load_rest(
        fmt::format("upstreams: {{ u: {{ endpoints: 'a:1' }} }}\nplugins: {{ k: {{ type: x }} }}\nroutes:\n"
                    "- {{ name: a, match: {{ {} }}, auth: k, upstream: u }}\n"
                    "- {{ name: b, match: {{ {} }}, public: true, upstream: u }}\n",
                    guarded, open));
    CHECK(loaded.ok());
    return loaded.diagnostics.warnings();
  };
  CHECK(warnings("path: /a, methods: GET", "path_prefix: /") == 1);
  CHECK(warnings("path: /a, methods: GET", "path_prefix: /, methods: POST") == 1);
  CHECK(warnings("path: '/a/{id}', headers: { x: present }", "path_prefix: '/{any}'") == 1);
  CHECK(warnings("host: x.b.c, path: /a, methods: GET", "host: '*.c'") == 1);
  CHECK(warnings("path: /a, methods: GET", "path_prefix: /, methods: GET") == 0);
  CHECK(warnings("path: /a", "path_prefix: /") == 0);
  CHECK(warnings("path: /a, methods: GET", "path_prefix: /b") == 0);
  CHECK(warnings("host: b.c, path: /a, methods: GET", "host: '*.b.c'") == 0);
}

TEST_CASE("authentication in plain text on an address that others reach is a warning") {
  const auto warned = [](std::string_view listener) {
    const Loaded loaded = load_text("t.yaml",
                                    fmt::format("listeners: [{}]\nplugins: {{ k: {{ type: x }} }}\n"
                                                "routes: {{ name: a, match: {{}}, auth: k, respond: 200 }}\n",
                                                listener),
                                    environment());
    REQUIRE(loaded.ok());
    return loaded.diagnostics.warnings() == 1 && loaded.diagnostics.all()[0].code == "plain-text-auth";
  };
  CHECK(warned("{ name: a, address: '0.0.0.0:0' }"));
  CHECK(warned("{ name: a, address: '[::]:0' }"));
  CHECK_FALSE(warned("{ name: a, address: '127.0.0.2:0' }"));
  CHECK_FALSE(warned("{ name: a, address: '[::1]:0' }"));
  CHECK_FALSE(warned("{ name: a, address: '0.0.0.0:0', redirect: b }, { name: b, address: '[::1]:0' }"));
}

TEST_CASE("the warning of leftovers names the route that the requests go to") {
  const Loaded loaded = load(PENSTOCK_SOURCE_DIR "/config/gateway.yaml", environment());
  std::string found;
  for (const Diagnostic& item : loaded.diagnostics.all())
    if (item.code == "public-leftovers") found += item.message + "\n";
  CHECK(found ==
        "requests on the path of 'user' that fail its methods, headers or query go to the public route "
        "'everything-else'\n"
        "requests on the path of 'export' that fail its methods, headers or query go to the public route "
        "'everything-else'\n");
}

TEST_CASE("a rate limit whose key nothing can set on a route is a warning where the route uses it") {
  const auto problems = [](std::string_view key, std::string_view route) {
    return joined(lines(load_rest(fmt::format(
        "upstreams: {{ u: {{ endpoints: 'a:1' }} }}\n"
        "plugins: {{ k: {{ type: api_key }}, j: {{ type: jwt }}, l: {{ type: rate_limit, key: {} }} }}\n"
        "routes:\n- {{ name: o, match: {{ path: /o }}, auth: {{ any_of: [j, k] }}, upstream: u }}\n"
        "- {{ name: r, match: {{ path: '/{{id}}' }}, {}, upstream: u }}\n",
        key, route))));
  };
  const auto warning = [](size_t column, std::string_view key, std::string_view why) {
    return fmt::format("6:{} warning[key-never-set] the key '{}' of 'l' is never set on route 'r', {}\n",
                       column, key, why);
  };
  for (const std::string_view key : {"consumer.id", "consumer.groups", "claim.sub"}) {
    CAPTURE(key);
    CHECK(problems(key, "public: true, plugins: l") == warning(63, key, "which is public"));
    CHECK(problems(fmt::format("[client.address, {}]", key), "public: true, plugins: [l]") ==
          warning(64, key, "which is public"));
    CHECK(problems(key, "auth: j, before_auth: l") ==
          warning(62, key, "before_auth comes before the caller is known"));
    CHECK(problems(key, "auth: { any_of: [k, j] }, plugins: l") == "");
  }
  CHECK(problems("claim.sub", "auth: k, plugins: l") == warning(58, "claim.sub", "no API key has claims"));
  CHECK(problems("path.x", "public: true, plugins: l") ==
        warning(63, "path.x", "whose paths have no such parameter"));
  CHECK(problems("path.id", "public: true, plugins: l") == "");
  CHECK(problems("api.version", "public: true, plugins: l") ==
        warning(63, "api.version", "which has no versions"));
  CHECK(problems("api.version", "public: true, plugins: l, version: { from: accept, versions: { a: {} } }") ==
        "");
  CHECK(problems("[header.x, client.address, query.a]", "public: true, plugins: l") == "");
}

TEST_CASE("gRPC-Web that would become gRPC over HTTP/1.1 is a warning") {
  const auto problems = [](std::string_view upstream, std::string_view route) {
    return joined(lines(load_rest(
        fmt::format("upstreams: {{ u: {{ endpoints: 'a:1'{} }} }}\n"
                    "routes:\n- {{ name: r, match: {{ path: /r }}, public: true, upstream: u{} }}\n",
                    upstream, route))));
  };
  CHECK(problems("", ", grpc_web: true")
            .find("warning[grpc-needs-h2] 'r' translates gRPC-Web to gRPC, which "
                  "upstream 'u' is not asked in\n") != std::string::npos);
  CHECK(problems("", "").find("grpc-needs-h2") == std::string::npos);
  CHECK(problems(", protocol: h2", ", grpc_web: true").find("grpc-needs-h2") == std::string::npos);
  const auto warnings = [](std::string_view target) {
    const std::string text = joined(lines(load_rest(
        fmt::format("upstreams: {{ u: {{ endpoints: 'a:1' }}, v: {{ endpoints: 'a:1' }}, h2: {{ endpoints: "
                    "'a:1', protocol: h2 }} }}\n"
                    "routes:\n- {{ name: r, match: {{ path: /r }}, public: true, grpc_web: true, {} }}\n",
                    target))));
    size_t count = 0;
    for (size_t at = 0; (at = text.find("grpc-needs-h2", at)) != text.npos; ++at) ++count;
    return count;
  };
  CHECK(warnings("split: { u: 1, h2: 1 }") == 1);
  CHECK(warnings("split: { u: 1, v: 1 }") == 2);
  const std::string versions = "version: { from: { header: x-version }, versions: ";
  CHECK(warnings("upstream: h2, " + versions + "{ 1: {}, 2: { upstream: u } } }") == 1);
  CHECK(warnings("upstream: u, " + versions + "{ 1: {}, 2: { upstream: h2 } } }") == 1);
  CHECK(warnings(versions + "{ 1: { split: { u: 1, v: 2 } }, 2: { upstream: h2 } } }") == 2);
}
