// One request from a client with its attempts upstream and one winner: two streams joined through the route's
// chain. Made when a head was read (or could not be read), deletes itself through the loop when both sides
// are done. One worker.
#pragma once
#include "http/connection.h"
#include "proxy/worker_context.h"

namespace penstock::proxy {

// Takes the stream: its handler is the exchange. `generation` is pinned until the end of the exchange. The
// listener lives in that generation's snapshot.
http::StreamHandler& make_exchange(WorkerContext& worker, http::Stream& stream, Generation& generation,
                                   const ListenerInfo& listener);

}  // namespace penstock::proxy
