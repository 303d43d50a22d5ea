// How often this thread has called operator new while it was asked to count; plugins' calls come here too.
#pragma once
#include <cstdint>

namespace penstock::plugin::testing {
extern thread_local bool counting_allocations;
extern thread_local uint64_t allocations;
}  // namespace penstock::plugin::testing
