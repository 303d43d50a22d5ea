// Digests for the layers above net/, which do not include OpenSSL.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace penstock::net {
std::array<uint8_t, 32> sha256(std::string_view bytes);
std::array<uint8_t, 20> sha1(std::string_view bytes);  // for the WebSocket handshake alone (RFC 6455 4.2.2)
}  // namespace penstock::net
