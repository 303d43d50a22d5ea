#include "line.h"

#include <chrono>
#include <cstdio>

#include "plain_copy.h"

namespace logging {
namespace {

constexpr char hex[] = "0123456789abcdef";

// Length of the UTF-8 sequence at `at`, 0 when it is none (RFC 3629: no overlong forms, no surrogates).
size_t utf8_length(std::string_view s, size_t at) {
  const auto byte = [&](size_t i) {
    return at + i < s.size() ? static_cast<uint8_t>(s[at + i]) : uint8_t{0};
  };
  const auto follows = [&](size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const uint8_t first = byte(0);
  if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if (!follows(1) || !follows(2)) return 0;
    if (first == 0xe0 && byte(1) < 0xa0) return 0;
    if (first == 0xed && byte(1) > 0x9f) return 0;
    return 3;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if (!follows(1) || !follows(2) || !follows(3)) return 0;
    if (first == 0xf0 && byte(1) < 0x90) return 0;
    if (first == 0xf4 && byte(1) > 0x8f) return 0;
    return 4;
  }
  return 0;
}

}  // namespace

// All of it, or nothing and the value is over.
bool Line::put(std::string_view whole) {
  if (whole.size() > left()) {
    value_end_ = size_;
    cut_ = true;
    return false;
  }
  raw(whole);
  return true;
}

// Writes what stands for the byte (or sequence) at `at`; how many bytes of the text that was, 0 when the
// value is full.
size_t Line::json_special(std::string_view text, size_t at) {
  const auto c = static_cast<uint8_t>(text[at]);
  if (c >= 0x80) {
    const size_t length = utf8_length(text, at);
    if (!put(length == 0 ? std::string_view("\\ufffd") : text.substr(at, length))) return 0;
    return length == 0 ? 1 : length;
  }
  if (c == '"' || c == '\\') {
    const char pair[2] = {'\\', text[at]};
    return put({pair, 2}) ? 1 : 0;
  }
  if (c < 0x20) {
    const char code[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
    return put({code, 6}) ? 1 : 0;
  }
  return put(text.substr(at, 1)) ? 1 : 0;
}

void Line::json_more(std::string_view text) {
  if (text.size() <= left()) {
    PlainCopy plain;
    const char* end = plain.copy(here(), text);
    if (plain.all()) return advance_to(end);
  }
  size_t i = 0;
  while (i < text.size()) {
    if (text.size() - i >= 8 && left() >= 8 && plain8(load8(text.data() + i))) {
      raw(text.substr(i, 8));
      i += 8;
    } else {
      const size_t used = json_special(text, i);
      if (used == 0) return;
      i += used;
    }
  }
}

void Line::escaped_more(std::string_view text) {
  for (const char& c : text) {
    const auto byte = static_cast<uint8_t>(c);
    const char code[4] = {'\\', 'x', hex[byte >> 4], hex[byte & 15]};
    const bool plain = byte >= 0x20 && byte != 0x7f && c != '"' && c != '\\';
    if (!put(plain ? std::string_view(&c, 1) : std::string_view(code, 4))) return;
  }
}

void Line::end(std::string_view closing) {
  if (limit_ - size_ < closing.size() + 1) {
    size_ = limit_ - closing.size() - 1;
    cut_ = true;
  }
  raw(closing);
  raw('\n');
}

void SecondText::set(int64_t second) {
  using namespace std::chrono;
  static constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  second_ = second;
  const sys_seconds point{std::chrono::seconds(second)};
  const sys_days day = floor<days>(point);
  const year_month_day date(day);
  const hh_mm_ss time(point - day);
  const int y = static_cast<int>(date.year()) % 10000, h = static_cast<int>(time.hours().count()),
            m = static_cast<int>(time.minutes().count()), s = static_cast<int>(time.seconds().count());
  const unsigned month = static_cast<unsigned>(date.month()), d = static_cast<unsigned>(date.day());
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.", y, month, d, h, m, s);
  std::memcpy(iso_, text, sizeof iso_);
  std::snprintf(text, sizeof text, "%02u/%s/%04d:%02d:%02d:%02d +0000", d, months[(month - 1) % 12], y, h, m,
                s);
  std::memcpy(common_, text, 26);
}

char* SecondText::iso(char* to, int64_t wall_ns) {
  const int64_t second = wall_ns / 1'000'000'000;
  if (second != second_) set(second);
  const auto ms = static_cast<uint32_t>(wall_ns - second * 1'000'000'000) / 1'000'000 % 1000;
  std::memcpy(to, iso_, sizeof iso_);
  std::memcpy(to + sizeof iso_, &triples[ms * 4], 4);
  to[iso_size - 1] = 'Z';
  return to + iso_size;
}

void SecondText::common(Line& out, int64_t wall_ns) {
  const int64_t second = wall_ns / 1'000'000'000;
  if (second != second_) set(second);
  out.raw({common_, 26});
}

}  // namespace logging
