// Configuration text in, diagnostics out: one row for each class of error.
#include "config/parse_values.h"
#include "config_support.h"

using namespace penstock::config;
using namespace penstock::config::test;

namespace {

struct Case {
  std::string_view what;
  std::string_view text;      // after a listener on line 1
  std::string_view expected;  // the diagnostics, a line each
};

constexpr std::string_view route = "upstreams: { u: { endpoints: '127.0.0.1:1' } }\n";

void check(const Case& test) {
  CAPTURE(test.what);
  CHECK(joined(lines(load_rest(test.text))) == test.expected);
}

void check_route(const Case& test) {
  CAPTURE(test.what);
  CHECK(joined(lines(load_rest(std::string(route) + std::string(test.text)))) == test.expected);
}

}  // namespace

TEST_CASE("keys, types and scalars that the schema refuses") {
  const Case cases[] = {
      {"nothing wrong", "workers: 4\n", ""},
      {"unknown key", "workrs: 4\n", "2:1 error[unknown-key] 'workrs' is not known\n"},
      {"unknown key below", "drain:\n  accept: 5s\n",
       "3:3 error[unknown-key] 'accept' is not known under drain\n"},
      {"wrong type", "drain: [5s]\n", "2:8 error[wrong-type] 'drain' must be a map, not a list\n"},
      {"scalar for a map", "drain: 5s\n",
       "2:8 error[wrong-type] 'drain' must be a map, not a single value\n"},
      {"empty value at its key", "drain:\n\n\nworkers: 2\n", "2:1 error[empty-value] 'drain' has no value\n"},
      {"bare number", "drain: { timeout: 5 }\n",
       "2:19 error[bad-duration] timeout '5' is no duration, the unit is missing\n"},
      {"wrong unit", "drain: { timeout: 5KiB }\n",
       "2:19 error[bad-duration] timeout '5KiB' is no duration, 'KiB' is no unit of it\n"},
      {"out of range", "drain: { timeout: 25h }\n",
       "2:19 error[out-of-range] timeout '25h' is out of range, allowed is 0s to 24h\n"},
      {"none where it is not said", "drain: { timeout: none }\n",
       "2:19 error[bad-duration] timeout 'none' is no duration\n"},
      {"workers", "workers: many\n", "2:10 error[bad-number] workers 'many' is neither auto nor 1 to 1024\n"},
      {"schema version", "schema: 2\n",
       "2:9 error[out-of-range] schema '2' is out of range, allowed is 1 to 1\n"},
      {"status address", "status: { address: 0.0.0.0 }\n",
       "2:20 error[bad-address] address '0.0.0.0' is no address with a port\n"},
      {"status without address", "status: {}\n",
       "2:1 error[missing-key] 'address' is missing under status\n"},
      {"DNS server by name", "discovery: { dns: { servers: ['ns.example:53'] } }\n",
       "2:31 error[bad-address] servers 'ns.example:53' has no IPv4 address before the port\n"},
      {"not supported yet", "admin: { address: 'unix:x' }\n",
       "2:1 error[not-supported-yet] 'admin' is not supported yet\n"},
      {"missing library", "plugin_libraries: nowhere.so\n",
       "2:19 error[missing-file] cannot read the plugin library nowhere.so: No such file or directory\n"},
      {"default that is none", "defaults: { route: { auth: x } }\n",
       "2:22 error[no-default] 'auth' has no default, each one says its own\n"},
      {"wrong default", "defaults: { route: { timeouts: { idle: 1 } } }\n",
       "2:40 error[bad-duration] idle '1' is no duration, the unit is missing\n"},
      {"plugin without type", "plugins: { p: { a: b } }\n",
       "2:12 error[missing-key] 'type' is missing under plugins.p\n"
       "2:12 warning[unused-plugin] no route uses plugin 'p'\n"},
      {"plugin with a colon", "plugins: { 'a:b': { type: x, on_error: maybe } }\n",
       "2:12 error[bad-name] 'a:b' is no name\n"
       "2:12 warning[unused-plugin] no route uses plugin 'a:b'\n"
       "2:40 error[bad-value] on_error 'maybe' is not one of fail, skip\n"},
      {"several at once", "workrs: 1\ndrain: { timeout: 5, x: y }\n",
       "2:1 error[unknown-key] 'workrs' is not known\n"
       "3:19 error[bad-duration] timeout '5' is no duration, the unit is missing\n"
       "3:22 error[unknown-key] 'x' is not known under drain\n"},
  };
  for (const Case& test : cases) check(test);
}

TEST_CASE("listeners that cannot work") {
  const auto problems = [](std::string text) {
    return joined(lines(load_text("t.yaml", std::move(text), environment())));
  };
  CHECK(problems("") == "1:1 error[missing-key] 'listeners' is missing\n");
  CHECK(problems("listeners: []\n") == "1:1 error[missing-key] 'listeners' is empty, nobody could connect\n");
  CHECK(problems("listeners: [{ name: a }]\n") ==
        "1:13 error[missing-key] 'address' is missing under listeners.a\n");
  CHECK(problems(
            "listeners:\n- { name: a, address: '127.0.0.1:80' }\n- { name: a, address: '127.0.0.1:80' }\n") ==
        "3:3 error[duplicate-name] listener 'a' is defined twice\n"
        "3:23 error[address-in-use] 127.0.0.1 port 80 is listened on twice\n");
  CHECK(problems("listeners: { name: a, address: '[::1]:80', redirect: b }\n") ==
        "1:54 error[unknown-listener] listener 'a' redirects to 'b', which is not defined (defined: a)\n");
  CHECK(problems("listeners: { name: a, address: '[::1]:80', redirect: a }\n") ==
        "1:54 error[redirect-loop] listener 'a' redirects to 'a', which redirects itself\n");
  CHECK(problems("listeners: { name: a, address: 'localhost:80', trusted_proxies: 10.0.0.1/8 }\n") ==
        "1:32 error[bad-address] address 'localhost:80' has no IPv4 address before the port\n"
        "1:65 error[bad-network] trusted_proxies '10.0.0.1/8' has bits beyond its prefix length\n");
  CHECK(problems("listeners: { name: a, address: '127.0.0.1:0', client_address: forwarded }\n") ==
        "1:47 warning[no-effect] client_address has no effect without trusted_proxies\n");
  CHECK(problems("listeners: { name: a, address: '127.0.0.1:0', protocols: [h2], client_address: "
                 "proxy_protocol }\n") ==
        "1:64 warning[no-effect] client_address has no effect without trusted_proxies\n");
  CHECK(problems("listeners: { name: a, address: '127.0.0.1:0', protocols: [h2, http/2] }\n") ==
        "1:63 error[bad-value] protocols 'http/2' is not one of h2, http/1.1\n");
  CHECK(problems("listeners: { name: a, address: '127.0.0.1:0', http2: { max_resets: 10 } }\n") ==
        "1:54 warning[no-effect] http2 has no effect, this listener does not speak it\n");
  CHECK(problems("listeners: { name: a, address: '127.0.0.1:0', limits: { uri_size: 64KiB } }\n") ==
        "1:67 warning[no-effect] uri_size has no effect, header_size ends such a head first\n");
  CHECK(problems("listeners: { name: a, address: '127.0.0.1:0', limits: { header_size: 4KiB } }\n").empty());
  CHECK(
      problems("listeners: { name: a, address: '127.0.0.1:0', limits: { max_connections: 5000 } }\n") ==
      "1:74 warning[no-effect] max_connections_per_client (5000) has no effect, one client may take all 5000 "
      "places\n");
  CHECK(problems("listeners: { name: a, address: '127.0.0.1:0', limits: { max_connections: 50, "
                 "max_connections_per_client: none } }\n")
            .empty());
}

TEST_CASE("two listeners on one port, the wildcard address among them") {
  const auto problems = [](std::string_view a, std::string_view b) {
    const Loaded loaded = load_text("t.yaml",
                                    fmt::format("listeners:\n- {{ name: a, address: '{}' }}\n"
                                                "- {{ name: b, address: '{}' }}\n",
                                                a, b),
                                    environment());
    for (const Diagnostic& item : loaded.diagnostics.all()) {
      CHECK(item.related == Position{0, 2, 23});
      CHECK(item.related_note == "first at");
    }
    return joined(lines(loaded));
  };
  CHECK(problems("127.0.0.1:80", "0.0.0.0:80") ==
        "3:23 error[address-in-use] 0.0.0.0 port 80 is taken by 127.0.0.1 port 80\n");
  CHECK(problems("0.0.0.0:80", "127.0.0.1:80") ==
        "3:23 error[address-in-use] 127.0.0.1 port 80 is taken by 0.0.0.0 port 80\n");
  CHECK(problems("[::]:80", "[::1]:80") == "3:23 error[address-in-use] ::1 port 80 is taken by :: port 80\n");
  CHECK(problems("[::1]:80", "[0:0:0:0:0:0:0:1]:80") ==
        "3:23 error[address-in-use] 0:0:0:0:0:0:0:1 port 80 is listened on twice\n");
  CHECK(problems("[::]:80", "0.0.0.0:80") == "");  // IPv6 sockets take IPv6 alone
  CHECK(problems("0.0.0.0:0", "127.0.0.1:0") == "");
  CHECK(problems("0.0.0.0:80", "127.0.0.1:81") == "");
  CHECK(problems("127.0.0.1:80", "127.0.0.2:80") == "");
  CHECK(joined(lines(load_text(
            "t.yaml", "listeners: { name: a, address: '127.0.0.1:80' }\nstatus: { address: '0.0.0.0:80' }\n",
            environment()))) == "2:20 error[address-in-use] 0.0.0.0 port 80 is taken by 127.0.0.1 port 80\n");
}

TEST_CASE("TLS files must be there, and a key should not be readable by others") {
  Folder folder;
  folder.write("a.crt", "x");
  folder.write("a.key", "x", 0644);
  const std::string text =
      "listeners:\n- name: a\n  address: 127.0.0.1:0\n  tls:\n    certificates:\n"
      "    - { cert: a.crt, key: a.key }\n    - { cert: b.crt }\n    - { cert: b.crt, key: . }\n";
  const Loaded loaded = load_text(folder.path("t.yaml"), text, environment());
  CHECK(joined(lines(loaded)) ==
        fmt::format(
            "6:27 warning[readable-secret] others can read the private key {0}/a.key\n"
            "7:7 error[missing-key] 'key' is missing under listeners.a.tls.certificates[1]\n"
            "8:15 error[missing-file] cannot read the certificate {0}/b.crt: No such file or directory\n"
            "8:27 error[missing-file] cannot read the private key {0}/.: it is not a file\n",
            folder.path()));
  CHECK(loaded.config.listeners.at(0).tls->certificates.at(0).certificate.path == folder.path("a.crt"));
}

TEST_CASE("a header that is named twice, in two spellings") {
  const std::string lead =
      std::string(route) + "routes:\n- name: r\n  match: {}\n  public: true\n  upstream: u\n";
  const Case cases[] = {
      {"set", "  request_headers: { set: { X-A: a, x-a: b } }\n",
       "8:37 error[duplicate-name] header 'x-a' stands here a second time\n"},
      {"add", "  response_headers: { add: { X-A: a, B: b, X-a: b } }\n",
       "8:44 error[duplicate-name] header 'x-a' stands here a second time\n"},
      {"remove", "  request_headers: { remove: [AUTHORIZATION, Authorization] }\n",
       "8:46 error[duplicate-name] header 'authorization' stands here a second time\n"},
      {"identity", "  identity_headers: { X-User: consumer.id, x-user: client.address }\n",
       "8:44 error[duplicate-name] header 'x-user' stands here a second time\n"},
      {"one to set and another to add", "  request_headers: { set: { a: b }, add: { B: b } }\n", ""},
  };
  for (const Case& test : cases) {
    const std::string text = lead + std::string(test.text);
    check({test.what, text, test.expected});
  }
  const Loaded loaded =
      load_rest(std::string(route) +
                "routes: { name: r, match: { headers: { A: x, a: y }, query: { A: x, a: y } }, "
                "public: true, upstream: u }\n");
  CHECK(joined(lines(loaded)) == "3:46 error[duplicate-name] header 'a' stands here a second time\n");
  REQUIRE(loaded.diagnostics.all().size() == 1);
  CHECK(loaded.diagnostics.all()[0].related.column == 40);
}

TEST_CASE("routes that cannot work") {
  const Case cases[] = {
      {"good", "routes: { name: r, match: { path: / }, public: true, upstream: u }\n", ""},
      {"no name, no match", "routes: [{ public: true, upstream: u }]\n",
       "3:10 error[missing-key] 'match' is missing under routes[0]\n"},
      {"neither auth nor public", "routes: { name: r, match: {}, upstream: u }\n",
       "3:9 error[no-auth] route 'r' says neither auth nor public: true\n"},
      {"public: false", "routes: { name: r, match: {}, public: false, upstream: u }\n",
       "3:39 error[no-auth] 'public' can only be true\n"},
      {"both",
       "plugins: { k: { type: api_key } }\nroutes: { name: r, match: {}, auth: k, public: true, upstream: u "
       "}\n",
       "4:40 error[auth-and-public] 'public' stands beside 'auth'\n"},
      {"no target", "routes: { name: r, match: {}, public: true, split_by: consumer.id }\n",
       "2:14 warning[unused-upstream] no route uses upstream 'u'\n"
       "3:9 error[no-target] route 'r' has no target\n"
       "3:45 error[no-split] 'split_by' stands without a split\n"},
      {"two targets", "routes: { name: r, match: {}, public: true, upstream: u, respond: 200 }\n",
       "3:58 error[several-targets] 'respond' stands beside 'upstream', a target is exactly one\n"},
      {"unknown upstream", "routes: { name: r, match: {}, public: true, split: { u: 1, v: 2 } }\n",
       "3:60 error[unknown-upstream] route 'r' uses 'v', which is not defined (defined: u)\n"},
      {"unknown plugin", "routes: { name: r, match: {}, auth: k, plugins: [p], upstream: u }\n",
       "3:37 error[unknown-plugin] route 'r' uses 'k', which is not defined (none is defined)\n"
       "3:50 error[unknown-plugin] route 'r' uses 'p', which is not defined (none is defined)\n"},
      {"unknown listener", "routes: { name: r, match: {}, public: true, upstream: u, listeners: mian }\n",
       "3:69 error[unknown-listener] route 'r' uses 'mian', which is not defined (defined: main)\n"},
      {"split of zeros", "routes: { name: r, match: {}, public: true, split: { u: 0 } }\n",
       "3:45 error[bad-split] all weights of 'split' are 0\n"},
      {"host with port", "routes: { name: r, match: { host: 'a.b:80' }, public: true, upstream: u }\n",
       "3:35 error[bad-host] host 'a.b:80' has a port\n"},
      {"inner star", "routes: { name: r, match: { host: 'a.*.b' }, public: true, upstream: u }\n",
       "3:35 error[bad-host] host 'a.*.b' has a '*' that is not its first label\n"},
      {"two forms of path",
       "routes: { name: r, match: { path: /a, path_prefix: /b }, public: true, upstream: u }\n",
       "3:39 error[several-paths] 'path_prefix' stands beside 'path'\n"},
      {"half a parameter", "routes: { name: r, match: { path: '/a-{id}' }, public: true, upstream: u }\n",
       "3:35 error[bad-path] path '/a-{id}' has a brace inside the segment 'a-{id}'\n"},
      {"a parameter twice", "routes: { name: r, match: { path: '/{a}/{a}' }, public: true, upstream: u }\n",
       "3:35 error[bad-path] path '/{a}/{a}' has {a} twice\n"},
      {"an encoded slash", "routes: { name: r, match: { path: '/a%2fb' }, public: true, upstream: u }\n",
       "3:35 error[bad-path] path '/a%2fb' holds %2F, which no request path may hold\n"},
      {"regular expression", "routes: { name: r, match: { path_regex: '/(' }, public: true, upstream: u }\n",
       "3:41 error[bad-regex] path_regex '/(' is no regular expression: missing ): /(\n"},
      {"regular expression of a header",
       "routes: { name: r, match: { headers: { X: { regex: '[' } } }, public: true, upstream: u }\n",
       "3:52 error[bad-regex] regex '[' is no regular expression: missing ]: [\n"},
      {"lower-case method", "routes: { name: r, match: { methods: get }, public: true, upstream: u }\n",
       "3:38 error[bad-method] methods 'get' is no method, methods are upper case\n"},
      {"unknown parameter",
       "routes: { name: r, match: { path: '/{id}' }, public: true, upstream: u, request_headers: { set: { x: "
       "'{path.ib}' } } }\n",
       "3:102 error[unknown-parameter] route 'r' uses 'path.ib', which is not defined (defined: id)\n"},
      {"unknown attribute",
       "routes: { name: r, match: {}, public: true, upstream: u, identity_headers: { x: consumer.name } }\n",
       "3:81 error[bad-attribute] x 'consumer.name' is no attribute\n"},
      {"open template",
       "routes: { name: r, match: {}, public: true, upstream: u, response_headers: { add: { x: 'a{' } } }\n",
       "3:88 error[bad-template] x 'a{' has a '{' without '}'\n"},
      {"prefix rewrite of a whole path",
       "routes: { name: r, match: { path: /a }, public: true, upstream: u, rewrite: { path_prefix: /b } }\n",
       "3:92 error[no-prefix] path_prefix replaces a matched prefix, but '/a' is none\n"},
      {"retry_on",
       "routes: { name: r, match: {}, public: true, upstream: u, retries: { retry_on: [conect, 600] } }\n",
       "3:80 error[bad-value] retry_on 'conect' is none of connect, reset, timeout and a status 400 to 599\n"
       "3:88 error[bad-value] retry_on '600' is none of connect, reset, timeout and a status 400 to 599\n"},
      {"a redirect to itself", "routes: { name: r, match: {}, public: true, redirect: { status: 301 } }\n",
       "2:14 warning[unused-upstream] no route uses upstream 'u'\n"
       "3:45 error[bad-value] 'redirect' changes nothing and would loop\n"},
      {"a name twice",
       "routes:\n- { name: r, match: { path: /a }, public: true, upstream: u }\n"
       "- { name: r, match: { path: /b }, public: true, upstream: u }\n",
       "5:3 error[duplicate-name] route 'r' is defined twice\n"},
  };
  for (const Case& test : cases) check_route(test);
}

TEST_CASE("a method that is never forwarded is an error with the nearest right word") {
  const auto found = [](std::string_view methods) {
    const Loaded loaded = load_rest(fmt::format(
        "routes: {{ name: r, match: {{ methods: {} }}, public: true, respond: 200 }}\n", methods));
    std::string text;
    for (const Diagnostic& item : loaded.diagnostics.all())
      text += fmt::format("{}:{} {} {} {}", item.at.line, item.at.column, item.code, item.message, item.hint);
    return text;
  };
  CHECK(found("[PUT, GTE]") ==
        "2:44 bad-method methods 'GTE' is no method that is forwarded did you mean 'GET'?");
  CHECK(found("BREW") == "2:38 bad-method methods 'BREW' is no method that is forwarded ");
  CHECK(found("CONNECT") == "2:38 bad-method methods 'CONNECT' is always refused ");
  CHECK(found("[GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH, TRACE, PROPFIND, M-SEARCH, QUERY, PURGE]") ==
        "");
}

TEST_CASE("access rules that cannot work") {
  const std::string before =
      std::string(route) + "plugins: { k: { type: api_key } }\nconsumers: { name: c, groups: g }\n";
  const auto problems = [&](std::string_view auth) {
    return joined(lines(load_rest(
        before + "routes: { name: r, match: {}, upstream: u, auth: " + std::string(auth) + " }\n")));
  };
  CHECK(problems("k") == "");
  CHECK(problems("{ any_of: k, allow: { groups: [g, 'k:admin'], consumers: [c, 'k:joe'] } }") == "");
  CHECK(problems("{ any_of: k, all_of: k }") == "5:44 error[bad-auth] 'auth' has both any_of and all_of\n");
  CHECK(problems("{ allow: { groups: g } }") ==
        "3:12 warning[unused-plugin] no route uses plugin 'k'\n"
        "5:44 error[bad-auth] 'auth' names no authenticator\n");
  CHECK(problems("{ any_of: [] }") ==
        "3:12 warning[unused-plugin] no route uses plugin 'k'\n"
        "5:52 error[bad-auth] 'any_of' is empty\n");
  CHECK(problems("{ any_of: k, allow: {} }") == "5:63 error[bad-auth] 'allow' names nobody\n");
  CHECK(problems("{ any_of: k, deny: { groups: h, consumers: d } }") ==
        "5:79 error[unknown-group] route 'r' names group 'h', which is not defined (defined: g)\n"
        "5:93 error[unknown-consumer] route 'r' names consumer 'd', which is not defined (defined: c)\n");
  CHECK(problems("{ any_of: k, allow: { groups: 'idp:x' } }") ==
        "5:80 error[unknown-plugin] route 'r' names group 'idp:x' of 'idp', which is not defined (defined: "
        "k)\n");
  CHECK(problems("{ any_of: k, optional: yes }") ==
        "5:73 error[bad-flag] optional 'yes' is neither true nor false\n");
}

TEST_CASE("versions that cannot work") {
  const std::string before =
      std::string(route) + "routes: { name: r, match: { path_prefix: '/{version}/x' }, public: true,\n";
  const auto problems = [&](std::string_view rest) {
    return joined(lines(load_rest(before + std::string(rest) + " }\n")));
  };
  CHECK(
      problems("version: { from: path.version, versions: { v1: { upstream: u }, v2: { respond: 200 } } }") ==
      "");
  CHECK(problems("upstream: u, version: { from: [query.v, accept], versions: { v1: {}, '2026-01': {} } }") ==
        "");
  CHECK(problems("version: { from: path.version, versions: { v1: { upstream: u }, v2: {} } }") ==
        "4:65 error[no-target] version 'v2' has no target\n");
  CHECK(problems("upstream: u, version: { from: path.version, versions: { v1.0: {}, '1': {} } }") ==
        "4:67 error[duplicate-name] 'v1.0' and '1' are the same version\n");
  CHECK(problems(
            "upstream: u, version: { from: path.version, unknown: nearest_lower, versions: { beta: {} } }") ==
        "4:81 error[bad-version] nearest_lower needs numeric names, not 'beta'\n");
  CHECK(problems("upstream: u, version: { from: path.version, unknown: default, versions: { v1: {} } }") ==
        "4:45 error[bad-version] 'unknown: default' needs a default\n");
  CHECK(problems("upstream: u, version: { from: path.version, default: v3, versions: { v1: {} } }") ==
        "4:54 error[unknown-version] the default version is 'v3', which is not defined (defined: v1)\n");
  CHECK(problems("upstream: u, version: { from: path.v, versions: { v1: {} } }") ==
        "4:31 error[unknown-parameter] route 'r' uses 'path.v', which is not defined (defined: version)\n");
  CHECK(problems("upstream: u, version: { from: route.name, versions: {} }") ==
        "4:31 error[bad-attribute] a version cannot be read from 'route.name'\n"
        "4:43 error[bad-version] 'versions' is empty\n");
  CHECK(problems("upstream: u, version: { from: accept, versions: { v1: { sunset: 2026-02-30, brownouts: { "
                 "from: 2026-01-01T25:00Z } } } }") ==
        "4:65 error[bad-date] sunset '2026-02-30' is no date of the calendar\n"
        "4:88 error[missing-key] 'for' is missing under routes.r.version.versions.v1.brownouts[0]\n"
        "4:96 error[bad-date] from '2026-01-01T25:00Z' is no date of the calendar\n");
}

TEST_CASE("upstreams that cannot work") {
  const Case cases[] = {
      {"no source", "upstreams: { u: { balance: random } }\n",
       "2:14 error[upstream-source] upstream 'u' has neither endpoints nor discover\n"
       "2:14 warning[unused-upstream] no route uses upstream 'u'\n"},
      {"both", "upstreams: { u: { endpoints: 'a:1', discover: { dns: a, port: 1 } } }\n",
       "2:14 error[upstream-source] upstream 'u' has both endpoints and discover\n"
       "2:14 warning[unused-upstream] no route uses upstream 'u'\n"},
      {"endpoints",
       "upstreams: { u: { endpoints: ['a', 'a:0', '1.2.3:4', 'b:1', { address: 'b:1', weight: 0 }] } }\n",
       "2:14 warning[unused-upstream] no route uses upstream 'u'\n"
       "2:31 error[bad-address] address 'a' is no host:port\n"
       "2:36 error[bad-address] address 'a:0' has no port after 'a'\n"
       "2:43 error[bad-address] address '1.2.3:4' has no IPv4 address before the port\n"
       "2:72 error[duplicate-name] endpoint 'b:1' stands here twice\n"
       "2:87 error[out-of-range] weight '0' is out of range, allowed is 1 to 65535\n"},
      {"dns without port", "upstreams: { u: { discover: { dns: 'a b' } } }\n",
       "2:14 warning[unused-upstream] no route uses upstream 'u'\n"
       "2:19 error[missing-key] 'port' is missing, DNS addresses have none\n"
       "2:36 error[bad-host] dns 'a b' is no host name\n"},
      {"balance",
       "upstreams: { u: { endpoints: 'a:1', balance: round-robin }, v: { endpoints: 'a:1', balance: maglev } "
       "}\n",
       "2:14 warning[unused-upstream] no route uses upstream 'u'\n"
       "2:46 error[bad-value] balance 'round-robin' is not one of round_robin, random, least_request\n"
       "2:61 warning[unused-upstream] no route uses upstream 'v'\n"
       "2:93 error[not-supported-yet] balance 'maglev' is not supported yet\n"},
      {"protocol",
       "upstreams: { u: { endpoints: 'a:1', protocol: h2c }, v: { endpoints: 'a:1', http2: { ping_timeout: "
       "1s "
       "} } }\n",
       "2:14 warning[unused-upstream] no route uses upstream 'u'\n"
       "2:47 error[bad-value] protocol 'h2c' is not one of http/1.1, h2, auto\n"
       "2:54 warning[unused-upstream] no route uses upstream 'v'\n"
       "2:84 warning[no-effect] http2 has no effect, this upstream is not spoken to in it\n"},
  };
  for (const Case& test : cases) check(test);
}

TEST_CASE("consumers that cannot work") {
  const Case cases[] = {
      {"shared key", "consumers:\n- { name: a, credentials: { api_keys: 'sha256:0' } }\n- { name: a:b }\n",
       "3:39 error[bad-value] sha256: is not followed by 64 lower-case hex digits\n"
       "4:11 error[bad-name] name 'a:b' is no name\n"},
      {"token of nobody", "consumers: { name: a, credentials: { jwt: { plugin: idp, value: x } } }\n",
       "2:53 error[unknown-plugin] consumer 'a' uses 'idp', which is not defined (none is defined)\n"},
      {"a name twice", "consumers: [{ name: a }, { name: a }]\n",
       "2:26 error[duplicate-name] consumer 'a' is defined twice\n"},
      {"a literal key at two consumers",
       "consumers: [{ name: a, credentials: { api_keys: k1 } }, { name: b, credentials: { api_keys: k1 } "
       "}]\n",
       "2:49 warning[literal-secret] a secret is written out in the configuration\n"
       "2:93 warning[literal-secret] a secret is written out in the configuration\n"
       "2:93 error[shared-credential] an API key of consumer 'b' already belongs to 'a'\n"},
  };
  for (const Case& test : cases) check(test);
}

TEST_CASE("an API key at one consumer and its digest at another are the same credential") {
  // printf %s k1 | sha256sum
  const std::string digest = "sha256:6ab9f1eb8f7d3388f4f9d586f66e99fd54080df2c446f0e58668b09c08a16dd0";
  const auto problems = [&](std::string_view a, std::string_view b) {
    const Loaded loaded =
        load_rest(fmt::format("consumers: [{{ name: a, credentials: {{ api_keys: '{}' }} }},\n"
                              "{{ name: b, credentials: {{ api_keys: '{}' }} }}]\n",
                              a, b));
    size_t shared = 0;
    for (const Diagnostic& item : loaded.diagnostics.all())
      shared += item.code == "shared-credential" ? 1 : 0;
    return shared;
  };
  CHECK(problems("k1", digest) == 1);
  CHECK(problems(digest, "k1") == 1);
  CHECK(problems(digest, digest) == 1);
  CHECK(problems("k2", digest) == 0);
}

TEST_CASE("a deny list that names nobody is an error, as an allow list is") {
  for (const std::string_view auth :
       {"deny: {}", "deny: { consumers: [] }", "deny: { groups: [], consumers: [] }"}) {
    const Loaded loaded =
        load_rest(fmt::format("plugins: {{ k: {{ type: api_key }} }}\n"
                              "routes: {{ name: r, match: {{}}, respond: 200, auth: {{ any_of: k, {} }} }}\n",
                              auth));
    CHECK(joined(lines(loaded)) == "3:64 error[bad-auth] 'deny' names nobody\n");
  }
}

TEST_CASE("a path is made only of attributes that cannot bring in another path") {
  const auto problems = [](std::string_view rest) {
    return joined(
        lines(load_rest(std::string(route) + "routes: { name: r, match: { path: '/{id}' }, public: true, " +
                        std::string(rest) + " }\n")));
  };
  CHECK(problems("upstream: u, rewrite: { path: '/{path.id}/{api.version}/{consumer.id}/{route.name}' }") ==
        "");
  CHECK(problems("upstream: u, rewrite: { path: '/x/{query.q}' }") ==
        "3:90 error[bad-attribute] a path cannot be made of {query.q}, whose value may be any bytes\n");
  CHECK(problems("upstream: u, version: { from: accept, versions: { v1: { redirect: '/{header.x}' } } }") ==
        "3:126 error[bad-attribute] a path cannot be made of {header.x}, whose value may be any bytes\n");
  for (const std::string_view attribute :
       {"client.address", "consumer.groups", "request.method", "request.id", "header.x", "query.q",
        "cookie.c", "claim.c", "upstream.name", "endpoint.address"}) {
    CAPTURE(attribute);
    const Loaded loaded = load_rest(
        fmt::format("routes: {{ name: r, match: {{}}, public: true, redirect: '/{{{}}}' }}\n", attribute));
    REQUIRE(loaded.diagnostics.all().size() == 1);
    CHECK(loaded.diagnostics.all()[0].code == "bad-attribute");
    CHECK(loaded.diagnostics.all()[0].hint ==
          "allowed are {path.NAME}, {api.version}, {consumer.id} and {route.name}");
  }
}

TEST_CASE("no value is added to an identity header") {
  const auto problems = [](std::string_view rest) {
    return joined(
        lines(load_rest(std::string(route) + "routes: { name: r, match: {}, public: true, upstream: u, " +
                        std::string(rest) + " }\n")));
  };
  const std::string_view expected =
      "3:135 error[identity-header] 'x-user' is an identity header, another value cannot be added\n";
  CHECK(problems("identity_headers: { x-user: consumer.id }, request_headers: { add: { X-User: a } }") ==
        expected);
  CHECK(problems("identity_headers: { x-user: consumer.id }, request_headers: { add: { x-other: a } }") ==
        "");
  CHECK(problems("response_headers: { add: { x-user: a } }, identity_headers: { x-user: consumer.id }") ==
        "");
}

TEST_CASE("files and shares that cannot be meant") {
  Folder folder;
  folder.write("logs/x", "");
  const auto problems = [&](std::string_view rest) {
    return joined(lines(load_text(folder.path("t.yaml"), with_listener(rest), environment())));
  };
  CHECK(problems("access_log: { file: logs }\n") == "2:21 error[bad-file] file 'logs' is a folder\n");
  CHECK(problems("access_log: { file: logs/new.log }\n") == "");
  CHECK(problems("state_dir: ''\n") == "2:12 error[bad-file] state_dir '' is no file name\n");
  CHECK(problems("defaults: { route: { retries: { budget: 200% } } }\n") ==
        "2:41 error[bad-percentage] budget '200%' is over 100%\n");
  CHECK(parse_percent("100%") == 1);
  CHECK_FALSE(parse_percent("100.5%").has_value());
}
