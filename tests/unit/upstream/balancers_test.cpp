#include <doctest/doctest.h>

#include <cmath>
#include <deque>
#include <string>
#include <vector>

#include "upstream/balancers/balancer.h"

using namespace penstock::upstream;

namespace {

// Members without endpoints behind them: a balancer only compares the pointers.
struct Members {
  explicit Members(const std::vector<uint32_t>& weights) {
    states.resize(weights.size());
    for (size_t i = 0; i < weights.size(); ++i)
      list.push_back({reinterpret_cast<Endpoint*>(uintptr_t{64} * (i + 1)), &states[i], weights[i],
                      Member::Name::resolved});
  }
  size_t pick(Balancer& balancer, const Tried& tried = {}, uint64_t now_ms = 0) {
    return balancer.pick(Candidates(list, tried, now_ms, Candidates::Ring::in_use));
  }
  std::string sequence(Balancer& balancer, size_t count) {
    std::string text;
    for (size_t i = 0; i < count; ++i) text += static_cast<char>('a' + pick(balancer));
    return text;
  }
  std::deque<EndpointState> states;
  std::vector<Member> list;
};

// Pearson's statistic of what was counted against weights; the bound is the 99.9% quantile, approximated by
// Wilson and Hilferty. The seeds are fixed, so this either always holds or never.
void check_distribution(const std::vector<uint64_t>& counted, const std::vector<uint32_t>& weights) {
  double total = 0, sum = 0, statistic = 0;
  for (uint64_t n : counted) total += static_cast<double>(n);
  for (uint32_t weight : weights) sum += weight;
  for (size_t i = 0; i < counted.size(); ++i) {
    double expected = total * weights[i] / sum;
    double difference = static_cast<double>(counted[i]) - expected;
    statistic += difference * difference / expected;
  }
  double k = static_cast<double>(counted.size() - 1);
  double bound = k * std::pow(1 - 2 / (9 * k) + 3.09 * std::sqrt(2 / (9 * k)), 3);
  CAPTURE(statistic);
  CHECK(statistic < bound);
}

std::vector<uint64_t> count_picks(Members& members, Balancer& balancer, size_t picks,
                                  const Tried& tried = {}) {
  std::vector<uint64_t> counted(members.list.size());
  for (size_t i = 0; i < picks; ++i) {
    size_t index = members.pick(balancer, tried);
    REQUIRE(index < counted.size());
    ++counted[index];
  }
  return counted;
}

}  // namespace

TEST_CASE("round robin spreads a heavy endpoint smoothly over the cycle") {
  auto balancer = make_round_robin(0, 1);
  Members uneven({5, 1, 1});
  balancer->reset(uneven.list);
  CHECK(uneven.sequence(*balancer, 14) == "aabacaaaabacaa");
  Members even({1, 1, 1});
  balancer->reset(even.list);
  CHECK(even.sequence(*balancer, 6) == "abcabc");
  Members three_to_one({1, 3});
  balancer->reset(three_to_one.list);
  CHECK(three_to_one.sequence(*balancer, 8) == "babbbabb");
}

TEST_CASE("round robin begins at another point of the cycle on each worker") {
  Members members({1, 1, 1, 1});
  std::string starts;
  for (uint32_t worker = 0; worker < 4; ++worker) {
    auto balancer = make_round_robin(worker, 4);
    balancer->reset(members.list);
    starts += members.sequence(*balancer, 1);
  }
  CHECK(starts == "abcd");
}

TEST_CASE("round robin passes over endpoints that rest or were tried") {
  auto balancer = make_round_robin(0, 1);
  Members members({1, 1, 1});
  members.states[1].resting_until_ms = 100;
  balancer->reset(members.list);
  Tried tried;
  tried.add(members.list[2].endpoint);
  CHECK(members.pick(*balancer, tried, 99) == 0);
  CHECK(members.pick(*balancer, tried, 99) == 0);
  tried.add(members.list[0].endpoint);
  CHECK(members.pick(*balancer, tried, 99) == Balancer::none);
  CHECK(members.pick(*balancer, tried, 100) == 1);  // the rest is over
}

TEST_CASE("round robin stays even among light endpoints when a very heavy one drops out") {
  auto balancer = make_round_robin(0, 1);
  Members members({1'000'000, 1, 1});
  balancer->reset(members.list);
  (void)count_picks(members, *balancer, 1'000);
  members.states[0].resting_until_ms = 1'000;
  auto counted = count_picks(members, *balancer, 100);
  CHECK(counted[0] == 0);
  CHECK(counted[1] >= 48);
  CHECK(counted[2] >= 48);
}

TEST_CASE("random draws endpoints in proportion to their weights") {
  std::vector<uint32_t> weights = {1, 2, 3, 10, 84};
  Members members(weights);
  for (uint64_t seed : {1u, 2u, 3u}) {
    auto balancer = make_random(seed);
    balancer->reset(members.list);
    check_distribution(count_picks(members, *balancer, 100'000), weights);
  }
}

TEST_CASE("random keeps the proportions of those that are left") {
  Members members({1, 3, 96, 4});
  auto balancer = make_random(7);
  balancer->reset(members.list);
  Tried tried;
  tried.add(members.list[2].endpoint);
  auto counted = count_picks(members, *balancer, 80'000, tried);
  CHECK(counted[2] == 0);
  check_distribution({counted[0], counted[1], counted[3]}, {1, 3, 4});
}

TEST_CASE("random picks differ with the seed") {
  Members members({1, 1, 1, 1});
  auto one = make_random(1), other = make_random(2);
  one->reset(members.list);
  other->reset(members.list);
  CHECK(members.sequence(*one, 32) != members.sequence(*other, 32));
}

TEST_CASE("least_request prefers the endpoint with fewer requests for its weight") {
  auto balancer = make_least_request(3);
  Members two({1, 1});
  balancer->reset(two.list);
  two.states[0].active.add(0, 1);
  two.states[0].active.add(1, 1);
  two.states[1].active.add(1, 1);
  CHECK(two.sequence(*balancer, 20) == std::string(20, 'b'));

  Members weighted({1, 4});
  balancer->reset(weighted.list);
  weighted.states[0].active.add(0, 1);
  weighted.states[1].active.add(0, 3);  // 3/4 of a request for its weight
  CHECK(weighted.sequence(*balancer, 20) == std::string(20, 'b'));
  weighted.states[1].active.add(9, 2);
  CHECK(weighted.sequence(*balancer, 20) == std::string(20, 'a'));
}

TEST_CASE("requests are counted on a line for each worker, and together") {
  EndpointState state;
  for (uint32_t worker = 0; worker < 20; ++worker) state.active.add(worker, 3);
  CHECK(state.active.sum() == 60);
  for (uint32_t worker = 0; worker < 20; ++worker) state.active.remove(worker, 2);
  CHECK(state.active.sum() == 20);
}

TEST_CASE("least_request spreads by weight while nothing is under way") {
  std::vector<uint32_t> weights = {1, 2, 5};
  Members members(weights);
  auto balancer = make_least_request(11);
  balancer->reset(members.list);
  check_distribution(count_picks(members, *balancer, 80'000), weights);
}

TEST_CASE("least_request evens out requests that stay") {
  Members members({1, 1, 1, 1, 1, 1, 1, 1});
  auto balancer = make_least_request(5);
  balancer->reset(members.list);
  for (int i = 0; i < 800; ++i) members.states[members.pick(*balancer)].active.add(0, 1);
  for (const EndpointState& state : members.states) {
    CHECK(state.active.sum() >= 95);
    CHECK(state.active.sum() <= 105);
  }
}

TEST_CASE("every policy picks the last candidate and then none") {
  Members members({3, 1, 2});
  for (BalancePolicy policy :
       {BalancePolicy::round_robin, BalancePolicy::random, BalancePolicy::least_request}) {
    auto balancer = make_balancer(policy, 1, 4, 9);
    balancer->reset(members.list);
    Tried tried;
    tried.add(members.list[0].endpoint);
    tried.add(members.list[2].endpoint);
    CHECK(members.pick(*balancer, tried) == 1);
    tried.add(members.list[1].endpoint);
    CHECK(members.pick(*balancer, tried) == Balancer::none);
    balancer->reset({});
    CHECK(balancer->pick(Candidates({}, tried, 0, Candidates::Ring::in_use)) == Balancer::none);
  }
}

TEST_CASE("an endpoint's state is found again while somebody holds it") {
  EndpointStates states;
  auto state = states.get("users", "127.0.0.1:80");
  state->active.add(0, 3);
  states.sweep();
  CHECK(states.get("users", "127.0.0.1:80") == state);
  CHECK(states.get("docs", "127.0.0.1:80") != state);
  state.reset();
  states.sweep();
  CHECK(states.get("users", "127.0.0.1:80")->active.sum() == 0);
}
