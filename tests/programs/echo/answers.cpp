#include "echo/answers.h"

#include <algorithm>
#include <array>
#include <map>

#include "echo/websocket.h"

namespace echo {
namespace {
constexpr uint64_t largest_shared_body = 128 * 1024;  // up to here an answer is made once and kept

void append_json(std::string& out, std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  out += '"';
  for (unsigned char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c < 0x20 || c >= 0x7f) {
      out += "\\u00";
      out += digits[c >> 4];
      out += digits[c & 15];
    } else {
      out += static_cast<char>(c);
    }
  }
  out += '"';
}

void append_headers(std::string& out, const Request& request) {
  std::map<std::string, std::string> merged;
  for (const auto& field : request.headers) {
    std::string name(field.name);
    std::ranges::transform(name, name.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    auto [at, inserted] = merged.try_emplace(std::move(name), field.value);
    if (!inserted) at->second.append(", ").append(field.value);
  }
  bool first = true;
  for (const auto& [name, value] : merged) {
    if (!first) out += ',';
    first = false;
    append_json(out, name);
    out += ':';
    append_json(out, value);
  }
}

std::string report(const Request& request, const BodySeen& body, const Origin& origin) {
  std::string out = "{\"instance\":";
  append_json(out, origin.instance);
  out += ",\"method\":";
  append_json(out, request.method);
  out += ",\"target\":";
  append_json(out, request.target);
  out += ",\"version\":\"1." + std::to_string(request.minor_version) + "\",\"headers\":{";
  append_headers(out, request);
  out += "},\"body_length\":" + std::to_string(body.length) + ",\"body\":";
  append_json(out, body.start);
  out += ",\"connection\":" + std::to_string(origin.connection);
  out += ",\"request\":" + std::to_string(origin.request) + "}\n";
  return out;
}

std::string_view phrase(uint64_t status) {
  switch (status) {
    case 200: return "OK";
    case 204: return "No Content";
    case 304: return "Not Modified";
    case 404: return "Not Found";
    case 503: return "Service Unavailable";
    default: return "Status";
  }
}

std::string head(uint64_t status, std::string_view type, const Origin& origin) {
  std::string out = "HTTP/1.1 " + std::to_string(status) + " ";
  out.append(phrase(status)).append("\r\nx-backend: ").append(origin.instance);
  if (!type.empty()) out.append("\r\ncontent-type: ").append(type);
  return out += "\r\n";
}

std::string with_length(std::string head, uint64_t length) {
  return std::move(head) + "content-length: " + std::to_string(length) + "\r\n\r\n";
}

Step whole(const Request& request, const Origin& origin, uint64_t status, std::string_view type,
           std::string_view body) {
  bool bodiless = status < 200 || status == 204 || status == 304;
  Step step{.text = bodiless ? head(status, {}, origin) + "\r\n"
                             : with_length(head(status, type, origin), body.size())};
  if (!bodiless && request.method != "HEAD") step.text += body;
  return step;
}

// /bytes/N: N filler bytes by length, small ones from an answer made once.
Step bytes(const Request& request, const Origin& origin, uint64_t length) {
  constexpr std::string_view type = "application/octet-stream";
  if (request.method == "HEAD" || length > largest_shared_body)
    return {.text = with_length(head(200, type, origin), length),
            .fill = request.method == "HEAD" ? 0 : length};
  static std::map<uint64_t, std::string> made;
  auto [at, inserted] = made.try_emplace(length);
  if (inserted) {
    at->second = with_length(head(200, type, origin), length);
    for (uint64_t i = 0; i < length; ++i) at->second += filler_at(i);
  }
  return {.shared = &at->second};
}

// /chunked/N: N filler bytes chunked; an HTTP/1.0 peer gets them until the connection closes.
Step chunked(const Request& request, const Origin& origin, uint64_t length) {
  Step step{.text = head(200, "application/octet-stream", origin), .fill = length};
  if (request.minor_version == 0) {
    step.text += "connection: close\r\n\r\n";
    step.after = After::close;
  } else {
    step.text += "transfer-encoding: chunked\r\n\r\n";
    step.framing = Framing::chunked;
  }
  if (request.method == "HEAD") step.fill = 0, step.framing = Framing::plain;
  return step;
}

// /sse and /drip: `n` pieces, `ms` apart, chunked.
void pieces(const Request& request, const Origin& origin, bool events, std::deque<Step>& steps) {
  auto count = request.number("n", 3);
  int apart = static_cast<int>(request.number("ms", events ? 50 : 10));
  steps.push_back({.text = head(200, events ? "text/event-stream" : "text/plain", origin) +
                           "cache-control: no-store\r\ntransfer-encoding: chunked\r\n\r\n"});
  if (request.method == "HEAD") return;
  constexpr std::array<char, 16> hex{'0', '1', '2', '3', '4', '5', '6', '7',
                                     '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'};
  for (uint64_t i = 1; i <= count; ++i) {
    std::string piece = events ? "id: " + std::to_string(i) + "\ndata: event " + std::to_string(i) + "\n\n"
                               : "piece " + std::to_string(i) + "\n";
    std::string size{hex[piece.size() >> 4 & 15], hex[piece.size() & 15]};
    steps.push_back({.delay_ms = apart, .text = size + "\r\n" + piece + "\r\n"});
  }
  steps.push_back({.text = "0\r\n\r\n"});
}

// /reset: the connection is reset; ?at=N says after how many body bytes of 1,000, ?head before any byte.
void reset(const Request& request, const Origin& origin, std::deque<Step>& steps) {
  Step step{.after = After::reset};
  if (!request.flag("head")) {
    step.text = with_length(head(200, "text/plain", origin), 1000);
    if (request.method != "HEAD") step.fill = std::min<uint64_t>(request.number("at", 10), 999);
  }
  steps.push_back(std::move(step));
}

bool number_after(std::string_view path, std::string_view prefix, uint64_t& number) {
  if (!path.starts_with(prefix)) return false;
  number = parse_number(path.substr(prefix.size()), 0);
  return true;
}

void upgrade(const Request& request, const Origin& origin, std::deque<Step>& steps) {
  auto key = request.header("sec-websocket-key");
  if (key.empty()) {
    steps.push_back(whole(request, origin, 400, "text/plain", "no sec-websocket-key\n"));
    return;
  }
  std::string text = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n";
  text.append("x-backend: ").append(origin.instance);
  text += "\r\nsec-websocket-accept: " + websocket_accept(key) + "\r\n\r\n";
  steps.push_back({.text = std::move(text)});
}
}  // namespace

bool answers_at_head(const Request& request) { return request.path == "/echo" || request.flag("now"); }

std::string echo_head(const Request& request, const Origin& origin) {
  auto type = request.header("content-type");
  auto out = head(200, type.empty() ? "application/octet-stream" : type, origin);
  if (!request.header("transfer-encoding").empty()) return out + "transfer-encoding: chunked\r\n\r\n";
  return with_length(std::move(out), parse_number(request.header("content-length"), 0));
}

void answer(const Request& request, const BodySeen& body, const Origin& origin, std::deque<Step>& steps) {
  uint64_t n = 0;
  auto path = request.path;
  if (is_websocket(request)) {
    upgrade(request, origin, steps);
  } else if (number_after(path, "/bytes/", n)) {
    steps.push_back(bytes(request, origin, n));
  } else if (number_after(path, "/chunked/", n)) {
    steps.push_back(chunked(request, origin, n));
  } else if (number_after(path, "/status/", n)) {
    steps.push_back(whole(request, origin, std::clamp<uint64_t>(n, 200, 599), "text/plain", "status\n"));
  } else if (path == "/sse" || path == "/drip") {
    pieces(request, origin, path == "/sse", steps);
  } else if (path == "/reset") {
    reset(request, origin, steps);
  } else if (path == "/garbage") {
    steps.push_back({.text = "this is no HTTP\r\n\r\n", .after = After::close});
  } else if (path == "/hang") {
    steps.push_back({.delay_ms = 24 * 3600 * 1000, .after = After::close});
  } else if (path == "/close") {
    steps.push_back({.text = head(200, "text/plain", origin) + "connection: close\r\n\r\n" +
                             (request.method == "HEAD" ? "" : "until the end\n"),
                     .after = After::close});
  } else if (path == "/trailers") {
    steps.push_back({.text = head(200, "text/plain", origin) +
                             "trailer: x-checksum\r\ntransfer-encoding: chunked\r\n\r\n"});
    if (request.method != "HEAD") steps.back().text += "5\r\nhello\r\n0\r\nx-checksum: 5d41402a\r\n\r\n";
  } else {
    if (path == "/early")
      steps.push_back({.text = "HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n"});
    auto step = whole(request, origin, 200, "application/json", report(request, body, origin));
    if (path == "/slow") step.delay_ms = static_cast<int>(request.number("ms", 100));
    steps.push_back(std::move(step));
  }
}

}  // namespace echo
