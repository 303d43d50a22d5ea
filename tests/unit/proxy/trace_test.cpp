// W3C Trace Context, level 1, section 3.2: what is a traceparent, and what a request makes of one.
#include "proxy/trace.h"

#include <doctest/doctest.h>

#include <string>

#include "base/block_pool.h"
#include "proxy/request_context.h"
#include "proxy/worker_context.h"

using namespace penstock;
using namespace penstock::proxy;

namespace {

const std::string valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

struct Made {
  explicit Made(std::initializer_list<std::string_view> parents) {
    for (std::string_view parent : parents) head.headers.add("traceparent", parent);
    head.headers.add("tracestate", "a=1");
    context.ids = &random;
  }
  BlockPool pool;
  Arena arena{pool};
  http::Message head{arena};
  RequestContext context{arena, head};
  Random random{7};
};

}  // namespace

TEST_CASE("a traceparent is read as the specification has it") {
  auto trace = parse_traceparent(valid);
  REQUIRE(trace);
  BlockPool pool;
  Arena arena{pool};
  CHECK(hex(arena, trace->trace_id) == "4bf92f3577b34da6a3ce929d0e0e4736");
  CHECK(hex(arena, trace->parent_id) == "00f067aa0ba902b7");
  CHECK(trace->sampled);
  auto with = [](size_t at, const char* text) {
    return std::string(valid).replace(at, std::string(text).size(), text);
  };
  CHECK_FALSE(parse_traceparent(with(53, "00"))->sampled);
  CHECK(parse_traceparent(with(53, "03"))->sampled);
  CHECK(parse_traceparent(with(0, "01")));
  CHECK(parse_traceparent(with(0, "01") + "-more"));
  for (const std::string& bad :
       {std::string(), valid + "-more", valid + " ", with(0, "ff"), with(0, "01") + "x", with(0, "0g"),
        with(2, "_"), with(3, "00000000000000000000000000000000"), with(36, "0000000000000000"),
        with(3, "4BF9"), with(53, "0x"), valid.substr(0, 54), with(35, " "), with(52, "+")}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_traceparent(bad));
  }
}

TEST_CASE("a client's trace goes on, and its word about recording counts where it is trusted") {
  for (bool believed : {false, true}) {
    Made made{valid};
    made.context.believed = believed;
    Trace& trace = trace_of(made.context);
    CHECK(hex(made.arena, trace.trace_id) == "4bf92f3577b34da6a3ce929d0e0e4736");
    CHECK(trace.sampled == believed);
    CHECK(&trace_of(made.context) == &trace);
    CHECK(made.head.headers.get(http::HeaderId::tracestate) == "a=1");
    begin_attempt_span(made.context);
    const std::string first(made.head.headers.get(http::HeaderId::traceparent));
    CHECK(first == "00-4bf92f3577b34da6a3ce929d0e0e4736-" + std::string(hex(made.arena, trace.attempt_id)) +
                       (believed ? "-01" : "-00"));
    begin_attempt_span(made.context);
    CHECK(made.head.headers.get(http::HeaderId::traceparent) != first);
    CHECK(parse_traceparent(made.head.headers.get(http::HeaderId::traceparent)));
  }
}

TEST_CASE("without one valid traceparent the trace is new, and a state that belongs to none is dropped") {
  for (auto parents : {std::initializer_list<std::string_view>{}, {"nonsense"}, {valid, valid}}) {
    Made made{parents};
    made.context.believed = true;
    const Trace& trace = trace_of(made.context);
    CHECK_FALSE(trace.has_parent);
    CHECK_FALSE(trace.sampled);
    CHECK(hex(made.arena, trace.trace_id) != "00000000000000000000000000000000");
    CHECK(hex(made.arena, trace.trace_id) != "4bf92f3577b34da6a3ce929d0e0e4736");
    CHECK_FALSE(made.head.headers.find(http::HeaderId::tracestate));
    CHECK_FALSE(made.head.headers.find(http::HeaderId::traceparent));
  }
}
