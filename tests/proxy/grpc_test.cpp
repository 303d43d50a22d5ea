#include <doctest/doctest.h>

#include "proxy/bench.h"
#include "proxy/decision.h"
#include "proxy/grpc_web.h"

using namespace penstock;
using namespace penstock::proxy;
using namespace penstock::proxy::testing;

namespace {

struct Call : Bench {
  explicit Call(std::vector<uint16_t> ports = {1}) : Bench(std::move(ports)) {}

  // The head of a call of /pkg.S/M with a body to come.
  http::Message& call(std::string_view content_type, std::string_view timeout = {},
                      http::BodyKind body = http::BodyKind::unknown,
                      http::Version version = http::Version::http_2) {
    http::StreamHandler& handler = make_exchange(worker, client, generation, listener);
    client.handler = &handler;
    head = client.arena().make<http::Message>(client.arena());
    head->version = version;
    head->method = http::Method::post;
    head->method_text = "POST";
    head->authority = "api.example.com";
    head->path = "/pkg.S/M";
    head->body = body;
    head->headers.add(http::HeaderId::content_type, content_type);
    if (!timeout.empty()) head->headers.add("grpc-timeout", timeout);
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

TEST_CASE("a call without a millisecond goes to no backend") {
  Call c;
  c.call("application/grpc", "999u");
  c.turn();
  CHECK(c.client_has("grpc-status: 4"));
  CHECK(c.log->last_reason == "request.deadline");
  CHECK(c.backend->attempts.empty());
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
  c.stream().handler->on_data("answer");
  c.end_answer(c.stream(), "0");
  CHECK(c.client.body == "answer" + frame_of("grpc-status: 0\r\n"));
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
  c.stream().handler->on_data("answer");
  c.end_answer(c.stream(), "0");
  CHECK(c.client.body == base64("answer") + base64(frame_of("grpc-status: 0\r\n")));
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

TEST_CASE("a trailers-only answer is a frame of what the protocol has, to gRPC-Web") {
  Call c;
  c.route_config.grpc_web = config::Route::GrpcWeb::translated;
  c.call("application/grpc-web");
  c.turn();
  c.client.handler->on_end();
  c.begin_answer(c.stream(), http::EndStream::yes);
  CHECK(c.client.body == frame_of("grpc-status: 5\r\ngrpc-message: no such thing\r\n"));
  CHECK(c.client_has("x-own: 1"));
  CHECK(c.client.last_headers.find("grpc-status") == std::string::npos);
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
  kept.backend->connections[0]->finished = false;

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

TEST_CASE("an answer to gRPC-Web that breaks off ends with a frame") {
  Call c;
  c.route_config.grpc_web = config::Route::GrpcWeb::translated;
  c.call("application/grpc-web");
  c.turn();
  c.backend->connections[0]->finished = false;
  c.begin_answer(c.stream());
  c.stream().handler->on_reset(Bench::lost());
  CHECK(c.client.body == frame_of("grpc-status: 14\r\ngrpc-message: upstream.reset\r\n"));
  CHECK(c.client.log.back() == "release");
}
