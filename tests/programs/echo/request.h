// The head of one HTTP/1.x request as views into the connection's input buffer: valid until that buffer
// is consumed or grows. Lenient on purpose: it shows what a gateway sent, it does not judge it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace echo {

struct Header {
  std::string_view name, value;
};

struct Request {
  std::string_view method, target, path, query;
  int minor_version = 1;
  std::vector<Header> headers;

  // The first field of that name in any case, or empty.
  std::string_view header(std::string_view name) const;
  // A number in the query (`?ms=20`), or the fallback.
  uint64_t number(std::string_view key, uint64_t fallback) const;
  bool flag(std::string_view key) const;
  bool keep_alive() const;
};

// Length of the head with its final empty line, when `input` holds all of it.
std::optional<size_t> head_length(std::string_view input);
// Fills `request` from a whole head; false when the request line is none.
bool parse_head(std::string_view head, Request& request);

bool equal_ignoring_case(std::string_view a, std::string_view b);
bool contains_token(std::string_view list, std::string_view token);
uint64_t parse_number(std::string_view text, uint64_t fallback, int base = 10);

}  // namespace echo
