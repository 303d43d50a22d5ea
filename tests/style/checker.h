// The rules about who may include whom, and which words have no place in the sources: pure functions over a
// file's path (from the top of the tree, such as "gateway/proxy/router.h") and its text, so that the tests
// can show them failing on made-up files before they judge the tree.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace penstock::style {

struct Violation {
  size_t line = 0;
  std::string text;  // what is wrong, naming the include or the word
};

// Layers of gateway/ (its README has the picture), libraries that belong to one folder, and plugins/, which
// know nothing of gateway/.
std::vector<Violation> check_includes(std::string_view path, std::string_view text);

// Marks of unfinished work anywhere; waiting by the clock in gateway/, plugins/ and tests/.
std::vector<Violation> check_words(std::string_view path, std::string_view text);

}  // namespace penstock::style
