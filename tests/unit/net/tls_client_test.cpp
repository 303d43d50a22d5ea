#include <doctest/doctest.h>

#include <cstdlib>

#include "base/reason.h"
#include "tls_backends.h"

using namespace penstock;
using namespace penstock::net;

namespace {

// Whether a connection under these settings comes about, and why not.
struct Attempted {
  bool open;
  Error error;
  std::string asked_name;  // SNI
};
Attempted attempt(const CertificateFiles& shown, const TlsClientSettings& settings, const std::string& host) {
  TlsBackend backend(shown);
  backend.echo_next();
  LoopRunner runner;
  TlsPeer peer(host);
  Attempted out;
  {
    Opening opening(runner, backend.address(), load_client(settings), peer);
    opening.wait();
    out.open = opening.open();
    out.error = opening.error;
  }
  runner.turns(2);
  backend.wait();
  out.asked_name = backend.asked_name();
  return out;
}

std::string problem_of(const TlsClientSettings& settings) {
  std::vector<TlsProblem> problems;
  AuthorityFiles files;
  const bool loaded = TlsClientContext::load(settings, files, problems) != nullptr;
  REQUIRE(problems.size() <= 1);
  return (loaded ? "" : "refused: ") + (problems.empty() ? std::string() : problems[0].message);
}

}  // namespace

TEST_CASE("a verified session carries an echo, whichever version, and describes itself") {
  BackendFiles files;
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsBackend backend(files.good);
    backend.only(version);
    backend.echo_next();
    LoopRunner runner;
    TlsPeer peer("elsewhere.test");
    Opening opening(runner, backend.address(), load_client(files.settings()), peer);
    REQUIRE(opening.wait().open());
    const TlsInfo& tls = *opening.transport->tls();
    CHECK(tls.version == (version == TLS1_3_VERSION ? "TLSv1.3" : "TLSv1.2"));
    CHECK(tls.cipher.find("GCM") != std::string_view::npos);
    CHECK(tls.server_name == "a.test");
    CHECK(!tls.resumed);
    CHECK(opening.transport->peer() == backend.address());
    CHECK(opening.transport->local().valid());
    const uint64_t before = opening.transport->bytes_written();
    const std::string large(300'000, 'x');
    opening.send(large);
    runner.until([&] { return opening.handler.read.size() == large.size(); });
    CHECK(opening.handler.read == large);
    CHECK(opening.transport->bytes_written() > before + large.size());
    opening.transport->shutdown();
    runner.until([&] { return opening.handler.ends == 1; });
    CHECK(opening.transport->truncated());  // this server ends with a FIN alone
    CHECK(backend.asked_name() == "a.test");
  }
}

TEST_CASE(
    "a certificate that is not for the server, not now or of nobody trusted is refused with its reason") {
  BackendFiles files;
  const CertificateFiles own = make_certificate(files.folder, "own", {"a.test"}, 20);
  const CertificateFiles stranger = make_certificate(
      files.folder, "stranger", CertificateRecipe{.names = {"a.test"}, .issuer = &files.other_ca});
  const CertificateFiles expired =
      files.signed_by_ca("expired", {.names = {"a.test"}, .from_s = -7200, .until_s = -3600});
  const CertificateFiles early =
      files.signed_by_ca("early", {.names = {"a.test"}, .from_s = 3600, .until_s = 7200});
  const CertificateFiles client = files.signed_by_ca("client", {.names = {"a.test"}, .usage = "clientAuth"});
  const CertificateFiles common = files.signed_by_ca("a.test", {});
  struct Row {
    const char* what;
    const CertificateFiles& shown;
    const char* name;
    std::string_view reason;  // empty: taken
  };
  for (const Row& row : {
           Row{"as asked for", files.good, "a.test", ""},
           Row{"in another case, with a dot", files.good, "A.Test.", ""},
           Row{"a wildcard's", files.good, "b.wild.test", ""},
           Row{"two labels under a wildcard", files.good, "c.b.wild.test", reason::upstream_tls_name},
           Row{"the wildcard's own parent", files.good, "wild.test", reason::upstream_tls_name},
           Row{"another name", files.good, "b.test", reason::upstream_tls_name},
           Row{"an address", files.good, "127.0.0.1", ""},
           Row{"another address", files.good, "127.0.0.2", reason::upstream_tls_name},
           Row{"another address, IPv6", files.good, "::1", reason::upstream_tls_name},
           Row{"in the common name alone", common, "a.test", reason::upstream_tls_name},
           Row{"self-signed", own, "a.test", reason::upstream_tls_certificate},
           Row{"of another CA", stranger, "a.test", reason::upstream_tls_certificate},
           Row{"for clients", client, "a.test", reason::upstream_tls_certificate},
           Row{"expired", expired, "a.test", reason::upstream_tls_expired},
           Row{"not valid yet", early, "a.test", reason::upstream_tls_expired},
       }) {
    CAPTURE(row.what);
    // As the settings' name, and as the endpoint's own.
    for (const bool by_settings : {true, false}) {
      const Attempted got = attempt(row.shown, files.settings(by_settings ? row.name : ""),
                                    by_settings ? "elsewhere.test" : row.name);
      CHECK(got.open == row.reason.empty());
      CHECK(got.error.reason == row.reason);
      if (got.open) continue;
      CHECK(got.error.kind == ErrorKind::tls);
      CHECK(got.error.source == ErrorSource::upstream);
      CHECK(got.error.retry == Retry::yes);
      CHECK(!got.error.text.empty());
    }
  }
}

TEST_CASE("a name is sent as SNI in its normal form, an address never") {
  BackendFiles files;
  CHECK(attempt(files.good, files.settings("A.test."), "x").asked_name == "a.test");
  CHECK(attempt(files.good, files.settings(""), "b.wild.test").asked_name == "b.wild.test");
  CHECK(attempt(files.good, files.settings("127.0.0.1"), "a.test").asked_name.empty());
  // Nothing to check is no pass.
  const Attempted nameless = attempt(files.good, files.settings(""), "");
  CHECK(!nameless.open);
}

TEST_CASE("without a CA the system's authorities are trusted, and none other") {
  BackendFiles files;
  TlsClientSettings settings = files.settings();
  settings.ca.clear();
  ::setenv("SSL_CERT_FILE", files.ca.cert.c_str(), 1);
  CHECK(attempt(files.good, settings, "").open);
  ::setenv("SSL_CERT_FILE", files.other_ca.cert.c_str(), 1);
  CHECK(attempt(files.good, settings, "").error.reason == reason::upstream_tls_certificate);
  ::setenv("SSL_CERT_FILE", "/nowhere/at.all", 1);
  CHECK(problem_of(settings).find("cannot read the system's CA certificates '/nowhere/at.all'") == 9);
  ::unsetenv("SSL_CERT_FILE");
}

TEST_CASE("files that cannot be used are told, each as what it is") {
  BackendFiles files;
  TlsClientSettings settings = files.settings();
  settings.ca = files.folder.file("absent");
  CHECK(problem_of(settings).starts_with("refused: cannot read CA '"));
  settings.ca = files.good.key;
  CHECK(problem_of(settings).find("is no PEM file of CA certificates") != std::string::npos);
  settings = files.settings();
  settings.identity = {files.good.cert, files.ca.key, {}};
  CHECK(problem_of(settings).find("does not belong to certificate") != std::string::npos);
  settings.identity = {files.good.cert, files.good.cert, {}};
  CHECK(problem_of(settings).find("is no usable PEM private key") != std::string::npos);
  const CertificateFiles old = files.signed_by_ca("old", {.names = {}, .from_s = -7200, .until_s = -3600});
  settings.identity = old;
  CHECK(problem_of(settings).starts_with("certificate '" + old.cert + "' has expired on 20"));
}

TEST_CASE("two contexts have one digest only if they do the same") {
  BackendFiles files;
  const TlsClientSettings settings = files.settings();
  const auto digest = load_client(settings)->digest();
  CHECK(load_client(settings)->digest() == digest);
  auto other = [&](auto change) {
    TlsClientSettings changed = settings;
    change(changed);
    return load_client(changed)->digest() != digest;
  };
  CHECK(other([](auto& s) { s.server_name = "b.test"; }));
  CHECK(other([](auto& s) { s.min_version = TlsVersion::v1_3; }));
  CHECK(other([](auto& s) { s.alpn = {"h2"}; }));
  CHECK(other([&](auto& s) { s.ca = files.other_ca.cert; }));
  CHECK(other([&](auto& s) { s.identity = files.good; }));
  // The same path with other content.
  make_certificate(files.folder, "ca", CertificateRecipe{.names = {}, .serial = 99, .authority = true});
  CHECK(load_client(settings)->digest() != digest);
}

TEST_CASE("a client certificate is shown to a server that asks, and its refusal has a reason") {
  BackendFiles files;
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    for (const bool shows : {true, false}) {
      CAPTURE(version);
      CAPTURE(shows);
      TlsClientSettings settings = files.settings();
      if (shows) settings.identity = files.good;
      TlsBackend backend(files.good);
      backend.only(version);
      SSL_CTX_load_verify_locations(backend.context(), files.ca.cert.c_str(), nullptr);
      SSL_CTX_set_verify(backend.context(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
      backend.echo_next();
      LoopRunner runner;
      TlsPeer peer("");
      Opening opening(runner, backend.address(), load_client(settings), peer);
      opening.wait();
      if (shows) {
        REQUIRE(opening.open());
        opening.send("hello");
        runner.until([&] { return opening.handler.read == "hello"; });
        continue;
      }
      // A server of TLS 1.3 judges it when the handshake is over for us.
      const bool late = version == TLS1_3_VERSION;
      CHECK(opening.open() == late);
      if (late) runner.until([&] { return opening.handler.errors == 1; });
      const Error& error = late ? opening.handler.error : opening.error;
      CHECK(error.reason == reason::upstream_tls_refused);
      CHECK(error.kind == ErrorKind::tls);
      CHECK(error.source == ErrorSource::upstream);
      if (late) CHECK(error.text.find("certificate") != std::string_view::npos);
    }
  }
}

TEST_CASE("a server of no version, suite or protocol of ours is told apart from one that breaks off") {
  BackendFiles files;
  struct Row {
    const char* what;
    std::function<void(TlsBackend&)> set;
    TlsVersion minimum;
    std::string_view reason;
  };
  for (const Row& row : {
           Row{"TLS 1.2 where 1.3 is the minimum", [](TlsBackend& b) { b.only(TLS1_2_VERSION); },
               TlsVersion::v1_3, reason::upstream_tls_refused},
           Row{"TLS 1.2 at the minimum", [](TlsBackend& b) { b.only(TLS1_2_VERSION); }, TlsVersion::v1_2, ""},
           Row{"TLS 1.1",
               [](TlsBackend& b) {
                 SSL_CTX_set_security_level(b.context(), 0);
                 b.only(TLS1_1_VERSION);
               },
               TlsVersion::v1_2, reason::upstream_tls_refused},
           Row{"CBC alone",
               [](TlsBackend& b) {
                 b.only(TLS1_2_VERSION);
                 SSL_CTX_set_cipher_list(b.context(), "ECDHE-ECDSA-AES128-SHA256");
               },
               TlsVersion::v1_2, reason::upstream_tls_refused},
           Row{"another protocol", [](TlsBackend& b) { b.choose_protocol("\x02h2"); }, TlsVersion::v1_2,
               reason::upstream_tls_protocol},
           Row{"our protocol", [](TlsBackend& b) { b.choose_protocol("\x02h2\x08http/1.1"); },
               TlsVersion::v1_2, ""},
       }) {
    CAPTURE(row.what);
    TlsBackend backend(files.good);
    row.set(backend);
    backend.echo_next();
    LoopRunner runner;
    TlsPeer peer("");
    TlsClientSettings settings = files.settings();
    settings.min_version = row.minimum;
    Opening opening(runner, backend.address(), load_client(settings), peer);
    opening.wait();
    CHECK(opening.error.reason == row.reason);
    CHECK(opening.open() == row.reason.empty());
  }
}

TEST_CASE("what a server says instead of a handshake ends it, with a reason, at once") {
  BackendFiles files;
  struct Row {
    const char* what;
    std::string answer;
    std::string_view reason;
  };
  std::string garbage(70'000, '\0');
  for (size_t i = 0; i < garbage.size(); ++i) garbage[i] = static_cast<char>(i * 7919 >> 3);
  for (const Row& row : {
           Row{"plain HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", reason::upstream_tls_handshake},
           Row{"garbage", garbage, reason::upstream_tls_handshake},
           Row{"an end", "", reason::upstream_tls_handshake},
           Row{"part of a record", std::string("\x16\x03\x03\x40\x00\x02", 6),
               reason::upstream_tls_handshake},
           Row{"a record too long", std::string("\x16\x03\x03\xff\xff\x02", 6),
               reason::upstream_tls_handshake},
           Row{"an alert", std::string("\x15\x03\x03\x00\x02\x02\x28", 7), reason::upstream_tls_refused},
           Row{"a name that it does not know", std::string("\x15\x03\x03\x00\x02\x02\x70", 7),
               reason::upstream_tls_refused},
       }) {
    CAPTURE(row.what);
    TlsBackend backend(files.good);
    backend.next_raw([&](int fd) {
      char hello[4096];
      if (::recv(fd, hello, sizeof(hello), 0) > 0) send_all(fd, row.answer);
      ::shutdown(fd, SHUT_WR);
      read_all(fd);
    });
    LoopRunner runner;
    TlsPeer peer("");
    Opening opening(runner, backend.address(), load_client(files.settings()), peer);
    opening.wait();
    CHECK(!opening.open());
    CHECK(opening.error.reason == row.reason);
    CHECK(opening.error.retry == Retry::yes);
    runner.turns(2);
  }
}

TEST_CASE("a server that says nothing, or stops half-way, is given up when the time for connecting is over") {
  BackendFiles files;
  for (const bool begins : {false, true}) {
    TlsBackend backend(files.good);
    backend.next_raw([&](int fd) {
      char hello[4096];
      CHECK(::recv(fd, hello, sizeof(hello), 0) > 0);
      if (begins) send_all(fd, std::string_view("\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03", 11));
      read_all(fd);  // until it is given up
    });
    LoopRunner runner;
    TlsPeer peer("");
    Opening opening(runner, backend.address(), load_client(files.settings()), peer, 100);
    opening.wait();
    CHECK(opening.error.kind == ErrorKind::timeout);
    CHECK(opening.error.reason == reason::upstream_connect_timeout);
    CHECK(opening.told == 1);
    runner.turns(2);
  }
}

TEST_CASE("a connection that is not wanted any more ends within its handshake") {
  BackendFiles files;
  TlsBackend backend(files.good);
  std::promise<void> began, over;
  backend.next_raw([&](int fd) {
    char hello[4096];
    CHECK(::recv(fd, hello, sizeof(hello), 0) > 0);
    began.set_value();
    CHECK(read_all(fd).empty());
    over.set_value();
  });
  LoopRunner runner;
  TlsPeer peer("");
  Opening opening(runner, backend.address(), load_client(files.settings()), peer);
  auto begun = began.get_future(), ended = over.get_future();
  runner.until([&] { return begun.wait_for(std::chrono::seconds(0)) == std::future_status::ready; });
  opening.connect.reset();
  runner.until([&] { return ended.wait_for(std::chrono::seconds(0)) == std::future_status::ready; });
  CHECK(opening.told == 0);
}

TEST_CASE("an end is whole with close_notify alone, and a record that was changed ends the session") {
  BackendFiles files;
  for (const char how : {'n', 'f', 'r'}) {
    CAPTURE(how);
    TlsBackend backend(files.good);
    backend.next([&](SSL* ssl, bool accepted) {
      REQUIRE(accepted);
      SSL_write(ssl, "answer", 6);
      if (how == 'n') SSL_shutdown(ssl);
      if (how == 'r')
        send_all(SSL_get_fd(ssl), std::string("\x17\x03\x03\x00\x20", 5) + std::string(32, 'x'));
      ::shutdown(SSL_get_fd(ssl), SHUT_WR);
      read_all(SSL_get_fd(ssl));
    });
    LoopRunner runner;
    TlsPeer peer("");
    Opening opening(runner, backend.address(), load_client(files.settings()), peer);
    REQUIRE(opening.wait().open());
    runner.until([&] { return opening.handler.ends + opening.handler.errors > 0; });
    CHECK(opening.handler.read == "answer");
    CHECK(opening.handler.errors == (how == 'r' ? 1 : 0));
    if (how != 'r') CHECK(opening.transport->truncated() == (how == 'f'));
    opening.transport.reset();
    runner.turns(2);
  }
}

TEST_CASE("a server that renegotiates, or changes keys or renews tickets without end, is cut off") {
  BackendFiles files;
  for (const char what : {'r', 'k', 't'}) {
    CAPTURE(what);
    TlsBackend backend(files.good);
    backend.only(what == 'r' ? TLS1_2_VERSION : TLS1_3_VERSION);
    backend.next([&](SSL* ssl, bool accepted) {
      REQUIRE(accepted);
      for (int i = 0; i < 200; ++i) {
        if (what == 'r') SSL_renegotiate(ssl);
        if (what == 'k') SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
        if (what == 't') SSL_new_session_ticket(ssl);
        if (SSL_do_handshake(ssl) != 1) break;
      }
      read_all(SSL_get_fd(ssl));
    });
    LoopRunner runner;
    TlsPeer peer("");
    Opening opening(runner, backend.address(), load_client(files.settings()), peer);
    REQUIRE(opening.wait().open());
    runner.until([&] { return opening.handler.errors == 1; });
    CHECK(opening.handler.error.kind == ErrorKind::tls);
    CHECK(opening.handler.error.text == (what == 'r'   ? "the backend asked to renegotiate"
                                         : what == 'k' ? "the backend changes its keys too often"
                                                       : "the backend renews its tickets too often"));
    CHECK(peer.sessions() <= TlsPeer::max_sessions);
    opening.transport.reset();
    runner.turns(2);
  }
}

TEST_CASE("many handshakes at once all come about, a bounded share of them in a turn") {
  BackendFiles files;
  constexpr int count = 60;
  TlsBackend backend(files.good);
  for (int i = 0; i < count; ++i) backend.echo_next();
  LoopRunner runner;
  TlsPeer peer("");
  const ClientContext context = load_client(files.settings());
  std::vector<std::unique_ptr<Opening>> openings;
  for (int i = 0; i < count; ++i)
    openings.push_back(std::make_unique<Opening>(runner, backend.address(), context, peer));
  for (auto& opening : openings) CHECK(opening->wait().open());
  openings.clear();
  runner.turns(2);
}
