#include "net/proxy_protocol.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

namespace penstock::net {
namespace {

using State = ProxyHeaderRead::State;
using namespace std::string_view_literals;

constexpr std::string_view v1_begin = "PROXY ";
constexpr std::string_view v2_begin = "\r\n\r\n\0\r\nQUIT\n"sv;
constexpr size_t v2_fixed = 16;

ProxyHeaderRead malformed(std::string_view text) { return {State::malformed, 0, text}; }

// --- version 1 ---

std::optional<uint16_t> port_of(std::string_view text) {
  if (text.empty() || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  uint16_t port = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return port;
}

// The text before the next blank, or all that is left; words are one blank apart.
std::string_view take_word(std::string_view& line) {
  size_t end = std::min(line.find(' '), line.size());
  std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

// "TCP4 192.0.2.1 198.51.100.1 1234 443", without its CRLF.
bool read_v1_line(std::string_view line, ProxyHeader& out) {
  if (std::ranges::any_of(line, [](unsigned char c) { return c < 0x20 || c > 0x7e; })) return false;
  if (line == "UNKNOWN" || line.starts_with("UNKNOWN ")) {
    out.kind = ProxyHeader::Kind::own;
    return true;
  }
  if (line.ends_with(' ')) return false;
  std::string_view family = take_word(line);
  if (family != "TCP4" && family != "TCP6") return false;
  sa_family_t wanted = family == "TCP4" ? AF_INET : AF_INET6;
  std::string_view from = take_word(line), to = take_word(line);
  auto from_port = port_of(take_word(line));
  auto to_port = port_of(take_word(line));
  if (!from_port || !to_port || !line.empty()) return false;
  auto source = Address::from_ip(from, *from_port), destination = Address::from_ip(to, *to_port);
  if (!source || !destination) return false;
  if (source->any.sa_family != wanted || destination->any.sa_family != wanted) return false;
  out = {ProxyHeader::Kind::proxied, *source, *destination};
  return true;
}

ProxyHeaderRead read_v1(std::string_view bytes, ProxyHeader& out) {
  std::string_view part = bytes.substr(0, max_proxy_header_v1);
  size_t lf = part.find('\n');
  if (lf == std::string_view::npos)
    return part.size() < max_proxy_header_v1 ? ProxyHeaderRead{} : malformed("a PROXY line over 107 bytes");
  if (part[lf - 1] != '\r') return malformed("a PROXY line that does not end in CRLF");
  std::string_view line = part.substr(v1_begin.size(), lf - 1 - v1_begin.size());
  if (!read_v1_line(line, out)) return malformed("a PROXY line that is not in form");
  return {State::done, lf + 1, {}};
}

// --- version 2 ---

uint8_t byte_at(std::string_view bytes, size_t at) { return static_cast<uint8_t>(bytes[at]); }
size_t number_at(std::string_view bytes, size_t at) {
  return size_t{byte_at(bytes, at)} << 8 | byte_at(bytes, at + 1);
}

Address v4_at(std::string_view bytes, size_t address, size_t port) {
  Address out;
  out.v4.sin_family = AF_INET;
  std::memcpy(&out.v4.sin_addr, bytes.data() + address, sizeof out.v4.sin_addr);
  out.set_port(static_cast<uint16_t>(number_at(bytes, port)));
  return out;
}

Address v6_at(std::string_view bytes, size_t address, size_t port) {
  Address out;
  out.v6.sin6_family = AF_INET6;
  std::memcpy(&out.v6.sin6_addr, bytes.data() + address, sizeof out.v6.sin6_addr);
  out.set_port(static_cast<uint16_t>(number_at(bytes, port)));
  return out;
}

// Type, length and value after the addresses: nothing of them is used, but they must be whole.
bool good_tlvs(std::string_view bytes) {
  while (!bytes.empty()) {
    if (bytes.size() < 3) return false;
    size_t size = 3 + number_at(bytes, 1);
    if (bytes.size() < size) return false;
    bytes.remove_prefix(size);
  }
  return true;
}

bool read_addresses(uint8_t family, std::string_view bytes, ProxyHeader& out) {
  constexpr size_t v4_size = 12, v6_size = 36, unix_size = 216;
  auto proxied = [&](size_t size, auto read) {
    if (bytes.size() < size || !good_tlvs(bytes.substr(size))) return false;
    out.kind = ProxyHeader::Kind::proxied;
    read();
    return true;
  };
  switch (family) {
    case 0x00:  // UNSPEC: whatever stands there is skipped
      out.kind = ProxyHeader::Kind::own;
      return true;
    case 0x11:
      return proxied(v4_size, [&] {
        out.source = v4_at(bytes, 0, 8);
        out.destination = v4_at(bytes, 4, 10);
      });
    case 0x21:
      return proxied(v6_size, [&] {
        out.source = v6_at(bytes, 0, 32);
        out.destination = v6_at(bytes, 16, 34);
      });
    case 0x31: return proxied(unix_size, [&] { out.source = out.destination = Address::unix_peer(); });
    default: return false;  // datagrams are not what came
  }
}

ProxyHeaderRead read_v2(std::string_view bytes, ProxyHeader& out) {
  if (bytes.size() > v2_begin.size()) {
    uint8_t version_and_command = byte_at(bytes, 12);
    if (version_and_command != 0x20 && version_and_command != 0x21)
      return malformed("a PROXY header of another version or command");
  }
  if (bytes.size() < v2_fixed) return {};
  size_t size = v2_fixed + number_at(bytes, 14);
  if (size > max_proxy_header_v2) return malformed("a PROXY header that is too long");
  if (bytes.size() < size) return {};
  constexpr uint8_t local = 0x20;
  out = {};
  if (byte_at(bytes, 12) != local &&
      !read_addresses(byte_at(bytes, 13), bytes.substr(v2_fixed, size - v2_fixed), out))
    return malformed("a PROXY header whose addresses or TLVs are not in form");
  return {State::done, size, {}};
}

bool begins(std::string_view bytes, std::string_view with) {
  size_t size = std::min(bytes.size(), with.size());
  return bytes.substr(0, size) == with.substr(0, size);
}

}  // namespace

ProxyHeaderRead read_proxy_header(std::string_view bytes, ProxyHeader& out) {
  if (bytes.empty()) return {};
  if (begins(bytes, v1_begin))
    return bytes.size() < v1_begin.size() ? ProxyHeaderRead{} : read_v1(bytes, out);
  if (begins(bytes, v2_begin)) return read_v2(bytes, out);
  return malformed("no PROXY header");
}

}  // namespace penstock::net
