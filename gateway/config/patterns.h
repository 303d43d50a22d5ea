// Host and path patterns as text -> structs, and the two orders that the language defines on them: which
// pattern is the more specific, and which ones have the same shape. Pure; matching a request is the router's.
#pragma once
#include <compare>
#include <string>
#include <string_view>
#include <vector>

#include "config/parse_values.h"
#include "config/route_config.h"

namespace penstock::config {

// "api.example.com", "*.example.com" (one or more labels); a port is refused.
Parsed<HostPattern> parse_host_pattern(std::string_view text);

// An exact path or, with a {parameter}, a template. Literals are brought into the canonical form.
Parsed<PathPattern> parse_path_pattern(std::string_view text);
Parsed<PathPattern> parse_prefix_pattern(std::string_view text);
// A path that goes into requests and redirects as it is written: in the canonical form. The text itself.
Parsed<std::string> parse_written_path(std::string_view text);
// An RE2 expression on the whole canonical path; its named groups become parameters.
Parsed<PathPattern> parse_regex_pattern(std::string_view text);

// What RE2 says of an expression; an empty answer is good.
std::string regex_problem(std::string_view expression);

// less: `a` is more specific and is tried first. equal: the order does not tell them apart. Total and
// transitive, as sorting needs; two regular expressions are equal.
std::weak_ordering compare_paths(const PathPattern& a, const PathPattern& b);
// exact, then wildcards from long to short; a route without hosts comes after all.
std::weak_ordering compare_hosts(const HostPattern& a, const HostPattern& b);
// More of methods, header and query names first: the count of a route's further conditions.
size_t condition_count(const Match& match);

// Equal for two patterns exactly when neither is more specific although one path may match both.
std::string shape_of(const PathPattern& pattern);
std::string shape_of(const HostPattern& pattern);

// Whether a path may match both patterns; of a regular expression only its literal beginning is looked at.
bool may_overlap(const PathPattern& a, const PathPattern& b);
bool may_overlap(const HostPattern& a, const HostPattern& b);

}  // namespace penstock::config
