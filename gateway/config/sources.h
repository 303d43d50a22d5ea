// The text of the configuration files: read once, bounded, kept for quoting lines in diagnostics. Also where
// secrets stand in it, so that no quoted line shows one. Control thread only; knows nothing of YAML.
#pragma once
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "config/diagnostic.h"
#include "config/node.h"

namespace penstock::config {

struct SourceFile {
  std::string name;       // as messages show it
  std::string directory;  // what paths in it are relative to; empty: the working directory
  std::string text;       // without byte order mark, lines end with LF
};

// A secret scalar: `length` bytes from `from`; with length 0 all from there up to `until`, which may be lines
// later (or unknown: the end of the file).
struct SecretSpan {
  Position from;
  uint32_t length = 0;
  Position until;
};

// Whether quoted lines are masked by the known spans, or, as nothing is known after a syntax error, by the
// look of the text.
enum class Masking : uint8_t { by_span, by_text };

// So that a word goes before the ones that are parts of it.
struct LongestFirst {
  bool operator()(const std::string& a, const std::string& b) const {
    return a.size() != b.size() ? a.size() > b.size() : a < b;
  }
};

class Sources {
 public:
  // A file, or a folder's *.yaml without those whose name begins with a dot, in order of name. What cannot be
  // read is reported.
  void read(const std::string& path, Diagnostics& diagnostics);

  // One more file from memory.
  uint32_t add(std::string name, std::string text, Diagnostics& diagnostics);

  const std::vector<SourceFile>& files() const { return files_; }

  // Line `number` (from 1) without its end; empty beyond the last.
  std::string_view line(uint32_t file, uint32_t number) const;

  // A path written in `file`, resolved.
  std::string resolve(uint32_t file, std::string_view path) const;

  std::vector<SecretSpan> secrets;
  // What ${...} stood for and names that stand in a secret's place: no message shows them.
  std::set<std::string, LongestFirst> hidden;
  Masking masking = Masking::by_span;

 private:
  void read_file(const std::string& path, Diagnostics& diagnostics);

  std::vector<SourceFile> files_;
  std::vector<std::vector<size_t>> line_starts_;  // by file
  size_t total_bytes_ = 0;
};

// The whole of a small file (a secret, at most `limit` bytes), or what went wrong in words.
struct FileText {
  std::string text;
  std::string problem;  // empty: read
};
FileText read_text_file(const std::string& path, size_t limit);

}  // namespace penstock::config
