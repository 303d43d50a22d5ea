#include "proxy/decision.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "config/patterns.h"
#include "unit/proxy/request_fixture.h"
#include "unit/proxy/scripted_filter.h"

using namespace penstock;
using namespace penstock::proxy;
using proxy::testing::Request;
using proxy::testing::ScriptedFilter;
using Combine = config::Auth::Combine;
using Step = Decision::Step;

namespace {

// A snapshot with one route "/" and whatever chain a test puts on it.
struct World {
  config::Route route_config;
  Snapshot snapshot;
  ListenerInfo listener;
  Consumer alice{"alice", {"partners"}}, bob{"bob", {"internal"}};
  std::vector<const Filter*> authenticators;
  Route* route;

  World() {
    route_config.match.paths = {*config::parse_prefix_pattern("/")};
    auto target = std::make_unique<Target>();
    target->kind = Target::Kind::upstream;
    target->cluster = 3;
    auto made = std::make_unique<Route>();
    made->name = "only";
    made->config = &route_config;
    made->target = target.get();
    route = made.get();
    snapshot.targets.push_back(std::move(target));
    snapshot.routes.push_back(std::move(made));
    snapshot.router = std::make_unique<Router>(snapshot.routes, std::vector<std::string>{"http"});
  }
  const ScriptedFilter& keep(std::unique_ptr<ScriptedFilter> filter) {
    const ScriptedFilter& kept = *filter;
    filter->index = static_cast<uint32_t>(snapshot.filters.size());
    snapshot.filters.push_back(std::move(filter));
    return kept;
  }
  World& authenticator(std::string name, AuthVerdict verdict, const Consumer* consumer = nullptr,
                       uint16_t status = 401, std::string_view reason = "auth.test") {
    authenticators.push_back(
        &keep(ScriptedFilter::authenticator(std::move(name), verdict, consumer, status, reason)));
    return *this;
  }
  World& auth(Combine combine, bool optional = false, AccessRule allow = {}, AccessRule deny = {}) {
    AuthPolicy policy;
    policy.combine = combine;
    policy.optional = optional;
    policy.allow = std::move(allow);
    policy.deny = std::move(deny);
    route->chain.set_auth(std::move(policy), authenticators);
    return *this;
  }
  const ScriptedFilter& plugin(std::string name, std::function<Action(const FilterCall&)> hook) {
    const ScriptedFilter& filter = keep(ScriptedFilter::request_hook(std::move(name), std::move(hook)));
    route->chain.add(filter);
    return filter;
  }
};

struct Wakes final : Resumable {
  bool resume(void*) override { return true; }
};

// "granted alice", "granted -", "401 auth.missing", ...
struct Outcome {
  Request request{"GET", "api.example.com", "/x"};
  std::string text;
  Wakes wakes;
  explicit Outcome(World& world, bool pausable = false) {
    request.context.snapshot = &world.snapshot;
    if (pausable) request.context.resumable = &wakes;
    Decision decision(request.context, world.listener);
    Step step = decision.start();
    if (step == Step::paused) step = decision.resume(nullptr);
    // The one property that everything hangs on: a grant exists exactly when the decision says forward.
    CHECK((decision.grant() != nullptr) == (step == Step::forward));
    if (step == Step::forward) {
      CHECK(decision.grant()->cluster() == 3);
      text = "granted " + std::string(request.context.consumer_id.data() ? request.context.consumer_id : "-");
    } else {
      text = std::to_string(request.context.local.status) + " " + std::string(request.context.local.reason);
    }
  }
};
std::string outcome(World& world) { return Outcome(world).text; }

}  // namespace

TEST_CASE("any_of: the first accept wins, else the first refusal's reason, else auth.missing") {
  using enum AuthVerdict;
  struct Row {
    std::vector<AuthVerdict> verdicts;
    std::string required, optional;
  };
  for (const Row& row : {
           Row{{accept}, "granted alice", "granted alice"},
           Row{{absent, accept}, "granted alice", "granted alice"},
           Row{{refuse, accept}, "granted alice", "granted alice"},
           Row{{error, accept}, "granted alice", "granted alice"},
           Row{{accept, refuse}, "granted alice", "granted alice"},
           Row{{absent}, "401 auth.missing", "granted -"},
           Row{{absent, absent}, "401 auth.missing", "granted -"},
           Row{{refuse}, "401 auth.test", "401 auth.test"},
           Row{{absent, refuse}, "401 auth.test", "401 auth.test"},
           Row{{refuse, absent}, "401 auth.test", "401 auth.test"},
           Row{{error}, "401 plugin.error", "401 plugin.error"},
           Row{{absent, error}, "401 plugin.error", "401 plugin.error"},
           Row{{pause}, "401 plugin.error", "401 plugin.error"},  // nobody to wake: a failure, never a pass
       }) {
    for (bool optional : {false, true}) {
      World world;
      int number = 0;
      for (AuthVerdict verdict : row.verdicts)
        world.authenticator("a" + std::to_string(number++), verdict, &world.alice);
      world.auth(Combine::any_of, optional);
      CAPTURE(number);
      CHECK(outcome(world) == (optional ? row.optional : row.required));
    }
  }
}

TEST_CASE("all_of: everybody has to accept and the first names the consumer") {
  using enum AuthVerdict;
  struct Row {
    std::vector<AuthVerdict> verdicts;
    std::string required, optional;
  };
  for (const Row& row : {
           Row{{accept, accept}, "granted alice", "granted alice"},
           Row{{accept, absent}, "401 auth.missing", "401 auth.missing"},
           Row{{absent, accept}, "401 auth.missing", "401 auth.missing"},
           Row{{absent, absent}, "401 auth.missing", "granted -"},
           Row{{accept, refuse}, "401 auth.test", "401 auth.test"},
           Row{{absent, refuse}, "401 auth.test", "401 auth.test"},
           Row{{accept, error}, "401 plugin.error", "401 plugin.error"},
       }) {
    for (bool optional : {false, true}) {
      World world;
      int number = 0;
      for (AuthVerdict verdict : row.verdicts) {
        world.authenticator("a" + std::to_string(number), verdict, number == 0 ? &world.alice : &world.bob);
        ++number;
      }
      world.auth(Combine::all_of, optional);
      CHECK(outcome(world) == (optional ? row.optional : row.required));
    }
  }
}

TEST_CASE(
    "allow and deny judge the accepted consumer; deny is stronger; nobody under optional is not subject to "
    "allow") {
  auto judged = [](AccessRule allow, AccessRule deny, AuthVerdict verdict = AuthVerdict::accept,
                   bool optional = false) {
    World world;
    world.authenticator("a", verdict, &world.alice);
    world.auth(Combine::any_of, optional, std::move(allow), std::move(deny));
    return outcome(world);
  };
  CHECK(judged({{"alice"}, {}}, {}) == "granted alice");
  CHECK(judged({{}, {"partners"}}, {}) == "granted alice");
  CHECK(judged({{"bob"}, {"partners"}}, {}) == "granted alice");
  CHECK(judged({{"bob"}, {"internal"}}, {}) == "403 auth.forbidden");
  CHECK(judged({{"alice"}, {}}, {{}, {"partners"}}) == "403 auth.forbidden");
  CHECK(judged({}, {{"alice"}, {}}) == "403 auth.forbidden");
  CHECK(judged({}, {{"bob"}, {}}) == "granted alice");
  CHECK(judged({{"alice"}, {}}, {}, AuthVerdict::absent, true) == "granted -");
}

TEST_CASE("an accept that names nobody is a refusal, as is a refusal that says nothing") {
  World nobody;
  nobody.authenticator("a", AuthVerdict::accept, nullptr).auth(Combine::any_of);
  CHECK(outcome(nobody) == "401 plugin.error");
  World silent;
  silent.authenticator("a", AuthVerdict::refuse, nullptr, 0).auth(Combine::any_of);
  CHECK(outcome(silent) == "401 auth.refused");
}

TEST_CASE("allow and deny name token identities as well as configured consumers") {
  struct Row {
    std::string identity, outcome;
    AccessRule allow, deny;
  };
  for (const Row& row : {
           Row{"idp:mallory", "403 auth.forbidden", {}, {{"idp:mallory"}, {}}},
           Row{"idp:alice", "granted idp:alice", {}, {{"idp:mallory"}, {}}},
           Row{"idp:alice", "granted idp:alice", {{"idp:alice"}, {}}, {}},
           Row{"idp:mallory", "403 auth.forbidden", {{"idp:alice"}, {}}, {}},
           Row{"idp:mallory", "403 auth.forbidden", {{"idp:mallory"}, {}}, {{"idp:mallory"}, {}}},
           // The consumer alice is somebody else.
           Row{"idp:alice", "granted idp:alice", {}, {{"alice"}, {}}},
           Row{"", "403 auth.forbidden", {}, {{"alice"}, {}}},
       }) {
    CAPTURE(row.identity);
    World world;
    auto filter = ScriptedFilter::authenticator("idp", AuthVerdict::accept, &world.alice);
    if (!row.identity.empty()) {
      filter->on_authenticate = [&](const FilterCall& call) {
        call.request.auth.identity = row.identity;
        return AuthVerdict::accept;
      };
    }
    world.authenticators.push_back(&world.keep(std::move(filter)));
    world.auth(Combine::any_of, false, row.allow, row.deny);
    CHECK(outcome(world) == row.outcome);
  }
}

TEST_CASE("a route whose list of authenticators came out empty refuses") {
  World world;
  world.auth(Combine::any_of);
  CHECK(outcome(world) == "401 auth.missing");
  World all;
  all.auth(Combine::all_of);
  CHECK(outcome(all) == "401 auth.missing");
}

TEST_CASE("a 401 lists every method's challenge in the order written") {
  World world;
  world.authenticator("one", AuthVerdict::absent)
      .authenticator("two", AuthVerdict::absent)
      .auth(Combine::any_of);
  Outcome result(world);
  std::string challenges;
  for (HeaderEdit* edit = result.request.context.local.headers; edit; edit = edit->next)
    challenges += std::string(edit->name) + ": " + std::string(edit->value) + "\n";
  CHECK(challenges == "www-authenticate: Test realm=\"one\"\nwww-authenticate: Test realm=\"two\"\n");
}

TEST_CASE("the first refusal counts: its 403 says what is lacking, and nothing else does") {
  World world;
  const auto refuses = [&](const char* name, uint16_t status, std::string_view reason,
                           std::string_view challenge) {
    auto filter = ScriptedFilter::authenticator(name, AuthVerdict::refuse, nullptr);
    filter->on_authenticate = [=](const FilterCall& call) {
      call.request.auth = {};
      call.request.auth.refuse_status = status;
      call.request.auth.refuse_reason = reason;
      call.request.auth.challenge = challenge;
      return AuthVerdict::refuse;
    };
    world.authenticators.push_back(&world.keep(std::move(filter)));
  };
  refuses("known", 403, "auth.scope", "Test error=\"scope\"");
  refuses("other", 401, "auth.issuer", "Test error=\"issuer\"");
  refuses("last", 403, "auth.last", "Test error=\"last\"");
  world.auth(Combine::any_of);
  Outcome result(world);
  CHECK(result.text == "403 auth.scope");
  CHECK(result.request.context.plugin == "known");
  const HeaderEdit* edit = result.request.context.local.headers;
  REQUIRE(edit != nullptr);
  CHECK(edit->value == "Test error=\"scope\"");
  CHECK(edit->next == nullptr);
}

TEST_CASE("who is accepted and not allowed is told no other authenticator's challenge") {
  World world;
  auto refuses = ScriptedFilter::authenticator("first", AuthVerdict::refuse, nullptr);
  refuses->on_authenticate = [](const FilterCall& call) {
    call.request.auth.refuse_status = 403;
    call.request.auth.refuse_reason = "auth.scope";
    call.request.auth.challenge = "Test error=\"scope\"";
    return AuthVerdict::refuse;
  };
  world.authenticators.push_back(&world.keep(std::move(refuses)));
  world.authenticator("second", AuthVerdict::accept, &world.alice);
  AccessRule deny;
  deny.consumers = {"alice"};
  world.auth(Combine::any_of, false, {}, deny);
  Outcome result(world);
  CHECK(result.text == "403 auth.forbidden");
  CHECK(result.request.context.local.headers == nullptr);
}

TEST_CASE("plugins run in order, an answer stops the chain, and what comes later is not asked") {
  World world;
  std::string order;
  auto passes = [&](char c) { return [&order, c](const FilterCall&) { return order += c, Action::next; }; };
  world.plugin("before", passes('b'));
  const ScriptedFilter& key =
      world.keep(ScriptedFilter::authenticator("key", AuthVerdict::accept, &world.alice));
  world.authenticators.push_back(&key);
  world.auth(Combine::any_of);
  world.plugin("first", passes('1'));
  world.plugin("limit", [&](const FilterCall& call) {
    refuse(call.request, 429, "limit.rate");
    return Action::respond;
  });
  const ScriptedFilter& last = world.plugin("last", passes('2'));
  Outcome result(world);
  CHECK(result.text == "429 limit.rate");
  CHECK(result.request.context.plugin == "limit");
  CHECK(order == "b1");
  CHECK(key.calls == 1);
  CHECK(last.calls == 0);
}

TEST_CASE("a failing plugin refuses, unless its instance says skip") {
  for (bool skip : {false, true}) {
    World world;
    auto filter = ScriptedFilter::request_hook("broken", [](const FilterCall&) { return Action::error; });
    if (skip) filter->set_on_error(OnError::skip);
    world.route->chain.add(world.keep(std::move(filter)));
    CHECK(outcome(world) == (skip ? "granted -" : "500 plugin.error"));
  }
  World mute;
  mute.plugin("mute", [](const FilterCall&) { return Action::respond; });
  CHECK(outcome(mute) == "500 plugin.error");
}

TEST_CASE("an authenticator that cannot tell at this moment is a 503, unless another one accepts") {
  World busy;
  busy.authenticator("busy", AuthVerdict::refuse, nullptr, 503, "auth.test.busy").auth(Combine::any_of);
  CHECK(outcome(busy) == "503 auth.test.busy");
  World other;
  other.authenticator("busy", AuthVerdict::refuse, nullptr, 503, "auth.test.busy")
      .authenticator("knows", AuthVerdict::accept, &other.alice)
      .auth(Combine::any_of);
  CHECK(outcome(other) == "granted alice");
}

TEST_CASE("a pause that took too long is its plugin's error, and the plugin's side is told that it is over") {
  World world;
  const auto& waits = world.plugin("waits", [](const FilterCall&) { return Action::pause; });
  Request request{"GET", "api.example.com", "/x"};
  Wakes wakes;
  request.context.snapshot = &world.snapshot;
  request.context.resumable = &wakes;
  Decision decision(request.context, world.listener);
  REQUIRE(decision.start() == Step::paused);
  CHECK(waits.pauses_over == 0);
  CHECK(decision.fail_paused() == Step::respond);
  CHECK(waits.pauses_over == 1);
  CHECK(request.context.local.status == 500);
}

TEST_CASE("a paused request goes on where it was; a pause where nobody can wake is an error") {
  for (bool pausable : {false, true}) {
    World world;
    auto filter = ScriptedFilter::request_hook("waits", [](const FilterCall&) { return Action::pause; });
    filter->on_request_resume = [](const FilterCall&) { return Action::next; };
    world.route->chain.add(world.keep(std::move(filter)));
    const ScriptedFilter& after = world.plugin("after", [](const FilterCall&) { return Action::next; });
    CHECK(Outcome(world, pausable).text == (pausable ? "granted -" : "500 plugin.error"));
    CHECK(after.calls == (pausable ? 1 : 0));
  }
  World auth;
  auto key = ScriptedFilter::authenticator("key", AuthVerdict::pause);
  key->on_auth_resume = [&](const FilterCall& call) {
    call.request.auth.consumer = &auth.bob;
    return AuthVerdict::accept;
  };
  auth.authenticators.push_back(&auth.keep(std::move(key)));
  auth.auth(Combine::any_of);
  CHECK(Outcome(auth, true).text == "granted bob");
}

TEST_CASE("what an authenticator set before it refused is gone") {
  World world;
  Request names("GET", "x", "/");
  auto key = ScriptedFilter::authenticator("key", AuthVerdict::refuse);
  key->on_authenticate = [](const FilterCall& call) {
    RequestContext& r = call.request;
    r.set_attribute(r.names->attribute_id("claim.sub"), "mallory");
    r.auth_edits = r.arena.make<HeaderEdit>(HeaderEdit::Op::set, "x-user", "mallory", nullptr);
    return AuthVerdict::absent;
  };
  world.authenticators.push_back(&world.keep(std::move(key)));
  world.auth(Combine::any_of, true);
  Outcome result(world);
  CHECK(result.text == "granted -");
  CHECK(result.request.head.headers.find("x-user") == nullptr);
  CHECK(result.request.context.attribute(*Attribute::parse("claim.sub")).data() == nullptr);
}

TEST_CASE("each plugin gets its own zeroed context") {
  World world;
  auto hook = [](const FilterCall& call) {
    auto* bytes = static_cast<unsigned char*>(call.context);
    CHECK(reinterpret_cast<uintptr_t>(bytes) % alignof(std::max_align_t) == 0);
    for (int i = 0; i < 24; ++i) CHECK(bytes[i] == 0);
    std::fill_n(bytes, 24, 0xff);
    return Action::next;
  };
  for (auto name : {"a", "b", "c"}) {
    auto filter = ScriptedFilter::request_hook(name, hook);
    filter->set_context_size(24);
    world.route->chain.add(world.keep(std::move(filter)));
  }
  CHECK(outcome(world) == "granted -");
}

TEST_CASE("a path with two readings is refused before any route is looked at") {
  World world;
  Request request("GET", "x", "/a%2fb");
  request.context.snapshot = &world.snapshot;
  Decision decision(request.context, world.listener);
  CHECK(decision.start() == Step::respond);
  CHECK(request.context.local.status == 400);
  CHECK(request.context.route == nullptr);
}

TEST_CASE("a split keeps a key on one side, and raising the last side moves keys only towards it") {
  Route route;
  route.name = "orders";
  Target target;
  target.kind = Target::Kind::split;
  target.split_by = Attribute::parse("header.x-key");
  auto sides = [&](uint64_t a, uint64_t b) { target.sides = {{0, a}, {1, a + b}}; };
  auto side_of = [&](int key) {
    Request request("GET", "x", "/");
    request.header("x-key", std::to_string(key));
    request.context.route = &route;
    return split_side(target, request.context, 0.99);
  };
  constexpr int keys = 10'000;
  std::vector<uint32_t> before;
  sides(90, 10);
  for (int key = 0; key < keys; ++key) before.push_back(side_of(key));
  long second = std::ranges::count(before, 1u);
  CHECK(second > keys / 10 - 150);  // five standard deviations are 150
  CHECK(second < keys / 10 + 150);
  sides(50, 50);
  long moved = 0;
  for (int key = 0; key < keys; ++key) {
    uint32_t now = side_of(key);
    CHECK(now >= before[static_cast<size_t>(key)]);
    moved += now != before[static_cast<size_t>(key)];
  }
  CHECK(moved > 3700);
}
