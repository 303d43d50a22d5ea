// Extended CONNECT (RFC 8441), frame by frame: what asks for a tunnel, the tunnel and its ends, on either
// side.
#include <doctest/doctest.h>

#include "http2_backend.h"
#include "http2_client.h"

using namespace penstock;
using namespace penstock::test;
using namespace penstock::test::h2;

namespace {

Fields connect(const Fields& more = {}, std::string_view protocol = "websocket") {
  Fields out{{":method", "CONNECT"},
             {":protocol", std::string(protocol)},
             {":scheme", "http"},
             {":path", "/chat?room=1"},
             {":authority", "x"}};
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

void answer_101(Recorder& r, const Fields& fields = {}) {
  BlockPool pool;
  Arena arena(pool);
  Message message(arena);
  message.status = 101;
  message.upgrade = "websocket";
  message.headers.add(HeaderId::date, "D");
  for (const auto& [name, value] : fields) {
    const HeaderId id = header_id(name);
    id == HeaderId::other ? message.headers.add(name, value) : message.headers.add(id, value);
  }
  r.stream->send_head(message, EndStream::no);
  r.stream->flush();
}

void say(Recorder& r, std::string_view bytes) {
  r.stream->send_data(bytes);
  r.stream->flush();
}

void end(Recorder& r) {
  r.stream->send_end();
  r.stream->flush();
}

struct ClientTunnel : Peer {
  explicit ClientTunnel(DownstreamSettings settings = {}) : Peer(settings) {
    send(head(1, connect(), end_headers));
    answer_101(stream());
    REQUIRE(got() == "HEADERS 1 :status=200 date=D");
    stream().events.clear();
    stream().events.emplace_back();
  }
  std::string log() { return stream().log().substr(stream().log().starts_with(" | ") ? 3 : 0); }
};

const std::vector<std::pair<uint16_t, uint32_t>> takes_connect{{8, 1}};

void ask_for_tunnel(Played& backend, Recorder& handler) {
  REQUIRE(backend.open(handler));
  Message head(handler.stream->arena());
  fill_request(head, Method::get, "/chat");
  head.upgrade = "websocket";
  head.headers.add(HeaderId::sec_websocket_key, "dGhlIHNhbXBsZSBub25jZQ==");
  head.headers.add(HeaderId::sec_websocket_version, "13");
  handler.stream->send_head(head, EndStream::yes);
  handler.stream->flush();
}

struct BackendTunnel {
  Played backend;
  Recorder stream;
  explicit BackendTunnel(UpstreamSettings settings = Played::quiet(), uint32_t window = 65'535)
      : backend(Played::Says::settings, settings, {{8, 1}, {4, window}}) {
    ask_for_tunnel(backend, stream);
    backend.got();
    backend.send(answer_head(1, "200"));
    REQUIRE(stream.log() == "101  upgrade=websocket");
    stream.events.clear();
    stream.events.emplace_back();
  }
  std::string log() { return stream.log().substr(stream.log().starts_with(" | ") ? 3 : 0); }
};

}  // namespace

TEST_CASE("an extended CONNECT is the request that an upgrade of HTTP/1.1 is") {
  Peer peer;
  peer.send(head(1, connect({{"sec-websocket-version", "13"}}), end_headers));
  CHECK(peer.stream().log() == "GET x /chat?room=1 upgrade=websocket sec-websocket-version=13 END");
  CHECK(peer.stream().head->version == Version::http_2);
  answer_101(peer.stream(), {{"sec-websocket-accept", "A"}, {"sec-websocket-protocol", "chat"}});
  CHECK(peer.got() == "HEADERS 1 :status=200 date=D sec-websocket-protocol=chat");
  say(peer.stream(), "hello");
  CHECK(peer.got() == "DATA 1 5");
  peer.send(body(1, "you"));
  CHECK(peer.stream().body == "you");
  CHECK(peer.stream().turn_ends == 2);
}

TEST_CASE("what is no extended CONNECT, or none that can be, is refused") {
  struct Bad {
    const char* name;
    Fields fields;
    int flags;
    std::string_view said;
  };
  const Fields plain{{":method", "CONNECT"}, {":authority", "x:443"}};
  Fields posted = request("POST", "/");
  posted.insert(posted.begin() + 1, {":protocol", "websocket"});
  Fields pathless = connect();
  pathless.erase(pathless.begin() + 3);
  Fields twice = connect();
  twice.insert(twice.begin(), {":protocol", "websocket"});
  const Bad cases[] = {
      {"a plain CONNECT", plain, end_headers, "HEADERS 1 :status=501"},
      {"one that ends with its head", connect(), end_headers | end_stream, "HEADERS 1 :status=400"},
      {"one with a length", connect({{"content-length", "3"}}), end_headers, "HEADERS 1 :status=400"},
      {"a protocol that is no token", connect({}, "web socket"), end_headers, "HEADERS 1 :status=400"},
      {"with another method", posted, end_headers, "RST 1 1"},
      {"without a path", pathless, end_headers, "RST 1 1"},
      {"the protocol twice", twice, end_headers, "RST 1 1"},
      {"with an Upgrade", connect({{"upgrade", "websocket"}}), end_headers, "RST 1 1"},
  };
  for (const Bad& each : cases) {
    CAPTURE(each.name);
    Peer peer;
    peer.answer_all();
    CHECK(peer.send(head(1, each.fields, each.flags)).starts_with(each.said));
    CHECK(peer.stream().log().starts_with("bad request."));
    CHECK(peer.send(head(3, get())).starts_with("HEADERS 3 :status=200"));
  }
}

TEST_CASE("a tunnel that is not made is answered, and what came for it is dropped") {
  Peer peer;
  peer.send(head(1, connect(), end_headers) + body(1, "early"));
  CHECK(peer.stream().body.empty());
  answer(peer.stream(), 404, "no");
  peer.stream().release();
  CHECK(peer.got() == "HEADERS 1 :status=404 content-length=2 date=D | DATA 1 2 END | RST 1 0");
  CHECK(peer.client.connection->open_streams() == 0);
}

TEST_CASE("a 2xx that is no tunnel never reaches a client that would take it for one") {
  Peer peer;
  peer.send(head(1, connect(), end_headers));
  answer(peer.stream(), 200, "ok");
  CHECK(peer.got() == "RST 1 2");
  CHECK(peer.stream().log().ends_with("reset internal.error"));
}

TEST_CASE("what comes before the tunnel is made waits for it, within the stream's window") {
  DownstreamSettings settings;
  settings.http2.stream_window = 65'535;
  Peer peer(settings);
  const std::string early(16'000, 'e');
  std::string sent = head(1, connect(), end_headers);
  for (int i = 0; i < 4; ++i) sent += body(1, early);
  CHECK(peer.send(sent).find("WINDOW 1") == std::string::npos);
  CHECK(peer.stream().body.empty());
  SUBCASE("and is told in its order") {
    answer_101(peer.stream());
    CHECK(peer.got().starts_with("HEADERS 1 :status=200 date=D"));
    CHECK(peer.stream().body.size() == 4 * early.size());
    peer.send(body(1, "x"));
    CHECK(peer.stream().body.back() == 'x');
  }
  SUBCASE("bytes that come in the moment it is made are behind it") {
    answer_101(peer.stream());
    peer.send(body(1, "x"));
    CHECK(peer.stream().body == early + early + early + early + "x");
  }
  SUBCASE("with the client's end") {
    peer.send(body(1, "x", end_stream));
    answer_101(peer.stream());
    peer.got();
    CHECK(peer.stream().body.size() == 4 * early.size() + 1);
    CHECK(peer.stream().log().ends_with("| end"));
    say(peer.stream(), "bye");
    end(peer.stream());
    CHECK(peer.got() == "DATA 1 3 | DATA 1 0 END");
    peer.stream().release();
    CHECK(peer.client.connection->open_streams() == 0);
  }
  SUBCASE("over the window it costs the stream") {
    CHECK(peer.send(body(1, std::string(2'000, 'e'))).find("RST 1 3") != std::string::npos);
  }
}

TEST_CASE("each side of a tunnel ends by itself") {
  ClientTunnel peer;
  SUBCASE("the client first") {
    peer.send(body(1, "bye", end_stream));
    CHECK(peer.log() == "data bye | end");
    say(peer.stream(), "more");
    CHECK(peer.got() == "DATA 1 4");
    end(peer.stream());
    CHECK(peer.got() == "DATA 1 0 END");
  }
  SUBCASE("the backend first") {
    say(peer.stream(), "more");
    end(peer.stream());
    CHECK(peer.got() == "DATA 1 4 | DATA 1 0 END");
    peer.send(body(1, "still"));
    CHECK(peer.log() == "data still");
    peer.send(body(1, "", end_stream));
    CHECK(peer.log() == "data still | end");
  }
  peer.stream().release();
  CHECK(peer.got() == "");
  CHECK(peer.client.connection->open_streams() == 0);
  CHECK(peer.send(head(3, get())) == "");
  CHECK(peer.stream(1).log() == "GET x / END");
}

TEST_CASE("a tunnel that is cut is reset with CANCEL, and the other way round") {
  ClientTunnel peer;
  SUBCASE("its handler lets go of it") {
    peer.stream().release();
    CHECK(peer.got() == "RST 1 8");
  }
  SUBCASE("its handler resets it") {
    peer.stream().reset_stream();
    CHECK(peer.got() == "RST 1 8");
  }
  SUBCASE("its handler has said all and does not wait for the client") {
    end(peer.stream());
    peer.stream().release();
    CHECK(peer.got() == "DATA 1 0 END | RST 1 0");
  }
  SUBCASE("the same later") {
    end(peer.stream());
    CHECK(peer.got() == "DATA 1 0 END");
    peer.stream().release();
    CHECK(peer.got() == "RST 1 0");
  }
  SUBCASE("the client resets it") {
    CHECK(peer.send(reset(1, 8)) == "");
    CHECK(peer.log() == "reset client.closed");
  }
  SUBCASE("the client resets it after our end") {
    end(peer.stream());
    peer.got();
    CHECK(peer.send(reset(1, 8)) == "");
    CHECK(peer.log() == "reset client.closed");
  }
  SUBCASE("the client sends fields in it") {
    CHECK(peer.send(head(1, {{"a", "b"}})) == "RST 1 1");
    CHECK(peer.log() == "reset request.malformed");
  }
  SUBCASE("the connection ends") {
    feed_end(peer.client.wire);
    peer.got();
    CHECK(peer.log() == "reset client.closed");
    CHECK(peer.client.closed == 1);
    return;
  }
  CHECK(peer.client.connection->open_streams() == 0);
  CHECK(peer.client.closed == 0);
  CHECK(peer.send(head(3, get())) == "");
  CHECK(peer.stream(1).log() == "GET x / END");
}

TEST_CASE("a tunnel's bytes go by its window in both directions") {
  ClientTunnel peer;
  Recorder& r = peer.stream();
  const std::string large(80'000, 'a');
  say(r, large);
  peer.got();
  CHECK(peer.reader.body(1).size() == 65'535);
  CHECK(r.stream->unsent() == large.size() - 65'535);
  peer.send(window(0, 100'000) + window(1, 100'000));
  CHECK(peer.reader.body(1) == large);
  CHECK(r.drained == 1);

  r.waiting = 1 << 20;  // the other side takes nothing
  std::string said;
  for (int i = 0; i < 4; ++i) said += peer.send(body(1, std::string(16'000, 'b')));
  CHECK(said.find("WINDOW 1") == std::string::npos);
  r.waiting = 0;
  r.stream->pause(PauseReason::sink_full);
  r.stream->resume(PauseReason::sink_full);
  CHECK(peer.got().find("WINDOW 1 64000") != std::string::npos);
}

TEST_CASE("a tunnel in which nobody says anything meets no timeout of bodies") {
  DownstreamSettings settings;
  settings.body_timeout_ms = settings.header_timeout_ms = settings.idle_timeout_ms = 20;
  settings.rate_grace_ms = 20;
  ClientTunnel peer(settings);
  CHECK(peer.client.waiting.empty());  // nobody waits for it to make room
  struct Rest {
    net::Loop& loop;
    net::Timer timer{loop, [](void* self) { static_cast<Rest*>(self)->loop.stop(); }, this};
  } rest{peer.loop};
  rest.timer.start(100);
  peer.loop.run();
  CHECK(peer.got() == "");
  peer.send(body(1, "x"));
  CHECK(peer.log() == "data x");
}

// --- the backend's side ---

TEST_CASE("a tunnel to a backend is an extended CONNECT, without what proves a switch of HTTP/1.1") {
  Played backend(Played::Says::settings, Played::quiet(), takes_connect);
  Recorder stream;
  ask_for_tunnel(backend, stream);
  CHECK(backend.got() ==
        "HEADERS 1 :method=CONNECT :protocol=websocket :scheme=http :authority=backend :path=/chat "
        "sec-websocket-version=13");
  backend.send(answer_head(1, "200", {{"sec-websocket-accept", "A"}, {"sec-websocket-protocol", "chat"}}) +
               body(1, "hello"));
  CHECK(stream.log() == "101  upgrade=websocket sec-websocket-protocol=chat | data hello");
  say(stream, "you");
  CHECK(backend.got() == "DATA 1 3");
  stream.release();
  CHECK(backend.got() == "RST 1 8");
}

TEST_CASE("a backend that takes no extended CONNECT is not asked") {
  for (const auto& settings : {std::vector<std::pair<uint16_t, uint32_t>>{}, {{8, 0}}}) {
    Played backend(Played::Says::settings, Played::quiet(), settings);
    Recorder stream, next;
    ask_for_tunnel(backend, stream);
    CHECK(backend.got() == "");
    CHECK(stream.log() == "reset upstream.upgrade");
    CHECK(stream.error.retry == Retry::no);
    backend.ask(next);
    CHECK(backend.got().starts_with("HEADERS 1 :method=GET"));
    next.release();
  }
}

TEST_CASE("an answer that makes no tunnel is one like any other") {
  Played backend(Played::Says::settings, Played::quiet(), takes_connect);
  Recorder stream;
  ask_for_tunnel(backend, stream);
  backend.got();
  backend.send(answer_head(1, "403", {{"content-length", "2"}}) + body(1, "no", end_stream));
  CHECK(stream.log() == "403  length=2 | data no | end");
  stream.release();
  CHECK(backend.got() == "RST 1 8");
  CHECK(backend.idle == 1);
}

TEST_CASE("each side of a tunnel to a backend ends by itself") {
  BackendTunnel tunnel;
  Played& backend = tunnel.backend;
  SUBCASE("the backend first") {
    backend.send(body(1, "bye", end_stream));
    CHECK(tunnel.log() == "data bye | end");
    say(tunnel.stream, "more");
    end(tunnel.stream);
    CHECK(backend.got() == "DATA 1 4 | DATA 1 0 END");
  }
  SUBCASE("the client first") {
    end(tunnel.stream);
    CHECK(backend.got() == "DATA 1 0 END");
    backend.send(body(1, "still"));
    backend.send(body(1, "", end_stream));
    CHECK(tunnel.log() == "data still | end");
  }
  tunnel.stream.release();
  CHECK(backend.got() == "");
  CHECK(backend.idle == 1);
}

TEST_CASE("what was said last in a tunnel still goes to the backend when its handler has left") {
  for (bool backend_ended : {false, true}) {
    CAPTURE(backend_ended);
    BackendTunnel tunnel(Played::quiet(), 10);
    Played& backend = tunnel.backend;
    if (backend_ended) backend.send(body(1, "bye", end_stream));
    say(tunnel.stream, "more than that");
    end(tunnel.stream);
    tunnel.stream.release();
    CHECK(backend.got() == "DATA 1 10");
    CHECK(backend.send(window(1, 3)) == "DATA 1 3");
    CHECK(backend.send(window(1, 1)) == (backend_ended ? "DATA 1 1 END" : "DATA 1 1 END | RST 1 8"));
    CHECK(backend.reader.body(1) == "more than that");
    CHECK(backend.idle == 1);
  }
}

TEST_CASE("a backend that does not take what was said last in a tunnel has the time of a PING") {
  UpstreamSettings settings = Played::quiet();
  settings.http2.ping_timeout_ms = 20;
  for (std::string_view last : {"more than that", "all taken!"}) {
    CAPTURE(last);
    BackendTunnel tunnel(settings, 10);
    Played& backend = tunnel.backend;
    backend.send(body(1, "bye", end_stream));
    say(tunnel.stream, last);
    CHECK(backend.got() == "DATA 1 10");
    end(tunnel.stream);
    tunnel.stream.release();
    CHECK(backend.got() == "");
    struct Watch {
      Played& backend;
      uint64_t until = backend.loop.now_ms() + 5'000;
      net::Timer timer{backend.loop, [](void* self) { static_cast<Watch*>(self)->look(); }, this};
      void look() {
        if (backend.idle > 0 || backend.loop.now_ms() >= until) return backend.loop.stop();
        timer.start(1);
      }
    } watch{backend};
    watch.timer.start(1);
    backend.loop.run();
    CHECK(backend.got() == "RST 1 8");
    CHECK(backend.closed == 0);
  }
}

TEST_CASE("the reset of a tunnel never overtakes its end") {
  BackendTunnel tunnel;
  tunnel.stream.at_data = [](Recorder& r) {  // while the connection is being read
    r.stream->send_data("last");
    r.stream->send_end();
    r.release();
  };
  CHECK(tunnel.backend.send(body(1, "x")) == "DATA 1 4 END | RST 1 8");
  CHECK(tunnel.backend.idle == 1);
}

TEST_CASE("a tunnel that a backend ends with its head is told so") {
  Played backend(Played::Says::settings, Played::quiet(), takes_connect);
  Recorder stream;
  ask_for_tunnel(backend, stream);
  backend.got();
  backend.send(answer_head(1, "200", {}, end_headers | end_stream));
  CHECK(stream.log() == "101  upgrade=websocket | end");
  stream.release();
}

TEST_CASE("a tunnel to a backend that is cut is reset with CANCEL, and the other way round") {
  BackendTunnel tunnel;
  Played& backend = tunnel.backend;
  SUBCASE("its handler lets go of it") {
    tunnel.stream.release();
    CHECK(backend.got() == "RST 1 8");
  }
  SUBCASE("its handler has said all and waits no longer") {
    end(tunnel.stream);
    tunnel.stream.release();
    CHECK(backend.got() == "DATA 1 0 END | RST 1 8");
  }
  SUBCASE("the backend resets it") {
    backend.send(reset(1, 8));
    CHECK(tunnel.log() == "reset upstream.reset");
  }
  SUBCASE("the backend resets it after its end") {
    backend.send(body(1, "", end_stream));
    backend.send(reset(1, 8));
    CHECK(tunnel.log() == "end | reset upstream.reset");
  }
  SUBCASE("the backend sends fields in it") {
    CHECK(backend.send(head(1, {{"a", "b"}})) == "RST 1 1");
    CHECK(tunnel.log() == "reset upstream.protocol");
  }
  CHECK(backend.closed == 0);
  CHECK(backend.connection->open_streams() == 0);
}
