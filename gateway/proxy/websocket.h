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

// A request for a tunnel that cannot go on without one: an extended CONNECT of HTTP/2, to which a 2xx would
// be the tunnel itself (RFC 8441 5). In HTTP/1.1 a request without its Upgrade is still a request.
inline bool must_upgrade(const http::Message& request) {
  return request.version == http::Version::http_2 && !request.upgrade.empty();
}

// HTTP/2 knows no key: ours, for a backend of HTTP/1.1 (RFC 6455 4.1: 16 bytes at random, in base64).
void set_handshake_key(http::Message& request, uint64_t random, uint64_t more_random);
// And no accept: ours, for a client of HTTP/1.1.
void set_handshake_accept(const http::Message& request, http::Message& response);

// Is this the one Sec-WebSocket-Accept that answers that request (RFC 6455 4.2.2)?
bool handshake_accepted(const http::Message& request, const http::Message& response);

}  // namespace penstock::proxy
