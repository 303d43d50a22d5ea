// Which side of a split a request takes: hash(route, key) as a point in [0, 1) against cumulative weights in
// the order written, so that raising the last side moves keys only towards it.
#include "proxy/decision.h"

namespace penstock::proxy {
namespace {

uint64_t mix(uint64_t x) {  // finaliser with full avalanche: close keys land far apart
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdULL;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ULL;
  return x ^ (x >> 33);
}

// FNV-1a: stable over builds and machines, so that a fleet agrees.
uint64_t hash(uint64_t seed, std::string_view text) {
  for (unsigned char c : text) seed = (seed ^ c) * 0x100000001b3ULL;
  return seed;
}

}  // namespace

uint32_t split_side(const Target& target, const RequestContext& request, double random) {
  double point = random;
  if (target.split_by) {
    std::string_view key = request.attribute(*target.split_by);
    if (!key.data()) key = request.client_address;
    uint64_t h = hash(0xcbf29ce484222325ULL,
                      request.route ? std::string_view(request.route->name) : std::string_view{});
    h = hash(h ^ 0xff, key);
    point = static_cast<double>(mix(h) >> 11) * 0x1.0p-53;
  }
  uint64_t total = target.sides.back().until;
  double at = point * static_cast<double>(total);
  for (uint32_t i = 0; i < target.sides.size(); ++i)
    if (at < static_cast<double>(target.sides[i].until)) return i;
  return static_cast<uint32_t>(target.sides.size() - 1);
}

}  // namespace penstock::proxy
