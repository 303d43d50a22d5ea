// gw.consumer and gw.connection: who is asking, and over what.
#include <netinet/in.h>

#include "net/transport.h"
#include "plugin/handles.h"
#include "plugin/host.h"
#include "plugin/tables.h"
#include "proxy/snapshot.h"

namespace penstock::plugin {
namespace {

constexpr size_t max_id_bytes = 1024;
constexpr size_t max_groups = 256;

// Into a header field of the 401.
bool header_text(gw_str text) { return !proxy::has_control_byte(view(text)); }

gw_rc challenge(gw_instance* instance, gw_str text) {
  if (instance == nullptr || text.len > max_id_bytes || !header_text(text)) return GW_EINVAL;
  instance->challenge = view(text);
  return GW_OK;
}

gw_rc carrier(gw_instance* instance, uint32_t kind, gw_str name) {
  if (instance == nullptr || name.len == 0 || kind < GW_CARRIER_HEADER || kind > GW_CARRIER_COOKIE)
    return GW_EINVAL;
  std::string own(view(name));
  if (kind == GW_CARRIER_QUERY)
    instance->credential_query.push_back(std::move(own));
  else if (kind == GW_CARRIER_COOKIE)
    instance->credential_cookies.push_back(std::move(own));
  else {
    for (char& c : own) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    }
    instance->credential_headers.push_back(std::move(own));
  }
  return GW_OK;
}

const gw_consumer* lookup(gw_req* req, const gw_instance* instance, uint32_t credential, gw_str value) {
  if (req->context.snapshot == nullptr || instance == nullptr || value.len == 0) return nullptr;
  const proxy::Consumers& consumers = req->context.snapshot->consumers;
  const proxy::Consumer* found = nullptr;
  if (credential == GW_CREDENTIAL_API_KEY)
    found = consumers.by_api_key(view(value), req->context.key_digests);
  if (credential == GW_CREDENTIAL_JWT) found = consumers.by_jwt(instance->name, view(value));
  return reinterpret_cast<const gw_consumer*>(found);
}

const proxy::Consumer* consumer_of(const gw_consumer* consumer) {
  return reinterpret_cast<const proxy::Consumer*>(consumer);
}

gw_str name(const gw_consumer* consumer) {
  return consumer == nullptr ? gw_str{nullptr, 0} : str(consumer_of(consumer)->name);
}

gw_rc set_consumer(gw_req* req, const gw_consumer* consumer) {
  if (req->stage != Stage::authenticate) return GW_ESTATE;
  if (consumer == nullptr) return GW_EINVAL;
  req->context.auth = {};
  req->context.auth.consumer = consumer_of(consumer);
  return GW_OK;
}

// "INSTANCE:id": names of configured consumers hold no colon, so nobody takes one of them.
gw_rc set_identity(gw_req* req, const gw_instance* instance, gw_str id, const gw_str* groups, size_t count) {
  if (req->stage != Stage::authenticate) return GW_ESTATE;
  if (instance == nullptr || id.len == 0 || id.len > max_id_bytes || count > max_groups || !header_text(id)) {
    return GW_EINVAL;
  }
  proxy::RequestContext& context = req->context;
  context.auth = {};
  context.auth.identity = context.arena.join(instance->name, ":", view(id));
  if (count == 0) return GW_OK;
  context.auth.groups = context.arena.make_array<std::string_view>(count);
  for (size_t i = 0; i < count; ++i) {
    context.auth.groups[i] = context.arena.join(instance->name, ":", view(groups[i]));
  }
  return GW_OK;
}

gw_rc set_consumer_name(gw_req* req, gw_str consumer_name) {
  if (req->stage != Stage::authenticate) return GW_ESTATE;
  const proxy::Snapshot* snapshot = req->context.snapshot;
  const proxy::Consumer* known =
      snapshot != nullptr ? snapshot->consumers.by_name(view(consumer_name)) : nullptr;
  if (known == nullptr) return set_identity(req, &req->instance, consumer_name, nullptr, 0);
  return set_consumer(req, reinterpret_cast<const gw_consumer*>(known));
}

gw_rc refuse(gw_req* req, uint32_t status, gw_str reason, gw_str text) {
  if (req->stage != Stage::authenticate) return GW_ESTATE;
  if ((status != 401 && status != 403 && status != 503) || reason.len == 0 || reason.len > 64 || !header_text(reason) ||
      !header_text(text)) {
    return GW_EINVAL;
  }
  proxy::RequestContext& context = req->context;
  context.auth = {};
  context.auth.refuse_status = static_cast<uint16_t>(status);
  context.auth.refuse_reason = context.arena.copy(view(reason));
  context.auth.challenge = context.arena.copy(view(text));
  return GW_OK;
}

int32_t in_group(gw_req* req, gw_str group) { return req->context.in_group(view(group)) ? 1 : 0; }

gw_str peer_address(gw_req* req) {
  const net::Address* peer = req->context.peer;
  if (peer == nullptr || !peer->valid()) return {nullptr, 0};
  return str(req->context.arena.copy(peer->to_string()));
}
gw_str listener(gw_req* req) { return str(req->context.listener); }
gw_str tls_version(gw_req* req) {
  return req->context.tls != nullptr ? str(req->context.tls->version) : gw_str{nullptr, 0};
}
gw_str server_name(gw_req* req) {
  const net::TlsInfo* tls = req->context.tls;
  return tls != nullptr && !tls->server_name.empty() ? str(tls->server_name) : gw_str{nullptr, 0};
}

}  // namespace

constinit const gw_consumer_v0 consumer_table{
    sizeof(gw_consumer_v0), 0,       &challenge, &carrier, &lookup, &name, &set_consumer, &set_consumer_name,
    &set_identity,          &refuse, &in_group};
constinit const gw_connection_v0 connection_table{
    sizeof(gw_connection_v0), 0, &peer_address, &listener, &tls_version, &server_name};

}  // namespace penstock::plugin
