#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "proxy/body_chain.h"
#include "unit/proxy/request_fixture.h"
#include "unit/proxy/scripted_filter.h"

using namespace penstock;
using namespace penstock::proxy;
using namespace penstock::proxy::testing;
using Kind = BodyStep::Kind;

namespace {

struct Waiter final : Resumable {
  bool resume(void*) override { return true; }
};

// A chain of scripted plugins and what came out of it.
struct Body {
  net::Loop loop;
  FreeList list;
  Request request{"POST", "api.example.com", "/a"};
  Waiter waiter;
  Chain chain;
  std::vector<std::unique_ptr<ScriptedFilter>> filters;
  std::unique_ptr<BodyChain> body;
  std::string out;
  bool ended = false;
  Kind last = Kind::nothing;
  const Filter* plugin = nullptr;

  Body() { request.context.resumable = &waiter; }

  using Hook = std::function<Action(const FilterCall&, std::string_view, bool)>;
  ScriptedFilter& add(Hook hook, uint32_t hooks = Filter::request_body_hook | Filter::response_body_hook) {
    auto filter = std::make_unique<ScriptedFilter>("f" + std::to_string(filters.size()));
    filter->add_hooks(hooks);
    filter->on_chunk = [hook = std::move(hook)](Way, const FilterCall& call, std::string_view chunk,
                                                bool end) { return hook(call, chunk, end); };
    filters.push_back(std::move(filter));
    return *filters.back();
  }
  void begin(Way way = Way::request, size_t limit = 1 << 20) {
    for (auto& filter : filters) chain.add(*filter);
    body = BodyChain::make(list, request.context, loop, chain.bodies(way), way, limit);
    REQUIRE(body);
  }
  Kind drain(BodyStep step) {
    for (; step.kind == Kind::bytes; step = body->next()) {
      out += step.bytes;
      ended = ended || step.end;
    }
    last = step.kind;
    plugin = step.plugin;
    return last;
  }
  Kind pass(std::string_view bytes, bool end = false) {
    // The caller's bytes are gone when it comes back.
    std::string own(bytes);
    body->offer(own, end);
    const Kind kind = drain(body->next());
    std::ranges::fill(own, '#');
    return kind;
  }
  Kind end() { return pass({}, true); }
  Kind resume() { return drain(body->resume(nullptr)); }
};

Action upper(const FilterCall& call, std::string_view chunk, bool) {
  std::string text(chunk);
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::toupper(c); });
  CHECK(call.request.body->replace(text));
  return Action::next;
}
Action pass_on(const FilterCall&, std::string_view, bool) { return Action::next; }
Action whole(const FilterCall&, std::string_view, bool end) { return end ? Action::next : Action::buffer; }

}  // namespace

TEST_CASE("a chunk goes through untouched, replaced, or emptied") {
  Body b;
  b.add(pass_on);
  b.add(upper);
  b.add([](const FilterCall& call, std::string_view chunk, bool) {
    if (chunk == "DROP") CHECK(call.request.body->replace(""));
    return Action::next;
  });
  int seen = 0;
  b.add([&](const FilterCall&, std::string_view chunk, bool end) {
    ++seen;
    CHECK((end || !chunk.empty()));
    return Action::next;
  });
  b.begin();
  CHECK(b.pass("abc") == Kind::nothing);
  CHECK(b.pass("drop") == Kind::nothing);
  CHECK(b.pass("def") == Kind::nothing);
  CHECK(b.out == "ABCDEF");
  CHECK(seen == 2);
  CHECK(b.end() == Kind::nothing);
  CHECK(b.ended);
  CHECK(b.body->ended());
  CHECK(b.body->taken() == 10);
  CHECK(b.body->passed() == 6);
}

TEST_CASE("bytes are the caller's own until a plugin keeps or replaces them") {
  Body b;
  b.add(pass_on);
  b.begin();
  const std::string text = "abc";
  b.body->offer(text, false);
  const BodyStep step = b.body->next();
  CHECK(step.lent);
  CHECK(step.bytes.data() == text.data());
  CHECK(b.body->next().kind == Kind::nothing);
}

TEST_CASE("what is kept comes back in one piece with what came since") {
  Body b;
  std::vector<std::string> seen;
  b.add([&](const FilterCall&, std::string_view chunk, bool end) {
    seen.emplace_back(chunk);
    return !end && chunk.size() < 5 ? Action::buffer : Action::next;
  });
  b.begin();
  b.pass("ab");
  b.pass("cd");
  CHECK(b.out.empty());
  CHECK(b.body->held() == 4);
  b.pass("ef");
  CHECK(b.out == "abcdef");
  CHECK(b.body->held() == 0);
  b.pass("g");
  b.end();
  CHECK(b.out == "abcdefg");
  CHECK(seen == std::vector<std::string>{"ab", "abcd", "abcdef", "g", "g"});
}

TEST_CASE("what one lets go of another may keep") {
  Body b;
  b.add(whole);
  b.add(upper);
  b.add(whole);
  b.begin();
  b.pass("hello ");
  b.pass("world");
  CHECK(b.out.empty());
  b.end();
  CHECK(b.out == "HELLO WORLD");
  CHECK(b.loop.blocks().held() == 0);
}

TEST_CASE("a detached plugin sees no more, and when all are what comes may go past") {
  Body b;
  ScriptedFilter& first = b.add([](const FilterCall&, std::string_view, bool) { return Action::detach; });
  ScriptedFilter& second = b.add([](const FilterCall&, std::string_view chunk, bool) {
    return chunk.size() < 4 ? Action::buffer : Action::detach;
  });
  b.begin();
  b.pass("ab");
  CHECK_FALSE(b.body->detached());
  b.pass("cd");
  CHECK(b.body->detached());
  CHECK(b.out == "abcd");
  b.pass("ef");
  b.end();
  CHECK(b.out == "abcdef");
  CHECK(b.ended);
  CHECK(first.body_calls == 1);
  CHECK(second.body_calls == 2);
  CHECK_FALSE(takes_part(b.chain.bodies(Way::request)[0], Way::request, b.request.context));
  CHECK(takes_part(b.chain.bodies(Way::request)[0], Way::response, b.request.context));
}

TEST_CASE("more than the limit is too large, exactly the limit is not") {
  for (size_t size : {size_t{64}, size_t{65}}) {
    Body b;
    b.add(whole);
    b.begin(Way::request, 64);
    const std::string text(size, 'x');
    Kind kind = b.pass(text.substr(0, 40));
    CHECK(kind == Kind::nothing);
    kind = b.pass(text.substr(40));
    CHECK((kind == Kind::too_large) == (size > 64));
    if (size > 64) {
      CHECK(b.plugin == b.filters[0].get());
      continue;
    }
    b.end();
    CHECK(b.out == text);
  }
  Body b;
  b.add([](const FilterCall& call, std::string_view chunk, bool) {
    CHECK(chunk.size() <= 64);
    CHECK_FALSE(call.request.body->replace(std::string(65, 'y')));
    CHECK(call.request.body->replace(std::string(64, 'y')));
    return Action::next;
  });
  b.begin(Way::request, 64);
  b.pass(std::string(65, 'x'));
  CHECK(b.out == std::string(128, 'y'));
}

TEST_CASE("a pause keeps its chunk and what comes behind it, in order") {
  Body b;
  std::vector<std::string> seen;
  int pauses = 0;
  ScriptedFilter& filter = b.add([&](const FilterCall&, std::string_view chunk, bool) {
    seen.emplace_back(chunk);
    return chunk == "c" || chunk == "ef" || chunk.empty() ? Action::pause : Action::next;
  });
  filter.on_chunk_resume = [&](const FilterCall& call) {
    if (++pauses == 2) CHECK(call.request.body->replace("EF"));
    return Action::next;
  };
  b.begin();
  b.pass("ab");
  CHECK(b.pass("c") == Kind::paused);
  CHECK(b.plugin == &filter);
  CHECK(b.pass("e") == Kind::paused);
  CHECK(b.pass("f") == Kind::paused);
  CHECK(b.body->waiting() == 2);
  CHECK(b.end() == Kind::paused);
  CHECK(b.out == "ab");
  // The bytes that waited come with the end.
  CHECK(b.resume() == Kind::paused);
  CHECK(b.out == "abc");
  CHECK_FALSE(b.ended);
  CHECK(b.resume() == Kind::nothing);
  CHECK(b.out == "abcEF");
  CHECK(b.ended);
  CHECK(seen == std::vector<std::string>{"ab", "c", "ef"});
  CHECK(b.loop.blocks().held() == 0);
}

TEST_CASE("after a pause the chunk may be kept, or another pause follow") {
  Body b;
  ScriptedFilter& filter =
      b.add([](const FilterCall&, std::string_view, bool end) { return end ? Action::next : Action::pause; });
  std::vector<Action> verdicts{Action::pause, Action::buffer};
  filter.on_chunk_resume = [&](const FilterCall&) {
    const Action action = verdicts.front();
    verdicts.erase(verdicts.begin());
    return action;
  };
  b.begin();
  CHECK(b.pass("ab") == Kind::paused);
  CHECK(b.resume() == Kind::paused);
  CHECK(b.resume() == Kind::nothing);
  CHECK(b.out.empty());
  b.end();
  CHECK(b.out == "ab");
}

TEST_CASE("an answer stops the body, and is none without a record") {
  Body b;
  b.add([](const FilterCall& call, std::string_view chunk, bool) {
    if (chunk == "good") return Action::next;
    call.request.local.status = chunk == "bad" ? 403 : 0;
    return Action::respond;
  });
  b.begin();
  CHECK(b.pass("good") == Kind::nothing);
  CHECK(b.pass("bad") == Kind::respond);
  Body c;
  c.add([](const FilterCall&, std::string_view, bool) { return Action::respond; });
  c.begin();
  CHECK(c.pass("x") == Kind::failed);
}

TEST_CASE("an error ends the body, or is skipped and the chunk goes on as it was") {
  for (OnError on_error : {OnError::fail, OnError::skip}) {
    for (bool at_end : {false, true}) {
      Body b;
      ScriptedFilter& filter = b.add([&](const FilterCall& call, std::string_view chunk, bool end) {
        CHECK(call.request.body->replace("nonsense"));
        // Nothing can be kept when no more comes.
        if (at_end) return Action::buffer;
        return chunk == "b" || end ? Action::error : Action::next;
      });
      filter.set_on_error(on_error);
      b.add(upper);
      b.begin();
      b.pass("a");
      b.pass("b");
      b.end();
      CHECK((b.last == Kind::failed) == (on_error == OnError::fail));
      if (b.last == Kind::failed) CHECK(b.plugin == &filter);
      if (on_error == OnError::skip) CHECK(b.out == (at_end ? "AB" : "NONSENSEB"));
    }
  }
}

TEST_CASE("an answer's body can neither pause nor be answered") {
  for (Action action : {Action::pause, Action::respond}) {
    Body b;
    b.add([&](const FilterCall& call, std::string_view, bool) {
      call.request.local.status = 403;
      return action;
    });
    b.begin(Way::response);
    CHECK(b.pass("x") == Kind::failed);
  }
}

TEST_CASE("requests go forwards, answers backwards, and of authenticators only those that accepted") {
  Body b;
  const auto sign = [](std::string mark) {
    return [=](const FilterCall& call, std::string_view chunk, bool end) {
      if (!end) CHECK(call.request.body->replace(std::string(chunk) + mark));
      return Action::next;
    };
  };
  b.add(sign("1"));
  ScriptedFilter& accepted = b.add(sign("2"), Filter::authenticate_hook | Filter::request_body_hook);
  b.add(sign("3"), Filter::authenticate_hook | Filter::request_body_hook);
  b.add(sign("4"));
  b.request.context.mark(accepted, FilterMark::Kind::accepted);
  b.begin();
  b.pass("-");
  CHECK(b.out == "-124");
  b.out.clear();
  b.body =
      BodyChain::make(b.list, b.request.context, b.loop, b.chain.bodies(Way::response), Way::response, 64);
  b.pass("-");
  CHECK(b.out == "-41");
}

TEST_CASE("without a plugin that takes part there is no chain") {
  Body b;
  ScriptedFilter& filter = b.add(pass_on);
  b.chain.add(filter);
  b.request.context.mark(filter, FilterMark::Kind::request_detached);
  CHECK(BodyChain::make(b.list, b.request.context, b.loop, b.chain.bodies(Way::request), Way::request, 64) ==
        nullptr);
  CHECK(BodyChain::make(b.list, b.request.context, b.loop, b.chain.bodies(Way::response), Way::response,
                        64) != nullptr);
}

TEST_CASE("a body that is cut at any two places comes out the same") {
  const std::string text = "the quick brown fox jumps";
  for (size_t first = 0; first <= text.size(); ++first) {
    for (size_t second = first; second <= text.size(); ++second) {
      Body b;
      // Words become upper case; the rest of a word that is cut waits.
      b.add([](const FilterCall& call, std::string_view chunk, bool end) {
        if (!end && chunk.find(' ') == chunk.npos) return Action::buffer;
        return upper(call, chunk, end);
      });
      b.add(whole);
      b.begin();
      const size_t cuts[] = {0, first, second, text.size()};
      for (int i = 0; i < 3; ++i)
        if (cuts[i] != cuts[i + 1]) b.pass(std::string_view(text).substr(cuts[i], cuts[i + 1] - cuts[i]));
      b.end();
      REQUIRE(b.out == "THE QUICK BROWN FOX JUMPS");
    }
  }
}

TEST_CASE("whatever plugins do, the bytes that come out are those that went in, in order") {
  std::mt19937 random(20260722);
  const auto any = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  for (int round = 0; round < 300; ++round) {
    Body b;
    const size_t plugins = 1 + any(4);
    for (size_t i = 0; i < plugins; ++i) {
      const bool skipped = any(4) == 0;
      ScriptedFilter& filter = b.add([&](const FilterCall& call, std::string_view chunk, bool end) {
        if (any(3) == 0) CHECK(call.request.body->replace(chunk));
        switch (any(8)) {
          case 0:
          case 1: return end ? Action::next : Action::buffer;
          case 2: return Action::pause;
          case 3: return any(20) == 0 ? Action::detach : Action::next;
          default: return Action::next;
        }
      });
      filter.on_chunk_resume = [&](const FilterCall&) { return any(3) == 0 ? Action::pause : Action::next; };
      if (skipped) {
        filter.set_on_error(OnError::skip);
        auto inner = filter.on_chunk;
        filter.on_chunk = [&, inner](Way way, const FilterCall& call, std::string_view chunk, bool end) {
          return any(5) == 0 ? Action::error : inner(way, call, chunk, end);
        };
      }
    }
    b.begin();
    std::string in;
    for (size_t left = any(40); left > 0; --left) {
      std::string piece(1 + any(any(2) ? 10 : 40'000), '\0');
      for (char& c : piece) c = static_cast<char>(random());
      in += piece;
      if (in.size() > 700'000) break;
      b.pass(piece);
      while (b.last == Kind::paused && any(2) == 0) b.resume();
    }
    if (in.size() > 700'000) continue;
    b.end();
    while (b.last == Kind::paused) b.resume();
    REQUIRE(b.last == Kind::nothing);
    REQUIRE(b.ended);
    REQUIRE(b.out == in);
    REQUIRE(b.body->held() == 0);
    REQUIRE(b.loop.blocks().held() == 0);
  }
}
