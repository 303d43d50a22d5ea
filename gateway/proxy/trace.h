// One request in a distributed trace (W3C Trace Context, level 1). Made when a plugin asks for it: then each
// attempt is a span of its own, and its backend is told by `traceparent`. One worker; in the request's arena.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/arena.h"

namespace penstock::proxy {

struct RequestContext;
class Random;

struct Trace {
  std::array<uint8_t, 16> trace_id{};
  std::array<uint8_t, 8> span_id{}, parent_id{}, attempt_id{};
  bool has_parent = false;
  bool sampled = false;
};

// traceparent as the specification has it (3.2): a later version's further members are passed over; nullopt:
// invalid.
std::optional<Trace> parse_traceparent(std::string_view text);

// The request's trace: what its client's traceparent says goes on, else it is a new one, and a tracestate
// without a valid traceparent is dropped (3.3.1.1). `sampled` is believed of whoever is believed about the
// client's address.
Trace& trace_of(RequestContext& context);

// A span of its own for the attempt that begins: told to the backend by traceparent.
void begin_attempt_span(RequestContext& context);

std::string_view hex(Arena& arena, std::span<const uint8_t> bytes);

}  // namespace penstock::proxy
