// gw.clock, gw.async, gw.log, gw.metric, gw.event: thin functions in front of what the Host keeps.
#include "plugin/handles.h"
#include "plugin/host.h"
#include "plugin/tables.h"

namespace penstock::plugin {
namespace {

Host& host_of(const gw_host* host) { return *reinterpret_cast<const HostHandle*>(host)->host; }

// ---- clock ----
int64_t wall(const gw_host* host) { return host_of(host).wall_ns(); }
int64_t monotonic(const gw_host* host) { return host_of(host).monotonic_ns(); }
int64_t request_wall(gw_req* req) { return usable(req) ? req->context.wall_ns : 0; }
int64_t request_monotonic(gw_req* req) { return usable(req) ? req->context.monotonic_ns : 0; }

// ---- async ----
gw_ticket ticket(gw_req* req) {
  if (!usable(req)) return {0, 0};
  proxy::RequestContext& context = req->context;
  const bool may_pause = req->stage == Stage::authenticate || req->stage == Stage::request_headers ||
                         req->stage == Stage::request_body;
  if (!may_pause || context.resumable == nullptr || context.loop == nullptr) return {0, 0};
  req->took_ticket = true;
  return req->host.tickets().take(*context.resumable, *context.loop);
}
gw_rc resume(const gw_host* host, gw_ticket which, void* data) {
  return host_of(host).tickets().resume(which, data) ? 1 : 0;
}
gw_rc resume_after(gw_req* req, gw_ticket which, int64_t after_ns, void* data) {
  if (!usable(req)) return GW_EINVAL;
  return req->host.tickets().resume_after(which, after_ns, data) ? GW_OK : GW_EINVAL;
}
gw_rc offload(gw_req* req, gw_ticket which, void (*work)(void*), void (*discard)(void*), void* data) {
  if (work == nullptr || req->context.loop == nullptr) return GW_EINVAL;
  return req->host.offload().run(*req->context.loop, req->instance, which, {work, discard, data});
}

// ---- log ----
LogLevel level_of(uint32_t level) {
  return level > GW_LOG_ERROR ? LogLevel::error : static_cast<LogLevel>(level);
}
void write(const gw_host* host, const gw_instance* instance, uint32_t level, gw_str message) {
  host_of(host).log(level_of(level), instance, {}, view(message));
}
void write_request(gw_req* req, const gw_instance* instance, uint32_t level, gw_str message) {
  if (!usable(req)) return;
  req->host.log(level_of(level), instance, req->context.request_id, view(message));
}
int32_t enabled(const gw_host* host, uint32_t level) { return host_of(host).logs(level_of(level)) ? 1 : 0; }

// ---- metric ----
gw_metric* counter(gw_instance* instance, gw_str name, gw_str help, gw_str label, gw_str value) {
  if (instance == nullptr) return nullptr;
  return instance->host->metric_store().declare(instance->name, view(name), view(help), view(label),
                                                view(value), {}, SeriesKind::counter);
}
gw_metric* histogram(gw_instance* instance, gw_str name, gw_str help, gw_str label, gw_str value,
                     const double* bounds, size_t count) {
  if (instance == nullptr || bounds == nullptr || count == 0 || count > 64) return nullptr;
  return instance->host->metric_store().declare(instance->name, view(name), view(help), view(label),
                                                view(value), {bounds, count}, SeriesKind::histogram);
}
void add(gw_metric* metric, uint64_t delta) {
  if (metric != nullptr) metric->add(delta);
}
void observe(gw_metric* metric, double value) {
  if (metric != nullptr) metric->observe(value);
}
gw_metric* gauge(gw_instance* instance, gw_str name, gw_str help, gw_str label, gw_str value) {
  if (instance == nullptr) return nullptr;
  return instance->host->metric_store().declare(instance->name, view(name), view(help), view(label),
                                                view(value), {}, SeriesKind::gauge);
}
void set(gw_metric* metric, double value) {
  if (metric != nullptr) metric->set(value);
}

// ---- event ----
gw_rc subscribe(gw_instance* instance, uint32_t mask, void (*fn)(void*, uint32_t), void* user) {
  if (instance == nullptr || fn == nullptr) return GW_EINVAL;
  instance->host->events().subscribe({instance, mask, fn, user});
  return GW_OK;
}
gw_rc post(gw_instance* instance, void (*fn)(void*), void* user) {
  if (instance == nullptr || fn == nullptr) return GW_EINVAL;
  return instance->host->events().post(*instance, fn, user);
}

}  // namespace

constinit const gw_clock_v0 clock_table{sizeof(gw_clock_v0), 0, &wall, &monotonic, &request_wall,
                                        &request_monotonic};
constinit const gw_async_v0 async_table{sizeof(gw_async_v0), 0, &ticket, &resume, &resume_after, &offload};
constinit const gw_log_v0 log_table{sizeof(gw_log_v0), 0, &write, &write_request, &enabled};
constinit const gw_metric_v0 metric_table{
    sizeof(gw_metric_v0), 0, &counter, &histogram, &add, &observe, &gauge, &set};
constinit const gw_event_v0 event_table{sizeof(gw_event_v0), 0, &subscribe, &post};

}  // namespace penstock::plugin
