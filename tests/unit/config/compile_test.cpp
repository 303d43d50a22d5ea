// What the structs hold: defaults and their merging, short and long forms, patterns.
#include "config/patterns.h"
#include "config/schema.h"
#include "config_support.h"

using namespace penstock::config;
using namespace penstock::config::test;
using namespace std::chrono_literals;

namespace {

constexpr std::string_view upstream =
    "upstreams: { u: { endpoints: '127.0.0.1:1' }, v: { endpoints: 'h:2' } }\n";

Loaded load_good(std::string_view rest) {
  Loaded loaded = load_rest(std::string(upstream) + std::string(rest));
  const std::string errors = joined(lines(loaded));
  CAPTURE(errors);
  REQUIRE(loaded.ok());
  return loaded;
}

Route route(std::string_view more, std::string_view before = "") {
  return load_good(fmt::format("{}routes: {{ name: r, match: {{}}, public: true, {} }}\n", before, more))
      .config.routes.at(0);
}

}  // namespace

TEST_CASE("built-in defaults are those of the schema table") {
  // Written out, every default of routes and upstreams gives what leaving it out gives.
  const Route silent = route("upstream: u");
  const Route loud = route(
      "upstream: u, priority: 0, forward_credentials: false, upgrade: websocket, timeouts: { connect: 2s, "
      "first_byte: 30s, idle: 60s, total: none }, retries: { attempts: 2, retry_on: [connect, reset, "
      "timeout, 503], "
      "budget: 20%, body_limit: 64KiB, unsafe: false }, limits: { body_buffer: 1MiB }");
  CHECK(silent.timeouts.connect == loud.timeouts.connect);
  CHECK(silent.timeouts.first_byte == loud.timeouts.first_byte);
  CHECK(silent.timeouts.idle == loud.timeouts.idle);
  CHECK(silent.timeouts.total == loud.timeouts.total);
  CHECK(silent.retries.attempts == loud.retries.attempts);
  CHECK(silent.retries.on_connect == loud.retries.on_connect);
  CHECK(silent.retries.on_reset == loud.retries.on_reset);
  CHECK(silent.retries.on_timeout == loud.retries.on_timeout);
  CHECK(silent.retries.on_status == loud.retries.on_status);
  CHECK(silent.retries.budget == loud.retries.budget);
  CHECK(silent.retries.body_limit == loud.retries.body_limit);
  CHECK(silent.body_buffer == loud.body_buffer);
  CHECK(silent.upgrade == loud.upgrade);
  CHECK(silent.priority == loud.priority);

  const Schema schema;
  const auto fallback = [&](std::string_view path) { return schema.find(path)->row->fallback; };
  const ListenerLimits limits = load_good("").config.listeners.at(0).limits;
  CHECK(parse_size(fallback("listeners[].limits.header_size")).value() == limits.header_size);
  CHECK(parse_integer(fallback("listeners[].limits.header_count")).value() == limits.header_count);
  CHECK(parse_size(fallback("listeners[].limits.body_size")).value() == limits.body_size);
  CHECK(parse_duration(fallback("listeners[].limits.header_timeout")).value() == limits.header_timeout);
  CHECK(parse_duration(fallback("listeners[].limits.body_timeout")).value() == limits.body_timeout);
  CHECK(parse_duration(fallback("listeners[].limits.idle_timeout")).value() == limits.idle_timeout);
  CHECK(parse_duration(fallback("listeners[].limits.half_close_timeout")).value() ==
        limits.half_close_timeout);
  CHECK(parse_integer(fallback("listeners[].limits.max_connections")).value() == limits.max_connections);
  CHECK(parse_size(fallback("listeners[].limits.uri_size")).value() == limits.uri_size);
  CHECK(parse_size(fallback("listeners[].limits.trailer_size")).value() == limits.trailer_size);
  CHECK(parse_integer(fallback("listeners[].limits.trailer_count")).value() == limits.trailer_count);
  CHECK(parse_byte_rate(fallback("listeners[].limits.min_body_rate")).value() == limits.min_body_rate);
  CHECK(parse_duration(fallback("listeners[].limits.rate_grace")).value() == limits.rate_grace);
  CHECK(limits.rate_grace > limits.body_timeout);  // a pause is body_timeout's alone
  CHECK(parse_duration(fallback("listeners[].limits.send_timeout")).value() == limits.send_timeout);
  CHECK(parse_byte_rate(fallback("listeners[].limits.min_send_rate")).value() == limits.min_send_rate);
  CHECK(parse_integer(fallback("listeners[].limits.max_requests")).value() == limits.max_requests);
  CHECK(parse_integer(fallback("listeners[].limits.max_connections_per_client")).value() ==
        limits.max_connections_per_client);
  CHECK(parse_size(fallback("listeners[].limits.pipelined_size")).value() == limits.pipelined_size);
  CHECK(parse_size(fallback("listeners[].limits.buffer_size")).value() == limits.buffer_size);
  CHECK(parse_size(fallback("limits.buffered")).value() == ProcessLimits{}.buffered);
  CHECK(parse_duration(fallback("limits.plugin_hook")).value() == ProcessLimits{}.plugin_hook);
  CHECK(parse_integer(fallback("limits.rate_limit_keys")).value() == ProcessLimits{}.rate_limit_keys);
  CHECK(parse_size(fallback("limits.plugin_store")).value() == ProcessLimits{}.plugin_store);
  CHECK(parse_duration(fallback("redis.timeout")).value() == Redis{}.timeout);
  CHECK(parse_integer(fallback("redis.max_pending")).value() == Redis{}.max_pending);
  CHECK(parse_integer(fallback("redis.max_failures")).value() == Redis{}.max_failures);
  const UpstreamLimits answers;
  CHECK(parse_size(fallback("upstreams.*.limits.header_size")).value() == answers.header_size);
  CHECK(parse_integer(fallback("upstreams.*.limits.header_count")).value() == answers.header_count);
  CHECK(parse_size(fallback("upstreams.*.limits.trailer_size")).value() == answers.trailer_size);
  CHECK(parse_integer(fallback("upstreams.*.limits.trailer_count")).value() == answers.trailer_count);
  CHECK(parse_integer(fallback("upstreams.*.limits.max_informational")).value() == answers.max_informational);
  CHECK(parse_duration(fallback("routes[].timeouts.connect")).value() == silent.timeouts.connect);
  CHECK(parse_duration(fallback("routes[].timeouts.first_byte")).value() == silent.timeouts.first_byte);
  CHECK(parse_duration(fallback("routes[].timeouts.idle")).value() == silent.timeouts.idle);
  CHECK(parse_size(fallback("routes[].retries.body_limit")).value() == silent.retries.body_limit);
  CHECK(parse_size(fallback("routes[].limits.body_buffer")).value() == silent.body_buffer);
  CHECK(parse_percent(fallback("routes[].retries.budget")).value() == silent.retries.budget);
  CHECK(parse_duration(fallback("drain.accept_for")).value() == Drain{}.accept_for);
  CHECK(parse_duration(fallback("drain.timeout")).value() == Drain{}.timeout);
  CHECK(parse_integer(fallback("upstreams.*.keepalive.max_idle")).value() == Keepalive{}.max_idle);
  CHECK(parse_duration(fallback("upstreams.*.keepalive.idle_timeout")).value() == Keepalive{}.idle_timeout);
  CHECK(fallback("upstreams.*.balance") == "least_request");
  const UpstreamHttp2 http2;
  const std::string of_http2 = "upstreams.*.http2.";
  CHECK(fallback("upstreams.*.protocol") == "http/1.1");
  CHECK(parse_integer(fallback(of_http2 + "max_concurrent_streams")).value() == http2.max_concurrent_streams);
  CHECK(parse_size(fallback(of_http2 + "stream_window")).value() == http2.stream_window);
  CHECK(parse_size(fallback(of_http2 + "connection_window")).value() == http2.connection_window);
  CHECK(parse_size(fallback(of_http2 + "max_frame_size")).value() == http2.max_frame_size);
  CHECK(parse_size(fallback(of_http2 + "header_table_size")).value() == http2.header_table_size);
  CHECK(parse_integer(fallback(of_http2 + "max_control_frames")).value() == http2.max_control_frames);
  CHECK(http2.ping_interval.count() == 0);
  CHECK(parse_duration(fallback(of_http2 + "ping_timeout")).value() == http2.ping_timeout);
}

TEST_CASE("defaults: maps merge at every depth, lists and scalars replace") {
  const std::string_view defaults =
      "defaults: { route: { timeouts: { connect: 1s, idle: 5s }, retries: { attempts: 7, retry_on: [reset, "
      "502] }, "
      "request_headers: { set: { a: '1', b: '1' }, remove: [x] } } }\n";
  const Route merged = route(
      "upstream: u, timeouts: { idle: 6s, total: 9s }, retries: { retry_on: connect }, request_headers: { "
      "set: { b: "
      "'2' }, remove: y }",
      defaults);
  CHECK(merged.timeouts.connect == 1s);
  CHECK(merged.timeouts.idle == 6s);
  CHECK(merged.timeouts.first_byte == 30s);
  CHECK(merged.timeouts.total == Duration(9s));
  CHECK(merged.retries.attempts == 7);
  CHECK(merged.retries.on_connect);
  CHECK_FALSE(merged.retries.on_reset);
  CHECK(merged.retries.on_status.empty());
  REQUIRE(merged.request_headers.set.size() == 2);
  CHECK(merged.request_headers.set[0].name == "b");
  CHECK(merged.request_headers.set[0].value.pieces.at(0).text == "2");
  CHECK(merged.request_headers.remove == std::vector<std::string>{"y"});
}

TEST_CASE("defaults: a header is the same in another spelling") {
  const Loaded loaded = load_rest(
      "upstreams: { u: { endpoints: '127.0.0.1:1' } }\n"
      "defaults: { route: { request_headers: { set: { X-Tenant: a, X-Other: a } } } }\n"
      "routes: { name: r, match: {}, public: true, upstream: u, request_headers: { set: { x-tenant: b } } "
      "}\n");
  CHECK(loaded.diagnostics.all().empty());
  const auto& set = loaded.config.routes.at(0).request_headers.set;
  REQUIRE(set.size() == 2);
  CHECK(set[0].name == "x-tenant");
  CHECK(set[0].value.pieces.at(0).text == "b");
  CHECK(set[1].name == "x-other");
}

TEST_CASE("defaults: a one-of replaces whole") {
  const std::string_view target = "defaults: { route: { split: { u: 1, v: 1 }, split_by: consumer.id } }\n";
  CHECK(std::get<SplitTarget>(route("timeouts: {}", target).target).sides.size() == 2);
  CHECK(std::get<UpstreamTarget>(route("upstream: v", target).target).upstream == "v");
  CHECK_FALSE(std::get<SplitTarget>(route("split: { v: 1 }", target).target).key.has_value());
  const Config config = load_good(
                            "defaults: { upstream: { balance: random, keepalive: { max_idle: 3 } } }\n"
                            "routes: { name: r, match: {}, public: true, split: { u: 1, v: 1 } }\n")
                            .config;
  CHECK(config.upstreams.at(0).balance == Balance::random);
  CHECK(config.upstreams.at(0).keepalive.max_idle == 3);
  CHECK(config.upstreams.at(0).keepalive.idle_timeout == 30s);
}

TEST_CASE("defaults: none turns off what a default turned on") {
  const std::string_view defaults =
      "defaults: { route: { timeouts: { total: 9s }, access_log: { format: json } } }\n";
  CHECK(route("upstream: u", defaults).timeouts.total == Duration(9s));
  CHECK(route("upstream: u", defaults).access_log->size() == 1);
  CHECK_FALSE(route("upstream: u, timeouts: { total: none }", defaults).timeouts.total.has_value());
  CHECK(route("upstream: u, access_log: none", defaults).access_log->empty());
}

TEST_CASE("a wrong default is told once, however many routes take it") {
  const Loaded loaded = load_rest(
      "defaults: { route: { retries: { retry_on: nonsense }, before_auth: nobody } }\nroutes:\n"
      "- { name: a, match: { path: /a }, public: true, respond: 200 }\n"
      "- { name: b, match: { path: /b }, public: true, respond: 200 }\n");
  CHECK(loaded.diagnostics.errors() == 2);
}

TEST_CASE("short and long forms are the same") {
  CHECK(route("upstream: u").match.paths.at(0).kind == PathPattern::Kind::prefix);
  CHECK(route("upstream: u").match.paths.at(0).every_target);
  CHECK(std::get<RedirectTarget>(route("redirect: /x").target).path->pieces.at(0).text == "/x");
  CHECK(std::get<RespondTarget>(route("respond: 404").target).status == 404);
  const Loaded loaded = load_good(
      "plugins: { k: { type: x } }\nroutes:\n- { name: a, match: { path: /a }, auth: k, upstream: u }\n"
      "- { name: b, match: { path: [/b] }, auth: { any_of: [k] }, upstream: v }\n");
  CHECK(loaded.config.routes[0].auth->authenticators.at(0).name == "k");
  CHECK(loaded.config.routes[0].auth->combine == loaded.config.routes[1].auth->combine);
}

TEST_CASE("conditions of headers and query") {
  const Config config = load_good(
                            "routes: { name: r, match: { headers: { X-A: present, b: absent, c: v, d: { "
                            "exact: present }, e: { regex: 'a+' } "
                            "}, query: { Q: '', r: present } }, public: true, split: { u: 1, v: 0 } }\n")
                            .config;
  using Kind = ValueCondition::Kind;
  const Match& match = config.routes.at(0).match;
  REQUIRE(match.headers.size() == 5);
  CHECK(match.headers[0].name == "x-a");
  CHECK(match.headers[0].kind == Kind::present);
  CHECK(match.headers[1].kind == Kind::absent);
  CHECK(match.headers[2].kind == Kind::exact);
  CHECK(match.headers[2].value == "v");
  CHECK(match.headers[3].kind == Kind::exact);
  CHECK(match.headers[3].value == "present");
  CHECK(match.headers[4].kind == Kind::regex);
  CHECK(match.query.at(0).name == "Q");
  CHECK(match.query.at(0).kind == Kind::exact);
  CHECK(match.query.at(0).value == "");
  CHECK(condition_count(match) == 7);
}

TEST_CASE("the access log: absent is the built-in one, none is none") {
  CHECK(load_good("").config.access_log.size() == 1);
  CHECK(load_good("").config.access_log[0].node.children.empty());
  CHECK(load_good("access_log: none\n").config.access_log.empty());
  CHECK(
      load_good("access_log: { format: json, file: a }\n").config.access_log.at(0).node.find("file")->text ==
      "a");
  const Route own = route("upstream: u, access_log: [{ file: a }, { file: b }]");
  CHECK(own.access_log->at(1).name == "routes.r.access_log[1]");
  CHECK_FALSE(route("upstream: u").access_log.has_value());
}

TEST_CASE("path patterns are canonical") {
  const auto text = [](std::string_view pattern) { return parse_path_pattern(pattern).value().text; };
  CHECK(text("/%61%2d%c3%a9") == "/a-%C3%A9");
  CHECK(text("/\xC3\xA9 x") == "/%C3%A9%20x");
  CHECK(text("/a/") == "/a/");
  CHECK(text("/") == "/");
  CHECK(parse_prefix_pattern("/a/")->segments.size() == 1);
  CHECK(parse_prefix_pattern("/")->segments.empty());
  CHECK(parse_path_pattern("/x/{version}/{id}/")->final_slash == PathPattern::FinalSlash::present);
  CHECK(parse_regex_pattern("/(?P<year>[0-9]+)")->parameters == std::vector<std::string>{"year"});
  for (const std::string_view bad :
       {"", "a", "//", "/a//b", "/.", "/a/../b", "/%", "/%0", "/%00", "/%5c", "/a?b", "/{}", "/{a b}"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_path_pattern(bad).has_value());
  }
}

TEST_CASE("the order of path patterns: exact, template, regular expression, prefix, segment by segment") {
  const PathPattern order[] = {
      parse_path_pattern("/a/b").value(),       parse_path_pattern("/a/{version}").value(),
      parse_path_pattern("/a/{x}").value(),     parse_path_pattern("/{version}/b").value(),
      parse_path_pattern("/{x}/b").value(),     parse_regex_pattern("/.*").value(),
      parse_prefix_pattern("/a/b").value(),     parse_prefix_pattern("/a/{version}").value(),
      parse_prefix_pattern("/a").value(),       parse_prefix_pattern("/{version}/b").value(),
      parse_prefix_pattern("/{x}/{y}").value(), parse_prefix_pattern("/{x}").value(),
      parse_prefix_pattern("/").value(),
  };
  for (size_t i = 0; i < std::size(order); ++i)
    for (size_t k = 0; k < std::size(order); ++k) {
      CAPTURE(order[i].text);
      CAPTURE(order[k].text);
      CHECK((compare_paths(order[i], order[k]) < 0) == (i < k));
    }
}

TEST_CASE("which path patterns may match one path") {
  const auto exact = [](std::string_view text) { return parse_path_pattern(text).value(); };
  const auto prefix = [](std::string_view text) { return parse_prefix_pattern(text).value(); };
  const auto regex = [](std::string_view text) { return parse_regex_pattern(text).value(); };
  CHECK(may_overlap(exact("/a/{x}"), exact("/{y}/b")));
  CHECK_FALSE(may_overlap(exact("/a/{x}"), exact("/b/{x}")));
  CHECK_FALSE(may_overlap(exact("/a/{x}"), exact("/a/{x}/")));
  CHECK(may_overlap(prefix("/a"), exact("/{x}")));
  CHECK_FALSE(may_overlap(prefix("/a/b"), exact("/a")));
  CHECK(may_overlap(prefix("/a"), prefix("/a/b")));
  CHECK(may_overlap(regex("/export/[0-9]+"), exact("/export/1")));
  CHECK(may_overlap(regex("/exports?"), exact("/export")));
  CHECK(may_overlap(regex("/a|/limited"), exact("/limited")));
  CHECK(may_overlap(regex("/export/.*"), prefix("/{x}/y")));
  CHECK(may_overlap(regex("/e"), prefix("/")));
  CHECK_FALSE(may_overlap(regex("/export/[0-9]+"), exact("/limited")));
  CHECK_FALSE(may_overlap(regex("^/export/[0-9]+"), prefix("/limited")));
  CHECK_FALSE(may_overlap(exact("/a/{x}"), regex("/b.*")));
}

TEST_CASE("addresses, networks and names as values") {
  CHECK(parse_address("[::1]:80")->loopback);
  CHECK(parse_address("127.9.9.9:0")->loopback);
  CHECK_FALSE(parse_address("0.0.0.0:1")->loopback);
  for (const std::string_view bad :
       {"", ":80", "::1:80", "[::1]", "1.2.3.4", "1.2.3.4:", "1.2.3.4:70000", "1.2.3.4:-1", "[1.2.3.4]:1"})
    CHECK_FALSE(parse_address(bad).has_value());
  CHECK(parse_network("192.168.0.0/16")->bytes[1] == 168);
  CHECK(parse_network("::/0")->prefix_bits == 0);
  CHECK(parse_network("10.1.2.3")->prefix_bits == 32);
  for (const std::string_view bad : {"", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.128.0.0/8", "x/8"})
    CHECK_FALSE(parse_network(bad).has_value());
  CHECK(parse_duration("0s").value() == 0s);
  CHECK(parse_duration("1h").value() == 1h);
  for (const std::string_view bad :
       {"", "s", "-1s", "1.5s", "1 s", "99999999999999999999s", "9999999999h", "1S", "1sec"})
    CHECK_FALSE(parse_duration(bad).has_value());
  CHECK(parse_size("1GiB").value() == 1u << 30);
  for (const std::string_view bad : {"", "1", "1KB", "1kib", "99999999999999GiB"})
    CHECK_FALSE(parse_size(bad).has_value());
  CHECK(parse_template("{{x}}{header.X-A}").value().pieces.at(1).attribute ==
        Attribute{AttributeKind::header, "x-a"});
  for (const std::string_view bad : {"{", "}", "{x}", "{header.}", "{header.a b}"})
    CHECK_FALSE(parse_template(bad).has_value());
}

TEST_CASE("limits are taken as written, and none turns off those that may be off") {
  const Loaded written = load_text("t.yaml",
                                   "schema: 1\n"
                                   "limits: { buffered: 64MiB, plugin_hook: 250ms }\n"
                                   "listeners:\n"
                                   "  name: a\n"
                                   "  address: 127.0.0.1:80\n"
                                   "  limits: { uri_size: 4KiB, trailer_size: 2KiB, trailer_count: 5, "
                                   "min_body_rate: 1KiB/s, rate_grace: 7s, send_timeout: 9s, "
                                   "min_send_rate: 500B/s, max_requests: 11, max_connections_per_client: 12, "
                                   "pipelined_size: 16KiB, buffer_size: 32KiB }\n",
                                   environment());
  REQUIRE(joined(lines(written)) == "");
  const ListenerLimits& limits = written.config.listeners.at(0).limits;
  CHECK(limits.uri_size == 4'096);
  CHECK(limits.trailer_size == 2'048);
  CHECK(limits.trailer_count == 5);
  CHECK(limits.min_body_rate == 1'024);
  CHECK(limits.rate_grace == Duration(7'000));
  CHECK(limits.send_timeout == Duration(9'000));
  CHECK(limits.min_send_rate == 500);
  CHECK(limits.max_requests == 11);
  CHECK(limits.max_connections_per_client == 12);
  CHECK(limits.pipelined_size == 16 * 1024);
  CHECK(limits.buffer_size == 32 * 1024);
  CHECK(written.config.limits.buffered == 64 * 1024 * 1024);
  CHECK(written.config.limits.plugin_hook == Duration(250));

  const Loaded none = load_text("t.yaml",
                                "schema: 1\n"
                                "listeners:\n"
                                "  name: a\n"
                                "  address: 127.0.0.1:80\n"
                                "  limits: { min_body_rate: none, min_send_rate: none, max_requests: none, "
                                "max_connections_per_client: none }\n",
                                environment());
  REQUIRE(joined(lines(none)) == "");
  CHECK(none.config.listeners.at(0).limits.min_body_rate == 0);
  CHECK(none.config.listeners.at(0).limits.min_send_rate == 0);
  CHECK(none.config.listeners.at(0).limits.max_requests == 0);
  CHECK(none.config.listeners.at(0).limits.max_connections_per_client == 0);
}

TEST_CASE("limits in a wrong form say what would be right") {
  const auto limit = [](std::string_view text) {
    return joined(lines(load_text(
        "t.yaml", fmt::format("listeners: {{ name: a, address: '127.0.0.1:80', limits: {{ {} }} }}\n", text),
        environment())));
  };
  CHECK(limit("min_body_rate: 240") ==
        "1:73 error[bad-rate] min_body_rate '240' is no rate of bytes, the unit is missing\n");
  CHECK(limit("min_body_rate: 1MiB") ==
        "1:73 error[bad-rate] min_body_rate '1MiB' is no rate of bytes, 'MiB' is no unit of it\n");
  CHECK(limit("min_body_rate: 0B/s") ==
        "1:73 error[out-of-range] min_body_rate '0B/s' is out of range, allowed is 1B/s to 1024MiB/s\n");
  CHECK(limit("send_timeout: none") == "1:72 error[bad-duration] send_timeout 'none' is no duration\n");
  CHECK(limit("max_request: 5").find("error[unknown-key]") != std::string::npos);
}

TEST_CASE("unix sockets: the path is relative to the file that names it, the mode is octal") {
  const auto load = [](std::string_view listener, std::string_view rest = {}) {
    return load_text("conf/t.yaml",
                     fmt::format("schema: 1\nlisteners: {{ name: a, {} }}\n{}", listener, rest),
                     environment());
  };
  const Loaded good = load("address: 'unix:a.sock', socket_mode: 0600, trusted_proxies: [unix, 10.0.0.0/8]",
                           "status: { address: 'unix:/run/s.sock', socket_mode: 0666 }\n");
  REQUIRE(joined(lines(good)) == "");
  const Listener& listener = good.config.listeners.at(0);
  CHECK(listener.address.unix_path.ends_with("a.sock"));
  CHECK(listener.address.loopback);
  CHECK(listener.socket_mode == 0600);
  CHECK(listener.trusted_proxies.at(0).unix_peers);
  CHECK(!listener.trusted_proxies.at(1).unix_peers);
  CHECK(good.config.status->address.unix_path == "/run/s.sock");
  CHECK(good.config.status->socket_mode == 0666);
  CHECK(load("address: 'unix:/run/a.sock'").config.listeners.at(0).socket_mode == 0660);

  const auto problems = [&](std::string_view listener_text, std::string_view rest = {}) {
    return joined(lines(load(listener_text, rest)));
  };
  CHECK(problems("address: 'unix:'").find("error[bad-address] address 'unix:' names no file") !=
        std::string::npos);
  CHECK(problems("address: 'unix:/run/'").find("names no file") != std::string::npos);
  CHECK(
      problems(fmt::format("address: 'unix:/{}'", std::string(100, 'x'))).find("has a path over 100 bytes") !=
      std::string::npos);
  CHECK(problems("address: 'unix:/a', socket_mode: 0990").find("error[bad-mode]") != std::string::npos);
  CHECK(problems("address: 'unix:/a', socket_mode: 01777").find("error[bad-mode]") != std::string::npos);
  CHECK(problems("address: '127.0.0.1:80', socket_mode: 0600").find("warning[no-effect] socket_mode") !=
        std::string::npos);
  CHECK(problems("address: 'unix:/a', socket_mode: 0440").find("nobody but root can connect") !=
        std::string::npos);
  CHECK(problems("address: '127.0.0.1:80', trusted_proxies: [127.0.0.1, unix]")
            .find("warning[no-effect] unix has no effect") != std::string::npos);
  CHECK(problems("address: 'unix:/a.sock', trusted_proxies: unix").find("no-effect") == std::string::npos);
  CHECK(problems("address: 'unix:/a.sock'", "status: 'unix:/a.sock'\n")
            .find("error[address-in-use] unix:/a.sock is listened on twice") != std::string::npos);
  CHECK(joined(lines(load_text("t.yaml",
                               "listeners:\n"
                               "- { name: a, address: 'unix:/a.sock' }\n"
                               "- { name: b, address: '127.0.0.1:80', redirect: a }\n",
                               environment())))
            .find("error[redirect-unix]") != std::string::npos);
}
