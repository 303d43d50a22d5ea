// A text with {attributes}, compiled: "/x/{path.id}". Immutable; rendered into a request's arena.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/values.h"
#include "proxy/request_context.h"

namespace penstock::proxy {

// Claims are interned in `names`: an authenticator sets only those that somebody asks for. Main thread.
Attribute compile(const config::Attribute& attribute, Names& names);

// The attribute as it may stand in a header field: empty when it is missing or has a control byte.
std::string_view field_text(const RequestContext& request, const Attribute& attribute);

class TextTemplate {
 public:
  // Where the text goes. In a path and in a query the values of attributes are percent-encoded, so that none
  // of them begins a new segment, parameter or part of a URL.
  enum class Into : uint8_t { field, path, query };

  TextTemplate() = default;
  TextTemplate(const config::Template& source, Names& names);
  // A missing attribute gives the empty text, and so does a value with a control byte (query.q of ?q=%0d%0a):
  // what is rendered goes into header fields and request lines. The view lives as long as the request or the
  // snapshot.
  std::string_view render(const RequestContext& request, Into into = Into::field) const;

 private:
  struct Piece {
    std::string literal;
    Attribute attribute;
    bool is_literal = true;
  };
  std::vector<Piece> pieces_;
};

}  // namespace penstock::proxy
