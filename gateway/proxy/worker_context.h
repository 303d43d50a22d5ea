// What exchanges share on one worker: the loop, the current generation, free lists, counters. Owned by
// server::Worker, used on its thread only.
#pragma once
#include <cstdint>

#include "base/free_list.h"
#include "net/loop.h"
#include "observe/request_metrics.h"
#include "proxy/attribute.h"
#include "proxy/retry.h"
#include "proxy/snapshot.h"

namespace penstock::proxy {

// xoshiro256+; good for request ids and balancing, not for secrets.
class Random {
 public:
  explicit Random(uint64_t seed);
  uint64_t next();
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }  // [0, 1)

 private:
  uint64_t state_[4];
};

class WorkerContext {
 public:
  WorkerContext(net::Loop& l, Names& n, RetryBudget& b, uint32_t index, uint64_t seed)
      : loop(l), names(n), retry_budget(b), worker(index), random(seed) {}
  virtual ~WorkerContext() = default;

  net::Loop& loop;
  Names& names;
  RetryBudget& retry_budget;
  const uint32_t worker;
  Random random;
  FreeList exchanges, body_chains;
  KeyDigests key_digests;
  observe::RequestMetrics metrics;
  bool draining = false;  // answers carry Connection: close

  // A generation that is not current any more lost its last user: called at the end of an exchange.
  virtual void generation_unused(Generation& generation) = 0;

  void pin(Generation& generation) { ++generation.users; }
  void unpin(Generation& generation) {
    if (--generation.users == 0) generation_unused(generation);
  }
};

}  // namespace penstock::proxy
