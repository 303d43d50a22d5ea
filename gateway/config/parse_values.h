// The scalars of the language as text -> value, each with its complaint in words. Pure functions without
// positions: the caller knows where the text stands, and whether it may be quoted.
#pragma once
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "config/values.h"

namespace penstock::config {

// What is wrong, for "KEY: ..." after a quoted value: "is no duration", and what would be right.
struct Complaint {
  std::string message;
  std::string hint;
};
template <class T>
using Parsed = std::expected<T, Complaint>;

Parsed<Duration> parse_duration(std::string_view text);         // 500ms, 5s, 2m, 1h
Parsed<uint64_t> parse_size(std::string_view text);             // 64KiB, 10MiB, 1GiB, in bytes
Parsed<uint64_t> parse_byte_rate(std::string_view text);        // 240B/s, 16KiB/s, in bytes a second
Parsed<double> parse_percent(std::string_view text);            // 0% to 100%: 20% as 0.2
Parsed<int64_t> parse_integer(std::string_view text);           // -3, 100
Parsed<bool> parse_flag(std::string_view text);                 // true, false
Parsed<uint16_t> parse_port(std::string_view text);             // 1..65535
Parsed<Address> parse_address(std::string_view text);           // 127.0.0.1:80, [::1]:80
Parsed<std::string> parse_unix_address(std::string_view text);  // unix:/run/x.sock; the path
Parsed<uint32_t> parse_mode(std::string_view text);             // 0660: octal
Parsed<Network> parse_network(std::string_view text);           // 10.0.0.0/8, ::1/128, one address, or unix:
Parsed<std::string> parse_method(std::string_view text);        // GET
Parsed<std::string> parse_header_name(std::string_view text);   // in lower case
Parsed<std::string> parse_protocol(std::string_view text);      // websocket, spdy/3.1; in lower case
Parsed<Attribute> parse_attribute(std::string_view text);       // client.address, header.x-tenant
Parsed<Template> parse_template(std::string_view text);         // v-{path.id}; {{ and }} are literal braces

Parsed<std::string> parse_date(std::string_view text);  // 2026-06-01, 2026-06-01T10:00Z; as written

struct HostPort {
  std::string host;  // a name or an IP literal without brackets
  uint16_t port = 0;
};
Parsed<HostPort> parse_host_port(std::string_view text);

// Not empty, no control characters: the system's calls end a name at a NUL, messages are one line.
bool is_file_name(std::string_view text);

// A name of ours: printable, no blank, colon, comma, quote, brace or backslash, at most 128 bytes.
Parsed<std::string> parse_name(std::string_view text);

}  // namespace penstock::config
