// Credentials of consumers that are names in a certificate, or have a secret.
#include "config_support.h"

using namespace penstock::config;
using namespace penstock::config::test;

namespace {

std::string told(std::string_view credentials) {
  return joined(
      lines(load_rest(fmt::format("consumers: [{{ name: a, credentials: {{ {} }} }}]\n", credentials))));
}

}  // namespace

TEST_CASE("credentials of certificates are kept in the one form that is compared") {
  std::string colons = "AB";
  for (int i = 1; i < 32; ++i) colons += ":AB";
  const Loaded loaded = load_rest(
      "consumers:\n- name: a\n  credentials:\n    mtls_subjects: ['CN=Billing, O=Example']\n"
      "    mtls_sans: ['DNS:A.example', 'IP:2001:DB8::1']\n    mtls_fingerprints: '" +
      colons + "'\n");
  REQUIRE(joined(lines(loaded)) == "");
  const Consumer& a = loaded.config.consumers.at(0);
  CHECK(a.mtls_subjects.at(0).value == "cn=billing,o=example,");
  CHECK(a.mtls_sans.at(0).value == "DNS:a.example");
  CHECK(a.mtls_sans.at(1).value == "IP:2001:db8::1");
  std::string digits;
  for (int i = 0; i < 32; ++i) digits += "ab";
  CHECK(a.mtls_fingerprints.at(0).value == digits);
  CHECK(a.mtls_subjects.at(0).at.line == 5);
}

TEST_CASE("credentials that name nothing are errors at their places, and are not quoted") {
  CHECK(told("mtls_subjects: [billing, 'CN=b']") ==
        "2:55 error[bad-value] the subject is no RFC 4514 text\n");
  CHECK(told("mtls_sans: ['a.example']") == "2:51 error[bad-value] the name is no alternative name\n");
  CHECK(told("mtls_fingerprints: [ab]") ==
        "2:59 error[bad-value] the fingerprint is no SHA-256 of a certificate\n");
  CHECK(told("basic: [{ username: 'a:b', password: '$2b$x' }]") ==
        "2:59 error[bad-value] a username is not empty and has no colon\n");
  CHECK(told("basic: [{ username: a, password: swordfish }]") ==
        "2:72 warning[literal-secret] a secret is written out in the configuration\n"
        "2:72 error[bad-value] the password is no hash of bcrypt or argon2\n");
  CHECK(told("basic: [{ username: a, password: '$argon2id$v=19$x' }]") == "");
  CHECK(told("basic: [{ username: a }]") ==
        "2:47 error[missing-key] 'password' is missing under consumers.a.credentials.basic[0]\n");
  CHECK(told("hmac: [{ id: a, secret: short }]") ==
        "2:63 warning[literal-secret] a secret is written out in the configuration\n"
        "2:63 error[bad-value] the secret is shorter than 16 bytes\n");
}

TEST_CASE("a credential of two consumers is an error with both places, however it is written") {
  const auto shared = [](std::string_view first, std::string_view second) {
    const Loaded loaded = load_rest(fmt::format(
        "consumers:\n- {{ name: a, credentials: {{ {} }} }}\n- {{ name: b, credentials: {{ {} }} }}\n", first,
        second));
    std::string out;
    for (const Diagnostic& item : loaded.diagnostics.all())
      if (item.code == "shared-credential")
        out += fmt::format("{} {}: {}\n", item.at.line, item.related.line, item.message);
    return out;
  };
  CHECK(shared("mtls_subjects: ['CN=x,O=y']", "mtls_subjects: ['commonName=X, o=Y']") ==
        "4 3: a certificate's subject of consumer 'b' already belongs to 'a'\n");
  CHECK(shared("mtls_sans: ['DNS:a.b']", "mtls_sans: ['dns:A.B.']") ==
        "4 3: a certificate's name of consumer 'b' already belongs to 'a'\n");
  CHECK(shared("basic: [{ username: u, password: $2b$1 }]", "basic: [{ username: u, password: $2b$2 }]") ==
        "4 3: a user's name of consumer 'b' already belongs to 'a'\n");
  CHECK(
      shared("hmac: [{ id: u, secret: 0123456789abcdef }]", "hmac: [{ id: u, secret: 0123456789abcdeF }]") ==
      "4 3: a key's id of consumer 'b' already belongs to 'a'\n");
  CHECK(shared("basic: [{ username: u, password: $2b$1 }]", "hmac: [{ id: u, secret: 0123456789abcdef }]") ==
        "");
}

TEST_CASE("no secret of a consumer is ever shown in a quoted line") {
  const Loaded loaded = load_rest(
      "consumers: [{ name: a, credentials: { basic: [{ username: u, password: swordfish }],\n"
      "  hmac: [{ id: i, secret: shorty }] } }]\n");
  const std::string shown = render(loaded.diagnostics, loaded.sources, Format::human);
  CHECK(shown.find("swordfish") == std::string::npos);
  CHECK(shown.find("shorty") == std::string::npos);
  CHECK(shown.find("bcrypt") != std::string::npos);
}

TEST_CASE("mtls where no listener of the route asks for client certificates is a warning") {
  const auto told_with = [](std::string_view tls, std::string_view route) {
    Folder folder;
    for (const char* name : {"c", "k", "ca"}) folder.write(name, "x");
    const Loaded loaded = load(
        folder.write("t.yaml", fmt::format("listeners:\n- {{ name: plain, address: '127.0.0.1:0' }}\n"
                                           "- {{ name: https, address: '127.0.0.1:0', tls: {{ certificates: "
                                           "[{{ cert: c, key: k }}]{} }} }}\n"
                                           "plugins: {{ clients: {{ type: mtls }} }}\n"
                                           "routes: [{{ name: r, match: {{ path: /x }}, auth: clients, "
                                           "respond: {{ status: 200 }}{} }}]\n",
                                           tls, route)),
        environment());
    std::string out;
    for (const Diagnostic& item : loaded.diagnostics.all())
      if (item.code == "no-client-certificates") out += item.message + "\n";
    return out;
  };
  const std::string warning =
      "'clients' lets nobody in on route 'r': none of its listeners asks for client certificates\n";
  CHECK(told_with("", "") == warning);
  CHECK(told_with(", client_auth: { ca: ca, mode: none }", "") == warning);
  CHECK(told_with(", client_auth: { ca: ca, mode: optional }", "") == "");
  CHECK(told_with(", client_auth: { ca: ca }", ", listeners: https") == "");
  CHECK(told_with(", client_auth: { ca: ca }", ", listeners: plain") == warning);
}
