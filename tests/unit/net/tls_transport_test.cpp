#include <doctest/doctest.h>

#include <future>
#include <string>

#include "tls_support.h"

using namespace penstock;
using namespace penstock::net;

namespace {

using Context = TlsContextPointer;

Context load(const std::vector<CertificateFiles>& files, TlsVersion version = TlsVersion::v1_2,
             const std::vector<std::string>& alpn = {"http/1.1"}) {
  return load_tls({.name = "test",
                   .certificates = files,
                   .min_version = version,
                   .alpn = alpn,
                   .ticket_lifetime_s = 3600});
}

struct Certificates {
  TempFolder folder;
  CertificateFiles one = make_certificate(folder, "one", {"one.test", "ONE.example"}, 1);
  CertificateFiles two = make_certificate(folder, "two", {"two.test"}, 2);
  CertificateFiles wild = make_certificate(folder, "wild", {"*.example", "*.two.test"}, 3);
};

}  // namespace

TEST_CASE("a TLS 1.3 session carries an echo and describes itself") {
  Certificates files;
  TlsConnection c(load({files.one}, TlsVersion::v1_2, {"h2", "http/1.1"}));
  c.echo();
  c.with_client([](int fd) {
    TlsClient client(fd);
    const unsigned char offer[] = "\x08http/1.1\x03xyz";
    SSL_CTX_set_alpn_protos(client.context(), offer, sizeof(offer) - 1);
    CHECK(client.handshake("One.Test"));
    CHECK(std::string(SSL_get_version(client.ssl())) == "TLSv1.3");
    client.write("hello");
    CHECK(client.read(5) == "hello");
  });
  CHECK(c.handshakes == 1);
  REQUIRE(c.transport->tls() != nullptr);
  CHECK(c.transport->tls()->version == "TLSv1.3");
  CHECK(!c.transport->tls()->cipher.empty());
  CHECK(c.transport->tls()->alpn == "http/1.1");
  CHECK(c.transport->tls()->server_name == "one.test");
  CHECK(c.transport->bytes_read() > 5);
}

TEST_CASE("TLS 1.2 works unless the minimum is 1.3") {
  Certificates files;
  auto old_client = [](bool expect) {
    return [expect](int fd) {
      TlsClient client(fd);
      SSL_CTX_set_max_proto_version(client.context(), TLS1_2_VERSION);
      CHECK(client.handshake() == expect);
      if (!expect) return;
      client.write("x");
      CHECK(client.read(1) == "x");
    };
  };
  SUBCASE("minimum 1.2") {
    TlsConnection c(load({files.one}));
    c.echo();
    c.with_client(old_client(true));
    CHECK(c.transport->tls()->version == "TLSv1.2");
    CHECK(c.transport->tls()->server_name.empty());
  }
  SUBCASE("minimum 1.3") {
    TlsConnection c(load({files.one}, TlsVersion::v1_3));
    c.with_client(old_client(false));
    c.runner.until([&] { return c.handler.errors == 1; });
    CHECK(c.handler.error.kind == ErrorKind::tls);
    CHECK(c.handshakes == 0);
  }
}

TEST_CASE("TLS 1.1 is refused by every minimum") {
  Certificates files;
  TlsConnection c(load({files.one}));
  c.with_client([](int fd) {
    TlsClient client(fd);
    SSL_CTX_set_security_level(client.context(), 0);
    SSL_CTX_set_min_proto_version(client.context(), TLS1_1_VERSION);
    SSL_CTX_set_max_proto_version(client.context(), TLS1_1_VERSION);
    CHECK(!client.handshake());
    CHECK(client.alert() == SSL_AD_PROTOCOL_VERSION);
  });
  c.runner.until([&] { return c.handler.errors == 1; });
  CHECK(c.failures(TlsFailure::version) == 1);
}

TEST_CASE("the certificate is chosen by exact name, then wildcard of one label, then the first") {
  Certificates files;
  Context context = load({files.one, files.two, files.wild});
  struct Row {
    const char* name;
    size_t index;
  };
  for (const Row& row : {Row{"one.test", 0}, Row{"one.example", 0}, Row{"TWO.test", 1}, Row{"two.test.", 1},
                         Row{"a.example", 2}, Row{"b.two.test", 2}, Row{"a.b.example", 0}, Row{"example", 0},
                         Row{".example", 0}, Row{"unknown.org", 0}, Row{"", 0}}) {
    CAPTURE(row.name);
    CHECK(context->select(row.name) == row.index);
    if (std::string_view(row.name).empty() || row.name[0] == '.') continue;
    TlsConnection c(context);
    c.with_client([&](int fd) {
      TlsClient client(fd);
      CHECK(client.handshake(row.name));
      CHECK(client.serial() == static_cast<long>(row.index + 1));
    });
  }
  REQUIRE(context->certificates().size() == 3);
  CHECK(context->certificates()[0].names == std::vector<std::string>{"one.test", "one.example"});
  CHECK(context->certificates()[0].not_after > time(nullptr));
}

TEST_CASE("without a common protocol the handshake ends, without an offer it goes on") {
  Certificates files;
  Context context = load({files.one});
  SUBCASE("none in common") {
    TlsConnection c(context);
    c.with_client([](int fd) {
      TlsClient client(fd);
      const unsigned char offer[] = "\x03xyz";
      SSL_CTX_set_alpn_protos(client.context(), offer, sizeof(offer) - 1);
      CHECK(!client.handshake());
      CHECK(client.alert() == SSL_AD_NO_APPLICATION_PROTOCOL);
    });
    c.runner.until([&] { return c.handler.errors == 1; });
    CHECK(c.failures(TlsFailure::protocols) == 1);
  }
  SUBCASE("no offer") {
    TlsConnection c(context);
    c.with_client([](int fd) { CHECK(TlsClient(fd).handshake()); });
    c.runner.until([&] { return c.handshakes == 1; });  // in TLS 1.3 the client is ready first
    CHECK(c.transport->tls()->alpn.empty());
  }
}

TEST_CASE("a ticket from one connection resumes on another loop, also for another certificate") {
  Certificates files;
  Context context = load({files.one, files.two});
  const TicketRing ring;
  for (int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    CAPTURE(version);
    SSL_SESSION* session = nullptr;
    {
      TlsConnection c(context, 10'000, 0, 0, ring.keys());
      c.echo();
      c.with_client([&](int fd) {
        TlsClient client(fd);
        SSL_CTX_set_max_proto_version(client.context(), version);
        CHECK(client.handshake("two.test"));
        client.write("x");
        CHECK(client.read(1) == "x");  // the ticket came before
        session = client.session();
        REQUIRE(session != nullptr);
        SSL_SESSION_up_ref(session);
        client.close_notify();  // OpenSSL does not resume a session that broke off
      });
    }
    TlsConnection c(context, 10'000, 0, 0, ring.keys());
    c.with_client([&](int fd) {
      TlsClient client(fd);
      SSL_CTX_set_max_proto_version(client.context(), version);
      CHECK(client.handshake("two.test", session));
      CHECK(SSL_session_reused(client.ssl()) == 1);
    });
    SSL_SESSION_free(session);
    c.runner.until([&] { return c.handshakes == 1; });  // in TLS 1.3 the client is ready first
    CHECK(c.transport->tls()->server_name == "two.test");
    CHECK(c.transport->tls()->resumed);
  }
}

TEST_CASE("close_notify is the end of reading, and ours reaches the peer") {
  Certificates files;
  TlsConnection c(load({files.one}));
  c.handler.when_ended = [&] {
    c.transport->append("answer");
    c.transport->shutdown();
  };
  c.with_client([](int fd) {
    TlsClient client(fd);
    CHECK(client.handshake());
    client.write("question");
    client.close_notify();
    CHECK(client.read() == "answer");
    CHECK(client.last_error() == SSL_ERROR_ZERO_RETURN);
  });
  CHECK(c.handler.read == "question");
  CHECK(c.handler.ends == 1);
  CHECK(c.handler.errors == 0);
  CHECK(!c.transport->truncated());
}

TEST_CASE("a FIN without close_notify is an end that says that it may be forged") {
  Certificates files;
  TlsConnection c(load({files.one}));
  bool known_before = true, known_inside = false;
  c.handler.when_read = [&](auto) { known_before = c.transport->truncated(); };
  c.handler.when_ended = [&] { known_inside = c.transport->truncated(); };
  c.with_client([](int fd) {
    TlsClient client(fd);
    CHECK(client.handshake());
    client.write("part of a bo");
    ::shutdown(fd, SHUT_WR);
  });
  c.runner.until([&] { return c.handler.ends == 1; });
  CHECK(c.handler.read == "part of a bo");
  CHECK(!known_before);
  CHECK(known_inside);
  c.runner.turns(3);
  CHECK(c.handler.ends == 1);
  CHECK(c.handler.errors == 0);
}

TEST_CASE("a client that ends with a FIN alone still gets its whole answer") {
  Certificates files;
  TlsConnection c(load({files.one}), 10'000, 16 * 1024, 16 * 1024);
  const std::string answer(1 << 20, 'a');
  bool begun_before_end = false;
  SUBCASE("under way already") {
    begun_before_end = true;
    c.handler.when_read = [&](auto) {
      c.transport->append(answer);
      c.transport->flush();
    };
    c.handler.when_ended = [&] { c.transport->shutdown(); };
  }
  SUBCASE("given later") {
    c.handler.when_ended = [&] {
      c.transport->append(answer);
      c.transport->close_gracefully(1000);
    };
  }
  c.with_client([&](int fd) {
    TlsClient client(fd);
    CHECK(client.handshake());
    client.write("question");
    std::string got = begun_before_end ? client.read(1) : "";
    ::shutdown(fd, SHUT_WR);
    bool whole = got + client.read() == answer;
    CHECK(whole);
    CHECK(client.last_error() == SSL_ERROR_ZERO_RETURN);
  });
  CHECK(c.handler.ends == 1);
  CHECK(c.handler.errors == 0);
}

TEST_CASE("a FIN without close_notify while paused is told after resuming, behind the bytes") {
  Certificates files;
  TlsConnection c(load({files.one}));
  c.handler.when_read = [&](auto) { c.transport->pause(PauseReason::plugin); };
  c.with_client([](int fd) {
    TlsClient client(fd);
    CHECK(client.handshake());
    for (int i = 0; i < 20; ++i) client.write(std::string(10'000, 'x'));
    ::shutdown(fd, SHUT_WR);
  });
  c.runner.turns(5);
  CHECK(c.handler.reads == 1);
  CHECK(c.handler.ends == 0);
  c.runner.until([&] {
    c.transport->resume(PauseReason::plugin);
    return c.handler.ends == 1;
  });
  CHECK(c.handler.read.size() == 200'000);
  CHECK(c.transport->truncated());
}

TEST_CASE("a reset under TLS is one error") {
  Certificates files;
  TlsConnection c(load({files.one}));
  c.with_client([&](int fd) {
    TlsClient client(fd);
    CHECK(client.handshake());
    client.write("x");
  });
  c.runner.until([&] { return c.handler.reads == 1; });
  set_reset_on_close(c.pair.far.get());
  c.pair.far.reset();
  c.runner.until([&] { return c.handler.errors == 1; });
  CHECK(c.handler.error.kind == ErrorKind::reset);
}

TEST_CASE("an aborted TLS connection is a reset for the peer and silent for the handler") {
  Certificates files;
  TlsConnection c(load({files.one}));
  c.handler.when_read = [&](auto) {
    c.transport->append("part of a body");
    c.transport->flush();
    CHECK(c.transport->bytes_written() > 0);
    c.transport->abort();
  };
  c.with_client([](int fd) {
    TlsClient client(fd);
    CHECK(client.handshake());
    client.write("x");
    client.read();
    CHECK(client.last_error() == SSL_ERROR_SYSCALL);
  });
  CHECK(c.handler.errors == 0);
}

TEST_CASE("plain HTTP on a TLS port fails the handshake only") {
  Certificates files;
  TlsConnection c(load({files.one}));
  c.with_client([](int fd) {
    send_all(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(read_all(fd) == "this is TLS\n");  // and ends
  });
  CHECK(c.handler.errors == 1);
  CHECK(c.handler.error.kind == ErrorKind::tls);
  CHECK(c.handler.error.text == "plain HTTP on a TLS port");
  CHECK(c.handshakes == 0);
  CHECK(c.handler.reads == 0);
}

TEST_CASE("a handshake that is not finished in time is an error") {
  Certificates files;
  TlsConnection c(load({files.one}), 50);
  send_all(c.pair.far.get(), "\x16\x03\x01");
  c.runner.until([&] { return c.handler.errors == 1; });
  CHECK(c.handler.error.kind == ErrorKind::tls);
  CHECK(c.handshakes == 0);
  CHECK(c.failures(TlsFailure::timeout) == 1);
}

TEST_CASE("a peer that leaves during the handshake is an error") {
  Certificates files;
  TlsConnection c(load({files.one}));
  c.pair.far.reset();
  c.runner.until([&] { return c.handler.errors == 1; });
  CHECK(c.handshakes == 0);
}

TEST_CASE("garbage after the handshake is an error, and nothing after it is read") {
  Certificates files;
  TlsConnection c(load({files.one}));
  c.with_client([](int fd) {
    TlsClient client(fd);
    CHECK(client.handshake());
    client.write("good");
    send_all(fd, "this is no TLS record at all");
    read_all(fd);
  });
  CHECK(c.handler.read == "good");
  CHECK(c.handler.errors == 1);
  CHECK(c.handler.ends == 0);
}

TEST_CASE("five megabytes go both ways, with bounded memory towards a slow reader") {
  Certificates files;
  TlsConnection c(load({files.one}), 10'000, 16 * 1024, 16 * 1024);
  std::string data(5 << 20, '\0');
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i * 31 >> 3);
  size_t at = 0, most = 0;
  auto produce = [&] {
    while (at < data.size() && c.transport->unsent() <= Transport::high_mark) {
      std::string scratch = data.substr(at, 20'000);
      at += scratch.size();
      c.transport->append("");
      c.transport->append_borrowed(std::string_view(scratch).substr(0, 100));
      c.transport->append_borrowed(std::string_view(scratch).substr(100));
      c.transport->flush();
      scratch.assign(scratch.size(), '!');
      most = std::max(most, c.transport->unsent());
    }
    if (at == data.size()) c.transport->shutdown();
  };
  c.handler.when_drained = produce;
  c.handler.when_ended = produce;
  c.with_client([&](int fd) {
    TlsClient client(fd);
    CHECK(client.handshake());
    client.write(data);
    client.close_notify();
    CHECK(client.read() == data);
    CHECK(client.last_error() == SSL_ERROR_ZERO_RETURN);
  });
  CHECK(c.handler.read == data);
  CHECK(most < Transport::high_mark + 32 * 1024);
  CHECK(c.runner.loop.blocks().in_use() == 0);
}

TEST_CASE("a slow reader's progress under TLS is what its kernel took, not what ours took") {
  Certificates files;
  TlsConnection c(load({files.one}), 10'000, 16 * 1024, 16 * 1024);
  std::promise<void> full;
  std::string data(400'000, 'x');
  c.handler.when_ended = [&] {
    c.transport->append(data);
    c.transport->flush();
    CHECK(c.transport->unsent() > 0);
    CHECK(c.transport->bytes_taken() < c.transport->bytes_written());
    c.transport->shutdown();
    full.set_value();
  };
  c.with_client([&](int fd) {
    TlsClient client(fd);
    CHECK(client.handshake());
    client.close_notify();
    full.get_future().wait();  // nothing is read before
    CHECK(client.read() == data);
  });
}

TEST_CASE("a handler that pauses in every read gets all bytes in order, and the end behind them") {
  Certificates files;
  TlsConnection c(load({files.one}));
  c.handler.when_read = [&](auto) { c.transport->pause(PauseReason::plugin); };
  std::string data;
  for (int i = 0; i < 40'000; ++i) data += std::to_string(i);
  auto sender = std::async(std::launch::async, [&] {
    TlsClient client(c.pair.far.get());
    CHECK(client.handshake());
    client.write(data);
    client.close_notify();
  });
  c.runner.until([&] {
    c.transport->resume(PauseReason::plugin);
    return c.handler.ends == 1;
  });
  sender.get();
  CHECK(c.handler.read == data);
  CHECK(c.handler.reads > 2);
}

TEST_CASE("what comes with the handshake waits for start_reading") {
  Certificates files;
  TlsConnection c(load({files.one}));
  c.when_handshake = nullptr;
  c.with_client([](int fd) {
    TlsClient client(fd);
    CHECK(client.handshake());
    client.write("early");
    client.close_notify();
  });
  c.runner.turns(3);
  CHECK(c.handshakes == 1);
  CHECK(c.handler.reads == 0);
  CHECK(c.handler.ends == 0);
  c.transport->start_reading();
  c.runner.until([&] { return c.handler.ends == 1; });
  CHECK(c.handler.read == "early");
}

TEST_CASE("a TLS transport may be destroyed inside each of its callbacks") {
  Certificates files;
  TlsConnection c(load({files.one}));
  bool wants_end = false, garbage = false;
  SUBCASE("on_handshake") {
    c.when_handshake = [&] { c.transport.reset(); };
  }
  SUBCASE("on_read") {
    c.handler.when_read = [&](auto) { c.transport.reset(); };
  }
  SUBCASE("on_read, closing gracefully") {
    c.handler.when_read = [&](auto) {
      c.transport->append("bye");
      c.transport->close_gracefully(1000);
      c.transport.reset();
    };
  }
  SUBCASE("on_read_end") {
    wants_end = true;
    c.handler.when_ended = [&] { c.transport.reset(); };
  }
  SUBCASE("on_read_end of a FIN alone") {
    c.handler.when_ended = [&] { c.transport.reset(); };
  }
  SUBCASE("on_error") {
    garbage = true;
    c.handler.when_error = [&] { c.transport.reset(); };
  }
  c.with_client([&](int fd) {
    TlsClient client(fd);
    client.handshake();
    client.write("x");
    if (wants_end) client.close_notify();
    if (garbage) send_all(fd, "this is no TLS record at all");
    ::shutdown(fd, SHUT_WR);
    client.read();
  });
  c.runner.until([&] { return !c.transport; });
}

TEST_CASE("what cannot be served is one line that says why") {
  Certificates files;
  auto message = [](const std::vector<CertificateFiles>& list) {
    std::vector<TlsProblem> problems;
    CHECK(TlsServerContext::load({.certificates = list}, problems) == nullptr);
    REQUIRE(problems.size() == 1);
    CHECK(problems[0].message.find('\n') == std::string::npos);
    return std::pair(problems[0].index, problems[0].message);
  };
  CHECK(message({}).second.find("at least one certificate") != std::string::npos);
  auto [index, missing] = message({files.one, {files.folder.file("no.pem"), files.one.key, {}}});
  CHECK(index == 1);
  CHECK(missing.find("cannot read certificate") != std::string::npos);
  CHECK(missing.find("No such file") != std::string::npos);
  CHECK(message({{files.one.cert, files.folder.file("no.key"), {}}}).second.find("cannot read key") !=
        std::string::npos);
  CHECK(message({{files.one.cert, files.two.key, {}}}).second.find("does not belong") != std::string::npos);
  std::string text = files.folder.write("text.pem", "hello\n");
  CHECK(message({{text, files.one.key, {}}}).second.find("no usable PEM certificate") != std::string::npos);
  CHECK(message({{files.one.cert, text, {}}}).second.find("no usable PEM private key") != std::string::npos);
}
