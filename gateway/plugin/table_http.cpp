// gw.http: header fields, attributes, targets and answers of the request that a hook runs for.
#include <cstring>

#include "plugin/handles.h"
#include "plugin/host.h"
#include "plugin/tables.h"
#include "proxy/body_chain.h"
#include "proxy/snapshot.h"

namespace penstock::plugin {
namespace {

using proxy::HeaderEdit;
using Header = proxy::Names::Header;

constexpr size_t max_arena_bytes = 64 * 1024;  // of one hook of one request
constexpr size_t max_value_bytes = 32 * 1024;
constexpr size_t max_answer_bytes = 16 * 1024 * 1024;  // of an answer's own body

const HostHandle& handle_of(const gw_host* host) { return *reinterpret_cast<const HostHandle*>(host); }

gw_id header_id(const gw_host* host, gw_str name) {
  return handle_of(host).host->names().header_id(view(name));
}
gw_id attribute_id(const gw_host* host, gw_str name) {
  return handle_of(host).host->names().attribute_id(view(name));
}
gw_id attribute_find(const gw_host* host, gw_str name) {
  return handle_of(host).host->names().attributes.find(view(name));
}
uint32_t attribute_epoch(const gw_host* host) { return handle_of(host).host->names().attributes.size(); }

http::Headers* block_of(gw_req* req, uint32_t block) {
  if (block == GW_REQUEST) return &req->context.request.headers;
  if (block == GW_RESPONSE && req->context.response != nullptr) return &req->context.response->headers;
  if (block == GW_REQUEST_TRAILERS) return req->context.request_trailers;
  if (block == GW_RESPONSE_TRAILERS) return req->context.response_trailers;
  return nullptr;
}

bool writable(const gw_req& req, uint32_t block) {
  switch (block) {
    case GW_REQUEST: return req.stage == Stage::authenticate || req.shapes_request();
    case GW_RESPONSE: return req.shapes_response();
    case GW_REQUEST_TRAILERS: return req.stage == Stage::request_trailers;
    case GW_RESPONSE_TRAILERS: return req.stage == Stage::response_trailers;
    default: return false;
  }
}

// fn(field) for each of that name, until it says true. A known name is found without comparing text.
template <class Fn>
void each_of(const http::Headers& headers, const Header& header, Fn fn) {
  if (header.id != http::HeaderId::other) {
    for (const http::Field& field : headers.fields()) {
      if (field.id == header.id && fn(field)) return;
    }
    return;
  }
  for (const http::Field& field : headers.fields()) {
    if (field.name == header.name && fn(field)) return;
  }
}

gw_str header_get(gw_req* req, uint32_t block, gw_id name, uint32_t index) {
  if (!usable(req)) return {nullptr, 0};
  const Header* header = req->host.names().headers.get(name);
  http::Headers* headers = block_of(req, block);
  if (header == nullptr || headers == nullptr) return {nullptr, 0};
  gw_str out{nullptr, 0};
  each_of(*headers, *header, [&](const http::Field& field) {
    if (index-- != 0) return false;
    out = field.value.data() != nullptr ? str(field.value) : gw_str{"", 0};
    return true;
  });
  return out;
}

uint32_t header_count(gw_req* req, uint32_t block, gw_id name) {
  if (!usable(req)) return 0;
  const Header* header = req->host.names().headers.get(name);
  http::Headers* headers = block_of(req, block);
  uint32_t count = 0;
  if (header == nullptr || headers == nullptr) return 0;
  each_of(*headers, *header, [&](const http::Field&) {
    ++count;
    return false;
  });
  return count;
}

void header_each(gw_req* req, uint32_t block, gw_header_fn fn, void* user) {
  if (!usable(req)) return;
  http::Headers* headers = block_of(req, block);
  if (headers == nullptr || fn == nullptr) return;
  for (const http::Field& field : headers->fields()) {
    if (fn(user, str(field.name), str(field.value)) != 0) return;
  }
}

// Fields that say where a message ends or who it is for are the core's (RFC 9112 6, RFC 9110 7.6.1).
bool framing(const Header& header) {
  switch (header.id) {
    case http::HeaderId::connection:
    case http::HeaderId::content_length:
    case http::HeaderId::host:
    case http::HeaderId::keep_alive:
    case http::HeaderId::proxy_connection:
    case http::HeaderId::te:
    case http::HeaderId::trailer:
    case http::HeaderId::transfer_encoding:
    case http::HeaderId::upgrade: return true;
    default: return false;
  }
}

// A byte of the eight that is CR, LF or NUL.
bool breaks_line(uint64_t bytes) {
  constexpr uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
  const auto zero_byte = [](uint64_t v) { return (v - ones) & ~v; };
  return ((zero_byte(bytes) | zero_byte(bytes ^ ones * '\r') | zero_byte(bytes ^ ones * '\n')) & highs) != 0;
}

bool field_value(gw_str value) {
  if (value.len > max_value_bytes || (value.ptr == nullptr && value.len > 0)) return false;
  size_t i = 0;
  for (; i + 8 <= value.len; i += 8) {
    uint64_t bytes;
    std::memcpy(&bytes, value.ptr + i, 8);
    if (breaks_line(bytes)) return false;
  }
  for (; i < value.len; ++i) {
    if (value.ptr[i] == '\r' || value.ptr[i] == '\n' || value.ptr[i] == '\0') return false;
  }
  return true;
}

void append(HeaderEdit*& list, HeaderEdit* edit) {
  HeaderEdit** end = &list;
  while (*end != nullptr) end = &(*end)->next;
  *end = edit;
}

gw_rc edit(gw_req* req, uint32_t block, gw_id name, gw_str value, HeaderEdit::Op op) {
  if (!usable(req)) return GW_EINVAL;
  const Header* header = req->host.names().headers.get(name);
  if (header == nullptr || framing(*header) || !field_value(value)) return GW_EINVAL;
  proxy::RequestContext& context = req->context;
  if (!writable(*req, block)) return GW_ESTATE;
  const std::string_view copy =
      op == HeaderEdit::Op::remove ? std::string_view() : context.arena.copy(view(value));
  if (req->stage == Stage::authenticate) {  // kept only when it accepts
    append(context.auth_edits,
           context.arena.make<HeaderEdit>(op, std::string_view(header->name), copy, nullptr));
    return GW_OK;
  }
  http::Headers& headers = *block_of(req, block);
  const bool known = header->id != http::HeaderId::other;
  switch (op) {
    case HeaderEdit::Op::set: known ? headers.set(header->id, copy) : headers.set(header->name, copy); break;
    case HeaderEdit::Op::add: known ? headers.add(header->id, copy) : headers.add(header->name, copy); break;
    case HeaderEdit::Op::remove:
      if (known) {
        headers.remove(header->id);
      } else {
        headers.remove(header->name);
      }
      break;
  }
  return GW_OK;
}

gw_rc header_set(gw_req* req, uint32_t block, gw_id name, gw_str value) {
  return edit(req, block, name, value, HeaderEdit::Op::set);
}
gw_rc header_add(gw_req* req, uint32_t block, gw_id name, gw_str value) {
  return edit(req, block, name, value, HeaderEdit::Op::add);
}
gw_rc header_remove(gw_req* req, uint32_t block, gw_id name) {
  return edit(req, block, name, {nullptr, 0}, HeaderEdit::Op::remove);
}

gw_str attribute_get(gw_req* req, gw_id id) {
  return id == 0 || !usable(req) ? gw_str{nullptr, 0} : str(req->context.attribute(id));
}

gw_rc attribute_set(gw_req* req, gw_id id, gw_str value) {
  if (!usable(req)) return GW_EINVAL;
  const proxy::Attribute* attribute = req->host.names().attributes.get(id);
  if (attribute == nullptr || value.len > max_value_bytes || proxy::has_control_byte(view(value)))
    return GW_EINVAL;
  const bool version = attribute->kind == proxy::AttributeKind::api_version;
  if (!version && attribute->kind != proxy::AttributeKind::claim) return GW_EINVAL;
  // What an authenticator sets is dropped unless it accepts, which a version cannot be.
  const bool now = req->shapes_request() || (req->stage == Stage::authenticate && !version);
  if (!now) return GW_ESTATE;
  req->context.set_attribute(id, req->context.arena.copy(view(value)));
  return GW_OK;
}

gw_rc target_set(gw_req* req, gw_id id) {
  if (!usable(req)) return GW_EINVAL;
  if (!req->shapes_request()) return GW_ESTATE;
  const proxy::Target* target =
      req->context.snapshot != nullptr ? req->context.snapshot->target(id) : nullptr;
  if (target == nullptr) return GW_ENOTFOUND;
  req->context.target = target;
  return GW_OK;
}

gw_rc rewrite_path(gw_req* req, gw_str path) {
  if (!usable(req)) return GW_EINVAL;
  if (!req->shapes_request()) return GW_ESTATE;
  if (path.ptr == nullptr || path.len == 0 || path.len > max_value_bytes || path.ptr[0] != '/')
    return GW_EINVAL;
  for (const char c : view(path)) {
    if (c <= ' ' || c == 0x7f || c == '?' || c == '#') return GW_EINVAL;
  }
  req->context.upstream_path = req->context.arena.copy(view(path));
  return GW_OK;
}

// Codes go into logs, labels and JSON as they are.
bool reason_code(gw_str reason) {
  constexpr std::string_view allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  return reason.len <= 64 && view(reason).find_first_not_of(allowed) == std::string_view::npos;
}

gw_rc may_answer(const gw_req* req, uint32_t status, gw_str reason) {
  if (!usable(req)) return GW_EINVAL;
  if (!req->may_answer()) return GW_ESTATE;
  return status < 200 || status > 599 || !reason_code(reason) ? GW_EINVAL : GW_OK;
}

gw_rc record(gw_req* req, uint32_t status, gw_str reason, proxy::LocalResponse& out) {
  out.status = static_cast<uint16_t>(status);
  out.reason = req->context.arena.copy(view(reason));
  req->context.local = out;
  return GW_OK;
}

gw_rc respond(gw_req* req, uint32_t status, gw_str reason, gw_str content_type, gw_str body) {
  if (const gw_rc rc = may_answer(req, status, reason); rc < 0) return rc;
  if (!field_value(content_type)) return GW_EINVAL;
  if (body.len > max_answer_bytes) return GW_ELIMIT;
  proxy::LocalResponse out;
  out.content_type = req->context.arena.copy(view(content_type));
  out.body = req->context.arena.copy(view(body));
  return record(req, status, reason, out);
}

gw_rc problem(gw_req* req, uint32_t status, gw_str reason, gw_str detail, gw_str members) {
  if (const gw_rc rc = may_answer(req, status, reason); rc < 0) return rc;
  if (detail.len > max_answer_bytes || members.len > max_answer_bytes) return GW_ELIMIT;
  proxy::LocalResponse out;
  out.problem = true;
  out.detail = req->context.arena.copy(view(detail));
  out.members = req->context.arena.copy(view(members));
  return record(req, status, reason, out);
}

gw_rc respond_header(gw_req* req, gw_id name, gw_str value) {
  if (!usable(req)) return GW_EINVAL;
  const Header* header = req->host.names().headers.get(name);
  if (header == nullptr || framing(*header) || !field_value(value)) return GW_EINVAL;
  if (req->context.local.status == 0 || !req->may_answer()) return GW_ESTATE;
  proxy::RequestContext& context = req->context;
  append(context.local.headers,
         context.arena.make<HeaderEdit>(HeaderEdit::Op::add, std::string_view(header->name),
                                        context.arena.copy(view(value)), nullptr));
  return GW_OK;
}

void* arena_alloc(gw_req* req, size_t size) {
  if (!usable(req)) return nullptr;
  if (size > max_arena_bytes - req->arena_used) return nullptr;
  req->arena_used += size;
  return req->context.arena.allocate(size);
}

gw_rc body_replace(gw_req* req, gw_str bytes) {
  if (!usable(req)) return GW_EINVAL;
  if (req->context.body == nullptr) return GW_ESTATE;
  if (bytes.ptr == nullptr && bytes.len > 0) return GW_EINVAL;
  return req->context.body->replace(view(bytes)) ? GW_OK : GW_ELIMIT;
}

}  // namespace

constinit const gw_http_v0 http_table{sizeof(gw_http_v0), 0,
                                      &header_id,         &attribute_id,
                                      &attribute_find,    &attribute_epoch,
                                      &header_get,        &header_count,
                                      &header_each,       &header_set,
                                      &header_add,        &header_remove,
                                      &attribute_get,     &attribute_set,
                                      &target_set,        &rewrite_path,
                                      &respond,           &problem,
                                      &respond_header,    &arena_alloc,
                                      &body_replace};

}  // namespace penstock::plugin
