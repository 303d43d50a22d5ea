// What a request is told when its backend of HTTP/2 resets, goes away, breaks the rules or means harm, and
// what that costs the other streams of the connection.
#include <doctest/doctest.h>

#include "http2_backend.h"
#include "net/timer.h"

using namespace penstock;
using namespace penstock::test;
using namespace penstock::test::h2;

namespace {

constexpr int whole = end_stream | end_headers;
constexpr std::string_view as_sent = ":method=GET :scheme=http :authority=backend :path=/ END";

std::string goaway_frame(uint32_t last, uint32_t code) {
  return frame(goaway, none, 0, number(last, 4) + number(code, 4));
}
std::string repeated(std::string_view frame, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out += frame;
  return out;
}
// Runs the loop for real time, until it is over or some seconds have passed.
template <class Condition>
void run_until(Played& backend, Condition over) {
  const uint64_t until = backend.loop.now_ms() + 5'000;
  net::Timer wake(backend.loop, [](void* loop) { static_cast<net::Loop*>(loop)->stop(); }, &backend.loop);
  while (!over() && backend.loop.now_ms() < until) {
    wake.start(1);
    backend.loop.run();
  }
}

}  // namespace

TEST_CASE("a stream that the backend has not looked at may go elsewhere") {
  for (const bool by_goaway : {false, true}) {
    Played backend;
    Recorder first, second;
    backend.ask(first);
    backend.ask(second);
    backend.got();
    bool sent = true, reused = false;
    second.at_reset = [&](Recorder& r) {
      sent = r.stream->any_byte_sent();
      reused = r.stream->reused();
    };
    backend.send(by_goaway ? goaway_frame(1, 0) : reset(3, 7));
    CHECK(second.error.kind == ErrorKind::refused);
    CHECK(second.error.retry == Retry::yes);
    CHECK(!sent);
    CHECK(reused);
    CHECK(first.open);
    CHECK(backend.connection->has_room() == !by_goaway);
    first.at_head = [](Recorder& r) { r.release(); };
    backend.send(answer_head(1, "200", {}, whole));
    CHECK(first.log() == "200  END");
    CHECK(backend.closed == (by_goaway ? 1 : 0));
    CHECK(backend.idle == (by_goaway ? 0 : 1));
  }
}

TEST_CASE("a request that meets a GOAWAY on its way out is not sent") {
  Played backend;
  Recorder first, late;
  backend.ask(first);
  backend.got();
  backend.ask(late);  // leaves at the end of the turn
  feed(backend.wire, goaway_frame(1, 0));
  CHECK(backend.got() == "");
  CHECK(late.error.retry == Retry::yes);
  CHECK(first.open);
  first.release();
  backend.got();
  CHECK(backend.closed == 1);
}

TEST_CASE("SETTINGS that allow fewer streams take back those that were not sent, and no others") {
  Played backend;
  Recorder sent, first, second, later;
  backend.ask(sent);
  backend.got();
  backend.ask(first);
  backend.ask(second);  // both leave at the end of the turn
  bool gone_out = true, reused = false;
  second.at_reset = [&](Recorder& r) {
    gone_out = r.stream->any_byte_sent();
    reused = r.stream->reused();
  };
  CHECK(backend.send(setting({{3, 2}})) == fmt::format("HEADERS 3 {}", as_sent));
  CHECK(second.log() == "reset upstream.connect.refused");
  CHECK(second.error.kind == ErrorKind::refused);
  CHECK(second.error.retry == Retry::yes);
  CHECK(!gone_out);
  CHECK(reused);
  CHECK(backend.connection->open_streams() == 2);
  backend.send(setting({{3, 0}}));
  CHECK(sent.open);
  CHECK(first.open);
  sent.at_head = first.at_head = [](Recorder& r) { r.release(); };
  backend.send(answer_head(1, "204", {}, whole) + answer_head(3, "204", {}, whole));
  CHECK(backend.idle == 1);
  CHECK(!backend.connection->has_room());
  CHECK(backend.send(setting({{3, 1}})) == "");
  backend.ask(later);
  CHECK(backend.got() == fmt::format("HEADERS 7 {}", as_sent));
  later.release();
}

TEST_CASE("what is no request is not taken back as one") {
  Played backend;
  Recorder none;
  REQUIRE(backend.open(none));
  Message head(none.stream->arena());
  fill_request(head, Method::get, "/a b");
  none.stream->send_head(head, EndStream::yes);
  backend.send(setting({{3, 0}}));
  CHECK(none.log() == fmt::format("reset {}", reason::internal_error));
}

TEST_CASE("who gives up a request that has not left is rid of it at once") {
  Played backend;
  Recorder busy, given_up;
  backend.ask(busy);
  backend.got();
  backend.ask(given_up);
  given_up.release();
  CHECK(backend.connection->open_streams() == 1);
  CHECK(backend.send(setting({{3, 0}}) + setting({{3, 9}})) == "");
  Recorder next;
  backend.ask(next);
  CHECK(backend.got() == fmt::format("HEADERS 5 {}", as_sent));
  busy.release();
  next.release();
}

TEST_CASE("a backend that goes away with its first SETTINGS was never one") {
  Played backend(Played::Says::nothing);
  backend.send(setting({}) + goaway_frame(0, 0));
  CHECK(backend.usable == 0);
  CHECK(backend.closed == 1);
  CHECK(backend.unusable.kind == ErrorKind::refused);
}

// A window of nothing keeps our END_STREAM back: without a reset the stream would stay for good.
TEST_CASE("an answer before the request's end, whose end has no window, leaves no stream behind") {
  Played backend(Played::Says::settings, Played::quiet(), {{4, 10}});
  Recorder early;
  backend.ask(early, Method::post, EndStream::no);
  const std::string ten(10, 'x');
  early.stream->send_data(ten);
  early.stream->flush();
  backend.got();
  early.at_head = [](Recorder& r) {
    r.stream->send_end();
    r.release();
  };
  CHECK(backend.send(answer_head(1, "200", {}, whole)) == "RST 1 8");
  CHECK(backend.connection->open_streams() == 0);
  CHECK(backend.idle == 1);
}

TEST_CASE("an idle connection goes with its backend's GOAWAY or FIN") {
  for (const bool fin : {false, true}) {
    Played backend;
    if (fin)
      feed_end(backend.wire);
    else
      feed(backend.wire, goaway_frame(0, 0));
    backend.got();
    CHECK(backend.closed == 1);
  }
}

TEST_CASE("an error says whether another attempt is allowed") {
  struct Case {
    bool sent, received;
    Retry retry;
  };
  for (const Case& each :
       {Case{false, false, Retry::yes}, Case{true, false, Retry::if_reused}, Case{true, true, Retry::no}}) {
    for (const bool fin : {true, false}) {
      Played backend;
      Recorder stream;
      backend.ask(stream);
      if (each.sent) backend.got();
      if (each.received) backend.send(answer_head(1, "200") + body(1, "par"));
      if (fin)
        feed_end(backend.wire);
      else
        feed_error(backend.wire, {ErrorKind::reset, ErrorSource::downstream, Retry::no, {}, "reset by peer"});
      CHECK(stream.error.retry == each.retry);
      CHECK(stream.error.reason == reason::upstream_reset);
      CHECK(stream.error.source == ErrorSource::upstream);
      CHECK(stream.log().find("| end") == std::string::npos);
      CHECK(backend.closed == 1);
    }
  }
}

TEST_CASE("a reset is no stale connection, and an answer that it cuts is not whole") {
  for (const uint32_t code : {0u, 2u, 8u, 11u}) {
    Played backend;
    Recorder earlier, plain, cut;
    for (Recorder* each : {&earlier, &plain, &cut}) backend.ask(*each);
    backend.got();
    bool reused = true;
    plain.at_reset = [&](Recorder& r) { reused = r.stream->reused(); };
    backend.send(answer_head(5, "200") + body(5, "par") + reset(3, code) + reset(5, code));
    CHECK(plain.error.kind == ErrorKind::reset);
    CHECK(!reused);
    CHECK(cut.error.kind == ErrorKind::reset);
    CHECK(cut.error.retry == Retry::no);
    CHECK(cut.log() == "200  chunked | data par | reset upstream.reset");
    CHECK(earlier.open);
    earlier.release();
  }
}

TEST_CASE("a malformed answer costs its stream, and no other") {
  struct Case {
    std::string_view name;
    std::string frames;
  };
  auto with = [](Fields more) { return answer_head(1, "200", more, end_headers); };
  const Case cases[] = {
      {"no status", head(1, {{"a", "b"}}, end_headers)},
      {"a status that is none", answer_head(1, "2xx")},
      {"a status over 599", answer_head(1, "600")},
      {"a status of two digits", answer_head(1, "20")},
      {"two statuses", with({{":status", "200"}})},
      {"a request's pseudo-field", with({{":path", "/"}})},
      {"a pseudo-field behind a field", head(1, {{"a", "b"}, {":status", "200"}}, end_headers)},
      {"101", answer_head(1, "101")},
      {"an interim answer that ends", answer_head(1, "103", {}, whole)},
      {"an upper-case name", with({{"Age", "1"}})},
      {"an empty name", with({{"", "1"}})},
      {"connection", with({{"connection", "close"}})},
      {"transfer-encoding", with({{"transfer-encoding", "chunked"}})},
      {"upgrade", with({{"upgrade", "h2c"}})},
      {"keep-alive", with({{"keep-alive", "1"}})},
      {"CRLF in a value", with({{"a", "b\r\nc: d"}})},
      {"NUL in a value", with({{"a", std::string("b\0c", 3)}})},
      {"a length that is none", with({{"content-length", "+1"}})},
      {"two lengths", with({{"content-length", "1"}, {"content-length", "1"}})},
      {"a field that looks like a length", with({{"content_length", "1"}})},
      {"a length and no body", answer_head(1, "200", {{"content-length", "5"}}, whole)},
      {"a body under its length", with({{"content-length", "5"}}) + body(1, "1234", end_stream)},
      {"a body over its length", with({{"content-length", "5"}}) + body(1, "123456")},
      {"a body of a 204", answer_head(1, "204") + body(1, "x", end_stream)},
      {"trailers that do not end", with({}) + head(1, {{"a", "b"}}, end_headers)},
      {"a pseudo-field in trailers", with({}) + head(1, {{":status", "200"}}, whole)},
      {"a length in trailers", with({}) + head(1, {{"content-length", "1"}}, whole)},
  };
  for (const Case& each : cases) {
    CAPTURE(each.name);
    Played backend;
    Recorder bad, good;
    backend.ask(bad);
    backend.ask(good);
    backend.got();
    const std::string got = backend.send(each.frames);
    if (each.name != "a body of a 204") {
      CHECK(bad.error.reason == reason::upstream_protocol);
      CHECK(bad.error.kind == ErrorKind::protocol);
      CHECK(got.starts_with("RST 1 "));
    }
    CHECK(bad.log().find("| end") == std::string::npos);
    CHECK(backend.closed == 0);
    good.at_end = [](Recorder& r) { r.release(); };
    backend.send(answer_head(3, "200") + body(3, "fine", end_stream));
    CHECK(good.log() == "200  chunked | data fine | end");
    if (bad.open) bad.release();
  }
}

TEST_CASE("an answer over the upstream's limits costs its stream, by name") {
  struct Case {
    Limit limit;
    std::string frames;
  };
  UpstreamSettings settings = Played::quiet();
  settings.header_size = settings.trailer_size = 1024;
  settings.header_count = settings.trailer_count = 3;
  settings.max_informational = 2;
  const Fields large{{"a", std::string(2000, 'x')}};
  const Fields many{{"a", "1"}, {"b", "1"}, {"c", "1"}, {"d", "1"}};
  const std::string start = answer_head(1, "200");
  for (const Case& each : {Case{Limit::upstream_header_size, answer_head(1, "200", large)},
                           Case{Limit::upstream_header_count, answer_head(1, "200", many)},
                           Case{Limit::upstream_trailer_size, start + head(1, large, whole)},
                           Case{Limit::upstream_trailer_count, start + head(1, many, whole)},
                           Case{Limit::upstream_max_informational, repeated(answer_head(1, "103"), 3)}}) {
    CAPTURE(name(each.limit));
    Played backend(Played::Says::settings, settings);
    Recorder bad, good;
    backend.ask(bad);
    backend.ask(good);
    backend.got();
    backend.send(each.frames);
    CHECK(bad.error.limit == each.limit);
    CHECK(bad.error.reason == reason::upstream_too_large);
    good.at_head = [](Recorder& r) { r.release(); };
    backend.send(answer_head(3, "200", {}, whole));
    CHECK(good.log() == "200  END");
  }
}

TEST_CASE("a backend that breaks the rules of connections loses all its streams") {
  const std::string cases[] = {
      frame(push_promise, end_headers, 1, number(2, 4) + hpack(get())),
      frame(data, none, 0, "x"),
      body(1, "before its head"),
      frame(window_update, none, 0, number(0, 4)),
      window(0, 0x7fffffff),
      frame(settings, none, 0, "12345"),
      frame(continuation, end_headers, 1, ""),
      frame(headers, end_headers, 1, "\xff\xff\xff\xff\xff\xff\xff"),
      frame(data, none, 1, std::string(20'000, 'x')),
      answer_head(2, "200"),
      answer_head(9, "200"),
  };
  for (const std::string& frames : cases) {
    CAPTURE(frames);
    Played backend;
    Recorder a, b;
    backend.ask(a);
    backend.ask(b);
    backend.got();
    const std::string got = backend.send(frames);
    CHECK(got.find("GOAWAY") != std::string::npos);
    CHECK(a.error.reason == reason::upstream_protocol);
    CHECK(b.error.reason == reason::upstream_protocol);
    CHECK(backend.closed == 1);
  }
}

TEST_CASE("floods end the connection with ENHANCE_YOUR_CALM") {
  const std::string block = frame(headers, none, 1, hpack(status("200")));
  const std::string floods[] = {
      repeated(frame(ping, none, 0, "12345678"), 200),
      repeated(setting({}), 200),
      repeated(setting({{4, 1000}, {3, 10}}), 200),
      repeated(window(0, 1), 200),
      answer_head(1, "200") + repeated(body(1, ""), 200),
      repeated(frame(priority, none, 1, number(0, 5)), 200),
      block + repeated(frame(continuation, none, 1, hpack({{"a", "b"}})), 20),
  };
  for (const std::string& flood : floods) {
    CAPTURE(flood.substr(0, 40));
    UpstreamSettings settings = Played::quiet();
    settings.header_size = 1024;
    settings.http2.max_control_frames = 100;
    settings.max_informational = 1000;
    Played backend(Played::Says::settings, settings);
    Recorder stream;
    backend.ask(stream);
    backend.got();
    feed(backend.wire, flood);
    const size_t sent = backend.wire.take().size();
    CHECK(sent < 8'000);
    backend.got();
    CHECK(stream.error.limit == Limit::upstream_http2_max_control_frames);
    CHECK(backend.closed == 1);
  }
}

// As Go's servers do, for stream and connection each 4 KiB that their program has read.
TEST_CASE("windows that return what a backend was sent are no flood") {
  constexpr size_t size = 8 << 20, piece = 4096;
  Played backend(Played::Says::settings, Played::quiet(), {{4, size}});
  backend.send(window(0, size));
  Recorder stream;
  backend.ask(stream, Method::post, EndStream::no);
  const std::string body(size, 'x');
  stream.stream->send_data(body);
  stream.stream->flush();
  backend.got();
  REQUIRE(backend.reader.body(1).size() == size);
  CHECK(backend.send(repeated(window(1, piece) + window(0, piece), size / piece)).empty());
  CHECK(backend.closed == 0);
  SUBCASE("but more of them are") {
    const std::string got = backend.send(repeated(window(0, 1), 40'000));
    CHECK(got.ends_with("GOAWAY 0 11"));
    CHECK(stream.error.limit == Limit::upstream_http2_max_control_frames);
  }
}

TEST_CASE("a bomb of references to one large field is not unpacked to its end") {
  UpstreamSettings settings = Played::quiet();
  settings.header_size = 8 * 1024;
  Played backend(Played::Says::settings, settings);
  Recorder stream;
  backend.ask(stream);
  backend.got();
  std::string block = hpack(status("200"));
  block += '\x40';  // remembered (RFC 7541 6.2.1)
  block += '\1';
  block += 'a';
  block += "\x7f\xa1\x1e";  // 4000
  block += std::string(4000, 'x');
  block += std::string(10'000, '\xbe');  // each of them that field once more
  feed(backend.wire, frame(headers, end_headers, 1, block));
  backend.got();
  CHECK(stream.error.kind == ErrorKind::limit);
  CHECK(backend.closed == 1);
  CHECK(backend.loop.blocks().in_use() == 0);
}

TEST_CASE("silence is asked about when the settings say so, and no answer loses the streams") {
  UpstreamSettings settings = Played::quiet();
  settings.http2.ping_interval_ms = settings.http2.ping_timeout_ms = 20;
  for (const bool answers : {true, false}) {
    Played backend(Played::Says::settings, settings);
    Recorder stream;
    backend.ask(stream);
    std::string sent;
    auto asked = [&] { return (sent += backend.got()).find("PING") != std::string::npos; };
    run_until(backend, asked);
    REQUIRE(asked());
    if (answers) {
      backend.send(frame(ping, ack, 0, backend.reader.last_ping()));
      sent.clear();
      run_until(backend, asked);
      CHECK(asked());  // once more, so the first was taken
    }
    run_until(backend, [&] { return backend.closed > 0; });
    CHECK(stream.error.limit == Limit::upstream_http2_ping_timeout);
    CHECK(stream.error.kind == ErrorKind::timeout);
  }
}

TEST_CASE("an idle connection is asked nothing") {
  UpstreamSettings settings = Played::quiet();
  settings.http2.ping_interval_ms = settings.http2.ping_timeout_ms = 1;
  Played backend(Played::Says::settings, settings);
  const uint64_t until = backend.loop.now_ms() + 50;
  std::string sent;
  run_until(backend, [&] {
    sent += backend.got();
    return backend.loop.now_ms() >= until;
  });
  CHECK(sent == "");
  CHECK(backend.closed == 0);
}

TEST_CASE("a handler may do anything in any event") {
  // The request that takes the place of a lost one goes over the same connection, in the same read.
  Played backend;
  Recorder lost, again;
  backend.ask(lost);
  backend.got();
  lost.at_reset = [&](Recorder&) { backend.ask(again); };
  CHECK(backend.send(reset(1, 7)) == "HEADERS 3 :method=GET :scheme=http :authority=backend :path=/ END");
  // The connection is closed while an answer's bytes are told.
  again.at_data = [&](Recorder&) { backend.connection->close(); };
  backend.send(answer_head(3, "200") + body(3, "x") + body(3, "y"));
  CHECK(again.log() == "200  chunked | data x | reset internal.error");
  CHECK(backend.closed == 1);
}

TEST_CASE("closing a connection tells its backend and cuts its streams") {
  Played backend;
  Recorder stream;
  backend.ask(stream);
  backend.got();
  backend.connection->close();
  CHECK(stream.error.kind == ErrorKind::cancelled);
  CHECK(backend.wire.end == Wire::End::graceful);
  CHECK(backend.got() == "GOAWAY 0 0");
  CHECK(backend.closed == 1);
}
