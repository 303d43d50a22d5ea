#include "proxy/trace.h"

#include <algorithm>
#include <cstring>

#include "proxy/request_context.h"
#include "proxy/worker_context.h"

namespace penstock::proxy {
namespace {

using http::HeaderId;

int nibble(char c) {  // upper case is invalid (3.2.2)
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// An identifier of zeros alone is invalid.
bool read_hex(std::string_view text, std::span<uint8_t> out) {
  for (size_t i = 0; i < out.size(); ++i) {
    const int high = nibble(text[2 * i]), low = nibble(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return true;
}

bool zero(std::span<const uint8_t> id) {
  return std::ranges::all_of(id, [](uint8_t byte) { return byte == 0; });
}

void draw(Random& random, std::span<uint8_t> id) {
  do {
    for (size_t at = 0; at < id.size(); at += 8) {
      const uint64_t bits = random.next();
      std::memcpy(id.data() + at, &bits, 8);
    }
  } while (zero(id));
}

}  // namespace

std::optional<Trace> parse_traceparent(std::string_view text) {
  constexpr size_t size = 55;  // 00-TRACE-PARENT-FLAGS
  if (text.size() < size || text[2] != '-' || text[35] != '-' || text[52] != '-') return std::nullopt;
  uint8_t version = 0, flags = 0;
  Trace trace;
  if (!read_hex(text, {&version, 1}) || version == 0xff) return std::nullopt;
  if (version == 0 ? text.size() != size : text.size() > size && text[size] != '-') return std::nullopt;
  if (!read_hex(text.substr(3), trace.trace_id) || !read_hex(text.substr(36), trace.parent_id) ||
      !read_hex(text.substr(53), {&flags, 1}) || zero(trace.trace_id) || zero(trace.parent_id))
    return std::nullopt;
  trace.has_parent = true;
  trace.sampled = flags & 1;
  return trace;
}

Trace& trace_of(RequestContext& context) {
  if (context.trace) return *context.trace;
  http::Headers& headers = context.request.headers;
  const auto fields = headers.fields();
  const bool one = std::ranges::count(fields, HeaderId::traceparent, &http::Field::id) == 1;
  std::optional<Trace> came;
  if (one) came = parse_traceparent(headers.get(HeaderId::traceparent));
  context.trace = context.arena.make<Trace>(came.value_or(Trace{}));
  Trace& trace = *context.trace;
  if (!came) {
    headers.remove_if([](const http::Field& field) {
      return field.id == HeaderId::traceparent || field.id == HeaderId::tracestate;
    });
    if (context.ids) draw(*context.ids, trace.trace_id);
  }
  trace.sampled = trace.sampled && context.believed;
  if (context.ids) draw(*context.ids, trace.span_id);
  return trace;
}

void begin_attempt_span(RequestContext& context) {
  Trace& trace = *context.trace;
  if (!context.ids) return;
  draw(*context.ids, trace.attempt_id);
  Arena& arena = context.arena;
  const std::string_view ids = arena.join(hex(arena, trace.trace_id), "-", hex(arena, trace.attempt_id));
  context.request.headers.set(HeaderId::traceparent, arena.join("00-", ids, trace.sampled ? "-01" : "-00"));
}

std::string_view hex(Arena& arena, std::span<const uint8_t> bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  char* out = static_cast<char*>(arena.allocate(bytes.size() * 2, 1));
  for (size_t i = 0; i < bytes.size(); ++i) {
    out[2 * i] = digits[bytes[i] >> 4];
    out[2 * i + 1] = digits[bytes[i] & 15];
  }
  return {out, bytes.size() * 2};
}

}  // namespace penstock::proxy
