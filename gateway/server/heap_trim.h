// Gives free memory back to the system. What a flood leaves over what the pools keep is free in the general
// allocator, which returns but the end of each heap by itself: the rest would stay resident for good. Looked
// at now and then: once the process has grown by a good deal and little is held for clients again, the free
// pages go back. A thread that allocates meanwhile waits some milliseconds; in the steady state no worker
// does. Owned by the server; main thread.
#pragma once
#include <cstdint>

#include "base/memory_budget.h"
#include "net/loop.h"
#include "net/timer.h"

namespace penstock::server {

class HeapTrim {
 public:
  HeapTrim(net::Loop& loop, const MemoryBudget& budget);

  void look();
  // Of the whole process; 0: the system does not say.
  static uint64_t resident_bytes();

 private:
  static constexpr uint64_t interval_ms = 10'000;
  static constexpr uint64_t worth_bytes = 32 * 1024 * 1024;  // a burst that may come again soon is less

  const MemoryBudget& budget_;
  uint64_t least_bytes_;  // resident, since the last trim
  net::Timer timer_;
};

}  // namespace penstock::server
