// The key under which a request is counted: its parts, each with its length in front, so that ("ab", "c") and
// ("a", "bc") are two keys. Built in memory of the caller; no allocation.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace rate_limit {

class KeyWriter {
 public:
  KeyWriter(char* buffer, size_t capacity) : buffer_(buffer), capacity_(capacity) {}
  static constexpr size_t overhead = 5;  // of one part

  // `kind` keeps parts of different kinds apart that have the same text.
  void add(std::string_view part, char kind = ':');
  // An IP address: IPv6 by its first `prefix_bits` bits, IPv4 (also when mapped into IPv6) as it is. Any
  // other text is one part as it is.
  void add_address(std::string_view address, unsigned prefix_bits);
  // False once something did not fit.
  bool complete() const { return complete_; }
  std::string_view key() const { return {buffer_, size_}; }

 private:
  char* buffer_;
  size_t capacity_;
  size_t size_ = 0;
  bool complete_ = true;
};

}  // namespace rate_limit
