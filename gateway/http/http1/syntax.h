// The small words of RFC 9110 section 5.6: tokens, white space, lists, numbers, and the authority of RFC
// 3986. Pure functions without state; framing and parser are built from them. They know nothing of messages.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/arena.h"

namespace penstock::http::http1 {

// For each byte its lower-case form when it may stand in a token (RFC 9110 5.6.2), 0 otherwise.
inline constexpr std::array<char, 256> token_lower = [] {
  std::array<char, 256> table{};
  for (char c = '0'; c <= '9'; ++c) table[static_cast<unsigned char>(c)] = c;
  for (char c = 'a'; c <= 'z'; ++c) table[static_cast<unsigned char>(c)] = c;
  for (char c = 'A'; c <= 'Z'; ++c) table[static_cast<unsigned char>(c)] = static_cast<char>(c | 0x20);
  for (char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<unsigned char>(c)] = c;
  return table;
}();

inline bool token_char(char c) { return token_lower[static_cast<unsigned char>(c)] != 0; }
inline char ascii_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }
inline bool digit(char c) { return c >= '0' && c <= '9'; }

bool is_token(std::string_view text);                               // one or more token characters
bool equals_ignoring_case(std::string_view a, std::string_view b);  // ASCII
std::string_view trim(std::string_view text);                       // SP and HTAB on both sides

// Control bytes but HTAB, and DEL: what may stand in no field value (RFC 9110 5.5).
size_t count_controls(std::string_view text);

// 1*DIGIT that fits in 63 bits; nothing for signs, blanks, lists and longer numbers.
std::optional<uint64_t> decimal(std::string_view text);

// The elements of a comma-separated list, trimmed; empty ones are skipped (RFC 9110 5.6.1.2).
class ListReader {
 public:
  explicit ListReader(std::string_view list) : rest_(list) {}
  bool next(std::string_view& element);

 private:
  std::string_view rest_;
};

// host[:port] in the form that is routed and forwarded: lower case, no empty port. Nothing when it is no host
// name of unreserved characters, IPv4 address or bracketed IPv6 address (RFC 9110 4.2.1, strictly: no user
// information, no percent-encoding, no empty host). The result is `text` itself or a copy in the arena.
std::optional<std::string_view> canonical_authority(std::string_view text, Arena& arena);

}  // namespace penstock::http::http1
