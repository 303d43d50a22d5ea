// One scalar against its row of the schema table: form, unit, range. Pure.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "config/parse_values.h"
#include "config/schema.h"

namespace penstock::config {

struct ScalarProblem {
  std::string_view code;  // empty: all is well
  std::string message;
  std::string hint;
};

ScalarProblem scalar_problem(std::string_view text, const SchemaRow& row);

// "a|b|c" in its words.
std::vector<std::string_view> words_of(std::string_view allowed);

}  // namespace penstock::config
