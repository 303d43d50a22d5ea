// A line by a template of one's own. Immutable after configure.
#pragma once
#include <string>
#include <vector>

#include "line.h"
#include "penstock_plugin.hpp"
#include "redaction.h"
#include "template.h"

namespace logging {

class CustomFormat {
 public:
  // What is wrong with the template becomes an error at `format`.
  CustomFormat(const std::string& format, const Redaction& redaction, gw::setup& setup);
  // Behind what the line holds already, its end included.
  void write(Line& out, const gw::exchange& e, const gw_summary& s, const Redaction& redaction,
             SecondText& time) const;

 private:
  enum class Kind {
    literal,
    attribute,
    masked,
    query,
    url,
    timestamp,
    status,
    attempts,
    bytes,  // what follows: a member of the summary
    duration,
    text
  };
  struct Piece {
    Kind kind = Kind::literal;
    std::string literal;
    gw::attribute attribute;
    uint64_t gw_summary::* bytes = nullptr;
    int64_t gw_summary::* duration = nullptr;
    gw_str gw_summary::* text = nullptr;
  };
  struct Own;  // a name that is known at the end alone
  static const Own* find_own(std::string_view name);
  Piece piece_of(const std::string& name, const Redaction& redaction, gw::setup& setup) const;

  std::vector<Piece> pieces_;
};

}  // namespace logging
