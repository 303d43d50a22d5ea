#include "discovery/name_watch.h"

#include <doctest/doctest.h>

#include "unit/net/net_support.h"

using namespace penstock;
using namespace penstock::discovery;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

// A name server without a network: the test gives the answers.
struct FakeNames {
  struct Query final : net::Resolver::Query {
    explicit Query(int& of) : pending(of) { ++pending; }
    ~Query() override { --pending; }
    int& pending;
  };
  NameWatch::Lookup lookup() {
    return [this](const std::string& name, NameWatch::Answer fn) {
      asked.push_back(name);
      asked_at_ms.push_back(runner.loop.now_ms());
      answer = std::move(fn);
      return std::make_unique<Query>(pending);
    };
  }
  void addresses(const std::vector<std::string>& ips, seconds ttl) {
    net::Resolved resolved;
    for (const std::string& ip : ips) resolved.addresses.push_back(*net::Address::from_ip(ip, 0));
    resolved.ttl = ttl;
    answer(resolved);
  }
  void fails(ErrorKind kind) { answer(std::unexpected(Error{.kind = kind})); }

  net::LoopRunner runner;
  std::vector<std::string> asked;
  std::vector<uint64_t> asked_at_ms;
  NameWatch::Answer answer;
  int pending = 0;
};

struct Watched {
  explicit Watched(FakeNames& names)
      : watch(
            names.runner.loop, names.lookup(), "users.test",
            [this](const std::vector<net::Address>& addresses) {
              std::string text;
              for (const net::Address& address : addresses) text += address.ip() + " ";
              changes.push_back(text);
            },
            [this](const std::string& line) { lines.push_back(line); }) {
    watch.start();
  }
  std::vector<std::string> changes, lines;
  NameWatch watch;
};

}  // namespace

TEST_CASE("the time to the next question follows the TTL between a second and five minutes") {
  CHECK(delay_after_answer(seconds(0)) == milliseconds(1'000));
  CHECK(delay_after_answer(seconds(-1)) == milliseconds(1'000));
  CHECK(delay_after_answer(seconds(2)) == milliseconds(2'000));
  CHECK(delay_after_answer(seconds(300)) == milliseconds(300'000));
  CHECK(delay_after_answer(seconds(86'400)) == milliseconds(300'000));
  CHECK(delay_after_answer(seconds::max()) == milliseconds(300'000));
}

TEST_CASE("the time to the next question doubles with each failure up to thirty seconds") {
  std::vector<int64_t> delays;
  for (uint32_t failures : {1u, 2u, 3u, 4u, 5u, 6u, 7u, 1'000'000u})
    delays.push_back(delay_after_failures(failures).count());
  CHECK(delays == std::vector<int64_t>{1'000, 2'000, 4'000, 8'000, 16'000, 30'000, 30'000, 30'000});
}

TEST_CASE("a watched name reports addresses in order, each once, and only when they differ") {
  FakeNames names;
  Watched watched(names);
  CHECK(names.asked == std::vector<std::string>{"users.test"});
  names.addresses({"2001:db8::1", "10.0.0.9", "10.0.0.2", "10.0.0.9"}, seconds(0));
  CHECK(watched.changes == std::vector<std::string>{"10.0.0.2 10.0.0.9 2001:db8::1 "});
  names.runner.until([&] { return names.asked.size() == 2; });
  CHECK(names.asked_at_ms[1] - names.asked_at_ms[0] >= 1'000);
  names.addresses({"10.0.0.2", "10.0.0.9", "2001:db8::1"}, seconds(300));
  CHECK(watched.changes.size() == 1);
  CHECK(watched.lines.empty());
}

TEST_CASE("errors and empty answers change nothing and are asked again") {
  FakeNames names;
  Watched watched(names);
  names.addresses({"10.0.0.1"}, seconds(0));
  names.runner.until([&] { return names.asked.size() == 2; });
  names.fails(ErrorKind::timeout);
  CHECK(watched.changes.size() == 1);
  CHECK(watched.lines.size() == 1);
  CHECK(watched.lines[0].find("stay in use") != std::string::npos);
  names.runner.until([&] { return names.asked.size() == 3; });
  names.addresses({}, seconds(60));
  CHECK(watched.changes.size() == 1);
  names.runner.until([&] { return names.asked.size() == 4; });
  CHECK(names.asked_at_ms[3] - names.asked_at_ms[2] >= 2'000);  // the second failure in a row
  names.addresses({"10.0.0.2"}, seconds(60));
  CHECK(watched.changes.back() == "10.0.0.2 ");
  CHECK(watched.lines.back().find("resolves again") != std::string::npos);
}

TEST_CASE("a watch that ends takes its question back") {
  FakeNames names;
  {
    Watched watched(names);
    CHECK(names.pending == 1);
  }
  CHECK(names.pending == 0);
}
