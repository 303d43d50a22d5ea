// Pools whose connections take many streams at once.
#include <doctest/doctest.h>

#include <array>
#include <cerrno>

#include "base/reason.h"
#include "fakes.h"
#include "net/socket.h"
#include "unit/net/tls_backends.h"

using namespace penstock;
using namespace penstock::upstream;
using namespace penstock::upstream::fakes;

namespace {

ClusterSettings of_http2(uint32_t streams) {
  ClusterSettings out;
  out.http.protocol = http::Protocol::http2;
  out.http.http2.max_concurrent_streams = streams;
  return out;
}

struct Shared : Bench {
  explicit Shared(uint32_t streams) : Bench(of_http2(streams)) {
    cluster->set_endpoints(set_of({endpoint("127.0.0.1:80")}));
  }
};

}  // namespace

TEST_CASE("a hundred attempts at once wait for one connection") {
  Shared bench(100);
  std::array<Taker, 101> takers;
  for (Taker& taker : takers) CHECK(bench.acquire(taker) == nullptr);
  CHECK(bench.asked.size() == 2);  // the last one finds no place on the first
  FakeConnection& first = bench.connected(0, 100);
  CHECK(first.open_streams() == 100);
  CHECK(takers[100].stream == nullptr);
  FakeConnection& second = bench.connected(1, 100);
  CHECK(second.open_streams() == 1);
  CHECK(&takers[0].connection() == &first);
  CHECK(bench.cluster->open_connections() == 2);
  CHECK(bench.cluster->idle_connections() == 0);
  for (Taker& taker : takers) bench.done(taker);
  CHECK(bench.cluster->idle_connections() == 2);
}

TEST_CASE("a connection is filled before the next one is used, and another is made when all are full") {
  Shared bench(2);
  Taker a, b, c, d;
  bench.acquire(a);
  FakeConnection& first = bench.connected(0, 2);
  CHECK(bench.acquire(b) != nullptr);
  CHECK(&b.connection() == &first);
  CHECK(bench.acquire(c) == nullptr);
  CHECK(bench.asked.size() == 2);
  FakeConnection& second = bench.connected(1, 2);
  CHECK(&c.connection() == &second);
  bench.done(b);  // there is room on both: the one that was full is filled again
  CHECK(bench.acquire(d) != nullptr);
  CHECK(&d.connection() == &first);
  CHECK(bench.acquire(b) != nullptr);
  CHECK(&b.connection() == &second);
  for (Taker* taker : {&a, &b, &c, &d}) bench.done(*taker);
}

TEST_CASE("what is open and what waits is counted by version, and so is how backends end it") {
  Shared bench(2);
  auto use = [&] {
    const ClusterUse now = bench.cluster->use();
    return std::vector<size_t>{now.connections[ClusterUse::http1], now.connections[ClusterUse::http2],
                               now.http2_streams, now.waiting};
  };
  Taker a, b, c;
  bench.acquire(a);
  CHECK(use() == std::vector<size_t>{0, 0, 0, 1});
  FakeConnection& first = bench.connected(0, 2);
  CHECK(use() == std::vector<size_t>{0, 1, 1, 0});
  bench.acquire(b);
  bench.acquire(c);  // the first one is full
  CHECK(use() == std::vector<size_t>{0, 1, 2, 1});
  bench.connected(1, 1);  // of HTTP/1
  CHECK(use() == std::vector<size_t>{1, 1, 2, 0});
  bench.done(a);
  bench.done(c);
  CHECK(use() == std::vector<size_t>{1, 1, 1, 0});
  bench.done(b);
  CHECK(use() == std::vector<size_t>{1, 1, 0, 0});
  first.finish();
  CHECK(use() == std::vector<size_t>{1, 0, 0, 0});
  http::UpstreamOwner& owner = *bench.asked[0]->owner;
  owner.on_goaway(0);
  owner.on_stream_reset(7);
  owner.on_stream_reset(4711);
  const ConnectCounters& counters = bench.cluster->connects();
  CHECK(counters.goaways.of(0) == 1);
  CHECK(counters.stream_resets.of(7) == 1);
  CHECK(counters.stream_resets.of(2) == 1);  // what nobody knows
  ConnectCounters sum;
  sum.merge(counters);
  sum.merge(counters);
  CHECK(sum.goaways.of(0) == 2);
  CHECK(sum.stream_resets.of(7) == 2);
}

TEST_CASE("a stream that ends serves the oldest waiter, before the connection that is being made") {
  Shared bench(2);
  Taker a, b, c;
  bench.acquire(a);
  bench.connected(0, 2);
  bench.acquire(b);
  CHECK(bench.acquire(c) == nullptr);
  bench.done(a);
  CHECK(c.stream != nullptr);
  FakeConnection& late = bench.connected(1, 2);
  CHECK(late.open_streams() == 0);
  CHECK(bench.cluster->idle_connections() == 1);
  bench.done(b);
  bench.done(c);
}

TEST_CASE("a backend that takes fewer streams than we allow gets as many more connections as that asks for") {
  Shared bench(100);
  std::array<Taker, 5> takers;
  for (Taker& taker : takers) bench.acquire(taker);
  CHECK(bench.asked.size() == 1);
  bench.connected(0, 2);
  CHECK(bench.asked.size() == 3);
  bench.connected(1, 2);
  bench.connected(2, 2);
  CHECK(bench.asked.size() == 3);
  for (Taker& taker : takers) {
    CHECK(taker.stream != nullptr);
    bench.done(taker);
  }
}

TEST_CASE("a connect that fails fails all for whom it was made, and counts once") {
  Shared bench(100);
  EndpointInfo info = endpoint("127.0.0.1:80");
  bench.cluster->set_endpoints(set_of({info}));
  std::array<Taker, 3> takers;
  for (Taker& taker : takers) bench.acquire(taker);
  bench.refused(0);
  for (Taker& taker : takers) {
    REQUIRE(taker.failures.size() == 1);
    CHECK(taker.failures[0].retry == Retry::yes);
    bench.cluster->finish(taker, Outcome::neutral);
  }
  CHECK(info.state->consecutive_failures.load() == 1);
  CHECK(bench.asked.size() == 1);
}

TEST_CASE("a connection that takes no more streams serves out what it has, and new ones go elsewhere") {
  Shared bench(10);
  Taker a, b;
  bench.acquire(a);
  FakeConnection& first = bench.connected(0, 10);
  first.broken = true;
  first.room_changed(10);
  CHECK(bench.acquire(b) == nullptr);
  FakeConnection& second = bench.connected(1, 10);
  CHECK(&b.connection() == &second);
  CHECK(!first.closed);
  bench.done(a);
  first.finish();  // as after a GOAWAY
  CHECK(bench.cluster->open_connections() == 1);
  bench.done(b);
}

TEST_CASE("more room is used at once") {
  Shared bench(10);
  Taker a, b;
  bench.acquire(a);
  FakeConnection& first = bench.connected(0, 2);
  first.room_changed(1);
  CHECK(bench.acquire(b) == nullptr);
  first.room_changed(2);
  REQUIRE(b.stream != nullptr);
  CHECK(&b.connection() == &first);
  bench.done(a);
  bench.done(b);
  bench.connected(1, 2);
}

TEST_CASE("who wants a fresh connection gets no stream on one that lay idle") {
  Shared bench(10);
  Taker a, fresh;
  bench.acquire(a);
  FakeConnection& first = bench.connected(0, 10);
  bench.done(a);
  bench.acquire(a);
  CHECK(&a.connection() == &first);
  fresh.want_fresh(true);
  CHECK(bench.acquire(fresh) == nullptr);
  FakeConnection& second = bench.connected(1, 10);
  REQUIRE(fresh.stream != nullptr);
  CHECK(&fresh.connection() == &second);
  first.idled = false;  // it has shown that it is there
  bench.done(fresh);
  CHECK(bench.acquire(fresh) != nullptr);
  CHECK(&fresh.connection() == &first);
  bench.done(a);
  bench.done(fresh);
}

TEST_CASE("connections that were begun with other settings serve out what they have") {
  Shared bench(10);
  Taker a, b, c;
  bench.acquire(a);
  FakeConnection& used = bench.connected(0, 10);
  ClusterSettings other = of_http2(10);
  other.name = "test";
  other.http.header_size = 4096;  // says nothing of a connection
  bench.cluster->set_settings(other);
  CHECK(bench.acquire(b) != nullptr);
  bench.done(b);
  other.http.protocol = http::Protocol::http1;
  bench.cluster->set_settings(other);
  CHECK(bench.acquire(b) == nullptr);
  CHECK(bench.acquire(c) == nullptr);
  CHECK(bench.asked.size() == 3);  // one each
  bench.connected(1);
  bench.connected(2);
  CHECK(!used.closed);
  bench.done(a);
  CHECK(used.closed);
  bench.done(b);
  bench.done(c);
  CHECK(bench.cluster->idle_connections() == 2);
  other.http.protocol = http::Protocol::http2;
  bench.cluster->set_settings(other);
  CHECK(bench.cluster->idle_connections() == 0);
}

TEST_CASE("connections to an address that the name no longer has get no further streams") {
  Shared bench(10);
  EndpointInfo info = endpoint("name:80", {"127.0.0.1:80"});
  bench.cluster->set_endpoints(set_of({info}));
  Taker a, b;
  bench.acquire(a);
  FakeConnection& old = bench.connected(0, 10);
  info.addresses = {address("127.0.0.2:80")};
  bench.cluster->set_endpoints(set_of({info}));
  CHECK(bench.acquire(b) == nullptr);
  FakeConnection& now = bench.connected(1, 10);
  CHECK(&b.connection() == &now);
  bench.done(a);
  CHECK(old.closed);
  bench.done(b);
}

TEST_CASE("a cluster that ends closes connections that have room, too") {
  int alive = 0;
  {
    Shared bench(10);
    Taker a;
    bench.acquire(a);
    FakeConnection& one = bench.connected(0, 10);
    bench.cluster->finish(a, Outcome::neutral);  // its stream was cut
    bench.cluster.reset();
    CHECK(one.closed);
    turn(bench.loop);
    alive = bench.alive;
  }
  CHECK(alive == 0);
}

namespace {

std::shared_ptr<const net::TlsClientContext> client_tls(const std::string& name) {
  static const net::BackendFiles files;
  net::TlsClientSettings settings = files.settings(name);
  settings.alpn = {"h2", "http/1.1"};
  return net::load_client(settings);
}

ClusterSettings by_alpn(const std::string& name = "a.test") {
  ClusterSettings out = of_http2(100);
  out.http.protocol = http::Protocol::by_alpn;
  out.tls = client_tls(name);
  return out;
}

struct ByAlpn : Bench {
  ByAlpn() : Bench(by_alpn()) { cluster->set_endpoints(set_of({endpoint("127.0.0.1:80")})); }
};

}  // namespace

TEST_CASE("while nobody knows what a backend will choose, its first connection is waited for") {
  ByAlpn bench;
  std::array<Taker, 40> takers;
  for (Taker& taker : takers) bench.acquire(taker);
  CHECK(bench.asked.size() == 1);
  SUBCASE("it chooses HTTP/2") {
    FakeConnection& only = bench.connected(0, 100);
    CHECK(only.open_streams() == 40);
    CHECK(bench.asked.size() == 1);
  }
  SUBCASE("it chooses HTTP/1.1: all who are left get theirs at once, and later ones as they come") {
    bench.connected(0);
    CHECK(takers[0].stream != nullptr);
    CHECK(bench.asked.size() == 40);
    for (size_t i = 1; i < 40; ++i) bench.connected(i);
    Taker a, b;
    bench.acquire(a);
    bench.acquire(b);
    CHECK(bench.asked.size() == 42);
    bench.connected(40);
    bench.connected(41, 100);  // it has learned another one: from now on that is what to expect
    bench.done(a);
    bench.done(b);
  }
  for (Taker& taker : takers) {
    CHECK(taker.stream != nullptr);
    bench.done(taker);
  }
}

TEST_CASE("without TLS there is nothing to choose, and each attempt makes its own connection") {
  ClusterSettings plain = of_http2(100);
  plain.http.protocol = http::Protocol::by_alpn;
  Bench bench(plain);
  bench.cluster->set_endpoints(set_of({endpoint("127.0.0.1:80")}));
  std::array<Taker, 3> takers;
  for (Taker& taker : takers) bench.acquire(taker);
  CHECK(bench.asked.size() == 3);
}

TEST_CASE("other TLS settings replace the connections, the same read anew do not") {
  ByAlpn bench;
  Taker a;
  bench.acquire(a);
  bench.connected(0);
  bench.done(a);
  CHECK(bench.cluster->idle_connections() == 1);
  ClusterSettings again = by_alpn();
  again.name = "test";
  bench.cluster->set_settings(again);
  CHECK(bench.cluster->idle_connections() == 1);
  for (auto tls : {client_tls("b.test"), std::shared_ptr<const net::TlsClientContext>()}) {
    bench.acquire(a);
    again.tls = tls;
    bench.cluster->set_settings(again);
    bench.done(a);
    CHECK(bench.cluster->idle_connections() == 0);
    bench.acquire(a);
    bench.connected(bench.asked.size() - 1);
    bench.done(a);
    CHECK(bench.cluster->idle_connections() == 1);
  }
}

TEST_CASE("a connection that was being made when its TLS settings changed is given to nobody") {
  for (const bool comes_about : {true, false}) {
    ByAlpn bench;
    Taker a;
    bench.acquire(a);
    ClusterSettings other = by_alpn("b.test");
    other.name = "test";
    bench.cluster->set_settings(other);
    CHECK(bench.asked.size() == 1);
    if (comes_about)
      bench.connected(0);
    else
      bench.refused(0, ErrorKind::tls);
    CHECK(a.stream == nullptr);
    CHECK(a.failures.empty());
    REQUIRE(bench.asked.size() == 2);
    bench.connected(1);
    CHECK(a.stream != nullptr);
    bench.done(a);
    CHECK(bench.cluster->open_connections() == 1);
  }
}

TEST_CASE("an endpoint that left is not connected to with the settings of those that came") {
  for (const bool comes_about : {true, false}) {
    CAPTURE(comes_about);
    ByAlpn bench;
    bench.cluster->set_endpoints(set_of({endpoint("old.test:80", {"127.0.0.1:80", "127.0.0.2:80"})}));
    Taker a, b;
    bench.acquire(a);
    bench.acquire(b);
    REQUIRE(bench.asked.size() == 1);
    ClusterSettings plain = of_http2(100);
    plain.name = "test";
    plain.http.protocol = http::Protocol::http1;
    bench.cluster->set_settings(plain);
    bench.cluster->set_endpoints(set_of({endpoint("127.0.0.3:80")}));
    if (comes_about)
      bench.connected(0);
    else
      bench.refused(0, ErrorKind::tls);
    CHECK(bench.asked.size() == 1);
    for (Taker* taker : {&a, &b}) {
      CHECK(taker->stream == nullptr);
      REQUIRE(taker->failures.size() == 1);
      CHECK(taker->failures[0].retry == Retry::yes);
      bench.cluster->finish(*taker, Outcome::neutral);
      CHECK(bench.acquire(*taker) == nullptr);
    }
    CHECK(bench.asked.size() == 3);
    CHECK(bench.asked[1]->to == address("127.0.0.3:80"));
    CHECK(bench.asked[2]->to == address("127.0.0.3:80"));
  }
}

TEST_CASE("a connection to an address that left while it was being made is lent to nobody") {
  for (const bool resolves : {true, false}) {
    CAPTURE(resolves);
    Shared bench(10);
    EndpointInfo info = endpoint("name:80", {"127.0.0.1:80"});
    bench.cluster->set_endpoints(set_of({info}));
    Taker a;
    bench.acquire(a);
    info.addresses.clear();
    if (resolves) info.addresses = {address("127.0.0.2:80")};
    bench.cluster->set_endpoints(set_of({info}));
    FakeConnection& old = bench.connected(0, 10);
    CHECK(old.closed);
    CHECK(a.stream == nullptr);
    if (resolves) {
      REQUIRE(bench.asked.size() == 2);
      CHECK(bench.asked[1]->to == address("127.0.0.2:80"));
      bench.connected(1, 10);
      CHECK(a.stream != nullptr);
      bench.done(a);
    } else {
      CHECK(bench.asked.size() == 1);
      REQUIRE(a.failures.size() == 1);
      CHECK(a.failures[0].reason == reason::upstream_unresolved);
      bench.cluster->finish(a, Outcome::neutral);
    }
  }
}

TEST_CASE("a new connection that takes no stream is a connect that failed, and no other is made for it") {
  for (const uint32_t streams : {1u, 100u}) {
    CAPTURE(streams);
    Shared bench(streams);
    EndpointInfo info = endpoint("127.0.0.1:80");
    bench.cluster->set_endpoints(set_of({info}));
    std::array<Taker, 3> takers;
    for (Taker& taker : takers) bench.acquire(taker);
    const size_t connects = streams == 1 ? 3 : 1;
    REQUIRE(bench.asked.size() == connects);
    for (size_t i = 0; i < connects; ++i) bench.connected_in_vain(i, streams);
    for (Taker& taker : takers) {
      CHECK(taker.stream == nullptr);
      REQUIRE(taker.failures.size() == 1);
      CHECK(taker.failures[0].retry == Retry::yes);
      bench.cluster->finish(taker, Outcome::neutral);
    }
    CHECK(bench.asked.size() == connects);
    CHECK(info.state->consecutive_failures.load() == connects);
    CHECK(bench.cluster->open_connections() == 0);
  }
}

TEST_CASE("an endpoint that is to show another name gets other connections") {
  ByAlpn bench;
  EndpointInfo info = endpoint("127.0.0.1:80");
  info.host = "a.test";
  bench.cluster->set_endpoints(set_of({info}));
  Taker a;
  bench.acquire(a);
  bench.connected(0);
  bench.done(a);
  bench.cluster->set_endpoints(set_of({info}));
  CHECK(bench.cluster->idle_connections() == 1);
  info.host = "b.test";
  bench.cluster->set_endpoints(set_of({info}));
  CHECK(bench.cluster->idle_connections() == 0);
}

TEST_CASE("connects that failed are counted by their reason, our own shortages not") {
  Shared bench(1);
  Taker a;
  for (const auto& [kind, limit] :
       {std::pair(ErrorKind::tls, Limit::none), std::pair(ErrorKind::timeout, Limit::none),
        std::pair(ErrorKind::timeout, Limit::none), std::pair(ErrorKind::limit, Limit::descriptors)}) {
    bench.acquire(a);
    FakeConnector::Asked& one = *bench.asked.back();
    one.state = FakeConnector::Asked::State::answered;
    const std::string_view reason = kind == ErrorKind::tls ? reason::upstream_tls_name : std::string_view();
    one.done(one.who, std::unexpected(
                          Error{kind, ErrorSource::upstream, Retry::yes, reason, "as the test says", limit}));
    bench.cluster->finish(a, Outcome::neutral);
  }
  bench.acquire(a);
  FakeConnector::Asked& last = *bench.asked.back();
  last.state = FakeConnector::Asked::State::answered;
  last.done(last.who, std::unexpected(net::connect_error(EADDRNOTAVAIL)));
  CHECK(a.failures.back().retry == Retry::yes);
  bench.cluster->finish(a, Outcome::neutral);
  const auto& failures = bench.cluster->connects().failures;
  CHECK(failures.size() == 2);
  CHECK(failures.at(reason::upstream_tls_name) == 1);
  CHECK(failures.at(reason::upstream_connect_timeout) == 2);
}
