// How long a test waits for an event before it fails: long enough for a sanitizer build on a busy machine,
// and never waited out when all is well.
#pragma once
#include <chrono>
#include <stdexcept>
#include <string>

namespace e2e {

using Clock = std::chrono::steady_clock;
inline constexpr std::chrono::seconds patience{30};

// What a test cannot go on without did not happen; fails the test case with a sentence.
struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline int left_ms(Clock::time_point until) {
  auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
  return left > 0 ? static_cast<int>(left) : 0;
}

}  // namespace e2e
