#include "proxy/text_template.h"

#include <cstring>

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

TextTemplate::TextTemplate(const config::Template& source, Names& names) {
  for (const config::TemplatePiece& piece : source.pieces) {
    bool literal = piece.kind == config::TemplatePiece::Kind::literal;
    pieces_.push_back({piece.text, literal ? Attribute{} : compile(piece.attribute, names), literal});
  }
}

std::string_view TextTemplate::render(const RequestContext& request) const {
  if (pieces_.empty()) return {"", 0};
  if (pieces_.size() == 1) {
    if (pieces_[0].is_literal) return pieces_[0].literal;
    return field_text(request, pieces_[0].attribute);
  }
  std::string_view out{"", 0};
  for (const Piece& piece : pieces_)
    out = request.arena.join(
        out, piece.is_literal ? std::string_view(piece.literal) : field_text(request, piece.attribute));
  return out;
}

}  // namespace penstock::proxy
