// Draws a candidate with a probability in proportion to its weight: what random and least_request share. Few
// steps when all members are candidates, exact for any subset. Owned by a balancer; one worker.
#pragma once
#include <vector>

#include "upstream/balancers/balancer.h"

namespace penstock::upstream {

class WeightedDraw {
 public:
  explicit WeightedDraw(uint64_t seed) : random_(seed) {}
  void reset(std::span<const Member> members);
  // Balancer::none when there is no candidate but `except`.
  size_t draw(const Candidates& candidates, size_t except = Balancer::none);

 private:
  size_t draw_by_scan(const Candidates& candidates, size_t except);
  Random random_;
  std::vector<uint64_t> sums_;  // of the weights up to and with each member
};

}  // namespace penstock::upstream
