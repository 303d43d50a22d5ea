#include "password.h"

#include <argon2.h>
#include <crypt.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <memory>
#include <vector>

#include "token.h"

namespace auth {
namespace {

constexpr size_t bcrypt_bytes = 60;  // $2b$12$, 22 letters of salt, 31 of digest
constexpr size_t min_salt_bytes = 8, max_salt_bytes = 64;
constexpr size_t min_digest_bytes = 16, max_digest_bytes = 64;

bool bcrypt_letter(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '/';
}

bool starts_with(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

// Takes "name=NUMBER" and the separator behind it off the front. Decimal, without sign and leading zeros.
std::optional<uint32_t> take_number(std::string_view& text, std::string_view name, char end) {
  if (!starts_with(text, name) || text.size() == name.size() || text[name.size()] == '0') return std::nullopt;
  text.remove_prefix(name.size());
  uint32_t value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const auto used = static_cast<size_t>(rest - text.data());
  if (error != std::errc() || used >= text.size() || text[used] != end) return std::nullopt;
  text.remove_prefix(used + 1);
  return value;
}

std::string too_much(std::string_view what, uint32_t value, uint32_t limit) {
  return "asks for " + std::string(what) + " " + std::to_string(value) + "; at most " + std::to_string(limit);
}

// Memory that a password was in.
struct Wiped {
  explicit Wiped(std::string_view text) : bytes(text.begin(), text.end()) { bytes.push_back('\0'); }
  ~Wiped() { OPENSSL_cleanse(bytes.data(), bytes.size()); }
  Wiped(const Wiped&) = delete;
  Wiped& operator=(const Wiped&) = delete;
  std::vector<char> bytes;  // NUL-terminated
};

}  // namespace

PasswordHash::Read PasswordHash::read(std::string_view text, const HashLimits& limits) {
  for (const char* start : {"$2a$", "$2b$", "$2y$"}) {
    if (starts_with(text, start)) return read_bcrypt(text, limits);
  }
  if (starts_with(text, "$argon2id$")) return read_argon2(text, Kind::argon2id, limits);
  if (starts_with(text, "$argon2i$")) return read_argon2(text, Kind::argon2i, limits);
  return {std::nullopt, "is neither bcrypt ($2b$...) nor Argon2 ($argon2id$...)"};
}

PasswordHash::Read PasswordHash::read_bcrypt(std::string_view text, const HashLimits& limits) {
  const bool shaped = text.size() == bcrypt_bytes && text[4] >= '0' && text[4] <= '9' && text[5] >= '0' &&
                      text[5] <= '9' && text[6] == '$' &&
                      std::all_of(text.begin() + 7, text.end(), bcrypt_letter);
  if (!shaped) return {std::nullopt, "is no complete bcrypt hash"};
  const auto cost = static_cast<uint32_t>((text[4] - '0') * 10 + (text[5] - '0'));
  if (cost < 4 || cost > 31) return {std::nullopt, "has a bcrypt cost that is not from 4 to 31"};
  if (cost > limits.bcrypt_cost)
    return {std::nullopt, too_much("a bcrypt cost of", cost, limits.bcrypt_cost)};
  PasswordHash out;
  out.text_ = text;
  return {std::move(out), {}};
}

// $argon2id$v=19$m=65536,t=3,p=4$SALT$DIGEST; without v= it is the version before, 16.
PasswordHash::Read PasswordHash::read_argon2(std::string_view text, Kind kind, const HashLimits& limits) {
  const Read broken{std::nullopt, "is no complete Argon2 hash"};
  PasswordHash out;
  out.kind_ = kind;
  text.remove_prefix(text.find('$', 1) + 1);
  out.version_ = ARGON2_VERSION_10;
  if (starts_with(text, "v=")) {
    const auto version = take_number(text, "v=", '$');
    if (!version || (*version != ARGON2_VERSION_10 && *version != ARGON2_VERSION_13)) return broken;
    out.version_ = *version;
  }
  const auto memory = take_number(text, "m=", ','), passes = take_number(text, "t=", ','),
             lanes = take_number(text, "p=", '$');
  const size_t end = text.find('$');
  if (!memory || !passes || !lanes || end == std::string_view::npos) return broken;
  const auto salt = decode_base64(text.substr(0, end)), digest = decode_base64(text.substr(end + 1));
  if (!salt || !digest || salt->size() < min_salt_bytes || salt->size() > max_salt_bytes ||
      digest->size() < min_digest_bytes || digest->size() > max_digest_bytes)
    return broken;
  if (*memory > limits.argon2_memory_kib)
    return {std::nullopt, too_much("a memory in KiB of", *memory, limits.argon2_memory_kib)};
  if (*passes > limits.argon2_passes)
    return {std::nullopt, too_much("a number of passes of", *passes, limits.argon2_passes)};
  if (*lanes > limits.argon2_lanes)
    return {std::nullopt, too_much("a number of lanes of", *lanes, limits.argon2_lanes)};
  if (*memory < 8 * *lanes) return {std::nullopt, "has less memory than 8 KiB a lane"};
  out.memory_kib_ = *memory;
  out.passes_ = *passes;
  out.lanes_ = *lanes;
  out.salt_ = *salt;
  out.digest_ = *digest;
  return {std::move(out), {}};
}

bool PasswordHash::matches(std::string_view password) const {
  return kind_ == Kind::bcrypt ? matches_bcrypt(password) : matches_argon2(password);
}

// bcrypt looks at 72 bytes of a password and ends at a NUL, which Basic credentials cannot hold.
bool PasswordHash::matches_bcrypt(std::string_view password) const {
  const Wiped phrase(password);
  const auto memory = std::make_unique<crypt_data>();
  const char* made = ::crypt_r(phrase.bytes.data(), text_.c_str(), memory.get());
  const bool same = made != nullptr && std::strlen(made) == text_.size() &&
                    CRYPTO_memcmp(made, text_.data(), text_.size()) == 0;
  OPENSSL_cleanse(memory.get(), sizeof *memory);
  return same;
}

// On this thread alone, whatever the number of lanes; the result is the same.
bool PasswordHash::matches_argon2(std::string_view password) const {
  Wiped phrase(password);
  std::string salt = salt_, made(digest_.size(), '\0');
  argon2_context context{};
  context.out = reinterpret_cast<uint8_t*>(made.data());
  context.outlen = static_cast<uint32_t>(made.size());
  context.pwd = reinterpret_cast<uint8_t*>(phrase.bytes.data());
  context.pwdlen = static_cast<uint32_t>(password.size());
  context.salt = reinterpret_cast<uint8_t*>(salt.data());
  context.saltlen = static_cast<uint32_t>(salt.size());
  context.t_cost = passes_;
  context.m_cost = memory_kib_;
  context.lanes = lanes_;
  context.threads = 1;
  context.version = version_;
  context.flags = ARGON2_DEFAULT_FLAGS;
  return ::argon2_ctx(&context, kind_ == Kind::argon2i ? Argon2_i : Argon2_id) == ARGON2_OK &&
         CRYPTO_memcmp(made.data(), digest_.data(), digest_.size()) == 0;
}

}  // namespace auth
