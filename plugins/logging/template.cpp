#include "template.h"

namespace logging {

std::vector<TemplatePiece> parse_template(std::string_view text, std::string& error) {
  std::vector<TemplatePiece> pieces;
  std::string literal;
  const auto flush = [&] {
    if (!literal.empty()) pieces.push_back({TemplatePiece::Kind::literal, literal});
    literal.clear();
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const bool doubled = i + 1 < text.size() && text[i + 1] == text[i];
    if ((text[i] == '{' || text[i] == '}') && doubled) {
      literal += text[i++];
      continue;
    }
    if (text[i] == '}') {
      error = "has a '}' without '{'; write '}}' for a brace";
      return {};
    }
    if (text[i] != '{') {
      literal += text[i];
      continue;
    }
    const size_t close = text.find('}', i);
    if (close == std::string_view::npos || close == i + 1) {
      error = close == i + 1 ? "has an empty {}" : "has a '{' without '}'; write '{{' for a brace";
      return {};
    }
    flush();
    pieces.push_back({TemplatePiece::Kind::attribute, std::string(text.substr(i + 1, close - i - 1))});
    i = close;
  }
  flush();
  return pieces;
}

}  // namespace logging
