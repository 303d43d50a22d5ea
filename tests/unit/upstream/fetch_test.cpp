// A fetch over real sockets: what comes of a backend that answers, is slow, silent, cut, too large, malformed
// or gone.
#include "upstream/fetch.h"

#include <doctest/doctest.h>

#include "base/reason.h"
#include "fakes.h"
#include "unit/net/net_support.h"

using namespace penstock;
using namespace penstock::upstream;
using namespace penstock::upstream::fakes;

namespace {

class Backend {
 public:
  Backend() : socket_(net::ListenSocket::bind(net::loopback())) { REQUIRE(socket_.has_value()); }
  std::string name() const { return socket_->address().to_string(); }
  void serve() { connection_ = accept(); }
  net::Fd accept() {
    pollfd ready{socket_->fd(), POLLIN, 0};
    REQUIRE(::poll(&ready, 1, 10'000) == 1);
    net::Fd fd(::accept4(socket_->fd(), nullptr, nullptr, SOCK_CLOEXEC));
    REQUIRE(fd.get() >= 0);
    return fd;
  }
  // One request, as far as its head and `body` bytes.
  std::string request(size_t body = 0) {
    std::string text;
    while (text.find("\r\n\r\n") == std::string::npos) {
      const std::string byte = net::read_all(connection_.get(), 1);
      if (byte.empty()) return text;
      text += byte;
    }
    return body == 0 ? text : text + net::read_all(connection_.get(), body);
  }
  void answer(std::string_view bytes) { net::send_all(connection_.get(), bytes); }
  void close() { connection_.reset(); }
  void reset() {
    net::set_reset_on_close(connection_.get());
    connection_.reset();
  }

 private:
  std::expected<net::ListenSocket, net::BindError> socket_;
  net::Fd connection_;
};

struct Rig {
  explicit Rig(std::vector<EndpointInfo> endpoints) : cluster(runner.loop, 0, 1, {}) {
    cluster.set_endpoints(set_of(std::move(endpoints)));
  }
  // Runs the loop so long that what was sent has left.
  void start(const FetchQuestion& question) {
    over = false;
    fetch = std::make_unique<Fetch>(
        runner.loop, cluster,
        [](void* self, const FetchAnswer& answer) {
          auto& rig = *static_cast<Rig*>(self);
          CHECK_FALSE(rig.over);
          rig.over = true;
          rig.status = answer.status;
          rig.reason = answer.reason;
          rig.body = answer.body;
          rig.fields.clear();
          for (const http::Field& field : answer.fields)
            rig.fields += std::string(field.name) + ": " + std::string(field.value) + "\n";
        },
        this);
    fetch->start(question);
  }
  void wait() {
    runner.until([this] { return over; });
  }
  // The backend plays in a thread of its own: reading there blocks.
  template <class Play>
  void meets(Play play) {
    std::thread thread(play);
    wait();
    thread.join();
  }

  net::LoopRunner runner;
  Cluster cluster;
  std::unique_ptr<Fetch> fetch;
  bool over = false;
  uint16_t status = 0;
  std::string reason, body, fields;
};

FetchQuestion get(std::string_view path = "/keys") {
  FetchQuestion question;
  question.authority = "idp.example";
  question.path = path;
  return question;
}

constexpr std::string_view answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Kind: a\r\n\r\nok";

}  // namespace

TEST_CASE("fetch: a question and its whole answer") {
  Backend backend;
  Rig rig({endpoint(backend.name())});
  const http::Field fields[] = {{"x-mine", "1", http::HeaderId::other}};
  FetchQuestion question = get();
  question.fields = fields;
  question.query = "a=b";
  question.has_query = true;
  rig.start(question);
  std::string request;
  rig.meets([&] {
    backend.serve();
    request = backend.request();
    backend.answer(answer);
  });
  CHECK(request.starts_with("GET /keys?a=b HTTP/1.1\r\n"));
  for (const char* line : {"host: idp.example\r\n", "x-mine: 1\r\n", "accept-encoding: identity\r\n",
                           "user-agent: penstock\r\n"}) {
    std::string lower = request;
    for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    CHECK_MESSAGE(lower.find(line) != std::string::npos, line);
  }
  CHECK(rig.status == 200);
  CHECK(rig.body == "ok");
  CHECK(rig.fields.find("x-kind: a\n") != std::string::npos);
  CHECK(rig.cluster.attempts() == 0);
  CHECK(rig.cluster.idle_connections() == 1);
}

TEST_CASE("fetch: what a plugin gave for accept-encoding does not count") {
  Backend backend;
  Rig rig({endpoint(backend.name())});
  const http::Field fields[] = {{"accept-encoding", "gzip", http::HeaderId::accept_encoding}};
  FetchQuestion question = get();
  question.fields = fields;
  rig.start(question);
  std::string request;
  rig.meets([&] {
    backend.serve();
    request = backend.request();
    backend.answer(answer);
  });
  CHECK(request.find("gzip") == std::string::npos);
}

TEST_CASE("fetch: a body goes along and a chunked answer of any length comes back") {
  Backend backend;
  Rig rig({endpoint(backend.name())});
  FetchQuestion question = get("/introspect");
  question.method = "POST";
  question.body = "token=abc";
  rig.start(question);
  std::string request;
  const std::string piece(5'000, 'x');
  rig.meets([&] {
    backend.serve();
    request = backend.request(9);
    std::string chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (int i = 0; i < 10; ++i) chunks += "1388\r\n" + piece + "\r\n";
    backend.answer(chunks + "0\r\n\r\n");
  });
  CHECK(request.ends_with("\r\n\r\ntoken=abc"));
  CHECK(rig.status == 200);
  CHECK(rig.body.size() == 50'000);
}

TEST_CASE("fetch: nobody listens, nobody resolves, nobody is there") {
  net::Fd closed(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  net::Address at = net::loopback();
  REQUIRE(::bind(closed.get(), &at.any, at.length()) == 0);
  socklen_t length = sizeof(at.v6);
  ::getsockname(closed.get(), &at.any, &length);
  Rig refused({endpoint(at.to_string())});
  refused.start(get());
  CHECK_FALSE(refused.over);  // never inside start()
  refused.wait();
  CHECK(refused.status == 0);
  CHECK(refused.reason == reason::upstream_connect_refused);

  EndpointInfo unresolved = endpoint("127.0.0.1:1");
  unresolved.addresses.clear();
  Rig nameless({unresolved});
  nameless.start(get());
  nameless.wait();
  CHECK(nameless.reason == reason::upstream_unresolved);

  Rig empty({});
  empty.start(get());
  CHECK_FALSE(empty.over);
  empty.wait();
  CHECK(empty.reason == reason::upstream_no_healthy_endpoint);
}

TEST_CASE("fetch: one that waits for its name asks when it resolves, or gives up in time") {
  Backend backend;
  EndpointInfo unresolved = endpoint("127.0.0.1:1");
  unresolved.addresses.clear();
  Rig rig({unresolved});
  FetchQuestion question = get();
  question.unresolved = FetchQuestion::Unresolved::wait;
  rig.start(question);
  rig.runner.turns(3);
  CHECK_FALSE(rig.over);
  EndpointInfo resolved = endpoint(backend.name());
  rig.cluster.set_endpoints(set_of({resolved}));
  rig.fetch->endpoints_changed();
  rig.meets([&] {
    backend.serve();
    backend.request();
    backend.answer(answer);
  });
  CHECK(rig.status == 200);

  Rig late({unresolved});
  question.timeout_ms = 30;
  late.start(question);
  late.wait();
  CHECK(late.reason == fetch_timeout);
}

TEST_CASE("fetch: the timeout is for all of it") {
  Backend backend;
  Rig rig({endpoint(backend.name())});
  FetchQuestion question = get();
  question.timeout_ms = 50;
  rig.start(question);
  SUBCASE("silent") {
    rig.meets([&] { backend.serve(); });
  }
  SUBCASE("slow in the middle of its body") {
    rig.meets([&] {
      backend.serve();
      backend.request();
      backend.answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    });
  }
  CHECK(rig.status == 0);
  CHECK(rig.body.empty());
  CHECK(rig.reason == fetch_timeout);
  CHECK(rig.cluster.attempts() == 0);
  CHECK(rig.cluster.idle_connections() == 0);
}

TEST_CASE("fetch: more than max_bytes is no answer, said or not") {
  Backend backend;
  Rig rig({endpoint(backend.name())});
  FetchQuestion question = get();
  question.max_bytes = 8;
  rig.start(question);
  std::string bytes;
  SUBCASE("said") { bytes = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"; }
  SUBCASE("not said") { bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n123456789\r\n"; }
  rig.meets([&] {
    backend.serve();
    backend.request();
    backend.answer(bytes);
  });
  CHECK(rig.status == 0);
  CHECK(rig.reason == fetch_too_large);
}

TEST_CASE("fetch: exactly max_bytes is an answer") {
  Backend backend;
  Rig rig({endpoint(backend.name())});
  FetchQuestion question = get();
  question.max_bytes = 2;
  rig.start(question);
  rig.meets([&] {
    backend.serve();
    backend.request();
    backend.answer(answer);
  });
  CHECK(rig.body == "ok");
}

TEST_CASE("fetch: answers that break the rules are none") {
  struct Case {
    const char* name;
    const char* bytes;
    std::string_view reason;
  };
  const Case cases[] = {
      {"no HTTP", "hello\r\n\r\n", reason::upstream_protocol},
      {"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
       reason::upstream_protocol},
      {"a switch nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
       reason::upstream_protocol},
      {"cut", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", reason::upstream_reset},
      {"nothing", "", reason::upstream_reset},
  };
  for (const Case& each : cases) {
    CAPTURE(each.name);
    Backend backend;
    Rig rig({endpoint(backend.name())});
    rig.start(get());
    rig.meets([&] {
      backend.serve();
      backend.request();
      backend.answer(each.bytes);
      backend.close();
    });
    CHECK(rig.status == 0);
    CHECK(rig.reason == each.reason);
    CHECK(rig.body.empty());
  }
}

TEST_CASE("fetch: a redirect is an answer like any other") {
  Backend backend;
  Rig rig({endpoint(backend.name())});
  rig.start(get());
  rig.meets([&] {
    backend.serve();
    backend.request();
    backend.answer("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
  });
  CHECK(rig.status == 302);
}

TEST_CASE("fetch: a connection is used again, and one that was gone costs nothing but another") {
  Backend backend;
  Rig rig({endpoint(backend.name())});
  rig.start(get());
  rig.meets([&] {
    backend.serve();
    backend.request();
    backend.answer(answer);
  });
  rig.start(get());
  rig.meets([&] {
    backend.request();
    backend.answer(answer);
  });
  CHECK(rig.status == 200);

  FetchQuestion question = get();
  int requests = 0;
  std::string_view wanted;
  SUBCASE("a GET is asked again") { wanted = "ok"; }
  SUBCASE("a POST is not") { question.method = "POST"; }
  SUBCASE("a harmless POST is") {
    question.method = "POST";
    question.repeat = FetchQuestion::Repeat::harmless;
    wanted = "ok";
  }
  rig.start(question);
  rig.meets([&] {
    requests += backend.request().empty() ? 0 : 1;
    backend.reset();  // it took the request and nobody knows what came of it
    if (wanted.empty()) return;
    backend.serve();
    requests += backend.request().empty() ? 0 : 1;
    backend.answer(answer);
  });
  CHECK(rig.body == wanted);
  CHECK(requests == (wanted.empty() ? 1 : 2));
  if (wanted.empty()) CHECK(rig.reason == reason::upstream_reset);
}

TEST_CASE("fetch: a fresh connection that breaks is not tried again") {
  Backend backend;
  Rig rig({endpoint(backend.name())});
  rig.start(get());
  rig.meets([&] {
    backend.serve();
    backend.request();
    backend.reset();
  });
  CHECK(rig.status == 0);
  CHECK(rig.reason == reason::upstream_reset);
}

TEST_CASE("fetch: destroying it cancels, whatever it waits for") {
  Backend backend;
  Rig rig({endpoint(backend.name())});
  rig.start(get());
  SUBCASE("a connection") {}
  SUBCASE("an answer") {
    backend.serve();
    rig.runner.turns(5);
  }
  SUBCASE("the rest of it") {
    backend.serve();
    rig.runner.turns(5);
    backend.answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    rig.runner.turns(5);
  }
  rig.fetch.reset();
  CHECK(rig.cluster.attempts() == 0);
  rig.runner.turns(3);
  CHECK_FALSE(rig.over);
}
