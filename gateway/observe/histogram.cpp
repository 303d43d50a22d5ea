#include "observe/histogram.h"

#include <algorithm>

namespace penstock::observe {

void Histogram::record(int64_t ns) {
  double seconds = static_cast<double>(std::max<int64_t>(ns, 0)) * 1e-9;
  size_t bucket = std::ranges::lower_bound(duration_bounds, seconds) - duration_bounds.begin();
  ++buckets[bucket];
  ++count;
  sum += seconds;
}

void Histogram::merge(const Histogram& other) {
  for (size_t i = 0; i < buckets.size(); ++i) buckets[i] += other.buckets[i];
  count += other.count;
  sum += other.sum;
}

}  // namespace penstock::observe
