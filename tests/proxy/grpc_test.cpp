#include <doctest/doctest.h>

#include <algorithm>

#include "base/reason.h"
#include "proxy/bench.h"
#include "proxy/decision.h"
#include "proxy/grpc_web.h"

using namespace penstock;
using namespace penstock::proxy;
using namespace penstock::proxy::testing;

namespace {

struct Call : Bench {
  explicit Call(std::vector<uint16_t> ports = {1}) : Bench(std::move(ports)) {
    backend->speaks = http::Version::http_2;
  }

  std::string_view accept;

  // The head of a call of /pkg.S/M with a body to come.
  http::Message& call(std::string_view content_type, std::string_view timeout = {},
                      http::BodyKind body = http::BodyKind::unknown,
                      http::Version version = http::Version::http_2, uint64_t length = 0) {
    http::StreamHandler& handler = make_exchange(worker, client, generation, listener);
    client.handler = &handler;
    head = client.arena().make<http::Message>(client.arena());
    head->version = version;
    head->method = http::Method::post;
    head->method_text = "POST";
    head->authority = "api.example.com";
    head->path = "/pkg.S/M";
    head->body = body;
    head->has_content_length = length > 0;
    head->content_length = length;
    head->headers.add(http::HeaderId::content_type, content_type);
    if (!timeout.empty()) head->headers.add("grpc-timeout", timeout);
    if (!accept.empty()) head->headers.add(http::HeaderId::accept, accept);
    handler.on_head(*head, http::EndStream::no);
    return *head;
  }
  // The backend's head, as a server of gRPC sends it.
  http::Message& begin_answer(ScriptedStream& up, http::EndStream end = http::EndStream::no) {
    auto* answer = up.arena().make<http::Message>(up.arena());
    answer->status = 200;
    answer->version = http::Version::http_2;
    answer->body = end == http::EndStream::no ? http::BodyKind::unknown : http::BodyKind::none;
    answer->headers.add(http::HeaderId::content_type, "application/grpc+proto");
    if (end == http::EndStream::yes) {
      answer->headers.add("grpc-status", "5");
      answer->headers.add("grpc-message", "no such thing");
      answer->headers.add("x-own", "1");
      answer->headers.add("access-control-allow-origin", "*");
    }
    up.received_any = true;
    up.handler->on_head(*answer, end);
    return *answer;
  }
  void end_answer(ScriptedStream& up, std::string_view status) {
    auto* trailers = up.arena().make<http::Headers>(up.arena());
    trailers->add("grpc-status", status);
    up.handler->on_trailers(*trailers);
    up.handler->on_end();
  }
  // Until the client's stream is let go of.
  void run() {
    client.on_release = [this] { loop.stop(); };
    loop.run();
  }
  bool client_has(std::string_view field) const {
    return client.last_headers.find(std::string(field) + "\n") != std::string::npos;
  }
};

std::string frame_of(const std::string& lines) {
  std::string frame("\x80\0\0\0", 4);
  frame += static_cast<char>(lines.size());
  return frame + lines;
}

std::string message_of(const std::string& bytes) {
  std::string message(1, '\0');
  for (int shift : {24, 16, 8, 0}) message += static_cast<char>(bytes.size() >> shift & 0xff);
  return message + bytes;
}

std::string base64(const std::string& bytes) {
  std::string text(base64_size(bytes.size()), '\0');
  write_base64(bytes, text.data());
  return text;
}

}  // namespace

TEST_CASE("trailers and trailers-only answers go through, and the log has their status") {
  Call c;
  c.call("application/grpc");
  c.turn();
  c.client.handler->on_data("request");
  c.client.handler->on_end();
  c.begin_answer(c.stream());
  c.stream().handler->on_data("answer");
  c.end_answer(c.stream(), "0");
  CHECK(c.client.text() == "200\ndata:answer\ntrailers\nrelease\n");
  CHECK(c.client.last_trailers == "grpc-status: 0\n");
  CHECK(c.log->last_grpc_status == 0);
  REQUIRE(c.worker.metrics.calls.methods().size() == 1);
  CHECK(c.worker.metrics.calls.methods().begin()->first.path == "/pkg.S/M");

  Call only;
  only.call("application/grpc");
  only.turn();
  only.client.handler->on_end();
  only.begin_answer(only.stream(), http::EndStream::yes);
  CHECK(only.client.text() == "200 end\nrelease\n");
  CHECK(only.client_has("grpc-status: 5"));
  CHECK(only.log->last_grpc_status == 5);
}

TEST_CASE("a refused call is answered in gRPC's terms, and logged in HTTP's") {
  Call c({1, 2});
  c.backend->refusing = {1, 2};
  c.call("application/grpc");
  c.turn();
  CHECK(c.client.text().find("200 end\n") != std::string::npos);
  CHECK(c.client_has("content-type: application/grpc"));
  CHECK(c.client_has("grpc-status: 14"));
  CHECK(c.client_has("grpc-message: upstream.connect.refused: no endpoint could serve this request"));
  CHECK(c.client.last_headers.find("x-request-id: ") != std::string::npos);
  CHECK(c.log->last_status == 502);
  CHECK(c.log->last_reason == "upstream.connect.refused");
  CHECK(c.log->last_grpc_status == 14);
}

TEST_CASE("a client is told what became of its call at the backend") {
  struct Row {
    ErrorKind kind;
    std::string_view text;
  };
  for (const Row& row :
       {Row{ErrorKind::reset, "upstream.reset: the upstream ended the exchange before its"},
        Row{ErrorKind::closed, "upstream.reset: the upstream ended the exchange before its"},
        Row{ErrorKind::protocol, "upstream.protocol: the upstream's answer cannot be passed"},
        Row{ErrorKind::timeout, "the upstream did not answer in time"}}) {
    CAPTURE(row.text);
    Call c({1});
    c.call("application/grpc");
    c.turn();
    c.backend->connections[0]->finished = false;
    c.stream().handler->on_reset(Bench::lost(row.kind));
    CAPTURE(c.client.last_headers);
    CHECK(c.client.last_headers.find(row.text) != std::string::npos);
  }
}

TEST_CASE("a route's own redirect is told by its HTTP status: no client of gRPC follows it") {
  Call c;
  auto target = std::make_unique<Target>();
  target->kind = Target::Kind::redirect;
  c.route->target = target.get();
  c.call("application/grpc");
  CHECK(c.client_has("grpc-status: 2"));
  CHECK(c.client_has("grpc-message: the gateway answers with HTTP 308: Permanent Redirect"));
  CHECK(c.log->last_status == 308);
}

TEST_CASE("a refusal keeps its own fields, and plugins see the status that HTTP would have") {
  Call c;
  auto limit = ScriptedFilter::request_hook("limit", [](const FilterCall& call) {
    refuse(call.request, 429, "limit.rate", "too many");
    add_local_header(call.request, "retry-after", "7");
    return Action::respond;
  });
  uint16_t seen = 0;
  limit->add_hooks(Filter::response_headers_hook);
  limit->on_response = [&](const FilterCall& call) {
    seen = call.request.response_status;
    return Action::next;
  };
  c.route->chain.add(*limit);
  c.call("application/grpc");
  CHECK(c.client_has("grpc-status: 8"));
  CHECK(c.client_has("grpc-message: limit.rate: too many"));
  CHECK(c.client_has("retry-after: 7"));
  CHECK(seen == 429);
  CHECK(c.log->last_status == 429);
  CHECK(c.backend->attempts.empty());
}

TEST_CASE("gRPC's content type over HTTP/1.1 is no call: the answer is HTTP's") {
  Call c;
  c.backend->refusing = {1};
  c.call("application/grpc", {}, http::BodyKind::unknown, http::Version::http_1_1);
  c.turn();
  CHECK(c.client.text().find("502\n") != std::string::npos);
  CHECK(c.log->last_grpc_status == -1);
}

TEST_CASE("what is sent in a call may take its time, not so what only has its name") {
  Call c;
  c.call("application/grpc");
  CHECK(!c.client.pace_lifted);  // nobody has taken it yet
  c.turn();
  CHECK(c.client.pace_lifted);

  Call http1;
  http1.backend->speaks = http::Version::http_1_1;
  http1.call("application/grpc");
  http1.turn();
  CHECK(!http1.client.pace_lifted);
}

TEST_CASE("a call that reaches its deadline ends with it, wherever it is") {
  Call c;
  c.call("application/grpc", "30m");
  c.turn();
  c.backend->connections[0]->finished = false;
  ScriptedStream& up = c.stream();
  c.run();
  CHECK(c.client_has("grpc-status: 4"));
  CHECK(up.log.back() == "release");
  CHECK(c.log->last_status == 504);
  CHECK(c.log->last_reason == "request.deadline");
  CHECK(c.client.counted_as_reset == 1);

  Call late;  // with the answer's head out
  late.call("application/grpc", "30m");
  late.turn();
  late.backend->connections[0]->finished = false;
  late.begin_answer(late.stream());
  late.stream().handler->on_data("half");
  late.run();
  CHECK(late.client.text() == "200\ndata:half\ntrailers\nrelease\n");
  CHECK(late.client.last_trailers.starts_with("grpc-status: 4\n"));
  CHECK(late.log->last_reason == "request.deadline");
  CHECK(late.client.counted_as_reset == 0);

  Call paused;
  auto waits = ScriptedFilter::request_hook("waits", [](const FilterCall&) { return Action::pause; });
  paused.route->chain.add(*waits);
  paused.call("application/grpc", "30m");
  paused.run();
  CHECK(paused.client_has("grpc-status: 4"));
  CHECK(paused.log->last_reason == "request.deadline");

  Call connecting;
  connecting.backend->silent = {1};
  connecting.call("application/grpc", "30m");
  connecting.run();
  CHECK(connecting.client_has("grpc-status: 4"));
  CHECK(connecting.client.counted_as_reset == 0);
}

TEST_CASE("a call whose head waits for its body, or for a plugin in it, ends with its deadline") {
  for (bool pauses : {false, true}) {
    Call c;
    auto filter = std::make_unique<ScriptedFilter>("holds");
    filter->add_hooks(Filter::request_headers_hook | Filter::request_body_hook);
    filter->on_request = [](const FilterCall&) { return Action::buffer; };
    filter->on_chunk = [=](Way, const FilterCall&, std::string_view, bool) {
      return pauses ? Action::pause : Action::buffer;
    };
    c.route->chain.add(*filter);
    c.snapshot->filters.push_back(std::move(filter));
    c.call("application/grpc", "30m");
    c.client.handler->on_data(message_of("some"));
    c.run();
    CHECK(c.client_has("grpc-status: 4"));
    CHECK(c.log->last_reason == "request.deadline");
    CHECK(c.backend->connections.empty());
    c.turn();
    CHECK(c.generation.users == 0);
  }
}

TEST_CASE("a call without a millisecond goes to no backend") {
  Call c;
  c.call("application/grpc", "999u");
  c.turn();
  CHECK(c.client_has("grpc-status: 4"));
  CHECK(c.log->last_reason == "request.deadline");
  CHECK(c.backend->attempts.empty());
}

TEST_CASE("a server that has nothing to say yet is not late, and no worse for it") {
  std::string_view type = "application/grpc";
  bool head = false;
  SUBCASE("without a head") {}
  SUBCASE("behind its head") { head = true; }
  SUBCASE("to gRPC-Web") { type = "application/grpc-web"; }
  Call c;
  c.route_config.grpc_web = config::Route::GrpcWeb::translated;
  c.route->first_byte_timeout_ms = 5;
  c.route->idle_timeout_ms = 40;
  c.call(type);
  c.turn();
  c.backend->connections[0]->finished = false;
  c.client.handler->on_data("request");
  c.client.handler->on_end();
  if (head) c.begin_answer(c.stream());
  c.run();
  CHECK(c.log->last_reason == "upstream.timeout.idle");
  CHECK(c.log->last_grpc_status == 4);
  CHECK(c.cluster->endpoints().endpoints[0].state->consecutive_failures.load() == 0);
}

TEST_CASE("a call's server that takes nothing, or speaks HTTP/1, is late like any other") {
  Call stuck;
  stuck.route->idle_timeout_ms = 40;
  stuck.call("application/grpc");
  stuck.turn();
  stuck.backend->connections[0]->finished = false;
  stuck.stream().stuck = true;
  stuck.client.handler->on_data("request");
  stuck.client.handler->on_end();
  stuck.run();
  CHECK(stuck.log->last_reason == "upstream.timeout.idle");
  CHECK(stuck.cluster->endpoints().endpoints[0].state->consecutive_failures.load() == 1);

  Call http1;
  http1.backend->speaks = http::Version::http_1_1;
  http1.route->first_byte_timeout_ms = 5;
  http1.call("application/grpc");
  http1.turn();
  http1.backend->connections[0]->finished = false;
  http1.client.handler->on_end();
  http1.run();
  CHECK(http1.log->last_reason == "upstream.timeout.first_byte");
}

TEST_CASE("the smaller of the call's and the route's time counts, and says which it was") {
  Call c;
  c.route->total_timeout_ms = 30;
  c.call("application/grpc", "10S");
  c.turn();
  c.backend->connections[0]->finished = false;
  CHECK(c.stream().last_headers.find("grpc-timeout: 30m\n") != std::string::npos);
  c.run();
  CHECK(c.client_has("grpc-status: 4"));
  CHECK(c.log->last_reason == "upstream.timeout.total");
  CHECK(c.client.counted_as_reset == 0);
}

TEST_CASE("a timeout is passed on as it came, and what is left of it after a failed attempt") {
  Call c({1, 2});
  c.call("application/grpc", "3600S");
  c.turn();
  CHECK(c.stream(0).last_headers.find("grpc-timeout: 3600S\n") != std::string::npos);
  const uint64_t begun = c.loop.now_ms();
  net::Timer timer(c.loop, [](void* loop) { static_cast<net::Loop*>(loop)->stop(); }, &c.loop);
  timer.start(20);
  c.loop.run();
  REQUIRE(c.loop.now_ms() > begun);
  c.backend->connections[0]->finished = false;
  c.stream(0).sent_any = false;  // the backend has never looked at it
  c.stream(0).handler->on_reset({ErrorKind::refused, ErrorSource::upstream, Retry::yes, {}, "by script"});
  c.turn();
  const std::string& second = c.stream(1).last_headers;
  CAPTURE(second);
  CHECK(second.find("grpc-timeout: 3599") != std::string::npos);
  CHECK(second.find("m\n", second.find("grpc-timeout: ")) != std::string::npos);
  c.backend->connections[1]->finished = false;
}

TEST_CASE("a malformed timeout is the backend's to judge") {
  Call c;
  c.call("application/grpc", "1x");
  c.turn();
  CHECK(c.stream().last_headers.find("grpc-timeout: 1x\n") != std::string::npos);
  c.begin_answer(c.stream(), http::EndStream::yes);
  CHECK(c.client_has("grpc-status: 5"));
}

TEST_CASE("an answer that breaks off ends with a status in place of a reset") {
  Call c;
  c.call("application/grpc");
  c.turn();
  c.backend->connections[0]->finished = false;
  c.begin_answer(c.stream());
  c.stream().handler->on_data("half");
  c.stream().handler->on_reset(Bench::lost());
  CHECK(c.client.text() == "200\ndata:half\ntrailers\nrelease\n");
  CHECK(c.client.last_trailers == "grpc-status: 14\ngrpc-message: upstream.reset\n");
  CHECK(c.log->last_grpc_status == 14);
  CHECK(c.log->last_status == 200);
}

TEST_CASE("what a backend resets a call for is its status, to HTTP it is all the same") {
  struct Row {
    ResetCause cause;
    std::string_view status;
  };
  for (const Row& row :
       {Row{ResetCause::unsaid, "14"}, Row{ResetCause::refused, "14"}, Row{ResetCause::cancelled, "1"},
        Row{ResetCause::overloaded, "8"}, Row{ResetCause::insecure, "7"}, Row{ResetCause::other, "13"}}) {
    CAPTURE(row.status);
    for (const bool begun : {false, true}) {
      Call c;
      c.call("application/grpc");
      c.turn();
      c.backend->connections[0]->finished = false;
      c.client.handler->on_end();
      if (begun) c.begin_answer(c.stream());
      Error error{ErrorKind::reset, ErrorSource::upstream, Retry::no, reason::upstream_reset, "by script"};
      error.reset = row.cause;
      c.stream().handler->on_reset(error);
      const std::string& fields = begun ? c.client.last_trailers : c.client.last_headers;
      CAPTURE(fields);
      CHECK(fields.find("grpc-status: " + std::string(row.status) + "\n") != std::string::npos);
      CHECK(fields.find("grpc-message: upstream.reset") != std::string::npos);
      CHECK(std::to_string(c.log->last_grpc_status) == row.status);
      CHECK(c.log->last_status == (begun ? 200 : 502));
      CHECK(c.log->last_reason == "upstream.reset");
    }
  }
}

TEST_CASE("what we cut or break ourselves is not logged as the client's doing") {
  struct Row {
    std::string_view reason;
    ErrorKind kind;
    ErrorSource source;
    std::string_view logged;
    int grpc_status;
  };
  for (const Row& row :
       {Row{reason::drain_timeout, ErrorKind::cancelled, ErrorSource::internal, "drain.timeout", 14},
        Row{reason::internal_error, ErrorKind::protocol, ErrorSource::internal, "internal.error", 13},
        Row{reason::client_closed, ErrorKind::reset, ErrorSource::downstream, "client.closed", 1}}) {
    for (const bool begun : {false, true}) {
      CAPTURE(row.logged);
      CAPTURE(begun);
      Call c;
      c.call("application/grpc");
      c.turn();
      c.backend->connections[0]->finished = false;
      if (begun) c.begin_answer(c.stream());
      c.client.handler->on_reset({row.kind, row.source, Retry::no, row.reason, "by script"});
      CHECK(c.log->last_reason == row.logged);
      CHECK(c.log->last_grpc_status == row.grpc_status);
      if (begun) CHECK(c.log->last_status == 200);
      if (!begun && row.logged != "internal.error")
        CHECK(c.log->last_status == (row.logged == "drain.timeout" ? 503 : 499));
    }
  }
}

TEST_CASE("gRPC-Web reaches the backend as gRPC, and its trailers are the last frame") {
  Call c;
  c.route_config.grpc_web = config::Route::GrpcWeb::translated;
  http::Message& head = c.call("application/grpc-web+proto");
  c.turn();
  CHECK(c.stream().last_headers.find("content-type: application/grpc+proto\n") != std::string::npos);
  CHECK(head.accepts_trailers);
  c.client.handler->on_data("request");
  c.client.handler->on_end();
  CHECK(c.stream().body == "request");
  c.begin_answer(c.stream());
  CHECK(c.client_has("content-type: application/grpc-web+proto"));
  const std::string message = message_of("answer");
  c.stream().handler->on_data(message);
  c.end_answer(c.stream(), "0");
  CHECK(c.client.body == message + frame_of("grpc-status: 0\r\n"));
  CHECK(c.client.log.back() == "release");
  CHECK(c.log->last_grpc_status == 0);
}

TEST_CASE("gRPC-Web in text is read and written in pieces of base64") {
  Call c;
  c.route_config.grpc_web = config::Route::GrpcWeb::translated;
  http::Message& head = c.call("application/grpc-web-text", {}, http::BodyKind::length);
  const std::string large(100'000, 'x'), text = base64("request") + base64(large);
  for (size_t at = 0; at < text.size(); at += 33'333)  // some before a connection is there
    c.client.handler->on_data(std::string_view(text).substr(at, 33'333)), c.turn();
  c.client.handler->on_end();
  CHECK(head.body == http::BodyKind::unknown);
  CHECK(c.stream().body == "request" + large);
  CHECK(c.stream().log.back() == "end");
  c.begin_answer(c.stream());
  CHECK(c.client_has("content-type: application/grpc-web-text+proto"));
  const std::string message = message_of("answer");
  c.stream().handler->on_data(message);
  c.end_answer(c.stream(), "0");
  CHECK(c.client.body == base64(message) + base64(frame_of("grpc-status: 0\r\n")));
}

TEST_CASE("body hooks see of gRPC-Web what the backend sees, and its trailers where HTTP/2 has them") {
  for (bool held : {false, true}) {
    Call c;
    c.route_config.grpc_web = config::Route::GrpcWeb::translated;
    std::string asked, answered, order;
    auto filter = std::make_unique<ScriptedFilter>("sees");
    filter->add_hooks(Filter::request_headers_hook | Filter::response_headers_hook |
                      Filter::request_body_hook | Filter::response_body_hook |
                      Filter::response_trailers_hook);
    filter->on_request =
        filter->on_response = [=](const FilterCall&) { return held ? Action::buffer : Action::next; };
    filter->on_chunk = [&](Way way, const FilterCall&, std::string_view chunk, bool end) {
      if (held && !end) return Action::buffer;
      (way == Way::request ? asked : answered) += chunk;
      return Action::next;
    };
    filter->on_trailer_block = [&](Way, const FilterCall& call) {
      call.request.response_trailers->set("grpc-status", "7");
      return Action::next;
    };
    c.route->chain.add(*filter);
    c.snapshot->filters.push_back(std::move(filter));
    http::Message& head = c.call("application/grpc-web-text", {}, http::BodyKind::length);
    c.client.handler->on_data(base64("request"));
    c.turn();
    CHECK(c.backend->connections.empty() == held);
    c.client.handler->on_end();
    c.turn();
    CHECK(asked == "request");
    CHECK(head.body == http::BodyKind::unknown);
    CHECK(c.stream().body == "request");
    CHECK(c.stream().log.back() == "end");
    c.begin_answer(c.stream());
    CHECK(c.client.log.empty() == held);
    const std::string message = message_of("answer");
    c.stream().handler->on_data(message);
    c.end_answer(c.stream(), "0");
    CHECK(answered == message);
    CHECK(c.client.body == base64(message) + base64(frame_of("grpc-status: 7\r\n")));
    CHECK(c.log->last_grpc_status == 7);
    CHECK(c.generation.users == 0);
  }
}

TEST_CASE("a body that is not base64 is refused, also one that ends too early") {
  for (const std::string body : {"abcd!", "abcde"}) {
    Call c;
    c.route_config.grpc_web = config::Route::GrpcWeb::translated;
    c.call("application/grpc-web-text");
    c.turn();
    c.backend->connections[0]->finished = false;
    c.client.handler->on_data(body);
    if (!c.client.gone) c.client.handler->on_end();
    CHECK(c.client.body == base64(frame_of("grpc-status: 13\r\ngrpc-message: request.malformed: "
                                           "the body is not base64\r\n")));
    CHECK(c.log->last_reason == "request.malformed");
  }
}

TEST_CASE("limits.body_size counts base64 as the client sends it, with and without a length") {
  const std::string text = base64("12345678");  // 12 bytes
  for (const bool with_length : {false, true})
    for (const size_t limit : {text.size() - 1, text.size()}) {
      CAPTURE(with_length);
      CAPTURE(limit);
      Call c;
      c.route_config.grpc_web = config::Route::GrpcWeb::translated;
      c.listener.body_size_limit = limit;
      if (with_length)
        c.call("application/grpc-web-text", {}, http::BodyKind::length, http::Version::http_2, text.size());
      else
        c.call("application/grpc-web-text");
      c.turn();
      if (!c.client.gone) c.client.handler->on_data(text);
      if (!c.client.gone) c.client.handler->on_end();
      if (limit == text.size()) {
        CHECK(c.stream().body == "12345678");
        c.begin_answer(c.stream());
        c.end_answer(c.stream(), "0");
        CHECK(c.log->last_status == 200);
        CHECK(c.log->last_grpc_status == 0);
      } else {
        CHECK(c.log->last_status == 413);
        CHECK(c.log->last_reason == "request.body_too_large");
      }
    }
}

TEST_CASE("a trailers-only answer is a frame of all but HTTP's own fields, to gRPC-Web") {
  Call c;
  c.route_config.grpc_web = config::Route::GrpcWeb::translated;
  c.call("application/grpc-web");
  c.turn();
  c.client.handler->on_end();
  c.begin_answer(c.stream(), http::EndStream::yes);
  CHECK(c.client.body == frame_of("grpc-status: 5\r\ngrpc-message: no such thing\r\nx-own: 1\r\n"));
  CHECK(c.client_has("access-control-allow-origin: *"));
  for (const char* field : {"grpc-status", "x-own"})
    CHECK(c.client.last_headers.find(field) == std::string::npos);
}

TEST_CASE("gRPC-Web's answer comes as Accept likes it best, else as the request") {
  struct Row {
    std::string_view type, accept, answer;
  };
  constexpr std::string_view web = "application/grpc-web+proto", text = "application/grpc-web-text+proto";
  for (const Row& row : {
           Row{"application/grpc-web", "", web},
           Row{"application/grpc-web", "application/grpc-web-text", text},
           Row{"application/grpc-web", "application/grpc-web-text, */*", text},
           Row{"application/grpc-web", "*/*, Application/gRPC-Web-Text+proto", text},
           Row{"application/grpc-web", "application/grpc-web-text;q=0.5 , */*;q=0.8", web},
           Row{"application/grpc-web", "application/grpc-web-text;q=0", web},
           Row{"application/grpc-web", "application/grpc-web-text; Q=0.000", web},
           Row{"application/grpc-web",
               "text/html, application/grpc-web;q=0.3,application/grpc-web-text;q=0.31", text},
           Row{"application/grpc-web", "application/grpc-web-text,application/grpc-web", text},
           Row{"application/grpc-web-text", "application/grpc-web", web},
           Row{"application/grpc-web-text", "application/grpc-web;v=1;q=1.0,", web},
           Row{"application/grpc-web-text", "application/grpc-webs, application/grpc", text},
           Row{"application/grpc-web-text", "*/*", text},
       }) {
    CAPTURE(row.accept);
    Call c;
    c.route_config.grpc_web = config::Route::GrpcWeb::translated;
    c.accept = row.accept;
    c.call(row.type);
    c.turn();
    c.client.handler->on_end();
    c.begin_answer(c.stream());
    CHECK(c.client_has("content-type: " + std::string(row.answer)));
    c.end_answer(c.stream(), "0");
  }
}

TEST_CASE("a refused call of gRPC-Web gets its frame, whether or not its route translates") {
  for (const auto route : {config::Route::GrpcWeb::kept, config::Route::GrpcWeb::translated}) {
    Call c;
    c.route_config.grpc_web = route;
    c.backend->refusing = {1};
    c.call("application/grpc-web");
    c.turn();
    CHECK(c.client.body == frame_of("grpc-status: 14\r\ngrpc-message: upstream.connect.refused: no endpoint "
                                    "could serve this request\r\n"));
    CHECK(c.client_has("content-type: application/grpc-web"));
    CHECK(c.log->last_status == 502);
  }
}

TEST_CASE("without grpc_web the call stays as it is, and an answer that is not gRPC always does") {
  Call kept;
  kept.call("application/grpc-web");
  kept.turn();
  CHECK(kept.stream().last_headers.find("content-type: application/grpc-web\n") != std::string::npos);
  kept.client.handler->on_end();
  kept.respond(kept.stream(), 200, http::BodyKind::length, 5);
  kept.stream().handler->on_data("frame");
  kept.stream().handler->on_end();
  CHECK(kept.client.body == "frame");
  CHECK(kept.log->last_status == 200);
  CHECK(kept.log->last_grpc_status == -1);  // it is in the body
  CHECK(kept.worker.metrics.calls.methods().empty());

  Call html;
  html.route_config.grpc_web = config::Route::GrpcWeb::translated;
  html.call("application/grpc-web");
  html.turn();
  html.client.handler->on_end();
  html.respond(html.stream(), 200, http::BodyKind::length, 5);
  html.stream().handler->on_data("hello");
  html.stream().handler->on_end();
  CHECK(html.client.body == "hello");
}

TEST_CASE("an answer to gRPC-Web that breaks off ends with a frame, but where that would end a message") {
  const std::string whole = message_of("first") + message_of("") + message_of(std::string(300, 'x'));
  const std::string status = frame_of("grpc-status: 14\r\ngrpc-message: upstream.reset\r\n");
  const std::vector<size_t> ends{0, 10, 15, whole.size()};
  for (const bool text : {false, true}) {
    for (size_t size = 0; size <= whole.size(); ++size) {
      CAPTURE(text);
      CAPTURE(size);
      Call c;
      c.route_config.grpc_web = config::Route::GrpcWeb::translated;
      c.call(text ? "application/grpc-web-text" : "application/grpc-web");
      c.turn();
      c.backend->connections[0]->finished = false;
      c.begin_answer(c.stream());
      for (size_t at = 0; at < size; at += 7)
        c.stream().handler->on_data(std::string_view(whole).substr(at, std::min<size_t>(7, size - at)));
      c.stream().handler->on_reset(Bench::lost());
      const bool at_end = std::ranges::find(ends, size) != ends.end();
      REQUIRE(c.client.log.back() == (at_end ? "release" : "reset"));
      REQUIRE(c.client.body.ends_with(text ? base64(status) : status) == at_end);
      REQUIRE(c.log->last_grpc_status == 14);
    }
  }
}

TEST_CASE("a backend that ends in the middle of a message has no trailers put into that for gRPC-Web") {
  Call c;
  c.route_config.grpc_web = config::Route::GrpcWeb::translated;
  c.call("application/grpc-web");
  c.turn();
  c.client.handler->on_end();
  c.begin_answer(c.stream());
  const std::string cut = message_of("answer").substr(0, 8);
  c.stream().handler->on_data(cut);
  c.end_answer(c.stream(), "0");
  CHECK(c.client.body == cut);
  CHECK(c.client.log.back() == "reset");
  CHECK(c.log->last_reason == "upstream.protocol");
}
