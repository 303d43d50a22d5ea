// Small helps for the wording of diagnostics: the nearest right word, a list of names. Pure functions.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::config {

// The candidate that `word` most likely was meant to be, or empty when none is near. Swapped neighbours,
// a missing, an additional or a wrong letter count one each.
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

// "did you mean 'limits'?", or empty.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates);

// The one of secret_keys that `word` is, or was most likely meant to be; empty when it is none.
std::string_view secret_word(std::string_view word);

// "(defined: a, b, c)" with at most ten names, "(none is defined)" without any.
std::string defined_names(std::span<const std::string_view> names);

}  // namespace penstock::config
