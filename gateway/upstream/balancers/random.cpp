// Weighted random: each request draws an endpoint in proportion to its weight, without memory.
#include "upstream/balancers/weighted_draw.h"

namespace penstock::upstream {
namespace {

class RandomChoice final : public Balancer {
 public:
  explicit RandomChoice(uint64_t seed) : draw_(seed) {}
  void reset(std::span<const Member> members) override { draw_.reset(members); }
  size_t pick(const Candidates& candidates) override { return draw_.draw(candidates); }

 private:
  WeightedDraw draw_;
};

}  // namespace

std::unique_ptr<Balancer> make_random(uint64_t seed) { return std::make_unique<RandomChoice>(seed); }

}  // namespace penstock::upstream
