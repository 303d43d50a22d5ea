// Bodies, trailers and upgrades that plugins see, between a client and a backend of HTTP/1.
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>

#include "proxy/body_chain.h"
#include "proxy/pipe.h"

using namespace penstock;
using namespace penstock::proxy;
using namespace penstock::proxy::testing;

namespace {

using Hook = std::function<Action(const FilterCall&, std::string_view, bool)>;

// A pipe whose route has scripted plugins.
struct Seen : Pipe {
  using Pipe::Pipe;
  ScriptedFilter& plugin(uint32_t hooks, Hook hook = {}) {
    auto filter = std::make_unique<ScriptedFilter>("p" + std::to_string(snapshot->filters.size()));
    filter->add_hooks(hooks);
    filter->on_request = [](const FilterCall&) { return Action::next; };
    filter->on_chunk = [hook = std::move(hook)](Way, const FilterCall& call, std::string_view chunk,
                                                bool end) { return hook(call, chunk, end); };
    ScriptedFilter& made = *filter;
    snapshot->filters.push_back(std::move(filter));
    route->chain.add(made);
    return made;
  }
  // Holds its direction's head, too.
  ScriptedFilter& holder(Way way, Hook hook) {
    const bool request = way == Way::request;
    ScriptedFilter& made = plugin(request ? Filter::request_headers_hook | Filter::request_body_hook
                                          : Filter::response_headers_hook | Filter::response_body_hook,
                                  std::move(hook));
    auto hold = [](const FilterCall&) { return Action::buffer; };
    (request ? made.on_request : made.on_response) = hold;
    return made;
  }
  void post(std::string_view body, std::string_view fields = "") {
    send("POST /a HTTP/1.1\r\nHost: x\r\n" + std::string(fields) +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body));
  }
  // What the backend got behind the head, and the head's own framing.
  std::string body_at_backend(size_t number = 0) {
    const std::string& sent = backend(number).sent;
    return sent.substr(sent.find("\r\n\r\n") + 4);
  }
  bool head_has(const Wire& wire, std::string_view field) {
    return wire.sent.substr(0, wire.sent.find("\r\n\r\n") + 2).find(std::string(field) + "\r\n") !=
           std::string::npos;
  }
  std::string body_at_client() { return client.sent.substr(client.sent.find("\r\n\r\n") + 4); }
  bool nobody_connected() const { return connector->wires.empty(); }
};

Action upper(const FilterCall& call, std::string_view chunk, bool) {
  std::string text(chunk);
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::toupper(c); });
  CHECK(call.request.body->replace(text));
  return Action::next;
}
Action whole(const FilterCall& call, std::string_view chunk, bool end) {
  return end ? upper(call, chunk, end) : Action::buffer;
}
Action refuse_bad(const FilterCall& call, std::string_view chunk, bool) {
  if (chunk.find("bad") == chunk.npos) return Action::next;
  call.request.local = {};
  call.request.local.status = 403;
  call.request.local.problem = true;
  call.request.local.reason = "body.bad";
  return Action::respond;
}

constexpr std::string_view ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ndate: D\r\n\r\nok";
constexpr uint32_t requests = Filter::request_body_hook, answers = Filter::response_body_hook;

}  // namespace

TEST_CASE("body hooks: a request goes on as it comes, in chunks, since its length is not known") {
  Seen b;
  b.plugin(requests, upper);
  b.post("hello");
  CHECK(b.head_has(b.backend(), "transfer-encoding: chunked"));
  CHECK(b.backend().sent.find("content-length") == std::string::npos);
  CHECK(b.body_at_backend() == "5\r\nHELLO\r\n0\r\n\r\n");
  b.answer(ok);
  CHECK(b.client.sent.ends_with("\r\n\r\nok"));
  CHECK(b.at_rest());
}

TEST_CASE("body hooks: without a body none is called and nothing changes") {
  Seen b;
  ScriptedFilter& filter = b.plugin(requests | answers, upper);
  b.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(b.backend().sent.find("transfer-encoding") == std::string::npos);
  b.answer("HTTP/1.1 204 No Content\r\ndate: D\r\n\r\n");
  CHECK(b.client.sent.starts_with("HTTP/1.1 204"));
  b.client.take();
  b.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  b.answer("HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\ndate: D\r\n\r\n");
  CHECK(b.client.sent.starts_with("HTTP/1.1 304"));
  CHECK(b.client.sent.find("content-length") == std::string::npos);
  b.client.take();
  b.send("HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n");
  CAPTURE(b.backend().sent);
  b.answer("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ndate: D\r\n\r\n", b.connector->wires.size() - 1);
  CHECK(b.client.sent.starts_with("HTTP/1.1 200"));
  CHECK(b.client.sent.find("content-length") == std::string::npos);
  CHECK(filter.body_calls == 0);
  CHECK(b.at_rest());
}

TEST_CASE("body hooks: the gateway's own answers have none") {
  Seen b;
  ScriptedFilter& filter = b.holder(Way::response, upper);
  b.connector->refusing = {1};
  b.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(b.client.sent.starts_with("HTTP/1.1 502"));
  CHECK(b.client.sent.find("upstream.connect.refused") != std::string::npos);
  CHECK(filter.body_calls == 0);
}

TEST_CASE("body hooks: a held request goes upstream when its body is whole, with its length") {
  Seen b;
  b.holder(Way::request, whole);
  b.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe");
  CHECK(b.nobody_connected());
  b.send("llo");
  CHECK(b.head_has(b.backend(), "content-length: 5"));
  CHECK(b.body_at_backend() == "HELLO");
  b.answer(ok);
  CHECK(b.at_rest());
  CHECK(b.loop.blocks().held() < 16 * 1024);
}

TEST_CASE("body hooks: a held request's head, path and target are the body hook's to write") {
  Seen b;
  b.holder(Way::request, [](const FilterCall& call, std::string_view chunk, bool end) {
    if (!end) return Action::buffer;
    CHECK(call.request.request_held);
    call.request.request.headers.set("x-body", call.request.arena.copy(chunk));
    call.request.upstream_path = "/other";
    return Action::next;
  });
  b.post("hello");
  CHECK(b.backend().sent.starts_with("POST /other HTTP/1.1\r\n"));
  CHECK(b.head_has(b.backend(), "x-body: hello"));
}

TEST_CASE("body hooks: a held head goes with the first bytes that come out, then in chunks") {
  Seen b;
  b.holder(Way::request, [](const FilterCall&, std::string_view chunk, bool end) {
    return !end && chunk.size() < 4 ? Action::buffer : Action::next;
  });
  b.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nab");
  CHECK(b.nobody_connected());
  b.send("cd");
  CHECK(b.head_has(b.backend(), "transfer-encoding: chunked"));
  CHECK(b.body_at_backend() == "4\r\nabcd\r\n");
  b.send("efgh");
  CHECK(b.body_at_backend() == "4\r\nabcd\r\n4\r\nefgh\r\n0\r\n\r\n");
}

TEST_CASE("body hooks: a body that nobody wants to see to its end keeps its length") {
  Seen b;
  b.holder(Way::request, [](const FilterCall& call, std::string_view, bool) {
    CHECK(call.request.body->replace("start:"));
    return Action::detach;
  });
  b.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nab");
  CHECK(b.head_has(b.backend(), "content-length: 12"));
  b.send("cdefgh");
  CHECK(b.body_at_backend() == "start:cdefgh");
  b.answer(ok);
  CHECK(b.at_rest());
}

TEST_CASE("body hooks: and so does one of which more has come than a hook gets at once") {
  Seen b;
  b.holder(Way::request, [](const FilterCall&, std::string_view, bool) { return Action::detach; });
  const std::string body(60'000, 'x');
  b.post(body);
  CHECK(b.head_has(b.backend(), "content-length: 60000"));
  CHECK(b.body_at_backend() == body);
  b.answer(ok);
  CHECK(b.at_rest());
}

TEST_CASE("body hooks: detached by the header hook, a message goes on as if there were no hook") {
  Seen b;
  ScriptedFilter& filter =
      b.plugin(requests | answers | Filter::request_headers_hook | Filter::response_headers_hook, upper);
  filter.on_request = filter.on_response = [](const FilterCall&) { return Action::detach; };
  b.post("hello");
  CHECK(b.head_has(b.backend(), "content-length: 5"));
  b.answer(ok);
  CHECK(b.head_has(b.client, "content-length: 2"));
  CHECK(filter.body_calls == 0);
}

TEST_CASE("body hooks: a held request without a body waits for nothing") {
  Seen b;
  ScriptedFilter& filter = b.holder(Way::request, whole);
  b.send("POST /a HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(b.backend().sent.starts_with("POST /a"));
  CHECK(filter.body_calls == 0);
}

TEST_CASE("body hooks: a client that expects a 100 gets it from the gateway when the head is held") {
  Seen b;
  b.holder(Way::request, whole);
  b.send("POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
  CHECK(b.nobody_connected());
  CHECK(b.client.take() == "HTTP/1.1 100 Continue\r\n\r\n");
  b.send("hello");
  CHECK(b.backend().sent.find("expect") == std::string::npos);
  CHECK(b.body_at_backend() == "HELLO");
  b.answer(ok);
  CHECK(b.client.sent.starts_with("HTTP/1.1 200"));
  // And from the backend when it is not.
  Seen c;
  c.plugin(requests, upper);
  c.send("POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
  CHECK(c.head_has(c.backend(), "expect: 100-continue"));
  CHECK(c.client.sent.empty());
}

TEST_CASE("body hooks: an answer from a body hook, and what the backend has by then is cut") {
  Seen b;
  b.plugin(requests, refuse_bad);
  b.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\ngood");
  CHECK(b.body_at_backend() == "4\r\ngood\r\n");
  b.send("-bad");
  CHECK(b.client.sent.starts_with("HTTP/1.1 403"));
  CHECK(b.client.sent.find("\"reason\":\"body.bad\"") != std::string::npos);
  CHECK(b.body_at_backend() == "4\r\ngood\r\n");
  CHECK(b.backend().end != Wire::End::open);
  CHECK(b.log->last_status == 403);
  CHECK(b.log->last_reason == "body.bad");
  CHECK(b.at_rest());
}

TEST_CASE("body hooks: a held request that is refused goes nowhere") {
  Seen b;
  b.holder(Way::request, [](const FilterCall& call, std::string_view chunk, bool end) {
    return end ? refuse_bad(call, chunk, end) : Action::buffer;
  });
  b.post("a bad one");
  CHECK(b.client.sent.starts_with("HTTP/1.1 403"));
  CHECK(b.nobody_connected());
  CHECK(b.at_rest());
}

TEST_CASE("body hooks: refused in the middle of an answer, that is cut") {
  Seen b;
  b.plugin(requests, refuse_bad);
  b.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\ngood");
  b.answer("HTTP/1.1 200 OK\r\ncontent-length: 9\r\ndate: D\r\n\r\nearly");
  b.send("-bad");
  CHECK(b.client.sent.ends_with("early"));
  CHECK(b.client.end != Wire::End::open);
  CHECK(b.log->last_reason == "body.bad");
  CHECK(b.at_rest());
}

TEST_CASE("body hooks: a request over what a plugin may keep is a 413, and counted") {
  for (bool held : {false, true}) {
    Seen b;
    b.route->body_buffer = 1024;
    held ? b.holder(Way::request, whole) : b.plugin(requests, whole);
    b.post(std::string(1024, 'x'));
    b.answer(ok);
    CHECK(b.client.take().starts_with("HTTP/1.1 200"));
    b.post(std::string(1025, 'x'));
    CHECK(b.client.sent.starts_with("HTTP/1.1 413"));
    CHECK(b.client.sent.find("\"reason\":\"plugin.body_too_large\"") != std::string::npos);
    CHECK(b.worker.metrics.limits.of(Limit::body_buffer) == 1);
    CHECK(b.at_rest());
  }
}

TEST_CASE("body hooks: an error fails the request, or is skipped") {
  for (bool skip : {false, true}) {
    for (bool held : {false, true}) {
      Seen b;
      const Hook fails = [](const FilterCall&, std::string_view, bool) { return Action::error; };
      ScriptedFilter& filter = held ? b.holder(Way::request, fails) : b.plugin(requests, fails);
      if (skip) filter.set_on_error(OnError::skip);
      b.post("hello");
      if (skip) {
        CHECK(b.body_at_backend() == (held ? "5\r\nhello\r\n0\r\n\r\n" : "5\r\nhello\r\n0\r\n\r\n"));
        b.answer(ok);
        CHECK(b.client.sent.starts_with("HTTP/1.1 200"));
        continue;
      }
      CHECK(b.client.sent.starts_with("HTTP/1.1 500"));
      CHECK(b.client.sent.find("plugin.error") != std::string::npos);
      CHECK(b.at_rest());
    }
  }
}

TEST_CASE("body hooks: a pause holds the client back, and what it has sent keeps its order") {
  Seen b;
  ScriptedFilter& filter = b.plugin(requests, [](const FilterCall& call, std::string_view chunk, bool) {
    return chunk == "wait" && call.request.resumable ? Action::pause : Action::next;
  });
  Resumable* waiting = nullptr;
  filter.on_chunk = [&, inner = filter.on_chunk](Way way, const FilterCall& call, std::string_view chunk,
                                                 bool end) {
    waiting = call.request.resumable;
    return inner(way, call, chunk, end);
  };
  filter.on_chunk_resume = [](const FilterCall& call) {
    CHECK(call.request.body->replace("WAITED"));
    return Action::next;
  };
  b.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nwait");
  CHECK(b.client.paused);
  CHECK(b.body_at_backend().empty());
  b.send("more");  // was on its way
  CHECK(b.body_at_backend().empty());
  waiting->resume(nullptr);
  b.turn();
  CHECK_FALSE(b.client.paused);
  CHECK(b.body_at_backend() == "6\r\nWAITED\r\n4\r\nmore\r\n0\r\n\r\n");
  b.answer(ok);
  CHECK(b.client.sent.starts_with("HTTP/1.1 200"));
  CHECK(b.at_rest());
}

TEST_CASE("body hooks: while a held request waits for its plugin nothing goes upstream") {
  Seen b;
  Resumable* waiting = nullptr;
  ScriptedFilter& filter = b.holder(Way::request, [&](const FilterCall& call, std::string_view, bool end) {
    waiting = call.request.resumable;
    return end ? Action::pause : Action::buffer;
  });
  int resumed = 0;
  filter.on_chunk_resume = [&](const FilterCall& call) {
    if (++resumed == 1) return Action::pause;
    call.request.request.headers.set("x-judged", "good");
    return Action::next;
  };
  b.post("hello");
  waiting->resume(nullptr);
  b.turn();
  CHECK(b.nobody_connected());
  waiting->resume(nullptr);
  b.turn();
  CHECK(b.head_has(b.backend(), "x-judged: good"));
  CHECK(b.head_has(b.backend(), "content-length: 5"));
  CHECK(b.body_at_backend() == "hello");
  b.answer(ok);
  CHECK(b.at_rest());
}

TEST_CASE("body hooks: a client that goes during a pause is the end of it") {
  for (bool held : {false, true}) {
    Seen b;
    const Hook hook = [](const FilterCall&, std::string_view, bool) { return Action::pause; };
    held ? b.holder(Way::request, hook) : b.plugin(requests, hook);
    b.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nwait");
    b.reset_of_client();
    CHECK(b.log->completions == 1);
    CHECK(b.log->last_reason == "client.closed");
    CHECK(b.at_rest());
    CHECK(b.loop.blocks().held() == 0);
  }
}

TEST_CASE("body hooks: a pause in an authenticator, with the body there already") {
  Seen b;
  Resumable* waiting = nullptr;
  ScriptedFilter& slow = b.plugin(Filter::request_headers_hook);
  slow.on_request = [&](const FilterCall& call) {
    waiting = call.request.resumable;
    return Action::pause;
  };
  slow.on_request_resume = [](const FilterCall&) { return Action::next; };
  ScriptedFilter& filter = b.plugin(requests, upper);
  b.post("hello");
  CHECK(filter.body_calls == 0);
  waiting->resume(nullptr);
  b.turn();
  // All of it was there when its head went.
  CHECK(b.head_has(b.backend(), "content-length: 5"));
  CHECK(b.body_at_backend() == "HELLO");
  CHECK(filter.body_calls == 2);
}

TEST_CASE("body hooks: another attempt sends what was let through, and hooks run once") {
  Seen b(2);
  b.connector->refusing = {1};
  ScriptedFilter& filter = b.plugin(requests, upper);
  b.post("hello");
  CHECK(b.body_at_backend() == "5\r\nHELLO\r\n0\r\n\r\n");
  CHECK(filter.body_calls == 2);
  Seen c(2);
  ScriptedFilter& put = c.plugin(requests, upper);
  c.send("PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
  c.reset_of_backend(0);
  CHECK(c.body_at_backend(1) == c.body_at_backend(0));
  CHECK(c.body_at_backend(1) == "5\r\nHELLO\r\n0\r\n\r\n");
  CHECK(put.body_calls == 2);
}

TEST_CASE("body hooks: trailers come after the end, and can be written") {
  Seen b;
  std::string order;
  ScriptedFilter& filter =
      b.plugin(requests | answers | Filter::request_trailers_hook | Filter::response_trailers_hook,
               [&](const FilterCall&, std::string_view chunk, bool end) {
                 order += std::string(chunk) + (end ? "." : "");
                 return Action::next;
               });
  filter.on_trailer_block = [&](Way way, const FilterCall& call) {
    order += way == Way::request ? "<" : ">";
    http::Headers* block =
        way == Way::request ? call.request.request_trailers : call.request.response_trailers;
    block->set("x-sum", "2");
    return Action::next;
  };
  b.send("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nx-sum: 1\r\n\r\n");
  CHECK(b.body_at_backend() == "2\r\nab\r\n0\r\nx-sum: 2\r\n\r\n");
  b.answer(
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ndate: D\r\n\r\n2\r\ncd\r\n0\r\nx-sum: 1\r\n\r\n");
  CHECK(b.body_at_client() == "2\r\ncd\r\n0\r\nx-sum: 2\r\n\r\n");
  CHECK(order == "ab.<cd.>");
  CHECK(b.at_rest());
}

TEST_CASE("body hooks: trailers may refuse a request, or fail") {
  for (bool fails : {false, true}) {
    Seen b;
    ScriptedFilter& filter = b.plugin(Filter::request_trailers_hook);
    filter.on_trailer_block = [&](Way, const FilterCall& call) {
      if (fails) return Action::error;
      return refuse_bad(call, "bad", true);
    };
    b.send(
        "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nx-sum: 1\r\n\r\n");
    CHECK(b.client.sent.starts_with(fails ? "HTTP/1.1 500" : "HTTP/1.1 403"));
    CHECK(b.backend().sent.find("0\r\n") == std::string::npos);
    CHECK(b.at_rest());
  }
}

TEST_CASE("body hooks: with trailers a held body has no length") {
  Seen b;
  b.holder(Way::request, whole);
  b.send("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nx-sum: 1\r\n\r\n");
  CHECK(b.body_at_backend() == "2\r\nAB\r\n0\r\nx-sum: 1\r\n\r\n");
}

TEST_CASE("body hooks: an answer goes on as it comes") {
  Seen b;
  b.plugin(answers, upper);
  b.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  b.answer("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ndate: D\r\n\r\nhe");
  CHECK(b.head_has(b.client, "transfer-encoding: chunked"));
  CHECK(b.body_at_client() == "2\r\nHE\r\n");
  b.answer("llo");
  CHECK(b.body_at_client() == "2\r\nHE\r\n3\r\nLLO\r\n0\r\n\r\n");
  CHECK(b.at_rest());
}

TEST_CASE("body hooks: a client of HTTP/1.0 sees the end by the end of its connection") {
  Seen b;
  b.plugin(answers, upper);
  b.send("GET /a HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n");
  b.answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ndate: D\r\n\r\nok");
  CHECK(b.body_at_client() == "OK");
  CHECK(b.client.sent.find("content-length") == std::string::npos);
  CHECK(b.client.sent.find("chunked") == std::string::npos);
  CHECK(b.client.end != Wire::End::open);
}

TEST_CASE("body hooks: a held answer waits for its body, is the body hook's to write, and has its length") {
  Seen b;
  b.holder(Way::response, [](const FilterCall& call, std::string_view chunk, bool end) {
    if (!end) return Action::buffer;
    CHECK(call.request.response_held);
    call.request.response->headers.set("x-seen", "yes");
    return upper(call, chunk, end);
  });
  b.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  b.answer("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ndate: D\r\n\r\n2\r\nhe\r\n");
  CHECK(b.client.sent.empty());
  b.answer("3\r\nllo\r\n0\r\n\r\n");
  CHECK(b.head_has(b.client, "content-length: 5"));
  CHECK(b.head_has(b.client, "x-seen: yes"));
  CHECK(b.body_at_client() == "HELLO");
  CHECK(b.at_rest());
}

TEST_CASE("body hooks: a backend that fails a held answer gives a 502, and is not asked again") {
  Seen b(2);
  b.holder(Way::response, whole);
  b.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  b.answer("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ndate: D\r\n\r\nhe");
  b.reset_of_backend();
  CHECK(b.client.sent.starts_with("HTTP/1.1 502"));
  CHECK(b.client.sent.find("upstream.reset") != std::string::npos);
  CHECK(b.connector->wires.size() == 1);
  CHECK(b.at_rest());
}

TEST_CASE("body hooks: an answer over what a plugin may keep, held and begun") {
  for (bool held : {false, true}) {
    Seen b;
    b.route->body_buffer = 1024;
    bool once = false;
    const Hook hook = [&](const FilterCall&, std::string_view, bool) {
      return !held && !std::exchange(once, true) ? Action::next : Action::buffer;
    };
    held ? b.holder(Way::response, hook) : b.plugin(answers, hook);
    b.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    b.answer("HTTP/1.1 200 OK\r\ncontent-length: 5000\r\ndate: D\r\n\r\nbegin");
    b.answer(std::string(1025, 'x'));
    b.answer(std::string(1025, 'x'));
    CHECK(b.client.sent.starts_with(held ? "HTTP/1.1 502" : "HTTP/1.1 200"));
    if (!held) CHECK(b.client.sent.ends_with("5\r\nbegin\r\n"));
    CHECK(b.log->last_reason == "plugin.answer_too_large");
    CHECK(b.worker.metrics.limits.of(Limit::body_buffer) == 1);
    CHECK(b.at_rest());
    CHECK(b.loop.blocks().held() < 16 * 1024);
  }
}

TEST_CASE("body hooks: an error in an answer's hook is a 500 while its head waits, else a cut, or skipped") {
  for (bool held : {false, true}) {
    for (bool skip : {false, true}) {
      Seen b;
      const Hook fails = [](const FilterCall&, std::string_view, bool) { return Action::error; };
      ScriptedFilter& filter = held ? b.holder(Way::response, fails) : b.plugin(answers, fails);
      if (skip) filter.set_on_error(OnError::skip);
      b.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
      b.answer(ok);
      CHECK(b.client.sent.starts_with(held && !skip ? "HTTP/1.1 500" : "HTTP/1.1 200"));
      if (skip) CHECK(b.body_at_client() == "2\r\nok\r\n0\r\n\r\n");
      if (!skip && !held) CHECK_FALSE(b.client.sent.ends_with("0\r\n\r\n"));
      CHECK(b.log->last_reason == (skip ? "" : "plugin.error"));
      CHECK(b.at_rest());
    }
  }
}

TEST_CASE("body hooks: a client that takes nothing holds the backend back, with hooks, too") {
  Seen b;
  b.plugin(answers, upper);
  b.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  b.client.transport->block();
  b.answer("HTTP/1.1 200 OK\r\ncontent-length: 200000\r\ndate: D\r\n\r\n" + std::string(100'000, 'x'));
  CHECK(b.backend().paused);
  b.client.transport->room();
  b.turn();
  CHECK_FALSE(b.backend().paused);
}

TEST_CASE("body hooks: an early answer ends the request that its hooks have seen a part of") {
  Seen b;
  b.plugin(requests, whole);
  b.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\ngood");
  b.answer("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\ndate: D\r\n\r\nno");
  CHECK(b.client.sent.starts_with("HTTP/1.1 403"));
  CHECK(b.client.sent.ends_with("no"));
  CHECK(b.at_rest());
}

TEST_CASE("body hooks: an upgrade is seen, and may be refused") {
  constexpr std::string_view ask =
      "GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: "
      "13\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  constexpr std::string_view accept =
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
  for (Action action : {Action::next, Action::respond, Action::error}) {
    Seen b;
    ScriptedFilter& filter = b.plugin(Filter::upgrade_hook | requests | answers, upper);
    int asked = 0;
    filter.on_tunnel = [&](const FilterCall& call) {
      ++asked;
      if (action == Action::respond) return refuse_bad(call, "bad", true);
      return action;
    };
    b.send(ask);
    b.answer(accept);
    CHECK(asked == 1);
    const bool passes = action == Action::next;
    CHECK(b.client.take().starts_with(passes                      ? "HTTP/1.1 101"
                                      : action == Action::respond ? "HTTP/1.1 403"
                                                                  : "HTTP/1.1 500"));
    CHECK(b.worker.metrics.active_tunnels == (passes ? 1 : 0));
    if (!passes) {
      CHECK(b.at_rest());
      continue;
    }
    b.answer("from the backend");
    CHECK(b.client.sent == "from the backend");
    CHECK(filter.body_calls == 0);
  }
}

TEST_CASE("body hooks: bodies that come byte by byte come out the same") {
  for (bool held : {false, true}) {
    Seen b;
    held ? b.holder(Way::request, whole) : b.plugin(requests, upper);
    b.connect();
    feed_each_byte(b.client, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
    b.turn();
    CHECK(b.body_at_backend() == (held ? "HELLO" : b.body_at_backend()));
    std::string joined;
    for (char c : b.body_at_backend())
      if (std::isupper(static_cast<unsigned char>(c))) joined += c;
    CHECK(joined == "HELLO");
    b.answer(ok);
    CHECK(b.at_rest());
  }
}
