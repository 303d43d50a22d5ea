// HTTP/2 from clients that break its rules, or keep them and mean harm: who is answered what, and what it
// costs the others.
#include <doctest/doctest.h>

#include "http2_client.h"

using namespace penstock;
using namespace penstock::test;
using namespace penstock::test::h2;

namespace {

constexpr std::string_view served = "HEADERS 99 :status=200 content-length=2 date=D | DATA 99 2 END";

DownstreamSettings far_away() {
  DownstreamSettings out;
  out.header_timeout_ms = out.body_timeout_ms = out.idle_timeout_ms = out.linger_ms = 3'600'000;
  out.send_timeout_ms = out.http2.ping_interval_ms = 3'600'000;
  return out;
}

std::string repeated(std::string_view frame, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out += frame;
  return out;
}

}  // namespace

TEST_CASE("a malformed head resets its stream, is told for the log, and the connection goes on") {
  struct Case {
    std::string_view name;
    Fields fields;
  };
  auto with = [](Fields more) { return request("GET", "/", more); };
  const Case cases[] = {
      {"no method", {{":scheme", "http"}, {":path", "/"}, {":authority", "x"}}},
      {"no scheme", {{":method", "GET"}, {":path", "/"}, {":authority", "x"}}},
      {"no path", {{":method", "GET"}, {":scheme", "http"}, {":authority", "x"}}},
      {"no authority and no host", {{":method", "GET"}, {":scheme", "http"}, {":path", "/"}}},
      {"a pseudo-header twice", with({{":path", "/b"}})},
      {"a pseudo-header behind a field",
       {{":method", "GET"}, {":scheme", "http"}, {"a", "b"}, {":path", "/"}, {":authority", "x"}}},
      {"an unknown pseudo-header", {{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":x", "y"}}},
      {"a response's pseudo-header",
       {{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":status", "200"}}},
      {"an empty path", {{":method", "GET"}, {":scheme", "http"}, {":path", ""}, {":authority", "x"}}},
      {"a path that is none", {{":method", "GET"}, {":scheme", "http"}, {":path", "a"}, {":authority", "x"}}},
      {"an asterisk with GET",
       {{":method", "GET"}, {":scheme", "http"}, {":path", "*"}, {":authority", "x"}}},
      {"a blank in the method",
       {{":method", "GET /x"}, {":scheme", "http"}, {":path", "/"}, {":authority", "x"}}},
      {"an upper-case name", with({{"Accept", "x"}})},
      {"a name with a blank", with({{"a b", "x"}})},
      {"a name with a colon", with({{"a:b", "x"}})},
      {"an empty name", with({{"", "x"}})},
      {"connection", with({{"connection", "close"}})},
      {"keep-alive", with({{"keep-alive", "1"}})},
      {"proxy-connection", with({{"proxy-connection", "close"}})},
      {"transfer-encoding", with({{"transfer-encoding", "chunked"}})},
      {"upgrade", with({{"upgrade", "h2c"}})},
      {"te with more than trailers", with({{"te", "gzip"}})},
      {"CR in a value", with({{"a", "b\rc"}})},
      {"LF in a value", with({{"a", "b\nc"}})},
      {"CRLF and a request in a value", with({{"a", "b\r\n\r\nGET /x HTTP/1.1\r\n"}})},
      {"NUL in a value", with({{"a", std::string("b\0c", 3)}})},
      {"a blank around a value", with({{"a", " b"}})},
      {"a length that is none", with({{"content-length", "+1"}})},
      {"an authority that is none", get("/", "a/b")},
      {"two hosts", with({{"host", "x"}, {"host", "x"}})},
      {"two lengths", with({{"content-length", "0"}, {"content-length", "0"}})},
      {"a length and no body", with({{"content-length", "5"}})},
  };
  for (const Case& each : cases) {
    CAPTURE(each.name);
    Peer peer;
    peer.answer_all();
    const std::string got = peer.send(head(1, each.fields));
    CHECK(got == "RST 1 1");
    CHECK(peer.client.log() == "bad request.malformed");
    CHECK(peer.client.connection->open_streams() == 0);
    CHECK(peer.send(head(99, get())) == served);
  }
}

// RFC 9113 8.3.1. nghttp2 1.64 says so itself, 1.52 leaves it to us.
TEST_CASE("user information in :authority is malformed") {
  Peer peer;
  peer.answer_all();
  const std::string got = peer.send(head(1, get("/", "u@x"), end_stream | end_headers));
  CHECK((got.starts_with("HEADERS 1 :status=400") || got == "RST 1 1"));
  CHECK(peer.client.log().starts_with("bad request."));
  CHECK(peer.send(head(99, get())) == served);
}

TEST_CASE("what HTTP/1.1 would be refused for is refused with the same status") {
  struct Case {
    std::string_view name;
    Fields fields;
    int flags;
    const char* status;
  };
  auto with = [](Fields more) { return request("GET", "/", more); };
  const int whole = end_stream | end_headers;
  const Case cases[] = {
      {"another host", with({{"host", "y"}}), whole, "400"},
      {"a look-alike of a length", with({{"content_length", "5"}}), whole, "400"},
      {"a look-alike of a coding", with({{"transfer_encoding", "chunked"}}), whole, "400"},
      {"a fragment", request("GET", "/a#b"), whole, "400"},
      {"bytes over ASCII in the path", request("GET", "/\xc3\xa4"), whole, "400"},
      {"another scheme",
       {{":method", "GET"}, {":scheme", "ftp"}, {":path", "/"}, {":authority", "x"}},
       whole,
       "400"},
      {"TRACE with a body", request("TRACE", "/"), end_headers, "400"},
      {"CONNECT", {{":method", "CONNECT"}, {":authority", "x:1"}}, whole, "501"},
      {"another expectation", with({{"expect", "more"}}), whole, "417"},
      {"a long path", request("GET", "/" + std::string(9'000, 'a')), whole, "414"},
      {"a long head", with({{"a", std::string(33'000, 'a')}}), whole, "431"},
      {"many fields", with(Fields(101, {"a", "b"})), whole, "431"},
  };
  for (const Case& each : cases) {
    CAPTURE(each.name);
    Peer peer;
    peer.answer_all();
    std::string sent = head(1, each.fields, each.flags);
    if (sent.size() > 16'000) {  // in frames of the size that is allowed
      const std::string block = hpack(each.fields);
      sent = frame(headers, end_stream, 1, block.substr(0, 16'000));
      for (size_t at = 16'000; at < block.size(); at += 16'000)
        sent +=
            frame(continuation, at + 16'000 >= block.size() ? end_headers : 0, 1, block.substr(at, 16'000));
    }
    const std::string got = peer.send(sent);
    CHECK(got.starts_with(std::string("HEADERS 1 :status=") + each.status));
    CHECK(peer.client.log().starts_with("bad request."));
    CHECK(peer.send(head(99, get())) == served);
  }
}

TEST_CASE("an https target on a connection without TLS says so, as in HTTP/1.1") {
  Peer peer;
  peer.send(head(1, {{":method", "GET"}, {":scheme", "https"}, {":path", "/a?b"}, {":authority", "X"}}));
  CHECK(peer.stream().head->target == "https://X/a?b");
  CHECK(peer.stream().log() == "GET x /a?b END");
}

TEST_CASE("cookies of several fields are one") {
  Peer peer;
  peer.send(head(1, request("GET", "/", {{"cookie", "a=1"}, {"b", "c"}, {"cookie", ""}, {"cookie", "d=2"}})));
  CHECK(peer.stream().log() == "GET x / cookie=a=1; d=2 b=c END");
}

TEST_CASE("a length that disagrees with the body resets the stream, whichever way") {
  for (std::string_view sent : {"abc", "abcdef"}) {
    Peer peer;
    peer.send(head(1, request("POST", "/", {{"content-length", "5"}}), end_headers));
    CHECK(peer.stream().log() == "POST x / length=5");
    CHECK(peer.send(body(1, sent, end_stream)) == "RST 1 1");
    CHECK(peer.stream().error.reason == reason::request_malformed);
    CHECK(peer.stream().body.size() <= 5);
    peer.answer_all();
    CHECK(peer.send(head(99, get())) == served);
  }
}

TEST_CASE("an empty body by its length is whole with END_STREAM, before which trailers may come") {
  for (const bool trailers : {false, true}) {
    Peer peer;
    peer.send(
        head(1, request("POST", "/", {{"content-length", "0"}, {"expect", "100-continue"}}), end_headers));
    CHECK(peer.stream().log() == "POST x / length=0");
    CHECK(peer.send(trailers ? head(1, {{"x-sum", "1"}}) : body(1, "", end_stream)).empty());
    CHECK(peer.stream().log() ==
          (trailers ? "POST x / length=0 | trailers x-sum=1 | end" : "POST x / length=0 | end"));
  }
}

TEST_CASE("a byte behind a length of 0 resets the stream") {
  Peer peer;
  peer.send(head(1, request("POST", "/", {{"content-length", "0"}}), end_headers));
  CHECK(peer.send(body(1, "a", end_stream)) == "RST 1 1");
  CHECK(peer.stream().log() == "POST x / length=0 | reset request.malformed");
}

TEST_CASE("trailers that frame, and more of them than allowed, are refused") {
  for (bool many : {false, true}) {
    Peer peer;
    peer.answer_all();
    const Fields sent = many ? Fields(40, {"a", "b"}) : Fields{{"host", "y"}};
    const std::string got = peer.send(head(1, request("POST", "/"), end_headers) + head(1, sent));
    CHECK(peer.stream().error.reason ==
          (many ? reason::request_header_too_large : reason::request_malformed));
    CHECK(peer.stream().log().find("| end") == std::string::npos);
    CHECK(got.find("RST 1") != std::string::npos);
  }
}

TEST_CASE("what breaks the connection's rules ends it with the code that RFC 9113 gives") {
  struct Case {
    std::string_view name;
    std::string sent;
    int code;
  };
  const Case cases[] = {
      {"another preface", "GET / HTTP/1.1\r\nhost: x\r\n\r\n", 1},
      {"no SETTINGS first", std::string(preface) + head(1, get()), 1},
      {"a frame that is too large", hello() + frame(data, 0, 1, std::string(16'385, 'a')), 6},
      {"DATA on an idle stream", hello() + body(1, "a"), 1},
      {"DATA without a stream", hello() + body(0, "a"), 1},
      {"HEADERS without a stream", hello() + head(0, get()), 1},
      {"an even stream", hello() + head(2, get()), 1},
      {"a header block that cannot be read", hello() + frame(headers, 5, 1, "\xff\xff\xff\xff\xff\xff"), 9},
      {"another frame within a head", hello() + head(1, get(), end_stream) + frame(ping, 0, 0, "12345678"),
       1},
      {"CONTINUATION without a head", hello() + frame(continuation, 4, 1, "a"), 1},
      {"a PUSH_PROMISE", hello() + frame(push_promise, 4, 1, std::string(4, '\2')), 1},
      {"a short PING", hello() + frame(ping, 0, 0, "1234"), 6},
      {"SETTINGS for a stream", hello() + frame(settings, 0, 1), 1},
      {"SETTINGS of a wrong size", hello() + frame(settings, 0, 0, "12345"), 6},
      {"an acknowledgement with values", hello() + frame(settings, 1, 0, number(0, 6)), 6},
      {"a window over its range", hello() + window(0, 0x7fffffff), 3},
      {"an initial window over its range", hello() + setting({{4, 0x80000000}}), 3},
      {"a window of 0 for the connection", hello() + window(0, 0), 1},
      {"a window for an idle stream", hello() + window(1, 1), 1},
      {"a short window", hello() + frame(window_update, 0, 0, "123"), 6},
      {"a reset of an idle stream", hello() + reset(1, 8), 1},
      {"a reset without a stream", hello() + reset(0, 8), 1},
      {"a short reset", hello() + head(1, get()) + frame(rst_stream, 0, 1, "12"), 6},
      {"PRIORITY without a stream", hello() + frame(priority, 0, 0, "12345"), 1},
      {"a PRIORITY that depends on itself", hello() + frame(priority, 0, 1, number(1, 4) + "a"), 1},
      {"the same, and exclusively", hello() + frame(priority, 0, 1, number(0x80000001, 4) + "a"), 1},
      {"HEADERS that depend on themselves",
       hello() + frame(headers, end_stream | end_headers | 0x20, 1, number(1, 4) + "a" + hpack(get())), 1},
      {"PUSH switched on to 2", hello() + setting({{2, 2}}), 1},
      {"extended CONNECT switched on by 2", hello() + setting({{8, 2}}), 1},
      {"a PING for a stream", hello() + frame(ping, 0, 1, "12345678"), 1},
      {"a GOAWAY for a stream", hello() + frame(goaway, 0, 1, number(0, 8)), 1},
      {"HEADERS with more padding than frame", hello() + frame(headers, 5 | padded, 1, "\x09" + hpack({})),
       1},
      {"a stream identifier that was passed over", hello() + head(5, get()) + head(3, get()), 1},
      {"a head for a stream that its client has reset",
       hello() + head(1, get()) + reset(1, 8) + head(1, get()), 5},
      {"DATA on a stream that its client has reset",
       hello() + head(1, request("POST", "/"), end_headers) + reset(1, 8) + body(1, "a"), 5},
      {"a head within the head of another stream",
       hello() + frame(headers, end_stream, 1, hpack(get())) + head(3, get()), 1},
      {"a frame size out of range", hello() + setting({{5, 1}}), 1},
      {"padding over its frame",
       hello() + head(1, request("POST", "/"), end_headers) +
           body(1,
                "\x09"
                "ab",
                padded),
       1},
  };
  for (const Case& each : cases)
    for (const bool each_byte : {false, true}) {
      CAPTURE(each.name);
      CAPTURE(each_byte);
      net::Loop loop;
      const DownstreamSettings settings = far_away();
      Client client(loop, settings, Client::Speaks::http2);
      each_byte ? feed_each_byte(client.wire, each.sent) : feed(client.wire, each.sent);
      turn(loop);
      Reader reader;
      const std::string got = reader.text(client.wire.take());
      CAPTURE(got);
      CHECK(got.ends_with(" " + std::to_string(each.code)));
      CHECK(got.find("GOAWAY") != std::string::npos);
      CHECK(client.closed == 1);
      for (auto& stream : client.streams) CHECK_FALSE(stream->open);
    }
}

// The memory of a stream that is over serves the next one on the loop, whosever it is.
TEST_CASE("a head without a stream touches none, also behind one that is over") {
  const DownstreamSettings settings = far_away();
  Peer good(settings);
  good.answer_all();
  Client bad(good.loop, settings, Client::Speaks::http2);
  feed(bad.wire, hello() + head(1, get()));
  feed(bad.wire, reset(1, 8));
  turn(good.loop);
  feed(good.client.wire, frame(headers, end_stream, 1, hpack(get())));  // its end is still to come
  feed(bad.wire, head(0, get()));
  CHECK(good.send(frame(continuation, end_headers, 1, "")).starts_with("HEADERS 1 :status=200"));
  CHECK(bad.closed == 1);
}

TEST_CASE("more streams than are allowed are refused, and those before go on") {
  DownstreamSettings settings;
  settings.http2.max_concurrent_streams = 2;
  net::Loop loop;
  Client client(loop, settings, Client::Speaks::http2);
  Reader reader;
  feed(client.wire, hello());  // it has not heard of the limit yet
  feed(client.wire, head(1, get()) + head(3, get()) + head(5, get()));
  turn(loop);
  CHECK(reader.text(client.wire.take()).ends_with("RST 5 7"));
  CHECK(client.streams.size() == 2);
  for (auto& stream : client.streams) CHECK(stream->open);
}

TEST_CASE("floods of what brings nothing end their connection and are counted") {
  struct Case {
    std::string_view name;
    std::string frame;
    Limit limit = Limit::http2_max_control_frames;
  };
  const Case cases[] = {
      {"PING", frame(ping, 0, 0, "12345678")},
      {"SETTINGS", setting({})},
      {"SETTINGS that change windows", setting({{4, 1}}) + setting({{4, 2}})},
      {"PRIORITY", frame(priority, 0, 1, number(0, 4) + "a")},
      {"windows of the connection", window(0, 1)},
      {"windows of a stream", window(1, 1)},
      {"empty DATA", body(1, "")},
      {"DATA of padding alone", body(1, std::string("\x01\0", 2), padded)},
      {"frames of a type that nobody knows", frame(static_cast<Type>(0xbe), 0, 1, "x")},
      {"the same without a stream", frame(static_cast<Type>(0x0a), 0, 0)},
      {"PRIORITY_UPDATE", frame(static_cast<Type>(16), 0, 0, number(1, 4) + "u=1")},
  };
  for (const Case& each : cases) {
    CAPTURE(each.name);
    Peer peer(far_away());
    std::string got = peer.send(head(1, request("POST", "/"), end_headers));
    for (int i = 0; i < 30 && peer.client.closed == 0; ++i) got = peer.send(repeated(each.frame, 100));
    CHECK(got.ends_with("GOAWAY 1 11"));
    CHECK(peer.client.closed == 1);
    CHECK(peer.client.limits.of(each.limit) == 1);
    CHECK(peer.stream().log().find("| reset ") != std::string::npos);
  }
}

// As Go's clients do, for stream and connection each 4 KiB that their program has read.
TEST_CASE("windows that return what was sent are no flood, however late they come") {
  constexpr size_t size = 8 << 20, piece = 4096;
  Peer peer(far_away());
  peer.send(setting({{4, size}}) + window(0, size) + head(1, get()) + head(3, get()));
  answer(peer.stream(0), 200, std::string(size, 'x'));
  peer.got();
  REQUIRE(peer.reader.body(1).size() == size);
  SUBCASE("its stream is over") { peer.stream(0).release(); }
  SUBCASE("or not") {}
  CHECK(peer.send(repeated(window(1, piece) + window(0, piece), size / piece)).find("GOAWAY") ==
        std::string::npos);
  CHECK(peer.client.closed == 0);
}

TEST_CASE("windows that return byte by byte what was sent are a flood") {
  Peer peer(far_away());
  peer.send(setting({{4, 1 << 20}}) + head(1, get()) + head(3, get()));
  answer(peer.stream(0), 200, std::string(60'000, 'x'));
  peer.got();
  REQUIRE(peer.reader.body(1).size() == 60'000);
  std::string got;
  for (int i = 0; i < 30 && peer.client.closed == 0; ++i) got = peer.send(repeated(window(0, 1), 100));
  CHECK(got.ends_with("GOAWAY 3 11"));
  CHECK(peer.client.limits.of(Limit::http2_max_control_frames) == 1);
}

TEST_CASE("what comes behind the last GOAWAY is passed over, and costs its client like any other flood") {
  DownstreamSettings settings = far_away();
  settings.http2.max_control_frames = 100;
  Peer peer(settings);
  peer.send(head(1, get()));
  peer.client.connection->drain(0);
  peer.got();
  CHECK(peer.send(frame(ping, ack, 0, peer.reader.last_ping())) == "GOAWAY 1 0");
  std::string_view flood;
  SUBCASE("heads") { flood = "heads"; }
  SUBCASE("DATA of nothing") { flood = "data"; }
  uint32_t id = 3;
  CHECK(peer.send(head(id, request("POST", "/"), end_headers) + body(id, "some")).empty());
  std::string got;
  for (int i = 0; i < 200 && got.empty(); ++i)
    got = peer.send(flood == "heads" ? head(id += 2, get()) : body(id, ""));
  CHECK(got == "GOAWAY 1 11");
  CHECK(peer.client.closed == 1);
  CHECK(peer.client.limits.of(Limit::http2_max_control_frames) == 1);
  CHECK(peer.client.streams.size() == 1);
}

TEST_CASE("what breaks the rules of a stream resets it with the code that RFC 9113 gives, and no other") {
  struct Case {
    std::string_view name;
    std::string sent;
    int code;
  };
  const std::string open = head(1, request("POST", "/"), end_headers);
  const std::string ended = head(1, get());
  const Case cases[] = {
      {"a window of 0", open + window(1, 0), 1},
      {"a window over its range", open + window(1, 0x7fffffff), 3},
      {"DATA behind its end", ended + body(1, "a"), 5},
      {"HEADERS behind its end", ended + head(1, {{"a", "b"}}), 5},
      {"trailers without an end", open + head(1, {{"a", "b"}}, end_headers), 1},
      {"a pseudo-header in trailers", open + head(1, {{":path", "/"}}), 1},
      {"a status in trailers", open + head(1, {{":status", "200"}}), 1},
      {"an upper-case name in trailers", open + head(1, {{"A", "b"}}), 1},
      {"a field of the connection in trailers", open + head(1, {{"connection", "close"}}), 1},
      {"more DATA than its window", open + body(1, std::string(11, 'a')), 3},
  };
  for (const Case& each : cases) {
    CAPTURE(each.name);
    DownstreamSettings settings = far_away();
    settings.http2.stream_window = 10;
    Peer peer(settings);
    const std::string got = peer.send(each.sent);
    const std::string code = std::to_string(each.code);
    const bool stream = got.find("RST 1 " + code) != std::string::npos;
    // RFC 9113 5.4.1: an error of a stream may be taken for one of its connection.
    const bool connection = got.find("GOAWAY 1 " + code) != std::string::npos;
    CHECK((stream || connection));
    CHECK_FALSE(peer.stream().open);
    if (!stream) continue;
    peer.answer_all();
    CHECK(peer.send(head(99, get())) == served);
  }
}

TEST_CASE("what was on its way to a stream that we have reset is passed over") {
  Peer peer(far_away());
  peer.send(head(1, request("POST", "/"), end_headers));
  answer(peer.stream(), 403, "no");
  peer.stream().release();
  CHECK(peer.got().ends_with("RST 1 0"));
  peer.answer_all();
  CHECK(peer.send(body(1, "more") + body(1, "", end_stream)).find("GOAWAY") == std::string::npos);
  CHECK(peer.send(head(99, get())) == served);
  SUBCASE("also by a stream that was refused and is not told so yet") {
    DownstreamSettings settings = far_away();
    settings.http2.max_concurrent_streams = 1;
    net::Loop loop;
    Client client(loop, settings, Client::Speaks::http2);
    Reader reader;
    feed(client.wire, hello() + head(1, get()) + head(3, request("POST", "/"), end_headers) + body(3, "a") +
                          body(3, "b", end_stream));
    turn(loop);
    CHECK(reader.text(client.wire.take()).ends_with("RST 3 7"));
    CHECK(client.closed == 0);
  }
  SUBCASE("but not for ever") {
    std::string got;
    for (uint32_t id = 101; id < 101 + 64; id += 2) peer.send(head(id, get()));  // it is long ago now
    for (int i = 0; i < 30 && peer.client.closed == 0; ++i) got = peer.send(repeated(body(1, "x"), 100));
    CHECK(got.ends_with(" 11"));
    CHECK(peer.client.limits.of(Limit::http2_max_control_frames) == 1);
  }
  SUBCASE("and not if it brings nothing") {
    std::string got;
    for (int i = 0; i < 30 && peer.client.closed == 0; ++i) got = peer.send(repeated(body(1, ""), 100));
    CHECK(got.ends_with(" 11"));
  }
  SUBCASE("nor are heads, which are unpacked all the same") {
    std::string got;
    for (int i = 0; i < 30 && peer.client.closed == 0; ++i)
      got = peer.send(repeated(head(1, {{"a", "b"}}), 100));
    CHECK(got.ends_with(" 11"));
  }
}

TEST_CASE("resets of streams that are over are a flood like any other") {
  Peer peer(far_away());
  peer.answer_all();
  peer.send(head(1, get()));
  std::string got;
  for (int i = 0; i < 30 && peer.client.closed == 0; ++i) got = peer.send(repeated(reset(1, 8), 100));
  CHECK(got.ends_with(" 11"));
  CHECK(peer.client.limits.of(Limit::http2_max_control_frames) == 1);
}

TEST_CASE("max_resets: none means any number, and the library has no bound of its own") {
  DownstreamSettings settings = far_away();
  settings.http2.max_resets = settings.http2.max_control_frames = 0;
  Peer peer(settings);
  peer.answer_all();
  for (uint32_t id = 1; id < 6'000; id += 2) peer.send(head(id, get()) + reset(id, 8));
  CHECK(peer.client.closed == 0);
  CHECK(peer.send(head(9'999, get())).starts_with("HEADERS 9999 :status=200"));
}

TEST_CASE("a flood is its connection's own: another is served meanwhile, and what is held stays little") {
  const std::string bomb = "\x40" + std::string("\x01") + "a" + "\x7f" + std::string("\xbd\x1d", 2) +
                           std::string(3'900, 'z') + std::string(10'000, '\xbe');
  const std::string open = head(1, request("POST", "/"), end_headers);
  struct Case {
    std::string_view name;
    std::string first, then;
  };
  const Case cases[] = {
      {"SETTINGS", open, repeated(setting({{4, 1}}), 50)},
      {"PING", open, repeated(frame(ping, 0, 0, "12345678"), 50)},
      {"unknown frames", open, repeated(frame(static_cast<Type>(0xbe), 0, 1, "x"), 50)},
      {"a head without an end", frame(headers, end_stream, 1, hpack(get())),
       frame(continuation, none, 1, hpack({{"a", std::string(10'000, 'b')}}))},
      {"a head that unpacks", open, frame(headers, end_stream | end_headers, 3, hpack(get()) + bomb)},
      {"requests whose answers nobody takes", setting({{4, 0}}), ""},
  };
  for (const Case& each : cases) {
    CAPTURE(each.name);
    DownstreamSettings settings = far_away();
    Peer good(settings);
    good.answer_all();
    Client bad(good.loop, settings, Client::Speaks::http2);
    bad.prepare = [](Recorder& made) {
      made.at_head = [](Recorder& r) {
        if (!r.events.back().ends_with(" END")) return;
        answer(r, 200, std::string(10'000, 'x'));
        r.release();
      };
    };
    feed(bad.wire, hello() + each.first);
    uint32_t id = 1;
    for (uint32_t i = 0; i < 60; ++i, id += 2) {
      if (bad.connection) feed(bad.wire, each.then.empty() ? head(id, get()) : each.then);
      CHECK(good.send(head(id, get())).starts_with("HEADERS " + std::to_string(id) + " :status=200"));
      if (bad.connection) CHECK(bad.connection->held_bytes() < 2'000'000);
      bad.wire.take();
    }
    CHECK(good.client.closed == 0);
    if (each.then.empty()) continue;  // max_concurrent_streams bounds it
    CHECK(bad.closed == 1);
    REQUIRE(bad.http2_errors.size() == 1);
    CHECK(bad.http2_errors[0] == 11);
  }
}

TEST_CASE("rapid resets end their connection before they cost much") {
  Peer peer(far_away());
  peer.answer_all();
  uint32_t id = 1;
  std::string got;
  for (; peer.client.closed == 0 && id < 2'000; id += 2) got = peer.send(head(id, get()) + reset(id, 8));
  CHECK(got.ends_with(" 11"));
  CHECK(peer.client.limits.of(Limit::http2_max_resets) == 1);
  CHECK(peer.client.streams.size() <= DownstreamSettings().http2.max_resets + 1);
  peer.client.streams.pop_back();  // the one that was too many
  for (const auto& stream : peer.client.streams) CHECK(stream->log() == "bad client.closed");
}

TEST_CASE("a client that makes us reset its streams is none the better for it") {
  Peer peer(far_away());
  uint32_t id = 1;
  std::string got;
  for (; peer.client.closed == 0 && id < 2'000; id += 2)
    got = peer.send(head(id, request("POST", "/", {{"content-length", "5"}}), end_headers) +
                    body(id, "a", end_stream));
  CHECK(got.ends_with(" 11"));
  CHECK(peer.client.limits.of(Limit::http2_max_resets) == 1);
}

TEST_CASE("answers that count as resets are none the better for being whole") {
  Peer peer(far_away());
  peer.client.prepare = [](Recorder& made) {
    made.at_head = [](Recorder& r) {
      r.stream->count_as_reset();
      answer(r, 504, "");
      r.release();
    };
  };
  uint32_t id = 1;
  std::string got;
  for (; peer.client.closed == 0 && id < 2'000; id += 2) got = peer.send(head(id, get()));
  CHECK(got.ends_with(" 11"));
  CHECK(peer.client.limits.of(Limit::http2_max_resets) == 1);
  CHECK(peer.client.streams.size() >= DownstreamSettings().http2.max_resets);
}

TEST_CASE("requests that are answered win resets back") {
  Peer peer(far_away());
  peer.answer_all();
  uint32_t id = 1;
  for (int i = 0; i < 600; ++i, id += 4) peer.send(head(id, get()) + head(id + 2, get()) + reset(id + 2, 8));
  CHECK(peer.client.closed == 0);
}

TEST_CASE("a head in many frames, or without an end, is refused in time") {
  Peer peer(far_away());
  std::string sent = frame(headers, end_stream, 1, hpack(get()));
  for (int i = 0; i < 20; ++i) sent += frame(continuation, none, 1, hpack({{"a", "b"}}));
  CHECK(peer.send(sent).ends_with(" 11"));
  DownstreamSettings settings = far_away();
  settings.header_timeout_ms = 20;
  Peer slow(settings);
  slow.answer_all();
  slow.send(head(1, get()));
  CHECK(slow.client.closed == 0);
  slow.send(frame(headers, end_stream, 3, hpack(get())));
  slow.run_to_end();
  CHECK(slow.client.limits.of(Limit::header_timeout) == 1);
  CHECK(slow.reader.text(slow.client.wire.take()) == "GOAWAY 3 1");
}

TEST_CASE("a small block that unpacks to a large head costs its connection") {
  Peer peer(far_away());
  // One field of 3,900 bytes goes into the table; then each byte of the block stands for it (RFC 7541 6.1).
  std::string block = hpack(get());
  block += '\x40';
  block += std::string(
               "\x01"
               "a",
               2) +
           "\x7f" + std::string("\xbd\x1d", 2) + std::string(3'900, 'z');
  std::string sent = frame(headers, end_stream, 1, block + std::string(10'000, '\xbe'));
  sent += frame(continuation, end_headers, 1, std::string(16'000, '\xbe'));
  CHECK(peer.send(sent).ends_with("GOAWAY 1 11"));
  CHECK(peer.client.limits.of(Limit::header_size) == 1);
  CHECK(peer.client.closed == 1);
}

TEST_CASE("an idle connection gets a GOAWAY, and one that never asked, too") {
  for (bool asked : {false, true}) {
    DownstreamSettings settings = far_away();
    (asked ? settings.idle_timeout_ms : settings.header_timeout_ms) = 20;
    Peer peer(settings);
    peer.answer_all();
    if (asked) peer.send(head(1, get()));
    CHECK(peer.client.closed == 0);
    peer.run_to_end();
    CHECK(peer.reader.text(peer.client.wire.take()) == (asked ? "GOAWAY 1 0" : "GOAWAY 0 0"));
    CHECK(peer.client.limits.of(asked ? Limit::idle_timeout : Limit::header_timeout) == 1);
  }
}

TEST_CASE("a body that stops is answered 408, and its stream alone ends") {
  DownstreamSettings settings = far_away();
  settings.body_timeout_ms = 20;
  settings.idle_timeout_ms = 60;  // so that the run has an end
  Peer peer(settings);
  peer.client.prepare = [](Recorder& made) {
    made.at_bad_body = [](Recorder& r) {
      answer(r, status_of(r.error.reason), "");
      r.release();
    };
  };
  peer.send(head(1, request("POST", "/"), end_headers) + body(1, "a"));
  peer.run_to_end();
  CHECK(peer.reader.text(peer.client.wire.take()) ==
        "HEADERS 1 :status=408 content-length=0 date=D END | RST 1 0 | GOAWAY 1 0");
  CHECK(peer.client.limits.of(Limit::body_timeout) == 1);
}

TEST_CASE("an answer that its client gives no window for is cut, with its handler and without") {
  for (bool released : {false, true}) {
    CAPTURE(released);
    DownstreamSettings settings = far_away();
    settings.send_timeout_ms = 20;
    settings.idle_timeout_ms = 60;
    Peer peer(settings);
    peer.send(setting({{4, 0}}) + head(1, get()));
    answer(peer.stream());
    if (released) peer.stream().release();
    peer.run_to_end();
    CHECK(peer.reader.text(peer.client.wire.take()) ==
          "HEADERS 1 :status=200 content-length=2 date=D | RST 1 8 | GOAWAY 1 0");
    CHECK(peer.stream().log() == (released ? "GET x / END" : "GET x / END | reset client.slow"));
    CHECK(peer.client.limits.of(Limit::send_timeout) == 1);
  }
}

TEST_CASE("a client that says nothing while its request is open is asked, and cut if it is gone") {
  DownstreamSettings settings = far_away();
  settings.http2.ping_interval_ms = 20;
  settings.http2.ping_timeout_ms = 20;
  Peer peer(settings);
  peer.send(head(1, get()));
  peer.run_to_end();
  CHECK(peer.reader.text(peer.client.wire.take()) == "PING");
  CHECK(peer.client.wire.end == Wire::End::aborted);
  CHECK(peer.client.limits.of(Limit::http2_ping_timeout) == 1);
  CHECK(peer.stream().log() == "GET x / END | reset client.closed");
}

TEST_CASE("short of memory, what was not answered gets 503 and the connection ends") {
  Peer peer(far_away());
  peer.client.prepare = [](Recorder& made) {
    made.at_bad_body = [](Recorder& r) {
      answer(r, status_of(r.error.reason), "");
      r.release();
    };
  };
  peer.send(head(1, get()));
  peer.client.connection->shed(Limit::buffered);
  CHECK(peer.reader.text(peer.client.wire.take()) ==
        "HEADERS 1 :status=503 content-length=0 date=D END | GOAWAY 1 11");
  CHECK(peer.client.closed == 1);
  CHECK(peer.client.limits.of(Limit::buffered) == 1);
}

TEST_CASE("what a client waits for decides who makes room for others") {
  Peer peer(far_away());
  peer.answer_all();
  auto waits = [&] { return !peer.client.waiting.empty(); };
  CHECK(waits());  // for its first request
  peer.client.prepare = nullptr;
  peer.send(head(1, get()));
  CHECK_FALSE(waits());
  CHECK(peer.client.connection->waiting_since_ms() == UINT64_MAX);
  answer(peer.stream());
  peer.stream().release();
  peer.got();
  CHECK(waits());  // for the next one
  peer.send(head(3, request("POST", "/"), end_headers));
  CHECK(waits());  // for its body
  CHECK(peer.client.connection->slow_body_since_ms() != UINT64_MAX);
  peer.send(head(5, get()));
  CHECK_FALSE(waits());  // one waits for us
  CHECK(peer.client.connection->slow_body_since_ms() == UINT64_MAX);
}

TEST_CASE("a body that comes when its sender likes is awaited, too, but as a call") {
  Peer peer(far_away());
  peer.send(head(1, request("POST", "/"), end_headers));
  CHECK(peer.client.awaited == Awaited::body);
  peer.stream(0).stream->lift_body_pace();
  peer.send(head(3, request("POST", "/"), end_headers));
  CHECK(peer.client.awaited == Awaited::call);  // with another one's body
  const uint64_t since = peer.client.connection->slow_body_since_ms();
  CHECK(since != UINT64_MAX);
  peer.client.awaited = Awaited::nothing;
  peer.send(frame(h2::data, 0, 1, "x"));  // is under min_body_rate
  CHECK(peer.client.awaited == Awaited::nothing);
  CHECK(peer.client.connection->slow_body_since_ms() == since);
  peer.send(frame(h2::data, 0, 1, std::string(1'000, 'x')));
  CHECK(peer.client.awaited == Awaited::call);  // once more: it is not the quietest any longer
  peer.send(frame(h2::data, end_stream, 1));
  CHECK(peer.client.waiting.empty());
  CHECK(peer.client.connection->slow_body_since_ms() == UINT64_MAX);
  answer(peer.stream(0));
  peer.stream(0).release();
  peer.got();
  CHECK(peer.client.awaited == Awaited::body);
}
