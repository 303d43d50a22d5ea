// Body hooks of real shared objects, called as a body goes through them: every verdict and every misdeed.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "plugins/harness.h"
#include "proxy/body_chain.h"

using namespace penstock::plugin;
using namespace penstock::plugin::testing;
using penstock::FreeList;
using penstock::proxy::Action;
using penstock::proxy::BodyChain;
using penstock::proxy::BodyStep;
using penstock::proxy::Chain;
using penstock::proxy::Filter;
using penstock::proxy::OnError;
using penstock::proxy::Way;
using Kind = BodyStep::Kind;

namespace {

// A body of one request through one plugin.
struct Passing {
  World& w;
  Request request;
  Chain chain;
  FreeList list;
  std::unique_ptr<BodyChain> body;
  std::string out;

  Passing(World& world, const Filter& filter, const char* what, Way way = Way::request)
      : w(world), request(w) {
    request.context.worker_states = w.states;
    request.header(way == Way::request ? "body" : "answer", what);
    request.context.response = &request.answer;
    chain.add(filter);
    if (way == Way::request && request.run(filter) == Action::buffer) request.context.request_held = true;
    body = BodyChain::make(list, request.context, w.loop, chain.bodies(way), way, 1 << 20);
    REQUIRE(body != nullptr);
  }
  Kind drain(BodyStep step) {
    for (; step.kind == Kind::bytes; step = body->next()) out += step.bytes;
    return step.kind;
  }
  Kind pass(std::string_view bytes, bool end = false) {
    const std::string own(bytes);
    body->offer(own, end);
    return drain(body->next());
  }
  // What other threads did arrives.
  void turn() {
    w.loop.post([this] { w.loop.stop(); });
    w.loop.run();
  }
};

}  // namespace

TEST_CASE("what a body hook returns is judged, and junk is an error") {
  World w;
  REQUIRE(w.load(test_plugin("bodies")) == "");
  const auto* fail = w.make("bodies", "strict", "{}");
  const auto* skip = w.make("bodies", "lenient", "{}", OnError::skip);
  REQUIRE(fail != nullptr);
  REQUIRE(skip != nullptr);
  for (const char* what : {"throw", "throw-int", "junk", "error", "respond-nothing", "pause-no-ticket"}) {
    for (Way way : {Way::request, Way::response}) {
      CAPTURE(what);
      CHECK(Passing(w, *fail, what, way).pass("abc") == Kind::failed);
      Passing skipped(w, *skip, what, way);
      CHECK(skipped.pass("abc") == Kind::nothing);
      CHECK(skipped.pass("", true) == Kind::nothing);
      CHECK(skipped.out == "abc");
    }
  }
  Passing kept(w, *fail, "buffer-end");
  CHECK(kept.pass("abc") == Kind::nothing);
  CHECK(kept.pass("", true) == Kind::failed);
  CHECK(w.log.find("on_request_body threw: on purpose") != std::string::npos);
  CHECK(w.log.find("on_response_body failed: it returned 4711") != std::string::npos);
}

TEST_CASE("what a body hook may write depends on whether the head waits") {
  World w;
  REQUIRE(w.load(test_plugin("bodies")) == "");
  const auto* filter = w.make("bodies", "strict", "{}");
  Passing open(w, *filter, "forbidden");
  CHECK(open.pass("abc", true) == Kind::nothing);
  CHECK(open.request.context.upstream_path.empty());
  Passing held(w, *filter, "hold-forbidden");
  CHECK(held.pass("abc", true) == Kind::nothing);
  CHECK(held.request.context.upstream_path == "/late");
}

TEST_CASE("bodies are replaced, kept and let go of by a real plugin") {
  World w;
  REQUIRE(w.load(test_plugin("bodies")) == "");
  const auto* filter = w.make("bodies", "strict", "{}");
  for (Way way : {Way::request, Way::response}) {
    Passing upper(w, *filter, "upper", way);
    upper.pass("abc");
    CHECK(upper.out == "ABC");
    Passing whole(w, *filter, "whole", way);
    whole.pass("abc");
    CHECK(whole.out.empty());
    whole.pass("def", true);
    CHECK(whole.out == "ABCDEF");
    Passing detached(w, *filter, "detach", way);
    detached.pass("abc");
    CHECK(detached.body->detached());
  }
  Passing refused(w, *filter, "respond");
  CHECK(refused.pass("abc") == Kind::respond);
  CHECK(refused.request.context.local.status == 422);
  CHECK(refused.request.context.local.reason == "bodies.refused");
  CHECK(Passing(w, *filter, "respond", Way::response).pass("abc") == Kind::failed);
}

TEST_CASE("a paused body is resumed once, by whichever thread comes first") {
  World w;
  REQUIRE(w.load(test_plugin("bodies")) == "");
  const auto* filter = w.make("bodies", "strict", "{}");
  for (int i = 0; i < 50; ++i) {
    Passing body(w, *filter, "pause");
    CHECK(body.pass("abc") == Kind::paused);
    CHECK(body.pass("def", true) == Kind::paused);
    body.turn();
    REQUIRE(body.request.resumed);
    body.request.resumed = false;
    const Kind kind = body.drain(body.body->resume(nullptr));
    CHECK(kind == Kind::nothing);
    CHECK(body.out == "resumed;def");
    body.turn();
    CHECK_FALSE(body.request.resumed);
    CHECK(w.host.tickets().waiting() == 0);
  }
}

TEST_CASE("a paused body whose request ends leaves no ticket and no bytes") {
  World w;
  REQUIRE(w.load(test_plugin("bodies")) == "");
  const auto* filter = w.make("bodies", "strict", "{}");
  for (const char* what : {"sleep", "pause"}) {
    Passing body(w, *filter, what);
    CHECK(body.pass(std::string(100'000, 'x')) == Kind::paused);
    filter->on_complete(body.request.call(*filter), {});
    body.turn();
    CHECK_FALSE(body.request.resumed);
    CHECK(w.host.tickets().waiting() == 0);
  }
}

TEST_CASE("the example masks members of JSON and lets go of everything else") {
  World w;
  REQUIRE(w.load(test_plugin("body_transform")) == "");
  const auto* filter = w.make("body_transform", "mask", R"({"members": ["ssn", "card"], "requests": true})");
  REQUIRE_MESSAGE(filter != nullptr, w.messages());
  const auto masked = [&](const std::string& text) {
    Passing body(w, *filter, "");
    for (char c : text) body.pass(std::string(1, c));
    CHECK(body.out.empty());
    body.pass("", true);
    return body.out;
  };
  CHECK(masked(R"({"name":"a","ssn":"123-45"})") == R"({"name":"a","ssn":"***"})");
  CHECK(masked(R"({"ssn" : {"a":["}",{"b":"]"}]} , "x":1})") == R"({"ssn" : "***" , "x":1})");
  CHECK(masked(R"([{"card":4711},{"card":null,"x":"card"}])") ==
        R"([{"card":"***"},{"card":"***","x":"card"}])");
  CHECK(masked(R"({"x":"a \"ssn\": b","ssn":"q\"q"})") == R"({"x":"a \"ssn\": b","ssn":"***"})");
  CHECK(masked(R"({"ssn":"open)") == R"({"ssn":"***")");
  CHECK(masked("no json, ssn") == "no json, ssn");

  Request json(w), text(w), packed(w);
  CHECK(json.header("content-type", "application/json; charset=utf-8").run(*filter) == Action::buffer);
  CHECK(text.header("content-type", "text/plain").run(*filter) == Action::detach);
  CHECK(packed.header("content-type", "application/json").header("content-encoding", "gzip").run(*filter) ==
        Action::error);
  const auto* answers = w.make("body_transform", "other", R"({"members": ["ssn"]})");
  CHECK_FALSE(answers->has(Filter::request_body_hook));
  CHECK(answers->has(Filter::response_body_hook));
}
