// Matching one path pattern against a canonical path, and reading query parameters. Pure.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "config/route_config.h"
#include "proxy/request_context.h"

namespace penstock::proxy {

struct PathMatch {
  std::span<PathParameter> parameters;  // room for the pattern's; filled in their order
  uint32_t matched = 0;                 // bytes of the path that the pattern covers
};

// Exact, templated and prefix patterns; false for a regular expression. `out` may be null: only yes or no.
bool match_path(const config::PathPattern& pattern, std::string_view path, PathMatch* out);

// v?N(.N)*: what {version} stands for.
bool version_segment(std::string_view segment);

// fn(value) for each query parameter of that name, percent-decoded; "?a" has the empty value.
template <class Fn>
void each_query_value(Arena& arena, std::string_view query, std::string_view name, Fn fn);

// Percent-decodes; invalid escapes stand for themselves, since the query is forwarded byte for byte anyhow.
std::string_view percent_decode(Arena& arena, std::string_view text);

template <class Fn>
void each_query_value(Arena& arena, std::string_view query, std::string_view name, Fn fn) {
  while (!query.empty()) {
    size_t end = query.find('&');
    std::string_view pair = query.substr(0, end);
    query = end == std::string_view::npos ? std::string_view{} : query.substr(end + 1);
    size_t equal = pair.find('=');
    if (pair.empty() || percent_decode(arena, pair.substr(0, equal)) != name) continue;
    fn(equal == std::string_view::npos ? std::string_view{"", 0}
                                       : percent_decode(arena, pair.substr(equal + 1)));
  }
}

}  // namespace penstock::proxy
