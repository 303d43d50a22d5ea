#include "server/wait_lists.h"

#include <doctest/doctest.h>

#include <array>

#include "http/connection.h"

using namespace penstock;
using http::Awaited;
using server::WaitLists;

namespace {

struct Waiting final : http::DownstreamConnection {
  explicit Waiting(uint64_t since = 1'000) : since_ms(since) {}
  void drain(uint32_t) override {}
  void close() override {}
  void shed(Limit) override {}
  size_t open_streams() const override { return 0; }
  uint64_t waiting_since_ms() const override { return since_ms; }
  uint64_t slow_body_since_ms() const override { return since_ms; }
  void count_wait_from(uint64_t) override {}
  size_t held_bytes() const override { return 0; }
  void probe() override {}
  const net::TlsInfo* tls() const override { return nullptr; }
  uint64_t since_ms;
};

// Nobody has sent anything that was not read.
http::DownstreamConnection* longest(WaitLists& waits, uint64_t now_ms) {
  return waits.longest({0, now_ms}, [](http::DownstreamConnection&) { return false; }).connection;
}

}  // namespace

TEST_CASE("who waits for nothing has nobody's place") {
  WaitLists waits;
  CHECK(longest(waits, 1'000'000) == nullptr);
  CHECK(waits.slowest_body(1'000'000) == nullptr);
  CHECK(waits.ripe_at_ms() == UINT64_MAX);
}

TEST_CASE("the idle go at once, the silent and the slow after their grace, and before the idle then") {
  WaitLists waits;
  Waiting silent(1'000), head(1'000), idle(1'000), later(1'001), body(1'000);
  waits.add(silent, Awaited::first_byte);
  waits.add(head, Awaited::rest_of_head);
  waits.add(body, Awaited::body);
  CHECK(longest(waits, 1'249) == nullptr);
  CHECK(waits.ripe_at_ms() == 1'250);
  waits.add(idle, Awaited::next_request);
  waits.add(later, Awaited::next_request);
  CHECK(longest(waits, 1'001) == &idle);
  CHECK(longest(waits, 1'250) == &silent);
  silent.http::WaitHook::unlink();
  CHECK(longest(waits, 1'499) == &idle);
  CHECK(longest(waits, 1'500) == &head);
  waits.add(head, Awaited::next_request);  // it had its answer
  CHECK(longest(waits, 1'500) == &idle);
  waits.add(idle, Awaited::next_request);  // another request
  CHECK(longest(waits, 1'500) == &later);
  CHECK(waits.slowest_body(3'999) == nullptr);
  CHECK(waits.slowest_body(4'000) == &body);
}

// Else silent connections come in as slowly as they are sent away, and all others wait behind them.
TEST_CASE("who was silent in the kernel's queue already has the rest of its grace alone") {
  WaitLists waits;
  Waiting silent(1'000), other(1'000);
  silent.quiet_ms = 200;
  waits.add(silent, Awaited::first_byte);
  CHECK(waits.ripe_at_ms() == 1'050);
  CHECK(longest(waits, 1'049) == nullptr);
  CHECK(longest(waits, 1'050) == &silent);
  silent.http::WaitHook::unlink();
  other.quiet_ms = 10'000;
  waits.add(other, Awaited::first_byte);
  CHECK(longest(waits, 1'001) == nullptr);  // for a turn of the loop
  CHECK(longest(waits, 1'002) == &other);
  waits.add(other, Awaited::rest_of_head);  // it has spoken now
  CHECK(waits.ripe_at_ms() == 1'500);
}

TEST_CASE("whose request has come already is spared once, and few are asked in one look") {
  WaitLists waits;
  Waiting sent(1'000), quiet(1'001);
  waits.add(sent, Awaited::next_request);
  waits.add(quiet, Awaited::next_request);
  int asked = 0;
  auto ask = [&](http::DownstreamConnection& connection) { return ++asked, &connection == &sent; };
  CHECK(waits.longest({1, 2'000}, ask).connection == &quiet);
  CHECK(asked == 2);
  quiet.http::WaitHook::unlink();
  CHECK(waits.longest({2, 2'500}, ask).asked_out);            // it is not read for certain
  CHECK(waits.longest({9, 2'099}, ask).asked_out);            // the rest of it may be on its way
  CHECK(waits.longest({3, 2'100}, ask).connection == &sent);  // what it sent was no request
  CHECK(asked == 2);
  waits.add(sent, Awaited::rest_of_head);  // its next wait
  CHECK(waits.longest({4, 4'000}, ask).asked_out);
  CHECK(asked == 3);
}

TEST_CASE("a call in which nobody says anything goes after its grace, the one that is quiet longest first") {
  WaitLists waits;
  Waiting quiet(1'000), body(1'000), later(1'001);
  waits.add(quiet, Awaited::call);
  waits.add(later, Awaited::call);
  waits.add(body, Awaited::body);
  CHECK(waits.quietest_call(3'999) == nullptr);
  CHECK(waits.ripe_at_ms() == 4'000);
  CHECK(waits.quietest_call(4'000) == &quiet);
  CHECK(waits.slowest_body(4'000) == &body);
  CHECK(longest(waits, 1'000'000) == nullptr);
  waits.add(quiet, Awaited::call);  // something was said in it
  CHECK(waits.quietest_call(4'001) == &later);
}

TEST_CASE("one that is spared does not hide those who wait for something else") {
  WaitLists waits;
  Waiting sent(1'000), idle(1'001);
  waits.add(sent, Awaited::first_byte);
  waits.add(idle, Awaited::next_request);
  auto ask = [&](http::DownstreamConnection& connection) { return &connection == &sent; };
  CHECK(waits.longest({1, 2'000}, ask).connection == &idle);
  CHECK(waits.longest({1, 2'000}, ask).connection == &idle);
}

TEST_CASE("when all have sent something nobody goes in this look") {
  WaitLists waits;
  std::array<Waiting, 100> all;
  for (Waiting& each : all) waits.add(each, Awaited::next_request);
  int asked = 0;
  auto look = waits.longest({1, 2'000}, [&](http::DownstreamConnection&) { return ++asked > 0; });
  CHECK(look.connection == nullptr);
  CHECK(look.asked_out);
  CHECK(asked < 10);
}
