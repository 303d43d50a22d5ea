// A resumption grants nothing that a full handshake of that moment would refuse, and nothing for ever.
#include <doctest/doctest.h>

#include <string>
#include <utility>

#include "net/tls_hello.h"
#include "tls_clients.h"

using namespace penstock;
using namespace penstock::net;

namespace {

using Session =
    std::unique_ptr<SSL_SESSION, decltype([](SSL_SESSION* session) { SSL_SESSION_free(session); })>;

struct Came {
  bool served = false, resumed = false;
  Session session;
  TicketRefusal refused = TicketRefusal::none;
};

// One exchange of a client, with its certificate where it has one, that asks to go on with `resume`.
struct Visitor {
  TlsContextPointer context;
  const CertificateFiles* shown = nullptr;
  int version = TLS1_3_VERSION;
  TicketRing ring = {};

  Came come(const char* name = "one.test", SSL_SESSION* resume = nullptr) const {
    TlsConnection c(context, 10'000, 0, 0, ring.keys());
    c.echo();
    Came came;
    // OpenSSL offers a session of TLS 1.3 only once.
    const Session offered(resume ? SSL_SESSION_dup(resume) : nullptr);
    c.with_client([&](int fd) {
      TlsClient client(fd);
      SSL_CTX_set_max_proto_version(client.context(), version);
      if (shown) client.show(*shown);
      if (!client.handshake(name, offered.get())) return;
      client.write("x");
      came.served = client.read(1) == "x";
      came.resumed = SSL_session_reused(client.ssl()) == 1;
      if (!came.served) return;
      came.session.reset(SSL_get1_session(client.ssl()));
      client.close_notify();
    });
    if (!came.served) c.runner.until([&] { return c.handler.errors == 1; });
    CHECK(c.failures(TlsFailure::client_certificate) == (came.served ? 0 : 1));
    const auto& counts = c.server.counters.refused_tickets;
    for (size_t i = 0; i < counts.size(); ++i)
      if (counts[i] == 1) came.refused = static_cast<TicketRefusal>(i);
    return came;
  }
};

std::string ticket_of(const Came& came) {
  const unsigned char* bytes = nullptr;
  size_t size = 0;
  SSL_SESSION_get0_ticket(came.session.get(), &bytes, &size);
  return {reinterpret_cast<const char*>(bytes), size};
}

constexpr std::array both_versions{TLS1_2_VERSION, TLS1_3_VERSION};

// A session of now goes on until `until_s` from now; from then on its client is refused.
void check_ends(const TlsSettings& settings, const CertificateFiles& client, int64_t until_s) {
  for (int version : both_versions) {
    CAPTURE(version);
    Visitor visitor{load_tls(settings), &client, version};
    const Came first = visitor.come();
    REQUIRE(first.served);
    {
      ClockAhead ahead(until_s - 60);
      const Came again = visitor.come("one.test", first.session.get());
      CHECK(again.resumed);
      CHECK(again.refused == TicketRefusal::none);
    }
    ClockAhead ahead(until_s);
    const Came late = visitor.come("one.test", first.session.get());
    CHECK(!late.served);
    CHECK(!late.resumed);
    CHECK(late.refused == TicketRefusal::none);  // counted where a full handshake succeeds
  }
}

}  // namespace

TEST_CASE("a session ends with the CRL under which its client was verified") {
  Clients files;
  TlsSettings settings = files.settings(ClientAuth::required);
  settings.client_crl = files.crl({99}, 600);
  check_ends(settings, files.good, 600);
}

TEST_CASE("a session ends with its client's certificate") {
  Clients files;
  const CertificateFiles brief =
      make_certificate(files.folder, "brief", {.serial = 20, .until_s = 600, .issuer = &files.ca});
  check_ends(files.settings(ClientAuth::optional), brief, 600);
}

TEST_CASE("a session ends with the CA of its client") {
  Clients files;
  const CertificateFiles ca =
      make_certificate(files.folder, "brief-ca", {.serial = 21, .until_s = 600, .authority = true});
  const CertificateFiles client = make_certificate(files.folder, "client", {.serial = 22, .issuer = &ca});
  TlsSettings settings = files.settings(ClientAuth::required);
  settings.client_ca = ca.cert;
  check_ends(settings, client, 600);
}

TEST_CASE("a session ends with an intermediate that its client sent along") {
  Clients files;
  const CertificateFiles middle = make_certificate(
      files.folder, "middle", {.serial = 23, .until_s = 600, .issuer = &files.ca, .authority = true});
  const CertificateFiles client = make_certificate(files.folder, "client", {.serial = 24, .issuer = &middle});
  check_ends(files.settings(ClientAuth::required), client, 600);
}

TEST_CASE("a session whose client may be verified anew goes on with a full handshake") {
  Clients files;
  TlsSettings settings = files.settings(ClientAuth::required);
  settings.client_crl = files.crl({99}, 600);
  Visitor visitor{load_tls(settings), &files.good};
  const Came first = visitor.come();
  // The list is renewed in time; that alone ends sessions of before, whoever it revokes.
  files.crl({99}, 7200);
  std::vector<TlsProblem> problems;
  visitor.context = visitor.context->reread(problems);
  REQUIRE(problems.empty());
  const Came next = visitor.come("one.test", first.session.get());
  CHECK(next.served);
  CHECK(!next.resumed);
  CHECK(next.refused == TicketRefusal::rules);
  CHECK(visitor.come("one.test", next.session.get()).resumed);
}

TEST_CASE("where certificates are optional, a session without one goes on as such") {
  Clients files;
  for (int version : both_versions) {
    Visitor visitor{load_tls(files.settings(ClientAuth::optional)), nullptr, version};
    const Came first = visitor.come();
    CHECK(visitor.come("one.test", first.session.get()).resumed);
  }
}

TEST_CASE("each resumption of TLS 1.3 brings a ticket for the next, since clients show one only once") {
  Clients files;
  const Visitor visitor{load_tls(files.settings(ClientAuth::none))};
  Came last = visitor.come();
  for (int i = 0; i < 4; ++i) {
    Came next = visitor.come("one.test", last.session.get());
    CHECK(next.resumed);
    CHECK(ticket_of(next) != ticket_of(last));
    last = std::move(next);
  }
}

TEST_CASE("a session is no younger for being resumed: max_age counts from the full handshake") {
  Clients files;
  TlsSettings settings = files.settings(ClientAuth::none);
  settings.ticket_max_age_s = 1000;
  for (int version : both_versions) {
    CAPTURE(version);
    Visitor visitor{load_tls(settings), nullptr, version};
    const Came first = visitor.come();
    visitor.ring.rotate();  // under TLS 1.2, too, the client gets a newer ticket
    Came renewed;
    {
      ClockAhead ahead(900);
      renewed = visitor.come("one.test", first.session.get());
      CHECK(renewed.resumed);
      if (version == TLS1_3_VERSION)
        CHECK(SSL_SESSION_get_ticket_lifetime_hint(renewed.session.get()) <= 100);
    }
    ClockAhead ahead(1000);
    const Came late = visitor.come("one.test", renewed.session.get());
    CHECK(late.served);
    CHECK(!late.resumed);
    CHECK(late.refused == TicketRefusal::age);
  }
}

TEST_CASE("a session under a name that no certificate has goes on under that name") {
  Clients files;
  for (int version : both_versions) {
    CAPTURE(version);
    Visitor visitor{load_tls(files.settings(ClientAuth::none)), nullptr, version};
    for (const char* name : {"unknown.test", static_cast<const char*>(nullptr)}) {
      const Came first = visitor.come(name);
      CHECK(visitor.come(name, first.session.get()).resumed);
      const Came other = visitor.come("other.test", first.session.get());
      CHECK(other.served);
      CHECK(!other.resumed);
      CHECK(other.refused == TicketRefusal::name);
    }
  }
}

TEST_CASE("a ticket of an older key leads to a full handshake, and is counted") {
  Clients files;
  Visitor visitor{load_tls(files.settings(ClientAuth::none))};
  const Came first = visitor.come();
  visitor.ring = TicketRing();
  const Came next = visitor.come("one.test", first.session.get());
  CHECK(!next.resumed);
  CHECK(next.refused == TicketRefusal::unknown_key);
}

TEST_CASE("the server name of a ClientHello is read as RFC 6066 writes it, or not at all") {
  using namespace std::string_literals;
  CHECK(read_server_name("\0\x0b\0\0\x08One.Test"s) == "one.test");
  CHECK(read_server_name("\0\x0c\0\0\x09one.test."s) == "one.test");
  for (const std::string& bad :
       {""s, "\0"s, "\0\0"s, "\0\x03\0\0\0"s,                  // no name
        "\0\x0b\x01\0\x08one.test"s,                           // of a type that nobody defined
        "\0\x0a\0\0\x08one.test"s, "\0\x0c\0\0\x08one.test"s,  // lengths that disagree
        "\0\x0b\0\0\x07one.test"s, "\0\x0b\0\0\x09one.test"s,
        "\0\x0b\0\0\x08one.te\0t"s,                    // NUL
        "\0\x16\0\0\x08one.test\0\0\x08two.test"s,     // two names
        "\x01\x03\0\x01\0"s + std::string(256, 'a')})  // too long
    CHECK_MESSAGE(!read_server_name(bad), bad);
}

namespace {

std::string client_hello() {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL* ssl = SSL_new(context);
  BIO* out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl, BIO_new(BIO_s_mem()), out);
  SSL_set_connect_state(ssl);
  SSL_do_handshake(ssl);
  char* bytes = nullptr;
  const auto size = static_cast<size_t>(BIO_get_mem_data(out, &bytes));
  std::string hello(bytes, size);
  SSL_free(ssl);
  SSL_CTX_free(context);
  return hello;
}

}  // namespace

// Who waits for his turn and then for the next byte was taken for the youngest.
TEST_CASE("the handshake that began first is given up first, also when it has gone on since") {
  Clients files;
  const auto context = load_tls(files.settings(ClientAuth::none));
  TlsConnection older(context);
  Pair pair;
  Recorder younger_handler;
  auto younger = older.server.accept(pair.near.release(), pair.peer, older);
  younger->set_handler(&younger_handler);
  older.runner.turns(2);
  // In the turn in which its bytes come, all time for handshakes is spent.
  older.runner.loop.post([&] { older.runner.loop.worked(Loop::work_share_ns); });
  send_all(older.pair.far.get(), std::string_view("\x16\x03\x01\x02\x00", 5));
  older.runner.until([&] { return older.transport->bytes_read() == 5; });
  older.runner.turns(3);
  send_all(pair.far.get(), std::string_view("\x16\x03\x01\x02\x00", 5));
  older.runner.until([&] { return younger->bytes_read() == 5; });
  older.runner.turns(3);
  CHECK(older.server.begun() == 2);
  CHECK(older.server.give_up_oldest());
  older.runner.until([&] { return older.handler.errors + younger_handler.errors == 1; });
  CHECK(older.handler.errors == 1);
}

// Reading stays armed while it waits: who goes on sending must neither be read out of turn nor be lost.
TEST_CASE("what a client sends while its handshake waits for its turn is read behind it") {
  Clients files;
  TlsConnection c(load_tls(files.settings(ClientAuth::none)));
  c.echo();
  bool busy = true;
  std::function<void()> spend = [&] {
    c.runner.loop.worked(Loop::work_share_ns);
    if (busy) c.runner.loop.post(spend);
  };
  c.runner.turns(2);
  c.runner.loop.post(spend);
  const std::string hello = client_hello();
  send_all(c.pair.far.get(), std::string_view(hello).substr(0, 5));
  c.runner.until([&] { return c.transport->bytes_read() == 5; });
  send_all(c.pair.far.get(), std::string_view(hello).substr(5));
  c.runner.turns(5);
  CHECK(c.transport->bytes_read() == 5);
  CHECK(c.transport->bytes_written() == 0);
  busy = false;
  c.runner.until([&] { return c.transport->bytes_written() > 0; });
  CHECK(c.transport->bytes_read() == hello.size());
  char first = 0;
  CHECK(::recv(c.pair.far.get(), &first, 1, 0) == 1);
  CHECK(first == 22);  // a handshake message: RFC 8446 5.1
}

namespace {

// A client's handshake whose last flight comes in one piece with `data` behind it.
void finish_with(int fd, std::string_view data) {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL* ssl = SSL_new(context);
  BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl, in, out);
  SSL_set_connect_state(ssl);
  while (SSL_do_handshake(ssl) != 1) {
    char buffer[16384];
    const int ready = BIO_read(out, buffer, sizeof buffer);
    if (ready > 0) send_all(fd, {buffer, static_cast<size_t>(ready)});
    const ssize_t size = ::recv(fd, buffer, sizeof buffer, 0);
    REQUIRE(size > 0);
    BIO_write(in, buffer, static_cast<int>(size));
  }
  CHECK(SSL_write(ssl, data.data(), static_cast<int>(data.size())) == static_cast<int>(data.size()));
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(out, &bytes);
  send_all(fd, {bytes, static_cast<size_t>(size)});
  SSL_free(ssl);
  SSL_CTX_free(context);
}

}  // namespace

TEST_CASE("ciphertext that waits for a handler, or for the rest of its record, is charged") {
  Clients files;
  TlsConnection c(load_tls(files.settings(ClientAuth::none)));
  const int64_t before = c.runner.loop.blocks().held();
  c.when_handshake = nullptr;
  const std::string data(10'000, 'x');
  c.with_client([&](int fd) { finish_with(fd, data); });
  c.runner.until([&] { return c.handshakes == 1; });
  CHECK(c.transport->unread() >= data.size());
  CHECK(c.runner.loop.blocks().held() - before == static_cast<int64_t>(c.transport->unread()));
  c.transport->start_reading();
  c.runner.until([&] { return c.handler.read == data; });
  CHECK(c.transport->unread() == 0);
  CHECK(c.runner.loop.blocks().held() == before);

  send_all(c.pair.far.get(), std::string_view("\x17\x03\x03\x40\x00half", 9));
  c.runner.until([&] { return c.transport->unread() > 0; });
  CHECK(c.transport->unread() >= 16 * 1024);
  CHECK(c.runner.loop.blocks().held() - before == static_cast<int64_t>(c.transport->unread()));
  c.transport.reset();
  CHECK(c.runner.loop.blocks().held() == before);
}

TEST_CASE("under memory pressure TLS reads in shorter pieces") {
  Loop loop;
  MemoryBudget budget;
  budget.set_limit(1'000'000);
  CHECK(loop.cipher_buffer().size() == Loop::cipher_buffer_size);
  loop.blocks().report_to(&budget, nullptr, nullptr);
  loop.blocks().charge(600'000);
  CHECK(loop.cipher_buffer().size() == Loop::pressed_read_size);
  loop.blocks().charge(-600'000);
  CHECK(loop.cipher_buffer().size() == Loop::cipher_buffer_size);
  loop.blocks().report_to(nullptr, nullptr, nullptr);
}
