#include "proxy/consumers.h"

#include <cstring>

#include "net/digest.h"

namespace penstock::proxy {
namespace {
int hex(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }
}  // namespace

size_t Consumers::DigestHash::operator()(const Digest& digest) const {
  size_t out;
  std::memcpy(&out, digest.data(), sizeof out);
  return out;
}

Consumer& Consumers::add(std::string name, std::vector<std::string> groups) {
  Consumer& consumer = consumers_.emplace_back(Consumer{std::move(name), std::move(groups)});
  names_.emplace(consumer.name, &consumer);
  return consumer;
}

void Consumers::add_api_key(const Consumer& consumer, std::string_view plain_or_sha256) {
  constexpr std::string_view prefix = "sha256:";
  if (plain_or_sha256.starts_with(prefix) && plain_or_sha256.size() == prefix.size() + 64) {
    Digest digest;
    const char* at = plain_or_sha256.data() + prefix.size();
    for (uint8_t& byte : digest) {
      byte = static_cast<uint8_t>(hex(at[0]) * 16 + hex(at[1]));
      at += 2;
    }
    digests_.emplace(digest, &consumer);
    return;
  }
  plain_keys_.emplace(keyed_hash(hash_key_, plain_or_sha256),
                      PlainKey{std::string(plain_or_sha256), &consumer});
}

void Consumers::add_jwt(const Consumer& consumer, std::string_view plugin, std::string_view value) {
  jwt_.emplace(keyed_hash(hash_key_, value), JwtKey{std::string(plugin), std::string(value), &consumer});
}

// Takes as long for a wrong byte at the front as for one at the end.
static bool equal(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned char difference = 0;
  for (size_t i = 0; i < a.size(); ++i) difference |= static_cast<unsigned char>(a[i] ^ b[i]);
  return difference == 0;
}

const Consumer* Consumers::by_api_key(std::string_view key, KeyDigests* digests) const {
  const Hash128 hash = keyed_hash(hash_key_, key);
  if (!plain_keys_.empty()) {
    auto plain = plain_keys_.find(hash);
    if (plain != plain_keys_.end() && equal(plain->second.key, key)) return plain->second.consumer;
  }
  if (digests_.empty()) return nullptr;
  const auto compute = [&] { return net::sha256(key); };
  auto it = digests_.find(digests ? digests->get(hash, compute) : compute());
  return it == digests_.end() ? nullptr : it->second;
}

const Consumer* Consumers::by_jwt(std::string_view plugin, std::string_view value) const {
  if (jwt_.empty()) return nullptr;
  auto [first, last] = jwt_.equal_range(keyed_hash(hash_key_, value));
  for (auto it = first; it != last; ++it)
    if (it->second.plugin == plugin && it->second.value == value) return it->second.consumer;
  return nullptr;
}

const Consumer* Consumers::by_name(std::string_view name) const {
  auto it = names_.find(name);
  return it == names_.end() ? nullptr : it->second;
}

}  // namespace penstock::proxy
