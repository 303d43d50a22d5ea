// The one form of a path that routes are matched in and that is forwarded (LANGUAGE.md "Canonical path"):
// what the backend parses is what was matched. Pure; used by the proxy and by explain.
#pragma once
#include <optional>
#include <string_view>

#include "base/arena.h"

namespace penstock::proxy {

// nullopt: a path that must be refused (invalid %xx, %00, backslash, %2F, dot segments above the root,
// control bytes, blanks, '#', bytes over 0x7e). The marks that RFC 3986 wants escaped and clients send as
// they are ({}|^`[]"<>) stay: every backend reads them in one way. Returns `path` itself when it is canonical
// already, otherwise a copy in the arena.
std::optional<std::string_view> canonical_path(Arena& arena, std::string_view path);

}  // namespace penstock::proxy
