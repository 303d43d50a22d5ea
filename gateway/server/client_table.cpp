#include "server/client_table.h"

#include <cstring>

namespace penstock::server {

ClientTable::Key ClientTable::key_of(const net::Address& address) {
  Key key;
  key.family = address.any.sa_family;
  if (key.family == AF_INET) {
    key.network = address.v4.sin_addr.s_addr;
  } else if (key.family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address.v6.sin6_addr)) {
    key.family = AF_INET;
    uint32_t bits;
    std::memcpy(&bits, address.v6.sin6_addr.s6_addr + 12, sizeof bits);
    key.network = bits;
  } else if (key.family == AF_INET6) {
    std::memcpy(&key.network, address.v6.sin6_addr.s6_addr, sizeof key.network);
  } else {
    return {};
  }
  return key;
}

size_t ClientTable::Hasher::operator()(const Key& key) const {
  char bytes[sizeof key.network + 1];
  std::memcpy(bytes, &key.network, sizeof key.network);
  bytes[sizeof key.network] = static_cast<char>(key.family);
  return keyed_hash(secret, {bytes, sizeof bytes}).low;
}

bool ClientTable::enter(const Key& key, uint32_t most) {
  Shard& shard = shard_of(key);
  std::lock_guard lock(shard.mutex);
  uint32_t& count = shard.counts[key];
  if (count >= most) return false;
  ++count;
  return true;
}

void ClientTable::leave(const Key& key) {
  Shard& shard = shard_of(key);
  std::lock_guard lock(shard.mutex);
  auto it = shard.counts.find(key);
  if (it != shard.counts.end() && --it->second == 0) shard.counts.erase(it);
}

}  // namespace penstock::server
