// The `tls:` of a listener: what its keys become, and what is told of wrong ones.
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
