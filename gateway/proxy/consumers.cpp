#include "proxy/consumers.h"

#include <cstring>

#include "base/certificate_names.h"
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

void Consumers::add_certificate(const Consumer& consumer, CertificateName kind, std::string_view value) {
  certificates_[static_cast<size_t>(kind)].emplace(keyed_hash(hash_key_, value),
                                                   NamedCertificate{std::string(value), &consumer});
}

const Consumer* Consumers::by_certificate(CertificateName kind, std::string_view text, Arena& arena) const {
  const auto& known = certificates_[static_cast<size_t>(kind)];
  if (known.empty() || text.empty() || text.size() > max_certificate_name) return nullptr;
  const size_t size = room_for(text);
  const std::span<char> room(static_cast<char*>(arena.allocate(size, 1)), size);
  const std::string_view normal = kind == CertificateName::subject       ? normal_subject(text, room)
                                  : kind == CertificateName::alternative ? normal_alternative_name(text, room)
                                                                         : normal_fingerprint(text, room);
  if (normal.data() == nullptr) return nullptr;
  const auto found = known.find(keyed_hash(hash_key_, normal));
  return found != known.end() && equal(found->second.value, normal) ? found->second.consumer : nullptr;
}

void Consumers::add_secret(const Consumer& consumer, SecretKind kind, std::string_view name,
                           std::string_view secret) {
  secrets_[static_cast<size_t>(kind)].emplace(keyed_hash(hash_key_, name),
                                              NamedSecret{name, secret, &consumer});
}

Consumers::Secret Consumers::by_secret_name(SecretKind kind, std::string_view name) const {
  const auto& known = secrets_[static_cast<size_t>(kind)];
  const auto found = known.find(keyed_hash(hash_key_, name));
  if (found == known.end() || !equal(found->second.name, name)) return {};
  return {found->second.consumer, found->second.secret};
}

const Consumer* Consumers::by_name(std::string_view name) const {
  auto it = names_.find(name);
  return it == names_.end() ? nullptr : it->second;
}

}  // namespace penstock::proxy
