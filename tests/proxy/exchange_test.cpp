#include <doctest/doctest.h>

#include "proxy/bench.h"

using namespace penstock;
using namespace penstock::proxy;
using namespace penstock::proxy::testing;

TEST_CASE("a GET goes through and its answer comes back, each side in one flush") {
  Bench b;
  b.request("GET", "/a?x=1");
  b.turn();
  ScriptedStream& up = b.stream();
  CHECK(up.text() == "GET /a?x=1 host=api.example.com end\n");
  CHECK(up.last_headers.find("x-forwarded-for: 192.0.2.7\n") != std::string::npos);
  CHECK(up.last_headers.find("x-forwarded-proto: http\n") != std::string::npos);
  CHECK(up.last_headers.find("x-request-id: ") != std::string::npos);
  b.respond(up, 200, http::BodyKind::length, 5);
  up.handler->on_data("hello");
  up.handler->on_end();
  CHECK(b.client.text() == "200\ndata:hello\nend\nrelease\n");
  CHECK(b.client.last_headers.starts_with("x-request-id: "));
  CHECK(up.log.back() == "release");
  CHECK(b.log->completions == 1);
  CHECK(b.log->last_status == 200);
  CHECK(b.log->last_reason.empty());
  CHECK(b.generation.users == 0);
  CHECK(b.worker.metrics.active_requests == 0);
}

TEST_CASE("request bytes that come before a connection is there are sent after the head") {
  Bench b;
  b.request("POST", "/up", http::BodyKind::length, 6);
  b.client.handler->on_data("abc");
  b.client.handler->on_turn_end();
  b.turn();
  CHECK(b.stream().text() == "POST /up host=api.example.com\ndata:abc\n");
  b.client.handler->on_data("def");
  b.client.handler->on_end();
  CHECK(b.stream().text() == "POST /up host=api.example.com\ndata:abcdef\nend\n");
}

TEST_CASE("while no upstream is there the client is read no further than the bound") {
  Bench b;
  b.request("POST", "/up", http::BodyKind::unknown);
  std::string chunk(40'000, 'x');
  b.client.handler->on_data(chunk);
  CHECK_FALSE(b.client.paused);
  b.client.handler->on_data(chunk);
  CHECK(b.client.paused);
  b.client.handler->on_turn_end();
  b.turn();
  CHECK_FALSE(b.client.paused);
  CHECK(b.stream().sent == 80'000);
}

TEST_CASE("a dead endpoint costs a POST nothing: the next one gets it") {
  Bench b;
  b.backend->refusing = {1, 2};
  b.request("POST", "/up", http::BodyKind::length, 3);
  b.client.handler->on_data("abc");
  b.client.handler->on_end();
  b.turn();
  CHECK(b.backend->attempts.size() <= 3);
  CHECK(b.stream().text() == "POST /up host=api.example.com\ndata:abc\nend\n");
  b.respond(b.stream(), 204);
  CHECK(b.client.text() == "204 end\nrelease\n");
}

TEST_CASE("when every endpoint refuses the client gets a 502 with the reason") {
  Bench b;
  b.backend->refusing = {1, 2, 3};
  b.request("GET", "/");
  b.turn();
  CHECK(b.backend->attempts.size() == 3);
  CHECK(b.client.log[0] == "502");
  CHECK(b.client.body.find("\"reason\":\"upstream.connect.refused\"") != std::string::npos);
  CHECK(b.log->last_reason == "upstream.connect.refused");
}

TEST_CASE("the whole body of a POST goes to the next endpoint when no byte reached the first") {
  Bench b;
  b.request("POST", "/up", http::BodyKind::length, 10);
  b.turn();
  ScriptedStream& first = b.stream();
  first.sent_any = false;  // its socket took nothing
  b.client.handler->on_data("HELLO");
  b.client.handler->on_data("WORLD");
  b.client.handler->on_end();
  first.handler->on_reset(Bench::lost());
  b.turn();
  CHECK(b.stream(1).text() == "POST /up host=api.example.com\ndata:HELLOWORLD\nend\n");
}

TEST_CASE("a POST of which some bytes left is not sent again, least of all without its body") {
  Bench b;
  b.request("POST", "/up", http::BodyKind::length, 10);
  b.turn();
  b.client.handler->on_data("HELLOWORLD");
  b.client.handler->on_end();
  b.stream().handler->on_reset(Bench::lost());
  b.turn();
  CHECK(b.backend->connections.size() == 1);
  CHECK(b.client.log[0] == "502");
}

TEST_CASE("the number of endpoints that one request tries is bounded") {
  std::vector<uint16_t> ports;
  for (uint16_t port = 1; port <= 40; ++port) ports.push_back(port);
  Bench b(ports);
  b.backend->refusing = ports;
  b.request("GET", "/");
  for (int i = 0; i < 100; ++i) b.turn();
  CHECK(b.backend->attempts.size() == upstream::Tried::max);
  CHECK(b.client.log[0] == "502");
}

TEST_CASE("a client that waited for a dead attempt to drain goes on with the next one") {
  Bench b;
  b.route_config.retries.body_limit = 1 << 20;
  b.request("PUT", "/", http::BodyKind::unknown);
  b.turn();
  ScriptedStream& first = b.stream();
  first.stuck = true;
  b.client.handler->on_data(std::string(80'000, 'x'));
  b.client.handler->on_turn_end();
  CHECK(b.client.paused);
  first.handler->on_reset(Bench::lost());
  b.turn();
  CHECK_FALSE(b.client.paused);
  CHECK(b.stream(1).sent == 80'000);
}

TEST_CASE("a slow reader keeps its exchange alive; one that stopped is not the endpoint's fault") {
  size_t ScriptedStream::* moves = &ScriptedStream::taken;
  SUBCASE("of this answer") {}
  SUBCASE("of those before it") { moves = &ScriptedStream::taken_before; }
  for (bool reads : {true, false}) {
    Bench b({1});
    b.route->idle_timeout_ms = 30;
    b.request("GET", "/");
    b.turn();
    ScriptedStream& up = b.stream();
    b.backend->connections[0]->finished = false;
    b.respond(up, 200, http::BodyKind::unknown);
    b.client.stuck = true;
    b.client.written = 1'000;  // all of it with our kernel; the peer's takes it bit by bit
    up.handler->on_data("x");
    up.handler->on_turn_end();
    struct Reader {
      Bench& bench;
      size_t ScriptedStream::* moves;
      net::Timer timer{bench.loop, [](void* self) { static_cast<Reader*>(self)->read(); }, this};
      void read() {
        ++(bench.client.*moves);
        timer.start(10);
      }
    } reader{b, moves};
    if (reads) reader.read();
    net::Timer late(b.loop, [](void* self) { static_cast<Bench*>(self)->loop.stop(); }, &b);
    late.start(80);
    b.client.on_release = [&] { b.loop.stop(); };
    b.loop.run();
    CHECK(b.client.gone == !reads);
    if (!reads) {
      CHECK(b.log->last_reason == "client.slow");
      CHECK(b.cluster->endpoints().endpoints[0].state->consecutive_failures.load() == 0);
    }
    b.client.on_release = nullptr;
  }
}

TEST_CASE("fields that only look like the gateway's own are dropped") {
  Bench b;
  b.route->identity_headers.push_back({"x-consumer", *Attribute::parse("consumer.id")});
  http::StreamHandler& handler = make_exchange(b.worker, b.client, b.generation, b.listener);
  b.client.handler = &handler;
  http::Message head(b.client.arena());
  head.method_text = "GET";
  head.authority = "h";
  head.path = "/";
  for (auto name :
       {"x-forwarded-user", "x_forwarded_for", "x-consumer", "x_consumer", "x_request_id", "x_harmless"})
    head.headers.add(name, "forged");
  handler.on_head(head, http::EndStream::yes);
  b.turn();
  const std::string& sent = b.stream().last_headers;
  CAPTURE(sent);
  CHECK(sent.find("x_harmless: forged") != std::string::npos);
  CHECK(sent.find("forged") == sent.rfind("forged"));
  b.respond(b.stream(), 200);
}

TEST_CASE("a reset before the first byte is retried for GET and answered 502 for POST") {
  for (bool post : {false, true}) {
    Bench b;
    if (post)
      b.request("POST", "/", http::BodyKind::length, 0), b.client.handler->on_end();
    else
      b.request("GET", "/");
    b.turn();
    ScriptedStream& first = b.stream();
    first.handler->on_reset(Bench::lost());
    b.turn();
    if (post) {
      CHECK(b.client.log[0] == "502");
      CHECK(b.backend->connections.size() == 1);
    } else {
      b.respond(b.stream(1), 200);
      CHECK(b.client.text() == "200 end\nrelease\n");
    }
  }
}

TEST_CASE("a 503 is retried elsewhere, and passed on when there is nowhere else") {
  Bench b({1, 2});
  b.request("GET", "/");
  b.turn();
  b.respond(b.stream(), 503);
  b.turn();
  b.respond(b.stream(1), 503);
  CHECK(b.client.text() == "503 end\nrelease\n");
  CHECK(b.log->last_reason.empty());  // the backend's own word
}

TEST_CASE("a body that breaks off is seen as cut by the client") {
  Bench b;
  b.request("GET", "/");
  b.turn();
  ScriptedStream& up = b.stream();
  b.respond(up, 200, http::BodyKind::length, 10);
  up.handler->on_data("hello");
  up.handler->on_turn_end();
  up.handler->on_reset(Bench::lost());
  CHECK(b.client.text() == "200\ndata:hello\nreset\n");
  CHECK(b.log->last_reason == "upstream.reset");
}

TEST_CASE("a client that leaves frees the backend at once, whatever the exchange is doing") {
  SUBCASE("while connecting") {
    Bench b;
    b.request("GET", "/");
    b.client.handler->on_reset({ErrorKind::closed, ErrorSource::downstream, Retry::no, {}, {}});
    b.turn();
    CHECK(b.log->last_status == 499);
    CHECK(b.log->last_reason == "client.closed");
  }
  SUBCASE("while waiting for the answer") {
    Bench b;
    b.request("GET", "/");
    b.turn();
    b.backend->connections[0]->finished = false;
    ScriptedStream& up = b.stream();
    b.client.handler->on_reset({ErrorKind::closed, ErrorSource::downstream, Retry::no, {}, {}});
    CHECK(up.log.back() == "release");
    CHECK(b.log->last_status == 499);
  }
}

TEST_CASE("a full client stops the backend from being read, and a drained one starts it again") {
  Bench b;
  b.request("GET", "/");
  b.turn();
  ScriptedStream& up = b.stream();
  b.respond(up, 200, http::BodyKind::unknown);
  b.client.stuck = true;
  std::string chunk(50'000, 'x');
  up.handler->on_data(chunk);
  up.handler->on_turn_end();
  CHECK_FALSE(up.paused);
  up.handler->on_data(chunk);
  up.handler->on_turn_end();
  CHECK(up.paused);
  b.client.stuck = false;
  b.client.pending = 0;
  b.client.handler->on_drained();
  CHECK_FALSE(up.paused);
}

TEST_CASE(
    "what a backend does not take is counted as held for its client, who is cut for it under pressure") {
  Bench b;
  b.request("POST", "/", http::BodyKind::length, 200'000);
  b.turn();
  ScriptedStream& up = b.stream();
  size_t before = b.client.handler->held_bytes();
  up.stuck = true;
  std::string part(50'000, 'x');
  b.client.handler->on_data(part);
  b.client.handler->on_turn_end();
  CHECK(b.client.handler->held_bytes() >= before + part.size());
  up.pending = 0;
  CHECK(b.client.handler->held_bytes() < before + part.size());
}

TEST_CASE("a body over the limit is refused before and while it comes") {
  Bench b;
  b.listener.body_size_limit = 10;
  SUBCASE("declared") {
    b.request("POST", "/", http::BodyKind::length, 11);
    CHECK(b.client.text().find("413") != std::string::npos);
    CHECK(b.backend->attempts.empty());
  }
  SUBCASE("streamed") {
    b.request("POST", "/", http::BodyKind::unknown);
    b.turn();
    b.backend->connections[0]->finished = false;
    b.client.handler->on_data("0123456789");
    b.client.handler->on_data("0");
    CHECK(b.client.text().find("close_after\n413") != std::string::npos);
    CHECK(b.log->last_reason == "request.body_too_large");
  }
}

TEST_CASE("a body that breaks the rules is answered with the reason, and the backend's attempt is cut") {
  Bench b;
  b.request("POST", "/", http::BodyKind::unknown);
  b.turn();
  b.backend->connections[0]->finished = false;
  b.client.handler->on_data("abc");
  b.client.handler->on_bad_body(
      {ErrorKind::protocol, ErrorSource::downstream, Retry::no, "request.malformed", "bad"});
  CHECK(b.client.text().starts_with("close_after\n400\n"));
  CHECK(b.stream().log.back() == "release");
  CHECK(b.log->last_reason == "request.malformed");
}

TEST_CASE("a path that cannot be forwarded unchanged ends the connection") {
  Bench b;
  b.request("GET", "/a%2fb");
  CHECK(b.client.text().starts_with("close_after\n400\n"));
  CHECK(b.log->last_reason == "request.malformed");
}

TEST_CASE("a backend that keeps an upload waiting is answered 504 for, and rests in the end") {
  Bench b({1});
  b.route->idle_timeout_ms = 30;
  b.client.on_release = [&] { b.loop.stop(); };
  auto failures = [&] { return b.cluster->endpoints().endpoints[0].state->consecutive_failures.load(); };
  SUBCASE("it does not take the connection") {
    b.backend->silent = {1};
    b.request("POST", "/", http::BodyKind::unknown);
    b.client.handler->on_data("part of the body");
    b.client.handler->on_turn_end();
    b.loop.run();
    CHECK(b.client.text().find("504\n") != std::string::npos);
    CHECK(failures() == 1);
  }
  SUBCASE("it does not read") {
    b.request("POST", "/", http::BodyKind::unknown);
    b.turn();
    b.stream().stuck = true;
    b.client.handler->on_data("part of the body");
    b.loop.run();
    CHECK(b.client.text().find("504\n") != std::string::npos);
    CHECK(b.log->last_reason == "upstream.timeout.idle");
    CHECK(failures() == 1);
  }
  SUBCASE("it owes a 100") {
    http::StreamHandler& handler = make_exchange(b.worker, b.client, b.generation, b.listener);
    b.client.handler = &handler;
    http::Message head(b.client.arena());
    head.method = http::Method::post;
    head.method_text = "POST";
    head.authority = "h";
    head.path = "/";
    head.body = http::BodyKind::unknown;
    head.expect_continue = true;
    handler.on_head(head, http::EndStream::no);
    b.turn();
    b.loop.run();
    CHECK(b.log->last_reason == "upstream.timeout.idle");
    CHECK(failures() == 1);
  }
  SUBCASE("it waits for the client, who is at fault") {
    b.request("POST", "/", http::BodyKind::unknown);
    b.turn();
    b.client.handler->on_data("part of the body");
    b.client.handler->on_turn_end();
    b.loop.run();
    CHECK(b.client.text().find("408\n") != std::string::npos);
    CHECK(failures() == 0);
  }
  b.client.on_release = nullptr;
}

TEST_CASE("an answer's head is there until it was reported, also when a timeout cuts the answer") {
  Bench b({1});
  b.route->idle_timeout_ms = 30;
  b.request("GET", "/");
  b.turn();
  ScriptedStream& up = b.stream();
  b.backend->connections[0]->finished = false;
  b.respond(up, 200, http::BodyKind::unknown);
  bool reported = false, released = false;
  up.on_release = [&] { released = true; };
  b.log->on_report = [&](const FilterCall&) {
    reported = true;
    CHECK_FALSE(released);
  };
  b.client.on_release = [&] { b.loop.stop(); };
  b.loop.run();
  CHECK(reported);
  CHECK(released);
  CHECK(b.log->last_reason == "upstream.timeout.idle");
  CHECK(b.cluster->endpoints().endpoints[0].state->consecutive_failures.load() == 1);
  b.client.on_release = nullptr;
}

TEST_CASE("trailers say nothing that the head could not") {
  Bench b;
  b.route->identity_headers.push_back({"x-consumer", *Attribute::parse("consumer.id")});
  b.route->dropped_headers = {"x-my-key"};
  b.request("POST", "/", http::BodyKind::unknown);
  b.turn();
  auto* trailers = b.client.arena().make<http::Headers>(b.client.arena());
  for (auto name : {"x-consumer", "x_consumer", "x-my-key", "x_forwarded_for", "x-checksum"})
    trailers->add(name, "forged");
  b.client.handler->on_trailers(*trailers);
  b.client.handler->on_end();
  CHECK(b.stream().log.back() == "trailers");
  CHECK(b.stream().last_trailers == "x-checksum: forged\n");
  b.respond(b.stream(), 200);
}

TEST_CASE("a refused request never opens an upstream") {
  Bench b;
  Consumer nobody{"nobody", {}};
  auto key = ScriptedFilter::authenticator("key", AuthVerdict::absent);
  key->index = 1;
  b.generation.filter_states.push_back(nullptr);
  AuthPolicy policy;
  b.route->chain.set_auth(policy, {key.get()});
  b.snapshot->filters.push_back(std::move(key));
  b.request("GET", "/");
  b.turn();
  CHECK(b.client.log[0] == "401");
  CHECK(b.client.last_headers.find("www-authenticate: Test realm=\"key\"") != std::string::npos);
  CHECK(b.backend->attempts.empty());
}

TEST_CASE("a first byte that does not come in time: 504, and the endpoint's stream is cut") {
  Bench b({1});
  b.route->first_byte_timeout_ms = 30;
  b.request("GET", "/");
  b.turn();
  b.backend->connections[0]->finished = false;
  b.client.on_release = [&] { b.loop.stop(); };
  b.loop.run();
  CHECK(b.client.log[0] == "504");
  CHECK(b.log->last_reason == "upstream.timeout.first_byte");
}

TEST_CASE("a backend's time for its first byte begins when it has the whole request") {
  Bench b({1});
  b.route->first_byte_timeout_ms = 60;
  b.request("GET", "/");
  b.turn();
  b.backend->connections[0]->finished = false;
  ScriptedStream& up = b.stream();
  up.written = 100;
  up.taken = 1;
  struct Taking {
    ScriptedStream& up;
    net::Timer timer;
    size_t taken = 1;
    void step() {
      up.taken = taken += 11;
      if (taken < 100) timer.start(20);
    }
  } taking{up, net::Timer(b.loop, [](void* self) { static_cast<Taking*>(self)->step(); }, &taking)};
  taking.timer.start(20);
  b.client.on_release = [&] { b.loop.stop(); };
  b.loop.run();
  CHECK(b.log->last_reason == "upstream.timeout.first_byte");
  CHECK(taking.taken == 100);
}

TEST_CASE("an upgrade that the backend accepts becomes a tunnel in both directions") {
  Bench b;
  http::StreamHandler& handler = make_exchange(b.worker, b.client, b.generation, b.listener);
  http::Message head(b.client.arena());
  head.method_text = "GET";
  head.authority = "h";
  head.path = "/ws";
  head.upgrade = "websocket";
  head.headers.add(http::HeaderId::sec_websocket_version, "13");
  head.headers.add(http::HeaderId::sec_websocket_key, "dGhlIHNhbXBsZSBub25jZQ==");
  handler.on_head(head, http::EndStream::yes);
  b.turn();
  ScriptedStream& up = b.stream();
  http::Message response(up.arena());
  response.status = 101;
  response.upgrade = "websocket";
  response.headers.add(http::HeaderId::sec_websocket_accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  up.handler->on_head(response, http::EndStream::no);
  handler.on_data("ping");
  handler.on_turn_end();
  up.handler->on_data("pong");
  up.handler->on_turn_end();
  CHECK(up.body == "ping");
  CHECK(b.client.body == "pong");
  up.handler->on_end();
  CHECK(b.client.last_headers.find("x-request-id: ") != std::string::npos);
  CHECK(b.worker.metrics.active_tunnels == 1);
  CHECK(b.client.log.back() == "end");
  b.backend->connections[0]->finished = false;
  handler.on_end();
  CHECK(b.client.log.back() == "release");
  CHECK(b.log->last_status == 101);
  CHECK(b.worker.metrics.active_tunnels == 0);
  CHECK(b.worker.metrics.tunnels() == 1);
}

TEST_CASE("a 101 that nobody asked for is a bad answer") {
  Bench b({1});
  b.request("GET", "/");
  b.turn();
  ScriptedStream& up = b.stream();
  b.backend->connections[0]->finished = false;
  http::Message response(up.arena());
  response.status = 101;
  response.upgrade = "websocket";
  up.received_any = true;
  up.handler->on_head(response, http::EndStream::no);
  CHECK(b.client.log[0] == "502");
  CHECK(b.log->last_reason == "upstream.protocol");
}

TEST_CASE("a head that cannot be read is answered, logged and closed") {
  Bench b;
  http::StreamHandler& handler = make_exchange(b.worker, b.client, b.generation, b.listener);
  http::Message head(b.client.arena());
  handler.on_bad_head({ErrorKind::protocol, ErrorSource::downstream, Retry::no, "request.malformed", "bad"},
                      head);
  CHECK(b.client.text().starts_with("close_after\n400\n"));
  CHECK(b.log->completions == 1);
  CHECK(b.log->last_reason == "request.malformed");
}

TEST_CASE("only a trusted proxy's word about the client is believed") {
  for (bool trusted : {false, true}) {
    Bench b;
    if (trusted)
      b.listener.trusted_proxies = {*net::Cidr::parse("192.0.2.0/24"), *net::Cidr::parse("10.0.0.0/8")};
    http::StreamHandler& handler = make_exchange(b.worker, b.client, b.generation, b.listener);
    http::Message head(b.client.arena());
    head.method_text = "GET";
    head.authority = "h";
    head.path = "/";
    head.headers.add("x-forwarded-for", "198.51.100.1, 203.0.113.5, 10.1.2.3");
    head.headers.add("x-forwarded-proto", "https");
    head.headers.add("x-request-id", "abc-1");
    b.client.handler = &handler;
    handler.on_head(head, http::EndStream::yes);
    b.turn();
    const std::string& sent = b.stream().last_headers;
    CAPTURE(sent);
    if (trusted) {
      CHECK(sent.find("x-forwarded-for: 198.51.100.1, 203.0.113.5, 10.1.2.3, 192.0.2.7\n") !=
            std::string::npos);
      CHECK(sent.find("x-forwarded-proto: https\n") != std::string::npos);
      CHECK(sent.find("x-request-id: abc-1\n") != std::string::npos);
    } else {
      CHECK(sent.find("x-forwarded-for: 192.0.2.7\n") != std::string::npos);
      CHECK(sent.find("x-forwarded-proto: http\n") != std::string::npos);
      CHECK(sent.find("x-request-id: abc-1\n") == std::string::npos);
      CHECK(sent.find("x-correlation-id: abc-1\n") != std::string::npos);
    }
    b.respond(b.stream(), 200);
  }
}
