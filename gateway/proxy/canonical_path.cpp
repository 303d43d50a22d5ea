#include "proxy/canonical_path.h"

#include <array>
#include <cstdint>

namespace penstock::proxy {
namespace {

enum class PathByte : uint8_t { refuse, plain, slash, dot, percent };

constexpr std::array<PathByte, 256> make_table() {
  std::array<PathByte, 256> table{};
  for (int c = 0x21; c < 0x7f; ++c) table[c] = PathByte::plain;
  table['/'] = PathByte::slash;
  table['.'] = PathByte::dot;
  table['%'] = PathByte::percent;
  // A backslash is a slash to some backends; a fragment or query mark cannot be in a path.
  table['\\'] = table['#'] = table['?'] = PathByte::refuse;
  return table;
}
constexpr auto path_bytes = make_table();

bool unreserved(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}
int hex(unsigned char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Canonical already? Answers the common case in one pass without a copy: no escapes, no "//", no dot segment
// candidates.
enum class Look : uint8_t { canonical, work, refuse };
Look look(std::string_view path) {
  unsigned char previous = 0;
  Look result = Look::canonical;
  for (unsigned char c : path) {
    switch (path_bytes[c]) {
      case PathByte::refuse: return Look::refuse;
      case PathByte::percent: result = Look::work; break;
      case PathByte::slash:
      case PathByte::dot:
        if (previous == '/') result = Look::work;
        break;
      case PathByte::plain: break;
    }
    previous = c;
  }
  return result;
}

// Decodes what may be decoded, upper-cases the rest. Returns the end of the output, null when refused.
char* decode(std::string_view path, char* out) {
  static constexpr char digits[] = "0123456789ABCDEF";
  for (size_t i = 0; i < path.size(); ++i) {
    unsigned char c = static_cast<unsigned char>(path[i]);
    if (c != '%') {
      *out++ = static_cast<char>(c);
      continue;
    }
    if (i + 2 >= path.size()) return nullptr;
    int high = hex(static_cast<unsigned char>(path[i + 1])),
        low = hex(static_cast<unsigned char>(path[i + 2]));
    if (high < 0 || low < 0) return nullptr;
    unsigned char byte = static_cast<unsigned char>(high * 16 + low);
    if (byte == 0 || byte == '/' || byte == '\\') return nullptr;
    if (unreserved(byte)) {
      *out++ = static_cast<char>(byte);
    } else {
      *out++ = '%';
      *out++ = digits[high];
      *out++ = digits[low];
    }
    i += 2;
  }
  return out;
}

// Merges empty segments and removes dot segments in place (RFC 3986 5.2.4, but going above the root is
// refused).
char* normalise(char* begin, char* end) {
  char* out = begin;  // what is kept: always begins with '/'
  char* in = begin;
  while (in < end) {
    char* segment = in + 1;  // in points at '/'
    char* stop = segment;
    while (stop < end && *stop != '/') ++stop;
    size_t size = static_cast<size_t>(stop - segment);
    bool last = stop == end;
    if (size == 0 || (size == 1 && segment[0] == '.')) {
      if (last) *out++ = '/';
    } else if (size == 2 && segment[0] == '.' && segment[1] == '.') {
      if (out == begin) return nullptr;
      do --out;
      while (*out != '/');
      if (last) *out++ = '/';
    } else {
      *out++ = '/';
      for (char* p = segment; p < stop; ++p) *out++ = *p;
    }
    in = stop;
  }
  if (out == begin) *out++ = '/';
  return out;
}

}  // namespace

std::optional<std::string_view> canonical_path(Arena& arena, std::string_view path) {
  if (path.empty()) return "/";  // absolute-form without a path (RFC 9112 3.2.2)
  if (path == "*") return path;  // OPTIONS *
  if (path[0] != '/') return std::nullopt;
  switch (look(path)) {
    case Look::canonical: return path;
    case Look::refuse: return std::nullopt;
    case Look::work: break;
  }
  char* begin = static_cast<char*>(arena.allocate(path.size() + 1, 1));
  char* end = decode(path, begin);
  if (!end) return std::nullopt;
  end = normalise(begin, end);
  if (!end) return std::nullopt;
  return std::string_view(begin, static_cast<size_t>(end - begin));
}

}  // namespace penstock::proxy
