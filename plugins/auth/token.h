// The outer form of a JWT (RFC 7519) in JWS compact serialisation (RFC 7515): three base64url parts. Pure
// functions on untrusted text; nothing here decides whether to believe it.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace auth {

// base64url without padding, strictly: no foreign byte, no unused bits set (two texts never decode to the
// same bytes).
std::optional<std::string> decode_base64url(std::string_view text);

struct Token {
  std::string_view signing_input;  // header.payload, a view into the text
  std::string header, payload;     // JSON
  std::string signature;           // bytes
};

// nullopt: not three parts, or not base64url.
std::optional<Token> split_token(std::string_view text);

// The credentials behind "Bearer " (RFC 6750 2.1, the scheme in any case). nullopt: another scheme.
// What stands between the scheme and the token but spaces stays in the result and is no token.
std::optional<std::string_view> bearer(std::string_view field);

}  // namespace auth
