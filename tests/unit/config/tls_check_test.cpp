// The `tls:` of a listener and of an upstream: what their keys become, and what is told of wrong ones.
#include "config_support.h"

using namespace penstock::config;
using namespace penstock::config::test;

namespace {

// A listener whose certificate is there.
std::string listener(const std::string& tls) {
  return "listeners: [{ name: a, address: '127.0.0.1:0', tls: { certificates: [{ cert: one.crt, key: one.key "
         "}], " +
         tls + " } }]\n";
}

Loaded load_tls(const std::string& tls) {
  static Folder folder;
  for (const char* name : {"one.crt", "one.key", "ca.crt", "ca.crl", "one.der", "tickets"})
    folder.write(name, "content of a file\n");
  return load(folder.write("t.yaml", listener(tls)), environment());
}

Loaded load_upstream(const std::string& upstream, const std::string& defaults = {}) {
  static Folder folder;
  for (const char* name : {"ours.crt", "ours.key", "ca.crt"}) folder.write(name, "content of a file\n");
  return load(folder.write("u.yaml", "listeners: [{ name: a, address: '127.0.0.1:0' }]\n" + defaults +
                                         "upstreams: { u: { endpoints: 'a.test:443', " + upstream + " } }\n"),
              environment());
}

const std::optional<UpstreamTls>& upstream_tls(const Loaded& loaded) {
  return loaded.config.upstreams.at(0).tls;
}

std::string told_of_upstream(const std::string& upstream) {
  std::string out;
  const Loaded loaded = load_upstream(upstream);
  for (const Diagnostic& one : loaded.diagnostics.all())
    if (one.code != "readable-secret" && one.code != "unused-upstream")
      out += std::string(one.code) + " " + one.path + " " + one.message + "\n";
  return out;
}

const ListenerTls& tls_of(const Loaded& loaded) { return loaded.config.listeners.at(0).tls.value(); }

std::string told(const std::string& tls) {
  std::string out;
  const Loaded loaded = load_tls(tls);
  for (const Diagnostic& one : loaded.diagnostics.all())
    if (one.code != "readable-secret") out += std::string(one.code) + ": " + one.message + "\n";
  return out;
}

}  // namespace

TEST_CASE("a TLS listener without further keys has the built-in ones") {
  const Loaded loaded = load_tls("");
  const ListenerTls& tls = tls_of(loaded);
  CHECK(tls.min_version == TlsVersion::tls_1_2);
  CHECK(tls.max_version == TlsVersion::tls_1_3);
  CHECK(tls.ciphers.empty());
  CHECK(tls.unknown_sni == UnknownSni::first_certificate);
  CHECK(tls.client_auth.mode == ClientAuth::Mode::none);
  CHECK(tls.tickets.use == SessionTickets::Use::on);
  CHECK(tls.tickets.rotate == std::chrono::hours(12));
  CHECK(tls.tickets.max_age == std::chrono::hours(24));
  CHECK(tls.handshake_timeout == std::chrono::seconds(10));
  CHECK(tls.max_handshakes == 1000);
  CHECK_FALSE(tls.hsts.has_value());
}

TEST_CASE("every key of tls: is taken") {
  const Loaded loaded = load_tls(
      "min_version: TLSv1.2, max_version: TLSv1.2, ciphers: [A, B], ciphersuites: C, groups: [D], "
      "unknown_sni: reject, client_auth: { ca: ca.crt, crl: ca.crl, mode: optional, depth: 2 }, "
      "tickets: { rotate: 1h, max_age: 2d, key_file: tickets }, handshake_timeout: 3s, max_handshakes: 7, "
      "hsts: { max_age: 2y, include_subdomains: true, preload: true }");
  CHECK(loaded.diagnostics.errors() == 0);
  const ListenerTls& tls = tls_of(loaded);
  CHECK(tls.max_version == TlsVersion::tls_1_2);
  REQUIRE(tls.ciphers.size() == 2);
  CHECK(tls.ciphers[1].name == "B");
  CHECK(tls.ciphersuites.size() == 1);
  CHECK(tls.groups.size() == 1);
  CHECK(tls.unknown_sni == UnknownSni::reject);
  CHECK(tls.client_auth.mode == ClientAuth::Mode::optional);
  CHECK(tls.client_auth.ca.path.ends_with("/ca.crt"));
  CHECK(tls.client_auth.crl.path.ends_with("/ca.crl"));
  CHECK(tls.client_auth.depth == 2);
  CHECK(tls.tickets.rotate == std::chrono::hours(1));
  CHECK(tls.tickets.max_age == std::chrono::hours(48));
  CHECK(tls.tickets.key_file.path.ends_with("/tickets"));
  CHECK(tls.handshake_timeout == std::chrono::seconds(3));
  CHECK(tls.max_handshakes == 7);
  CHECK(tls.hsts->max_age == std::chrono::hours(2 * 365 * 24));
  CHECK(tls.hsts->scope == Hsts::Scope::subdomains);
  CHECK(tls.hsts->preload == Hsts::Preload::yes);
}

TEST_CASE("short forms: client_auth without a mode is required, hsts is its max_age, tickets may be off") {
  const Loaded loaded = load_tls("client_auth: { ca: ca.crt }, hsts: 365d, tickets: none");
  CHECK(loaded.diagnostics.errors() == 0);
  CHECK(tls_of(loaded).client_auth.mode == ClientAuth::Mode::required);
  CHECK(tls_of(loaded).hsts->max_age == std::chrono::hours(365 * 24));
  CHECK(tls_of(loaded).hsts->scope == Hsts::Scope::host);
  CHECK(tls_of(loaded).tickets.use == SessionTickets::Use::off);
}

TEST_CASE("what is wrong under tls: is told") {
  CHECK(told("min_version: TLSv1.3, max_version: TLSv1.2") ==
        "bad-value: max_version is older than min_version, nobody could connect\n");
  CHECK(told("min_version: TLSv1.3, ciphers: [A]") ==
        "no-effect: ciphers are those of TLS 1.2, which min_version excludes\n");
  CHECK(told("max_version: TLSv1.2, ciphersuites: [A]") ==
        "no-effect: ciphersuites are those of TLS 1.3, which max_version excludes\n");
  CHECK(told("tickets: { max_age: 8d }").starts_with("out-of-range: "));
  CHECK(told("groups: []") == "bad-value: 'groups' is empty, nobody could connect\n");
  CHECK(told("client_auth: { mode: optional }") ==
        "missing-key: 'ca' is missing under listeners.a.tls.client_auth\n");
  CHECK(told("hsts: { max_age: 30d, preload: true }").starts_with("no-effect: "));
  CHECK(told("tickets: { rotate: 90d }").starts_with("out-of-range: "));
  CHECK(told("unknown_sni: refuse") == "bad-value: unknown_sni 'refuse' is not one of default, reject\n");
  CHECK(told("client_auth: { ca: nope.crt }").starts_with("missing-file: cannot read the CA"));
  CHECK(told("tickets: { key_file: nope }").starts_with("missing-file: cannot read the ticket keys"));
  CHECK(told("max_handshake: 7").starts_with("unknown-key: "));
}

TEST_CASE("every key of an upstream's tls: is taken, and an empty one is TLS with what is built in") {
  const Loaded whole = load_upstream(
      "tls: { server_name: docs.internal, ca: ca.crt, cert: ours.crt, key: ours.key, min_version: TLSv1.3 }");
  CHECK(whole.diagnostics.errors() == 0);
  REQUIRE(upstream_tls(whole).has_value());
  CHECK(upstream_tls(whole)->server_name == "docs.internal");
  CHECK(upstream_tls(whole)->ca.path.ends_with("/ca.crt"));
  CHECK(upstream_tls(whole)->cert.path.ends_with("/ours.crt"));
  CHECK(upstream_tls(whole)->key.path.ends_with("/ours.key"));
  CHECK(upstream_tls(whole)->min_version == TlsVersion::tls_1_3);
  const Loaded empty = load_upstream("tls: {}");
  CHECK(empty.diagnostics.errors() == 0);
  REQUIRE(upstream_tls(empty).has_value());
  CHECK(upstream_tls(empty)->server_name.empty());
  CHECK(upstream_tls(empty)->ca.path.empty());
  CHECK(upstream_tls(empty)->min_version == TlsVersion::tls_1_2);
  CHECK(!upstream_tls(load_upstream("protocol: auto")).has_value());
}

TEST_CASE("TLS by default is for every upstream that does not say none") {
  const std::string defaults = "defaults: { upstream: { tls: { ca: ca.crt } } }\n";
  const Loaded merged = load_upstream("tls: { server_name: 10.0.0.1 }", defaults);
  REQUIRE(upstream_tls(merged).has_value());
  CHECK(upstream_tls(merged)->ca.path.ends_with("/ca.crt"));
  CHECK(upstream_tls(merged)->server_name == "10.0.0.1");
  CHECK(upstream_tls(load_upstream("balance: random", defaults)).has_value());
  const Loaded plain = load_upstream("tls: none", defaults);
  CHECK(plain.diagnostics.errors() == 0);
  CHECK(!upstream_tls(plain).has_value());
}

TEST_CASE("what cannot be TLS to a backend is told at its place") {
  CHECK(told_of_upstream("tls: { server_name: 'a b' }") ==
        "bad-host upstreams.u.tls.server_name server_name 'a b' is no host name or IP address\n");
  CHECK(told_of_upstream("tls: { server_name: 'a.test:443' }").starts_with("bad-host"));
  CHECK(told_of_upstream("tls: { server_name: '::1' }").empty());
  for (const char* name : {".com", ".example.com", "a..test", ".", "[::1]", "none"}) {
    CAPTURE(name);
    CHECK(told_of_upstream(fmt::format("tls: {{ server_name: '{}' }}", name)).starts_with("bad-host"));
  }
  CHECK(told_of_upstream("tls: { cert: ours.crt }") ==
        "missing-key upstreams.u.tls.key 'key' is missing beside 'cert'\n");
  CHECK(told_of_upstream("tls: { key: ours.key }") ==
        "missing-key upstreams.u.tls.cert 'cert' is missing beside 'key'\n");
  CHECK(told_of_upstream("tls: { ca: absent.crt }").find("upstreams.u.tls.ca") != std::string::npos);
  CHECK(told_of_upstream("tls: { verify: false }").starts_with("unknown-key upstreams.u.tls.verify"));
  CHECK(told_of_upstream("tls: true").starts_with("wrong-type upstreams.u.tls"));
  CHECK(told_of_upstream("tls:").find("upstreams.u.tls") != std::string::npos);
  CHECK(told_of_upstream("protocol: auto, http2: { stream_window: 64KiB }").starts_with("no-effect"));
  CHECK(told_of_upstream("tls: {}, protocol: auto, http2: { stream_window: 64KiB }").empty());
}
