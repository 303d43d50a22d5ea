#include "http/http2/priority.h"

#include "http/http1/syntax.h"

namespace penstock::http::http2 {

// A dictionary of RFC 8941 3.2 whose two members of interest have values of one character. Parameters behind
// them mean nothing.
void Priority::merge(std::string_view field) {
  http1::ListReader members(field);
  for (std::string_view member; members.next(member);) {
    const std::string_view item = http1::trim(member.substr(0, member.find(';')));
    if (item.size() == 3 && item.starts_with("u=") && item[2] >= '0' && item[2] <= '7')
      urgency = static_cast<uint8_t>(item[2] - '0');
    else if (item == "i" || item == "i=?1")
      incremental = true;
    else if (item == "i=?0")
      incremental = false;
  }
}

}  // namespace penstock::http::http2
