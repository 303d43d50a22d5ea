// Smooth weighted round robin: every candidate earns its weight, the richest is chosen and pays what all have
// earned. Weights 5,1,1 give a a b a c a a, never five times a at a stretch. Each worker begins at another
// point of the cycle, so that N workers do not all start with the first endpoint.
#include <algorithm>
#include <vector>

#include "upstream/balancers/balancer.h"

namespace penstock::upstream {
namespace {

class RoundRobin final : public Balancer {
 public:
  RoundRobin(uint32_t worker, uint32_t workers) : worker_(worker), workers_(std::max(1u, workers)) {}

  void reset(std::span<const Member> members) override {
    earned_.assign(members.size(), 0);
    uint64_t cycle = 0;
    for (const Member& member : members) cycle += member.weight;
    // Bounded, since weights may be huge; the point is only that workers differ.
    uint64_t offset = std::min<uint64_t>(cycle * (worker_ % workers_) / workers_, 1000);
    for (; offset > 0; --offset) choose(members.size(), [&](size_t i) { return members[i].weight; });
  }

  size_t pick(const Candidates& candidates) override {
    return choose(candidates.size(), [&](size_t i) { return candidates.has(i) ? candidates[i].weight : 0; });
  }

 private:
  // weight_of(i) is 0 for who is no candidate.
  template <class WeightOf>
  size_t choose(size_t count, WeightOf weight_of) {
    int64_t total = 0;
    for (size_t i = 0; i < count; ++i) total += weight_of(i);
    size_t best = none;
    for (size_t i = 0; i < count; ++i) {
      uint32_t weight = weight_of(i);
      if (weight == 0) continue;
      // Nothing over the total can be earned while all are candidates. When a heavy one drops out, what the
      // light ones earned beside it must not decide thousands of choices.
      earned_[i] = std::clamp(earned_[i], -total, total) + weight;
      if (best == none || earned_[i] > earned_[best]) best = i;
    }
    if (best != none) earned_[best] -= total;
    return best;
  }

  uint32_t worker_, workers_;
  std::vector<int64_t> earned_;
};

}  // namespace

std::unique_ptr<Balancer> make_round_robin(uint32_t worker, uint32_t workers) {
  return std::make_unique<RoundRobin>(worker, workers);
}

}  // namespace penstock::upstream
