#include "redaction.h"

#include <algorithm>

namespace logging {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

std::string lowered(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char l = lower(c);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

// The percent-decoded text equals the name.
bool decodes_to(std::string_view text, std::string_view name) {
  size_t i = 0, n = 0;
  while (i < text.size() && n < name.size()) {
    char c = text[i];
    size_t used = 1;
    if (c == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0) {
      c = static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
      used = 3;
    }
    if (c != name[n++]) return false;
    i += used;
  }
  return i == text.size() && n == name.size();
}

}  // namespace

Redaction::Redaction(const std::vector<std::string>& headers, std::vector<std::string> query)
    : headers_{"authorization", "cookie", "set-cookie", "proxy-authorization", "x-api-key"},
      query_(std::move(query)) {
  for (const std::string& header : headers) headers_.push_back(lowered(header));
}

bool Redaction::hides_header(std::string_view name) const {
  return std::find(headers_.begin(), headers_.end(), lowered(name)) != headers_.end();
}

bool Redaction::hides_query(std::string_view name) const {
  return std::any_of(query_.begin(), query_.end(),
                     [&](const std::string& hidden) { return decodes_to(name, hidden); });
}

bool Redaction::hides_attribute(std::string_view name) const {
  if (name.starts_with("header.")) return hides_header(name.substr(7));
  if (name.starts_with("query.")) return hides_query(name.substr(6));
  return name.starts_with("cookie.");
}

}  // namespace logging
