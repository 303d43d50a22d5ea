// What the daemon says about itself, one line at a time on standard error: "penstock: ready, ...". Not the
// access log, and never once a request. Any thread.
#pragma once
#include <string_view>

namespace penstock::server {

void say(std::string_view line);
// As it is, without the daemon's name in front: diagnostics.
void say_text(std::string_view text);

}  // namespace penstock::server
