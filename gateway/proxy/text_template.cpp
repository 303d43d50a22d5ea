#include "proxy/text_template.h"

#include <algorithm>

namespace penstock::proxy {

Attribute compile(const config::Attribute& attribute, Names& names) {
  // Both vocabularies have the same texts; validation has checked this one.
  Attribute compiled = Attribute::parse(config::to_text(attribute)).value();
  if (compiled.kind == AttributeKind::claim) names.attribute_id(compiled.text());
  return compiled;
}

std::string_view field_text(const RequestContext& request, const Attribute& attribute) {
  std::string_view value = request.attribute(attribute);
  return value.data() && !has_control_byte(value) ? value : std::string_view{"", 0};
}

// Does a byte stand for itself? A value of path.NAME is a part of a canonical path, encoded already: it may
// be several segments of another, but in a query no '&' of it ends a parameter. Other values may be any
// bytes.
static bool stays(char c, AttributeKind kind, TextTemplate::Into into) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
  if (std::string_view("-._~").find(c) != std::string_view::npos) return true;
  bool path = into == TextTemplate::Into::path;
  if (kind != AttributeKind::path_parameter) return path && (c == ':' || c == '@');
  return path || std::string_view("&=+").find(c) == std::string_view::npos;
}

static std::string_view encoded(const RequestContext& request, const Attribute& attribute,
                                TextTemplate::Into into) {
  static constexpr char digits[] = "0123456789ABCDEF";
  std::string_view value = field_text(request, attribute);
  if (into == TextTemplate::Into::field) return value;
  auto same = [&](char c) { return stays(c, attribute.kind, into); };
  if (std::ranges::all_of(value, same)) return value;
  char* out = static_cast<char*>(request.arena.allocate(value.size() * 3, 1));
  size_t size = 0;
  for (char c : value) {
    if (same(c)) {
      out[size++] = c;
      continue;
    }
    for (char each : {'%', digits[static_cast<unsigned char>(c) >> 4], digits[c & 15]}) out[size++] = each;
  }
  return {out, size};
}

TextTemplate::TextTemplate(const config::Template& source, Names& names) {
  for (const config::TemplatePiece& piece : source.pieces) {
    bool literal = piece.kind == config::TemplatePiece::Kind::literal;
    pieces_.push_back({piece.text, literal ? Attribute{} : compile(piece.attribute, names), literal});
  }
}

std::string_view TextTemplate::render(const RequestContext& request, Into into) const {
  if (pieces_.empty()) return {"", 0};
  if (pieces_.size() == 1) {
    if (pieces_[0].is_literal) return pieces_[0].literal;
    return encoded(request, pieces_[0].attribute, into);
  }
  std::string_view out{"", 0};
  for (const Piece& piece : pieces_)
    out = request.arena.join(
        out, piece.is_literal ? std::string_view(piece.literal) : encoded(request, piece.attribute, into));
  return out;
}

}  // namespace penstock::proxy
