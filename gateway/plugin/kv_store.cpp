#include "plugin/kv_store.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <new>
#include <utility>

namespace penstock::plugin {
namespace {

// What the slots and the heap hold of an entry, beside its own memory.
constexpr size_t outside_bytes = 2 * sizeof(void*);

bool valid_key(std::string_view key) { return key.size() <= KvStore::max_key; }

}  // namespace

KvStore::KvStore(size_t max_bytes) : max_bytes_(max_bytes), shards_(std::make_unique<Shard[]>(shard_count)) {}

KvStore::~KvStore() {
  for (size_t i = 0; i < shard_count; ++i) {
    Shard& shard = shards_[i];
    for (Entry* first : shard.slots) {
      while (first != nullptr) remove(shard, *std::exchange(first, first->chain));
    }
  }
}

int64_t KvStore::expiry(int64_t now_ns, int64_t ttl_ns) {
  int64_t at = never;
  if (ttl_ns > 0 && !__builtin_add_overflow(now_ns, ttl_ns, &at)) return at;
  return never;
}

// Where the pointer to it stands; one that holds null: it is not there.
KvStore::Entry** KvStore::find_slot(Shard& shard, const Hash128& key) {
  Entry** at = &shard.slots[key.low & (shard.slots.size() - 1)];
  while (*at != nullptr && !((*at)->key == key)) at = &(*at)->chain;
  return at;
}

KvStore::Entry* KvStore::find(Shard& shard, const Hash128& key, int64_t now_ns) {
  if (shard.slots.empty()) return nullptr;
  Entry* const entry = *find_slot(shard, key);
  if (entry == nullptr) return nullptr;
  if (entry->expires_ns <= now_ns) {
    remove(shard, *entry);
    return nullptr;
  }
  if (entry->linked()) shard.by_use.push_back(*entry);
  return entry;
}

void KvStore::remove(Shard& shard, Entry& entry) {
  *find_slot(shard, entry.key) = entry.chain;
  if (entry.expires_ns != never) drop_expiry(shard, entry);
  --shard.entries;
  shard.bytes -= SizedPool::size_of(&entry) + outside_bytes;
  entry.~Entry();
  SizedPool::give(&entry);
}

// False: all that is there is held.
bool KvStore::make_room(Shard& shard, int64_t now_ns, size_t wanted) {
  const size_t most = max_bytes_.load(std::memory_order_relaxed) / shard_count;
  while (shard.bytes + wanted > most) {
    if (!shard.by_expiry.empty() && shard.by_expiry.front()->expires_ns <= now_ns) {
      remove(shard, *shard.by_expiry.front());
      continue;
    }
    full_.fetch_add(1, std::memory_order_relaxed);
    Entry* const oldest = shard.by_use.front();
    if (oldest == nullptr) return false;
    remove(shard, *oldest);
  }
  return true;
}

void KvStore::grow_slots(Shard& shard) {
  std::vector<Entry*> before(std::max<size_t>(64, shard.slots.size() * 2));
  before.swap(shard.slots);
  for (Entry* entry : before) {
    while (entry != nullptr) {
      Entry* const next = std::exchange(entry->chain, nullptr);
      Entry*& slot = shard.slots[entry->key.low & (shard.slots.size() - 1)];
      entry->chain = std::exchange(slot, entry);
      entry = next;
    }
  }
}

// The key is not there. Null: there is no room.
KvStore::Entry* KvStore::insert(Shard& shard, const Hash128& key, int64_t now_ns, size_t size,
                                int64_t ttl_ns) {
  if (!make_room(shard, now_ns, sizeof(Entry) + size + outside_bytes)) return nullptr;
  void* memory = shard.pool.take(sizeof(Entry) + size);
  if (memory == nullptr) return nullptr;
  if (shard.entries >= shard.slots.size()) grow_slots(shard);
  auto* entry = new (memory) Entry;
  entry->chain = nullptr;
  entry->key = key;
  entry->expires_ns = expiry(now_ns, ttl_ns);
  entry->size = static_cast<uint32_t>(size);
  entry->is_number = false;
  entry->number = 0;
  *find_slot(shard, key) = entry;
  if (entry->expires_ns != never) add_expiry(shard, *entry);
  shard.by_use.push_back(*entry);
  ++shard.entries;
  shard.bytes += SizedPool::size_of(entry) + outside_bytes;
  return entry;
}

gw_rc KvStore::get(Hash128 space, std::string_view key, int64_t now_ns, char* value, size_t capacity) {
  if (!valid_key(key) || (value == nullptr && capacity > 0)) return GW_EINVAL;
  const Hash128 hash = keyed_hash(space, key);
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.lock);
  Entry* const entry = find(shard, hash, now_ns);
  if (entry == nullptr) return GW_ENOTFOUND;
  if (entry->is_number) return GW_ESTATE;
  const size_t copied = std::min<size_t>(entry->size, capacity);
  if (copied > 0) std::memcpy(value, entry->bytes(), copied);
  return static_cast<gw_rc>(entry->size);
}

gw_rc KvStore::put(Shard& shard, const Hash128& key, int64_t now_ns, std::string_view value, int64_t ttl_ns) {
  Entry* const entry = insert(shard, key, now_ns, value.size(), ttl_ns);
  if (entry == nullptr) return GW_ELIMIT;
  if (!value.empty()) std::memcpy(entry->bytes(), value.data(), value.size());
  return GW_OK;
}

gw_rc KvStore::set(Hash128 space, std::string_view key, int64_t now_ns, std::string_view value,
                   int64_t ttl_ns) {
  if (!valid_key(key) || ttl_ns < 0) return GW_EINVAL;
  if (value.size() > max_value) return GW_ELIMIT;
  const Hash128 hash = keyed_hash(space, key);
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.lock);
  if (Entry* const before = find(shard, hash, now_ns)) {
    if (before->is_number) return GW_ESTATE;
    remove(shard, *before);
  }
  return put(shard, hash, now_ns, value, ttl_ns);
}

gw_rc KvStore::cas(Hash128 space, std::string_view key, int64_t now_ns, std::string_view expected,
                   std::string_view value, int64_t ttl_ns) {
  if (!valid_key(key) || ttl_ns < 0) return GW_EINVAL;
  if (value.size() > max_value) return GW_ELIMIT;
  const Hash128 hash = keyed_hash(space, key);
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.lock);
  Entry* const before = find(shard, hash, now_ns);
  if (before != nullptr && before->is_number) return GW_ESTATE;
  const bool nothing = expected.data() == nullptr;
  if ((before == nullptr) != nothing || (before != nullptr && before->value() != expected)) return 0;
  if (before != nullptr) remove(shard, *before);
  const gw_rc rc = put(shard, hash, now_ns, value, ttl_ns);
  return rc < 0 ? rc : 1;
}

gw_rc KvStore::del(Hash128 space, std::string_view key) {
  if (!valid_key(key)) return GW_EINVAL;
  const Hash128 hash = keyed_hash(space, key);
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.lock);
  Entry* const entry = find(shard, hash, INT64_MIN);
  if (entry == nullptr) return 0;
  remove(shard, *entry);
  return 1;
}

gw_rc KvStore::add(Hash128 space, std::string_view key, int64_t now_ns, int64_t delta, int64_t most,
                   int64_t ttl_ns, int64_t* value) {
  if (!valid_key(key) || ttl_ns < 0) return GW_EINVAL;
  const Hash128 hash = keyed_hash(space, key);
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.lock);
  Entry* entry = find(shard, hash, now_ns);
  if (entry != nullptr && !entry->is_number) return GW_ESTATE;
  int64_t sum = entry != nullptr ? entry->number : 0;
  if (value != nullptr) *value = sum;
  if (__builtin_add_overflow(sum, delta, &sum) || sum > most || sum < 0) return 0;
  if (entry == nullptr) {
    if (sum == 0) return 1;  // what is not there is 0
    entry = insert(shard, hash, now_ns, 0, ttl_ns);
    if (entry == nullptr) return GW_ELIMIT;
    entry->is_number = true;
    if (entry->expires_ns == never) entry->unlink();  // held from now on
  }
  entry->number = sum;
  if (value != nullptr) *value = sum;
  if (sum == 0 && entry->expires_ns == never) remove(shard, *entry);
  return 1;
}

// ---- the heap by expiry ----

void KvStore::add_expiry(Shard& shard, Entry& entry) {
  shard.by_expiry.push_back(&entry);
  sift_up(shard, shard.by_expiry.size() - 1);
}

void KvStore::drop_expiry(Shard& shard, Entry& entry) {
  const size_t at = entry.place;
  Entry* const last = shard.by_expiry.back();
  shard.by_expiry.pop_back();
  if (last == &entry) return;
  shard.by_expiry[at] = last;
  last->place = static_cast<uint32_t>(at);
  sift_up(shard, at);
  sift_down(shard, last->place);
}

void KvStore::sift_up(Shard& shard, size_t at) {
  auto& heap = shard.by_expiry;
  Entry* const entry = heap[at];
  for (; at > 0; at = (at - 1) / 2) {
    Entry* const parent = heap[(at - 1) / 2];
    if (parent->expires_ns <= entry->expires_ns) break;
    heap[at] = parent;
    parent->place = static_cast<uint32_t>(at);
  }
  heap[at] = entry;
  entry->place = static_cast<uint32_t>(at);
}

void KvStore::sift_down(Shard& shard, size_t at) {
  auto& heap = shard.by_expiry;
  Entry* const entry = heap[at];
  for (size_t child = 2 * at + 1; child < heap.size(); child = 2 * at + 1) {
    if (child + 1 < heap.size() && heap[child + 1]->expires_ns < heap[child]->expires_ns) ++child;
    if (entry->expires_ns <= heap[child]->expires_ns) break;
    heap[at] = heap[child];
    heap[at]->place = static_cast<uint32_t>(at);
    at = child;
  }
  heap[at] = entry;
  entry->place = static_cast<uint32_t>(at);
}

size_t KvStore::bytes() const {
  size_t sum = 0;
  for (size_t i = 0; i < shard_count; ++i) {
    const std::lock_guard lock(shards_[i].lock);
    sum += shards_[i].bytes;
  }
  return sum;
}

size_t KvStore::entries() const {
  size_t sum = 0;
  for (size_t i = 0; i < shard_count; ++i) {
    const std::lock_guard lock(shards_[i].lock);
    sum += shards_[i].entries;
  }
  return sum;
}

}  // namespace penstock::plugin
