// Quoted source lines without their secrets.
#include <algorithm>
#include <cctype>
#include <utility>
#include <vector>

#include "config/render.h"
#include "config/wording.h"

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

bool is_word_byte(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// Where the value of a secret's key begins in a line, or npos.
size_t secret_value(std::string_view line) {
  for (size_t colon = line.find(':'); colon != line.npos; colon = line.find(':', colon + 1)) {
    size_t end = colon;
    while (end > 0 && std::string_view("\"' \t").find(line[end - 1]) != std::string_view::npos) --end;
    size_t begin = end;
    while (begin > 0 && is_word_byte(line[begin - 1])) --begin;
    const std::string_view word = line.substr(begin, end - begin);
    if (word == credentials_key || !secret_word(word).empty()) return colon + 1;
  }
  return line.npos;
}

// Follows a value over the lines until its brackets and quotes are closed. As the text is wrong somewhere,
// brackets are counted with those in quotes and without: both counts must come out even.
class OpenValue {
 public:
  bool open() const { return quote_ != 0 || all_ > 0 || unquoted_ > 0; }

  void begin(std::string_view rest) {
    *this = OpenValue();
    take(rest);
  }

  void take(std::string_view text) {
    for (size_t i = 0; i < text.size(); ++i) {
      const char c = text[i];
      const int step = c == '[' || c == '{' ? 1 : c == ']' || c == '}' ? -1 : 0;
      all_ += step;
      if (quote_ == 0) {
        unquoted_ += step;
        const bool first = i == 0 || std::string_view(" \t[{,:").find(text[i - 1]) != std::string_view::npos;
        if (first && (c == '"' || c == '\'')) quote_ = c;
      } else if (quote_ == '"' && c == '\\') {
        ++i;
      } else if (c == quote_) {
        quote_ = 0;
      }
    }
  }

 private:
  int all_ = 0;
  int unquoted_ = 0;
  char quote_ = 0;
};

// Whether the value of a secret's key in a line above is still open.
bool inside_value(const Sources& sources, uint32_t file, uint32_t number) {
  OpenValue value;
  for (uint32_t above = 1; above < number; ++above) {
    const std::string_view text = sources.line(file, above);
    if (value.open()) {
      value.take(text);
      continue;
    }
    if (const size_t begin = secret_value(text); begin != text.npos) value.begin(text.substr(begin));
  }
  return value.open();
}

// After a syntax error there is no tree: the rest of a line with a secret's key, every line that is indented
// below one, and those that its brackets reach.
std::vector<Range> by_text(const Sources& sources, uint32_t file, uint32_t number, std::string_view line) {
  if (inside_value(sources, file, number)) return {{0, line.size()}};
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

// NAME:PASSWORD of URLs, whatever characters a wrong one has in its password.
std::vector<Range> userinfo(std::string_view text) {
  constexpr std::string_view scheme_end = "://";
  std::vector<Range> ranges;
  for (size_t at = text.find(scheme_end); at != text.npos; at = text.find(scheme_end, at)) {
    at += scheme_end.size();
    const size_t end = std::min(text.find_first_of(", \t\"'", at), text.size());
    const size_t sign = text.substr(0, end).rfind('@');
    if (sign != text.npos && sign > at) ranges.emplace_back(at, sign);
  }
  return ranges;
}

}  // namespace

std::string without_userinfo(std::string_view text) {
  std::string out;
  size_t at = 0;
  for (const auto& [begin, end] : userinfo(text)) {
    out.append(text.substr(at, begin - at));
    out += mask;
    at = end;
  }
  out.append(text.substr(at));
  return out;
}

MaskedLine masked_line(const Sources& sources, uint32_t file, uint32_t number, uint32_t column) {
  const std::string_view line = sources.line(file, number);
  std::vector<Range> ranges = sources.masking == Masking::by_span ? by_span(sources, file, number, line)
                                                                  : by_text(sources, file, number, line);
  for (const Range& range : userinfo(line)) ranges.push_back(range);
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
