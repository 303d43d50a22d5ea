#include "upstream/balancers/balancer.h"

namespace penstock::upstream {

std::unique_ptr<Balancer> make_balancer(BalancePolicy policy, uint32_t worker, uint32_t workers,
                                        uint64_t seed) {
  switch (policy) {
    case BalancePolicy::round_robin: return make_round_robin(worker, workers);
    case BalancePolicy::random: return make_random(seed);
    case BalancePolicy::least_request: return make_least_request(seed);
  }
  return make_least_request(seed);
}

}  // namespace penstock::upstream
