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
  Digest digest;
  if (plain_or_sha256.starts_with(prefix) && plain_or_sha256.size() == prefix.size() + 64) {
    const char* at = plain_or_sha256.data() + prefix.size();
    for (uint8_t& byte : digest) {
      byte = static_cast<uint8_t>(hex(at[0]) * 16 + hex(at[1]));
      at += 2;
    }
  } else {
    digest = net::sha256(plain_or_sha256);
  }
  api_keys_.emplace(digest, &consumer);
}

void Consumers::add_jwt(const Consumer& consumer, std::string_view plugin, std::string_view value) {
  jwt_.emplace(std::string(plugin) + '\n' + std::string(value), &consumer);
}

const Consumer* Consumers::by_api_key(std::string_view key) const {
  auto it = api_keys_.find(net::sha256(key));
  return it == api_keys_.end() ? nullptr : it->second;
}

const Consumer* Consumers::by_jwt(std::string_view plugin, std::string_view value) const {
  if (jwt_.empty()) return nullptr;
  auto it = jwt_.find(std::string(plugin) + '\n' + std::string(value));
  return it == jwt_.end() ? nullptr : it->second;
}

const Consumer* Consumers::by_name(std::string_view name) const {
  auto it = names_.find(name);
  return it == names_.end() ? nullptr : it->second;
}

}  // namespace penstock::proxy
