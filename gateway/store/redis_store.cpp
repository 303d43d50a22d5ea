#include "store/redis_store.h"

#include <fmt/format.h>

#include "base/keyed_hash.h"
#include "net/digest.h"
#include "net/loop.h"
#include "store/redis_client.h"
#include "store/redis_script.h"

namespace penstock::store {
namespace {

std::string sha1_text(std::string_view bytes) {
  std::string out;
  for (const uint8_t byte : net::sha1(bytes)) out += fmt::format("{:02x}", byte);
  return out;
}

}  // namespace

std::string RedisSettings::address() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

bool RedisSettings::same(const RedisSettings& other) const {
  const bool same_tls =
      (tls == nullptr) == (other.tls == nullptr) && (tls == nullptr || tls->digest() == other.tls->digest());
  return same_tls && host == other.host && port == other.port && timeout_ms == other.timeout_ms &&
         username == other.username && password == other.password && database == other.database &&
         max_pending == other.max_pending && max_failures == other.max_failures;
}

RedisStore::RedisStore(RedisSettings settings, Owner owner)
    : settings_(std::move(settings)),
      owner_(std::move(owner)),
      script_sha_(sha1_text(redis_script)),
      slots_(std::make_unique<Slot[]>(max_workers)) {
  const Hash128 drawn = random_hash_key();
  process_ = fmt::format("{:016x}{:016x}", drawn.high, drawn.low);
}

RedisStore::~RedisStore() = default;

void RedisStore::attach(uint32_t worker, net::Loop& loop) {
  if (worker >= max_workers) return;
  Slot& slot = slots_[worker];
  if (slot.uses++ > 0) return;
  slot.client = std::make_unique<RedisClient>(loop, *this);
  slot.loop.store(&loop, std::memory_order_relaxed);
  for (uint32_t seen = workers_.load();
       seen <= worker && !workers_.compare_exchange_weak(seen, worker + 1);) {}
  slot.client->start();
}

void RedisStore::detach(uint32_t worker) {
  if (worker >= max_workers) return;
  Slot& slot = slots_[worker];
  if (slot.uses == 0 || --slot.uses > 0) return;
  auto& loop = const_cast<net::Loop&>(*slot.loop.exchange(nullptr));
  slot.client->stop();
  loop.defer_delete(std::move(slot.client));
}

// Each worker looks for its own among a few; no other thread's client is ever touched.
RedisClient* RedisStore::client_of(const net::Loop& loop) {
  const uint32_t workers = workers_.load(std::memory_order_relaxed);
  for (uint32_t i = 0; i < workers; ++i) {
    if (slots_[i].loop.load(std::memory_order_relaxed) == &loop) return slots_[i].client.get();
  }
  return nullptr;
}

Asked RedisStore::gcra(const net::Loop& loop, Token token, std::string_view space, std::string_view key,
                       std::span<const gcra::Window> windows, uint64_t cost) {
  RedisClient* client = client_of(loop);
  if (client == nullptr) return Asked::away;
  const Asked asked = client->gcra(token, space, key, windows, cost);
  if (asked == Asked::full) full_.fetch_add(1, std::memory_order_relaxed);
  return asked;
}

Asked RedisStore::add(const net::Loop& loop, Token token, std::string_view space, std::string_view key,
                      int64_t delta, int64_t most, int64_t ttl_ms) {
  RedisClient* client = client_of(loop);
  if (client == nullptr) return Asked::away;
  const Asked asked = client->add(token, space, key, delta, most, ttl_ms);
  if (asked == Asked::full) full_.fetch_add(1, std::memory_order_relaxed);
  return asked;
}

// One of the workers tells for all of them.
bool RedisStore::heartbeat_due(uint64_t now_ms, uint64_t interval_ms) {
  uint64_t next = next_heartbeat_ms_.load(std::memory_order_relaxed);
  return now_ms >= next && next_heartbeat_ms_.compare_exchange_strong(next, now_ms + interval_ms);
}

void RedisStore::went_up() {
  ups_.fetch_add(1, std::memory_order_relaxed);
  if (told_away_.exchange(false))
    owner_.log(true, fmt::format("redis at {} answers again", settings_.address()));
}

void RedisStore::went_away(std::string_view why) {
  ups_.fetch_sub(1, std::memory_order_relaxed);
  failed_to_come_up(why);
}

void RedisStore::failed_to_come_up(std::string_view why) {
  if (told_away_.exchange(true)) return;
  const uint32_t share = processes();
  owner_.log(false, fmt::format("redis at {} is away ({}): what asks it goes on with a local share, 1/{}",
                                settings_.address(), why, share));
}

}  // namespace penstock::store
