#include "config/wording.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "config/node.h"

namespace penstock::config {
namespace {

constexpr size_t longest_word = 64;  // beyond this nobody mistyped one letter

size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), previous(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) previous[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
      row[j] = std::min({previous[j] + 1, row[j - 1] + 1, previous[j - 1] + change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before = previous;
    previous = row;
  }
  return previous[b.size()];
}

}  // namespace

std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates) {
  if (word.empty() || word.size() > longest_word) return {};
  std::string_view best;
  size_t best_distance = std::min<size_t>(3, std::max<size_t>(1, word.size() / 3)) + 1;
  for (std::string_view candidate : candidates) {
    if (candidate.size() > longest_word || candidate == word) continue;
    const size_t d = distance(word, candidate);
    if (d < best_distance && d < candidate.size()) {
      best = candidate;
      best_distance = d;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates) {
  const std::string_view best = nearest(word, candidates);
  return best.empty() ? std::string() : fmt::format("did you mean '{}'?", best);
}

std::string_view secret_word(std::string_view word) {
  constexpr size_t shortest = 2, longest = 11;  // beyond these none is near
  for (const std::string_view key : secret_keys)
    if (key == word) return key;
  return word.size() < shortest || word.size() > longest ? std::string_view() : nearest(word, secret_keys);
}

std::string defined_names(std::span<const std::string_view> names) {
  if (names.empty()) return "(none is defined)";
  constexpr size_t most = 10;
  std::string text = "(defined: ";
  for (size_t i = 0; i < names.size() && i < most; ++i) {
    if (i > 0) text += ", ";
    text += names[i];
  }
  if (names.size() > most) text += fmt::format(" and {} more", names.size() - most);
  return text + ")";
}

}  // namespace penstock::config
