// The reference page, config/reference.md: every key of the language with its default and meaning, and every
// reason code of the core, from the tables that the program itself works by. A test holds the file to it.
#pragma once
#include <string>

namespace penstock::config {

std::string reference_page();

}  // namespace penstock::config
