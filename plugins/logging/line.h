// One log line under construction, in memory of the worker that writes it: fixed size, no allocation. Every
// byte that a client can send is made harmless: a line never holds a newline or a control byte, and JSON
// stays JSON.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "digits.h"

namespace logging {

class Line {
 public:
  static constexpr size_t capacity = 16 * 1024;
  static constexpr size_t max_value = 2 * 1024;  // of one value, once escaped
  static constexpr size_t tail = 64;             // values leave it free for what ends them and the line
  static constexpr size_t shortest = 480;        // what every receiver of a datagram takes (RFC 5426)

  // Shorter lines than the memory has room for, the end of the line included; from the next clear() on.
  void set_limit(size_t bytes) { limit_ = bytes < shortest ? shortest : bytes < capacity ? bytes : capacity; }
  void clear() {
    size_ = 0;
    value_end_ = limit_ - tail;
    cut_ = false;
  }
  // Something that was to be in the line is not, or not whole.
  bool cut() const { return cut_; }
  std::string_view text() const { return {buffer_, size_}; }
  bool empty() const { return size_ == 0; }

  // As it is: for text of our own.
  void raw(std::string_view text) {
    size_t n = text.size();
    if (n > limit_ - size_) [[unlikely]]
      n = shortened();
    if (n == 0) return;
    if (n == text.size()) {
      std::memcpy(buffer_ + size_, text.data(), text.size());  // a literal's size is known here
    } else {
      std::memcpy(buffer_ + size_, text.data(), n);
    }
    size_ += n;
  }
  void raw(char c) {
    if (size_ < limit_) {
      buffer_[size_++] = c;
    } else {
      cut_ = true;
    }
  }
  void number(uint64_t value) {
    char text[max_number];
    const auto size = static_cast<size_t>(write_number(text, value) - text);
    if (size <= limit_ - size_) {
      raw({text, size});
    } else {
      cut_ = true;
    }
  }
  // Nanoseconds as seconds with six decimals: 0.000412.
  void seconds(int64_t ns) {
    char text[max_number];
    raw({text, static_cast<size_t>(write_seconds(text, ns) - text)});
  }
  // A value from outside begins: what json_more and escaped_more add to it, however many pieces that is, ends
  // after max_value bytes and before the tail, never within an escape or a character. What follows the cut is
  // dropped.
  void begin_value() {
    const size_t end = size_ + max_value;
    value_end_ = end < limit_ - tail ? end : limit_ - tail;
  }
  // Inside a JSON string (RFC 8259): quote, backslash and control bytes escaped; bytes that are no UTF-8
  // become U+FFFD.
  void json_more(std::string_view text);
  void json(std::string_view text) {
    begin_value();
    json_more(text);
  }
  // Inside a text line: quote, backslash, control bytes and DEL as \xHH.
  void escaped_more(std::string_view text);
  void escaped(std::string_view text) {
    begin_value();
    escaped_more(text);
  }
  // Whether so many bytes of our own leave the tail free; if not, they are meant to be left out.
  bool fits(size_t bytes) {
    const bool room = has_room(bytes);
    if (!room) cut_ = true;
    return room;
  }
  bool has_room(size_t bytes) const { return size_ + bytes + tail <= limit_; }
  // For text that is made in place: where it may begin, and where it ended. The caller knows that it fits.
  char* here() { return buffer_ + size_; }
  void advance_to(const char* end) { size_ = static_cast<size_t>(end - buffer_); }
  // Ends the line; one that our own text has filled is cut so that it still ends.
  void end(std::string_view closing);

 private:
  size_t left() const { return value_end_ > size_ ? value_end_ - size_ : 0; }
  bool put(std::string_view whole);
  size_t json_special(std::string_view text, size_t at);
  size_t shortened() {
    cut_ = true;
    return limit_ - size_;
  }
  char buffer_[capacity];
  size_t size_ = 0;
  size_t limit_ = capacity;
  size_t value_end_ = capacity - tail;
  bool cut_ = false;
};

// The beginning of a second as text, computed once a second.
class SecondText {
 public:
  // 2026-11-21T10:00:00.123Z; behind its end, for which there must be room.
  static constexpr size_t iso_size = 24;
  char* iso(char* to, int64_t wall_ns);
  void iso(Line& out, int64_t wall_ns) {
    char text[iso_size];
    iso(text, wall_ns);
    out.raw({text, sizeof text});
  }
  // 21/Nov/2026:10:00:00 +0000
  void common(Line& out, int64_t wall_ns);

 private:
  void set(int64_t second);
  int64_t second_ = INT64_MIN;
  char iso_[20];
  char common_[27];
};

}  // namespace logging
