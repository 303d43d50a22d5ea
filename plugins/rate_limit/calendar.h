// When a day or a month of UTC ends. Pure.
#pragma once
#include <cstdint>

namespace rate_limit {

enum class Per { day, month };

// From `wall_ns` (since 1970) to the end of its day or month; at least 1.
int64_t left_ns(Per per, int64_t wall_ns);

}  // namespace rate_limit
