#include "plugins/allocation_count.h"

#include <cstdlib>
#include <new>

// A file of its own: seen together with their callers, GCC takes these for a mismatched pair.
namespace penstock::plugin::testing {
thread_local bool counting_allocations = false;
thread_local uint64_t allocations = 0;
}  // namespace penstock::plugin::testing

void* operator new(size_t size) {
  using namespace penstock::plugin::testing;
  if (counting_allocations) ++allocations;
  if (void* p = std::malloc(size == 0 ? 1 : size)) return p;
  throw std::bad_alloc();
}
// With them, so that memory is never given back to another allocator than it came from.
void* operator new(size_t size, const std::nothrow_t&) noexcept { return std::malloc(size == 0 ? 1 : size); }
void operator delete(void* p, const std::nothrow_t&) noexcept { std::free(p); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }
