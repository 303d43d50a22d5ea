// This program once more, as a child that runs a plugin's code and may crash, hang or leave on the way. It
// says what it is about to do, one line each, and at last the report. Main thread of a process with one
// thread.
#pragma once
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::server {

inline constexpr std::string_view child_step = "step ";     // before "while it was loaded"
inline constexpr std::string_view child_report = "report";  // the line before the report

struct ChildReport {
  std::string problem;  // empty: it came to its end; else what became of it, in one sentence
  std::string text;     // the report
  int exit_code = 0;
};

// Back when the child is gone. One that takes longer than `patience` for a step is ended, with all that it
// started.
ChildReport run_child(const std::vector<std::string>& words, std::chrono::milliseconds patience);

}  // namespace penstock::server
