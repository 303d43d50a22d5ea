#include "version_number.h"

namespace api_version {
namespace {

bool digit(char c) { return c >= '0' && c <= '9'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

std::string_view trim(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

bool equals_ignoring_case(std::string_view a, std::string_view lower_b) {
  if (a.size() != lower_b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower_b[i]) return false;
  }
  return true;
}

// Up to the next `mark` outside a quoted string; the rest follows behind it.
std::string_view take_until(std::string_view& text, char mark) {
  bool quoted = false;
  size_t i = 0;
  for (; i < text.size(); ++i) {
    if (quoted && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      quoted = !quoted;
    } else if (!quoted && text[i] == mark) {
      break;
    }
  }
  i = i < text.size() ? i : text.size();
  const std::string_view piece = text.substr(0, i);
  text.remove_prefix(i < text.size() ? i + 1 : i);
  return trim(piece);
}

std::string_view unquote(std::string_view s) {
  return s.size() >= 2 && s.front() == '"' && s.back() == '"' ? s.substr(1, s.size() - 2) : s;
}

// application/vnd.orders.v2.1+json -> v2.1
std::string_view version_in_subtype(std::string_view type) {
  const size_t slash = type.find('/');
  if (slash == std::string_view::npos) return {};
  std::string_view subtype = type.substr(slash + 1);
  if (subtype.size() < 4 || !equals_ignoring_case(subtype.substr(0, 4), "vnd.")) return {};
  subtype = subtype.substr(0, subtype.find('+'));
  for (size_t dot = subtype.find('.'); dot != std::string_view::npos; dot = subtype.find('.', dot + 1)) {
    const std::string_view rest = subtype.substr(dot + 1);
    if (rest.size() >= 2 && rest.front() == 'v' && parse_version(rest)) return rest;
  }
  return {};
}

std::string_view version_in_range(std::string_view range) {
  const std::string_view type = take_until(range, ';');
  while (!range.empty()) {
    std::string_view parameter = take_until(range, ';');
    const std::string_view name = take_until(parameter, '=');
    if (!equals_ignoring_case(name, "version") && !equals_ignoring_case(name, "v")) continue;
    const std::string_view value = unquote(trim(parameter));
    if (!value.empty()) return value;
  }
  return version_in_subtype(type);
}

}  // namespace

std::optional<VersionNumber> parse_version(std::string_view text) {
  if (!text.empty() && text.front() == 'v') text.remove_prefix(1);
  VersionNumber out;
  size_t i = 0;
  while (true) {
    if (i == text.size() || !digit(text[i]) || out.count == VersionNumber::max_parts) return std::nullopt;
    uint64_t number = 0;
    for (; i < text.size() && digit(text[i]); ++i) {
      number = number * 10 + static_cast<uint64_t>(text[i] - '0');
      if (number > UINT32_MAX) return std::nullopt;
    }
    out.parts[out.count++] = static_cast<uint32_t>(number);
    if (i == text.size()) break;
    if (text[i++] != '.') return std::nullopt;
  }
  while (out.count > 1 && out.parts[out.count - 1] == 0) --out.count;
  return out;
}

int compare(const VersionNumber& a, const VersionNumber& b) {
  const uint8_t count = a.count > b.count ? a.count : b.count;
  for (uint8_t i = 0; i < count; ++i) {
    if (a.parts[i] != b.parts[i]) return a.parts[i] < b.parts[i] ? -1 : 1;
  }
  return 0;
}

std::string_view version_in_accept(std::string_view field) {
  while (!field.empty()) {
    const std::string_view found = version_in_range(take_until(field, ','));
    if (!found.empty()) return found;
  }
  return {};
}

}  // namespace api_version
