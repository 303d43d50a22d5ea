// A socket address (IPv4 or IPv6 with port, or "somebody at a unix socket") as a value, and CIDR blocks of
// them. No DNS here.
#pragma once
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace penstock::net {

struct Address {
  union {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
  };
  Address() : v6{} {}

  static std::optional<Address> parse(std::string_view host_port);            // 127.0.0.1:80, [::1]:80
  static std::optional<Address> from_ip(std::string_view ip, uint16_t port);  // literal only, never a name
  static Address from_sockaddr(const sockaddr* address);
  // Whoever comes through a unix socket: without IP and port, written "unix:".
  static Address unix_peer();
  bool is_unix() const { return any.sa_family == AF_UNIX; }
  bool valid() const { return any.sa_family == AF_INET || any.sa_family == AF_INET6; }
  socklen_t length() const {
    return any.sa_family == AF_INET ? sizeof(v4) : is_unix() ? sizeof(sa_family_t) : sizeof(v6);
  }
  uint16_t port() const;
  void set_port(uint16_t port);
  bool is_loopback() const;
  // Writes the IP alone ("2001:db8::1", an IPv4-mapped one as IPv4) into out, at least INET6_ADDRSTRLEN; its
  // length.
  size_t write_ip(char* out) const;
  std::string ip() const;
  std::string to_string() const;  // with port, IPv6 in brackets
  friend bool operator==(const Address& a, const Address& b);
};

class Cidr {
 public:
  static std::optional<Cidr> parse(
      std::string_view text);  // 10.0.0.0/8, ::1/128, a bare address is a full-length block; unix:
  bool contains(const Address& address) const;  // an IPv4-mapped IPv6 address counts as IPv4

 private:
  uint8_t bytes_[16] = {};
  uint8_t bits_ = 0;
  bool v4_ = false;
  bool unix_ = false;
};

}  // namespace penstock::net
