// Asks a running gateway by its admin socket: for the commands that tell what it does. Blocks, for some
// seconds at most.
#pragma once
#include <expected>
#include <string>
#include <string_view>

#include "config/values.h"

namespace penstock::server {

// The body of a 200; or one sentence why there is none.
std::expected<std::string, std::string> ask_admin(const config::Address& address, std::string_view path);

}  // namespace penstock::server
