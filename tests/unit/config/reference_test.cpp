// The reference example of the language, and the list of what is known but not supported yet.
#include <cstring>
#include <set>

#include "config/schema.h"
#include "config_support.h"

using namespace penstock::config;
using namespace penstock::config::test;

namespace {

std::string read_file(const std::string& path) {
  const FileText file = read_text_file(path, 1u << 20);
  REQUIRE(file.problem == "");
  return file.text;
}

std::string reference_text() { return read_file(PENSTOCK_SOURCE_DIR "/tests/unit/config/data/gateway.yaml"); }

// The files that the example says stand beside it.
void write_neighbours(const Folder& folder) {
  for (const char* name :
       {"certs/api.crt", "certs/api.key", "certs/ca.crt", "secrets/mobile.key", "secrets/idp.jwks.json"})
    folder.write(name, "content of a file\n");
}

Loaded load_reference(const Folder& folder, const std::string& text) {
  write_neighbours(folder);
  return load(folder.write("gateway.yaml", text), environment());
}

}  // namespace

TEST_CASE("the reference example is wrong only in what is not supported yet") {
  Folder folder;
  const Loaded loaded = load_reference(folder, reference_text());
  CHECK(joined(lines(loaded)) ==
        "59:1 error[not-supported-yet] 'tracing' is not supported yet\n"
        "67:3 error[not-supported-yet] 'consul' is not supported yet\n"
        "68:3 error[not-supported-yet] 'etcd' is not supported yet\n"
        "69:3 error[not-supported-yet] 'zookeeper' is not supported yet\n"
        "70:3 error[not-supported-yet] 'keep_last_good' is not supported yet\n"
        "115:5 error[not-supported-yet] 'outlier' is not supported yet\n"
        "116:5 error[not-supported-yet] 'circuit_breaker' is not supported yet\n"
        "118:5 error[not-supported-yet] 'slow_start' is not supported yet\n"
        "178:35 error[not-supported-yet] 'consul' is not supported yet\n"
        "178:51 error[not-supported-yet] 'tag' is not supported yet\n"
        "179:35 error[not-supported-yet] 'etcd' is not supported yet\n"
        "180:35 error[not-supported-yet] 'srv' is not supported yet\n"
        "180:69 error[not-supported-yet] 'sticky' is not supported yet\n"
        "183:16 error[not-supported-yet] 'ring_hash' is not supported yet\n");
}

TEST_CASE("the keys that are not supported yet") {
  std::set<std::string> found;
  for (const SchemaRow& row : schema_rows()) {
    if (row.is(RowFlag::not_yet)) found.insert(std::string(row.path));
    if (row.type != ValueType::choice && row.type != ValueType::address) continue;
    for (size_t at = row.allowed.find('!'); at != row.allowed.npos; at = row.allowed.find('!', at + 1))
      found.insert(
          fmt::format("{}={}", row.path, row.allowed.substr(at + 1, row.allowed.find('|', at) - at - 1)));
  }
  for (const std::string_view type : later_plugin_types())
    found.insert(fmt::format("plugins.*.type={}", type));
  const std::set<std::string> expected{
      "discovery.consul",
      "discovery.etcd",
      "discovery.keep_last_good",
      "discovery.kubernetes",
      "discovery.zookeeper",
      "expect_public",
      "plugins.*.type=cors",
      "plugins.*.type=ip_restriction",
      "register",
      "routes[].importance",
      "routes[].mirror",
      "routes[].paths",
      "tests",
      "tracing",
      "upstreams.*.balance.maglev",
      "upstreams.*.balance.ring_hash",
      "upstreams.*.balance=least_conn",
      "upstreams.*.balance=maglev",
      "upstreams.*.balance=peak_ewma",
      "upstreams.*.balance=ring_hash",
      "upstreams.*.circuit_breaker",
      "upstreams.*.discover.consul",
      "upstreams.*.discover.etcd",
      "upstreams.*.discover.file",
      "upstreams.*.discover.kubernetes",
      "upstreams.*.discover.srv",
      "upstreams.*.discover.tag",
      "upstreams.*.discover.zookeeper",
      "upstreams.*.outlier",
      "upstreams.*.slow_start",
      "upstreams.*.sticky",
  };
  CHECK(found == expected);
}

TEST_CASE("a provider that is not supported yet is told once, as that, and a resolver is an IP address") {
  CHECK(joined(lines(load_rest("discovery: { dns: { servers: 'unix:a' } }\n"))) ==
        "2:30 error[bad-address] servers 'unix:a' has no IPv4 address before the port\n");
  const auto discover = [](std::string_view text) {
    return joined(
        lines(load_rest(fmt::format("routes: {{ name: r, match: {{}}, public: true, upstream: u }}\n"
                                    "upstreams: {{ u: {{ discover: {{ {} }} }} }}\n",
                                    text))));
  };
  CHECK(discover("kubernetes: ns/x, port: http") ==
        "3:31 error[not-supported-yet] 'kubernetes' is not supported yet\n");
  CHECK(discover("dns: a.example, port: http") == "3:53 error[bad-number] port 'http' is no port\n");
  CHECK(discover("dns: a.example, port: 0") == "3:53 error[bad-number] port '0' is no port\n");
  CHECK(discover("dns: a.example, port: 65535") == "");
}

TEST_CASE("the schema table is whole") {
  const Schema schema;
  std::set<std::string_view> seen;
  for (const SchemaRow& row : schema_rows()) {
    CAPTURE(row.path);
    CHECK(seen.insert(row.path).second);
    CHECK(!row.meaning.empty());
    const SchemaNode* node = schema.find(row.path);
    REQUIRE(node != nullptr);
    CHECK(node->row == &row);
    for (const auto& [key, child] : node->keys) CHECK(child->row != nullptr);
    if (row.is(RowFlag::not_yet)) continue;
    CHECK((row.type == ValueType::list) == (node->item != nullptr));
    const bool any_key = row.type == ValueType::names || row.type == ValueType::fields;
    CHECK(any_key == (node->any_key != nullptr));
    if (row.type == ValueType::same_as) CHECK(schema.find(row.allowed) != nullptr);
  }
}

TEST_CASE("the reference example without later work compiles to what it says") {
  Folder folder;
  std::string text = reference_text();
  const auto replace = [&](std::string_view from, std::string_view to) {
    const size_t at = text.find(from);
    CAPTURE(from);
    REQUIRE(at != std::string::npos);
    text.replace(at, from.size(), to);
  };
  const auto drop_line = [&](std::string_view beginning) {
    const size_t at = text.find(fmt::format("\n{}", beginning));
    CAPTURE(beginning);
    REQUIRE(at != std::string::npos);
    text.erase(at, text.find('\n', at + 1) - at);
  };
  replace("[h2, http/1.1]", "[http/1.1]");
  for (const char* line : {"tracing:", "  propagate:", "  zipkin:", "  consul:", "  etcd:",
                           "  zookeeper:", "  keep_last_good:", "    outlier:",
                           "    circuit_breaker:", "    slow_start:", "    balance: { ring_hash"})
    drop_line(line);
  replace("{ consul: orders, tag: v2 }", "{ dns: orders.internal, port: 80 }");
  replace("{ etcd: orders-canary }", "{ dns: canary.internal, port: 80 }");
  replace("{ discover: { srv: _http._tcp.users.internal }, sticky: { cookie: penstock_user } }",
          "{ endpoints: 'u:1' }");
  const Loaded loaded = load_reference(folder, text);
  REQUIRE(joined(lines(loaded)) == "");

  const Config& config = loaded.config;
  CHECK(config.workers == 0);
  CHECK(config.state_dir == folder.path("state"));
  REQUIRE(config.listeners.size() == 3);
  CHECK(config.listeners[0].address.port == 8443);
  CHECK(config.listeners[0].tls->certificates.at(0).key.path == folder.path("certs/api.key"));
  CHECK(config.listeners[0].limits.header_size == 32 * 1024);
  CHECK(config.listeners[1].trusted_proxies.at(1).prefix_bits == 8);
  CHECK(config.listeners[2].redirect->name == "https");
  CHECK(config.status->address.port == 9902);
  CHECK(config.access_log.at(0).node.find("format")->text == "json");
  CHECK(config.dns.servers.at(0).port == 53);
  CHECK(config.redis->host == "127.0.0.1");
  CHECK(config.redis->port == 6379);
  CHECK(config.redis->timeout == Duration(5));
  CHECK(config.consumers.at(0).api_keys.at(0).value.reveal() == "content of a file");
  CHECK(config.consumers.at(1).jwt.at(0).value == "svc-billing");
  REQUIRE(config.plugins.size() == 7);
  CHECK(config.plugins[0].type == "jwt");
  CHECK(config.plugins[0].node.find("type") == nullptr);
  CHECK(config.plugins[0].node.find("audience")->text == "orders-api");

  REQUIRE(config.routes.size() == 6);
  const Route& orders = config.routes[0];
  CHECK(orders.match.hosts.at(0).text == "api.example.com");
  REQUIRE(orders.match.paths.size() == 2);
  CHECK(orders.match.paths[0].segments.at(0).kind == PathSegment::Kind::version);
  CHECK(orders.match.paths[0].segments.at(1).text == "orders");
  CHECK(orders.auth->authenticators.size() == 3);
  CHECK(orders.auth->allow.groups.size() == 3);
  CHECK(std::holds_alternative<std::monostate>(orders.target));
  REQUIRE(orders.version->versions.size() == 2);
  CHECK(std::get<UpstreamTarget>(orders.version->versions[0].target).upstream == "orders-v1");
  const auto& split = std::get<SplitTarget>(orders.version->versions[1].target);
  CHECK(split.sides.at(1).upstream == "orders-v2-canary");
  CHECK(split.sides.at(1).weight == 10);
  CHECK(split.key == Attribute{AttributeKind::consumer_id, ""});
  CHECK(orders.rewrite->path_prefix == "/orders");
  CHECK(orders.identity_headers.at(0).name == "x-consumer");
  CHECK(orders.retries.on_status == std::vector<uint16_t>{503});
  const Route& user = config.routes[1];
  CHECK(user.match.methods == std::vector<std::string>{"GET", "PUT", "HEAD"});
  CHECK(user.match.paths.at(0).parameters == std::vector<std::string>{"id"});
  CHECK(user.request_headers.set.at(0).value.pieces.at(0).attribute == Attribute{AttributeKind::path, "id"});
  CHECK(user.request_headers.remove == std::vector<std::string>{"x-debug"});
  const Route& docs = config.routes[2];
  CHECK(docs.match.hosts.at(1).kind == HostPattern::Kind::wildcard);
  CHECK(docs.match.hosts.at(1).text == ".docs.example.com");
  CHECK(docs.match.paths.at(0).segments.empty());
  CHECK_FALSE(docs.auth);
  const Route& exported = config.routes[3];
  CHECK(exported.match.headers.at(0).kind == ValueCondition::Kind::present);
  CHECK(exported.match.query.at(0).value == "1");
  CHECK(exported.body_size == 1u << 30);
  CHECK(exported.timeouts.total == std::chrono::minutes(10));
  CHECK(std::get<RedirectTarget>(config.routes[4].target).status == 301);
  CHECK(config.routes[5].access_log->empty());
  CHECK(std::get<RespondTarget>(config.routes[5].target).body == "pong\n");
  REQUIRE(config.upstreams.size() == 5);
  CHECK(config.upstreams[0].balance == Balance::round_robin);
  CHECK(config.upstreams[0].endpoints.at(1).weight == 3);
  CHECK(config.upstreams[4].discover->name == "localhost");
  CHECK(config.upstreams[4].balance == Balance::least_request);
  CHECK(config.upstreams[4].protocol == UpstreamProtocol::automatic);
  REQUIRE(config.upstreams[4].tls.has_value());
  CHECK(config.upstreams[4].tls->server_name == "docs.internal");
  CHECK(config.upstreams[4].tls->ca.path == folder.path("certs/ca.crt"));
  CHECK(to_text(config, config.upstreams[4].at).find("gateway.yaml:") != std::string::npos);
}

TEST_CASE("no cut of the example crashes, and each is answered") {
  const std::string text = reference_text();
  for (size_t length = 0; length < text.size(); length += 23) {
    const Loaded loaded = load_text("gateway.yaml", text.substr(0, length), environment());
    CAPTURE(length);
    const bool silent = loaded.diagnostics.all().empty();  // the first listener alone is a configuration
    CHECK(render(loaded.diagnostics, loaded.sources, Format::human).empty() == silent);
    CHECK(render(loaded.diagnostics, loaded.sources, Format::github).empty() == silent);
  }
}

TEST_CASE("no changed byte of the example crashes") {
  const std::string text = reference_text();
  const std::string_view bytes =
      "{}[]:,\"'&*!|>%#-?\n\t \xFF\x01"
      "0a$";
  uint32_t state = 1;  // a fixed sequence, the same every time
  const auto next = [&] { return (state = state * 1664525u + 1013904223u) >> 8; };
  for (int round = 0; round < 300; ++round) {
    std::string changed = text;
    for (int k = 0; k < 3; ++k) changed[next() % changed.size()] = bytes[next() % bytes.size()];
    const Loaded loaded = load_text("gateway.yaml", changed, environment());
    CHECK(render(loaded.diagnostics, loaded.sources, Format::human).empty() ==
          loaded.diagnostics.all().empty());
  }
}
