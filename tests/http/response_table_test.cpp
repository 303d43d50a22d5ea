// What becomes of a response: either the client sees exactly these bytes, or the answer is broken with
// upstream.protocol or upstream.reset and never looks whole. Each case is fed whole, byte by byte, in halves.
#include <doctest/doctest.h>

#include "relay.h"

using namespace penstock;
using namespace penstock::test;
using namespace std::string_literals;

namespace {

struct Case {
  const char* name;
  std::string response;
  std::string seen;  // by the client; empty: broken
  enum class After { reused, closed } after = After::reused;
  std::string_view method = "GET";
};
using After = Case::After;

std::string ok(std::string_view fields, std::string_view body = "") {
  return fmt::format("HTTP/1.1 200 OK\r\nDate: D\r\n{}\r\n{}", fields, body);
}
std::string seen_ok(std::string_view fields, std::string_view body = "") {
  return fmt::format("HTTP/1.1 200 OK\r\ndate: D\r\n{}\r\n{}", fields, body);
}
std::string chunked(std::string_view body) { return ok("Transfer-Encoding: chunked\r\n", body); }
std::string seen_chunked(std::string_view body) { return seen_ok("transfer-encoding: chunked\r\n", body); }

const std::vector<Case>& good_cases() {
  static const std::vector<Case> cases{
      {"a length", ok("Content-Length: 5\r\n", "hello"), seen_ok("content-length: 5\r\n", "hello")},
      {"a length of 0", ok("Content-Length: 0\r\n"), seen_ok("content-length: 0\r\n")},
      {"chunks", chunked("5;x=y\r\nhello\r\n0\r\n\r\n"), seen_chunked("5\r\nhello\r\n0\r\n\r\n")},
      {"trailers", chunked("1\r\na\r\n0\r\nGrpc-Status: 0\r\nSet-Cookie: a\r\n\r\n"),
       seen_chunked("1\r\na\r\n0\r\ngrpc-status: 0\r\n\r\n")},
      {"HEAD with a length", ok("Content-Length: 5\r\n"), seen_ok("content-length: 5\r\n"), After::closed,
       "HEAD"},
      {"HEAD with chunks", ok("Transfer-Encoding: chunked\r\n"), seen_ok(""), After::closed, "HEAD"},
      {"HEAD with a length of 0", ok("Content-Length: 0\r\n"), seen_ok("content-length: 0\r\n"),
       After::reused, "HEAD"},
      {"HEAD without a length", ok(""), seen_ok(""), After::reused, "HEAD"},
      {"204", "HTTP/1.1 204 No Content\r\nDate: D\r\n\r\n", "HTTP/1.1 204 No Content\r\ndate: D\r\n\r\n"},
      {"204 with a length of 0", "HTTP/1.1 204 No Content\r\nDate: D\r\nContent-Length: 0\r\n\r\n",
       "HTTP/1.1 204 No Content\r\ndate: D\r\n\r\n"},
      {"304 with a length", "HTTP/1.1 304 Not Modified\r\nDate: D\r\nContent-Length: 5\r\n\r\n",
       "HTTP/1.1 304 Not Modified\r\ndate: D\r\ncontent-length: 5\r\n\r\n", After::closed},
      {"304 without a length", "HTTP/1.1 304 Not Modified\r\nDate: D\r\n\r\n",
       "HTTP/1.1 304 Not Modified\r\ndate: D\r\n\r\n"},
      {"an own reason phrase", "HTTP/1.1 200 Sch\xf6n\r\nDate: D\r\nContent-Length: 0\r\n\r\n",
       "HTTP/1.1 200 Sch\xf6n\r\ndate: D\r\ncontent-length: 0\r\n\r\n"},
      {"no reason phrase", "HTTP/1.1 200 \r\nDate: D\r\nContent-Length: 0\r\n\r\n",
       "HTTP/1.1 200 OK\r\ndate: D\r\ncontent-length: 0\r\n\r\n"},
      {"no blank behind the status", "HTTP/1.1 200\r\nDate: D\r\nContent-Length: 0\r\n\r\n",
       "HTTP/1.1 200 OK\r\ndate: D\r\ncontent-length: 0\r\n\r\n"},
      {"the connection's own fields go",
       ok("Connection: close, X-Hop\r\nKeep-Alive: a\r\nX-Hop: b\r\nX-Stays: c\r\nUpgrade: "
          "h2\r\nContent-Length: 0\r\n"),
       seen_ok("x-stays: c\r\ncontent-length: 0\r\n"), After::closed},
      {"order and multiplicity", ok("Set-Cookie: a=1\r\nX: 1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n"),
       seen_ok("set-cookie: a=1\r\nx: 1\r\nset-cookie: b=2\r\ncontent-length: 0\r\n")},
      {"HTTP/1.0", "HTTP/1.0 200 OK\r\nDate: D\r\nContent-Length: 1\r\n\r\na",
       seen_ok("content-length: 1\r\n", "a"), After::closed},
      {"HTTP/1.0 with keep-alive",
       "HTTP/1.0 200 OK\r\nDate: D\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na",
       seen_ok("content-length: 1\r\n", "a")},
      {"interim answers",
       "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" +
           ok("Content-Length: 0\r\n"),
       "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" +
           seen_ok("content-length: 0\r\n")},
      {"Connection may name what it is about",
       ok("Connection: keep-alive, Transfer-Encoding, Trailer\r\nTransfer-Encoding: chunked\r\n",
          "2\r\nok\r\n0\r\n\r\n"),
       "HTTP/1.1 200 OK\r\ndate: D\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
      {"426 says to which of several",
       "HTTP/1.1 426 Upgrade Required\r\nDate: D\r\nUpgrade: TLS/1.0, HTTP/1.1\r\nConnection: upgrade\r\n"
       "Content-Length: 0\r\n\r\n",
       "HTTP/1.1 426 Upgrade Required\r\ndate: D\r\ncontent-length: 0\r\nupgrade: TLS/1.0, HTTP/1.1\r\n"
       "connection: upgrade\r\n\r\n"},
      {"426 says to what",
       "HTTP/1.1 426 Upgrade Required\r\nDate: D\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
       "Content-Length: 0\r\n\r\n",
       "HTTP/1.1 426 Upgrade Required\r\ndate: D\r\ncontent-length: 0\r\nupgrade: websocket\r\nconnection: "
       "upgrade\r\n\r\n"},
  };
  return cases;
}

std::string many_interim() {
  std::string out;
  for (int i = 0; i < 17; ++i) out += "HTTP/1.1 103 Early Hints\r\n\r\n";
  return out + ok("Content-Length: 0\r\n");
}

const std::vector<std::pair<const char*, std::string>>& bad_heads() {
  static const std::vector<std::pair<const char*, std::string>> cases{
      {"garbage", "hello\r\n\r\n"},
      {"an empty line first", "\r\n" + ok("Content-Length: 0\r\n")},
      {"HTTP/0.9", "<html>"},
      {"version 2.0", "HTTP/2.0 200 OK\r\n\r\n"},
      {"version 1.2", "HTTP/1.2 200 OK\r\n\r\n"},
      {"a status of two digits", "HTTP/1.1 20 OK\r\n\r\n"},
      {"a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n"},
      {"status 600", "HTTP/1.1 600 X\r\n\r\n"},
      {"status 099", "HTTP/1.1 099 X\r\n\r\n"},
      {"two blanks before the status", "HTTP/1.1  200 OK\r\n\r\n"},
      {"a tab before the status", "HTTP/1.1\t200 OK\r\n\r\n"},
      {"a bare LF behind the status line", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"},
      {"a control byte in the reason phrase", "HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n"},
      {"a bare CR in the reason phrase", "HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n"},
      {"length and chunks", ok("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")},
      {"chunks and length", ok("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")},
      {"the same length twice", ok("Content-Length: 5\r\nContent-Length: 5\r\n", "hello")},
      {"a list of lengths", ok("Content-Length: 5, 5\r\n", "hello")},
      {"a negative length", ok("Content-Length: -1\r\n")},
      {"a signed length", ok("Content-Length: +5\r\n", "hello")},
      {"a length with a unit", ok("Content-Length: 5b\r\n", "hello")},
      {"an empty length", ok("Content-Length: \r\n")},
      {"a length over 64 bits", ok("Content-Length: 99999999999999999999\r\n")},
      {"gzip and chunked", ok("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")},
      {"identity", ok("Transfer-Encoding: identity\r\n")},
      {"two codings", ok("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")},
      {"chunks in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {"204 with a length", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"},
      {"204 with chunks", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {"103 with a length", "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nhello"},
      {"an interim answer in HTTP/1.0", "HTTP/1.0 100 Continue\r\n\r\n" + ok("Content-Length: 0\r\n")},
      {"too many interim answers", many_interim()},
      {"101 that nobody asked for", "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"},
      {"a folded line", ok("A: 1\r\n 2\r\nContent-Length: 0\r\n")},
      {"a blank before the colon", ok("Content-Length : 0\r\n")},
      {"a line without a colon", ok("A\r\nContent-Length: 0\r\n")},
      {"a bare LF in the fields", ok("A: 1\nContent-Length: 0\r\n")},
      {"a bare CR in a value", ok("A: 1\rB: 2\r\nContent-Length: 0\r\n")},
      {"NUL in a value", ok("A: 1\0\r\nContent-Length: 0\r\n"s)},
      {"an empty name", ok(": 1\r\nContent-Length: 0\r\n")},
      {"Connection names Content-Length", ok("Connection: content-length\r\nContent-Length: 0\r\n")},
      {"a head over its limit", ok("A: " + std::string(70'000, 'a') + "\r\n")},
  };
  return cases;
}

const std::vector<std::pair<const char*, std::string>>& bad_bodies() {
  static const std::vector<std::pair<const char*, std::string>> cases{
      {"a chunk size that is no number", chunked("1\r\na\r\nx\r\n")},
      {"a chunk longer than its size", chunked("1\r\nab\r\n0\r\n\r\n")},
      {"a chunk size over 64 bits", chunked("1\r\na\r\n10000000000000000\r\n")},
      {"a chunk that ends in LF", chunked("1\r\na\n0\r\n\r\n")},
      {"a trailer that frames", chunked("1\r\na\r\n0\r\nContent-Length: 1\r\n\r\n")},
  };
  return cases;
}

enum class Cut { whole, bytewise, halves };

void feed_cut(Wire& wire, const std::string& bytes, Cut cut) {
  if (cut == Cut::bytewise) return feed_each_byte(wire, bytes);
  if (cut == Cut::whole) return feed(wire, bytes);
  feed(wire, std::string_view(bytes).substr(0, bytes.size() / 2));
  feed(wire, std::string_view(bytes).substr(bytes.size() / 2));
}

void ask(Relay& relay, std::string_view method = "GET", std::string_view version = "1.1") {
  feed(relay.client.wire, fmt::format("{} / HTTP/{}\r\nHost: x\r\n\r\n", method, version));
}

// Joins the chunks of a body that may have come in pieces.
std::string joined(const std::string& message) {
  size_t body = message.rfind("transfer-encoding: chunked\r\n");
  if (body == std::string::npos) return message;
  body = message.find("\r\n\r\n", body) + 4;
  std::string data;
  size_t at = body;
  for (;;) {
    size_t line = message.find("\r\n", at);
    if (line == std::string::npos) return message;
    size_t size = std::stoul(message.substr(at, line - at), nullptr, 16);
    if (size == 0) break;
    data += message.substr(line + 2, size);
    at = line + 4 + size;
  }
  return message.substr(0, body) + fmt::format("{:x}\r\n{}\r\n", data.size(), data) + message.substr(at);
}

}  // namespace

TEST_CASE("an answer within the rules reaches the client in one form") {
  for (const Case& each : good_cases()) {
    for (Cut cut : {Cut::whole, Cut::bytewise, Cut::halves}) {
      CAPTURE(each.name);
      CAPTURE(static_cast<int>(cut));
      net::Loop loop;
      Relay relay(loop);
      ask(relay, each.method);
      feed_cut(relay.backend.wire, each.response, cut);
      CHECK(joined(relay.client.wire.sent) == each.seen);
      CHECK(!relay.up.open);
      CHECK(relay.backend.idle == (each.after == After::reused ? 1 : 0));
      CHECK(relay.backend.closed == (each.after == After::reused ? 0 : 1));
      CHECK(relay.client.wire.end == Wire::End::open);
      relay.finish();
    }
  }
}

TEST_CASE("an answer whose head breaks the rules is never passed on and the connection never used again") {
  for (const auto& [name, response] : bad_heads()) {
    for (Cut cut : {Cut::whole, Cut::bytewise, Cut::halves}) {
      CAPTURE(name);
      CAPTURE(static_cast<int>(cut));
      net::Loop loop;
      Relay relay(loop);
      ask(relay);
      feed_cut(relay.backend.wire, response, cut);
      bool large = relay.up.error.limit != Limit::none;
      CHECK(relay.up.error.reason == (large ? reason::upstream_too_large : reason::upstream_protocol));
      CHECK(relay.up.error.source == ErrorSource::upstream);
      CHECK(relay.up.error.retry == Retry::no);
      CHECK(relay.backend.closed == 1);
      CHECK(relay.backend.idle == 0);
      CHECK(relay.client.wire.sent.find(" 200 ") == std::string::npos);
      relay.finish();
    }
  }
}

TEST_CASE("an answer whose body breaks the rules is seen as cut") {
  for (const auto& [name, response] : bad_bodies()) {
    for (Cut cut : {Cut::whole, Cut::bytewise, Cut::halves}) {
      CAPTURE(name);
      CAPTURE(static_cast<int>(cut));
      net::Loop loop;
      Relay relay(loop);
      ask(relay);
      feed_cut(relay.backend.wire, response, cut);
      CHECK(relay.up.error.reason == reason::upstream_protocol);
      CHECK(relay.backend.closed == 1);
      CHECK(!relay.client.wire.sent.ends_with("0\r\n\r\n"));
      CHECK(relay.client.closed == 1);
      relay.finish();
    }
  }
}

TEST_CASE("bytes behind the end of an answer are never passed on nor left for the next exchange") {
  const std::string answers[] = {ok("Content-Length: 1\r\n", "a"), ok("Content-Length: 0\r\n"),
                                 chunked("1\r\na\r\n0\r\n\r\n"), "HTTP/1.1 304 Not Modified\r\n\r\n"};
  const std::string more[] = {"x", "\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"};
  for (const std::string& first : answers) {
    for (const std::string& rest : more) {
      CAPTURE(first);
      CAPTURE(rest);
      {
        net::Loop loop;
        Relay relay(loop);
        ask(relay);
        feed(relay.backend.wire, first + rest);
        CHECK(!relay.up.open);
        CHECK(relay.up.log().find("reset") == std::string::npos);  // the answer itself was whole
        CHECK(relay.client.wire.end == Wire::End::open);
        CHECK(relay.backend.idle == 0);
        CHECK(relay.backend.closed == 1);
        CHECK(relay.client.wire.sent.find("evil") == std::string::npos);
        relay.finish();
      }
      net::Loop loop;
      Relay relay(loop);
      ask(relay);
      feed_each_byte(relay.backend.wire, first);
      CHECK(relay.backend.idle == 1);
      feed_each_byte(relay.backend.wire, rest);
      CHECK(relay.backend.closed == 1);
      Recorder next;
      CHECK(relay.backend.open(next) == nullptr);
      relay.finish();
    }
  }
}

TEST_CASE("a body until close ends with the connection, chunked to 1.1 and until close to 1.0") {
  for (std::string_view version : {"1.1", "1.0"}) {
    net::Loop loop;
    Relay relay(loop);
    ask(relay, "GET", version);
    feed(relay.backend.wire, ok("", "hello "));
    feed(relay.backend.wire, "world");
    CHECK(relay.up.open);
    feed_end(relay.backend.wire);
    CHECK(relay.backend.closed == 1);
    CHECK(relay.backend.idle == 0);
    if (version == "1.1") {
      CHECK(joined(relay.client.wire.sent) == seen_chunked("b\r\nhello world\r\n0\r\n\r\n"));
      CHECK(relay.client.wire.end == Wire::End::open);
    } else {
      CHECK(relay.client.wire.sent == seen_ok("connection: close\r\n", "hello world"));
      CHECK(relay.client.wire.end == Wire::End::graceful);
    }
    relay.finish();
  }
}

TEST_CASE("a backend that closes within its answer is seen as a cut transfer") {
  struct Cutting {
    std::string response;
    std::string_view version;
    Wire::End end;
  };
  const Cutting cases[] = {
      {ok("Content-Length: 5\r\n", "hel"), "1.1", Wire::End::graceful},
      {ok("Content-Length: 5\r\n"), "1.1", Wire::End::graceful},
      {chunked("5\r\nhello\r\n"), "1.1", Wire::End::graceful},
      {chunked("5\r\nhello\r\n0\r\n"), "1.1", Wire::End::graceful},
      {chunked("5\r\nhello\r\n"), "1.0", Wire::End::aborted},
  };
  for (const Cutting& each : cases) {
    CAPTURE(each.response);
    net::Loop loop;
    Relay relay(loop);
    ask(relay, "GET", each.version);
    feed(relay.backend.wire, each.response);
    feed_end(relay.backend.wire);
    CHECK(relay.up.error.reason == reason::upstream_reset);
    CHECK(relay.up.error.retry == Retry::no);
    CHECK(relay.client.wire.end == each.end);
    CHECK(!relay.client.wire.sent.ends_with("0\r\n\r\n"));
    relay.finish();
  }
}

TEST_CASE("an unknown length goes until close to HTTP/1.0 and interim answers not at all") {
  net::Loop loop;
  Relay relay(loop);
  ask(relay, "GET", "1.0");
  feed(relay.backend.wire, "HTTP/1.1 103 Early Hints\r\n\r\n" + chunked("5\r\nhello\r\n0\r\nX: 1\r\n\r\n"));
  CHECK(relay.client.wire.sent == seen_ok("connection: close\r\n", "hello"));
  CHECK(relay.client.wire.end == Wire::End::graceful);
  CHECK(relay.backend.idle == 1);
  relay.finish();
}

TEST_CASE("a Date is made when the backend sent none") {
  net::Loop loop;
  Relay relay(loop);
  ask(relay);
  feed(relay.backend.wire, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  const std::string& sent = relay.client.wire.sent;
  size_t at = sent.find("date: ");
  REQUIRE(at != std::string::npos);
  CHECK(sent.substr(at + 6 + 25, 6) == " GMT\r\n");
  relay.finish();
}
