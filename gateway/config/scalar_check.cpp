#include "config/scalar_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "config/patterns.h"

namespace penstock::config {
namespace {

constexpr std::string_view dots = "..";

template <class T>
ScalarProblem plain_problem(std::string_view code, const Parsed<T>& parsed) {
  if (parsed) return {};
  return {code, parsed.error().message, parsed.error().hint};
}

// A value with a range: both ends are written in the form of the value itself.
template <class Parse>
ScalarProblem ranged_problem(std::string_view code, std::string_view text, std::string_view allowed,
                             Parse parse) {
  const auto value = parse(text);
  if (!value) return plain_problem(code, value);
  const size_t middle = allowed.find(dots);
  if (middle == allowed.npos) return {};
  const std::string_view low = allowed.substr(0, middle), high = allowed.substr(middle + dots.size());
  if (*value >= *parse(low) && *value <= *parse(high)) return {};
  return {"out-of-range", fmt::format("is out of range, allowed is {} to {}", low, high), {}};
}

}  // namespace

std::vector<std::string_view> words_of(std::string_view allowed) {
  std::vector<std::string_view> words;
  while (!allowed.empty()) {
    const size_t end = std::min(allowed.find('|'), allowed.size());
    words.push_back(allowed.substr(0, end));
    allowed.remove_prefix(std::min(end + 1, allowed.size()));
  }
  return words;
}

ScalarProblem scalar_problem(std::string_view text, const SchemaRow& row) {
  switch (row.type) {
    case ValueType::name: return plain_problem("bad-name", parse_name(text));
    case ValueType::host: return plain_problem("bad-host", parse_host_pattern(text));
    case ValueType::path: return plain_problem("bad-path", parse_path_pattern(text));
    case ValueType::prefix: return plain_problem("bad-path", parse_prefix_pattern(text));
    case ValueType::regex: return plain_problem("bad-regex", parse_regex_pattern(text));
    case ValueType::pattern_text: return plain_problem("bad-template", parse_template(text));
    case ValueType::attribute: return plain_problem("bad-attribute", parse_attribute(text));
    case ValueType::header_name: return plain_problem("bad-header", parse_header_name(text));
    case ValueType::protocol: return plain_problem("bad-protocol", parse_protocol(text));
    case ValueType::method: return plain_problem("bad-method", parse_method(text));
    case ValueType::mode: return plain_problem("bad-mode", parse_mode(text));
    case ValueType::flag: return plain_problem("bad-flag", parse_flag(text));
    case ValueType::date: return plain_problem("bad-date", parse_date(text));
    case ValueType::address:
      if (row.allowed == "unix:*" && text.starts_with("unix:"))
        return plain_problem("bad-address", parse_unix_address(text));
      return plain_problem("bad-address", parse_address(text));
    case ValueType::host_port: return plain_problem("bad-address", parse_host_port(text));
    case ValueType::network: return plain_problem("bad-network", parse_network(text));
    case ValueType::integer: return ranged_problem("bad-number", text, row.allowed, parse_integer);
    case ValueType::size: return ranged_problem("bad-size", text, row.allowed, parse_size);
    case ValueType::byte_rate: return ranged_problem("bad-rate", text, row.allowed, parse_byte_rate);
    case ValueType::duration: return ranged_problem("bad-duration", text, row.allowed, parse_duration);
    case ValueType::percent: return ranged_problem("bad-percentage", text, row.allowed, parse_percent);
    case ValueType::file:
      return is_file_name(text) ? ScalarProblem{} : ScalarProblem{"bad-file", "is no file name", {}};
    default: return {};
  }
}

}  // namespace penstock::config
