// SHA-256 for the layers above net/, which do not include OpenSSL.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace penstock::net {
std::array<uint8_t, 32> sha256(std::string_view bytes);
}
