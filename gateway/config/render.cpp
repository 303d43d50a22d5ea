#include "config/render.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "config/yaml_reader.h"

namespace penstock::config {
namespace {

constexpr size_t widest_line = 160;  // longer source lines are cut around the caret

// U+0080 to U+009F, which terminals obey as they do ESC.
bool is_wide_control(std::string_view text, size_t i) {
  return i + 1 < text.size() && text[i] == '\xC2' && static_cast<unsigned char>(text[i + 1]) >= 0x80 &&
         static_cast<unsigned char>(text[i + 1]) <= 0x9F;
}

// A value from the configuration must not end the line or command a terminal.
std::string printable(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == '\n')
      out += "\\n";
    else if (byte < 0x20 || byte == 0x7F)
      out += fmt::format("\\x{:02x}", byte);
    else if (is_wide_control(text, i))
      out += fmt::format("\\u00{:02x}", static_cast<unsigned char>(text[++i]));
    else
      out += text[i];
  }
  return out;
}

bool ends_word(char c) { return std::string_view("'.,:)([]; \n").find(c) != std::string_view::npos; }

// The first place from `from` on where `word` stands as a word of its own; a long one anywhere.
size_t find_word(std::string_view text, std::string_view word, size_t from) {
  constexpr size_t long_word = 8;
  for (size_t at = text.find(word, from); at != text.npos; at = text.find(word, at + 1)) {
    const size_t end = at + word.size();
    const bool begins = at > 0 && (text[at - 1] == '\'' || text[at - 1] == '.' ||
                                   (at > 1 && text[at - 1] == ' ' && ends_word(text[at - 2])));
    if (word.size() >= long_word || (begins && (end == text.size() || ends_word(text[end])))) return at;
  }
  return text.npos;
}

// A hidden word may have become a name, which messages of every layer tell.
std::string shown_text(std::string_view text, const Sources& sources) {
  std::string out = without_userinfo(text);
  for (const std::string& word : sources.hidden)
    for (size_t at = find_word(out, word, 0); at != out.npos; at = find_word(out, word, at))
      out.replace(std::exchange(at, at + hidden_text.size()), word.size(), hidden_text);
  return printable(out);
}

std::string file_name(const Sources& sources, Position at) {
  return at.file < sources.files().size() ? printable(sources.files()[at.file].name) : std::string();
}

// "first defined at 12:5", with the file where it is another one.
std::string related_text(const Diagnostic& item, const Sources& sources) {
  if (!item.related.known()) return {};
  const bool same = item.related.file == item.at.file && item.at.known();
  const std::string file = same ? "" : file_name(sources, item.related) + ":";
  return fmt::format("{} {}{}:{}", shown_text(item.related_note, sources), file, item.related.line,
                     item.related.column);
}

std::string message_of(const Diagnostic& item, const Sources& sources) {
  const std::string related = related_text(item, sources);
  const std::string message = shown_text(item.message, sources);
  return related.empty() ? message : fmt::format("{} ({})", message, related);
}

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0u) == 0x80u; }

// How many bytes of `text` one would underline: a quoted scalar, else up to what ends a plain one.
size_t token_length(std::string_view text) {
  if (const size_t quoted = quoted_length(text); quoted != 0) return quoted;
  size_t end = 0;
  while (end < text.size() && std::string_view(",]}# \t").find(text[end]) == std::string_view::npos) {
    const bool colon_ends = text[end] == ':' && (end + 1 == text.size() || text[end + 1] == ' ');
    if (colon_ends) break;
    ++end;
  }
  return std::max<size_t>(end, 1);
}

// Control characters and wide text must not shift the caret: tabs become blanks, columns count characters.
std::string quoted_source(const Diagnostic& item, const Sources& sources) {
  MaskedLine line = masked_line(sources, item.at.file, item.at.line, item.at.column);
  if (line.text.empty()) return {};
  for (size_t i = 0; i < line.text.size(); ++i) {
    if (line.text[i] == '\t' || line.text[i] == '\r') line.text[i] = ' ';
    if (is_wide_control(line.text, i)) line.text[i + 1] = '\xB7';  // a middle dot, as long
  }
  size_t start = std::min(line.column - 1, line.text.size());
  if (line.text.size() > widest_line) {
    size_t from = start > widest_line / 2 ? start - widest_line / 2 : 0;
    while (from < line.text.size() && is_continuation(line.text[from])) ++from;
    size_t to = std::min(from + widest_line, line.text.size());
    while (to < line.text.size() && is_continuation(line.text[to])) ++to;
    start -= std::min(start, from);
    line.text = line.text.substr(from, to - from);
  }
  const auto width = [](std::string_view text) {
    return static_cast<size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return !is_continuation(c); }));
  };
  const std::string_view text = line.text;
  const std::string blank(width(text.substr(0, start)), ' ');
  const std::string_view rest = text.substr(start);
  const std::string carets(std::max<size_t>(1, width(rest.substr(0, token_length(rest)))), '^');
  const std::string number = fmt::format("{}", item.at.line);
  return fmt::format("   {} | {}\n   {} | {}{}{}{}\n", number, text, std::string(number.size(), ' '), blank,
                     carets, item.hint.empty() ? "" : " ", shown_text(item.hint, sources));
}

std::string human(const Diagnostics& diagnostics, const Sources& sources) {
  std::string out;
  for (const Diagnostic& item : diagnostics.all()) {
    if (item.at.known())
      out += fmt::format("{}:{}:{}: ", file_name(sources, item.at), item.at.line, item.at.column);
    out += fmt::format("{}[{}]: {}\n", name(item.severity), item.code, message_of(item, sources));
    const std::string quoted = item.at.known() ? quoted_source(item, sources) : "";
    if (!quoted.empty())
      out += quoted;
    else if (!item.hint.empty())
      out += fmt::format("   {}\n", shown_text(item.hint, sources));
  }
  if (diagnostics.errors() + diagnostics.warnings() > 0) out += summary(diagnostics) + "\n";
  return out;
}

std::string json(const Diagnostics& diagnostics, const Sources& sources) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Diagnostic& item : diagnostics.all()) {
    nlohmann::ordered_json one;
    one["severity"] = name(item.severity);
    one["code"] = item.code;
    one["file"] = item.at.known() ? file_name(sources, item.at) : "";
    one["line"] = item.at.line;
    one["column"] = item.at.column;
    one["path"] = shown_text(item.path, sources);
    one["message"] = message_of(item, sources);
    one["hint"] = shown_text(item.hint, sources);
    list.push_back(std::move(one));
  }
  const nlohmann::ordered_json object{{"diagnostics", std::move(list)}};
  // A path or message may hold bytes of a file name that are no UTF-8.
  return object.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string escaped(std::string_view text, std::string_view also) {
  std::string out;
  for (const char c : text) {
    if (c == '%' || c == '\n' || c == '\r' || also.find(c) != also.npos)
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    else
      out += c;
  }
  return out;
}

std::string github(const Diagnostics& diagnostics, const Sources& sources) {
  std::string out;
  for (const Diagnostic& item : diagnostics.all()) {
    const bool note = item.severity == Severity::note;
    out += fmt::format("::{} ", note ? "notice" : name(item.severity));
    if (item.at.known())
      out += fmt::format("file={},line={},col={},", escaped(file_name(sources, item.at), ":,"), item.at.line,
                         item.at.column);
    const std::string hint = item.hint.empty() ? "" : "; " + shown_text(item.hint, sources);
    out += fmt::format("title={}::{}{}\n", escaped(item.code, ":,"), escaped(message_of(item, sources), ""),
                       escaped(hint, ""));
  }
  return out;
}

std::string counted(size_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

}  // namespace

std::optional<Format> format_named(std::string_view text) {
  if (text == "human") return Format::human;
  if (text == "json") return Format::json;
  if (text == "github") return Format::github;
  return std::nullopt;
}

std::string render(const Diagnostics& diagnostics, const Sources& sources, Format format) {
  switch (format) {
    case Format::json: return json(diagnostics, sources);
    case Format::github: return github(diagnostics, sources);
    case Format::human: break;
  }
  return human(diagnostics, sources);
}

std::string summary(const Diagnostics& diagnostics) {
  const size_t errors = diagnostics.errors(), warnings = diagnostics.warnings();
  if (warnings == 0) return counted(errors, "error");
  if (errors == 0) return counted(warnings, "warning");
  return counted(errors, "error") + ", " + counted(warnings, "warning");
}

bool acceptable(const Diagnostics& diagnostics, Strictness strictness) {
  return diagnostics.ok() && (strictness == Strictness::errors_only || diagnostics.warnings() == 0);
}

}  // namespace penstock::config
