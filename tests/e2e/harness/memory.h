// What a process may take for something depends on its build: red zones, shadow and the quarantine of a
// sanitizer come on top.
#pragma once
#include <cstddef>

#include "base/sanitized.h"

namespace e2e {

inline constexpr bool sanitized = penstock::address_sanitizer || penstock::thread_sanitizer;
inline constexpr size_t memory_factor = sanitized ? 8 : 1;
inline constexpr size_t kibibyte = 1024, mebibyte = 1024 * kibibyte;

}  // namespace e2e
