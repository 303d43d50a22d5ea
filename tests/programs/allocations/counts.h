// The page that a test and the shim in the daemon have in common.
#pragma once
#include <atomic>
#include <cstdint>

namespace allocations {

struct Counts {
  std::atomic<uint64_t> made;  // by malloc() and its kin, in all threads
};

constexpr const char* variable = "PENSTOCK_ALLOCATION_COUNTS";  // the file that both map

}  // namespace allocations
