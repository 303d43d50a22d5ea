// A plugin that does what it is told by the header `do`: junk actions, exceptions, pauses, forbidden writes.
// Written straight against the C tables, so that nothing of the SDK softens it.
#include <penstock_plugin.h>

#include <cstring>
#include <stdexcept>
#include <string>

namespace {

const gw_host* host;
const gw_http_v0* http;
const gw_consumer_v0* consumer;
const gw_async_v0* async;
const gw_config_v0* config;
gw_id do_header;
gw_ticket last_ticket;

gw_str str(const char* text) { return {text, std::strlen(text)}; }

std::string order(const gw_call* call) {
  const gw_str text = http->header_get(call->req, GW_REQUEST, do_header, 0);
  return text.ptr == nullptr ? std::string() : std::string(text.ptr, text.len);
}

struct Instance {
  gw_instance* handle;
};

gw_action forbidden_writes(const gw_call* call) {
  const gw_id length = http->header_id(host, str("content-length"));
  const gw_id name = http->header_id(host, str("x-test"));
  int wrong = 0;
  wrong += http->header_set(call->req, GW_REQUEST, length, str("5")) != GW_EINVAL;
  wrong += http->header_set(call->req, GW_REQUEST, name, str("a\r\nb: c")) != GW_EINVAL;
  wrong += http->header_set(call->req, GW_RESPONSE, name, str("x")) != GW_ESTATE;
  wrong += http->header_set(call->req, 99, name, str("x")) >= 0;
  wrong += http->header_set(call->req, GW_REQUEST, 123456, str("x")) != GW_EINVAL;
  wrong +=
      http->attribute_set(call->req, http->attribute_id(host, str("client.address")), str("x")) != GW_EINVAL;
  const gw_id claim = http->attribute_id(host, str("claim.torture"));
  wrong += http->attribute_set(call->req, claim, str("a\r\nb: c")) != GW_EINVAL;
  wrong += http->attribute_set(call->req, claim, str("a\x7f")) != GW_EINVAL;
  wrong += http->attribute_get(call->req, claim).ptr != nullptr;
  wrong += http->attribute_get(call->req, 654321).ptr != nullptr;
  wrong += http->target_set(call->req, 999) != GW_ENOTFOUND;
  wrong += http->rewrite_path(call->req, str("no-slash")) != GW_EINVAL;
  wrong += http->rewrite_path(call->req, str("/a b")) != GW_EINVAL;
  wrong += http->respond(call->req, 101, str("x"), str(""), str("")) != GW_EINVAL;
  wrong += http->problem(call->req, 403, str("not a code"), str(""), str("")) != GW_EINVAL;
  wrong += http->respond_header(call->req, name, str("x")) != GW_ESTATE;
  wrong += consumer->set_consumer_name(call->req, str("alice")) != GW_ESTATE;
  wrong += consumer->refuse(call->req, 401, str("auth.x"), str("")) != GW_ESTATE;
  wrong += http->arena_alloc(call->req, 1 << 20) != nullptr;
  return wrong == 0 ? gw_action{GW_CONTINUE} : gw_action{GW_ERROR};
}

gw_action act(const gw_call* call, bool authenticator) {
  const std::string what = order(call);
  if (what == "throw") throw std::runtime_error("on purpose");
  if (what == "throw-int") throw 7;
  if (what == "error") return GW_ERROR;
  if (what == "junk") return 4711;
  if (what == "buffer") return GW_BUFFER;
  if (what == "detach") return GW_DETACH;
  if (what == "respond-nothing") return GW_RESPOND;
  if (what == "accept-nothing") return GW_ACCEPT;
  if (what == "accept") {
    consumer->set_consumer_name(call->req, str("alice"));
    return GW_ACCEPT;
  }
  if (what == "record-but-absent") {
    consumer->set_consumer_name(call->req, str("alice"));
    return GW_ABSENT;
  }
  if (what == "pause-no-ticket") return GW_PAUSE;
  if (what == "pause") {
    last_ticket = async->ticket(call->req);
    return GW_PAUSE;
  }
  if (what == "ticket-no-pause") {
    last_ticket = async->ticket(call->req);
    return GW_CONTINUE;
  }
  if (what == "respond") {
    http->problem(call->req, 418, str("torture.teapot"), str("as asked"), str("\"pot\":1"));
    http->respond_header(call->req, http->header_id(host, str("x-first")), str("1"));
    http->respond_header(call->req, http->header_id(host, str("x-second")), str("2"));
    return GW_RESPOND;
  }
  if (what == "problem-but-continue") {
    http->problem(call->req, 418, str("torture.teapot"), str(""), str(""));
    return GW_CONTINUE;
  }
  if (what == "forbidden-writes") return forbidden_writes(call);
  return authenticator ? GW_ABSENT : GW_CONTINUE;
}

gw_action on_request_headers(const gw_call* call) { return act(call, false); }
gw_action authenticate(const gw_call* call) { return act(call, true); }
gw_action on_resume(const gw_call*, void* data) {
  return data == nullptr ? GW_CONTINUE : *static_cast<gw_action*>(data);
}
gw_action on_response_headers(const gw_call* call) {
  return order(call) == "response-throw" ? throw std::runtime_error("late") : GW_CONTINUE;
}
void on_complete(const gw_call* call, const gw_summary*) {
  if (order(call) == "complete-throw") throw std::runtime_error("last");
}

gw_rc configure(const gw_node* node, void** inst) {
  gw_str text{};
  if (const gw_node* mode = config->get(node, str("mode"));
      mode != nullptr && config->get_string(mode, &text) >= 0) {
    const std::string how(text.ptr, text.len);
    if (how == "throw") throw std::runtime_error("in configure");
    if (how == "error") return GW_ERROR;
    if (how == "tell-ticket") config->warning(node, str("unused"));
  }
  *inst = new Instance{config->instance(node)};
  return GW_OK;
}
void destroy(void* inst) { delete static_cast<Instance*>(inst); }

gw_rc worker_start(void*, gw_worker*, void** state) {
  *state = new int(1);
  return GW_OK;
}
void worker_stop(void*, gw_worker*, void* state) { delete static_cast<int*>(state); }

gw_rc init(const gw_host* h) {
  host = h;
  http = static_cast<const gw_http_v0*>(h->get_extension(h, GW_HTTP_V0));
  consumer = static_cast<const gw_consumer_v0*>(h->get_extension(h, GW_CONSUMER_V0));
  async = static_cast<const gw_async_v0*>(h->get_extension(h, GW_ASYNC_V0));
  config = static_cast<const gw_config_v0*>(h->get_extension(h, GW_CONFIG_V0));
  do_header = http->header_id(h, str("do"));
  return h->get_extension(h, "gw.unheard_of/0") == nullptr ? GW_OK : GW_ERROR;
}

// resume from outside a request: the test reaches it through the schema hook, the only call without a
// request.
gw_str schema() {
  static std::string out;
  static gw_action go_on = GW_CONTINUE;
  out = std::to_string(async->resume(host, last_ticket, &go_on));
  return {out.data(), out.size()};
}

constexpr gw_plugin make(const char* type, size_t length, bool authenticator) {
  gw_plugin p{};
  p.struct_size = sizeof(gw_plugin);
  p.ctx_size = 24;
  p.type = {type, length};
  p.version = {"1.0.0", 5};
  p.schema = &schema;
  p.configure = &configure;
  p.destroy = &destroy;
  p.worker_start = &worker_start;
  p.worker_stop = &worker_stop;
  (authenticator ? p.authenticate : p.on_request_headers) =
      authenticator ? &authenticate : &on_request_headers;
  p.on_response_headers = &on_response_headers;
  p.on_resume = &on_resume;
  p.on_complete = &on_complete;
  return p;
}
constexpr gw_plugin torture = make("torture", 7, false), torture_auth = make("torture_auth", 12, true);
const gw_plugin* const plugins[] = {&torture, &torture_auth, nullptr};

}  // namespace

extern "C" {
const gw_entry gw_plugin_entry = {GW_MAGIC, sizeof(gw_entry), GW_ABI_MAJOR, GW_ABI_MINOR, 0,
                                  &init,    nullptr,          plugins};
}
