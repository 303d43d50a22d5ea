// The table of rate limits with many keys in use: what each takes of memory and time, and how many were
// forgotten.   penstock_limit_keys [KEYS] [PLACES]
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string_view>

#include "plugin/gcra_store.h"

namespace {

using penstock::plugin::GcraStore;

double resident_mib() {
  std::ifstream statm("/proc/self/statm");
  double total = 0, resident = 0;
  statm >> total >> resident;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE)) / (1024 * 1024);
}

// Each key once: `expected` is what each of them gets. How many got something else.
uint64_t ask_all(GcraStore& store, uint64_t keys, gw_rc expected, const char* what) {
  constexpr int64_t now = 1'000'000'000, day = 86'400 * now;
  const penstock::Hash128 space = store.space("rate_limit", "bench");
  const gw_limit limit{1, day, 1};
  uint64_t odd = 0, longest_us = 0;
  const auto begun = std::chrono::steady_clock::now();
  auto before = begun;
  for (uint64_t i = 0; i < keys; ++i) {
    const std::string_view key(reinterpret_cast<const char*>(&i), sizeof i);
    odd += store.gcra(space, key, {&limit, 1}, 1, now, 0, nullptr) != expected;
    if (i % 64 != 63) continue;
    const auto after = std::chrono::steady_clock::now();
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(after - before).count();
    longest_us = std::max(longest_us, static_cast<uint64_t>(took));
    before = after;
  }
  const double ns = std::chrono::duration<double, std::nano>(before - begun).count();
  fmt::print("{}: {:.0f} ns a key, at most {} us for 64 of them\n", what, ns / static_cast<double>(keys),
             longest_us);
  return odd;
}

}  // namespace

int main(int count, char** words) {
  const uint64_t keys = count > 1 ? std::strtoull(words[1], nullptr, 10) : 10'000'000;
  const uint64_t places = count > 2 ? std::strtoull(words[2], nullptr, 10) : 16'777'216;
  const double empty = resident_mib();
  GcraStore store(places);
  uint64_t odd = ask_all(store, keys, 1, "new");
  const double taken = resident_mib() - empty;
  const uint64_t forgotten = store.evictions();
  if (forgotten == 0) odd += ask_all(store, keys, 0, "known");
  fmt::print("{} keys in {} places: {:.0f} MiB, {:.1f} bytes a key; {} forgotten, {} wrong answers\n", keys,
             store.capacity(), taken, taken * 1024 * 1024 / static_cast<double>(keys), forgotten, odd);
  return odd == 0 ? 0 : 1;
}
