// The values behind gw.kv get, set, cas, del and add: of the whole process, kept over reloads. Sharded, each
// shard behind a spin lock that is held for a lookup and a copy. Bounded in bytes, and each shard keeps to
// its part: when one is full, what has expired goes first, then what was used longest ago. A number without a
// ttl counts what somebody holds: it is never given up, and gone when it is 0. Memory comes from pools, so
// what comes and goes allocates nothing. Keys are known by a keyed hash of 128 bits alone. Any thread.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/intrusive_list.h"
#include "base/keyed_hash.h"
#include "base/sized_pool.h"
#include "base/spin_lock.h"
#include "penstock_plugin.h"

namespace penstock::plugin {

class KvStore {
 public:
  static constexpr size_t shard_count = 16;
  static constexpr size_t max_key = 64 * 1024;  // of which only the hash is kept
  static constexpr size_t max_value = 16 * 1024;
  static constexpr size_t default_bytes = 16 * 1024 * 1024;

  explicit KvStore(size_t max_bytes = default_bytes);
  ~KvStore();
  KvStore(const KvStore&) = delete;
  KvStore& operator=(const KvStore&) = delete;

  // What is over a smaller bound goes with the next insertion. Main thread.
  void set_max_bytes(size_t max_bytes) { max_bytes_.store(max_bytes, std::memory_order_relaxed); }

  // The contracts are those of gw_kv_v0; `space` is the instance's (GcraStore::space).
  gw_rc get(Hash128 space, std::string_view key, int64_t now_ns, char* value, size_t capacity);
  gw_rc set(Hash128 space, std::string_view key, int64_t now_ns, std::string_view value, int64_t ttl_ns);
  // `expected` with data() null: nothing is there.
  gw_rc cas(Hash128 space, std::string_view key, int64_t now_ns, std::string_view expected,
            std::string_view value, int64_t ttl_ns);
  gw_rc del(Hash128 space, std::string_view key);
  gw_rc add(Hash128 space, std::string_view key, int64_t now_ns, int64_t delta, int64_t most, int64_t ttl_ns,
            int64_t* value);

  // How often the bound was reached: something in use was given up, or nothing could be.
  uint64_t full() const { return full_.load(std::memory_order_relaxed); }
  size_t bytes() const;
  size_t entries() const;

 private:
  struct Entry : ListHook {
    Entry* chain;  // the next one of its slot
    Hash128 key;
    int64_t expires_ns;  // `never`: it does not
    uint32_t place;      // in by_expiry; none when it never expires
    uint32_t size;       // of the value that follows this struct
    bool is_number;
    int64_t number;
    char* bytes() { return reinterpret_cast<char*>(this + 1); }
    std::string_view value() { return {bytes(), size}; }
  };
  struct alignas(64) Shard {
    mutable SpinLock lock;
    SizedPool pool;
    std::vector<Entry*> slots;      // a power of two, or none
    std::vector<Entry*> by_expiry;  // a heap, the first to expire in front
    IntrusiveList<Entry> by_use;    // longest ago in front; without held numbers
    size_t entries = 0;
    size_t bytes = 0;
  };
  static constexpr int64_t never = INT64_MAX;

  Shard& shard_of(Hash128 key) { return shards_[key.high % shard_count]; }
  static int64_t expiry(int64_t now_ns, int64_t ttl_ns);
  static Entry** find_slot(Shard& shard, const Hash128& key);
  Entry* find(Shard& shard, const Hash128& key, int64_t now_ns);
  Entry* insert(Shard& shard, const Hash128& key, int64_t now_ns, size_t size, int64_t ttl_ns);
  bool make_room(Shard& shard, int64_t now_ns, size_t wanted);
  gw_rc put(Shard& shard, const Hash128& key, int64_t now_ns, std::string_view value, int64_t ttl_ns);
  static void remove(Shard& shard, Entry& entry);
  static void grow_slots(Shard& shard);
  static void add_expiry(Shard& shard, Entry& entry);
  static void drop_expiry(Shard& shard, Entry& entry);
  static void sift_up(Shard& shard, size_t at);
  static void sift_down(Shard& shard, size_t at);

  std::atomic<size_t> max_bytes_;
  std::unique_ptr<Shard[]> shards_;
  std::atomic<uint64_t> full_{0};
};

}  // namespace penstock::plugin
