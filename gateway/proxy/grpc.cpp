#include "proxy/grpc.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "proxy/hop_fields.h"

namespace penstock::proxy::grpc {
namespace {

constexpr std::string_view base_type = "application/grpc";
constexpr std::string_view web_suffix = "-web", text_suffix = "-text";
constexpr size_t max_message = 1'024;     // of a plugin's detail; clients take 8 KiB of metadata in all
constexpr size_t max_timeout_digits = 8;  // of the protocol

bool take(std::string_view& rest, std::string_view prefix) {
  if (!same_ignoring_case(rest.substr(0, prefix.size()), prefix)) return false;
  rest.remove_prefix(prefix.size());
  return true;
}

bool at_format(std::string_view rest) {
  return rest.empty() || rest.front() == '+' || rest.front() == ';' || rest.front() == ' ';
}

// What Content-Type says alone; `rest` is then what stands behind it.
Grpc kind_named(std::string_view content_type, std::string_view& rest) {
  rest = content_type;
  if (!take(rest, base_type)) return Grpc::none;
  Grpc kind = Grpc::native;
  if (take(rest, web_suffix)) kind = take(rest, text_suffix) ? Grpc::web_text : Grpc::web;
  return at_format(rest) ? kind : Grpc::none;
}

// Takes what stands before the next separator.
std::string_view next_part(std::string_view& rest, char separator) {
  const size_t end = rest.find(separator);
  std::string_view part = rest.substr(0, end);
  rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
  while (part.starts_with(' ') || part.starts_with('\t')) part.remove_prefix(1);
  while (part.ends_with(' ') || part.ends_with('\t')) part.remove_suffix(1);
  return part;
}

// What a range of Accept weighs, in thousandths (RFC 9110 12.4.2).
uint32_t weight_of(std::string_view range) {
  constexpr uint32_t whole = 1'000;
  next_part(range, ';');
  while (!range.empty()) {
    std::string_view parameter = next_part(range, ';');
    if (!take(parameter, "q=")) continue;
    if (parameter.starts_with('1')) return whole;
    uint32_t weight = 0, unit = whole / 10;
    for (size_t i = 2; i < parameter.size() && unit > 0 && parameter[i] >= '0' && parameter[i] <= '9';
         ++i, unit /= 10)
      weight += unit * static_cast<uint32_t>(parameter[i] - '0');
    return weight;
  }
  return whole;
}

// Nanoseconds of a unit; 0: not one of the protocol.
uint64_t unit_ns(char unit) {
  switch (unit) {
    case 'H': return 3'600'000'000'000;
    case 'M': return 60'000'000'000;
    case 'S': return 1'000'000'000;
    case 'm': return 1'000'000;
    case 'u': return 1'000;
    case 'n': return 1;
    default: return 0;
  }
}

constexpr std::array<std::string_view, 17> numbers{"0", "1",  "2",  "3",  "4",  "5",  "6",  "7", "8",
                                                   "9", "10", "11", "12", "13", "14", "15", "16"};

}  // namespace

Grpc kind_of(const http::Message& request) {
  if (request.method != http::Method::post) return Grpc::none;
  std::string_view rest;
  const Grpc kind = kind_named(request.headers.get(http::HeaderId::content_type), rest);
  return kind == Grpc::native && request.version != http::Version::http_2 ? Grpc::none : kind;
}

std::string_view format_of(std::string_view content_type) {
  std::string_view rest;
  if (kind_named(content_type, rest) == Grpc::none) return {};
  return rest.substr(0, rest.find_first_of("; "));
}

bool is_grpc(std::string_view content_type) {
  std::string_view rest;
  return kind_named(content_type, rest) == Grpc::native;
}

// The best of what is named; of equals the first one, and what any type allows (*/*) behind all of them.
Grpc answer_kind(const http::Message& request, Grpc kind) {
  if (kind == Grpc::none || kind == Grpc::native) return kind;
  Grpc best = kind;
  uint32_t best_weight = 0, any_weight = 0;
  for (const http::Field& field : request.headers.fields()) {
    if (field.id != http::HeaderId::accept) continue;
    for (std::string_view rest = field.value; !rest.empty();) {
      const std::string_view range = next_part(rest, ',');
      const uint32_t weight = weight_of(range);
      std::string_view behind;
      const Grpc named = kind_named(range, behind);
      if (range.starts_with("*/*") || range.starts_with("application/*"))
        any_weight = std::max(any_weight, weight);
      if ((named != Grpc::web && named != Grpc::web_text) || weight <= best_weight) continue;
      best = named;
      best_weight = weight;
    }
  }
  return any_weight > best_weight ? kind : best;
}

std::string_view content_type(Arena& arena, Grpc kind, std::string_view format) {
  switch (kind) {
    case Grpc::web: return arena.join("application/grpc-web", format);
    case Grpc::web_text: return arena.join("application/grpc-web-text", format);
    default: return format.empty() ? base_type : arena.join(base_type, format);
  }
}

std::optional<uint64_t> timeout_ms(const http::Headers& headers) {
  const http::Field* field = headers.find(timeout_field);
  if (!field || field->value.size() < 2 || field->value.size() > max_timeout_digits + 1) return std::nullopt;
  const uint64_t unit = unit_ns(field->value.back());
  const char *first = field->value.data(), *end = first + field->value.size() - 1;
  uint64_t count = 0;
  if (unit == 0 || std::from_chars(first, end, count).ptr != end) return std::nullopt;
  constexpr uint64_t ms = 1'000'000;
  if (unit >= ms) return count * (unit / ms);
  // Rounded up, but for less than a millisecond: no backend answers in what is left of that.
  return count * unit < ms ? 0 : (count * unit + ms - 1) / ms;
}

std::string_view timeout_text(Arena& arena, uint64_t ms) {
  constexpr uint64_t most = 99'999'999;
  const bool whole_seconds = ms > most;
  const uint64_t count = whole_seconds ? std::min(ms / 1'000, most) : ms;
  char* text = static_cast<char*>(arena.allocate(max_timeout_digits + 1, 1));
  char* end = std::to_chars(text, text + max_timeout_digits, count).ptr;
  *end++ = whole_seconds ? 'S' : 'm';
  return {text, static_cast<size_t>(end - text)};
}

std::optional<GrpcStatus> status_in(const http::Headers& fields) {
  const http::Field* field = fields.find(status_field);
  if (!field) return std::nullopt;
  const auto* number = std::ranges::find(numbers, field->value);
  return number == numbers.end() ? GrpcStatus::unknown : static_cast<GrpcStatus>(number - numbers.begin());
}

std::string_view status_text(GrpcStatus status) { return numbers[static_cast<size_t>(status)]; }

std::string_view message_of(Arena& arena, std::string_view reason, std::string_view detail) {
  static constexpr char digits[] = "0123456789ABCDEF";
  detail = detail.substr(0, max_message);
  char* text = static_cast<char*>(arena.allocate(3 * (reason.size() + 2 + detail.size()) + 1, 1));
  char* at = text;
  auto put = [&at](std::string_view part) {
    for (unsigned char c : part) {
      if (c >= 0x20 && c < 0x7f && c != '%') {
        *at++ = static_cast<char>(c);
        continue;
      }
      *at++ = '%';
      *at++ = digits[c >> 4];
      *at++ = digits[c & 15];
    }
  };
  put(reason);
  if (!reason.empty() && !detail.empty()) put(": ");
  put(detail);
  return {text, static_cast<size_t>(at - text)};
}

Called called(std::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == path.npos || slash == 0 || path.front() != '/' || slash + 1 == path.size()) return {};
  return {path.substr(1, slash - 1), path.substr(slash + 1)};
}

}  // namespace penstock::proxy::grpc
