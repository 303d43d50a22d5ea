// What an inspection of a plugin found, for people and for programs. Pure.
#pragma once
#include <string>

#include "plugin/inspect.h"

namespace penstock::admin {

std::string info_text(const plugin::Inspection& found);   // all that there is to know
std::string check_text(const plugin::Inspection& found);  // good, or a sentence a problem
std::string to_json(const plugin::Inspection& found);     // of both

}  // namespace penstock::admin
