#include "admin/question.h"

#include <algorithm>
#include <charconv>

namespace penstock::admin {
namespace {

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  return text;
}

// What would let one header or word become two.
bool breaks_line(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos;
}

}  // namespace

std::expected<ParsedUrl, std::string> parse_url(const std::string& text) {
  ParsedUrl url;
  size_t mark = text.find("://");
  url.scheme = lower(text.substr(0, mark == std::string::npos ? 0 : mark));
  if (url.scheme != "http" && url.scheme != "https")
    return std::unexpected("'" + text + "' is no URL that begins with http:// or https://");
  std::string rest = text.substr(mark + 3);
  rest.resize(std::min(rest.find('#'), rest.size()));
  size_t end = rest.find_first_of("/?");
  url.authority = rest.substr(0, end);
  url.target = end == std::string::npos ? "/" : rest.substr(end);
  if (url.target.starts_with('?')) url.target.insert(0, "/");
  if (size_t user = url.authority.rfind('@'); user != std::string::npos) url.authority.erase(0, user + 1);
  url.host = lower(url.authority);
  url.port = url.scheme == "https" ? 443 : 80;
  size_t colon = url.host.rfind(':');
  bool in_brackets = colon != std::string::npos && url.host.find(']', colon) != std::string::npos;
  if (colon != std::string::npos && !in_brackets) {
    const char* first = url.host.data() + colon + 1;
    const char* last = url.host.data() + url.host.size();
    auto [stop, error] = std::from_chars(first, last, url.port);
    if (error != std::errc{} || stop != last || url.port == 0)
      return std::unexpected("'" + text + "' has a port that is none");
    url.host.resize(colon);
  }
  if (url.host.empty()) return std::unexpected("'" + text + "' names no host");
  return url;
}

const proxy::ListenerInfo* listener_for(const proxy::Snapshot& snapshot, const ParsedUrl& url) {
  const proxy::ListenerInfo* first = nullptr;
  for (const auto& listener : snapshot.listeners) {
    if (listener->scheme != url.scheme) continue;
    if (listener->address.port() == url.port) return listener.get();
    if (!first) first = listener.get();
  }
  return first;
}

std::expected<std::string, std::string> request_bytes(const Question& question, const ParsedUrl& url) {
  bool bad = breaks_line(question.method) || breaks_line(url.target) || breaks_line(url.authority) ||
             std::ranges::any_of(question.headers, [](const auto& header) {
               return breaks_line(header.first) || breaks_line(header.second);
             });
  if (bad) return std::unexpected("a line break or a zero byte can be in no method, URL or header");
  std::string host = url.authority;
  std::string fields;
  for (const auto& [name, value] : question.headers) {
    if (lower(name) == "host")
      host = value;
    else
      fields += name + ": " + value + "\r\n";
  }
  return question.method + " " + url.target + " HTTP/1.1\r\nhost: " + host + "\r\n" + fields + "\r\n";
}

}  // namespace penstock::admin
