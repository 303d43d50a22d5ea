// What is wrong with a configuration, and where. Reader, validation and the plugin layer add to one
// collector, one renderer prints them (render.h). Control thread only; knows nothing of YAML or of output
// formats.
#pragma once
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "config/node.h"

namespace penstock::config {

// A note is nothing wrong: what somebody who reads the configuration should know.
enum class Severity : uint8_t { error, warning, note };
std::string_view name(Severity severity);

struct Diagnostic {
  Severity severity = Severity::error;
  std::string code;          // stable, such as "unknown-key"
  Position at;               // line 0: the configuration as a whole
  std::string path;          // such as "plugins.per-ip.limits[0]"; may be empty
  std::string message;       // one line, no secrets
  std::string hint;          // such as "did you mean 'limits'?"; may be empty
  Position related;          // the second place, line 0 without one
  std::string related_note;  // what stands there, such as "first defined at"
};

// Collects, in the order found. The same code at the same place is kept once: a wrong default that is merged
// into a hundred routes is one mistake.
class Diagnostics {
 public:
  // The reference is for filling in hint and related place; valid until the next add.
  Diagnostic& error(std::string_view code, Position at, std::string path, std::string message);
  Diagnostic& warning(std::string_view code, Position at, std::string path, std::string message);
  Diagnostic& note(std::string_view code, Position at, std::string path, std::string message);

  void append(Diagnostics other);

  const std::vector<Diagnostic>& all() const { return items_; }
  size_t errors() const;
  size_t warnings() const;
  bool ok() const { return errors() == 0; }

  // By file, line and column; those without a place last.
  void sort();

 private:
  size_t count(Severity severity) const;
  Diagnostic& add(Severity severity, std::string_view code, Position at, std::string path,
                  std::string message);

  std::vector<Diagnostic> items_;
  std::set<std::tuple<uint32_t, uint32_t, uint32_t, std::string>> seen_;
  Diagnostic repeated_;  // takes what is said about a repeated one
};

}  // namespace penstock::config
