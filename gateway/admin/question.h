// A question of explain, taken apart: which listener it comes by and the bytes that a client would send.
#pragma once
#include <expected>
#include <string>

#include "admin/explain.h"

namespace penstock::admin {

struct ParsedUrl {
  std::string scheme;     // "http" | "https"
  std::string authority;  // host[:port] as written
  std::string host;       // lower case, without port and brackets kept
  uint16_t port = 0;      // the scheme's own unless written
  std::string target;     // path?query, at least "/"
};

std::expected<ParsedUrl, std::string> parse_url(const std::string& url);

// The listener whose scheme and port the URL names, else the first of that scheme; null: there is none.
const proxy::ListenerInfo* listener_for(const proxy::Snapshot& snapshot, const ParsedUrl& url);

// The request as HTTP/1.1 bytes, or what cannot be sent.
std::expected<std::string, std::string> request_bytes(const Question& question, const ParsedUrl& url);

}  // namespace penstock::admin
