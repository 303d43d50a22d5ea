#include "limit_key.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstring>

namespace rate_limit {

void KeyWriter::add(std::string_view part, char kind) {
  if (part.size() + overhead > capacity_ - size_) {
    complete_ = false;
    return;
  }
  const auto length = static_cast<uint32_t>(part.size());
  std::memcpy(buffer_ + size_, &length, sizeof length);
  buffer_[size_ + sizeof length] = kind;
  if (!part.empty()) std::memcpy(buffer_ + size_ + overhead, part.data(), part.size());
  size_ += overhead + part.size();
}

void KeyWriter::add_address(std::string_view address, unsigned prefix_bits) {
  char text[INET6_ADDRSTRLEN];
  in6_addr binary{};
  if (address.find(':') == std::string_view::npos || address.size() >= sizeof text) return add(address, '@');
  std::memcpy(text, address.data(), address.size());
  text[address.size()] = '\0';
  if (inet_pton(AF_INET6, text, &binary) != 1) return add(address, '@');
  if (IN6_IS_ADDR_V4MAPPED(&binary)) {
    char v4[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, binary.s6_addr + 12, v4, sizeof v4);
    return add(v4, '@');
  }
  for (unsigned i = 0; i < 16; ++i) {
    const unsigned kept = prefix_bits > i * 8 ? prefix_bits - i * 8 : 0;
    if (kept < 8) binary.s6_addr[i] &= static_cast<uint8_t>(0xff00u >> kept);
  }
  add({reinterpret_cast<const char*>(binary.s6_addr), 16}, '@');
}

}  // namespace rate_limit
