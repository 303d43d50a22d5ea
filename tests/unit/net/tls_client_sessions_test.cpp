// Which sessions connections to servers go on from.
#include <doctest/doctest.h>

#include "base/reason.h"
#include "tls_backends.h"

using namespace penstock;
using namespace penstock::net;

namespace {

// Connections to one backend, one after the other, each with an echo, so that tickets have come.
struct Sequence {
  explicit Sequence(const CertificateFiles& shown) : backend(shown) {}

  // Whether it was resumed.
  bool connect(const ClientContext& context) {
    backend.echo_next();
    Opening opening(runner, backend.address(), context, peer);
    REQUIRE(opening.wait().open());
    opening.send("x");
    runner.until([&] { return opening.handler.read == "x"; });
    const bool resumed = opening.transport->tls()->resumed;
    opening.transport->close_gracefully(0);
    opening.transport.reset();
    runner.turns(2);
    backend.wait();
    return resumed;
  }

  TlsBackend backend;
  LoopRunner runner;
  TlsPeer peer{"a.test"};
};

}  // namespace

TEST_CASE("a further connection goes on from a session, a ticket of TLS 1.3 is shown once") {
  BackendFiles files;
  const ClientContext context = load_client(files.settings());
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    CAPTURE(version);
    Sequence sequence(files.good);
    sequence.backend.only(version);
    CHECK(!sequence.connect(context));
    CHECK(sequence.peer.sessions() == (version == TLS1_3_VERSION ? 2 : 1));
    CHECK(sequence.connect(context));
    CHECK(sequence.connect(context));
    // One was shown and one came in its place; a session of TLS 1.2 stays and is one alone.
    CHECK(sequence.peer.sessions() == (version == TLS1_3_VERSION ? 2 : 1));
    SSL_CTX_set_num_tickets(sequence.backend.context(), 0);
    if (version != TLS1_3_VERSION) continue;
    CHECK(sequence.connect(context));
    CHECK(sequence.peer.sessions() == 1);
    CHECK(sequence.connect(context));
    CHECK(sequence.peer.sessions() == 0);
    CHECK(!sequence.connect(context));
  }
}

TEST_CASE("no session goes on under another context or another name") {
  BackendFiles files;
  const ClientContext context = load_client(files.settings("")), other = load_client(files.settings(""));
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    Sequence sequence(files.good);
    sequence.backend.only(version);
    CHECK(!sequence.connect(context));
    CHECK(!sequence.connect(other));
    CHECK(sequence.connect(other));
    sequence.peer.set_host("a.test");
    CHECK(sequence.connect(other));
    sequence.peer.set_host("b.wild.test");
    CHECK(sequence.peer.sessions() == 0);
    CHECK(!sequence.connect(other));
    CHECK(sequence.connect(other));
  }
}

TEST_CASE("a ticket that comes after the server got another name is not kept") {
  BackendFiles files;
  const ClientContext context = load_client(files.settings(""));
  for (const bool renamed : {false, true}) {
    CAPTURE(renamed);
    Sequence sequence(files.good);
    sequence.backend.only(TLS1_3_VERSION);
    SSL_CTX_set_num_tickets(sequence.backend.context(), 0);
    sequence.backend.next([](SSL* ssl, bool accepted) {
      CHECK(accepted);
      char byte;
      CHECK(SSL_read(ssl, &byte, 1) == 1);
      CHECK(SSL_new_session_ticket(ssl) == 1);
      CHECK(SSL_write(ssl, &byte, 1) == 1);
    });
    Opening opening(sequence.runner, sequence.backend.address(), context, sequence.peer);
    REQUIRE(opening.wait().open());
    if (renamed) sequence.peer.set_host("b.other.test");
    opening.send("x");
    sequence.runner.until([&] { return opening.handler.read == "x"; });
    CHECK(sequence.peer.sessions() == (renamed ? 0 : 1));
    opening.transport->close_gracefully(0);
    opening.transport.reset();
    sequence.runner.turns(2);
    sequence.backend.wait();
    if (!renamed) continue;
    // Its certificate is not for that name, which a session from before would hide.
    sequence.backend.next([](SSL*, bool accepted) { CHECK(!accepted); });
    Opening again(sequence.runner, sequence.backend.address(), context, sequence.peer);
    again.wait();
    CHECK(again.error.reason == reason::upstream_tls_name);
    sequence.backend.wait();
    sequence.runner.turns(2);
  }
}

TEST_CASE("a session ends with the certificate that was verified for it") {
  BackendFiles files;
  const ClientContext context = load_client(files.settings());
  const CertificateFiles brief = files.signed_by_ca("brief", {.names = {"a.test"}, .until_s = 1000});
  Sequence sequence(brief);
  CHECK(!sequence.connect(context));
  const int64_t now = wall_clock_s();
  TlsPeer::Session taken = sequence.peer.take(context, now + 900);
  CHECK(taken.session != nullptr);
  CHECK(taken.until_s <= now + 1000);
  sequence.peer.keep(*context, sequence.peer.naming(), taken);
  CHECK(sequence.connect(context));  // what comes of a resumption lasts no longer
  const size_t kept = sequence.peer.sessions();
  CHECK(kept > 0);
  CHECK(sequence.peer.take(context, now + 1001).session == nullptr);
  CHECK(sequence.peer.sessions() == 0);
}

TEST_CASE("a session of a long certificate ends a day after its full handshake") {
  BackendFiles files;
  const CertificateFiles lasting =
      files.signed_by_ca("lasting", {.names = {"a.test"}, .until_s = 30 * 86'400});
  // The CA's own end counts as well.
  const CertificateFiles ca = make_certificate(
      files.folder, "long-ca", CertificateRecipe{.names = {}, .until_s = 40 * 86'400, .authority = true});
  const CertificateFiles leaf = make_certificate(
      files.folder, "leaf", CertificateRecipe{.names = {"a.test"}, .until_s = 30 * 86'400, .issuer = &ca});
  TlsClientSettings settings = files.settings();
  const int64_t now = wall_clock_s();
  {
    Sequence sequence(lasting);
    const ClientContext context = load_client(settings);
    sequence.connect(context);
    CHECK(sequence.peer.take(context, now + 3700).session == nullptr);
  }
  settings.ca = ca.cert;
  Sequence sequence(leaf);
  const ClientContext context = load_client(settings);
  sequence.connect(context);
  CHECK(sequence.peer.take(context, now + TlsPeer::max_age_s + 60).session == nullptr);
}

TEST_CASE("a resumption that fails leaves no session behind") {
  BackendFiles files;
  const ClientContext context = load_client(files.settings());
  Sequence sequence(files.good);
  sequence.backend.only(TLS1_2_VERSION);
  CHECK(!sequence.connect(context));
  CHECK(sequence.peer.sessions() == 1);
  sequence.backend.next_raw([](int fd) {
    char hello[4096];
    CHECK(::recv(fd, hello, sizeof(hello), 0) > 0);
    send_all(fd, std::string_view("\x15\x03\x03\x00\x02\x02\x28", 7));
    read_all(fd);
  });
  Opening opening(sequence.runner, sequence.backend.address(), context, sequence.peer);
  opening.wait();
  CHECK(opening.error.reason == reason::upstream_tls_refused);
  CHECK(sequence.peer.sessions() == 0);
  sequence.runner.turns(2);
}
