// What a worker remembers of the tokens that it has judged, so that the arithmetic is paid once a token. Two
// bounded tables, one pair a worker and instance, without locks; both are right for one set of keys and rules
// only, are cleared when there are other keys, and die with the instance that has them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "claims.h"

namespace auth {

// Tokens that passed.
class TokenCache {
 public:
  static constexpr size_t ways = 4;
  static constexpr size_t max_token_bytes = 8192;  // longer ones are verified each time

  // 0: nothing is kept. Otherwise rounded up to a power of two, and at least `ways`.
  explicit TokenCache(size_t tokens);
  Verified* find(std::string_view token);
  bool takes(std::string_view token) const { return !slots_.empty() && token.size() <= max_token_bytes; }
  // Takes the place of an expired or of the oldest entry. Only for tokens that it takes. The reference is
  // valid until the next insert.
  struct Inserted {
    Verified& entry;
    bool evicted;  // one that was still good
  };
  Inserted insert(Verified verified, int64_t now_ns);
  void clear();

 private:
  struct Slot {
    uint64_t hash = 0;
    Verified verified;  // without a token: free
  };
  Slot* set_of(uint64_t hash) { return &slots_[(hash & (sets_ - 1)) * ways]; }
  static uint64_t hash_of(std::string_view token);

  size_t sets_ = 0;
  std::vector<Slot> slots_;
  uint32_t turn_ = 0;
};

// Tokens that were refused, and why: those of other issuers, which another authenticator of the route takes,
// come with every request. Only a keyed hash of the whole token is kept, so that whoever sends rubbish can
// neither fill memory nor have a good token taken for it.
class RefusedTokens {
 public:
  RefusedTokens();
  Fault find(std::string_view token) const;  // none: not known
  void insert(std::string_view token, Fault fault);
  void clear();

 private:
  static constexpr size_t slots = 512;
  struct Slot {
    uint64_t hash = 0;
    Fault fault = Fault::none;
  };
  uint64_t hash_of(std::string_view token) const;

  uint64_t key_[2];
  std::vector<Slot> slots_;
};

}  // namespace auth
