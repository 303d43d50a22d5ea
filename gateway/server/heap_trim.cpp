#include "server/heap_trim.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace penstock::server {

HeapTrim::HeapTrim(net::Loop& loop, const MemoryBudget& budget)
    : budget_(budget),
      least_bytes_(resident_bytes()),
      timer_(
          loop,
          [](void* self) {
            auto& trim = *static_cast<HeapTrim*>(self);
            trim.look();
            trim.timer_.start(interval_ms);
          },
          this) {
  timer_.start(interval_ms);
}

void HeapTrim::look() {
  const uint64_t resident = resident_bytes();
  least_bytes_ = std::min(least_bytes_, resident);
  if (resident < least_bytes_ + worth_bytes || !budget_.plenty()) return;
  ::malloc_trim(0);
  least_bytes_ = resident_bytes();  // what is in use is not looked for again
}

uint64_t HeapTrim::resident_bytes() {
  uint64_t mapped = 0, resident = 0;  // pages
  std::ifstream("/proc/self/statm") >> mapped >> resident;
  return resident * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace penstock::server
