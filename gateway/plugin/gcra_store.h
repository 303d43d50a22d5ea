// The table behind gw.kv gcra: theoretical arrival times by key, shared by all workers, for the whole process
// and over reloads. Sharded; a shard is a bounded, set-associative table behind a spin lock that is held for
// some 50 ns. An entry whose time has come says no more than a missing one, so its place is free. A key has
// two sets: who finds the first one full of live entries goes to the second. When both are full, an entry
// of them moves to its own other set; when none can, the table grows, and when it may not, the entry of
// both that comes to rest first goes, and evictions() counts it.
#pragma once
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/gcra.h"
#include "base/keyed_hash.h"
#include "base/spin_lock.h"
#include "penstock_plugin.h"

namespace penstock::plugin {

class GcraStore {
 public:
  static constexpr size_t shard_count = 256;
  static constexpr size_t max_limits = 8;

  static constexpr size_t entry_bytes = 32;

  // There is room for `max_entries`, rounded up to a power of two; the least is 2,048.
  explicit GcraStore(size_t max_entries = size_t{1} << 20);
  ~GcraStore();
  GcraStore(const GcraStore&) = delete;
  GcraStore& operator=(const GcraStore&) = delete;

  // Main thread: the key space of one plugin instance.
  Hash128 space(std::string_view type, std::string_view instance) const;

  // Any thread; the contract is that of gw_kv_v0::gcra.
  gw_rc gcra(Hash128 space, std::string_view key, std::span<const gw_limit> limits, uint64_t cost,
             int64_t now_ns, uint32_t flags, gw_limit_state* out);

  // Main thread. What has grown already does not shrink.
  void set_max_entries(size_t max_entries);
  uint64_t evictions() const { return evictions_.load(std::memory_order_relaxed); }
  size_t capacity() const;  // entries that there is room for now

 private:
  using Moment = gcra::Moment;
  struct Entry {
    Hash128 key;  // 0, 0: never used
    Moment arrival{};
  };
  static_assert(sizeof(Entry) == entry_bytes);
  static constexpr size_t ways = 8;
  using Bucket = std::array<Entry, ways>;
  struct alignas(64) Shard {
    SpinLock lock;
    uint32_t buckets = 0;  // a power of two, or 0
    std::unique_ptr<Bucket[]> table;
  };
  static bool at_rest(const Entry& entry, int64_t now_ns) {
    return entry.arrival.ticks < now_ns || (entry.arrival.ticks == now_ns && entry.arrival.fraction == 0);
  }
  static bool unused(const Entry& entry) { return entry.key == Hash128{}; }
  static Bucket& first_set(Shard& shard, const Hash128& key) {
    return shard.table[key.low & (shard.buckets - 1)];
  }
  static Bucket& second_set(Shard& shard, const Hash128& key) {
    return shard.table[key.low >> 32 & (shard.buckets - 1)];
  }
  static Entry* find_in(Bucket& set, const Hash128& key);
  static Entry* find(Shard& shard, const Hash128& key);
  static Entry* first_to_rest(Bucket& set);
  static Entry* move_one(Shard& shard, Bucket& set, int64_t now_ns);
  static Entry* place_for(Shard& shard, const Hash128& key, int64_t now_ns);
  void put(Shard& shard, const Hash128& key, Moment arrival, int64_t now_ns, Entry* known);
  bool grow(Shard& shard, int64_t now_ns);

  const Hash128 key_ = random_hash_key();
  std::atomic<uint32_t> max_buckets_;  // of a shard
  std::unique_ptr<Shard[]> shards_;
  std::atomic<uint64_t> evictions_{0};
};

}  // namespace penstock::plugin
