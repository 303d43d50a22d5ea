// Connections by client address, of one listener in the whole process (max_connections_per_client). An IPv6
// client is its /64, since it can take any address of that. Workers touch it once at accept and once at
// close, each address under one of a few locks; nothing is allocated for an address that is there already.
#pragma once
#include <array>
#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "base/keyed_hash.h"
#include "net/address.h"

namespace penstock::server {

class ClientTable {
 public:
  // What an address is counted by. Without a family: not counted.
  struct Key {
    uint64_t network = 0;
    sa_family_t family = AF_UNSPEC;
    bool operator==(const Key&) const = default;
  };
  static Key key_of(const net::Address& address);

  // Takes a place; false: this client has its most.
  bool enter(const Key& key, uint32_t most);
  void leave(const Key& key);

 private:
  struct Hasher {
    Hash128 secret;
    size_t operator()(const Key& key) const;
  };
  struct alignas(64) Shard {
    std::mutex mutex;
    std::unordered_map<Key, uint32_t, Hasher> counts{0, Hasher{random_hash_key()}};
  };
  static constexpr size_t shard_count = 32;
  Shard& shard_of(const Key& key) { return shards_[hasher_(key) >> 32 & (shard_count - 1)]; }

  Hasher hasher_{random_hash_key()};
  std::array<Shard, shard_count> shards_;
};

}  // namespace penstock::server
