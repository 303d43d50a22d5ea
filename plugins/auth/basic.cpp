#include "basic.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "token.h"

namespace auth {
namespace {

template <size_t N>
std::array<unsigned char, N> random_bytes() {
  std::array<unsigned char, N> out;
  if (RAND_bytes(out.data(), static_cast<int>(out.size())) != 1)
    throw std::runtime_error("no random bytes for a key");
  return out;
}

bool control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

size_t sets_for(size_t entries) {
  if (entries == 0) return 0;
  size_t sets = 1;
  while (sets * PasswordCache::ways < entries) sets *= 2;
  return sets;
}

}  // namespace

// ---- BasicCredentials ----

BasicCredentials::~BasicCredentials() { OPENSSL_cleanse(text_.data(), text_.size()); }

BasicCredentials::Field BasicCredentials::read(std::string_view field) {
  const auto credentials = after_scheme(field, "basic");
  if (!credentials) return Field::absent;
  std::string_view encoded = *credentials;
  // RFC 4648 4: with padding, so that the length is a multiple of four.
  if (encoded.size() % 4 != 0 || encoded.size() > (max_bytes + 2) / 3 * 4) return Field::malformed;
  for (int i = 0; i < 2 && !encoded.empty() && encoded.back() == '='; ++i) encoded.remove_suffix(1);
  const auto size = decode_base64(encoded, text_.data());
  if (!size || *size > max_bytes) return Field::malformed;
  const std::string_view text(text_.data(), *size);
  user_size_ = text.find(':');
  if (user_size_ == std::string_view::npos || !valid_utf8(text) ||
      std::any_of(text.begin(), text.end(), control)) {
    user_size_ = 0;
    return Field::malformed;
  }
  password_size_ = text.size() - user_size_ - 1;
  return Field::given;
}

// ---- Accounts ----

Accounts::Accounts() : key_(random_bytes<32>()) {}

bool Accounts::add(std::string user, PasswordHash hash) {
  if (!by_user_.emplace(std::move(user), static_cast<uint32_t>(hashes_.size())).second) return false;
  hashes_.push_back(std::move(hash));
  return true;
}

std::optional<uint32_t> Accounts::check(std::string_view user, std::string_view password) const {
  if (hashes_.empty()) return std::nullopt;
  const auto found = by_user_.find(user);
  const PasswordHash& other = stand_in(user);
  const bool known = found != by_user_.end();
  if (!check_password(known ? &hashes_[found->second] : nullptr, other, password)) return std::nullopt;
  return found->second;
}

const PasswordHash& Accounts::stand_in(std::string_view user) const {
  unsigned char digest[32];
  const std::string text =
      std::string(reinterpret_cast<const char*>(key_.data()), key_.size()) + std::string(user);
  size_t size = 0;
  uint32_t number = 0;
  if (EVP_Q_digest(nullptr, "SHA256", nullptr, text.data(), text.size(), digest, &size) == 1)
    std::memcpy(&number, digest, sizeof number);
  return hashes_[number % hashes_.size()];
}

// ---- KeyedDigest ----

KeyedDigest::KeyedDigest() : key_(random_bytes<32>()), context_(EVP_MD_CTX_new()) {
  if (context_ == nullptr || EVP_DigestInit_ex2(context_.get(), EVP_sha256(), nullptr) != 1)
    throw std::runtime_error("no SHA-256");
}

KeyedDigest::Value KeyedDigest::of(std::string_view user, std::string_view password) {
  const uint64_t sizes[] = {user.size(), password.size()};
  Value out;
  EVP_MD_CTX* context = context_.get();
  const bool made = EVP_DigestInit_ex2(context, nullptr, nullptr) == 1 &&
                    EVP_DigestUpdate(context, key_.data(), key_.size()) == 1 &&
                    EVP_DigestUpdate(context, sizes, sizeof sizes) == 1 &&
                    EVP_DigestUpdate(context, user.data(), user.size()) == 1 &&
                    EVP_DigestUpdate(context, password.data(), password.size()) == 1 &&
                    EVP_DigestFinal_ex(context, out.data(), nullptr) == 1;
  if (!made) throw std::runtime_error("SHA-256 failed");
  return out;
}

// ---- PasswordCache ----

PasswordCache::PasswordCache(size_t entries, int64_t ttl_ns)
    : ttl_ns_(ttl_ns), sets_(sets_for(entries)), slots_(sets_ * ways) {}

size_t PasswordCache::first_of(const KeyedDigest::Value& digest) const {
  size_t number = 0;
  std::memcpy(&number, digest.data(), sizeof number);
  return (number & (sets_ - 1)) * ways;
}

std::optional<uint32_t> PasswordCache::find(const KeyedDigest::Value& digest, int64_t now_ns) const {
  if (slots_.empty()) return std::nullopt;
  const Slot* set = &slots_[first_of(digest)];
  for (size_t i = 0; i < ways; ++i) {
    if (now_ns < set[i].good_until_ns &&
        CRYPTO_memcmp(set[i].digest.data(), digest.data(), digest.size()) == 0)
      return set[i].account;
  }
  return std::nullopt;
}

void PasswordCache::insert(const KeyedDigest::Value& digest, uint32_t account, int64_t now_ns) {
  if (slots_.empty()) return;
  Slot* set = &slots_[first_of(digest)];
  Slot* place = &set[turn_++ % ways];
  for (size_t i = 0; i < ways; ++i) {
    if (set[i].digest == digest || set[i].good_until_ns <= now_ns) {
      place = &set[i];
      break;
    }
  }
  *place = {digest, now_ns + ttl_ns_, account};
}

}  // namespace auth
