#include "plugin/gcra_store.h"

#include <bit>
#include <string>
#include <thread>

namespace penstock::plugin {
namespace {

using u128 = unsigned __int128;

// `whole` + `rest` / divisor of a product.
struct Quotient {
  uint64_t whole, rest;
};

Quotient divide(u128 value, uint64_t divisor) {
  if (value >> 64 == 0) {
    const auto small = static_cast<uint64_t>(value);
    return {small / divisor, small % divisor};
  }
  const u128 whole = value / divisor;
  if (whole > INT64_MAX / 2) return {INT64_MAX / 2, 0};  // some 146 years
  return {static_cast<uint64_t>(whole), static_cast<uint64_t>(value % divisor)};
}

bool valid(const gw_limit& limit) {
  return limit.count >= 1 && limit.count <= UINT32_MAX && limit.burst >= 1 && limit.burst <= UINT32_MAX &&
         limit.period_ns >= 1 && limit.period_ns < int64_t{1} << 53;
}

// A rate of its own has a key of its own: a changed one starts fresh. The burst is not part of it.
Hash128 with_rate(Hash128 key, const gw_limit& limit) {
  const uint64_t rate =
      limit.count * 0x9e3779b97f4a7c15u ^ std::rotl(static_cast<uint64_t>(limit.period_ns), 32);
  key.low ^= rate * 0xd6e8feb86659fd93u;
  if (key.low == 0 && key.high == 0) key.high = 1;
  return key;
}

}  // namespace

// Short waits spin; a holder that lost its core gets the chance to run.
class GcraStore::Lock {
 public:
  explicit Lock(Shard& shard) : shard_(shard) {
    for (int spins = 0; shard_.locked.exchange(true, std::memory_order_acquire);) {
      while (shard_.locked.load(std::memory_order_relaxed)) {
        if (++spins % 128 == 0) std::this_thread::yield();
      }
    }
  }
  ~Lock() { shard_.locked.store(false, std::memory_order_release); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  Shard& shard_;
};

// Of one limit; without initialisers, so that the array of them costs what is used.
struct GcraStore::Judgement {
  bool admitted;
  Moment before, after;  // the arrival time as it is, and as it would be
  Moment latest;         // what it may be at most

  bool past_latest(Moment m) const {
    return m.ns > latest.ns || (m.ns == latest.ns && m.fraction > latest.fraction);
  }
  // What the caller is told; the arrival time is `after` when the cost was taken, else `before`.
  gw_limit_state state(const gw_limit& limit, int64_t now_ns, bool taken) const;
};

GcraStore::GcraStore(size_t max_entries)
    : max_buckets_(
          static_cast<uint32_t>(std::bit_floor(std::max<size_t>(1, max_entries / (shard_count * ways))))),
      shards_(std::make_unique<Shard[]>(shard_count)) {}

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
    const Lock lock(shards_[i]);
    buckets += shards_[i].buckets;
  }
  return buckets * ways;
}

// All sums as whole nanoseconds and a fraction with the limit's count below the line, so that nothing is
// rounded: after burst + floor(rate * t) admissions the next one is refused, and not one earlier or later.
GcraStore::Judgement GcraStore::judge(const gw_limit& limit, uint64_t cost, int64_t now_ns,
                                      const Entry* entry) {
  const uint64_t count = limit.count, period = static_cast<uint64_t>(limit.period_ns);
  const Quotient step = divide(u128{cost} * period, count);
  const Quotient room = divide(u128{limit.burst} * period, count);
  const auto add = [count](Moment m, Quotient q) {
    m.ns += static_cast<int64_t>(q.whole);
    m.fraction += q.rest;
    if (m.fraction >= count) ++m.ns, m.fraction -= count;
    return m;
  };
  Judgement out;
  out.before = entry != nullptr && entry->arrival.ns >= now_ns ? entry->arrival : Moment{now_ns, 0};
  out.after = add(out.before, step);
  out.latest = add({now_ns, 0}, room);
  out.admitted = !out.past_latest(out.after);
  return out;
}

gw_limit_state GcraStore::Judgement::state(const gw_limit& limit, int64_t now_ns, bool taken) const {
  const Moment used = taken ? after : before;
  const auto up = [](Moment m, int64_t since) { return m.ns - since + (m.fraction > 0 ? 1 : 0); };
  gw_limit_state out{0, up(used, now_ns), 0};
  if (!past_latest(used)) {
    const u128 free =
        u128{static_cast<uint64_t>(latest.ns - used.ns)} * limit.count + latest.fraction - used.fraction;
    out.remaining = divide(free, static_cast<uint64_t>(limit.period_ns)).whole;
  }
  if (!admitted) {
    Moment wait = after;
    wait.ns -= latest.ns;
    if (wait.fraction < latest.fraction) --wait.ns, wait.fraction += limit.count;
    wait.fraction -= latest.fraction;
    out.retry_after_ns = up(wait, 0);
  }
  return out;
}

gw_rc GcraStore::gcra(Hash128 space, std::string_view key, std::span<const gw_limit> limits, uint64_t cost,
                      int64_t now_ns, uint32_t flags, gw_limit_state* out) {
  if (limits.empty() || limits.size() > max_limits || cost > UINT32_MAX || now_ns < 0) return GW_EINVAL;
  for (const gw_limit& limit : limits) {
    if (!valid(limit)) return GW_EINVAL;
  }
  const Hash128 base = keyed_hash(space, key);
  Shard& shard = shards_[base.high % shard_count];
  std::array<Judgement, max_limits> judged;
  bool admitted = true;
  const bool peek = (flags & GW_GCRA_PEEK) != 0;
  {
    const Lock lock(shard);
    const Hash128 first = with_rate(base, limits[0]);
    Entry* known = find(shard, first);
    judged[0] = judge(limits[0], cost, now_ns, known);
    admitted = judged[0].admitted;
    for (size_t i = 1; i < limits.size(); ++i) {
      judged[i] = judge(limits[i], cost, now_ns, find(shard, with_rate(base, limits[i])));
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
    out[i] = judged[i].state(limits[i], now_ns, admitted && !peek);
  }
  return admitted ? 1 : 0;
}

GcraStore::Entry* GcraStore::find(Shard& shard, const Hash128& key) {
  if (shard.buckets == 0) return nullptr;
  for (Entry& entry : shard.table[key.low & (shard.buckets - 1)]) {
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

void GcraStore::put(Shard& shard, const Hash128& key, Moment arrival, int64_t now_ns, Entry* known) {
  if (known != nullptr) {
    known->arrival = arrival;
    return;
  }
  while (true) {
    Entry* first_to_rest = nullptr;
    if (shard.buckets != 0) {
      for (Entry& entry : shard.table[key.low & (shard.buckets - 1)]) {
        if (first_to_rest == nullptr || entry.arrival.ns < first_to_rest->arrival.ns) first_to_rest = &entry;
      }
    }
    if (first_to_rest != nullptr && at_rest(*first_to_rest, now_ns)) {
      *first_to_rest = {key, arrival};
      return;
    }
    if (grow(shard, now_ns)) continue;
    // Full of live entries: one key forgets what it has used.
    evictions_.fetch_add(1, std::memory_order_relaxed);
    *first_to_rest = {key, arrival};
    return;
  }
}

// Twice the buckets, as long as the bound allows; entries at rest are left behind.
bool GcraStore::grow(Shard& shard, int64_t now_ns) {
  const uint32_t buckets = shard.buckets == 0 ? 1 : shard.buckets * 2;
  if (buckets > max_buckets_) return false;
  auto table = std::make_unique<Bucket[]>(buckets);
  for (uint32_t b = 0; b < shard.buckets; ++b) {
    for (const Entry& entry : shard.table[b]) {
      if (at_rest(entry, now_ns)) continue;
      // One bucket becomes two, so there is room for all of it.
      for (Entry& place : table[entry.key.low & (buckets - 1)]) {
        if (place.key == Hash128{}) {
          place = entry;
          break;
        }
      }
    }
  }
  shard.table = std::move(table);
  shard.buckets = buckets;
  return true;
}

}  // namespace penstock::plugin
