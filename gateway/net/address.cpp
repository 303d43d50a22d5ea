#include "net/address.h"

#include <arpa/inet.h>

#include <charconv>
#include <cstring>

namespace penstock::net {
namespace {

bool is_mapped(const in6_addr& address) { return IN6_IS_ADDR_V4MAPPED(&address); }

template <class Number>
std::optional<Number> parse_number(std::string_view text, unsigned max) {
  unsigned value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value > max) return std::nullopt;
  return static_cast<Number>(value);
}

}  // namespace

std::optional<Address> Address::from_ip(std::string_view ip, uint16_t port) {
  char text[INET6_ADDRSTRLEN];
  if (ip.empty() || ip.size() >= sizeof(text) || ip.find('\0') != ip.npos) return std::nullopt;
  std::memcpy(text, ip.data(), ip.size());
  text[ip.size()] = '\0';
  Address out;
  if (inet_pton(AF_INET, text, &out.v4.sin_addr) == 1) {
    out.v4.sin_family = AF_INET;
    out.v4.sin_port = htons(port);
    return out;
  }
  out = Address();
  if (inet_pton(AF_INET6, text, &out.v6.sin6_addr) == 1) {
    out.v6.sin6_family = AF_INET6;
    out.v6.sin6_port = htons(port);
    return out;
  }
  return std::nullopt;
}

std::optional<Address> Address::parse(std::string_view host_port) {
  size_t colon = host_port.rfind(':');
  if (colon == host_port.npos) return std::nullopt;
  auto port = parse_number<uint16_t>(host_port.substr(colon + 1), 65535);
  if (!port) return std::nullopt;
  std::string_view host = host_port.substr(0, colon);
  bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  // "::1:80" would be read as an address without port by others: IPv6 needs brackets, IPv4 has none.
  if (bracketed != (host.find(':') != host.npos)) return std::nullopt;
  return from_ip(host, *port);
}

Address Address::from_sockaddr(const sockaddr* address) {
  Address out;
  if (address->sa_family == AF_INET)
    std::memcpy(&out.v4, address, sizeof(out.v4));
  else if (address->sa_family == AF_INET6)
    std::memcpy(&out.v6, address, sizeof(out.v6));
  else if (address->sa_family == AF_UNIX)
    return unix_peer();
  return out;
}

Address Address::unix_peer() {
  Address out;
  out.any.sa_family = AF_UNIX;
  return out;
}

uint16_t Address::port() const {
  if (any.sa_family == AF_INET) return ntohs(v4.sin_port);
  return any.sa_family == AF_INET6 ? ntohs(v6.sin6_port) : 0;
}

void Address::set_port(uint16_t port) {
  if (any.sa_family == AF_INET) v4.sin_port = htons(port);
  if (any.sa_family == AF_INET6) v6.sin6_port = htons(port);
}

bool Address::is_loopback() const {
  if (any.sa_family == AF_INET) return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
  if (any.sa_family != AF_INET6) return false;
  return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr) || (is_mapped(v6.sin6_addr) && v6.sin6_addr.s6_addr[12] == 127);
}

namespace {

// The same as inet_ntop(), which goes through printf: this is written for every request.
size_t write_v4(const uint8_t* bytes, char* out) {
  char* at = out;
  for (int i = 0; i < 4; ++i) {
    at = std::to_chars(at, out + INET_ADDRSTRLEN, bytes[i]).ptr;
    *at++ = i < 3 ? '.' : '\0';
  }
  return static_cast<size_t>(at - out) - 1;
}

}  // namespace

size_t Address::write_ip(char* out) const {
  constexpr std::string_view unix_text = "unix:";
  if (is_unix()) {
    std::memcpy(out, unix_text.data(), unix_text.size());
    out[unix_text.size()] = '\0';
    return unix_text.size();
  }
  if (any.sa_family == AF_INET) return write_v4(reinterpret_cast<const uint8_t*>(&v4.sin_addr), out);
  if (any.sa_family == AF_INET6 && is_mapped(v6.sin6_addr)) return write_v4(v6.sin6_addr.s6_addr + 12, out);
  if (any.sa_family != AF_INET6 || !inet_ntop(AF_INET6, &v6.sin6_addr, out, INET6_ADDRSTRLEN)) *out = '\0';
  return std::strlen(out);
}

std::string Address::ip() const {
  char text[INET6_ADDRSTRLEN];
  return {text, write_ip(text)};
}

std::string Address::to_string() const {
  std::string text = ip();
  if (is_unix()) return text;
  bool brackets = text.find(':') != text.npos;
  return (brackets ? "[" + text + "]" : text) + ":" + std::to_string(port());
}

bool operator==(const Address& a, const Address& b) {
  if (a.any.sa_family != b.any.sa_family) return false;
  if (a.any.sa_family == AF_INET)
    return a.v4.sin_port == b.v4.sin_port && a.v4.sin_addr.s_addr == b.v4.sin_addr.s_addr;
  if (a.any.sa_family == AF_INET6)
    return a.v6.sin6_port == b.v6.sin6_port && a.v6.sin6_scope_id == b.v6.sin6_scope_id &&
           std::memcmp(&a.v6.sin6_addr, &b.v6.sin6_addr, sizeof(in6_addr)) == 0;
  return true;
}

std::optional<Cidr> Cidr::parse(std::string_view text) {
  Cidr out;
  if (text == "unix" || text == "unix:") {
    out.unix_ = true;
    return out;
  }
  size_t slash = text.find('/');
  auto address = Address::from_ip(text.substr(0, slash), 0);
  if (!address) return std::nullopt;
  out.v4_ = address->any.sa_family == AF_INET;
  uint8_t full = out.v4_ ? 32 : 128;
  out.bits_ = full;
  if (slash != text.npos) {
    auto bits = parse_number<uint8_t>(text.substr(slash + 1), full);
    if (!bits) return std::nullopt;
    out.bits_ = *bits;
  }
  if (out.v4_) {
    std::memcpy(out.bytes_, &address->v4.sin_addr, 4);
  } else if (is_mapped(address->v6.sin6_addr) && out.bits_ >= 96) {
    out.v4_ = true;
    out.bits_ = static_cast<uint8_t>(out.bits_ - 96);
    std::memcpy(out.bytes_, address->v6.sin6_addr.s6_addr + 12, 4);
  } else {
    std::memcpy(out.bytes_, &address->v6.sin6_addr, 16);
  }
  return out;
}

bool Cidr::contains(const Address& address) const {
  const uint8_t* bytes = nullptr;
  if (unix_ || address.is_unix()) return unix_ && address.is_unix();
  if (address.any.sa_family == AF_INET) {
    if (v4_) bytes = reinterpret_cast<const uint8_t*>(&address.v4.sin_addr);
  } else if (address.any.sa_family == AF_INET6) {
    bool mapped = is_mapped(address.v6.sin6_addr);
    if (mapped == v4_) bytes = address.v6.sin6_addr.s6_addr + (mapped ? 12 : 0);
  }
  if (!bytes || std::memcmp(bytes, bytes_, bits_ / 8) != 0) return false;
  int rest = bits_ % 8;
  return rest == 0 || ((bytes[bits_ / 8] ^ bytes_[bits_ / 8]) >> (8 - rest)) == 0;
}

}  // namespace penstock::net
