// Keys of session tickets (RFC 5077, RFC 8446 4.6.1). A set is immutable, made on the main thread and shared
// by the workers: the first key encrypts, all of them decrypt. A ring makes sets of its own: the next key is
// known everywhere before it is used, the previous one is kept for as long as its tickets live.
#pragma once
#include <array>
#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::net {

struct TicketKey {
  std::array<uint8_t, 16> name;
  std::array<uint8_t, 32> mac, cipher;  // HMAC-SHA256, AES-256-CBC
  TicketKey();
  TicketKey(const TicketKey&) = default;
  TicketKey& operator=(const TicketKey&) = default;
  ~TicketKey();  // leaves nothing in memory
  static TicketKey random();
};

class TicketKeys {
 public:
  static constexpr size_t max_keys = 16;
  explicit TicketKeys(std::vector<TicketKey> keys) : keys_(std::move(keys)) {}
  // A file for a fleet: a key a line, 80 bytes in hexadecimal (`openssl rand -hex 80`), '#' begins a comment.
  // Or one line that says what is wrong.
  static std::expected<std::shared_ptr<const TicketKeys>, std::string> read(const std::string& path);
  // The same of the file's content; `path` is what the line calls it.
  static std::expected<std::shared_ptr<const TicketKeys>, std::string> parse(std::string_view text,
                                                                             const std::string& path);

  const TicketKey& encrypting() const { return keys_.front(); }
  // Null: not ours, or too old.
  const TicketKey* find(const uint8_t* name) const;
  size_t size() const { return keys_.size(); }

 private:
  std::vector<TicketKey> keys_;  // never empty
};

// One listener's own keys. Main thread.
class TicketRing {
 public:
  TicketRing();
  void rotate();
  const std::shared_ptr<const TicketKeys>& keys() const { return keys_; }

 private:
  void publish();
  std::vector<TicketKey> ring_;  // current, next, previous (from the first rotation on)
  std::shared_ptr<const TicketKeys> keys_;
};

}  // namespace penstock::net
