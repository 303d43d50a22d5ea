#include "net/tls_tickets.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "net/bounded_file.h"
#include "net/tls_settings.h"

namespace penstock::net {
namespace {

constexpr size_t key_bytes = 16 + 32 + 32;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool read_key(std::string_view line, TicketKey& key) {
  if (line.size() != key_bytes * 2) return false;
  std::array<uint8_t, key_bytes> bytes;
  for (size_t i = 0; i < key_bytes; ++i) {
    const int high = hex_digit(line[i * 2]), low = hex_digit(line[i * 2 + 1]);
    if (high < 0 || low < 0) return false;
    bytes[i] = static_cast<uint8_t>(high << 4 | low);
  }
  std::copy_n(bytes.begin(), 16, key.name.begin());
  std::copy_n(bytes.begin() + 16, 32, key.mac.begin());
  std::copy_n(bytes.begin() + 48, 32, key.cipher.begin());
  OPENSSL_cleanse(bytes.data(), bytes.size());
  return true;
}

std::string_view take_line(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  line = line.substr(0, line.find('#'));
  while (!line.empty() && std::string_view(" \t\r").contains(line.back())) line.remove_suffix(1);
  while (!line.empty() && std::string_view(" \t").contains(line.front())) line.remove_prefix(1);
  return line;
}

std::expected<std::vector<TicketKey>, std::string> parse_keys(std::string_view text,
                                                              const std::string& path) {
  std::vector<TicketKey> keys;
  for (size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = take_line(text);
    if (line.empty()) continue;
    TicketKey key;
    if (!read_key(line, key))
      return std::unexpected(fmt::format(
          "line {} of '{}' is no ticket key: 160 hexadecimal digits, as `openssl rand -hex 80` prints them",
          number, path));
    for (const TicketKey& other : keys)
      if (other.name == key.name)
        return std::unexpected(fmt::format("line {} of '{}' repeats a ticket key", number, path));
    if (keys.size() == TicketKeys::max_keys)
      return std::unexpected(fmt::format("'{}' has more than {} ticket keys", path, TicketKeys::max_keys));
    keys.push_back(key);
  }
  if (keys.empty()) return std::unexpected(fmt::format("'{}' holds no ticket key", path));
  return keys;
}

}  // namespace

TicketKey::TicketKey() : name{}, mac{}, cipher{} {}

TicketKey::~TicketKey() {
  OPENSSL_cleanse(mac.data(), mac.size());
  OPENSSL_cleanse(cipher.data(), cipher.size());
}

TicketKey TicketKey::random() {
  TicketKey key;
  // Without randomness no TLS at all: nothing that could be served then is worth going on for.
  if (RAND_bytes(key.name.data(), static_cast<int>(key.name.size())) != 1 ||
      RAND_priv_bytes(key.mac.data(), static_cast<int>(key.mac.size())) != 1 ||
      RAND_priv_bytes(key.cipher.data(), static_cast<int>(key.cipher.size())) != 1)
    std::abort();
  return key;
}

std::expected<std::shared_ptr<const TicketKeys>, std::string> TicketKeys::read(const std::string& path) {
  auto text = read_file("ticket keys", path, TlsFileLimits::ticket_keys);
  if (!text) return std::unexpected(text.error());
  auto keys = parse(*text, path);
  OPENSSL_cleanse(text->data(), text->size());
  return keys;
}

std::expected<std::shared_ptr<const TicketKeys>, std::string> TicketKeys::parse(std::string_view text,
                                                                                const std::string& path) {
  auto keys = parse_keys(text, path);
  if (!keys) return std::unexpected(keys.error());
  return std::make_shared<const TicketKeys>(std::move(*keys));
}

const TicketKey* TicketKeys::find(const uint8_t* name) const {
  for (const TicketKey& key : keys_)
    if (std::memcmp(key.name.data(), name, key.name.size()) == 0) return &key;
  return nullptr;
}

TicketRing::TicketRing() : ring_{TicketKey::random(), TicketKey::random()} { publish(); }

void TicketRing::rotate() {
  ring_ = {ring_[1], TicketKey::random(), ring_[0]};
  publish();
}

void TicketRing::publish() { keys_ = std::make_shared<const TicketKeys>(ring_); }

}  // namespace penstock::net
