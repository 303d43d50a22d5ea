// The configured consumers and the index from credential to consumer. Immutable, part of a snapshot.
#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace penstock::proxy {

struct Consumer {
  std::string name;
  std::vector<std::string> groups;
};

class Consumers {
 public:
  // main thread, while the snapshot is built
  Consumer& add(std::string name, std::vector<std::string> groups);
  void add_api_key(const Consumer& consumer,
                   std::string_view plain_or_sha256);  // "sha256:<64 hex>" or the key itself
  void add_jwt(const Consumer& consumer, std::string_view plugin, std::string_view value);

  // any thread; null: nobody. API keys are compared as SHA-256 digests, so timing tells nothing about a key.
  const Consumer* by_api_key(std::string_view key) const;
  const Consumer* by_jwt(std::string_view plugin, std::string_view value) const;
  const Consumer* by_name(std::string_view name) const;

 private:
  using Digest = std::array<uint8_t, 32>;
  struct DigestHash {
    size_t operator()(const Digest& digest) const;
  };
  std::deque<Consumer> consumers_;
  std::unordered_map<std::string_view, const Consumer*> names_;
  std::unordered_map<Digest, const Consumer*, DigestHash> api_keys_;
  std::unordered_map<std::string, const Consumer*> jwt_;  // plugin + '\n' + value
};

}  // namespace penstock::proxy
