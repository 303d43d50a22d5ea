// What a whole configuration makes of its plugins: YAML, real shared objects, the builder that the daemon
// uses.
#include <doctest/doctest.h>

#include "config/load.h"
#include "plugins/harness.h"
#include "server/build_snapshot.h"

using namespace penstock;
using namespace penstock::plugin::testing;

namespace {

struct Built {
  explicit Built(std::string yaml) {
    auto types = std::make_shared<plugin::TypeSet>();
    for (const char* name : {"auth", "logging"}) {
      auto library = host.load(shipped(name));
      REQUIRE_MESSAGE(library.has_value(), library.error());
      REQUIRE(types->add(*library) == "");
    }
    config::Loaded loaded = config::load_text(folder.path + "/gateway.yaml", std::move(yaml));
    diagnostics = std::move(loaded.diagnostics);
    snapshot = server::build_snapshot(std::make_shared<const config::Config>(std::move(loaded.config)), host,
                                      types, diagnostics);
    diagnostics.sort();
  }
  // "3:7 code: message\n" each.
  std::string errors() const {
    std::string out;
    for (const auto& d : diagnostics.all()) {
      if (d.severity != config::Severity::error) continue;
      out += std::to_string(d.at.line) + ":" + std::to_string(d.at.column) + " " + d.code + ": " + d.message +
             "\n";
    }
    return out;
  }
  bool interned(std::string_view name) const { return names.attributes.find(name) != 0; }

  Folder folder;
  proxy::Names names;
  plugin::Host host{names, {}};
  config::Diagnostics diagnostics;
  std::shared_ptr<proxy::Snapshot> snapshot;
};

}  // namespace

TEST_CASE("claims named anywhere in a route are asked for, so that the authenticator sets them") {
  const Built built(R"(schema: 1
listeners: [{ name: http, address: "127.0.0.1:0" }]
access_log: none
plugins:
  idp: { type: jwt, secret: 0123456789abcdef0123456789abcdef }
routes:
  - name: all
    match: { path_prefix: / }
    auth: idp
    split: { one: 90, two: 10 }
    split_by: claim.tenant
    identity_headers: { x-user: claim.sub }
    request_headers: { set: { x-mail: "<{claim.email}>" } }
    response_headers: { add: { x-plan: "{claim.plan.name}" } }
upstreams:
  one: { endpoints: ["127.0.0.1:1"] }
  two: { endpoints: ["127.0.0.1:2"] }
)");
  REQUIRE_MESSAGE(built.snapshot != nullptr, built.errors());
  for (const char* claim : {"claim.tenant", "claim.sub", "claim.email", "claim.plan.name"}) {
    CAPTURE(claim);
    CHECK(built.interned(claim));
  }
  CHECK_FALSE(built.interned("claim.other"));
}

TEST_CASE("credentials are dropped wherever a route's authenticators read them, unless it forwards them") {
  const Built built(R"(schema: 1
listeners: [{ name: http, address: "127.0.0.1:0" }]
access_log: none
plugins:
  idp: { type: jwt, secret: 0123456789abcdef0123456789abcdef }
  keys: { type: api_key, query: api_key, cookie: key }
  more: { type: api_key, header: X-Token, query: api_key }
upstreams:
  u: { endpoints: ["127.0.0.1:1"] }
routes:
  - { name: drops, match: { path_prefix: / }, auth: { any_of: [idp, keys, more] }, upstream: u }
  - { name: keeps, match: { path_prefix: /k }, auth: keys, upstream: u, forward_credentials: true }
  - { name: open, match: { path_prefix: /o }, public: true, upstream: u }
)");
  REQUIRE_MESSAGE(built.snapshot != nullptr, built.errors());
  using Names = std::vector<std::string>;
  for (const auto& route : built.snapshot->routes) {
    CAPTURE(route->name);
    const bool drops = route->name == "drops";
    CHECK(route->dropped_headers == (drops ? Names{"authorization", "x-token"} : Names{}));
    CHECK(route->dropped_query == (drops ? Names{"api_key"} : Names{}));
    CHECK(route->dropped_cookies == (drops ? Names{"key"} : Names{}));
  }
}

TEST_CASE("a log that stands before the authenticators still masks what they read") {
  Built built(R"(schema: 1
listeners: [{ name: http, address: "127.0.0.1:0" }]
access_log: none
plugins:
  a_log: { type: logging, file: a.log, format: "{request.query} {query.k}" }
  keys: { type: api_key, query: k }
routes:
  - { name: all, match: { path_prefix: / }, auth: keys, plugins: [a_log], respond: { status: 200 } }
)");
  REQUIRE_MESSAGE(built.snapshot != nullptr, built.errors());
  net::Loop loop;
  Arena arena(loop.blocks());
  http::Message head(arena);
  head.query = "k=secret";
  head.has_query = true;
  for (const auto& filter : built.snapshot->filters) {
    if (filter->type() != "logging") continue;
    proxy::RequestContext context(arena, head);
    context.snapshot = built.snapshot.get();
    context.names = &built.names;
    void* state = nullptr;
    REQUIRE(filter->worker_start(0, loop, &state));
    filter->on_complete({context, state, nullptr}, proxy::Summary{});
    filter->worker_stop(0, state);
  }
  const std::string path = built.folder.path + "/a.log";
  built.snapshot.reset();  // what is queued is written before the plugin goes
  FILE* file = std::fopen(path.c_str(), "rb");
  REQUIRE(file != nullptr);
  char text[100];
  const size_t size = std::fread(text, 1, sizeof text, file);
  std::fclose(file);
  CHECK(std::string_view(text, size) == "k=*** ***\n");
}

TEST_CASE("a consumer's token belongs to an instance of type jwt, or nobody would ever ask for it") {
  const auto errors = [](const std::string& plugin) {
    return Built(R"(schema: 1
listeners: [{ name: http, address: "127.0.0.1:0" }]
access_log: none
plugins:
  idp: { type: jwt, secret: 0123456789abcdef0123456789abcdef }
  keys: { type: api_key }
  log: { type: logging, file: stdout }
consumers:
  - { name: billing, credentials: { jwt: [{ plugin: )" +
                 plugin + R"(, value: svc-billing }] } }
routes:
  - { name: all, match: { path_prefix: / }, auth: idp, plugins: [log], respond: { status: 200 } }
)")
        .errors();
  };
  CHECK(errors("idp") == "");
  CHECK(errors("keys") ==
        "9:53 no-token-plugin: plugin 'keys' (api_key) reads no tokens; name an instance of type jwt or introspection\n");
  CHECK(errors("log") ==
        "9:53 no-token-plugin: plugin 'log' (logging) reads no tokens; name an instance of type jwt or introspection\n");
}
