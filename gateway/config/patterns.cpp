#include "config/patterns.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <map>

namespace penstock::config {
namespace {

std::unexpected<Complaint> wrong(std::string message, std::string hint = {}) {
  return std::unexpected(Complaint{std::move(message), std::move(hint)});
}

bool is_unreserved(char c) {  // RFC 3986 section 2.3
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("-._~").find(c) != std::string_view::npos;
}

bool is_path_byte(char c) {  // pchar without percent escapes, RFC 3986 section 3.3
  return is_unreserved(c) || std::string_view("!$&'()*+,;=:@").find(c) != std::string_view::npos;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// One literal segment as a canonical request path would hold it.
Parsed<std::string> canonical_segment(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
      if (low < 0) return wrong("has a '%' without two hexadecimal digits");
      const char byte = static_cast<char>(high * 16 + low);
      if (byte == '\0' || byte == '/' || byte == '\\')
        return wrong(fmt::format("holds %{:02X}, which no request path may hold", high * 16 + low));
      if (is_unreserved(byte))
        out += byte;
      else
        out += fmt::format("%{:02X}", high * 16 + low);
      i += 2;
    } else if (is_path_byte(text[i])) {
      out += text[i];
    } else if (text[i] == '{' || text[i] == '}') {
      return wrong(fmt::format("has a brace inside the segment '{}'", text),
                   "a {parameter} is a whole segment");
    } else if (text[i] == '\\' || text[i] == '?' || text[i] == '#') {
      return wrong(fmt::format("holds '{}', which no path holds", text[i]),
                   text[i] == '?' ? "query parameters are matched under query" : "");
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(text[i]));
    }
  }
  if (out == "." || out == "..") return wrong("has a dot segment, which no request path keeps");
  return out;
}

Parsed<PathSegment> parse_segment(std::string_view text) {
  if (text.empty()) return wrong("has an empty segment, which no request path keeps");
  if (text.size() > 2 && text.starts_with('{') && text.ends_with('}')) {
    const std::string_view name = text.substr(1, text.size() - 2);
    for (const char c : name)
      if (!is_unreserved(c) || c == '.' || c == '~')
        return wrong(fmt::format("has the parameter {{{}}}", name),
                     "parameter names hold letters, digits, - and _");
    return PathSegment{name == "version" ? PathSegment::Kind::version : PathSegment::Kind::parameter,
                       std::string(name)};
  }
  auto literal = canonical_segment(text);
  if (!literal) return std::unexpected(literal.error());
  return PathSegment{PathSegment::Kind::literal, std::move(*literal)};
}

// Fills segments, final slash and parameters.
Parsed<PathPattern> parse_segments(std::string_view text) {
  if (!text.starts_with('/')) return wrong("does not begin with '/'", fmt::format("write /{}", text));
  PathPattern pattern;
  pattern.text = std::string(text);
  std::string_view rest = text.substr(1);
  while (!rest.empty()) {
    const size_t slash = rest.find('/');
    auto segment = parse_segment(rest.substr(0, slash));
    if (!segment) return std::unexpected(segment.error());
    if (segment->kind != PathSegment::Kind::literal) {
      if (std::count(pattern.parameters.begin(), pattern.parameters.end(), segment->text) > 0)
        return wrong(fmt::format("has {{{}}} twice", segment->text));
      pattern.parameters.push_back(segment->text);
    }
    pattern.segments.push_back(std::move(*segment));
    if (slash == rest.npos) return pattern;
    rest.remove_prefix(slash + 1);
  }
  if (text.size() > 1) pattern.final_slash = PathPattern::FinalSlash::present;
  return pattern;
}

std::string joined(const PathPattern& pattern) {
  std::string text;
  for (const PathSegment& segment : pattern.segments) text += "/" + segment.text;
  if (text.empty() || pattern.final_slash == PathPattern::FinalSlash::present) text += "/";
  return text;
}

// The text that every match of a regular expression begins with; empty where that is not plain to see.
std::string_view literal_beginning(std::string_view expression) {
  if (expression.find('|') != expression.npos) return {};
  if (expression.starts_with('^')) expression.remove_prefix(1);
  const size_t end = expression.find_first_of(".[](){}*+?^$\\");
  if (end == expression.npos) return expression;
  const bool optional_byte =
      end > 0 && std::string_view("*?{").find(expression[end]) != std::string_view::npos;
  return expression.substr(0, end - (optional_byte ? 1 : 0));
}

// The text that every path of a pattern begins with.
std::string literal_beginning(const PathPattern& pattern) {
  std::string text;
  for (const PathSegment& segment : pattern.segments) {
    if (segment.kind != PathSegment::Kind::literal) return text + "/";
    text += "/" + segment.text;
  }
  return pattern.kind == PathPattern::Kind::exact ? pattern.text : text;
}

bool may_overlap_regex(const PathPattern& regex, const PathPattern& other) {
  if (other.kind == PathPattern::Kind::regex) return true;
  const std::string_view begin = literal_beginning(regex.text);
  const std::string text = literal_beginning(other);
  if (other.kind == PathPattern::Kind::exact) return text.starts_with(begin);
  return text.starts_with(begin) || begin.starts_with(text);
}

bool is_host_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_';
}

}  // namespace

Parsed<HostPattern> parse_host_pattern(std::string_view text) {
  HostPattern pattern;
  if (text.starts_with('[')) {
    if (!text.ends_with(']')) return wrong("has a port or no closing bracket", "match.host holds no port");
    pattern.text = std::string(text);
    return pattern;
  }
  if (text.find(':') != text.npos)
    return wrong("has a port", "match.host holds no port; use listeners: to tell ports apart");
  if (text.ends_with('.')) text.remove_suffix(1);
  if (text.starts_with("*.")) {
    pattern.kind = HostPattern::Kind::wildcard;
    text.remove_prefix(1);
  }
  const std::string_view name = pattern.kind == HostPattern::Kind::wildcard ? text.substr(1) : text;
  if (name.find('*') != name.npos)
    return wrong("has a '*' that is not its first label", "write *.example.com");
  if (name.empty() || name.size() > 253 || name.front() == '.' || name.find("..") != name.npos ||
      !std::all_of(name.begin(), name.end(), is_host_byte))
    return wrong("is no host name");
  for (const char c : text) pattern.text += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return pattern;
}

Parsed<PathPattern> parse_path_pattern(std::string_view text) {
  auto pattern = parse_segments(text);
  if (!pattern) return pattern;
  pattern->kind = pattern->parameters.empty() ? PathPattern::Kind::exact : PathPattern::Kind::templated;
  if (pattern->kind == PathPattern::Kind::exact) pattern->text = joined(*pattern);
  return pattern;
}

Parsed<PathPattern> parse_prefix_pattern(std::string_view text) {
  auto pattern = parse_segments(text);
  if (!pattern) return pattern;
  pattern->kind = PathPattern::Kind::prefix;
  pattern->final_slash = PathPattern::FinalSlash::absent;
  return pattern;
}

Parsed<std::string> parse_written_path(std::string_view text) {
  if (!text.starts_with('/')) return wrong("does not begin with '/'", fmt::format("write /{}", text));
  for (std::string_view rest = text.substr(1); !rest.empty();) {
    const std::string_view segment = rest.substr(0, rest.find('/'));
    if (segment.empty()) return wrong("has an empty segment, which no request path keeps");
    const auto canonical = canonical_segment(segment);
    if (!canonical) return std::unexpected(canonical.error());
    if (*canonical != segment)
      return wrong(fmt::format("has the segment '{}'", segment), fmt::format("write {}", *canonical));
    rest.remove_prefix(std::min(rest.size(), segment.size() + 1));
  }
  return std::string(text);
}

Parsed<PathPattern> parse_regex_pattern(std::string_view text) {
  RE2::Options options;
  options.set_log_errors(false);
  const RE2 expression(std::string(text), options);
  if (!expression.ok()) return wrong(fmt::format("is no regular expression: {}", expression.error()));
  PathPattern pattern;
  pattern.kind = PathPattern::Kind::regex;
  pattern.text = std::string(text);
  for (const auto& [group, name] : expression.CapturingGroupNames()) pattern.parameters.push_back(name);
  return pattern;
}

std::string regex_problem(std::string_view expression) {
  RE2::Options options;
  options.set_log_errors(false);
  const RE2 compiled(std::string(expression), options);
  return compiled.ok() ? std::string() : compiled.error();
}

std::weak_ordering compare_paths(const PathPattern& a, const PathPattern& b) {
  if (a.kind != b.kind) return a.kind <=> b.kind;
  if (a.kind == PathPattern::Kind::regex) return std::weak_ordering::equivalent;
  const size_t common = std::min(a.segments.size(), b.segments.size());
  for (size_t i = 0; i < common; ++i)
    if (a.segments[i].kind != b.segments[i].kind) return a.segments[i].kind <=> b.segments[i].kind;
  return b.segments.size() <=> a.segments.size();
}

std::weak_ordering compare_hosts(const HostPattern& a, const HostPattern& b) {
  if (a.kind != b.kind) return a.kind <=> b.kind;
  if (a.kind == HostPattern::Kind::exact) return std::weak_ordering::equivalent;
  return b.text.size() <=> a.text.size();
}

size_t condition_count(const Match& match) {
  return (match.methods.empty() ? 0 : 1) + match.headers.size() + match.query.size();
}

std::string shape_of(const PathPattern& pattern) {
  if (pattern.kind == PathPattern::Kind::regex) return "~";
  std::string shape = pattern.kind == PathPattern::Kind::prefix ? "prefix:" : "whole:";
  for (const PathSegment& segment : pattern.segments) {
    shape += '/';
    if (segment.kind == PathSegment::Kind::literal)
      shape += segment.text;
    else  // no literal holds a brace
      shape += segment.kind == PathSegment::Kind::version ? "{v}" : "{}";
  }
  if (pattern.final_slash == PathPattern::FinalSlash::present) shape += '/';
  return shape;
}

std::string shape_of(const HostPattern& pattern) {
  return pattern.kind == HostPattern::Kind::wildcard ? "*" + pattern.text : pattern.text;
}

bool may_overlap(const PathPattern& a, const PathPattern& b) {
  using Kind = PathPattern::Kind;
  if (a.kind == Kind::regex) return may_overlap_regex(a, b);
  if (b.kind == Kind::regex) return may_overlap_regex(b, a);
  if (a.kind != Kind::prefix && b.kind != Kind::prefix &&
      (a.segments.size() != b.segments.size() || a.final_slash != b.final_slash))
    return false;
  if (a.kind != Kind::prefix && b.segments.size() > a.segments.size()) return false;
  if (b.kind != Kind::prefix && a.segments.size() > b.segments.size()) return false;
  const size_t common = std::min(a.segments.size(), b.segments.size());
  for (size_t i = 0; i < common; ++i)
    if (a.segments[i].kind == PathSegment::Kind::literal &&
        b.segments[i].kind == PathSegment::Kind::literal && a.segments[i].text != b.segments[i].text)
      return false;
  return true;
}

bool may_overlap(const HostPattern& a, const HostPattern& b) {
  using Kind = HostPattern::Kind;
  if (a.kind == Kind::exact && b.kind == Kind::exact) return a.text == b.text;
  const std::string_view longer = a.text.size() >= b.text.size() ? a.text : b.text;
  const std::string_view shorter = a.text.size() >= b.text.size() ? b.text : a.text;
  const Kind shorter_kind = a.text.size() >= b.text.size() ? b.kind : a.kind;
  return shorter_kind == Kind::wildcard && longer.ends_with(shorter) &&
         (longer.size() > shorter.size() || (a.kind == Kind::wildcard && b.kind == Kind::wildcard));
}

}  // namespace penstock::config
