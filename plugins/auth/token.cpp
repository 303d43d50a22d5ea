#include "token.h"

#include <array>
#include <cstdint>

namespace auth {
namespace {

constexpr std::array<int8_t, 256> make_values() {
  std::array<int8_t, 256> out{};
  for (auto& v : out) v = -1;
  constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  for (size_t i = 0; i < alphabet.size(); ++i)
    out[static_cast<uint8_t>(alphabet[i])] = static_cast<int8_t>(i);
  return out;
}
constexpr auto values = make_values();

bool token_byte(char c) {
  const bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return alnum || (c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
}

}  // namespace

std::optional<std::string> decode_base64url(std::string_view text) {
  if (text.size() % 4 == 1) return std::nullopt;
  std::string out;
  out.reserve(text.size() / 4 * 3 + 2);
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int8_t value = values[static_cast<uint8_t>(c)];
    if (value < 0) return std::nullopt;
    bits = (bits << 6 | static_cast<uint32_t>(value)) & 0xffff;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out += static_cast<char>(bits >> count & 0xff);
  }
  if ((bits & ((1u << count) - 1)) != 0) return std::nullopt;
  return out;
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

std::optional<std::string_view> bearer(std::string_view field) {
  constexpr std::string_view scheme = "bearer";
  if (field.size() < scheme.size()) return std::nullopt;
  for (size_t i = 0; i < scheme.size(); ++i) {
    if ((field[i] | 0x20) != scheme[i]) return std::nullopt;
  }
  field.remove_prefix(scheme.size());
  // A byte of a token (RFC 9110 5.6.2) makes it another scheme. Anything else ends the scheme, also where RFC
  // 6750 wants a space: such a field is a broken bearer credential, not the absence of one.
  if (!field.empty() && token_byte(field.front())) return std::nullopt;
  while (!field.empty() && field.front() == ' ') field.remove_prefix(1);
  return field;
}

}  // namespace auth
