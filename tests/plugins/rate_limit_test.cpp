#include <doctest/doctest.h>

#include <fmt/format.h>

#include <random>
#include <thread>

#include "plugin/gcra_store.h"
#include "plugins/harness.h"
#include "rate_limit/calendar.h"
#include "rate_limit/limit_key.h"

using penstock::Hash128;
using namespace penstock::plugin;
using namespace penstock::plugin::testing;
using penstock::proxy::Action;

namespace {

constexpr int64_t second = 1'000'000'000;

struct Counter {
  GcraStore store;
  Hash128 space = store.space("rate_limit", "test");
  bool take(const gw_limit& limit, int64_t now, std::string_view key = "k", uint32_t flags = 0,
            gw_limit_state* out = nullptr) {
    return store.gcra(space, key, {&limit, 1}, 1, now, flags, out) == 1;
  }
};

}  // namespace

TEST_CASE("over a time t exactly burst + floor(rate * t) are admitted, whatever the rate divides into") {
  std::mt19937_64 random(7);
  for (const gw_limit limit :
       {gw_limit{3, second, 5}, gw_limit{7, 60 * second, 7}, gw_limit{50000, 3600 * second, 50000},
        gw_limit{999983, second, 2}, gw_limit{1, 86400 * second, 3}}) {
    CAPTURE(limit.count);
    Counter counter;
    const int64_t start = 123'456'789'123;
    int64_t now = start;
    uint64_t admitted = 0;
    for (int step = 0; step < 200; ++step) {
      while (counter.take(limit, now)) ++admitted;
      const auto elapsed = static_cast<unsigned __int128>(now - start);
      const auto expected =
          limit.burst + static_cast<uint64_t>(elapsed * limit.count / static_cast<uint64_t>(limit.period_ns));
      REQUIRE(admitted == expected);
      // Never so long that the budget is full again: what would overflow is not kept.
      const auto refill = static_cast<int64_t>(static_cast<unsigned __int128>(limit.burst - 1) *
                                               static_cast<uint64_t>(limit.period_ns) / limit.count);
      now += static_cast<int64_t>(random() % static_cast<uint64_t>(refill));
    }
  }
}

TEST_CASE("at a frozen clock N threads admit exactly the burst") {
  for (int round = 0; round < 20; ++round) {
    Counter counter;
    const gw_limit limit{1, second, 1000};
    std::atomic<uint64_t> admitted{0};
    {
      std::vector<std::jthread> threads;
      for (int t = 0; t < 8; ++t) {
        threads.emplace_back([&] {
          uint64_t mine = 0;
          for (int i = 0; i < 500; ++i) mine += counter.take(limit, 5 * second) ? 1 : 0;
          admitted += mine;
        });
      }
    }
    REQUIRE(admitted == 1000);
  }
}

TEST_CASE("refused by one window, a request consumes in none") {
  Counter counter;
  const gw_limit limits[] = {{2, second, 2}, {10, 3600 * second, 10}};
  gw_limit_state state[2];
  const auto take = [&](int64_t now) {
    return counter.store.gcra(counter.space, "k", limits, 1, now, 0, state);
  };
  for (int i = 0; i < 2; ++i) CHECK(take(second) == 1);
  for (int i = 0; i < 50; ++i) CHECK(take(second) == 0);
  CHECK(state[1].remaining == 8);
  CHECK(state[0].retry_after_ns == second / 2);
  CHECK(state[1].retry_after_ns == 0);
  for (int i = 0; i < 8; ++i) CHECK(take(second * 10 + i * second) == 1);
  CHECK(take(second * 20) == 0);
  CHECK(state[1].retry_after_ns > 0);
}

TEST_CASE("a peek judges and changes nothing") {
  Counter counter;
  const gw_limit limit{1, second, 3};
  gw_limit_state state;
  for (int i = 0; i < 10; ++i) CHECK(counter.take(limit, 0, "k", GW_GCRA_PEEK, &state));
  CHECK(state.remaining == 3);
  for (int i = 0; i < 3; ++i) CHECK(counter.take(limit, 0));
  CHECK_FALSE(counter.take(limit, 0, "k", GW_GCRA_PEEK, &state));
  CHECK(state.retry_after_ns == second);
  CHECK(state.reset_ns == 3 * second);
}

TEST_CASE("a changed burst keeps the state, a changed rate starts fresh") {
  Counter counter;
  for (int i = 0; i < 5; ++i) CHECK(counter.take({5, second, 5}, 0));
  CHECK_FALSE(counter.take({5, second, 5}, 0));
  CHECK(counter.take({5, second, 6}, 0));
  CHECK_FALSE(counter.take({5, second, 6}, 0));
  CHECK(counter.take({6, second, 6}, 0));
}

TEST_CASE("the table is bounded and gives up those first that are next to rest") {
  GcraStore store(GcraStore::shard_count * 8 * 2);
  const Hash128 space = store.space("rate_limit", "test");
  const gw_limit limit{1, 3600 * second, 10};
  for (int i = 0; i < 100'000; ++i)
    REQUIRE(store.gcra(space, std::to_string(i), {&limit, 1}, 1, second, 0, nullptr) == 1);
  CHECK(store.capacity() <= GcraStore::shard_count * 8 * 2);
  CHECK(store.evictions() > 0);
  const uint64_t before = store.evictions();
  // Long after, all of them are at rest and their places are free.
  for (int i = 0; i < 100; ++i) {
    REQUIRE(store.gcra(space, fmt::format("x{}", i), {&limit, 1}, 1, 1'000'000 * second, 0, nullptr) == 1);
  }
  CHECK(store.evictions() == before);
}

TEST_CASE("limits that cannot be are refused, not guessed") {
  Counter counter;
  CHECK(counter.store.gcra(counter.space, "k", {}, 1, 0, 0, nullptr) == GW_EINVAL);
  for (const gw_limit limit : {gw_limit{0, second, 1}, gw_limit{1, 0, 1}, gw_limit{1, second, 0},
                               gw_limit{uint64_t{1} << 32, second, 1}, gw_limit{1, int64_t{1} << 53, 1}}) {
    CHECK(counter.store.gcra(counter.space, "k", {&limit, 1}, 1, 0, 0, nullptr) == GW_EINVAL);
  }
  const gw_limit largest{1, (int64_t{1} << 53) - 1, UINT32_MAX};
  CHECK(counter.store.gcra(counter.space, "k", {&largest, 1}, 1, INT64_MAX / 4, 0, nullptr) == 1);
}

TEST_CASE("keys keep their parts and kinds apart, IPv6 addresses count by prefix") {
  using rate_limit::KeyWriter;
  const auto key = [](auto... parts) {
    char buffer[256];
    KeyWriter writer(buffer, sizeof buffer);
    (writer.add(parts), ...);
    return std::string(writer.key());
  };
  const auto address = [](const char* text, unsigned bits) {
    char buffer[256];
    KeyWriter writer(buffer, sizeof buffer);
    writer.add_address(text, bits);
    return std::string(writer.key());
  };
  CHECK(key("ab", "c") != key("a", "bc"));
  CHECK(key("10.0.0.1") != address("10.0.0.1", 64));
  CHECK(address("2001:db8:1:2::1", 64) == address("2001:db8:1:2:ffff::9", 64));
  CHECK(address("2001:db8:1:2::1", 64) != address("2001:db8:1:3::1", 64));
  CHECK(address("2001:db8:1:2::1", 128) != address("2001:db8:1:2::2", 128));
  CHECK(address("2001:db8:1:2::1", 47) == address("2001:db8:0:9::1", 47));
  CHECK(address("::ffff:10.0.0.1", 64) == address("10.0.0.1", 64));
  char tiny[8];
  KeyWriter writer(tiny, sizeof tiny);
  writer.add("too long for it");
  CHECK_FALSE(writer.complete());
}

TEST_CASE("rate_limit answers 429 with Retry-After and tells what is left") {
  World w;
  REQUIRE(w.load(shipped("rate_limit")) == "");
  auto* filter =
      w.make("rate_limit", "per-ip", R"({"key": "client.address", "headers": ["ratelimit", "retry-after"],
      "limits": [{"rate": "2/s", "burst": 3}, "1000/h"]})");
  REQUIRE_MESSAGE(filter != nullptr, w.messages());
  const std::string policy = "\nratelimit-policy: \"per-ip-1\";q=3;w=2, \"per-ip-2\";q=1000;w=3600\n";
  for (const char* left :
       {"\"per-ip-1\";r=2;t=1, \"per-ip-2\";r=999;t=4", "\"per-ip-1\";r=1;t=1, \"per-ip-2\";r=998;t=8",
        "\"per-ip-1\";r=0;t=2, \"per-ip-2\";r=997;t=11"}) {
    Request r(w);
    CHECK(r.run(*filter) == Action::next);
    CHECK(r.respond(*filter) == "ratelimit: " + std::string(left) + policy);
  }
  Request refused(w);
  CHECK(refused.run(*filter) == Action::respond);
  CHECK(refused.context.local.status == 429);
  CHECK(refused.context.local.reason == "limit.rate");
  REQUIRE(refused.context.local.headers != nullptr);
  CHECK(refused.context.local.headers->name == "retry-after");
  CHECK(refused.context.local.headers->value == "1");
  CHECK(refused.respond(*filter).starts_with("ratelimit: \"per-ip-1\";r=0;"));
  Request other(w);
  other.context.client_address = "203.0.113.10";
  CHECK(other.run(*filter) == Action::next);
  Request later(w);
  later.context.monotonic_ns += second;
  CHECK(later.run(*filter) == Action::next);
  CHECK(w.counted("penstock_ratelimit_decisions_total", "per-ip", "allowed") == 5);
  CHECK(w.counted("penstock_ratelimit_decisions_total", "per-ip", "refused") == 1);
}

TEST_CASE("a tier replaces the limits whole, none lifts them, a missing key part is the address") {
  World w;
  REQUIRE(w.load(shipped("rate_limit")) == "");
  const auto& partner = w.consumer("mobile", {"partners"});
  const auto& internal = w.consumer("billing", {"internal"});
  auto* filter = w.make("rate_limit", "per-consumer", R"({"key": "consumer.id", "limits": "1/h",
      "tiers": {"partners": ["2/h"], "internal": "none"}})");
  REQUIRE_MESSAGE(filter != nullptr, w.messages());
  const auto admitted = [&](const penstock::proxy::Consumer* consumer) {
    int count = 0;
    for (int i = 0; i < 5; ++i) {
      Request r(w);
      r.context.consumer = consumer;
      if (consumer != nullptr) r.context.consumer_id = consumer->name;
      count += r.run(*filter) == Action::next ? 1 : 0;
      if (i == 0) CHECK(r.respond(*filter) == "");
    }
    return count;
  };
  CHECK(admitted(&partner) == 2);
  CHECK(admitted(&internal) == 5);
  CHECK(admitted(nullptr) == 1);
}

TEST_CASE("explain says which limit it depends on, and takes nothing from it") {
  World w;
  REQUIRE(w.load(shipped("rate_limit")) == "");
  auto* filter = w.make("rate_limit", "per-ip", R"({"key": ["client.address", "route.name"],
      "limits": [{"rate": "1/s", "burst": 2}, "50/h"]})");
  REQUIRE_MESSAGE(filter != nullptr, w.messages());
  for (int i = 0; i < 5; ++i) {
    Request r(w);
    const auto said = r.explain(*filter);
    CHECK(said.verdict == penstock::proxy::Explanation::Verdict::depends);
    CHECK(said.on == penstock::proxy::Explanation::On::limit);
    CHECK(said.detail == "client.address + route.name, 1/s, burst 2; 50/h");
  }
  Request first(w), second_one(w), third(w);
  CHECK(first.run(*filter) == Action::next);
  CHECK(second_one.run(*filter) == Action::next);
  CHECK(third.run(*filter) == Action::respond);
}

TEST_CASE("the counts of an instance survive a reload by its name") {
  World w;
  REQUIRE(w.load(shipped("rate_limit")) == "");
  const char* config = R"({"key": "client.address", "limits": "1/h"})";
  Request first(w);
  CHECK(first.run(*w.make("rate_limit", "a", config)) == Action::next);
  w.stop_all();
  Request second_one(w), other(w);
  CHECK(second_one.run(*w.make("rate_limit", "a", config)) == Action::respond);
  CHECK(other.run(*w.make("rate_limit", "b", config)) == Action::next);
}

TEST_CASE("a very long header as a key is counted, not cut") {
  World w;
  REQUIRE(w.load(shipped("rate_limit")) == "");
  auto* filter = w.make("rate_limit", "by-header", R"({"key": "header.x-tenant", "limits": "1/h"})");
  REQUIRE_MESSAGE(filter != nullptr, w.messages());
  const std::string tenant(20'000, 'x');
  Request a(w), b(w), c(w);
  CHECK(a.header("x-tenant", tenant + "a").run(*filter) == Action::next);
  CHECK(b.header("x-tenant", tenant + "b").run(*filter) == Action::next);
  CHECK(c.header("x-tenant", tenant + "a").run(*filter) == Action::respond);
}

TEST_CASE("a wrong rate_limit configuration is refused with the place") {
  World w;
  REQUIRE(w.load(shipped("rate_limit")) == "");
  const auto refused = [&](const char* json, const char* part) {
    CAPTURE(json);
    CHECK(w.make("rate_limit", "l", json) == nullptr);
    CHECK_MESSAGE(w.messages().find(part) != std::string::npos, w.messages());
  };
  refused(R"({"key": "client.address", "limts": ["1/s"], "limits": ["1/s"]})", "unknown-key plugins.l.limts");
  refused(R"({"key": "client.adress", "limits": ["1/s"]})", "'client.adress' is no attribute");
  refused(R"({"key": "client.address", "limits": ["1/w"]})", "plugins.l.limits[0]: '1/w' is no rate");
  refused(R"({"key": "client.address", "limits": [{"rate": "1/s", "burst": 0}]})", "must be from 1");
  refused(R"({"key": "client.address", "limits": ["1/s"], "store": "redis"})", "needs 'redis' at the top");
  refused(R"({"key": "client.address", "limits": []})", "limits nothing");
  refused(R"({"key": "client.address"})", "limits nothing");
  refused(R"({"key": "client.address", "concurrency": 0})", "must be from 1");
  refused(R"({"key": "client.address", "quota": [{"count": 5, "per": "week"}]})", "not one of: day, month");
  refused(R"({"key": "client.address", "quota": [{"count": 5, "per": "day"}, {"count": 6, "per": "day"}]})",
          "two quotas for one period");
  refused(R"({"key": "client.address", "limits": ["1/s"], "cost": "header"})",
          "neither a number nor an attribute");
  refused(R"({"key": "client.address", "limits": ["1/s"], "cost": 0})", "must be from 1 to 1000000");
  refused(R"({"key": "client.address", "limits": ["1/s"], "tiers": {"g": {"limit": "1/s"}}})",
          "tiers.g.limit");
  CHECK(w.make("rate_limit", "l", R"({"key": "client.address", "limits": "1/s"})",
               penstock::proxy::OnError::skip) == nullptr);
  CHECK(w.messages().find("bad-on-error") != std::string::npos);
}

namespace {

void end(penstock::proxy::Filter& filter, Request& r) {
  penstock::proxy::Summary summary;
  filter.on_complete(r.call(filter), summary);
}

}  // namespace

TEST_CASE(
    "requests at once: a place is held to the end, once, over a reload, and by whoever was let in alone") {
  World w;
  REQUIRE(w.load(shipped("rate_limit")) == "");
  const char* config = R"({"key": "client.address", "concurrency": 2, "headers": ["ratelimit"]})";
  auto* filter = w.make("rate_limit", "l", config);
  REQUIRE_MESSAGE(filter != nullptr, w.messages());
  Request one(w), two(w), three(w), four(w);
  CHECK(one.run(*filter) == Action::next);
  CHECK(one.respond(*filter) ==
        "ratelimit: \"l-concurrency\";r=1\n"
        "ratelimit-policy: \"l-concurrency\";q=2;qu=\"concurrent-requests\"\n");
  CHECK(two.run(*filter) == Action::next);
  CHECK(three.run(*filter) == Action::respond);
  CHECK(three.context.local.reason == "limit.concurrency");
  end(*filter, three);  // held nothing
  auto* next = w.make("rate_limit", "l", config);
  CHECK(four.run(*next) == Action::respond);
  end(*filter, one);
  end(*filter, one);  // once is enough
  CHECK(four.run(*next) == Action::next);
  end(*next, four);
  end(*filter, two);
  CHECK(w.host.values().entries() == 0);
}

TEST_CASE("a tier has its own parts and the instance's for the rest") {
  World w;
  REQUIRE(w.load(shipped("rate_limit")) == "");
  auto* filter = w.make("rate_limit", "l", R"({"key": "consumer.id", "limits": "1/h", "concurrency": 5,
      "quota": [{"count": 3, "per": "day"}],
      "tiers": {"gold": {"limits": "4/h", "quota": "none"}, "quiet": {"concurrency": "none"}}})");
  REQUIRE_MESSAGE(filter != nullptr, w.messages());
  const auto explained = [&](const char* group) {
    Request r(w);
    const auto& consumer = w.consumer(std::string("c-") + group, {group});
    r.context.consumer = &consumer;
    r.context.consumer_id = consumer.name;
    return std::string(r.explain(*filter).detail);
  };
  CHECK(explained("gold") == "consumer.id, 4/h; 5 at once");
  CHECK(explained("quiet") == "consumer.id, 1/h; 3 a day");
  CHECK(explained("other") == "consumer.id, 1/h; 3 a day; 5 at once");
}

TEST_CASE("a request costs what the configuration or its header says, never less than one") {
  World w;
  REQUIRE(w.load(shipped("rate_limit")) == "");
  auto* fixed = w.make("rate_limit", "fixed", R"({"key": "client.address", "limits": "10/h", "cost": 4})");
  auto* sent = w.make("rate_limit", "sent", R"({"key": "client.address", "limits": "100/h",
      "cost": {"from": "header.x-cost", "max": 20, "missing": 2}, "headers": ["x-ratelimit"]})");
  REQUIRE_MESSAGE(sent != nullptr, w.messages());
  Request a(w), b(w), c(w);
  CHECK(a.run(*fixed) == Action::next);
  CHECK(b.run(*fixed) == Action::next);
  CHECK(c.run(*fixed) == Action::respond);
  const auto left = [&](const char* cost) {
    Request r(w);
    if (cost != nullptr) r.header("x-cost", cost);
    CHECK(r.run(*sent) == Action::next);
    const std::string said = r.respond(*sent);
    return said.substr(0, said.find("\nx-ratelimit-reset"));
  };
  const auto fields = [](int remaining) {
    return fmt::format("x-ratelimit-limit: 100\nx-ratelimit-remaining: {}", remaining);
  };
  CHECK(left(nullptr) == fields(98));
  CHECK(left("5") == fields(93));
  CHECK(left("1000000") == fields(73));
  CHECK(left("0") == fields(53));
  CHECK(left("-1") == fields(33));
  CHECK(left("1 ") == fields(13));
  auto* dear = w.make("rate_limit", "dear", R"({"key": "client.address", "limits": "10/h", "cost": 11})");
  Request never(w);
  CHECK(never.run(*dear) == Action::respond);
  CHECK(never.context.local.headers == nullptr);  // no Retry-After would be true
}

TEST_CASE("a quota ends with its day or month of UTC, and Retry-After says when") {
  World w;
  REQUIRE(w.load(shipped("rate_limit")) == "");
  auto* filter = w.make("rate_limit", "l", R"({"key": "client.address", "headers": ["ratelimit"],
      "quota": [{"count": 2, "per": "day"}, {"count": 3, "per": "month"}]})");
  REQUIRE_MESSAGE(filter != nullptr, w.messages());
  const auto at = [&](int64_t seconds) {  // after 2027-01-15T08:00:00Z
    Request r(w);
    r.context.wall_ns += seconds * second;
    r.context.monotonic_ns += seconds * second;
    const bool next = r.run(*filter) == Action::next;
    return next ? std::string("next")
                : std::string(r.context.local.reason) + " " + std::string(r.context.local.headers->value);
  };
  CHECK(at(0) == "next");
  CHECK(at(1) == "next");
  CHECK(at(2) == "limit.quota 57598");
  CHECK(at(57'599) == "limit.quota 1");
  CHECK(at(57'600) == "next");
  CHECK(at(57'601) == fmt::format("limit.quota {}", 16 * 86'400 - 1));  // January is used up
  CHECK(at(57'600 + 16 * 86'400) == "next");
}

TEST_CASE("a dry run lets through, counts, and says so at times") {
  World w;
  REQUIRE(w.load(shipped("rate_limit")) == "");
  auto* filter = w.make("rate_limit", "l", R"({"key": "client.address", "limits": "1/h", "concurrency": 3,
      "dry_run": true})");
  REQUIRE_MESSAGE(filter != nullptr, w.messages());
  std::vector<std::unique_ptr<Request>> all;
  for (int i = 0; i < 5; ++i) {
    all.push_back(std::make_unique<Request>(w));
    all.back()->context.monotonic_ns += i * 6 * second;
    CHECK(all.back()->run(*filter) == Action::next);
  }
  CHECK(w.counted("penstock_ratelimit_decisions_total", "l", "allowed") == 1);
  CHECK(w.counted("penstock_ratelimit_decisions_total", "l", "refused") == 0);
  CHECK(w.counted("penstock_ratelimit_decisions_total", "l", "dry_run") == 4);
  CHECK(w.log.find("would have refused 1 requests, the last one for limit.rate") != std::string::npos);
  CHECK(w.log.find("would have refused 2 requests, the last one for limit.concurrency") != std::string::npos);
  for (auto& one : all) end(*filter, *one);
  CHECK(w.host.values().entries() == 0);
}

TEST_CASE("a plain limit has no hook at the end and none for the answer: it costs nothing there") {
  World w;
  REQUIRE(w.load(shipped("rate_limit")) == "");
  auto* plain = w.make("rate_limit", "plain", R"({"key": "client.address", "limits": "1/h"})");
  auto* more = w.make("rate_limit", "more", R"({"key": "client.address", "concurrency": 1,
      "headers": ["x-ratelimit"]})");
  using penstock::proxy::Filter;
  CHECK_FALSE(plain->has(Filter::complete_hook));
  CHECK_FALSE(plain->has(Filter::response_headers_hook));
  CHECK(more->has(Filter::complete_hook));
  CHECK(more->has(Filter::response_headers_hook));
}

TEST_CASE("months have their lengths, leap years among them") {
  using rate_limit::left_ns;
  using rate_limit::Per;
  // Every day of 200 years against the C library.
  constexpr int64_t day = 86'400;
  for (int64_t number = 0; number < 200 * 366; ++number) {
    const time_t at = number * day + 12'345;
    tm parts{};
    gmtime_r(&at, &parts);
    tm next{};
    next.tm_year = parts.tm_year + (parts.tm_mon == 11 ? 1 : 0);
    next.tm_mon = (parts.tm_mon + 1) % 12;
    next.tm_mday = 1;
    REQUIRE(left_ns(Per::month, int64_t{at} * second) == (int64_t{timegm(&next)} - at) * second);
    REQUIRE(left_ns(Per::day, int64_t{at} * second) == (day - 12'345) * second);
  }
}
