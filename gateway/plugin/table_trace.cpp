// gw.trace: a request's place in a distributed trace.
#include <algorithm>

#include "plugin/handles.h"
#include "plugin/tables.h"
#include "proxy/trace.h"

namespace penstock::plugin {
namespace {

gw_rc context(gw_req* req, gw_trace_context* out) {
  if (req == nullptr || out == nullptr || out->struct_size < sizeof *out) return GW_EINVAL;
  const proxy::Trace& trace = proxy::trace_of(req->context);
  out->flags = 0;
  if (trace.sampled) out->flags |= GW_TRACE_SAMPLED;
  if (trace.has_parent) out->flags |= GW_TRACE_PARENT;
  std::ranges::copy(trace.trace_id, out->trace_id);
  std::ranges::copy(trace.span_id, out->span_id);
  std::ranges::copy(trace.parent_id, out->parent_id);
  return GW_OK;
}

gw_rc sample(gw_req* req, int32_t sampled) {
  if (req == nullptr) return GW_EINVAL;
  if (req->stage != Stage::authenticate && req->stage != Stage::request_headers) return GW_ESTATE;
  proxy::trace_of(req->context).sampled = sampled != 0;
  return GW_OK;
}

}  // namespace

constinit const gw_trace_v0 trace_table{sizeof(gw_trace_v0), 0, &context, &sample};

}  // namespace penstock::plugin
