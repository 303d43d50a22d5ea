#include "http/http1/syntax.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace penstock::http::http1 {
namespace {

bool blank(char c) { return c == ' ' || c == '\t'; }

// The unreserved characters of RFC 3986 2.3.
constexpr std::array<bool, 256> host_chars = [] {
  std::array<bool, 256> table{};
  for (char c = '0'; c <= '9'; ++c) table[static_cast<unsigned char>(c)] = true;
  for (char c = 'a'; c <= 'z'; ++c) table[static_cast<unsigned char>(c)] = true;
  for (char c = 'A'; c <= 'Z'; ++c) table[static_cast<unsigned char>(c)] = true;
  for (char c : std::string_view("-._~")) table[static_cast<unsigned char>(c)] = true;
  return table;
}();

bool host_char(char c) { return host_chars[static_cast<unsigned char>(c)]; }

bool ipv6_literal(std::string_view inside) {
  char text[INET6_ADDRSTRLEN];
  if (inside.size() >= sizeof(text)) return false;
  std::memcpy(text, inside.data(), inside.size());
  text[inside.size()] = '\0';
  if (std::strlen(text) != inside.size()) return false;
  in6_addr address;
  return inet_pton(AF_INET6, text, &address) == 1;
}

// The length of the host at the beginning of `text`; 0 when there is no valid one.
size_t host_length(std::string_view text) {
  if (text.starts_with('[')) {
    size_t close = text.find(']');
    if (close == std::string_view::npos || !ipv6_literal(text.substr(1, close - 1))) return 0;
    return close + 1;
  }
  size_t size = 0;
  while (size < text.size() && host_char(text[size])) ++size;
  return size == text.size() || text[size] == ':' ? size : 0;
}

bool valid_port(std::string_view port) {
  if (port.size() > 5 || !std::ranges::all_of(port, digit)) return false;
  uint32_t value = 0;
  std::from_chars(port.data(), port.data() + port.size(), value);
  return value <= 65535;
}

}  // namespace

bool is_token(std::string_view text) { return !text.empty() && std::ranges::all_of(text, token_char); }

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (ascii_lower(a[i]) != ascii_lower(b[i])) return false;
  return true;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

namespace {

using Bytes [[gnu::vector_size(16)]] = unsigned char;

// A comparison gives -1 where it is true, so this subtracts one for each control byte.
Bytes controls_of(Bytes bytes) {
  return static_cast<Bytes>(((bytes < 0x20) & (bytes != '\t')) | (bytes == 0x7f));
}

// All lanes together; each is at most 255.
size_t sum(Bytes lanes) {
  constexpr uint64_t even = 0x00ff00ff00ff00ff, ones = 0x0001000100010001;
  uint64_t halves[2];
  std::memcpy(halves, &lanes, sizeof(halves));
  const auto add = [](uint64_t eight) { return (((eight & even) + (eight >> 8 & even)) * ones) >> 48; };
  return add(halves[0]) + add(halves[1]);
}

}  // namespace

// Sixteen bytes at a time: every byte of every head passes here twice. What is left at the end lies among
// blanks, which do not count.
size_t count_controls(std::string_view text) {
  size_t count = 0;
  Bytes bytes;
  for (;;) {
    Bytes lanes{};
    for (int i = 0; i < 254 && text.size() >= sizeof(Bytes); ++i, text.remove_prefix(sizeof(Bytes))) {
      std::memcpy(&bytes, text.data(), sizeof(bytes));
      lanes -= controls_of(bytes);
    }
    if (text.size() >= sizeof(Bytes)) {
      count += sum(lanes);
      continue;
    }
    bytes = Bytes{} + ' ';
    std::memcpy(&bytes, text.data(), text.size());
    return count + sum(lanes - controls_of(bytes));
  }
}

std::optional<uint64_t> decimal(std::string_view text) {
  if (text.empty() || !std::ranges::all_of(text, digit)) return std::nullopt;
  uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value > INT64_MAX) return std::nullopt;
  return value;
}

bool ListReader::next(std::string_view& element) {
  while (!rest_.empty()) {
    size_t comma = rest_.find(',');
    element = trim(rest_.substr(0, comma));
    rest_.remove_prefix(comma == std::string_view::npos ? rest_.size() : comma + 1);
    if (!element.empty()) return true;
  }
  return false;
}

std::optional<std::string_view> canonical_authority(std::string_view text, Arena& arena) {
  size_t host = host_length(text);
  if (host == 0) return std::nullopt;
  std::string_view port = text.substr(host);
  if (!port.empty()) {
    if (port.front() != ':' || !valid_port(port.substr(1))) return std::nullopt;
    if (port.size() == 1) text.remove_suffix(1);
  }
  auto upper = [](char c) { return c >= 'A' && c <= 'Z'; };
  if (std::ranges::none_of(text, upper)) return text;
  std::span<char> out = arena.make_array<char>(text.size());
  std::ranges::transform(text, out.begin(), ascii_lower);
  return std::string_view(out.data(), out.size());
}

}  // namespace penstock::http::http1
