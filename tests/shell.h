// Runs a command line of a test to its end.
#pragma once
#include <array>
#include <cstdio>
#include <string>

struct Said {
  std::string text;  // both outputs
  bool good;         // exit code 0
};

inline Said said_by(const std::string& command) {
  Said said{{}, false};
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return said;
  std::array<char, 4096> buffer;
  for (size_t n; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    said.text.append(buffer.data(), n);
  said.good = ::pclose(pipe) == 0;
  return said;
}
