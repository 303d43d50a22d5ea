// What becomes of an exchange when one side breaks off, is early, late or slow. A broken transfer is seen as
// broken, for each version and framing, and nobody stays behind.
#include <doctest/doctest.h>

#include "proxy/pipe.h"

using namespace penstock;
using namespace penstock::proxy;
using namespace penstock::proxy::testing;

namespace {

constexpr std::string_view get = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
constexpr std::string_view get_1_0 = "GET /a HTTP/1.0\r\nHost: x\r\n\r\n";

std::string ok(std::string_view fields, std::string_view body = "") {
  return "HTTP/1.1 200 OK\r\nDate: D\r\n" + std::string(fields) + "\r\n" + std::string(body);
}
std::string post(std::string_view fields, std::string_view body = "") {
  return "POST /a HTTP/1.1\r\nHost: x\r\n" + std::string(fields) + "\r\n" + std::string(body);
}
size_t count(std::string_view text, std::string_view what) {
  size_t found = 0;
  for (size_t at = 0; (at = text.find(what, at)) != text.npos; at += what.size()) ++found;
  return found;
}

// Would a client take what came, and how it ended, for a whole answer?
bool looks_whole(const Wire& client) {
  size_t body = client.sent.find("\r\n\r\n") + 4;
  if (client.sent.find("transfer-encoding: chunked") != std::string::npos)
    return client.sent.ends_with("0\r\n\r\n");
  if (size_t at = client.sent.find("content-length: "); at != std::string::npos)
    return client.sent.size() - body >= std::stoul(client.sent.substr(at + 16));
  return client.end == Wire::End::graceful || client.end == Wire::End::destroyed;
}

// What the client sends arrives as broken or whole; read by the same rules on the backend's side.
bool backend_took_whole(const Wire& backend) {
  size_t body = backend.sent.find("\r\n\r\n") + 4;
  if (backend.sent.find("transfer-encoding: chunked") != std::string::npos)
    return backend.sent.ends_with("0\r\n\r\n");
  size_t at = backend.sent.find("content-length: ");
  return at == std::string::npos || backend.sent.size() - body >= std::stoul(backend.sent.substr(at + 16));
}

}  // namespace

TEST_CASE("an answer that breaks off is seen as broken, for each version, framing and way to break") {
  const std::string cut_answers[] = {
      ok("Content-Length: 10\r\n", "hello"),
      ok("Content-Length: 10\r\n"),
      ok("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n"),
      ok("Transfer-Encoding: chunked\r\n", "5\r\nhel"),
      ok("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n"),
      ok("Transfer-Encoding: chunked\r\n"),
      "HTTP/1.0 200 OK\r\nDate: D\r\nContent-Length: 10\r\n\r\nhello",
      ok("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\nzz\r\n"),
  };
  for (std::string_view request : {get, get_1_0}) {
    for (const std::string& answer : cut_answers) {
      for (bool reset : {false, true}) {
        CAPTURE(request);
        CAPTURE(answer);
        CAPTURE(reset);
        Pipe pipe;
        pipe.send(request);
        // The head first, so that it is out before anything is wrong.
        size_t head = answer.find("\r\n\r\n") + 4;
        pipe.answer(answer.substr(0, head));
        if (answer.size() > head) pipe.answer(answer.substr(head));
        if (reset)
          pipe.reset_of_backend();
        else
          pipe.end_of_backend();
        CHECK(pipe.client.sent.find("200 OK") != std::string::npos);
        CHECK_FALSE(looks_whole(pipe.client));
        CHECK(pipe.client.end != Wire::End::open);
        CHECK_FALSE(pipe.log->last_reason.empty());
        CHECK(pipe.at_rest());
        CHECK(pipe.cluster->open_connections() == 0);
      }
    }
  }
}

TEST_CASE("a body until close that ends by a reset is broken, not whole") {
  for (std::string_view request : {get, get_1_0}) {
    Pipe pipe;
    pipe.send(request);
    pipe.answer(ok("", "hello"));
    pipe.reset_of_backend();
    CHECK_FALSE(looks_whole(pipe.client));
    CHECK(pipe.client.end == (request == get ? Wire::End::graceful : Wire::End::aborted));
    CHECK(pipe.log->last_reason == "upstream.reset");
  }
}

TEST_CASE("a backend that closes before its answer: GET goes elsewhere, POST is a 502") {
  for (bool reset : {false, true}) {
    for (bool is_post : {false, true}) {
      CAPTURE(reset);
      CAPTURE(is_post);
      Pipe pipe(2);
      pipe.send(is_post ? post("Content-Length: 1\r\n", "x") : std::string(get));
      reset ? pipe.reset_of_backend() : pipe.end_of_backend();
      if (is_post) {
        CHECK(pipe.client.sent.starts_with("HTTP/1.1 502 "));
        CHECK(pipe.connector->wires.size() == 1);
      } else {
        pipe.answer(ok("Content-Length: 0\r\n"), 1);
        CHECK(pipe.client.sent.starts_with("HTTP/1.1 200 "));
      }
      CHECK(pipe.at_rest());
    }
  }
}

TEST_CASE("a part of an answer's head is no answer, and is not tried again") {
  Pipe pipe(2);
  pipe.send(get);
  pipe.answer("HTTP/1.1 200 OK\r\nContent-Le");
  pipe.end_of_backend();
  CHECK(pipe.client.sent.starts_with("HTTP/1.1 502 "));
  CHECK(pipe.client.sent.find("upstream.reset") != std::string::npos);
  CHECK(pipe.connector->wires.size() == 1);
}

TEST_CASE("bad answers are a 502 without a word of the backend's") {
  for (std::string answer :
       {ok("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "secret"),
        ok("Content-Length: -1\r\n", "secret"), ok("Secret : 1\r\n"), std::string("secret\r\n\r\n"),
        std::string("HTTP/1.1 101 secret\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nsecret"),
        std::string("HTTP/1.1 100 Continue\r\n\r\nsecret\r\n")}) {
    CAPTURE(answer);
    Pipe pipe(2);
    pipe.send(get);
    pipe.answer(answer);
    CHECK(pipe.client.sent.find("HTTP/1.1 502 ") != std::string::npos);
    CHECK(pipe.client.sent.find("ecret") == std::string::npos);
    CHECK(pipe.log->last_reason == "upstream.protocol");
    CHECK(pipe.client.end == Wire::End::open);
    CHECK(pipe.cluster->open_connections() == 0);
    pipe.send(get);
    pipe.answer(ok("Content-Length: 0\r\n"), pipe.connector->wires.size() - 1);
    CHECK(pipe.client.sent.find("HTTP/1.1 200 OK") != std::string::npos);
  }
}

TEST_CASE("the race with a backend that closes an idle connection costs a GET nothing, and no retry twice") {
  Pipe pipe(2);
  pipe.route_config.retries.attempts = 0;  // the free try is none of these
  pipe.send(get);
  pipe.answer(ok("Content-Length: 0\r\n"));
  pipe.send(get);  // round robin: the other endpoint
  pipe.answer(ok("Content-Length: 0\r\n"), 1);
  pipe.client.take();
  pipe.send(get);  // on the first connection again
  CHECK(count(pipe.backend(0).sent, "GET /a ") == 2);
  pipe.end_of_backend(0);
  REQUIRE(pipe.connector->wires.size() <= 3);
  size_t last = count(pipe.backend(1).sent, "GET /a ") == 2 ? 1 : 2;
  pipe.answer(ok("Content-Length: 0\r\n"), last);
  CHECK(pipe.client.sent.starts_with("HTTP/1.1 200 OK"));
  for (const auto& state : pipe.cluster->endpoints().endpoints)
    CHECK(state.state->consecutive_failures.load() == 0);
}

TEST_CASE("what waits on an idle connection is nobody's answer and costs nobody an error, a POST neither") {
  const std::string late =
      "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 4\r\n\r\nEVIL";
  for (std::string request : {std::string(get), post("Content-Length: 0\r\n")}) {
    for (bool fin : {false, true}) {
      CAPTURE(request);
      CAPTURE(fin);
      Pipe pipe;
      pipe.send(get);
      pipe.answer(ok("Content-Length: 0\r\n"));
      pipe.client.take();
      feed(pipe.client, request);  // the backend's bytes had come in the same turn
      if (fin)
        feed_end(pipe.backend());
      else
        feed(pipe.backend(), late);
      pipe.turn();
      CHECK(count(pipe.backend().sent, " /a ") == 1);
      pipe.answer(ok("Content-Length: 0\r\n"), 1);
      CHECK(pipe.client.sent.starts_with("HTTP/1.1 200 OK"));
      CHECK(count(pipe.client.sent, "HTTP/1.1") == 1);
      CHECK(pipe.at_rest());
    }
  }
}

TEST_CASE("what a read left behind on a connection that came back is nobody's answer") {
  for (std::string request : {std::string(get), post("Content-Length: 0\r\n")}) {
    CAPTURE(request);
    Pipe pipe;
    pipe.send(std::string(get) + request);
    // The answer fills a whole read; what is behind it is readable at the next look only.
    pipe.loop.post([&] {
      feed(pipe.backend(), ok("Content-Length: 0\r\n"));
      pipe.loop.post([&] { feed(pipe.backend(), ok("Content-Length: 4\r\n", "EVIL")); });
    });
    pipe.turn();
    CHECK(count(pipe.backend().sent, " /a ") == 1);
    pipe.answer(ok("Content-Length: 4\r\n", "mine"), 1);
    CHECK(pipe.client.sent.ends_with("mine"));
    CHECK(count(pipe.client.sent, "HTTP/1.1") == 2);
    CHECK(pipe.client.sent.find("EVIL") == std::string::npos);
    CHECK(pipe.at_rest());
  }
}

TEST_CASE("bytes are no answer to a request of which none left, whatever its method") {
  Pipe pipe;
  pipe.send(get);
  pipe.answer(ok("Content-Length: 0\r\n"));
  pipe.client.take();
  pipe.backend().transport->lose_sending();
  pipe.send(post("Content-Length: 2\r\n", "hi"));
  pipe.answer(ok("Content-Length: 4\r\n", "EVIL"));
  pipe.answer(ok("Content-Length: 4\r\n", "mine"), 1);
  CHECK(pipe.client.sent.ends_with("mine"));
  CHECK(pipe.client.sent.find("EVIL") == std::string::npos);
  CHECK(pipe.at_rest());
}

TEST_CASE("a free try is none of retries.attempts") {
  Pipe pipe(2);
  pipe.route_config.retries.attempts = 1;
  for (size_t i = 0; i < 2; ++i) {
    pipe.send(get);
    pipe.answer(ok("Content-Length: 0\r\n"), i);
  }
  pipe.client.take();
  pipe.send(get);
  pipe.end_of_backend(0);  // stale
  REQUIRE(pipe.connector->wires.size() == 3);
  pipe.answer("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy", 2);
  REQUIRE(count(pipe.client.sent, "503") == 0);
  size_t last = pipe.connector->wires.size() - 1;
  pipe.answer(ok("Content-Length: 2\r\n", "ok"), last == 2 ? 1 : last);
  CHECK(pipe.client.sent.starts_with("HTTP/1.1 200 OK"));
  CHECK(pipe.at_rest());
}

TEST_CASE("a connection that was gone is free of charge whatever retry_on says, and its successor is fresh") {
  Pipe pipe;
  pipe.route_config.retries.on_connect = pipe.route_config.retries.on_reset = false;
  pipe.send(get);
  pipe.answer(ok("Content-Length: 0\r\n"));
  pipe.client.take();
  feed(pipe.client, get);
  feed_end(pipe.backend());
  pipe.turn();
  pipe.answer(ok("Content-Length: 0\r\n"), 1);
  CHECK(pipe.client.sent.starts_with("HTTP/1.1 200 OK"));
}

TEST_CASE("what becomes of a connection in its first exchange is its endpoint's doing: no free try") {
  Pipe pipe(2);
  pipe.route_config.retries.on_reset = false;
  pipe.send(get);
  pipe.reset_of_backend();
  CHECK(pipe.client.sent.starts_with("HTTP/1.1 502 "));
  CHECK(pipe.connector->wires.size() == 1);
  CHECK(pipe.cluster->endpoints().endpoints[0].state->consecutive_failures.load() == 1);
}

TEST_CASE("before a body is sent on an idle connection it is asked") {
  Pipe pipe;
  pipe.send(get);
  pipe.answer(ok("Content-Length: 0\r\n"));
  pipe.client.take();
  pipe.backend().input_waits = true;
  pipe.send(post("Content-Length: 1\r\n", "x"));
  CHECK(count(pipe.backend().sent, "POST") == 0);
  pipe.answer(ok("Content-Length: 0\r\n"), 1);
  CHECK(pipe.client.sent.starts_with("HTTP/1.1 200 OK"));
}

TEST_CASE("the same race is a 502 for a POST whose bytes left") {
  Pipe pipe;
  pipe.send(get);
  pipe.answer(ok("Content-Length: 0\r\n"));
  pipe.client.take();
  pipe.send(post("Content-Length: 1\r\n", "x"));
  pipe.end_of_backend();
  CHECK(pipe.client.sent.starts_with("HTTP/1.1 502 "));
  CHECK(pipe.connector->wires.size() == 1);
}

TEST_CASE("no retry after an interim answer was passed on, nor after a byte of the answer") {
  Pipe pipe(2);
  pipe.send(get);
  pipe.answer("HTTP/1.1 103 Early Hints\r\n\r\n");
  pipe.end_of_backend();
  CHECK(pipe.client.sent.find("HTTP/1.1 502 ") != std::string::npos);
  CHECK(pipe.connector->wires.size() == 1);
}

TEST_CASE("an interim answer that an HTTP/1.0 client does not get costs it no retry") {
  Pipe pipe(2);
  pipe.send(get_1_0);
  pipe.answer("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy");
  pipe.answer(ok("Content-Length: 2\r\n", "ok"), 1);
  CHECK(pipe.client.sent.starts_with("HTTP/1.1 200 OK"));
  CHECK(pipe.client.sent.ends_with("\r\n\r\nok"));
}

TEST_CASE("timeouts.total ends where an event stream begins, in whatever case it says so") {
  struct Row {
    std::string type;
    bool endless;
  };
  for (const auto& [type, endless] :
       {Row{"text/event-stream", true}, Row{"Text/Event-Stream;charset=utf-8", true},
        Row{"text/event-streams", false}, Row{"text/plain", false}}) {
    CAPTURE(type);
    Pipe pipe;
    pipe.route->total_timeout_ms = 10;
    pipe.send(get);
    pipe.answer(ok("Content-Type: " + type + "\r\n"));
    net::Timer later{pipe.loop, [](void* self) { static_cast<Pipe*>(self)->loop.stop(); }, &pipe};
    later.start(40);
    pipe.loop.run();
    CHECK(pipe.at_rest() == !endless);
  }
}

TEST_CASE("retry_on decides, and the second answer is the client's") {
  Pipe pipe(2);
  pipe.send(get);
  pipe.answer("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy");
  pipe.answer(ok("Content-Length: 2\r\n", "ok"), 1);
  CHECK(pipe.client.sent.starts_with("HTTP/1.1 200 OK"));
  CHECK(pipe.client.sent.find("busy") == std::string::npos);
  CHECK(pipe.at_rest());
}

TEST_CASE("an early refusal is passed on while the body still comes; the connection ends after it") {
  struct Early {
    const char* name;
    std::string answer;
    bool announced;  // Connection: close
  };
  const Early cases[] = {
      {"413", "HTTP/1.1 413 Too Large\r\nDate: D\r\nContent-Length: 3\r\n\r\nbig", true},
      {"401", "HTTP/1.1 401 Who\r\nDate: D\r\nContent-Length: 0\r\n\r\n", true},
      {"200 whole at once", ok("Content-Length: 0\r\n"), true},
      {"200 with a body", ok("Content-Length: 2\r\n", "ok"), false},
  };
  for (const Early& each : cases) {
    for (std::string_view framing : {"Content-Length: 1000\r\n", "Transfer-Encoding: chunked\r\n"}) {
      CAPTURE(each.name);
      CAPTURE(framing);
      Pipe pipe;
      pipe.send(post(framing));
      pipe.answer(each.answer);
      CHECK(pipe.client.sent.substr(9, 3) == each.answer.substr(9, 3));
      CHECK((pipe.client.sent.find("connection: close\r\n") != std::string::npos) == each.announced);
      // Reads on for a while, so that the answer arrives; who was not told may send the rest and go on.
      CHECK(pipe.client.end == (each.announced ? Wire::End::graceful : Wire::End::open));
      if (each.announced) CHECK(pipe.client.linger_ms > 0);
      CHECK(pipe.at_rest());
      CHECK(pipe.cluster->open_connections() == 0);  // its backend would take the next request for the body
    }
  }
}

TEST_CASE("a backend that answers while it reads is heard to the end, and both connections live on") {
  Pipe pipe;
  pipe.send(post("Transfer-Encoding: chunked\r\n", "1\r\na\r\n"));
  pipe.answer(ok("Transfer-Encoding: chunked\r\n", "1\r\nA\r\n"));
  pipe.send("1\r\nb\r\n");
  pipe.answer("1\r\nB\r\n");
  pipe.send("0\r\n\r\n");
  CHECK(backend_took_whole(pipe.backend()));
  pipe.answer("0\r\n\r\n");
  CHECK(pipe.client.sent.ends_with("1\r\nA\r\n1\r\nB\r\n0\r\n\r\n"));
  CHECK(pipe.client.end == Wire::End::open);
  CHECK(pipe.cluster->idle_connections() == 1);
}

TEST_CASE("Expect: the backend's word is the client's") {
  std::string request = post("Expect: 100-continue\r\nContent-Length: 4\r\n");
  SUBCASE("100, then the body") {
    Pipe pipe;
    pipe.send(request);
    CHECK(pipe.backend().sent.find("expect: 100-continue") != std::string::npos);
    CHECK(pipe.client.sent.empty());
    pipe.answer("HTTP/1.1 100 Continue\r\n\r\n");
    CHECK(pipe.client.take() == "HTTP/1.1 100 Continue\r\n\r\n");
    pipe.send("body");
    pipe.answer(ok("Content-Length: 0\r\n"));
    CHECK(pipe.client.end == Wire::End::open);
    CHECK(pipe.cluster->idle_connections() == 1);
  }
  SUBCASE("a refusal at once: no body goes anywhere, and neither connection is used again") {
    for (std::string_view status : {"417 Expectation Failed", "413 Content Too Large", "200 OK"}) {
      Pipe pipe;
      pipe.send(request);
      pipe.answer("HTTP/1.1 " + std::string(status) + "\r\nContent-Length: 2\r\n\r\nno");
      CHECK(pipe.client.sent.starts_with("HTTP/1.1 " + std::string(status)));
      CHECK(pipe.client.sent.find("connection: close\r\n") != std::string::npos);
      CHECK(pipe.client.end == Wire::End::graceful);
      CHECK(pipe.cluster->open_connections() == 0);
      CHECK(pipe.backend().sent.ends_with("\r\n\r\n"));
    }
  }
  SUBCASE("a client that does not wait") {
    Pipe pipe;
    pipe.send(request + "body");
    pipe.answer("HTTP/1.1 100 Continue\r\n\r\n" + ok("Content-Length: 0\r\n"));
    CHECK(pipe.client.sent.find(" 200 OK") != std::string::npos);
    CHECK(pipe.client.end == Wire::End::open);
  }
}

TEST_CASE("a client that breaks off: the backend is let go at once and never sees a whole request") {
  struct Leaving {
    const char* name;
    std::string request, answer;
    bool whole;
  };
  const Leaving cases[] = {
      {"within a counted body", post("Content-Length: 10\r\n", "hello"), "", false},
      {"within chunks", post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n"), "", false},
      {"waiting for the head", std::string(get), "", true},
      {"within the answer", std::string(get), ok("Content-Length: 10\r\n", "hello"), true},
  };
  for (const Leaving& each : cases) {
    CAPTURE(each.name);
    Pipe pipe;
    pipe.send(each.request);
    if (!each.answer.empty()) pipe.answer(each.answer);
    pipe.reset_of_client();
    CHECK(pipe.backend().end != Wire::End::open);
    CHECK(backend_took_whole(pipe.backend()) == each.whole);
    CHECK(pipe.log->last_reason == "client.closed");
    CHECK(pipe.at_rest());
    CHECK(pipe.cluster->open_connections() == 0);
  }
}

TEST_CASE("a client that only ended its side gets its answer") {
  Pipe pipe;
  pipe.send(get);
  feed_end(pipe.client);
  pipe.turn();
  pipe.answer(ok("Content-Length: 2\r\n", "ok"));
  CHECK(pipe.client.sent.ends_with("ok"));
  CHECK(pipe.at_rest());
}

TEST_CASE("bytes after the end of an answer: the connection serves nobody else") {
  Pipe pipe;
  pipe.send(get);
  pipe.answer(ok("Content-Length: 2\r\n", "ok"));
  CHECK(pipe.cluster->idle_connections() == 1);
  pipe.answer("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
  CHECK(pipe.cluster->open_connections() == 0);
  pipe.client.take();
  pipe.send(get);
  pipe.answer(ok("Content-Length: 2\r\n", "ok"), 1);
  CHECK(pipe.client.sent.ends_with("ok"));
}

TEST_CASE(
    "a client that does not read and a backend that does not: neither side is read on, nothing is lost") {
  std::string block(50'000, 'x');
  SUBCASE("the client") {
    Pipe pipe;
    pipe.send(get);
    pipe.client.transport->block();
    pipe.answer(ok("Content-Length: 150000\r\n", block));
    pipe.answer(block);
    CHECK(pipe.backend().paused);
    pipe.client.transport->room();
    CHECK_FALSE(pipe.backend().paused);
    pipe.answer(block);
    CHECK(pipe.client.sent.size() > 150'000);
    CHECK(pipe.at_rest());
  }
  SUBCASE("the backend") {
    Pipe pipe;
    pipe.send(post("Content-Length: 200000\r\n"));
    pipe.backend().transport->block();
    pipe.send(block);
    pipe.send(block);
    CHECK(pipe.client.paused);
    // An early answer still gets through.
    pipe.answer("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
    CHECK(pipe.client.sent.starts_with("HTTP/1.1 413 "));
    CHECK(pipe.at_rest());
  }
}
