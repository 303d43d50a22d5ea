#include "token.h"

#include <array>
#include <cstdint>

namespace auth {
namespace {

using Values = std::array<int8_t, 256>;

constexpr Values values_of(const char (&last_two)[3]) {
  constexpr std::string_view first = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  Values out{};
  for (auto& v : out) v = -1;
  for (size_t i = 0; i < first.size(); ++i) out[static_cast<uint8_t>(first[i])] = static_cast<int8_t>(i);
  out[static_cast<uint8_t>(last_two[0])] = 62;
  out[static_cast<uint8_t>(last_two[1])] = 63;
  return out;
}
constexpr Values url_values = values_of("-_"), standard_values = values_of("+/");

std::optional<size_t> decode(std::string_view text, const Values& values, char* out) {
  if (text.size() % 4 == 1) return std::nullopt;
  const char* const begin = out;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int8_t value = values[static_cast<uint8_t>(c)];
    if (value < 0) return std::nullopt;
    bits = (bits << 6 | static_cast<uint32_t>(value)) & 0xffff;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    *out++ = static_cast<char>(bits >> count & 0xff);
  }
  if ((bits & ((1u << count) - 1)) != 0) return std::nullopt;
  return static_cast<size_t>(out - begin);
}

std::optional<std::string> decoded(std::string_view text, const Values& values) {
  std::string out(text.size() / 4 * 3 + 2, '\0');
  const auto size = decode(text, values, out.data());
  if (!size) return std::nullopt;
  out.resize(*size);
  return out;
}

// Bytes of a UTF-8 sequence that begins so, and the least code point of that length; 0: none begins so.
struct Sequence {
  size_t size;
  uint32_t least;
};
Sequence sequence_of(uint8_t lead) {
  if (lead < 0x80) return {1, 0};
  if (lead >> 5 == 0x06) return {2, 0x80};
  if (lead >> 4 == 0x0e) return {3, 0x800};
  if (lead >> 3 == 0x1e) return {4, 0x10000};
  return {0, 0};
}

bool token_byte(char c) {
  const bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return alnum || (c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
}

}  // namespace

std::optional<std::string> decode_base64url(std::string_view text) { return decoded(text, url_values); }
std::optional<std::string> decode_base64(std::string_view text) { return decoded(text, standard_values); }
std::optional<size_t> decode_base64(std::string_view text, char* out) {
  return decode(text, standard_values, out);
}

bool valid_utf8(std::string_view text) {
  while (!text.empty()) {
    const auto lead = static_cast<uint8_t>(text[0]);
    const auto [size, least] = sequence_of(lead);
    if (size == 0 || size > text.size()) return false;
    uint32_t point = size == 1 ? lead : lead & (0x7fu >> size);
    for (size_t i = 1; i < size; ++i) {
      const auto next = static_cast<uint8_t>(text[i]);
      if (next >> 6 != 2) return false;
      point = point << 6 | (next & 0x3fu);
    }
    if (point < least || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) return false;
    text.remove_prefix(size);
  }
  return true;
}

std::optional<Token> split_token(std::string_view text) {
  const size_t first = text.find('.');
  if (first == std::string_view::npos) return std::nullopt;
  const size_t second = text.find('.', first + 1);
  if (second == std::string_view::npos || text.find('.', second + 1) != std::string_view::npos)
    return std::nullopt;
  auto header = decode_base64url(text.substr(0, first));
  auto payload = decode_base64url(text.substr(first + 1, second - first - 1));
  auto signature = decode_base64url(text.substr(second + 1));
  if (!header || !payload || !signature) return std::nullopt;
  return Token{text.substr(0, second), std::move(*header), std::move(*payload), std::move(*signature)};
}

std::optional<std::string_view> after_scheme(std::string_view field, std::string_view scheme) {
  if (field.size() < scheme.size()) return std::nullopt;
  for (size_t i = 0; i < scheme.size(); ++i) {
    if ((field[i] | 0x20) != scheme[i]) return std::nullopt;
  }
  field.remove_prefix(scheme.size());
  // A byte of a token (RFC 9110 5.6.2) makes it another scheme. Anything else ends the scheme, also where RFC
  // 6750 wants a space: such a field is a broken credential, not the absence of one.
  if (!field.empty() && token_byte(field.front())) return std::nullopt;
  while (!field.empty() && field.front() == ' ') field.remove_prefix(1);
  return field;
}

}  // namespace auth
