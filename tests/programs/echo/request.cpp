#include "echo/request.h"

#include <algorithm>
#include <charconv>

namespace echo {
namespace {
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::optional<std::string_view> query_value(std::string_view query, std::string_view key) {
  while (!query.empty()) {
    auto part = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), part.size() + 1));
    auto name = part.substr(0, part.find('='));
    if (name == key) return part.substr(std::min(part.size(), name.size() + 1));
  }
  return std::nullopt;
}
}  // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

bool contains_token(std::string_view list, std::string_view token) {
  while (!list.empty()) {
    auto part = list.substr(0, list.find(','));
    list.remove_prefix(std::min(list.size(), part.size() + 1));
    if (equal_ignoring_case(trim(part), token)) return true;
  }
  return false;
}

uint64_t parse_number(std::string_view text, uint64_t fallback, int base) {
  uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return error == std::errc() && end != text.data() ? value : fallback;
}

std::string_view Request::header(std::string_view name) const {
  for (const auto& field : headers)
    if (equal_ignoring_case(field.name, name)) return field.value;
  return {};
}

uint64_t Request::number(std::string_view key, uint64_t fallback) const {
  auto value = query_value(query, key);
  return value ? parse_number(*value, fallback) : fallback;
}

bool Request::flag(std::string_view key) const { return query_value(query, key).has_value(); }

bool Request::keep_alive() const {
  auto connection = header("connection");
  if (contains_token(connection, "close")) return false;
  return minor_version > 0 || contains_token(connection, "keep-alive");
}

std::optional<size_t> head_length(std::string_view input) {
  auto end = input.find("\r\n\r\n");
  if (end == std::string_view::npos) return std::nullopt;
  return end + 4;
}

bool parse_head(std::string_view head, Request& request) {
  auto line = head.substr(0, head.find("\r\n"));
  auto first = line.find(' '), last = line.rfind(' ');
  if (first == std::string_view::npos || last == first) return false;
  request.method = line.substr(0, first);
  request.target = line.substr(first + 1, last - first - 1);
  request.minor_version = line.ends_with("HTTP/1.0") ? 0 : 1;
  auto mark = request.target.find('?');
  request.path = request.target.substr(0, mark);
  request.query = mark == std::string_view::npos ? std::string_view() : request.target.substr(mark + 1);
  request.headers.clear();
  for (size_t at = line.size() + 2; at < head.size();) {
    auto field = head.substr(at, head.find("\r\n", at) - at);
    at += field.size() + 2;
    if (auto colon = field.find(':'); colon != std::string_view::npos)
      request.headers.push_back({field.substr(0, colon), trim(field.substr(colon + 1))});
  }
  return true;
}

}  // namespace echo
