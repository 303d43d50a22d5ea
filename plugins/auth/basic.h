// What the Basic scheme needs (RFC 7617): reading the field, the accounts, and a bounded memory of what was
// verified. The check itself (Accounts::check) takes a fraction of a second on purpose and runs off the
// workers.
#pragma once
#include <openssl/evp.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "password.h"

namespace auth {

// The credentials of one field, in memory of their own that is wiped.
class BasicCredentials {
 public:
  static constexpr size_t max_bytes = 1024;  // user, colon and password

  enum class Field : uint8_t { absent, malformed, given };
  // absent: another scheme or none. malformed: not strict base64, too long, no colon, not UTF-8, or a control
  // byte.
  Field read(std::string_view field);

  std::string_view user() const { return {text_.data(), user_size_}; }
  std::string_view password() const { return {text_.data() + user_size_ + 1, password_size_}; }

  BasicCredentials() = default;
  ~BasicCredentials();
  BasicCredentials(const BasicCredentials&) = delete;
  BasicCredentials& operator=(const BasicCredentials&) = delete;

 private:
  std::array<char, max_bytes + 4> text_{};
  size_t user_size_ = 0, password_size_ = 0;
};

// Who may log in with which password. Made on the main thread, read-only afterwards.
class Accounts {
 public:
  Accounts();
  // False: there is one of that name.
  bool add(std::string user, PasswordHash hash);
  bool empty() const { return hashes_.empty(); }

  // The number of the account, in the order added. Slow: never on a worker. A pure function: any thread.
  std::optional<uint32_t> check(std::string_view user, std::string_view password) const;

 private:
  // Whose hash an unknown user's password is held against: always the same one for the same name, and each as
  // often as any other, so that their costs say nothing about who exists.
  const PasswordHash& stand_in(std::string_view user) const;

  std::array<unsigned char, 32> key_;
  std::map<std::string, uint32_t, std::less<>> by_user_;
  std::vector<PasswordHash> hashes_;
};

// SHA-256 of a secret key and the texts, each with its length. Without an allocation after the first call.
class KeyedDigest {
 public:
  using Value = std::array<unsigned char, 32>;
  KeyedDigest();
  Value of(std::string_view user, std::string_view password);

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::array<unsigned char, 32> key_;
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

// What one worker has seen pass: digests under a key of this cache alone, each for a time. Wrong passwords
// are not kept: they would push out the right ones.
class PasswordCache {
 public:
  static constexpr size_t ways = 4;

  // 0: nothing is kept. Otherwise rounded up to a power of two, and at least `ways`.
  PasswordCache(size_t entries, int64_t ttl_ns);
  KeyedDigest::Value digest(std::string_view user, std::string_view password) {
    return digest_.of(user, password);
  }
  // The account that these credentials were verified for. Times are monotonic.
  std::optional<uint32_t> find(const KeyedDigest::Value& digest, int64_t now_ns) const;
  void insert(const KeyedDigest::Value& digest, uint32_t account, int64_t now_ns);

 private:
  struct Slot {
    KeyedDigest::Value digest{};
    int64_t good_until_ns = INT64_MIN;
    uint32_t account = 0;
  };
  size_t first_of(const KeyedDigest::Value& digest) const;

  KeyedDigest digest_;
  int64_t ttl_ns_;
  size_t sets_;
  std::vector<Slot> slots_;
  uint32_t turn_ = 0;
};

}  // namespace auth
