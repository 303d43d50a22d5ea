// Diagnostics as people and programs read them, and no secret in any of them.
#include <nlohmann/json.hpp>

#include "config/schema.h"
#include "config/wording.h"
#include "config_support.h"

using namespace penstock::config;
using namespace penstock::config::test;

TEST_CASE("for people: place, code, message, source line, caret, nearest word, count") {
  const Loaded loaded = load_rest("drain:\n  tiemout: 5s\nplugins: { p: { type: x } }\n");
  CHECK(render(loaded.diagnostics, loaded.sources, Format::human) ==
        "t.yaml:3:3: error[unknown-key]: 'tiemout' is not known under drain\n"
        "   3 |   tiemout: 5s\n"
        "     |   ^^^^^^^ did you mean 'timeout'?\n"
        "t.yaml:4:12: warning[unused-plugin]: no route uses plugin 'p'\n"
        "   4 | plugins: { p: { type: x } }\n"
        "     |            ^\n"
        "1 error, 1 warning\n");
  CHECK(render({}, loaded.sources, Format::human) == "");
}

TEST_CASE("the caret stands right under wide text and tabs, and giant lines are cut") {
  const Loaded wide = load_rest("drain: { 'gr\xC3\xBC\xC3\x9F': 1,\tx: 2 }\n");
  CHECK(render(wide.diagnostics, wide.sources, Format::human) ==
        "t.yaml:2:10: error[unknown-key]: 'gr\xC3\xBC\xC3\x9F' is not known under drain\n"
        "   2 | drain: { 'gr\xC3\xBC\xC3\x9F': 1, x: 2 }\n"
        "     |          ^^^^^^\n"
        "t.yaml:2:23: error[unknown-key]: 'x' is not known under drain\n"
        "   2 | drain: { 'gr\xC3\xBC\xC3\x9F': 1, x: 2 }\n"
        "     |                     ^\n"
        "2 errors\n");
  const Loaded giant = load_rest("drain: { accept_for: 1s, " + std::string(5000, ' ') + "x: 1" +
                                 std::string(5000, ' ') + "}\n");
  const std::string text = render(giant.diagnostics, giant.sources, Format::human);
  CHECK(text.size() < 600);
  CHECK(text.find("x: 1") != std::string::npos);
}

TEST_CASE("as JSON: one object with the members of every diagnostic") {
  const Loaded loaded = load_rest("drain: { tiemout: 5s }\nworkers: \"a\\\"b\"\n");
  const auto parsed = nlohmann::json::parse(render(loaded.diagnostics, loaded.sources, Format::json));
  REQUIRE(parsed["diagnostics"].size() == 2);
  CHECK(parsed["diagnostics"][0] == nlohmann::json{{"severity", "error"},
                                                   {"code", "unknown-key"},
                                                   {"file", "t.yaml"},
                                                   {"line", 2},
                                                   {"column", 10},
                                                   {"path", "drain.tiemout"},
                                                   {"message", "'tiemout' is not known under drain"},
                                                   {"hint", "did you mean 'timeout'?"}});
  CHECK(nlohmann::json::parse(render({}, loaded.sources, Format::json)) ==
        nlohmann::json{{"diagnostics", nlohmann::json::array()}});
}

TEST_CASE("as GitHub annotations: one escaped line each") {
  const Loaded loaded = load_text("a,b:c.yaml", with_listener("\"x%\\ny\": 1\n"), environment());
  CHECK(render(loaded.diagnostics, loaded.sources, Format::github) ==
        "::error file=a%2Cb%3Ac.yaml,line=2,col=1,title=unknown-key::'x%25\\ny' is not known\n");
}

TEST_CASE("formats and strictness by name") {
  CHECK(format_named("human") == Format::human);
  CHECK(format_named("json") == Format::json);
  CHECK(format_named("github") == Format::github);
  CHECK(format_named("xml") == std::nullopt);
  const Loaded warned = load_rest("plugins: { p: { type: x } }\n");
  CHECK(acceptable(warned.diagnostics, Strictness::errors_only));
  CHECK_FALSE(acceptable(warned.diagnostics, Strictness::warnings_too));
  CHECK_FALSE(acceptable(load_rest("x: y\n").diagnostics, Strictness::errors_only));
}

namespace {

// Everything that any format prints of this configuration.
std::string all_output(std::string text) {
  const Loaded loaded = load_text("t.yaml", std::move(text), environment());
  REQUIRE(!loaded.diagnostics.all().empty());
  std::string out;
  for (const Format format : {Format::human, Format::json, Format::github})
    out += render(loaded.diagnostics, loaded.sources, format);
  return out;
}

}  // namespace

TEST_CASE("quoted lines never show a secret") {
  const std::string_view texts[] = {
      "consumers: { name: c, x: y, credentials: { api_keys: [hunter2, 'hunter2', \"hunter2\"], nope: hunter2 "
      "} }\n",
      "consumers: { name: c, x: y, credentials: { api_keys: hunter2 } }\n",
      "consumers:\n- name: c\n  credentials: { api_keys: hunter2, x: y }\n",
      "plugins: { p: { on_error: x, secret: hunter2, password: 'it''s hunter2', key: \"\\\"hunter2\" } }\n",
      "plugins: { p: { on_error: x, deep: { secret: { a: [hunter2] } } } }\n",
      "plugins: { p: { on_error: x, secret: '${env:NONE:-hunter2}' } }\n",
      "plugins: { p: { on_error: x, secret: &s hunter2, other: *s } }\n",
      "plugins: { p: { on_error: x, other: &s hunter2, secret: *s } }\n",
      "plugins: { p: { on_error: x, other: &s { a: hunter2 }, secret: *s } }\n",
      "plugins: { p: { on_error: x, secret: 'first\n hunter2', y: z }, p: 1 }\n",
      "plugins: { p: { secret: !!binary hunter2 } }\n",
      "plugins: { p: { secret: hunter2, secret: hunter2 } }\n",
      "plugins: { p: { secret: hunter2\n",
      "plugins:\n  p:\n    secret: hunter2\n    a: b: c\n",
      "plugins:\n  p:\n    secret: |\n      hunter2\n     x: [\n",
      "plugins:\n  p:\n    secret: hunter2: x\n",
      "plugins:\n  p:\n    secret:\n      - \"hunter2\" x\n",
      "consumers: { name: c, credentials: { api_keys: [hunter2 \n",
      "upstreams: { u: { balance: { ring_hash: { key: hunter2 } } } }\n",
      "consumers: { name: c, credential: { api_keys: [hunter2] } }\n",
      "consumers: { name: c, credentials: { api_keys: { hunter2: x } } }\n",
      "consumers: { name: c, credentials: { api_keyz: { hunter2: x } } }\n",
      "plugins: { p: { on_error: x, secret: { hunter2 } } }\n",
      "plugins: { p: { on_error: x, secret: { hunter2: { a: '${env:NONE}' } } } }\n",
      "plugins: { p: { on_error: x, secret: { hunter2: 1, hunter2: 2 } } }\n",
      "plugins: { p: { on_error: x, other: &s { hunter2: '${env:NONE}' }, secret: *s } }\n",
      "plugins: { p: { on_error: x, password: 'a${hunter2}b' } }\n",
      "plugins: { p: { on_error: x, password: '${hunter2}' } }\n",
      "plugins: { p: { on_error: x, a: { secret: { hunter2: !!binary x } } } }\n",
      "consumers:\n- name: a\n  credentials: { api_keys: [\n  \"x\" \"y\",\n  \"hunter2\" ] }\n",
      "consumers:\n- name: a\n  credentials: { api_keys: [\n  \"hunter2\" \"x\",\n  \"y\" ] }\n",
      "plugins:\n  p:\n    secret: [ \"a]b\",\n  hunter2: x: y ]\n",
      "plugins:\n  p:\n    secret: \"a\n  hunter2\" : x: [\n",
      "plugins: { p: { on_error: x, secrt: hunter2 } }\n",
      "plugins: { p: { on_error: x, pasword: [hunter2], api_key: hunter2 } }\n",
      "plugins: { p: { on_error: x, secrets: { hunter2: 1 } } }\n",
      "secrt: hunter2\n",
      "plugins: { p: { secrt: hunter2\n",
      "plugins: { p: { on_error: x, jwks_uri: 'https://u:hunter2@h/' } }\n",
      "upstreams: { u: { balance: 'https://u:hunter2@h/x@y' } }\n",
      "plugins: { p: { jwks_uri: 'https://hunter2@h/'\n",
      "upstreams: { u: { balance: 'https://u:a#hunter2?/@h/' } }\n",
      "listeners: { name: b, tls: { certificates: [{ cert: x, key: MIGH/hunter2/ }] } }\n",
      "listeners: { name: b, tls: { certificates: [{ cert: x, key: \"-----BEGIN PRIVATE hunter2/\\n\" }] } "
      "}\n",
      "plugins: { tls: { on_error: x, key: /hunter2 } }\n",
  };
  for (const std::string_view text : texts) {
    CAPTURE(text);
    const std::string out = all_output(with_listener(text));
    CAPTURE(out);
    CHECK(out.find("hunter2") == std::string::npos);
  }
}

TEST_CASE("masking keeps the rest of the line, and the caret under its place") {
  const Loaded loaded = load_rest(
      "consumers: { name: c, credentials: { api_keys: [hunter2, '${file:/nowhere/x}'] }, grups: a }\n");
  const std::string text = render(loaded.diagnostics, loaded.sources, Format::human);
  CHECK(
      text.find(
          "   2 | consumers: { name: c, credentials: { api_keys: [***, '${file:/nowhere/x}'] }, grups: a }\n"
          "     |                                                                                grups"[0]) !=
      std::string::npos);
  const std::string source = "consumers: { name: c, credentials: { api_keys: [***, '${file:/nowhere/x}'] }, ";
  CHECK(text.find("   2 | " + source + "grups: a }\n     | " + std::string(source.size(), ' ') +
                  "^^^^^ did you") != std::string::npos);
}

TEST_CASE("control characters of a value neither forge a line nor reach a terminal, in any format") {
  const Loaded loaded = load_rest(
      "\"drian\\nt.yaml:9:9: error[forged]: x\\e[31m\\x9b\": 1\n"
      "workers: \"\\e\\x7f\\r\\n2\"\n"
      "plugins: { p: { type: x } }\n"
      "routes:\n- { name: \"a\\nb\", match: {}, public: true, respond: 200 }\n"
      "- { name: c, match: {}, public: true, respond: 200 }\n");
  for (const Format format : {Format::human, Format::json, Format::github}) {
    const std::string text = render(loaded.diagnostics, loaded.sources, format);
    CAPTURE(text);
    CHECK(text.find('\x1b') == std::string::npos);
    CHECK(text.find('\x7f') == std::string::npos);
    CHECK(text.find('\r') == std::string::npos);
    CHECK(text.find("\xC2\x9B") == std::string::npos);
    CHECK(text.find("\\u001b") == std::string::npos);
    CHECK(text.find("%0A") == std::string::npos);
    CHECK(text.find("\nt.yaml:9:9") == std::string::npos);
    CHECK(text.find("'drian\\nt.yaml:9:9: error[forged]: x\\x1b[31m\\u009b' is not known") ==
          (format == Format::json ? std::string::npos : text.find("'drian")));
  }
  const auto parsed = nlohmann::json::parse(render(loaded.diagnostics, loaded.sources, Format::json));
  for (const auto& one : parsed["diagnostics"])
    for (const char* member : {"message", "hint", "path"})
      CHECK(one[member].get<std::string>().find('\n') == std::string::npos);
}

TEST_CASE("control characters of the file itself do not reach a terminal") {
  const Loaded loaded = load_rest(
      "x: 'a\xC2\x9B"
      "31m' # \r y\n");
  const std::string text = render(loaded.diagnostics, loaded.sources, Format::human);
  CHECK(text.find("\xC2\x9B") == std::string::npos);
  CHECK(text.find('\r') == std::string::npos);
  CHECK(text.find("x: 'a\xC2\xB7"
                  "31m'") != std::string::npos);
}

TEST_CASE("what an environment variable holds is never shown") {
  const std::string_view before =
      "upstreams: { u: { endpoints: 'a:1' }, x: { endpoints: ['b:2', 'b:2'] } }\n"
      "plugins: { k: { type: api_key } }\nconsumers: { name: c, groups: g }\n";
  const std::string_view texts[] = {
      "routes: { name: r, match: {}, public: true, upstream: '${env:X}' }\n",
      "routes: { name: r, match: {}, public: true, upstream: u, listeners: '${env:X}' }\n",
      "routes: { name: r, match: {}, public: true, upstream: u, plugins: ['${env:X}'] }\n",
      "routes: { name: r, match: {}, auth: '${env:X}', upstream: u }\n",
      "routes: { name: r, match: {}, auth: { any_of: k, allow: { groups: '${env:X}:y' } }, upstream: u }\n",
      "routes: { name: r, match: {}, auth: { any_of: k, deny: { consumers: 'y${env:X}' } }, upstream: u }\n",
      "routes:\n- { name: '${env:X}', match: {}, public: true, upstream: u }\n"
      "- { name: '${env:X}', match: {}, public: true, upstream: u }\n",
      "routes: { name: '${env:X}', match: {}, public: true, upstream: u, nope: 1 }\n",
      "routes: { name: r, match: {}, public: true, upstream: u, retries: { retry_on: ['${env:X}'] } }\n",
      "routes: { name: r, match: {}, public: true, upstream: u, timeouts: { idle: '${env:X}' } }\n",
      "routes: { name: r, match: {}, public: true, upstream: u, rewrite: { path: '${env:X}' } }\n",
      "routes: { name: r, match: {}, public: true, upstream: u, rewrite: { path: '/{path.${env:X}}' } }\n",
      "routes: { name: r, match: {}, public: true, split: { u: 1 }, split_by: 'path.${env:X}' }\n",
      "routes: { name: r, match: {}, public: true, upstream: u, version: { from: '${env:X}', versions: { a: "
      "{} "
      "} } }\n",
      "routes: { name: r, match: {}, public: true, upstream: u, version: { from: 'claim.${env:X}', versions: "
      "{ "
      "a: {} } } }\n",
      "routes: { name: r, match: {}, public: true, upstream: u, version: { from: accept, default: "
      "'${env:X}', "
      "versions: { a: {} } } }\n",
      "plugins: { p: { type: x, on_error: '${env:X}' } }\n",
      "plugin_libraries: '${env:X}.so'\n",
      "access_log: { file: 'syslog:${env:X}' }\n",
      "workers: '${env:X}'\n",
      "upstreams: { v: { endpoints: 'a:1', balance: '${env:X}' } }\n",
      "upstreams: { v: { endpoints: '${env:X}' } }\n",
      "upstreams: { v: { endpoints: ['${env:X}:1', '${env:X}:1'] } }\n",
      "consumers: [{ name: '${env:X}' }, { name: '${env:X}' }]\n",
      "consumers: { name: d, credentials: { jwt: { plugin: '${env:X}', value: v } } }\n",
      "admin: { a: '${unknown:${env:X}}' }\n",
  };
  for (const char* value : {"hunter2", "a-long-hunter2-value", "ab"}) {
    for (const std::string_view text : texts) {
      const std::string key(text.substr(0, text.find(':') + 1));
      std::string lead(before);  // without the key that the text has itself
      if (const size_t at = lead.find(key); at != lead.npos) lead.erase(at, lead.find('\n', at) + 1 - at);
      const Loaded loaded =
          load_text("t.yaml", with_listener(lead + std::string(text)), environment({{"X", value}}));
      CAPTURE(text);
      CHECK(!loaded.diagnostics.all().empty());
      for (const Format format : {Format::human, Format::json, Format::github}) {
        const std::string out = render(loaded.diagnostics, loaded.sources, format);
        CAPTURE(out);
        CHECK(out.find(value) == std::string::npos);
      }
    }
  }
}

TEST_CASE("a plugin named like a secret's key is shown") {
  const Loaded loaded = load_rest("plugins: { api_keys: { type: x, on_error: maybe } }\n");
  const std::string text = render(loaded.diagnostics, loaded.sources, Format::human);
  CHECK(text.find("plugins: { api_keys: { type: x, on_error: maybe } }") != std::string::npos);
  CHECK(text.find("on_error 'maybe' is not one of") != std::string::npos);
}

TEST_CASE("a note is shown, but is neither an error nor a warning") {
  Diagnostics diagnostics;
  diagnostics.note("on-error-skip", {}, "plugins.a", "requests go on when 'a' fails");
  CHECK(render(diagnostics, {}, Format::human) == "note[on-error-skip]: requests go on when 'a' fails\n");
  CHECK(render(diagnostics, {}, Format::github) ==
        "::notice title=on-error-skip::requests go on when 'a' fails\n");
  CHECK(render(diagnostics, {}, Format::json).find("\"severity\": \"note\"") != std::string::npos);
  CHECK(diagnostics.ok());
  CHECK(diagnostics.warnings() == 0);
  CHECK(acceptable(diagnostics, Strictness::warnings_too));
}

TEST_CASE("of two hidden values that begin alike neither is left over") {
  const Loaded loaded =
      load_text("t.yaml",
                with_listener("upstreams: { u: { endpoints: 'a:1' } }\nroutes:\n"
                              "- { name: r, match: {}, public: true, upstream: '${env:LONG}' }\n"
                              "- { name: s, match: { path: /s }, public: true, upstream: '${env:SHORT}' }\n"
                              "- { name: '${env:LONG}', match: { path: /t }, public: true, upstream: v }\n"),
                environment({{"SHORT", "one"}, {"LONG", "one.two"}}));
  const std::string text = render(loaded.diagnostics, loaded.sources, Format::json);
  CHECK(text.find("one") == text.npos);
  CHECK(text.find("two") == text.npos);
  CHECK(text.find("route '(hidden)' uses") != text.npos);
}

TEST_CASE("a private key's file and an attribute to count by are no secrets") {
  const Loaded files = load_text("t.yaml",
                                 "listeners: { name: a, address: '127.0.0.1:0', tls: { certificates: [{ "
                                 "cert: certs/a.crt, key: certs/a.key }] } }\n",
                                 environment());
  const std::string text = render(files.diagnostics, files.sources, Format::human);
  CHECK(text.find("cannot read the private key certs/a.key: No such file") != text.npos);
  CHECK(text.find("cert: certs/a.crt, key: certs/a.key }] } }") != text.npos);
  const Loaded variable = load_text("t.yaml",
                                    "listeners: { name: a, address: '127.0.0.1:0', tls: { certificates: [{ "
                                    "cert: a.crt, key: '${env:X}' }] } }\n",
                                    environment({{"X", "hunter2.key"}}));
  const std::string hidden = render(variable.diagnostics, variable.sources, Format::human);
  CHECK(hidden.find("hunter2") == hidden.npos);
  CHECK(hidden.find("cannot read the private key (hidden)") != hidden.npos);
  const Loaded limits = load_rest(
      "plugins: { a: { type: x, on_error: y, key: client.address }, b: { on_error: y, type: x, key: "
      "[header.a, consumer.id] } }\n");
  const std::string shown = render(limits.diagnostics, limits.sources, Format::human);
  CHECK(shown.find("key: client.address }") != shown.npos);
  CHECK(shown.find("key: [header.a, consumer.id]") != shown.npos);
}

TEST_CASE("no word of the language is taken for a secret's key") {
  for (const SchemaRow& row : schema_rows()) {
    const size_t begin = row.path.rfind('.') == row.path.npos ? 0 : row.path.rfind('.') + 1;
    std::string_view word = row.path.substr(begin);
    if (word.ends_with("[]")) word.remove_suffix(2);
    CAPTURE(row.path);
    const bool secret = std::find(secret_keys.begin(), secret_keys.end(), word) != secret_keys.end();
    CHECK(secret_word(word) == (secret ? word : std::string_view()));
  }
  CHECK(secret_word("secrt") == "secret");
  CHECK(secret_word("api_key") == "api_keys");
}
