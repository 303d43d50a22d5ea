// What a TLS listener accepts: parameters, names, kinds of certificates, clients' certificates.
#include <doctest/doctest.h>

#include "tls_clients.h"

using namespace penstock;
using namespace penstock::net;

namespace {

std::vector<TlsProblem> problems_of(TlsSettings settings) {
  std::vector<TlsProblem> problems;
  TlsServerContext::load(std::move(settings), problems);
  return problems;
}

// Whether a client with this certificate (null: none) is served; under TLS 1.3 it hears of a refusal at its
// first read.
bool served(const TlsContextPointer& context, const CertificateFiles* shown, int version, TlsConnection& c) {
  (void)context;
  c.echo();
  bool got = false;
  c.with_client([&](int fd) {
    TlsClient client(fd);
    SSL_CTX_set_max_proto_version(client.context(), version);
    if (shown) client.show(*shown);
    if (!client.handshake("one.test")) return;
    client.write("x");
    got = client.read(1) == "x";
    if (got) client.close_notify();
  });
  return got;
}

}  // namespace

TEST_CASE("what OpenSSL does not offer by that name is a problem at its place in the list") {
  TempFolder folder;
  CertificateFiles one = make_certificate(folder, "one", {"one.test"}, 1);
  const TlsSettings plain{.certificates = {one}};
  CHECK(problems_of(plain).empty());
  auto check = [&](TlsSettings settings, TlsProblem::Of of, size_t index) {
    const auto problems = problems_of(std::move(settings));
    REQUIRE(problems.size() == 1);
    CHECK(problems[0].of == of);
    CHECK(problems[0].index == index);
    CHECK(problems[0].severity == TlsProblem::Severity::error);
  };
  for (const char* word : {"HIGH", "ALL", "!aNULL", "@SECLEVEL=0", "", "nonsense", "TLS_AES_128_GCM_SHA256",
                           "ECDHE-RSA-AES128-GCM-SHA256:HIGH"}) {
    CAPTURE(word);
    TlsSettings settings = plain;
    settings.ciphers = {"ECDHE-RSA-AES128-GCM-SHA256", word};
    check(settings, TlsProblem::Of::cipher, 1);
  }
  for (const char* word : {"ECDHE-RSA-AES128-GCM-SHA256", "TLS_NO_SUCH", "DEFAULT"}) {
    CAPTURE(word);
    TlsSettings settings = plain;
    settings.ciphersuites = {word};
    check(settings, TlsProblem::Of::ciphersuite, 0);
  }
  for (const char* word : {"X25520", "X25519:P-256", "?X25519", ""}) {
    CAPTURE(word);
    TlsSettings settings = plain;
    settings.groups = {"X25519", word};
    check(settings, TlsProblem::Of::group, 1);
  }
  TlsSettings good = plain;
  good.ciphers = {"ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-GCM-SHA256"};
  good.ciphersuites = {"TLS_CHACHA20_POLY1305_SHA256"};
  good.groups = {"P-384"};
  CHECK(problems_of(good).empty());
}

TEST_CASE("suites that nobody should speak, or that a listener cannot, are told one by one") {
  TempFolder folder;
  struct Row {
    const char *name, *says;
    bool refused;
  };
  for (const Row& row :
       {Row{"AECDH-AES128-SHA", "is anonymous", true}, Row{"ADH-AES128-SHA", "is anonymous", true},
        Row{"ECDHE-ECDSA-NULL-SHA", "does not encrypt", true}, Row{"NULL-SHA256", "does not encrypt", true},
        Row{"EXP-RC4-MD5", "is no TLS 1.2 cipher suite", true},
        Row{"DHE-RSA-AES128-GCM-SHA256", "needs Diffie-Hellman parameters", true},
        Row{"PSK-AES128-GCM-SHA256", "needs a secret", true},
        Row{"AES128-GCM-SHA256", "has no forward secrecy", false},
        Row{"ECDHE-ECDSA-AES128-SHA", "is weak", false}}) {
    CAPTURE(row.name);
    const auto problems = problems_of({.certificates = {make_certificate(folder, "one", {"one.test"}, 1)},
                                       .ciphers = {"ECDHE-ECDSA-AES128-GCM-SHA256", row.name}});
    REQUIRE(problems.size() == 1);
    CHECK(problems[0].of == TlsProblem::Of::cipher);
    CHECK(problems[0].index == 1);
    CHECK((problems[0].severity == TlsProblem::Severity::error) == row.refused);
    CHECK_MESSAGE(problems[0].message.find(row.says) != std::string::npos, problems[0].message);
  }
}

TEST_CASE("ciphers or groups with which nobody could connect are told") {
  TempFolder folder;
  const CertificateFiles ec = make_certificate(folder, "ec", {"one.test"}, 1);
  const CertificateFiles rsa =
      make_certificate(folder, "rsa", {.names = {"two.test"}, .serial = 2, .key = "RSA"});
  auto only = [&](const TlsSettings& settings) {
    const auto problems = problems_of(settings);
    REQUIRE(problems.size() == 1);
    return problems[0];
  };
  TlsSettings settings{.certificates = {ec}, .ciphers = {"ECDHE-RSA-AES128-GCM-SHA256"}};
  CHECK(only(settings).severity == TlsProblem::Severity::warning);
  CHECK(only(settings).message.find("no TLS 1.2 client") != std::string::npos);
  settings.max_version = TlsVersion::v1_2;
  CHECK(only(settings).severity == TlsProblem::Severity::error);
  CHECK(only(settings).of == TlsProblem::Of::cipher);
  CHECK(only(settings).message.find("nobody") != std::string::npos);
  // Of two certificates one is beyond reach; of two for the same name the other serves.
  settings.certificates = {rsa, ec};
  CHECK(only(settings).of == TlsProblem::Of::certificate);
  CHECK(only(settings).index == 1);
  settings.certificates = {rsa, make_certificate(folder, "both", {"two.test"}, 3)};
  CHECK(problems_of(settings).empty());

  TlsSettings groups{.certificates = {ec}, .groups = {"ffdhe2048", "ffdhe3072"}};
  CHECK(only(groups).severity == TlsProblem::Severity::warning);
  groups.max_version = TlsVersion::v1_2;
  CHECK(only(groups).severity == TlsProblem::Severity::error);
  CHECK(only(groups).of == TlsProblem::Of::group);
  groups.groups = {"ffdhe2048", "P-256"};
  CHECK(problems_of(groups).empty());
}

TEST_CASE("configured suites, groups and versions are those that are spoken, in the order written") {
  TempFolder folder;
  TlsSettings settings{.certificates = {make_certificate(folder, "one", {"one.test"}, 1)}};
  settings.ciphers = {"ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-GCM-SHA256"};
  settings.ciphersuites = {"TLS_CHACHA20_POLY1305_SHA256"};
  settings.groups = {"P-384"};
  SUBCASE("TLS 1.2") {
    settings.max_version = TlsVersion::v1_2;
    TlsConnection c(load_tls(settings));
    c.with_client([](int fd) {
      TlsClient client(fd);
      CHECK(client.handshake());
      CHECK(std::string(SSL_get_version(client.ssl())) == "TLSv1.2");
      CHECK(std::string(SSL_get_cipher_name(client.ssl())) == "ECDHE-ECDSA-CHACHA20-POLY1305");
    });
  }
  SUBCASE("TLS 1.3") {
    TlsConnection c(load_tls(settings));
    c.with_client([](int fd) {
      TlsClient client(fd);
      CHECK(client.handshake());
      CHECK(std::string(SSL_get_cipher_name(client.ssl())) == "TLS_CHACHA20_POLY1305_SHA256");
      CHECK(SSL_get_negotiated_group(client.ssl()) == NID_secp384r1);
    });
  }
  SUBCASE("nothing in common") {
    TlsConnection c(load_tls(settings));
    c.with_client([](int fd) {
      TlsClient client(fd);
      SSL_CTX_set_ciphersuites(client.context(), "TLS_AES_256_GCM_SHA384");
      SSL_CTX_set_min_proto_version(client.context(), TLS1_3_VERSION);
      CHECK(!client.handshake());
      CHECK(client.alert() == SSL_AD_HANDSHAKE_FAILURE);
    });
    c.runner.until([&] { return c.handler.errors == 1; });
    CHECK(c.failures(TlsFailure::parameters) == 1);
  }
}

TEST_CASE("ECDSA and RSA stand side by side for one name, and the client's signature algorithms choose") {
  TempFolder folder;
  TlsSettings settings;
  settings.certificates = {
      make_certificate(folder, "rsa", {.names = {"one.test", "two.test"}, .serial = 1, .key = "RSA"}),
      make_certificate(folder, "ec", {"one.test"}, 2), make_certificate(folder, "other", {"three.test"}, 3)};
  auto context = load_tls(settings);
  struct Row {
    const char *name, *algorithms;
    long serial;
  };
  for (const Row& row :
       {Row{"one.test", "rsa_pss_rsae_sha256", 1}, Row{"one.test", "ecdsa_secp256r1_sha256", 2},
        Row{"two.test", "rsa_pss_rsae_sha256:ecdsa_secp256r1_sha256", 1},
        Row{"three.test", "rsa_pss_rsae_sha256:ecdsa_secp256r1_sha256", 3},
        Row{"unknown.test", "ecdsa_secp256r1_sha256", 2}}) {
    CAPTURE(row.name);
    CAPTURE(row.algorithms);
    TlsConnection c(context);
    c.with_client([&](int fd) {
      TlsClient client(fd);
      SSL_CTX_set1_sigalgs_list(client.context(), row.algorithms);
      CHECK(client.handshake(row.name));
      CHECK(client.serial() == row.serial);
    });
  }
  CHECK(context->select("one.test") == 0);
  CHECK(context->select("three.test") == 2);
}

TEST_CASE("a certificate that no name can get is a warning") {
  TempFolder folder;
  const auto problems = problems_of({.certificates = {make_certificate(folder, "one", {"one.test"}, 1),
                                                      make_certificate(folder, "again", {"ONE.test"}, 2)}});
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].severity == TlsProblem::Severity::warning);
  CHECK(problems[0].index == 1);
  CHECK(problems[0].message.find("never shown") != std::string::npos);
}

TEST_CASE("with unknown names refused, only names of certificates are served") {
  TempFolder folder;
  auto context = load_tls({.certificates = {make_certificate(folder, "one", {"one.test", "*.wild.test"}, 1)},
                           .unknown_name = UnknownName::refuse});
  struct Row {
    const char* name;
    bool served;
  };
  for (const Row& row :
       {Row{"one.test", true}, Row{"ONE.TEST.", true}, Row{"a.wild.test", true}, Row{"a.b.wild.test", false},
        Row{"wild.test", false}, Row{"two.test", false}, Row{nullptr, false}}) {
    CAPTURE((row.name ? row.name : "none"));
    for (int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      TlsConnection c(context);
      c.with_client([&](int fd) {
        TlsClient client(fd);
        SSL_CTX_set_max_proto_version(client.context(), version);
        CHECK(client.handshake(row.name) == row.served);
        if (!row.served) CHECK(client.alert() == SSL_AD_UNRECOGNIZED_NAME);
      });
      if (row.served) continue;
      c.runner.until([&] { return c.handler.errors == 1; });
      CHECK(c.failures(TlsFailure::unknown_name) == 1);
    }
  }
}

TEST_CASE("client certificates: none is fine where optional, a bad one nowhere") {
  Clients files;
  struct Row {
    ClientAuth mode;
    const CertificateFiles* shown;
    bool served;
  };
  for (int version : {TLS1_2_VERSION, TLS1_3_VERSION})
    for (const Row& row :
         {Row{ClientAuth::optional, nullptr, true}, Row{ClientAuth::optional, &files.good, true},
          Row{ClientAuth::optional, &files.stranger, false}, Row{ClientAuth::optional, &files.expired, false},
          Row{ClientAuth::required, nullptr, false}, Row{ClientAuth::required, &files.good, true},
          Row{ClientAuth::required, &files.stranger, false}, Row{ClientAuth::none, &files.stranger, true}}) {
      CAPTURE(version);
      CAPTURE(static_cast<int>(row.mode));
      CAPTURE((row.shown ? row.shown->cert : "none"));
      auto context = load_tls(files.settings(row.mode));
      TlsConnection c(context);
      CHECK(served(context, row.shown, version, c) == row.served);
      if (row.served) {
        const bool known = row.shown && row.mode != ClientAuth::none;
        CHECK((c.transport->tls()->client_certificate() != nullptr) == known);
        continue;
      }
      c.runner.until([&] { return c.handler.errors == 1; });
      CHECK(c.handshakes == 0);
      CHECK(c.failures(TlsFailure::client_certificate) == 1);
    }
}

TEST_CASE("a verified client is described by subject, names and fingerprint, also when it resumes") {
  Clients files;
  auto context = load_tls(files.settings(ClientAuth::required));
  const TicketRing ring;
  SSL_SESSION* session = nullptr;
  for (bool resumed : {false, true}) {
    TlsConnection c(context, 10'000, 0, 0, ring.keys());
    c.echo();
    c.with_client([&](int fd) {
      TlsClient client(fd);
      client.show(files.good);
      CHECK(client.handshake("one.test", session));
      client.write("x");
      CHECK(client.read(1) == "x");
      if (!resumed) SSL_SESSION_up_ref(session = client.session());
      client.close_notify();
    });
    CHECK(c.transport->tls()->resumed == resumed);
    const ClientCertificate* shown = c.transport->tls()->client_certificate();
    REQUIRE(shown != nullptr);
    CHECK(shown->subject == "CN=Müller\\, A,O=Example");
    CHECK(shown->issuer == "CN=ca");
    CHECK(shown->serial == "0c");
    CHECK(shown->names ==
          std::vector<std::string>{"DNS:a.test", "URI:spiffe://x/y", "email:a@b.test", "IP:192.0.2.7"});
    CHECK(shown->fingerprint.size() == 64);
    CHECK(shown->fingerprint.find_first_not_of("0123456789abcdef") == std::string::npos);
    CHECK(shown->not_after > time(nullptr));
    CHECK(c.transport->tls()->client_certificate() == shown);
  }
  SSL_SESSION_free(session);
}

TEST_CASE("a revoked client is refused, and its ticket of before is worth nothing") {
  Clients files;
  TlsSettings settings = files.settings(ClientAuth::required);
  settings.client_crl = files.crl({99});
  auto context = load_tls(settings);
  const TicketRing ring;
  SSL_SESSION* session = nullptr;
  {
    TlsConnection c(context, 10'000, 0, 0, ring.keys());
    c.echo();
    c.with_client([&](int fd) {
      TlsClient client(fd);
      client.show(files.good);
      CHECK(client.handshake("one.test"));
      client.write("x");
      CHECK(client.read(1) == "x");
      SSL_SESSION_up_ref(session = client.session());
      client.close_notify();
    });
  }
  files.crl({99, 12});
  std::vector<TlsProblem> problems;
  auto next = context->reread(problems);
  REQUIRE(problems.empty());
  TlsConnection c(next, 10'000, 0, 0, ring.keys());
  c.with_client([&](int fd) {
    TlsClient client(fd);
    client.show(files.good);
    if (client.handshake("one.test", session)) client.read(1);
    CHECK(SSL_session_reused(client.ssl()) == 0);
    CHECK(client.alert() == SSL_AD_CERTIFICATE_REVOKED);
  });
  SSL_SESSION_free(session);
  c.runner.until([&] { return c.handler.errors == 1; });
  CHECK(c.failures(TlsFailure::client_certificate) == 1);
}

TEST_CASE("a CA or a CRL that is none is a problem of its own") {
  Clients files;
  const std::string text = files.folder.write("text.pem", "hello\n");
  TlsSettings settings = files.settings(ClientAuth::required);
  settings.client_ca = text;
  REQUIRE(problems_of(settings).size() == 1);
  CHECK(problems_of(settings)[0].of == TlsProblem::Of::client_ca);
  settings = files.settings(ClientAuth::required);
  settings.client_crl = text;
  REQUIRE(problems_of(settings).size() == 1);
  CHECK(problems_of(settings)[0].of == TlsProblem::Of::client_crl);
  settings.client_crl = files.ca.cert;
  CHECK(problems_of(settings).size() == 1);
}

TEST_CASE("a chain longer than depth is refused") {
  TempFolder folder;
  CertificateFiles server = make_certificate(folder, "server", {"one.test"}, 1);
  CertificateFiles root = make_certificate(folder, "root", CertificateRecipe{.serial = 2, .authority = true});
  CertificateFiles middle =
      make_certificate(folder, "middle", CertificateRecipe{.serial = 3, .issuer = &root, .authority = true});
  CertificateFiles client =
      make_certificate(folder, "client", CertificateRecipe{.serial = 4, .issuer = &middle});
  for (uint32_t depth : {0u, 1u}) {
    auto context = load_tls({.certificates = {server},
                             .client_auth = ClientAuth::required,
                             .client_ca = root.cert,
                             .client_depth = depth});
    TlsConnection c(context);
    CHECK(served(context, &client, TLS1_3_VERSION, c) == (depth == 1));
  }
}
