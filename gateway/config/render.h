// Diagnostics as text: for people with the source line and a caret, as JSON, as GitHub annotations. Secrets
// are masked in every quoted line. Pure; whoever calls it prints.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config/diagnostic.h"
#include "config/sources.h"

namespace penstock::config {

enum class Format : uint8_t { human, json, github };
// "human", "json", "github"
std::optional<Format> format_named(std::string_view text);

// Human: one block each, then "2 errors, 1 warning" (nothing at all when there are none). JSON: one object
// {"diagnostics": [...]}. Github: one line each.
std::string render(const Diagnostics& diagnostics, const Sources& sources, Format format);

// "2 errors, 1 warning"
std::string summary(const Diagnostics& diagnostics);

// Whether `check` may answer 0.
enum class Strictness : uint8_t { errors_only, warnings_too };
bool acceptable(const Diagnostics& diagnostics, Strictness strictness);

// A source line with its secrets replaced by ***, and where `column` (from 1) ends up in it.
struct MaskedLine {
  std::string text;
  size_t column = 1;
};
// The text with the user and password of URLs replaced by ***.
std::string without_userinfo(std::string_view text);
MaskedLine masked_line(const Sources& sources, uint32_t file, uint32_t line, uint32_t column);

}  // namespace penstock::config
