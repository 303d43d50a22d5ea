// Answers that the gateway gives by configuration: redirects and fixed responses. Made into the request's
// arena.
#pragma once
#include "proxy/request_context.h"
#include "proxy/route.h"

namespace penstock::proxy {

// 308 to https on another listener's port: same host, path and query.
LocalResponse redirect_to_listener(RequestContext& request, uint16_t port);
LocalResponse redirect_answer(RequestContext& request, const Target::Redirect& redirect);
LocalResponse respond_answer(RequestContext& request, const Target::Respond& respond);

}  // namespace penstock::proxy
