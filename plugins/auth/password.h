// Password hashes, as their own texts say what they are: bcrypt ($2a$, $2b$, $2y$; by libcrypt) and Argon2
// (RFC 9106; $argon2id$, $argon2i$; by libargon2). Plain digests such as SHA-256 are none: whoever sees one
// tries billions a second.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace auth {

// What one check may cost. A hash that asks for more is refused where it is read.
struct HashLimits {
  uint32_t bcrypt_cost = 14;  // 2^14 rounds: about a second
  uint32_t argon2_memory_kib = 256 * 1024;
  uint32_t argon2_passes = 16;
  uint32_t argon2_lanes = 16;
};

class PasswordHash {
 public:
  // A hash, or what is wrong with the text.
  struct Read;
  static Read read(std::string_view text, const HashLimits& limits);

  // Slow on purpose, and takes the memory that the hash asks for: never on a worker. A pure function: any
  // thread.
  bool matches(std::string_view password) const;

 private:
  enum class Kind : uint8_t { bcrypt, argon2i, argon2id };
  static Read read_bcrypt(std::string_view text, const HashLimits& limits);
  static Read read_argon2(std::string_view text, Kind kind, const HashLimits& limits);
  bool matches_bcrypt(std::string_view password) const;
  bool matches_argon2(std::string_view password) const;

  Kind kind_ = Kind::bcrypt;
  std::string text_;  // bcrypt: the whole of it, 60 bytes
  uint32_t version_ = 0, memory_kib_ = 0, passes_ = 0, lanes_ = 0;
  std::string salt_, digest_;
};

struct PasswordHash::Read {
  std::optional<PasswordHash> hash;
  std::string problem;
};

// A user that is not known takes as long as one that is: the password is then held against somebody else's
// hash, and the answer is no whatever comes out.
inline bool check_password(const PasswordHash* own, const PasswordHash& somebody_else,
                           std::string_view password) {
  const bool matches = (own != nullptr ? *own : somebody_else).matches(password);
  return own != nullptr && matches;
}

}  // namespace auth
