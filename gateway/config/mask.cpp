// Quoted source lines without their secrets.
#include <algorithm>
#include <utility>
#include <vector>

#include "config/render.h"

namespace penstock::config {
namespace {

constexpr std::string_view mask = "***";
using Range = std::pair<size_t, size_t>;  // bytes [first, second) of a line

// The part of `line` (number `number`) that a span covers; empty where it does not reach.
Range covered(const SecretSpan& span, uint32_t number, std::string_view line) {
  const Position& from = span.from;
  if (number < from.line || (span.until.known() && number > span.until.line)) return {0, 0};
  if (span.length != 0)
    return number == from.line ? Range{from.column - 1, from.column - 1 + span.length} : Range{0, 0};
  const size_t begin = number == from.line ? from.column - 1 : line.find_first_not_of(" \t");
  const bool last = span.until.known() && number == span.until.line;
  const size_t end = last ? span.until.column - 1 : line.size();
  return begin < end ? Range{begin, end} : Range{0, 0};
}

std::vector<Range> by_span(const Sources& sources, uint32_t file, uint32_t number, std::string_view line) {
  std::vector<Range> ranges;
  for (const SecretSpan& span : sources.secrets) {
    if (span.from.file != file) continue;
    Range range = covered(span, number, line);
    range.second = std::min(range.second, line.size());
    if (range.first < range.second) ranges.push_back(range);
  }
  return ranges;
}

size_t indent_of(std::string_view line) { return std::min(line.find_first_not_of(" \t-"), line.size()); }

// Where the value of a secret's key begins in a line, or npos.
size_t secret_value(std::string_view line) {
  size_t first = line.npos;
  const auto look_for = [&](std::string_view key) {
    for (size_t at = line.find(key); at != line.npos; at = line.find(key, at + 1)) {
      if (at > 0 && (std::isalnum(static_cast<unsigned char>(line[at - 1])) != 0 || line[at - 1] == '_'))
        continue;
      const size_t colon = line.find_first_not_of("\"' \t", at + key.size());
      if (colon != line.npos && line[colon] == ':') first = std::min(first, colon + 1);
    }
  };
  look_for(credentials_key);
  for (const std::string_view key : secret_keys) look_for(key);
  return first;
}

// After a syntax error there is no tree: the rest of a line with a secret's key, and every line that is
// indented below one.
std::vector<Range> by_text(const Sources& sources, uint32_t file, uint32_t number, std::string_view line) {
  const size_t value = secret_value(line);
  if (value != line.npos) return {{value, line.size()}};
  size_t indent = indent_of(line);
  for (uint32_t above = number; above > 1 && indent > 0;) {
    const std::string_view text = sources.line(file, --above);
    const size_t here = indent_of(text);
    if (here >= text.size() || here >= indent) continue;
    if (secret_value(text) != text.npos) return {{indent_of(line), line.size()}};
    indent = here;
  }
  return {};
}

}  // namespace

MaskedLine masked_line(const Sources& sources, uint32_t file, uint32_t number, uint32_t column) {
  const std::string_view line = sources.line(file, number);
  std::vector<Range> ranges = sources.masking == Masking::by_span ? by_span(sources, file, number, line)
                                                                  : by_text(sources, file, number, line);
  std::sort(ranges.begin(), ranges.end());
  MaskedLine result;
  const size_t wanted = column == 0 ? 0 : column - 1;
  size_t at = 0;
  bool placed = false;
  const auto place = [&](size_t position) {
    if (!placed) result.column = position + 1;
    placed = true;
  };
  for (const auto& [begin, end] : ranges) {
    if (end <= at) continue;
    const size_t from = std::max(begin, at);
    if (wanted < from) place(result.text.size() + wanted - at);
    result.text.append(line.substr(at, from - at));
    if (wanted < end) place(result.text.size());
    result.text += mask;
    at = end;
  }
  if (!placed) place(result.text.size() + (std::max(wanted, at) - at));
  result.text.append(line.substr(at));
  return result;
}

}  // namespace penstock::config
