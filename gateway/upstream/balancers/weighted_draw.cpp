#include "upstream/balancers/weighted_draw.h"

#include <algorithm>

namespace penstock::upstream {

void WeightedDraw::reset(std::span<const Member> members) {
  sums_.clear();
  sums_.reserve(members.size());
  uint64_t sum = 0;
  for (const Member& member : members) sums_.push_back(sum += member.weight);
}

size_t WeightedDraw::draw(const Candidates& candidates, size_t except) {
  if (sums_.empty()) return Balancer::none;
  // Drawing again until a candidate comes keeps the proportions; after a few misses the scan, which does too.
  for (int tries = 0; tries < 4; ++tries) {
    uint64_t point = random_.below(sums_.back());
    size_t index = static_cast<size_t>(std::upper_bound(sums_.begin(), sums_.end(), point) - sums_.begin());
    if (index != except && candidates.has(index)) return index;
  }
  return draw_by_scan(candidates, except);
}

size_t WeightedDraw::draw_by_scan(const Candidates& candidates, size_t except) {
  uint64_t total = 0;
  for (size_t i = 0; i < candidates.size(); ++i)
    if (i != except && candidates.has(i)) total += candidates[i].weight;
  if (total == 0) return Balancer::none;
  uint64_t point = random_.below(total);
  size_t last = Balancer::none;  // another thread may end a rest between the two passes
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (i == except || !candidates.has(i)) continue;
    last = i;
    if (point < candidates[i].weight) return i;
    point -= candidates[i].weight;
  }
  return last;
}

}  // namespace penstock::upstream
