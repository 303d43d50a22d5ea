// The opening handshake of a WebSocket (RFC 6455 section 4.2), as far as a gateway answers for it: a request
// that is none is refused, an answer that is none is a 502. What flows through the tunnel is not looked at.
// Pure functions.
#pragma once
#include <cstdint>
#include <string_view>

#include "http/message.h"

namespace penstock::proxy {

inline constexpr std::string_view websocket = "websocket";

// status 0: nothing is wrong with a request that asks for an upgrade to a WebSocket.
struct HandshakeFault {
  uint16_t status = 0;
  std::string_view detail;
};
HandshakeFault handshake_fault(const http::Message& request);

// Is this the one Sec-WebSocket-Accept that answers that request (RFC 6455 4.2.2)?
bool handshake_accepted(const http::Message& request, const http::Message& response);

}  // namespace penstock::proxy
