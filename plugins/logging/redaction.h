// What the access log must not show: values of some headers, query parameters and cookies. Immutable after
// configure.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "line.h"

namespace logging {

class Redaction {
 public:
  static constexpr std::string_view mask = "***";

  // authorization, cookie, set-cookie, proxy-authorization and x-api-key are always among the headers.
  Redaction(const std::vector<std::string>& headers, std::vector<std::string> query);

  bool hides_header(std::string_view name) const;  // in any case
  bool hides_query(std::string_view name) const;   // as in the configuration, or percent-encoded in any way
  // Whether an attribute ("header.NAME", "query.NAME", "cookie.NAME") is hidden.
  bool hides_attribute(std::string_view name) const;

  bool masks_queries() const { return !query_.empty(); }
  // The query with the values of hidden parameters replaced, through `append` piece by piece.
  template <class Append>
  void query(std::string_view text, Append append) const {
    if (query_.empty()) return append(text);
    while (true) {
      const std::string_view pair = text.substr(0, text.find('&'));
      const size_t equals = pair.find('=');
      if (equals != std::string_view::npos && hides_query(pair.substr(0, equals))) {
        append(pair.substr(0, equals + 1));
        append(mask);
      } else {
        append(pair);
      }
      if (pair.size() == text.size()) return;
      append(std::string_view("&"));
      text.remove_prefix(pair.size() + 1);
    }
  }

 private:
  std::vector<std::string> headers_, query_;
};

}  // namespace logging
