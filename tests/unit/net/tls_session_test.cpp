// Session tickets, OCSP staples, and what handshakes may cost.
#include <openssl/ocsp.h>

#include <doctest/doctest.h>

#include <cstdio>

#include "tls_clients.h"

using namespace penstock;
using namespace penstock::net;

namespace {

using Tickets = std::shared_ptr<const TicketKeys>;

// One exchange; the session that the client got. `resume` is used when it is there.
struct Visit {
  SSL_SESSION* session = nullptr;
  bool resumed = false;
  Visit(const TlsContextPointer& context, const Tickets& tickets, SSL_SESSION* resume = nullptr,
        const char* name = "one.test", int version = TLS1_3_VERSION) {
    TlsConnection c(context, 10'000, 0, 0, tickets);
    c.echo();
    c.with_client([&](int fd) {
      TlsClient client(fd);
      SSL_CTX_set_max_proto_version(client.context(), version);
      REQUIRE(client.handshake(name, resume));
      client.write("x");
      CHECK(client.read(1) == "x");
      if (version == TLS1_2_VERSION)
        session = SSL_get1_session(client.ssl());
      else if ((session = client.session()))
        SSL_SESSION_up_ref(session);
      resumed = SSL_session_reused(client.ssl()) == 1;
      client.close_notify();
    });
    CHECK(c.transport->tls()->resumed == resumed);
    const size_t kind = (version == TLS1_3_VERSION ? TlsCounters::full_1_3 : TlsCounters::full_1_2) + resumed;
    CHECK(c.server.counters.handshakes[kind] == 1);
  }
  ~Visit() { SSL_SESSION_free(session); }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;
};

TlsSettings settings_of(const TempFolder& folder, const std::string& name = "https") {
  return {.name = name,
          .certificates = {make_certificate(folder, "one", {"one.test", "two.test"}, 1)},
          .ticket_lifetime_s = 3600};
}

std::string key_line(char digit) { return std::string(160, digit) + "\n"; }

// An answer about `files`, whose issuer signs.
void write_ocsp(const std::string& path, const CertificateFiles& files, const CertificateFiles& issuer,
                long from_s, long until_s, int status = V_OCSP_CERTSTATUS_GOOD) {
  X509 *leaf = read_certificate(files.cert), *ca = read_certificate(issuer.cert);
  EVP_PKEY* key = read_private_key(issuer.key);
  OCSP_BASICRESP* basic = OCSP_BASICRESP_new();
  OCSP_CERTID* id = OCSP_cert_to_id(EVP_sha1(), leaf, ca);
  ASN1_TIME *from = X509_gmtime_adj(nullptr, from_s), *until = X509_gmtime_adj(nullptr, until_s);
  OCSP_basic_add1_status(basic, id, status, 0, from, from, until);
  OCSP_basic_sign(basic, ca, key, EVP_sha256(), nullptr, 0);
  OCSP_RESPONSE* response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
  BIO* out = BIO_new_file(path.c_str(), "w");
  i2d_OCSP_RESPONSE_bio(out, response);
  BIO_free(out);
  OCSP_RESPONSE_free(response);
  OCSP_BASICRESP_free(basic);
  OCSP_CERTID_free(id);
  ASN1_TIME_free(from);
  ASN1_TIME_free(until);
  EVP_PKEY_free(key);
  X509_free(leaf);
  X509_free(ca);
}

// The stapled answer that a client is shown; empty: none.
std::string staple_of(const TlsContextPointer& context) {
  TlsConnection c(context);
  std::string staple;
  c.with_client([&](int fd) {
    TlsClient client(fd);
    SSL_CTX_set_tlsext_status_type(client.context(), TLSEXT_STATUSTYPE_ocsp);
    CHECK(client.handshake("one.test"));
    const unsigned char* bytes = nullptr;
    const long size = SSL_get_tlsext_status_ocsp_resp(client.ssl(), &bytes);
    if (size > 0) staple.assign(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
  });
  return staple;
}

}  // namespace

TEST_CASE("a ticket lives through one rotation of the ring, with a newer one each time, and not two") {
  TempFolder folder;
  auto context = load_tls(settings_of(folder));
  for (int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    CAPTURE(version);
    TicketRing ring;
    Visit first(context, ring.keys(), nullptr, "one.test", version);
    REQUIRE(first.session != nullptr);
    Visit last(context, ring.keys(), nullptr, "one.test", version);
    ring.rotate();
    Visit renewed(context, ring.keys(), first.session, "one.test", version);
    CHECK(renewed.resumed);
    REQUIRE(renewed.session != nullptr);
    ring.rotate();
    CHECK(!Visit(context, ring.keys(), last.session, "one.test", version).resumed);
    CHECK(Visit(context, ring.keys(), renewed.session, "one.test", version).resumed);
  }
}

TEST_CASE("a ticket of the key that comes next is taken already") {
  TempFolder folder;
  auto context = load_tls(settings_of(folder));
  TicketRing ring;
  const Tickets before = ring.keys();
  ring.rotate();  // another worker heard of it first
  Visit ahead(context, ring.keys());
  CHECK(Visit(context, before, ahead.session).resumed);
}

TEST_CASE("a session goes on under its own name and on its own listener alone") {
  TempFolder folder;
  auto context = load_tls(settings_of(folder));
  auto other = load_tls(settings_of(folder, "other"));
  TicketRing ring;
  for (int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    CAPTURE(version);
    Visit first(context, ring.keys(), nullptr, "one.test", version);
    CHECK(!Visit(context, ring.keys(), first.session, "two.test", version).resumed);
    CHECK(!Visit(other, ring.keys(), first.session, "one.test", version).resumed);
    CHECK(Visit(context, ring.keys(), first.session, "one.test", version).resumed);
  }
}

TEST_CASE("without tickets no session is kept") {
  TempFolder folder;
  TlsSettings settings = settings_of(folder);
  settings.ticket_lifetime_s = 0;
  auto context = load_tls(settings);
  for (int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    Visit first(context, nullptr, nullptr, "one.test", version);
    const bool ticket = first.session != nullptr && SSL_SESSION_has_ticket(first.session) == 1;
    CHECK(!ticket);
  }
}

TEST_CASE("tickets carry no early data") {
  TempFolder folder;
  auto context = load_tls(settings_of(folder));
  TicketRing ring;
  Visit visit(context, ring.keys());
  REQUIRE(visit.session != nullptr);
  CHECK(SSL_SESSION_get_max_early_data(visit.session) == 0);
}

TEST_CASE("of a key file the first key encrypts and all decrypt, so a fleet can exchange them one by one") {
  TempFolder folder;
  auto context = load_tls(settings_of(folder));
  const std::string one = folder.write("one.keys", "# made by hand\n\n" + key_line('1'));
  const std::string both = folder.write("both.keys", key_line('2') + "  " + key_line('1'));
  auto old_keys = TicketKeys::read(one), new_keys = TicketKeys::read(both);
  REQUIRE(old_keys.has_value());
  REQUIRE(new_keys.has_value());
  Visit old_machine(context, *old_keys), new_machine(context, *new_keys);
  CHECK(Visit(context, *new_keys, old_machine.session).resumed);
  CHECK(!Visit(context, *old_keys, new_machine.session).resumed);
}

TEST_CASE("a key file that is none is one line that says where") {
  TempFolder folder;
  auto problem = [&](const std::string& text) {
    auto keys = TicketKeys::read(folder.write("keys", text));
    REQUIRE(!keys.has_value());
    return keys.error();
  };
  CHECK(problem("").find("holds no ticket key") != std::string::npos);
  CHECK(problem(key_line('1') + "abc\n").find("line 2 of") != std::string::npos);
  CHECK(problem(std::string(159, '1') + "g\n").find("line 1 of") != std::string::npos);
  CHECK(problem(key_line('1') + key_line('1')).find("repeats") != std::string::npos);
  CHECK(problem(std::string(100'000, '#')).find("too large") != std::string::npos);
  CHECK(TicketKeys::read(folder.file("none")).error().find("cannot read") != std::string::npos);
}

TEST_CASE("an OCSP answer that is good and of this certificate is stapled") {
  TempFolder folder;
  CertificateFiles ca = make_certificate(folder, "ca", CertificateRecipe{.serial = 1, .authority = true});
  CertificateFiles one =
      make_certificate(folder, "one", CertificateRecipe{.names = {"one.test"}, .serial = 2, .issuer = &ca});
  CertificateFiles two =
      make_certificate(folder, "two", CertificateRecipe{.names = {"two.test"}, .serial = 3, .issuer = &ca});
  CertificateFiles stranger = make_certificate(folder, "stranger", CertificateRecipe{.authority = true});
  one.ocsp = folder.file("one.der");
  auto load = [&](std::vector<TlsProblem>& problems) {
    return TlsServerContext::load({.certificates = {one}}, problems);
  };
  std::vector<TlsProblem> problems;
  write_ocsp(one.ocsp, one, ca, -60, 3600);
  auto context = load(problems);
  CHECK(problems.empty());
  CHECK(staple_of(context).size() > 100);

  struct Row {
    const char* says;
    std::function<void()> write;
  };
  for (const Row& row :
       {Row{"is good", [&] { write_ocsp(one.ocsp, one, ca, -60, 3600, V_OCSP_CERTSTATUS_REVOKED); }},
        Row{"no DER", [&] { folder.write("one.der", "hello"); }}}) {
    CAPTURE(row.says);
    row.write();
    problems.clear();
    CHECK(load(problems) == nullptr);
    REQUIRE(problems.size() == 1);
    CHECK(problems[0].of == TlsProblem::Of::ocsp);
    CHECK_MESSAGE(problems[0].message.find(row.says) != std::string::npos, problems[0].message);
    // Later, when the file changes under a gateway that runs, the last good one stays.
    problems.clear();
    CHECK(staple_of(context->reread(problems)).size() > 100);
    REQUIRE(problems.size() == 1);
    CHECK(problems[0].severity == TlsProblem::Severity::error);
  }
  // The middle of a renewal: it starts, and goes on, without a staple.
  std::shared_ptr<const TlsServerContext> renewed;
  for (const CertificateFiles* issuer : {&ca, &stranger}) {
    write_ocsp(one.ocsp, issuer == &ca ? two : one, *issuer, -60, 3600);
    problems.clear();
    renewed = load(problems);
    REQUIRE(problems.size() == 1);
    CHECK(problems[0].severity == TlsProblem::Severity::warning);
    CHECK(problems[0].message.find("another certificate") != std::string::npos);
    CHECK(staple_of(renewed).empty());
  }
  write_ocsp(one.ocsp, one, ca, -60, 3600);
  make_certificate(folder, "one", CertificateRecipe{.names = {"one.test"}, .serial = 4, .issuer = &ca});
  problems.clear();
  renewed = context->reread(problems);
  REQUIRE(renewed != nullptr);
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].severity == TlsProblem::Severity::warning);
  CHECK(staple_of(renewed).empty());
  write_ocsp(one.ocsp, one, ca, -7200, -3600);
  problems.clear();
  auto expired = load(problems);
  REQUIRE(expired != nullptr);
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].severity == TlsProblem::Severity::warning);
  CHECK(problems[0].message.find("has expired") != std::string::npos);
  CHECK(staple_of(expired).empty());
}

TEST_CASE("a certificate that expired is served with a warning") {
  TempFolder folder;
  std::vector<TlsProblem> problems;
  auto context = TlsServerContext::load(
      {.certificates = {make_certificate(
           folder, "old", CertificateRecipe{.names = {"one.test"}, .from_s = -7200, .until_s = -3600})}},
      problems);
  CHECK(context != nullptr);
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].severity == TlsProblem::Severity::warning);
}

TEST_CASE("of files read again, those that fit are taken and the others stay as they were") {
  TempFolder folder;
  TlsSettings settings;
  settings.name = "https";
  settings.certificates = {make_certificate(folder, "one", {"one.test"}, 1),
                           make_certificate(folder, "two", {"two.test"}, 2)};
  auto context = load_tls(settings);
  CHECK(context->files().size() == 4);
  make_certificate(folder, "one", {"one.test"}, 11);
  make_certificate(folder, "three", {"two.test"}, 12);
  std::rename(folder.file("three.pem").c_str(), folder.file("two.pem").c_str());  // its key comes later
  std::vector<TlsProblem> problems;
  auto next = context->reread(problems);
  REQUIRE(next != nullptr);
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].index == 1);
  CHECK(problems[0].message.find("does not belong") != std::string::npos);
  for (auto [name, serial] : {std::pair("one.test", 11L), std::pair("two.test", 2L)}) {
    TlsConnection c(next);
    c.with_client([&](int fd) {
      TlsClient client(fd);
      CHECK(client.handshake(name));
      CHECK(client.serial() == serial);
    });
  }
}

TEST_CASE("a client that asks to renegotiate is cut off") {
  TempFolder folder;
  TlsConnection c(load_tls(settings_of(folder)));
  c.echo();
  c.with_client([&](int fd) {
    TlsClient client(fd);
    SSL_CTX_set_max_proto_version(client.context(), TLS1_2_VERSION);
    CHECK(client.handshake("one.test"));
    client.write("x");
    CHECK(client.read(1) == "x");
    CHECK(SSL_renegotiate(client.ssl()) == 1);
    CHECK(SSL_do_handshake(client.ssl()) != 1);
    CHECK(client.alert() == SSL_AD_NO_RENEGOTIATION);
    read_all(fd);  // ends
  });
  CHECK(c.handler.errors == 1);
  CHECK(c.handler.error.text == "the peer asked to renegotiate");
}

namespace {

void update_keys(TlsClient& client, int kind = SSL_KEY_UPDATE_REQUESTED) {
  if (SSL_key_update(client.ssl(), kind) == 1) SSL_do_handshake(client.ssl());
}

}  // namespace

// Each takes as long as a large record: a few connections kept the loop from everybody else for seconds.
TEST_CASE("a client that does nothing but change its keys is ended, what is left of its read unread") {
  TempFolder folder;
  TlsConnection c(load_tls(settings_of(folder)));
  c.echo();
  int kind = SSL_KEY_UPDATE_REQUESTED;
  SUBCASE("asking for the same") {}
  SUBCASE("alone") { kind = SSL_KEY_UPDATE_NOT_REQUESTED; }
  c.with_client([&](int fd) {
    TlsClient client(fd);
    CHECK(client.handshake("one.test"));
    for (int i = 0; i < 32; ++i) update_keys(client, kind);
    client.write("x");
    CHECK(client.read(1) == "x");
    for (int i = 0; i < 10; ++i) update_keys(client, kind);
    ::shutdown(fd, SHUT_WR);
    read_all(fd);
  });
  CHECK(c.handler.errors == 1);
  CHECK(c.handler.error.text == "the peer changes its keys too often");
}

TEST_CASE("a client that changes its keys once for every few records of data is served") {
  TempFolder folder;
  TlsConnection c(load_tls(settings_of(folder)));
  c.with_client([&](int fd) {
    TlsClient client(fd);
    CHECK(client.handshake("one.test"));
    for (int i = 0; i < 200; ++i) {
      client.write(std::string(17'000, 'x'));
      update_keys(client);
    }
    client.close_notify();
  });
  c.runner.until([&] { return c.handler.ends == 1; });
  CHECK(c.handler.errors == 0);
  CHECK(c.handler.read.size() == 200 * 17'000);
}

TEST_CASE("a handshake that comes byte by byte is served") {
  TempFolder folder;
  auto context = load_tls(settings_of(folder));
  TlsConnection c(context);
  c.echo();
  c.with_client([&](int fd) {
    SSL_CTX* client_context = SSL_CTX_new(TLS_client_method());
    SSL* ssl = SSL_new(client_context);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, in, out);
    SSL_set_connect_state(ssl);
    while (SSL_do_handshake(ssl) != 1 || BIO_pending(out) > 0) {
      char byte;
      while (BIO_read(out, &byte, 1) == 1) send_all(fd, {&byte, 1});
      if (SSL_is_init_finished(ssl)) break;
      char buffer[16384];
      const ssize_t size = ::recv(fd, buffer, sizeof buffer, 0);
      REQUIRE(size > 0);
      BIO_write(in, buffer, static_cast<int>(size));
    }
    CHECK(SSL_is_init_finished(ssl));
    SSL_free(ssl);
    SSL_CTX_free(client_context);
  });
  c.runner.until([&] { return c.handshakes == 1; });
}

// A flood of connects that say nothing made every client lose its handshake in the middle.
TEST_CASE("a connection that never sent a byte is given up before a handshake that began before it") {
  TempFolder folder;
  TlsConnection begun(load_tls(settings_of(folder)));
  const std::string_view part("\x16\x03\x01\x02\x00", 5);
  send_all(begun.pair.far.get(), part);
  begun.runner.until([&] { return begun.server.begun() == 1; });
  Pair pair;
  Recorder silent_handler;
  auto silent = begun.server.accept(pair.near.release(), pair.peer, begun);
  silent->set_handler(&silent_handler);
  CHECK(begun.server.begun() == 1);
  CHECK(begun.server.give_up_oldest());
  begun.runner.until([&] { return silent_handler.errors == 1; });
  CHECK(begun.handler.errors == 0);
  CHECK(!begun.server.give_up_oldest(0, 0));  // younger than that
  CHECK(begun.server.give_up_begun(UINT64_MAX));
  begun.runner.until([&] { return begun.handler.errors == 1; });
  CHECK(begun.server.begun() == 0);
}

// A flood of ClientHellos had everybody refused who waited for a turn among them.
TEST_CASE("who has spoken and may not begin waits for us: a handshake that has stopped goes before it") {
  TempFolder folder;
  TlsConnection begun(load_tls(settings_of(folder)));
  const std::string_view part("\x16\x03\x01\x02\x00", 5);
  begun.when_asked = [&] { return begun.server.begun() == 0; };
  Pair pair;
  Recorder asking_handler;
  auto asking = begun.server.accept(pair.near.release(), pair.peer, begun);  // older than the other
  asking->set_handler(&asking_handler);
  send_all(begun.pair.far.get(), part);
  begun.runner.until([&] { return begun.server.begun() == 1; });
  int asked = 0;
  begun.when_asked = [&] { return ++asked > 0 && begun.server.begun() == 0; };
  send_all(pair.far.get(), part);
  begun.runner.until([&] { return asked > 0; });
  CHECK(begun.server.give_up_oldest());
  CHECK(!begun.server.give_up_oldest());
  begun.runner.until([&] { return begun.handler.errors == 1 && begun.server.begun() == 1; });
  CHECK(asking_handler.errors == 0);
}

TEST_CASE(
    "a client whose next bytes have come is spared once, and has its time anew with each of its messages") {
  TempFolder folder;
  TlsConnection c(load_tls(settings_of(folder)));
  const std::string_view part("\x16\x03\x01\x02\x00", 5);
  send_all(c.pair.far.get(), part);
  c.runner.until([&] { return c.server.begun() == 1; });
  send_all(c.pair.far.get(), part);
  CHECK(!c.server.give_up_begun(UINT64_MAX));
  CHECK(!c.server.give_up_begun(UINT64_MAX));  // there was no time to read them
  c.runner.until([&] { return c.server.give_up_begun(UINT64_MAX); });
}

TEST_CASE("a handshake is made under the rules of when it begins, not of when its connection was accepted") {
  Clients files;
  TlsConnection c(load_tls(files.settings(ClientAuth::none)));
  std::weak_ptr<const TlsServerContext> before;
  {
    auto context = load_tls(files.settings(ClientAuth::none));
    before = context;
    c.server.serve(context, nullptr);
  }
  Pair pair;
  Recorder silent_handler;
  auto silent = c.server.accept(pair.near.release(), pair.peer, c);
  silent->set_handler(&silent_handler);
  c.server.serve(load_tls(files.settings(ClientAuth::required)), nullptr);
  CHECK(before.expired());
  c.with_client([&](int fd) {
    TlsClient client(fd);
    client.handshake("one.test");
    client.read(1);
  });
  CHECK(c.failures(TlsFailure::client_certificate) == 1);
  CHECK(c.handshakes == 0);
}

TEST_CASE("a server in a hurry waits a moment for silent clients, and for those that have stopped") {
  TempFolder folder;
  TlsConnection c(load_tls(settings_of(folder)), 600'000);
  SUBCASE("silent") { c.server.hurry({.silent_ms = 20, .begun_ms = 600'000}); }
  SUBCASE("accepted later") {
    c.server.hurry({.silent_ms = 20, .begun_ms = 600'000});
    Pair pair;
    Recorder late;
    auto transport = c.server.accept(pair.near.release(), pair.peer, c);
    transport->set_handler(&late);
    c.runner.until([&] { return late.errors == 1; });
  }
  SUBCASE("begun") {
    send_all(c.pair.far.get(), std::string_view("\x16\x03\x01\x02\x00", 5));
    c.runner.until([&] { return c.server.begun() == 1; });
    c.server.hurry({.silent_ms = 600'000, .begun_ms = 20});
  }
  SUBCASE("begun in it") {
    c.server.hurry({.silent_ms = 600'000, .begun_ms = 20});
    send_all(c.pair.far.get(), std::string_view("\x16\x03\x01\x02\x00", 5));
  }
  SUBCASE("asking") {
    c.when_asked = [] { return false; };
    c.server.hurry({.silent_ms = 600'000, .begun_ms = 20});
    send_all(c.pair.far.get(), std::string_view("\x16\x03\x01\x02\x00", 5));
  }
  c.runner.until([&] { return c.handler.errors == 1; });
  CHECK(c.failures(TlsFailure::timeout) >= 1);
  CHECK(c.server.begun() == 0);
}

TEST_CASE("a handshake that may not begin yet waits with its first bytes and begins later") {
  TempFolder folder;
  TlsConnection c(load_tls(settings_of(folder)));
  c.echo();
  int asked = 0;
  c.when_asked = [&] { return ++asked == 3; };
  c.with_client([&](int fd) {
    TlsClient client(fd);
    CHECK(client.handshake("one.test"));
    client.write("x");
    CHECK(client.read(1) == "x");
  });
  CHECK(asked == 3);
  CHECK(c.handshakes == 1);
}

TEST_CASE("a client that may not begin yet and sends more than a ClientHello is refused, with nothing kept") {
  TempFolder folder;
  TlsConnection c(load_tls(settings_of(folder)));
  c.when_asked = [] { return false; };
  send_all(c.pair.far.get(), "\x16" + std::string(10'000, 'x'));
  c.runner.until([&] { return c.handler.errors == 1; });
  CHECK(c.failures(TlsFailure::refused) == 1);
  CHECK(c.runner.loop.blocks().held() == 0);
}

TEST_CASE("the oldest silent handshake can be given up, those that wait for us cannot") {
  TempFolder folder;
  auto context = load_tls(settings_of(folder));
  TlsConnection c(context);
  CHECK(c.server.give_up_oldest());
  CHECK(!c.server.give_up_oldest());
  CHECK(c.handler.errors == 0);  // never inside the call
  c.runner.until([&] { return c.handler.errors == 1; });
  CHECK(c.failures(TlsFailure::evicted) == 1);
  CHECK(read_all(c.pair.far.get()).empty());
}
