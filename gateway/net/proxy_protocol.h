// The PROXY protocol, versions 1 and 2 (proxy-protocol.txt of HAProxy): what a proxy in front says of the
// client before the connection's own bytes. Pure functions over the bytes that came so far; strict: what is
// not exactly in form is refused, since the header decides who a client is. Any thread.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "net/address.h"

namespace penstock::net {

// Version 1 is one line of at most this; of version 2 no more is taken with all its TLVs.
inline constexpr size_t max_proxy_header_v1 = 107;
inline constexpr size_t max_proxy_header_v2 = 4096;

struct ProxyHeader {
  // own: LOCAL, UNKNOWN or no addresses: the connection is the proxy's own, e.g. a health check.
  enum class Kind : uint8_t { own, proxied };
  Kind kind = Kind::own;
  Address source;  // of `proxied`; for a client at a unix socket Address::unix_peer()
  Address destination;
};

struct ProxyHeaderRead {
  enum class State : uint8_t { more, done, malformed };
  State state = State::more;
  size_t size = 0;        // done: bytes of the header
  std::string_view text;  // malformed: what is wrong, static
};

// more: all bytes are part of the header, which goes on.
ProxyHeaderRead read_proxy_header(std::string_view bytes, ProxyHeader& out);

}  // namespace penstock::net
