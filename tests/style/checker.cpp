#include "style/checker.h"

#include <algorithm>
#include <array>
#include <optional>

namespace penstock::style {
namespace {

struct Layer {
  std::string_view folder;
  int rank;
};
constexpr int mutually_unaware = 3;
constexpr std::array layers{
    Layer{"base", 1},
    Layer{"net", 2},
    Layer{"http", mutually_unaware},
    Layer{"config", mutually_unaware},
    Layer{"observe", mutually_unaware},
    Layer{"store", mutually_unaware},
    Layer{"upstream", 4},
    Layer{"discovery", 4},
    Layer{"proxy", 5},
    Layer{"plugin", 6},
    Layer{"server", 7},
    Layer{"admin", 7},
};

// A library whose headers start so may be included only under these folders.
struct Library {
  std::string_view header;
  std::array<std::string_view, 2> homes;
};
constexpr std::array libraries{
    Library{"uv.h", {"gateway/net/", "gateway/net/"}},
    Library{"openssl/", {"gateway/net/", "plugins/"}},
    Library{"ares.h", {"gateway/net/", "gateway/net/"}},
    Library{"llhttp.h", {"gateway/http/http1/", "gateway/http/http1/"}},
    Library{"nghttp2/", {"gateway/http/http2/", "tests/http/"}},
    Library{"yaml-cpp/", {"gateway/config/", "gateway/config/"}},
    Library{"hiredis/", {"gateway/store/", "gateway/store/"}},
    Library{"dlfcn.h", {"gateway/plugin/", "plugins/logging/curl_library"}},
    Library{"curl/", {"plugins/logging/", "plugins/logging/"}},
};
constexpr std::array<std::string_view, 2> never_included{"iostream", "regex"};

std::optional<int> rank_of(std::string_view folder) {
  for (const auto& layer : layers)
    if (layer.folder == folder) return layer.rank;
  return std::nullopt;
}

std::string_view first_part(std::string_view path) {
  auto slash = path.find('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

// The name between quotes or angle brackets of an #include line.
std::optional<std::string_view> included(std::string_view line) {
  auto skip_blanks = [&] { line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size())); };
  skip_blanks();
  if (!line.starts_with('#')) return std::nullopt;
  line.remove_prefix(1);
  skip_blanks();
  if (!line.starts_with("include")) return std::nullopt;
  line.remove_prefix(7);
  skip_blanks();
  if (line.empty() || (line[0] != '"' && line[0] != '<')) return std::nullopt;
  auto end = line.find(line[0] == '"' ? '"' : '>', 1);
  if (end == std::string_view::npos) return std::nullopt;
  return line.substr(1, end - 1);
}

bool may_include(std::string_view from, std::string_view to) {
  if (from == to) return true;
  int from_rank = rank_of(from).value_or(8);  // main.cpp and whatever else stands at the top of gateway/
  int to_rank = *rank_of(to);
  return to_rank < from_rank || (to_rank == from_rank && to_rank != mutually_unaware);
}

std::optional<std::string> wrong_include(std::string_view path, std::string_view header) {
  auto quoted = [&](std::string_view why) { return std::string(header).append(": ").append(why); };
  for (const auto& library : libraries)
    if (header.starts_with(library.header) && !path.starts_with(library.homes[0]) &&
        !path.starts_with(library.homes[1]))
      return quoted("this library belongs to " + std::string(library.homes[0]));
  if (std::ranges::find(never_included, header) != never_included.end())
    return quoted("not used in this project");
  auto folder = first_part(header);
  if (header.starts_with("../") && (path.starts_with("gateway/") || header.find("gateway/") != header.npos))
    return quoted("includes are written from the folder's root");
  if (!rank_of(folder)) return std::nullopt;
  if (path.starts_with("plugins/")) return quoted("a plugin knows only plugins/sdk");
  auto own = first_part(path.substr(std::string_view("gateway/").size()));
  if (!may_include(own, folder))
    return quoted(std::string(own) + "/ must not know " + std::string(folder) + "/");
  return std::nullopt;
}

template <typename Check>
std::vector<Violation> each_line(std::string_view text, Check check) {
  std::vector<Violation> found;
  for (size_t number = 1; !text.empty(); ++number) {
    auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (auto wrong = check(line)) found.push_back({number, std::move(*wrong)});
  }
  return found;
}

bool contains_word(std::string_view line, std::string_view word) {
  auto part_of_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  for (auto at = line.find(word); at != std::string_view::npos; at = line.find(word, at + 1)) {
    bool starts = at == 0 || !part_of_word(line[at - 1]);
    bool ends = at + word.size() == line.size() || !part_of_word(line[at + word.size()]);
    if (starts && ends) return true;
  }
  return false;
}

// Written in two pieces, so that this file passes its own check.
const std::array<std::string, 5> unfinished{
    "TO"
    "DO",
    "FIX"
    "ME",
    "XX"
    "X",
    "HA"
    "CK",
    "st"
    "ub"};
const std::array<std::string, 4> clock_waits{
    "sleep"
    "_for",
    "sleep"
    "_until",
    "u"
    "sleep",
    "nano"
    "sleep"};
}  // namespace

std::vector<Violation> check_includes(std::string_view path, std::string_view text) {
  return each_line(text, [&](std::string_view line) -> std::optional<std::string> {
    auto header = included(line);
    return header ? wrong_include(path, *header) : std::nullopt;
  });
}

std::vector<Violation> check_words(std::string_view path, std::string_view text) {
  return each_line(text, [&](std::string_view line) -> std::optional<std::string> {
    for (const auto& word : unfinished)
      if (contains_word(line, word)) return "unfinished: " + word;
    for (const auto& word : clock_waits)
      if (!path.starts_with("bench/") && contains_word(line, word)) return "waits by the clock: " + word;
    return std::nullopt;
  });
}

}  // namespace penstock::style
