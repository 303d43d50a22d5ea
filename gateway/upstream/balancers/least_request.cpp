// The power of two choices: two different candidates are drawn by weight, the one with fewer requests under
// way for its weight gets the next. The counts are those of the whole process. When both are equal the first
// drawn wins, so without load the requests spread by weight as with random.
#include "upstream/balancers/weighted_draw.h"

namespace penstock::upstream {
namespace {

class LeastRequest final : public Balancer {
 public:
  explicit LeastRequest(uint64_t seed) : draw_(seed) {}
  void reset(std::span<const Member> members) override { draw_.reset(members); }

  size_t pick(const Candidates& candidates) override {
    size_t first = draw_.draw(candidates);
    if (first == none || candidates.size() == 1) return first;
    size_t second = draw_.draw(candidates, first);
    if (second == none) return first;
    return busier(candidates[first], candidates[second]) ? second : first;
  }

 private:
  // active/weight, multiplied out.
  static bool busier(const Member& a, const Member& b) {
    uint64_t active_a = a.state->active.sum();
    uint64_t active_b = b.state->active.sum();
    return active_a * b.weight > active_b * a.weight;
  }
  WeightedDraw draw_;
};

}  // namespace

std::unique_ptr<Balancer> make_least_request(uint64_t seed) { return std::make_unique<LeastRequest>(seed); }

}  // namespace penstock::upstream
