// What each hop on the way adds or counts: X-Forwarded-*, Forwarded (RFC 7239), Via and Max-Forwards (RFC
// 9110 7.6.2 and 7.6.3). Pure functions over one request's head; texts are made in its arena. They know
// nothing of the exchange: explain uses them, too.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "proxy/request_context.h"
#include "proxy/snapshot.h"

namespace penstock::proxy {

// The client's address, protocol, host and port as the listener's `forwarded` wants them told, and our Via.
// What a trusted proxy said before is kept and continued.
void add_hop_fields(RequestContext& context, const ListenerInfo& listener);

// Via of an answer; `via` empty: nothing.
void add_via(http::Message& head, std::string_view via);

// Does Via say that the message was received by `name` before?
bool came_by(const http::Headers& headers, std::string_view name);

// Max-Forwards of a TRACE or OPTIONS; for other methods it has no meaning (RFC 9110 7.6.2).
struct HopsLeft {
  enum class Kind : uint8_t { unlimited, counted, malformed } kind = Kind::unlimited;
  uint32_t hops = 0;
};
HopsLeft hops_left(const http::Message& request);

bool same_ignoring_case(std::string_view a, std::string_view b);  // ASCII

// The list that fields of one name make together (RFC 9110 5.3) with `separator` between them; data() null:
// there is none. One copy, however many they are.
std::string_view joined(const http::Headers& headers, http::HeaderId id, std::string_view separator,
                        Arena& arena);

}  // namespace penstock::proxy
