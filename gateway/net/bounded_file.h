// Reads a whole file, but no more than it may have: a wrong path costs an error, not memory. Blocks; any
// thread.
#pragma once
#include <cstddef>
#include <expected>
#include <string>
#include <string_view>

namespace penstock::net {

// Or a line that says why not: "cannot read WHAT 'PATH': ...". What is no regular file (a pipe, a folder) is
// refused, since it could not be read again.
std::expected<std::string, std::string> read_file(std::string_view what, const std::string& path,
                                                  size_t max_bytes);

}  // namespace penstock::net
