// A format of one's own: "{request.method} {request.path} {response.status}". `{{` and `}}` stand for braces.
// Parsed while configuring, read-only afterwards.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "line.h"
#include "redaction.h"

namespace logging {

struct TemplatePiece {
  enum class Kind { literal, attribute };
  Kind kind = Kind::literal;
  std::string text;  // the literal, or the attribute's name
};

// Pieces, or in `error` what is wrong.
std::vector<TemplatePiece> parse_template(std::string_view text, std::string& error);

}  // namespace logging
