// Who is asking: address after trusted proxies, request id, what of the forwarding headers is believed. Run
// by the exchange and by explain before the decision.
#pragma once
#include "http/stream.h"
#include "proxy/request_context.h"
#include "proxy/snapshot.h"
#include "proxy/worker_context.h"

namespace penstock::proxy {

// Edits the request's headers (LANGUAGE.md "Forwarding").
void fill_client_facts(RequestContext& context, const ListenerInfo& listener, const http::Stream& stream,
                       Random& random);

}  // namespace penstock::proxy
