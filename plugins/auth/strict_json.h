// JSON from strangers, read so that two readers cannot disagree about it: a member that comes twice (RFC
// 8725 2.4 and RFC 7515 4 ask for it), a NUL, or more than 16 levels make it no JSON at all.
#pragma once
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace auth {

// A discarded value (is_discarded) when it is refused.
nlohmann::json parse_strict(std::string_view text);

}  // namespace auth
