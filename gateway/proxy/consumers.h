// The configured consumers and the index from credential to consumer. Immutable, part of a snapshot.
#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/arena.h"
#include "base/keyed_hash.h"
#include "proxy/key_digests.h"

namespace penstock::proxy {

struct Consumer {
  std::string name;
  std::vector<std::string> groups;
};

// What a client certificate is known by.
enum class CertificateName : uint8_t { subject, alternative, fingerprint };
// Credentials of which the configuration knows a secret: a password's hash, a key.
enum class SecretKind : uint8_t { basic, hmac };

class Consumers {
 public:
  static constexpr size_t max_certificate_name = 4096;  // a longer one is nobody's

  // main thread, while the snapshot is built
  Consumer& add(std::string name, std::vector<std::string> groups);
  void add_api_key(const Consumer& consumer,
                   std::string_view plain_or_sha256);  // "sha256:<64 hex>" or the key itself
  void add_jwt(const Consumer& consumer, std::string_view plugin, std::string_view value);
  // `value`: as base/certificate_names.h makes it.
  void add_certificate(const Consumer& consumer, CertificateName kind, std::string_view value);
  // Both texts are the configuration's, which outlives whoever asks.
  void add_secret(const Consumer& consumer, SecretKind kind, std::string_view name, std::string_view secret);

  // any thread; null: nobody. A key is found by a keyed hash that nobody outside knows and then compared in
  // constant time; keys configured as sha256: are found by their digest. So timing tells nothing about a key.
  // `digests` is the worker's; null: none are kept.
  const Consumer* by_api_key(std::string_view key, KeyDigests* digests = nullptr) const;
  const Consumer* by_jwt(std::string_view plugin, std::string_view value) const;
  // Any text of that kind. Without allocation: what is compared is made in `arena`.
  const Consumer* by_certificate(CertificateName kind, std::string_view text, Arena& arena) const;
  struct Secret {
    const Consumer* consumer = nullptr;
    std::string_view text;
  };
  Secret by_secret_name(SecretKind kind, std::string_view name) const;  // null consumer: there is none
  const Consumer* by_name(std::string_view name) const;

 private:
  struct DigestHash {
    size_t operator()(const Digest& digest) const;
  };
  std::deque<Consumer> consumers_;
  std::unordered_map<std::string_view, const Consumer*> names_;
  struct PlainKey {
    std::string key;
    const Consumer* consumer;
  };
  struct HashHash {
    size_t operator()(const Hash128& hash) const { return static_cast<size_t>(hash.low); }
  };
  struct JwtKey {
    std::string plugin, value;
    const Consumer* consumer;
  };
  Hash128 hash_key_ = random_hash_key();
  std::unordered_map<Hash128, PlainKey, HashHash> plain_keys_;
  std::unordered_map<Digest, const Consumer*, DigestHash> digests_;
  std::unordered_multimap<Hash128, JwtKey, HashHash> jwt_;  // by the value's hash
  struct NamedCertificate {
    std::string value;
    const Consumer* consumer;
  };
  struct NamedSecret {
    std::string_view name, secret;
    const Consumer* consumer;
  };
  // One table a kind, by the hash of what is asked for.
  std::array<std::unordered_map<Hash128, NamedCertificate, HashHash>, 3> certificates_;
  std::array<std::unordered_map<Hash128, NamedSecret, HashHash>, 2> secrets_;
};

}  // namespace penstock::proxy
