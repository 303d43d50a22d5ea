// Requests to a backend of HTTP/2 and its answers, frame by frame.
#include <doctest/doctest.h>

#include "http2_backend.h"

using namespace penstock;
using namespace penstock::test;
using namespace penstock::test::h2;

namespace {

constexpr std::string_view asked = ":method=GET :scheme=http :authority=backend :path=/ END";

}  // namespace

TEST_CASE("a connection can be lent once the backend's SETTINGS are there") {
  Played backend(Played::Says::nothing);
  Recorder stream;
  CHECK(backend.usable == 0);
  CHECK(!backend.connection->has_room());
  CHECK(backend.open(stream) == nullptr);
  CHECK(backend.send(setting({{3, 7}})) == "");
  CHECK(backend.usable == 1);
  CHECK(backend.connection->has_room());
  CHECK(backend.connection->most_streams() == 7);
}

TEST_CASE("what does not speak HTTP/2, takes no streams or goes away is told as no connection") {
  struct Case {
    std::string bytes;
    bool fin;
    ErrorKind kind;
  };
  for (const Case& each :
       {Case{"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", true, ErrorKind::protocol},
        Case{frame(ping, none, 0, "12345678"), false, ErrorKind::protocol},
        Case{setting({{3, 0}}), false, ErrorKind::refused}, Case{"", true, ErrorKind::closed}}) {
    CAPTURE(each.bytes);
    Played backend(Played::Says::nothing);
    backend.send(each.bytes);
    if (each.fin) feed_end(backend.wire);
    backend.got();
    CHECK(backend.usable == 0);
    CHECK(backend.closed == 1);
    CHECK(backend.unusable.kind == each.kind);
    CHECK(backend.unusable.source == ErrorSource::upstream);
  }
}

TEST_CASE("streams go side by side and are answered in any order") {
  Played backend;
  Recorder first, second;
  backend.ask(first);
  backend.ask(second);
  CHECK(backend.wire.take() == "");  // both leave at the end of the turn
  CHECK(backend.got() == fmt::format("HEADERS 1 {0} | HEADERS 3 {0}", asked));
  CHECK(!first.stream->reused());
  CHECK(second.stream->reused());
  CHECK(first.stream->version() == Version::http_2);
  CHECK(first.stream->any_byte_sent());
  CHECK(!first.stream->any_byte_received());
  first.at_end = second.at_end = [](Recorder& r) { r.release(); };
  backend.send(answer_head(3, "200", {{"a", "b"}}) + answer_head(1, "404", {{"content-length", "2"}}) +
               body(1, "no", end_stream) + body(3, "yes"));
  CHECK(first.log() == "404  length=2 | data no | end");
  CHECK(second.log() == "200  chunked a=b | data yes");
  CHECK(second.turn_ends == 1);
  CHECK(backend.idle == 0);
  CHECK(backend.connection->open_streams() == 1);
  CHECK(backend.send(body(3, "", end_stream)) == "");
  CHECK(second.log() == "200  chunked a=b | data yes | end");
  CHECK(backend.idle == 1);
  CHECK(backend.connection->open_streams() == 0);
  CHECK(backend.closed == 0);
}

TEST_CASE("a request's head is written in the form of HTTP/2") {
  Played backend;
  Recorder stream;
  backend.open(stream);
  Message head(stream.stream->arena());
  fill_request(head, Method::post, "/a");
  head.query = "q=1";
  head.has_query = head.expect_continue = head.accepts_trailers = true;
  head.has_content_length = true;
  head.content_length = 3;
  head.body = BodyKind::length;
  for (auto [name, value] :
       {std::pair("x-a", "1"), std::pair("connection", "x-b"), std::pair("host", "other"),
        std::pair("transfer-encoding", "chunked"), std::pair("trailer", "t")})
    head.headers.add(name, value);
  stream.stream->send_head(head, EndStream::no);
  stream.stream->send_data("abc");
  stream.stream->send_end();
  stream.stream->flush();
  CHECK(
      backend.got() ==
      "HEADERS 1 :method=POST :scheme=http :authority=backend :path=/a?q=1 x-a=1 trailer=t content-length=3 "
      "expect=100-continue te=trailers | DATA 1 3 END");
  CHECK(stream.stream->bytes_sent() == 3);
  stream.release();
}

TEST_CASE("bodies and trailers go both ways, interim answers come") {
  Played backend;
  Recorder stream;
  backend.ask(stream, Method::put, EndStream::no);
  CHECK(backend.got() == "HEADERS 1 :method=PUT :scheme=http :authority=backend :path=/");
  CHECK(backend.send(answer_head(1, "100") + answer_head(1, "103", {{"link", "x"}})) == "");
  CHECK(stream.log() == "interim 100 | interim 103 link=x");
  Headers trailers(stream.stream->arena());
  trailers.add("checksum", "1");
  trailers.add("content-length", "9");
  stream.stream->send_data("abc");
  stream.stream->send_trailers(trailers);
  stream.stream->flush();
  CHECK(backend.got() == "DATA 1 3 | HEADERS 1 checksum=1 END");
  stream.at_end = [](Recorder& r) { r.release(); };
  backend.send(answer_head(1, "200", {{"trailer", "grpc-status"}}) + body(1, "ok") +
               head(1, {{"grpc-status", "0"}, {"cookie", "no"}}));
  CHECK(stream.log() ==
        "interim 100 | interim 103 link=x | 200  chunked trailer=grpc-status | data ok | trailers "
        "grpc-status=0 "
        "| end");
  CHECK(backend.idle == 1);
}

TEST_CASE("however a backend's bytes are cut, the same is read") {
  const std::string block = hpack(status("200", {{"a", "b"}}));
  const std::string all = answer_head(1, "103", {{"link", "x"}}) +
                          frame(headers, padded, 1, "\2" + block.substr(0, 1) + "pp") +
                          frame(continuation, none, 1, block.substr(1, 1)) + frame(continuation, none, 1) +
                          frame(continuation, end_headers, 1, block.substr(2)) + body(1, "\3abppp", padded) +
                          window(1, 9) + body(1, "cd") + head(1, {{"x-sum", "1"}});
  for (const bool each_byte : {false, true}) {
    CAPTURE(each_byte);
    Played backend;
    Recorder stream;
    backend.ask(stream);
    backend.got();
    stream.at_end = [](Recorder& r) { r.release(); };
    each_byte ? feed_each_byte(backend.wire, all) : feed(backend.wire, all);
    backend.got();
    CHECK(stream.log() == "interim 103 link=x | 200  chunked a=b | data abcd | trailers x-sum=1 | end");
    CHECK(backend.idle == 1);
  }
}

TEST_CASE("answers without a body end with their head") {
  struct Case {
    Method method;
    std::string_view code;
    Fields more;
    std::string_view log;
  };
  for (const Case& each : {Case{Method::head, "200", {{"content-length", "10"}}, "200  length=10 END"},
                           Case{Method::get, "304", {{"content-length", "10"}}, "304  length=10 END"},
                           Case{Method::get, "204", {}, "204  END"}, Case{Method::get, "200", {}, "200  END"},
                           Case{Method::get, "200", {{"content-length", "0"}}, "200  length=0 END"}}) {
    CAPTURE(each.log);
    Played backend;
    Recorder stream;
    stream.at_head = [](Recorder& r) { r.release(); };
    backend.ask(stream, each.method);
    backend.got();
    CHECK(backend.send(answer_head(1, each.code, each.more, end_stream | end_headers)) == "");
    CHECK(stream.log() == each.log);
    CHECK(backend.idle == 1);
  }
}

TEST_CASE("the backend's limit on streams holds, also when it changes") {
  Played backend(Played::Says::settings, Played::quiet(), {{3, 2}});
  Recorder a, b, c;
  backend.ask(a);
  CHECK(backend.connection->has_room());
  backend.ask(b);
  CHECK(!backend.connection->has_room());
  CHECK(backend.open(c) == nullptr);
  backend.got();
  backend.send(setting({{3, 3}}));
  CHECK(backend.rooms == 1);
  backend.ask(c);
  backend.got();
  backend.send(setting({{3, 1}}));
  CHECK(!backend.connection->has_room());
  a.at_head = b.at_head = c.at_head = [](Recorder& r) { r.release(); };
  const int whole = end_stream | end_headers;
  backend.send(answer_head(1, "204", {}, whole) + answer_head(3, "204", {}, whole));
  CHECK(backend.rooms == 1);
  backend.send(answer_head(5, "204", {}, whole));
  CHECK(backend.idle == 1);
  CHECK(backend.connection->has_room());
}

TEST_CASE("our own limit on streams holds") {
  UpstreamSettings settings = Played::quiet();
  settings.http2.max_concurrent_streams = 1;
  Played backend(Played::Says::settings, settings);
  Recorder a, b;
  backend.ask(a);
  CHECK(backend.open(b) == nullptr);
  CHECK(backend.got() == fmt::format("HEADERS 1 {}", asked));
  a.release();
  CHECK(!backend.connection->has_room());
  CHECK(backend.got() == "RST 1 8");
  CHECK(backend.connection->has_room());
}

TEST_CASE("a body waits for the backend's window, and its sender is told") {
  Played backend(Played::Says::settings, Played::quiet(), {{4, 10}});
  Recorder stream;
  backend.ask(stream, Method::post, EndStream::no);
  stream.stream->send_data("0123456789abcde");
  stream.stream->flush();
  CHECK(stream.stream->unsent() == 5);
  CHECK(backend.got() == "HEADERS 1 :method=POST :scheme=http :authority=backend :path=/ | DATA 1 10");
  stream.stream->send_end();
  stream.stream->flush();
  CHECK(backend.got() == "");
  CHECK(stream.drained == 0);
  CHECK(backend.send(window(1, 100)) == "DATA 1 5 END");
  CHECK(backend.reader.body(1) == "0123456789abcde");
  CHECK(stream.drained == 1);
  CHECK(stream.stream->unsent() == 0);
  stream.release();
}

TEST_CASE("a request's trailers behind nothing need no window, and never overtake their head") {
  Played backend(Played::Says::settings, Played::quiet(), {{4, 0}});
  Recorder asked_before, at_once;
  auto end = [](Recorder& r) {
    Headers trailers(r.stream->arena());
    trailers.add("checksum", "1");
    r.stream->send_trailers(trailers);
    r.stream->flush();
  };
  backend.ask(asked_before, Method::put, EndStream::no);
  CHECK(backend.got() == "HEADERS 1 :method=PUT :scheme=http :authority=backend :path=/");
  end(asked_before);
  CHECK(backend.got() == "HEADERS 1 checksum=1 END");
  backend.ask(at_once, Method::put, EndStream::no);
  end(at_once);
  CHECK(backend.got() == "HEADERS 3 :method=PUT :scheme=http :authority=backend :path=/");
  CHECK(backend.send(window(3, 1)) == "HEADERS 3 checksum=1 END");
  asked_before.release();
  at_once.release();
}

TEST_CASE("an answer's window goes back when its bytes have left on the other side") {
  UpstreamSettings settings = Played::quiet();
  settings.http2.stream_window = 1000;
  Played backend(Played::Says::settings, settings);
  Recorder slow, quick;
  slow.waiting = 1000;
  backend.ask(slow);
  backend.ask(quick);
  backend.got();
  const std::string half(600, 'x');
  CHECK(backend.send(answer_head(1, "200") + body(1, half)) == "");
  CHECK(backend.send(answer_head(3, "200") + body(3, half)) == "WINDOW 3 600");
  slow.waiting = 0;
  slow.stream->resume(PauseReason::sink_full);
  CHECK(backend.got() == "WINDOW 1 600");
  slow.stream->pause(PauseReason::sink_full);
  CHECK(backend.send(body(1, half)) == "");
  CHECK(slow.body.size() == 1200);
  CHECK(backend.send(body(1, std::string(600, 'y'))) == "RST 1 3");  // more than it had leave to
  CHECK(slow.error.reason == reason::upstream_protocol);
  quick.release();
}

TEST_CASE("who gives up early resets its stream and leaves the connection to the others") {
  Played backend;
  Recorder gone, stays;
  backend.ask(gone, Method::post, EndStream::no);
  backend.ask(stays);
  backend.got();
  gone.stream->send_data("half");
  gone.stream->flush();
  gone.release();
  CHECK(backend.got() == "DATA 1 4 | RST 1 8");
  CHECK(backend.connection->open_streams() == 1);
  backend.send(answer_head(1, "200", {}, end_stream | end_headers));  // was under way
  stays.at_head = [](Recorder& r) { r.release(); };
  backend.send(answer_head(3, "200", {}, end_stream | end_headers));
  CHECK(stays.log() == "200  END");
  CHECK(backend.idle == 1);
}

TEST_CASE("a whole answer before the request is over resets what is left of it") {
  Played backend;
  Recorder stream;
  backend.ask(stream, Method::post, EndStream::no);
  backend.got();
  stream.at_head = [](Recorder& r) { r.release(); };
  CHECK(backend.send(answer_head(1, "413", {}, end_stream | end_headers)) == "RST 1 8");
  CHECK(backend.idle == 1);
}

TEST_CASE("a stream that was never used costs nothing") {
  Played backend;
  Recorder stream;
  backend.open(stream);
  stream.release();
  CHECK(backend.got() == "");
  CHECK(backend.idle == 1);
}

TEST_CASE("a request that is none is told later and never sent") {
  for (int how = 0; how < 3; ++how) {
    Played backend;
    Recorder stream;
    backend.open(stream);
    Message head(stream.stream->arena());
    fill_request(head, Method::post, how == 0 ? "/a b" : "/");
    head.body = BodyKind::length;
    head.has_content_length = true;
    head.content_length = 3;
    if (how == 1) head.headers.add("a", "b\r\nc: d");
    stream.stream->send_head(head, EndStream::no);
    if (how == 2) stream.stream->send_data("four");
    stream.stream->flush();
    CHECK(stream.open);
    const std::string sent = backend.got();
    CHECK(sent.find("DATA") == std::string::npos);
    CHECK((how == 2 || sent.empty()));
    CHECK(stream.error.reason == reason::internal_error);
    CHECK(backend.idle == 1);
  }
}

TEST_CASE("a head over what the backend takes is refused here") {
  Played backend(Played::Says::settings, Played::quiet(), {{6, 200}});
  Recorder small, large;
  backend.ask(small);
  CHECK(backend.got() == fmt::format("HEADERS 1 {}", asked));
  backend.open(large);
  Message head(large.stream->arena());
  fill_request(head);
  head.headers.add("x", "0123456789");
  large.stream->send_head(head, EndStream::yes);
  large.stream->flush();
  CHECK(backend.got() == "");
  CHECK(large.error.reason == reason::request_header_too_large);
  CHECK(large.error.source == ErrorSource::downstream);
  small.release();
}
