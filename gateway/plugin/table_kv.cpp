// gw.kv: limits and values of this process, and the stores that several processes share.
#include <array>

#include "plugin/handles.h"
#include "plugin/host.h"
#include "plugin/tables.h"

namespace penstock::plugin {
namespace {

gw_rc gcra(gw_instance* instance, gw_str key, const gw_limit* limits, size_t count, uint64_t cost,
           int64_t now_ns, uint32_t flags, gw_limit_state* out) {
  if (instance == nullptr || limits == nullptr) return GW_EINVAL;
  return instance->host->limits().gcra(instance->kv_space, view(key), {limits, count}, cost, now_ns, flags,
                                       out);
}

gw_rc get(gw_instance* instance, gw_str key, int64_t now_ns, char* value, size_t capacity) {
  if (instance == nullptr) return GW_EINVAL;
  return instance->host->values().get(instance->kv_space, view(key), now_ns, value, capacity);
}
gw_rc set(gw_instance* instance, gw_str key, int64_t now_ns, gw_str value, int64_t ttl_ns) {
  if (instance == nullptr) return GW_EINVAL;
  return instance->host->values().set(instance->kv_space, view(key), now_ns, view(value), ttl_ns);
}
gw_rc cas(gw_instance* instance, gw_str key, int64_t now_ns, gw_str expected, gw_str value, int64_t ttl_ns) {
  if (instance == nullptr) return GW_EINVAL;
  return instance->host->values().cas(instance->kv_space, view(key), now_ns, view(expected), view(value),
                                      ttl_ns);
}
gw_rc del(gw_instance* instance, gw_str key) {
  if (instance == nullptr) return GW_EINVAL;
  return instance->host->values().del(instance->kv_space, view(key));
}
gw_rc add(gw_instance* instance, gw_str key, int64_t now_ns, int64_t delta, int64_t most, int64_t ttl_ns,
          int64_t* value) {
  if (instance == nullptr) return GW_EINVAL;
  return instance->host->values().add(instance->kv_space, view(key), now_ns, delta, most, ttl_ns, value);
}

// ---- shared stores ----
gw_store* store(const gw_node* at, gw_str name) {
  if (at == nullptr) return nullptr;
  Configuration& configuration = *at->configuration;
  gw_instance& instance = configuration.instance;
  const auto fail = [&](std::string message) -> gw_store* {
    config_table.error(at, str(message));
    return nullptr;
  };
  if (view(name) != "redis")
    return fail("there is no store '" + std::string(view(name)) + "'; there is redis");
  auto redis = instance.host->redis();
  if (redis == nullptr)
    return fail("needs 'redis' at the top of the configuration: redis: { address: host:port }");
  instance.stores.push_back(std::make_unique<gw_store>(std::move(redis)));
  return instance.stores.back().get();
}

gw_rc result_of(store::Asked asked) {
  switch (asked) {
    case store::Asked::yes: return GW_OK;
    case store::Asked::away: return GW_EUNAVAILABLE;
    case store::Asked::full: return GW_ELIMIT;
  }
  return GW_ERROR;
}

bool valid(const gw_limit& limit) {
  return limit.count >= 1 && limit.count <= uint64_t{1} << 53 && limit.burst >= 1 &&
         limit.burst < 2 * GW_LIMIT_QUOTA && limit.period_ns >= 1 && limit.period_ns < int64_t{1} << 53;
}

gw_rc store_gcra(gw_req* req, gw_ticket ticket, gw_store* in, gw_instance* instance, gw_str key,
                 const gw_limit* limits, size_t count, uint64_t cost) {
  if (req == nullptr || in == nullptr || instance == nullptr || limits == nullptr || count < 1 ||
      count > store::RedisStore::max_windows || cost > UINT32_MAX || ticket.gen == 0) {
    return GW_EINVAL;
  }
  std::array<gcra::Window, store::RedisStore::max_windows> windows;
  for (size_t i = 0; i < count; ++i) {
    if (!valid(limits[i])) return GW_EINVAL;
    windows[i] = {limits[i].count, static_cast<uint64_t>(limits[i].period_ns), limits[i].burst};
  }
  if (req->context.loop == nullptr) return GW_ESTATE;
  return result_of(in->redis->gcra(*req->context.loop, {ticket.slot, ticket.gen}, instance->store_space,
                                   view(key), {windows.data(), count}, cost));
}

gw_rc store_add(gw_req* req, gw_ticket ticket, gw_store* in, gw_instance* instance, gw_str key, int64_t delta,
                int64_t most, int64_t ttl_ns) {
  if (req == nullptr || in == nullptr || instance == nullptr || ticket.gen == 0 || ttl_ns < 0 ||
      key.len > KvStore::max_key) {
    return GW_EINVAL;
  }
  if (req->context.loop == nullptr) return GW_ESTATE;
  const int64_t ttl_ms = ttl_ns / 1'000'000 + (ttl_ns % 1'000'000 != 0 ? 1 : 0);
  return result_of(in->redis->add(*req->context.loop, {ticket.slot, ticket.gen}, instance->store_space,
                                  view(key), delta, most, ttl_ms));
}

uint32_t processes(const gw_store* in) { return in == nullptr ? 1 : in->redis->processes(); }

}  // namespace

constinit const gw_kv_v0 kv_table{
    sizeof(gw_kv_v0), 0, &gcra, &get, &set, &cas, &del, &add, &store, &store_gcra, &store_add, &processes};

}  // namespace penstock::plugin
