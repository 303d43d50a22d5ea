/* A plugin that uses every table of ABI 0.9. Its binary, plugin_0_9.so, was built once with the header of 0.9
 * and is kept: README.md says how. */
#include <penstock_plugin.h>
#include <stdlib.h>
#include <string.h>

static const gw_host* host;
static const gw_http_v0* http;
static const gw_consumer_v0* consumer;
static const gw_connection_v0* connection;
static const gw_clock_v0* clock_;
static const gw_async_v0* async;
static const gw_kv_v0* kv;
static const gw_config_v0* config;
static const gw_log_v0* logs;
static const gw_metric_v0* metric;
static const gw_event_v0* event;

static gw_str str(const char* text) {
  const gw_str view = {text, strlen(text)};
  return view;
}

typedef struct {
  gw_instance* self;
  gw_id header, wait, user, peer, seen;
  gw_limit limit;
  int64_t delay_ns;
  gw_id target;
  gw_metric* requests;
  uint64_t events;
} instance;

static void on_event(void* user, uint32_t what) { ((instance*)user)->events += what; }

static gw_rc read_keys(instance* self, const gw_node* node) {
  const gw_str keys[] = {str("header"), str("rate"), str("delay"), str("")};
  const gw_node* header = config->get(node, keys[0]);
  const gw_node* rate = config->get(node, keys[1]);
  const gw_node* delay = config->get(node, keys[2]);
  gw_str name = str("x-key");
  config->check_keys(node, keys, 4);
  if (header != NULL && config->get_string(header, &name) < 0) return GW_EINVAL;
  self->header = http->header_id(host, name);
  if (self->header == 0) config->error(header, str("is no name for a header"));
  self->limit.count = 1;
  self->limit.period_ns = 1000000000;
  if (rate != NULL && config->get_rate(rate, &self->limit.count, &self->limit.period_ns) < 0)
    return GW_EINVAL;
  self->limit.burst = self->limit.count;
  if (delay != NULL && config->get_duration(delay, &self->delay_ns) < 0) return GW_EINVAL;
  return config->get_target(node, &self->target);
}

static gw_rc configure(const gw_node* node, void** inst) {
  instance* self = calloc(1, sizeof *self);
  if (self == NULL) return GW_ELIMIT;
  *inst = self;
  self->self = config->instance(node);
  self->wait = http->header_id(host, str("x-wait"));
  self->peer = http->header_id(host, str("x-peer"));
  self->seen = http->header_id(host, str("x-seen"));
  self->user = http->attribute_id(host, str("client.address"));
  self->requests =
      metric->counter(self->self, str("kept_0_9_requests_total"), str("Requests"), str("kind"), str("all"));
  event->subscribe(self->self, GW_EVENT_REOPEN_LOGS | GW_EVENT_DRAIN, on_event, self);
  consumer->challenge(self->self, str("Kept realm=\"0.9\""));
  consumer->carrier(self->self, GW_CARRIER_HEADER, str("x-key"));
  return read_keys(self, node);
}
static void destroy(void* inst) { free(inst); }

static gw_action authenticate(const gw_call* call) {
  const instance* self = call->inst;
  const gw_str key = http->header_get(call->req, GW_REQUEST, self->header, 0);
  const gw_consumer* who;
  if (key.ptr == NULL) return GW_ABSENT;
  who = consumer->lookup(call->req, self->self, GW_CREDENTIAL_API_KEY, key);
  if (who == NULL) {
    consumer->refuse(call->req, 401, str("auth.kept.unknown"), str(""));
    return GW_REFUSE;
  }
  return consumer->set_consumer(call->req, who) < 0 ? GW_ERROR : GW_ACCEPT;
}

static gw_action on_request_headers(const gw_call* call) {
  const instance* self = call->inst;
  const gw_str key = http->header_get(call->req, GW_REQUEST, self->header, 0);
  const gw_str peer = connection->peer_address(call->req);
  gw_limit_state state;
  gw_ticket ticket;
  if (kv->gcra(self->self, key, &self->limit, 1, 1, clock_->request_monotonic(call->req), 0, &state) == 0) {
    http->problem(call->req, 429, str("limit.kept"), str("too many"), str("\"kept\":true"));
    http->respond_header(call->req, self->seen, str("0.9"));
    return GW_RESPOND;
  }
  http->header_set(call->req, GW_REQUEST, self->seen, http->attribute_get(call->req, self->user));
  if (peer.len > 0) http->header_add(call->req, GW_REQUEST, self->peer, peer);
  if (self->target != 0) http->target_set(call->req, self->target);
  *(uint64_t*)call->ctx += 1;
  if (http->header_count(call->req, GW_REQUEST, self->wait) == 0) return GW_CONTINUE;
  ticket = async->ticket(call->req);
  async->resume_after(call->req, ticket, self->delay_ns, (void*)self);
  return GW_PAUSE;
}

static gw_action on_resume(const gw_call* call, void* data) {
  const instance* self = call->inst;
  if (data != (const void*)self || *(uint64_t*)call->ctx != 1) return GW_ERROR;
  return http->header_remove(call->req, GW_REQUEST, self->wait) < 0 ? GW_ERROR : GW_CONTINUE;
}

static gw_action on_response_headers(const gw_call* call) {
  const instance* self = call->inst;
  return http->header_set(call->req, GW_RESPONSE, self->seen, str("0.9")) < 0 ? GW_ERROR : GW_CONTINUE;
}

static void on_complete(const gw_call* call, const gw_summary* summary) {
  const instance* self = call->inst;
  if (summary->status == 200) metric->add(self->requests, 1);
  if (logs->enabled(host, GW_LOG_WARNING) && GW_HAS(summary, grpc_status))
    logs->write_request(call->req, self->self, GW_LOG_WARNING, summary->request_id);
}

static gw_action explain(const gw_call* call, gw_explanation* out) {
  (void)call;
  out->depends_on = GW_ON_LIMIT;
  out->detail = str("kept");
  return GW_DEPENDS;
}

static gw_str schema(void) { return str("{\"title\":\"kept_0_9\",\"type\":\"object\",\"properties\":{}}"); }

static gw_rc init(const gw_host* h) {
  host = h;
  http = h->get_extension(h, GW_HTTP_V0);
  consumer = h->get_extension(h, GW_CONSUMER_V0);
  connection = h->get_extension(h, GW_CONNECTION_V0);
  clock_ = h->get_extension(h, GW_CLOCK_V0);
  async = h->get_extension(h, GW_ASYNC_V0);
  kv = h->get_extension(h, GW_KV_V0);
  config = h->get_extension(h, GW_CONFIG_V0);
  logs = h->get_extension(h, GW_LOG_V0);
  metric = h->get_extension(h, GW_METRIC_V0);
  event = h->get_extension(h, GW_EVENT_V0);
  return h->abi_major == GW_ABI_MAJOR ? GW_OK : GW_ERROR;
}

static const char* const needs[] = {GW_HTTP_V0, GW_CONSUMER_V0, GW_CONNECTION_V0, GW_CLOCK_V0,  GW_ASYNC_V0,
                                    GW_KV_V0,   GW_CONFIG_V0,   GW_LOG_V0,        GW_METRIC_V0, GW_EVENT_V0,
                                    NULL};
static const gw_plugin plain = {
    .struct_size = sizeof(gw_plugin),
    .ctx_size = sizeof(uint64_t),
    .type = {"kept_0_9", 8},
    .version = {"0.9.0", 5},
    .schema = schema,
    .needs = needs,
    .configure = configure,
    .destroy = destroy,
    .on_request_headers = on_request_headers,
    .on_response_headers = on_response_headers,
    .on_resume = on_resume,
    .on_complete = on_complete,
    .explain = explain,
};
static const gw_plugin authenticator = {
    .struct_size = sizeof(gw_plugin),
    .type = {"kept_auth_0_9", 13},
    .version = {"0.9.0", 5},
    .needs = needs,
    .configure = configure,
    .destroy = destroy,
    .authenticate = authenticate,
};
static const gw_plugin* const plugins[] = {&plain, &authenticator, NULL};

GW_EXPORT const gw_entry gw_plugin_entry = {
    .magic = GW_MAGIC,
    .struct_size = sizeof(gw_entry),
    .abi_major = GW_ABI_MAJOR,
    .abi_minor = GW_ABI_MINOR,
    .init = init,
    .plugins = plugins,
};
