#include "custom_format.h"

#include "records.h"

namespace logging {

struct CustomFormat::Own {
  std::string_view name;
  Kind kind;
  uint64_t gw_summary::* bytes = nullptr;
  int64_t gw_summary::* duration = nullptr;
  gw_str gw_summary::* text = nullptr;
};

const CustomFormat::Own* CustomFormat::find_own(std::string_view name) {
  constexpr auto number = [](std::string_view own, uint64_t gw_summary::* member) {
    return Own{own, Kind::bytes, member, nullptr, nullptr};
  };
  constexpr auto time = [](std::string_view own, int64_t gw_summary::* member) {
    return Own{own, Kind::duration, nullptr, member, nullptr};
  };
  constexpr auto text = [](std::string_view own, gw_str gw_summary::* member) {
    return Own{own, Kind::text, nullptr, nullptr, member};
  };
  static constexpr Own all[] = {
      {"timestamp", Kind::timestamp},
      {"response.status", Kind::status},
      {"attempts", Kind::attempts},
      number("response.size", &gw_summary::response_body_bytes),
      number("request.size", &gw_summary::request_body_bytes),
      time("duration.total", &gw_summary::total_ns),
      time("duration.first_byte", &gw_summary::first_byte_ns),
      time("duration.upstream", &gw_summary::upstream_ns),
      time("duration.upstream_first_byte", &gw_summary::upstream_first_byte_ns),
      time("duration.connect", &gw_summary::connect_ns),
      time("duration.queue", &gw_summary::queue_ns),
      time("duration.auth", &gw_summary::auth_ns),
      text("reason", &gw_summary::reason),
      text("plugin", &gw_summary::plugin),
      text("trace.id", &gw_summary::trace_id),
      text("tls.version", &gw_summary::tls_version),
      text("tls.cipher", &gw_summary::tls_cipher),
  };
  for (const Own& own : all) {
    if (own.name == name) return &own;
  }
  return nullptr;
}

CustomFormat::Piece CustomFormat::piece_of(const std::string& name, const Redaction& redaction,
                                           gw::setup& setup) const {
  Piece piece;
  if (const Own* own = find_own(name); own != nullptr) {
    piece.kind = own->kind;
    piece.bytes = own->bytes;
    piece.duration = own->duration;
    piece.text = own->text;
    return piece;
  }
  piece.attribute = gw::attribute(name);
  if (!piece.attribute) setup.error("format", "'" + name + "' is no attribute");
  piece.kind = redaction.hides_attribute(name) ? Kind::masked
               : name == "request.query"       ? Kind::query
               : name == "header.referer"      ? Kind::url
                                               : Kind::attribute;
  return piece;
}

CustomFormat::CustomFormat(const std::string& format, const Redaction& redaction, gw::setup& setup) {
  std::string error;
  bool any = false;
  for (TemplatePiece& piece : parse_template(format, error)) {
    if (piece.kind == TemplatePiece::Kind::literal) {
      pieces_.push_back({});
      pieces_.back().literal = std::move(piece.text);
    } else {
      pieces_.push_back(piece_of(piece.text, redaction, setup));
      any = true;
    }
  }
  if (!error.empty()) {
    setup.error("format", error);
  } else if (!any) {  // a misspelt name of a format, which would write itself again and again
    setup.error("format",
                "'" + format + "' is none of json, common, combined, and no template with an {attribute}");
  }
}

void CustomFormat::write(Line& out, const gw::exchange& e, const gw_summary& s, const Redaction& redaction,
                         SecondText& time) const {
  for (const Piece& piece : pieces_) {
    switch (piece.kind) {
      case Kind::literal: out.raw(piece.literal); break;
      case Kind::attribute: out.escaped(e.attribute(piece.attribute)); break;
      case Kind::masked:
        if (e.attribute(piece.attribute).data() != nullptr) out.raw(Redaction::mask);
        break;
      case Kind::query: write_query(out, e.attribute(piece.attribute), redaction); break;
      case Kind::url: write_url(out, e.attribute(piece.attribute), redaction); break;
      case Kind::timestamp: time.iso(out, s.start_wall_ns); break;
      case Kind::status: out.number(s.status); break;
      case Kind::attempts: out.number(s.attempts); break;
      case Kind::bytes: out.number(s.*piece.bytes); break;
      case Kind::duration:
        if (s.*piece.duration >= 0) out.seconds(s.*piece.duration);
        break;
      case Kind::text: out.escaped(gw::view(s.*piece.text)); break;
    }
  }
  out.end({});
}

}  // namespace logging
