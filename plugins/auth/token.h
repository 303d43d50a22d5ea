// The outer forms of credentials: what stands behind a scheme, base64, UTF-8, and the three parts of a JWT
// (RFC 7519) in JWS compact serialisation (RFC 7515). Pure functions on untrusted text; nothing here decides
// whether to believe it.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace auth {

// base64url without padding, strictly: no foreign byte, no unused bits set (two texts never decode to the
// same bytes).
std::optional<std::string> decode_base64url(std::string_view text);
// The same with the standard alphabet. The second writes to `out`, which has room for text.size() / 4 * 3 + 2
// bytes, and says how many they are.
std::optional<std::string> decode_base64(std::string_view text);
std::optional<size_t> decode_base64(std::string_view text, char* out);

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
bool valid_utf8(std::string_view text);

struct Token {
  std::string_view signing_input;  // header.payload, a view into the text
  std::string header, payload;     // JSON
  std::string signature;           // bytes
};

// nullopt: not three parts, or not base64url.
std::optional<Token> split_token(std::string_view text);

// The credentials behind the scheme (RFC 9110 11.4), which is in any case; `scheme` is in small letters.
// nullopt: another one. What stands between the scheme and the credentials but spaces stays in the result and
// is no credential.
std::optional<std::string_view> after_scheme(std::string_view field, std::string_view scheme);
inline std::optional<std::string_view> bearer(std::string_view field) {
  return after_scheme(field, "bearer");
}

}  // namespace auth
