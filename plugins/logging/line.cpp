#include "line.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>

namespace logging {
namespace {

constexpr char hex[] = "0123456789abcdef";

// 00 to 99 as text, one behind the other.
constexpr std::array<char, 200> pairs = [] {
  std::array<char, 200> text{};
  for (size_t i = 0; i < 100; ++i) {
    text[i * 2] = static_cast<char>('0' + i / 10);
    text[i * 2 + 1] = static_cast<char>('0' + i % 10);
  }
  return text;
}();

// True when all eight bytes are printable ASCII other than '"' and '\\'.
bool plain8(uint64_t bytes) {
  constexpr uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
  const auto zero_byte = [](uint64_t v) { return (v - ones) & ~v; };
  const uint64_t control = (bytes - ones * 0x20) & ~bytes;
  return ((bytes | control | zero_byte(bytes ^ ones * '"') | zero_byte(bytes ^ ones * '\\')) & highs) == 0;
}

uint64_t load8(const char* at) {
  uint64_t bytes;
  std::memcpy(&bytes, at, 8);
  return bytes;
}

// Nearly every value is plain from end to end: it is copied and looked at in one go, the last piece
// overlapping the one before. False: something in it is not plain, and what was written does not count.
bool copy_plain(char* to, std::string_view text) {
  const char* at = text.data();
  const size_t n = text.size();
#if defined(__SSE2__)
  if (n >= 16) {
    const auto copy = [&](size_t i) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at + i));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), bytes);
      const __m128i low = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20));  // signed: 0x80 and above are low, too
      const __m128i marks =
          _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
      return _mm_or_si128(low, marks);
    };
    __m128i found = copy(n - 16);
    for (size_t i = 0; i + 16 <= n; i += 16) found = _mm_or_si128(found, copy(i));
    return _mm_movemask_epi8(found) == 0;
  }
#endif
  if (n >= 8) {
    const auto copy = [&](size_t i) {
      const uint64_t bytes = load8(at + i);
      std::memcpy(to + i, &bytes, 8);
      return plain8(bytes);
    };
    bool plain = copy(n - 8);
    for (size_t i = 0; i + 8 <= n; i += 8) plain &= copy(i);
    return plain;
  }
  if (n >= 4) {
    uint32_t first, last;
    std::memcpy(&first, at, 4);
    std::memcpy(&last, at + n - 4, 4);
    std::memcpy(to, &first, 4);
    std::memcpy(to + n - 4, &last, 4);
    return plain8(uint64_t{first} << 32 | last);
  }
  uint64_t bytes = 0x2020202020202020u;
  for (size_t i = 0; i < n; ++i) {
    to[i] = at[i];
    bytes = bytes << 8 | static_cast<uint8_t>(at[i]);
  }
  return plain8(bytes);
}

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

void Line::number(uint64_t value) {
  const auto [end, error] = std::to_chars(buffer_ + size_, buffer_ + capacity, value);
  if (error == std::errc{}) size_ = static_cast<size_t>(end - buffer_);
}

void Line::seconds(int64_t ns) {
  const uint64_t micros = ns > 0 ? static_cast<uint64_t>(ns) / 1000 : 0;
  if (micros < 1'000'000) {
    raw('0');
  } else {
    number(micros / 1'000'000);
  }
  const auto rest = static_cast<uint32_t>(micros % 1'000'000);
  char fraction[7] = {'.'};
  std::memcpy(fraction + 1, &pairs[rest / 10'000 * 2], 2);
  std::memcpy(fraction + 3, &pairs[rest / 100 % 100 * 2], 2);
  std::memcpy(fraction + 5, &pairs[rest % 100 * 2], 2);
  raw({fraction, sizeof fraction});
}

// All of it, or nothing and the value is over.
bool Line::put(std::string_view whole) {
  if (whole.size() > left()) {
    value_end_ = size_;
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
  if (text.size() <= left() && copy_plain(buffer_ + size_, text)) {
    size_ += text.size();
    return;
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
  if (capacity - size_ < closing.size() + 1) size_ = capacity - closing.size() - 1;
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

void SecondText::iso(Line& out, int64_t wall_ns) {
  const int64_t second = wall_ns / 1'000'000'000;
  if (second != second_) set(second);
  const auto ms = static_cast<unsigned>(wall_ns / 1'000'000 % 1000);
  const char rest[4] = {static_cast<char>('0' + ms / 100), static_cast<char>('0' + ms / 10 % 10),
                        static_cast<char>('0' + ms % 10), 'Z'};
  out.raw({iso_, sizeof iso_});
  out.raw({rest, sizeof rest});
}

void SecondText::common(Line& out, int64_t wall_ns) {
  const int64_t second = wall_ns / 1'000'000'000;
  if (second != second_) set(second);
  out.raw({common_, 26});
}

}  // namespace logging
