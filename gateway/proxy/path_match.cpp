#include "proxy/path_match.h"

namespace penstock::proxy {
namespace {
using config::PathPattern;
using config::PathSegment;

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool matches(const PathSegment& segment, std::string_view text) {
  switch (segment.kind) {
    case PathSegment::Kind::literal: return segment.text == text;
    case PathSegment::Kind::version: return version_segment(text);
    case PathSegment::Kind::parameter: return !text.empty();
  }
  return false;
}

}  // namespace

bool version_segment(std::string_view segment) {
  if (segment.starts_with('v')) segment.remove_prefix(1);
  bool digit = false;
  for (char c : segment) {
    if (c >= '0' && c <= '9') {
      digit = true;
    } else {
      if (c != '.' || !digit) return false;
      digit = false;
    }
  }
  return digit;
}

bool match_path(const PathPattern& pattern, std::string_view path, PathMatch* out) {
  if (pattern.kind == PathPattern::Kind::regex) return false;
  if (!path.starts_with('/')) return pattern.every_target;
  size_t at = 0, parameter = 0;  // path[at] is '/' or the end
  for (const PathSegment& segment : pattern.segments) {
    if (at >= path.size()) return false;
    size_t begin = at + 1;
    size_t end = path.find('/', begin);
    if (end == std::string_view::npos) end = path.size();
    std::string_view text = path.substr(begin, end - begin);
    if (!matches(segment, text)) return false;
    if (out && segment.kind != PathSegment::Kind::literal && parameter < out->parameters.size())
      out->parameters[parameter++] = {segment.text, text};
    at = end;
  }
  if (pattern.kind != PathPattern::Kind::prefix) {
    bool final_slash = pattern.final_slash == PathPattern::FinalSlash::present;
    std::string_view rest = path.substr(at);
    if (rest != (final_slash ? "/" : "")) return false;
    at = path.size();
  }
  if (out) out->matched = static_cast<uint32_t>(at);
  return true;
}

std::string_view percent_decode(Arena& arena, std::string_view text) {
  if (text.find('%') == std::string_view::npos) return text.data() ? text : std::string_view{"", 0};
  char* out = static_cast<char*>(arena.allocate(text.size(), 1));
  size_t size = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    int high = text[i] == '%' && i + 2 < text.size() ? hex(text[i + 1]) : -1;
    int low = high >= 0 ? hex(text[i + 2]) : -1;
    if (low >= 0) {
      out[size++] = static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out[size++] = text[i];
    }
  }
  return {out, size};
}

}  // namespace penstock::proxy
