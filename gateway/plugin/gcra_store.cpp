#include "plugin/gcra_store.h"

#include <algorithm>
#include <bit>
#include <mutex>
#include <string>

namespace penstock::plugin {
namespace {

constexpr int64_t second_ns = 1'000'000'000;

gcra::Window window_of(const gw_limit& limit) {
  return {limit.count, static_cast<uint64_t>(limit.period_ns), limit.burst};
}

bool valid(const gw_limit& limit) {
  const bool quota = limit.burst >= GW_LIMIT_QUOTA;
  const uint64_t most = quota ? uint64_t{1} << 53 : UINT32_MAX;
  return limit.count >= 1 && limit.count <= most && limit.burst >= 1 && limit.burst < 2 * GW_LIMIT_QUOTA &&
         limit.period_ns >= 1 && limit.period_ns < int64_t{1} << 53;
}

// A rate of its own has a key of its own: a changed one starts fresh. The burst is not part of it. A quota's
// period is what is left of it.
Hash128 with_rate(Hash128 key, const gw_limit& limit) {
  const uint64_t rate =
      limit.burst >= GW_LIMIT_QUOTA
          ? limit.burst
          : limit.count * 0x9e3779b97f4a7c15u ^ std::rotl(static_cast<uint64_t>(limit.period_ns), 32);
  key.low ^= rate * 0xd6e8feb86659fd93u;
  if (key.low == 0 && key.high == 0) key.high = 1;
  return key;
}

uint32_t buckets_for(size_t entries, size_t a_bucket) {
  const size_t most = std::min(entries, size_t{1} << 36);
  return static_cast<uint32_t>(
      std::bit_ceil((most + GcraStore::shard_count * a_bucket - 1) / (GcraStore::shard_count * a_bucket)));
}

}  // namespace

GcraStore::GcraStore(size_t max_entries)
    : max_buckets_(buckets_for(max_entries, ways)), shards_(std::make_unique<Shard[]>(shard_count)) {}

void GcraStore::set_max_entries(size_t max_entries) {
  max_buckets_.store(buckets_for(max_entries, ways), std::memory_order_relaxed);
}

GcraStore::~GcraStore() = default;

Hash128 GcraStore::space(std::string_view type, std::string_view instance) const {
  std::string name(type);
  name += '\0';
  name += instance;
  const Hash128 hash = keyed_hash(key_, name);
  return {hash.low ^ key_.low, hash.high ^ key_.high};  // the key of that instance's hashes
}

size_t GcraStore::capacity() const {
  size_t buckets = 0;
  for (size_t i = 0; i < shard_count; ++i) {
    const std::lock_guard lock(shards_[i].lock);
    buckets += shards_[i].buckets;
  }
  return buckets * ways;
}

gw_rc GcraStore::gcra(Hash128 space, std::string_view key, std::span<const gw_limit> limits, uint64_t cost,
                      int64_t now_ns, uint32_t flags, gw_limit_state* out) {
  if (limits.empty() || limits.size() > max_limits || cost > UINT32_MAX || now_ns < 0) return GW_EINVAL;
  for (const gw_limit& limit : limits) {
    if (!valid(limit)) return GW_EINVAL;
  }
  const Hash128 base = keyed_hash(space, key);
  Shard& shard = shards_[base.high % shard_count];
  std::array<gcra::Judgement, max_limits> judged;
  bool admitted = true;
  const bool peek = (flags & GW_GCRA_PEEK) != 0;
  const auto judge = [&](const gw_limit& limit, const Entry* entry) {
    return gcra::judge(window_of(limit), cost, now_ns, entry != nullptr ? &entry->arrival : nullptr,
                       second_ns);
  };
  {
    const std::lock_guard lock(shard.lock);
    const Hash128 first = with_rate(base, limits[0]);
    Entry* known = find(shard, first);
    judged[0] = judge(limits[0], known);
    admitted = judged[0].admitted;
    for (size_t i = 1; i < limits.size(); ++i) {
      judged[i] = judge(limits[i], find(shard, with_rate(base, limits[i])));
      admitted = admitted && judged[i].admitted;
    }
    if (admitted && !peek) {
      put(shard, first, judged[0].after, now_ns, known);
      for (size_t i = 1; i < limits.size(); ++i) {  // looked for anew: the table may have grown
        const Hash128 own = with_rate(base, limits[i]);
        put(shard, own, judged[i].after, now_ns, find(shard, own));
      }
    }
  }
  for (size_t i = 0; out != nullptr && i < limits.size(); ++i) {
    const gcra::State state =
        gcra::state_of(judged[i], window_of(limits[i]), cost, now_ns, admitted && !peek);
    out[i] = {state.remaining, state.reset, state.retry_after};
  }
  return admitted ? 1 : 0;
}

GcraStore::Entry* GcraStore::find_in(Bucket& set, const Hash128& key) {
  for (Entry& entry : set) {
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

// A place that was used once stays used, if only by an entry at rest: so a key is in its second set only if
// the last place of the first one is used.
GcraStore::Entry* GcraStore::find(Shard& shard, const Hash128& key) {
  if (shard.buckets == 0) return nullptr;
  Bucket& first = first_set(shard, key);
  if (Entry* entry = find_in(first, key); entry != nullptr || unused(first.back())) return entry;
  return find_in(second_set(shard, key), key);
}

GcraStore::Entry* GcraStore::first_to_rest(Bucket& set) {
  return std::min_element(set.begin(), set.end(),
                          [](const Entry& a, const Entry& b) { return a.arrival.ticks < b.arrival.ticks; });
}

// Null: the other sets of all that are in it are full of live entries, too.
GcraStore::Entry* GcraStore::move_one(Shard& shard, Bucket& set, int64_t now_ns) {
  for (Entry& entry : set) {
    Bucket& first = first_set(shard, entry.key);
    Entry* const place = first_to_rest(&first == &set ? second_set(shard, entry.key) : first);
    if (!at_rest(*place, now_ns)) continue;
    *place = entry;
    return &entry;
  }
  return nullptr;
}

// The one to use for a new key; a live one: there is none.
GcraStore::Entry* GcraStore::place_for(Shard& shard, const Hash128& key, int64_t now_ns) {
  Bucket& first = first_set(shard, key);
  Entry* const in_first = first_to_rest(first);
  if (at_rest(*in_first, now_ns)) return in_first;
  Bucket& second = second_set(shard, key);
  Entry* const in_second = first_to_rest(second);
  if (at_rest(*in_second, now_ns)) return in_second;
  Entry* moved = move_one(shard, first, now_ns);
  if (moved == nullptr) moved = move_one(shard, second, now_ns);
  if (moved != nullptr) {
    moved->arrival = {};  // its place is free now
    return moved;
  }
  return in_second->arrival.ticks < in_first->arrival.ticks ? in_second : in_first;
}

void GcraStore::put(Shard& shard, const Hash128& key, Moment arrival, int64_t now_ns, Entry* known) {
  if (known != nullptr) {
    known->arrival = arrival;
    return;
  }
  if (shard.buckets == 0) grow(shard, now_ns);
  Entry* place = place_for(shard, key, now_ns);
  while (!at_rest(*place, now_ns)) {
    if (!grow(shard, now_ns)) {  // full of live entries: one key forgets what it has used
      evictions_.fetch_add(1, std::memory_order_relaxed);
      break;
    }
    place = place_for(shard, key, now_ns);
  }
  *place = {key, arrival};
}

// Twice the buckets, as long as the bound allows; entries at rest are left behind.
bool GcraStore::grow(Shard& shard, int64_t now_ns) {
  const uint32_t buckets = shard.buckets == 0 ? 1 : shard.buckets * 2;
  if (buckets > max_buckets_.load(std::memory_order_relaxed)) return false;
  Shard next;
  next.buckets = buckets;
  next.table = std::make_unique<Bucket[]>(buckets);
  for (uint32_t b = 0; b < shard.buckets; ++b) {
    for (const Entry& entry : shard.table[b]) {
      if (unused(entry) || at_rest(entry, now_ns)) continue;
      Entry* place = place_for(next, entry.key, now_ns);
      if (!at_rest(*place, now_ns)) evictions_.fetch_add(1, std::memory_order_relaxed);
      *place = entry;
    }
  }
  shard.table = std::move(next.table);
  shard.buckets = buckets;
  return true;
}

}  // namespace penstock::plugin
