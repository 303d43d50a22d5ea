// What an answer's head says: enough to count its body.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

namespace load {

struct Answer {
  size_t head = 0;    // bytes up to and with the blank line; 0: not all of it is here
  uint64_t body = 0;  // bytes that follow
  bool good = false;  // 200 with a length
};

inline Answer parse(std::string_view text) {
  Answer answer;
  const size_t end = text.find("\r\n\r\n");
  if (end == text.npos) return answer;
  answer.head = end + 4;
  constexpr std::string_view name = "\r\ncontent-length: ";
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; };
  const auto at = std::ranges::search(text.substr(0, end), name, same);
  if (!text.starts_with("HTTP/1.1 200 ") || at.empty()) return answer;
  answer.good = std::from_chars(at.end(), text.data() + end, answer.body).ec == std::errc();
  return answer;
}

}  // namespace load
