// What both targets of HTTP/2 take: a list of records, each a type, flags, a stream and a length of one byte
// each, then so many bytes. A type below 0x80 is a frame of it, 0xff ends a turn of the loop, the others are
// what the gateway does. An input that begins with '!' is sent as it is.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

namespace penstock::fuzz {

inline constexpr std::string_view empty_settings("\0\0\0\4\0\0\0\0\0", 9);

template <class Gateway>
void play_records(Gateway& gateway, std::string_view bytes) {
  if (bytes.starts_with('!')) {
    gateway.receive(bytes.substr(1));
    return gateway.turn();
  }
  constexpr size_t record = 4;
  while (bytes.size() >= record) {
    auto at = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
    const uint8_t type = at(0), flags = at(1), which = at(2);
    const size_t size = type < 0x80 ? std::min<size_t>(at(3), bytes.size() - record) : 0;
    if (type == 0xff)
      gateway.turn();
    else if (type >= 0x80)
      gateway.act(type, flags, which);
    else
      gateway.receive(std::string{'\0', '\0', static_cast<char>(size), static_cast<char>(type),
                                  static_cast<char>(flags), '\0', '\0', '\0', static_cast<char>(which)}
                          .append(bytes.substr(record, size)));
    bytes.remove_prefix(record + size);
  }
  gateway.turn();
}

}  // namespace penstock::fuzz
