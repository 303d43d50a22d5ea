// The table behind gw.kv gcra: theoretical arrival times by key, shared by all workers, for the whole process
// and over reloads. Sharded; a shard is a bounded, set-associative table behind a spin lock that is held for
// some 50 ns. An entry whose time has come says no more than a missing one, so its place is free. When a set
// is full of live entries and the table may not grow, the one that comes to rest first goes, and evictions()
// counts it.
#pragma once
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/keyed_hash.h"
#include "penstock_plugin.h"

namespace penstock::plugin {

class GcraStore {
 public:
  static constexpr size_t shard_count = 256;
  static constexpr size_t max_limits = 8;

  explicit GcraStore(size_t max_entries = size_t{1} << 20);
  ~GcraStore();
  GcraStore(const GcraStore&) = delete;
  GcraStore& operator=(const GcraStore&) = delete;

  // Main thread: the key space of one plugin instance.
  Hash128 space(std::string_view type, std::string_view instance) const;

  // Any thread; the contract is that of gw_kv_v0::gcra.
  gw_rc gcra(Hash128 space, std::string_view key, std::span<const gw_limit> limits, uint64_t cost,
             int64_t now_ns, uint32_t flags, gw_limit_state* out);

  uint64_t evictions() const { return evictions_.load(std::memory_order_relaxed); }
  size_t capacity() const;  // entries that there is room for now

 private:
  // A time in exact arithmetic: ns + fraction / count, count being the limit's.
  struct Moment {
    int64_t ns;
    uint64_t fraction;
  };
  struct Entry {
    Hash128 key;  // 0, 0: never used
    Moment arrival{};
  };
  static constexpr size_t ways = 8;
  using Bucket = std::array<Entry, ways>;
  struct alignas(64) Shard {
    std::atomic<bool> locked{false};
    uint32_t buckets = 0;  // a power of two, or 0
    std::unique_ptr<Bucket[]> table;
  };
  class Lock;
  struct Judgement;

  static Judgement judge(const gw_limit& limit, uint64_t cost, int64_t now_ns, const Entry* entry);
  static bool at_rest(const Entry& entry, int64_t now_ns) {
    return entry.arrival.ns < now_ns || (entry.arrival.ns == now_ns && entry.arrival.fraction == 0);
  }
  static Entry* find(Shard& shard, const Hash128& key);
  void put(Shard& shard, const Hash128& key, Moment arrival, int64_t now_ns, Entry* known);
  bool grow(Shard& shard, int64_t now_ns);

  const Hash128 key_ = random_hash_key();
  const uint32_t max_buckets_;
  std::unique_ptr<Shard[]> shards_;
  std::atomic<uint64_t> evictions_{0};
};

}  // namespace penstock::plugin
