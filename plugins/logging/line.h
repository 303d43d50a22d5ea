// One log line under construction, in memory of the worker that writes it: fixed size, no allocation. Every
// byte that a client can send is made harmless: a line never holds a newline or a control byte, and JSON
// stays JSON.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace logging {

class Line {
 public:
  static constexpr size_t capacity = 16 * 1024;
  static constexpr size_t max_value = 2 * 1024;  // of one value, before escaping

  void clear() { size_ = 0; }
  std::string_view text() const { return {buffer_, size_}; }
  bool empty() const { return size_ == 0; }

  // As it is: for text of our own.
  void raw(std::string_view text) {
    size_t n = text.size();
    if (n > capacity - size_) [[unlikely]]
      n = capacity - size_;
    if (n == 0) return;
    if (n == text.size()) {
      std::memcpy(buffer_ + size_, text.data(), text.size());  // a literal's size is known here
    } else {
      std::memcpy(buffer_ + size_, text.data(), n);
    }
    size_ += n;
  }
  void raw(char c) {
    if (size_ < capacity) buffer_[size_++] = c;
  }
  void number(uint64_t value);
  // Nanoseconds as seconds with six decimals: 0.000412.
  void seconds(int64_t ns);
  // Inside a JSON string (RFC 8259): quote, backslash and control bytes escaped; bytes that are no UTF-8
  // become U+FFFD.
  void json(std::string_view text);
  // Inside a text line: quote, backslash, control bytes and DEL as \xHH.
  void escaped(std::string_view text);
  // Bytes that are left while the end of a line still fits.
  size_t room() const { return capacity - size_; }
  // Ends the line; a line that grew too long is cut so that it still ends.
  void end(std::string_view closing);

 private:
  size_t json_special(std::string_view text, size_t at);
  char buffer_[capacity];
  size_t size_ = 0;
};

// The beginning of a second as text, computed once a second.
class SecondText {
 public:
  // 2026-11-21T10:00:00.123Z
  void iso(Line& out, int64_t wall_ns);
  // 21/Nov/2026:10:00:00 +0000
  void common(Line& out, int64_t wall_ns);

 private:
  void set(int64_t second);
  int64_t second_ = INT64_MIN;
  char iso_[20];
  char common_[27];
};

}  // namespace logging
