// The choice of an endpoint, one policy a file. A balancer sees the members of a cluster as plain facts and
// answers with an index; it knows nothing of connections. Owned by a cluster; one worker. pick() allocates
// nothing and reads shared lines only where the policy is about them (least_request).
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "upstream/cluster.h"
#include "upstream/random.h"

namespace penstock::upstream {

struct Member {
  enum class Name : uint8_t { resolved, unresolved };
  Endpoint* endpoint;
  EndpointState* state;
  uint32_t weight;  // 1..
  Name name;
};

// Which members may be chosen this time. Three rings, each tried when the one before is empty: in use,
// resting after failures, without an address. What active checks have taken out is in none of those: out.
class Candidates {
 public:
  enum class Ring : uint8_t { in_use, resting, unresolved, out };
  Candidates(std::span<const Member> members, const Tried& tried, uint64_t now_ms, Ring ring)
      : members_(members), tried_(tried), now_ms_(now_ms), ring_(ring) {}

  size_t size() const { return members_.size(); }
  const Member& operator[](size_t index) const { return members_[index]; }
  bool has(size_t index) const {
    const Member& member = members_[index];
    return ring_of(member) == ring_ && !tried_.has(member.endpoint);
  }

 private:
  Ring ring_of(const Member& member) const {
    if (member.name == Member::Name::unresolved) return Ring::unresolved;
    if (member.state->health.load(std::memory_order_relaxed) == Health::down) return Ring::out;
    uint64_t until = member.state->resting_until_ms.load(std::memory_order_relaxed);
    return until > now_ms_ ? Ring::resting : Ring::in_use;
  }

  std::span<const Member> members_;
  const Tried& tried_;
  uint64_t now_ms_;
  Ring ring_;
};

class Balancer {
 public:
  static constexpr size_t none = SIZE_MAX;
  virtual ~Balancer() = default;
  // The members or their weights changed; what pick() gets from now on has these members in this order.
  virtual void reset(std::span<const Member> members) = 0;
  virtual size_t pick(const Candidates& candidates) = 0;  // none: no candidate
};

std::unique_ptr<Balancer> make_round_robin(uint32_t worker, uint32_t workers);
std::unique_ptr<Balancer> make_random(uint64_t seed);
std::unique_ptr<Balancer> make_least_request(uint64_t seed);

std::unique_ptr<Balancer> make_balancer(BalancePolicy policy, uint32_t worker, uint32_t workers,
                                        uint64_t seed);

}  // namespace penstock::upstream
