#include "token_cache.h"

#include <openssl/rand.h>

#include <cstring>
#include <stdexcept>

namespace auth {
namespace {

uint64_t folded(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

uint64_t word_at(const char* at, size_t bytes = 8) {
  uint64_t out = 0;
  std::memcpy(&out, at, bytes);
  return out;
}

size_t sets_for(size_t tokens) {
  if (tokens == 0) return 0;
  size_t sets = 1;
  while (sets * TokenCache::ways < tokens) sets *= 2;
  return sets;
}

}  // namespace

TokenCache::TokenCache(size_t tokens) : sets_(sets_for(tokens)), slots_(sets_ * ways) {}

// The end of a token is its signature: its last bytes are as good as random, and nobody can choose them for a
// token that passes the verification.
uint64_t TokenCache::hash_of(std::string_view token) {
  uint64_t a = token.size(), b = 0;
  if (token.size() >= 16) {
    a ^= word_at(token.data() + token.size() - 16);
    b = word_at(token.data() + token.size() - 8);
  }
  return folded(a ^ 0x9e3779b97f4a7c15u, b ^ 0xd6e8feb86659fd93u);
}

Verified* TokenCache::find(std::string_view token) {
  if (slots_.empty()) return nullptr;
  const uint64_t hash = hash_of(token);
  Slot* set = set_of(hash);
  for (size_t i = 0; i < ways; ++i) {
    if (set[i].hash == hash && set[i].verified.token == token) return &set[i].verified;
  }
  return nullptr;
}

TokenCache::Inserted TokenCache::insert(Verified verified, int64_t now_ns) {
  const uint64_t hash = hash_of(verified.token);
  Slot* set = set_of(hash);
  Slot* victim = &set[turn_++ % ways];
  bool evicted = true;
  for (size_t i = 0; i < ways; ++i) {
    if (!set[i].verified.token.empty() && set[i].verified.expires_ns > now_ns) continue;
    victim = &set[i];
    evicted = false;
    break;
  }
  victim->hash = hash;
  // Moving the vector `groups` leaves its strings, and the views into them, in place.
  victim->verified = std::move(verified);
  return {victim->verified, evicted};
}

void TokenCache::clear() {
  for (Slot& slot : slots_) slot = {};
}

RefusedTokens::RefusedTokens() : slots_(slots) {
  if (RAND_bytes(reinterpret_cast<unsigned char*>(key_), sizeof key_) != 1)
    throw std::runtime_error("no random bytes for the table of refused tokens");
}

uint64_t RefusedTokens::hash_of(std::string_view token) const {
  uint64_t state = key_[0] ^ token.size();
  size_t i = 0;
  for (; i + 8 <= token.size(); i += 8)
    state = folded(state ^ word_at(token.data() + i), key_[1] | 1) ^ key_[0];
  return folded(state ^ word_at(token.data() + i, token.size() - i), key_[1] | 1);
}

Fault RefusedTokens::find(std::string_view token) const {
  const uint64_t hash = hash_of(token);
  const Slot& slot = slots_[hash % slots];
  return slot.hash == hash ? slot.fault : Fault::none;
}

void RefusedTokens::insert(std::string_view token, Fault fault) {
  const uint64_t hash = hash_of(token);
  slots_[hash % slots] = {hash, fault};
}

void RefusedTokens::clear() { slots_.assign(slots, {}); }

}  // namespace auth
