// What the backend answers: every answer is a short list of steps (wait, write text, write filler bytes,
// then keep, close or reset the connection), which the connection plays. main.cpp lists the paths.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "echo/request.h"

namespace echo {

enum class Framing { plain, chunked };
enum class After { keep, close, reset };

struct Step {
  int delay_ms = 0;
  std::string text;
  const std::string* shared = nullptr;  // written before `text`; lives as long as the process
  uint64_t fill = 0;                    // bytes of the filler pattern after `text`
  Framing framing = Framing::plain;     // of the filler; a chunked one ends with the last chunk
  After after = After::keep;
};

struct BodySeen {
  uint64_t length = 0;
  std::string start;  // its first KiB
};

struct Origin {
  std::string_view instance;
  uint64_t connection = 0, request = 0;
};

// True for the paths whose answer begins before the request's body is read (`?now` does it for any).
bool answers_at_head(const Request& request);
// Pushes the steps of the whole answer, but for /echo, whose body the connection copies.
void answer(const Request& request, const BodySeen& body, const Origin& origin, std::deque<Step>& steps);
// The head for /echo: framed as the request is.
std::string echo_head(const Request& request, const Origin& origin);

// The byte at position `at` of every filler body; its period is 64.
constexpr char filler_at(uint64_t at) {
  return "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-\n"[at % 64];
}

}  // namespace echo
