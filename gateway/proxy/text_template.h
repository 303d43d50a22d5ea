// A text with {attributes}, compiled: "/x/{path.id}". Immutable; rendered into a request's arena.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "config/values.h"
#include "proxy/request_context.h"

namespace penstock::proxy {

// Claims are interned in `names`: an authenticator sets only those that somebody asks for. Main thread.
Attribute compile(const config::Attribute& attribute, Names& names);

class TextTemplate {
 public:
  TextTemplate() = default;
  TextTemplate(const config::Template& source, Names& names);
  // A missing attribute gives the empty text. The view lives as long as the request or the snapshot.
  std::string_view render(const RequestContext& request) const;

 private:
  struct Piece {
    std::string literal;
    Attribute attribute;
    bool is_literal = true;
  };
  std::vector<Piece> pieces_;
};

}  // namespace penstock::proxy
