// Attempts as plugins see them: one that is about to begin, and its end, which comes before the exchange's.
#include "proxy/exchange_state.h"
#include "proxy/trace.h"

namespace penstock::proxy {

void Exchange::attempt_begins() {
  attempt_status_ = 0;
  if (context_->trace) begin_attempt_span(*context_);
  if (decision_->chain().attempts().empty()) return;
  attempt_told_ = true;
  attempt_reason_ = {};
  AttemptReport report = attempt_report();
  report.duration_ns = -1;
  for (const ChainLink& link : decision_->chain().attempts())
    link.filter->on_attempt(call_of(link, *context_), report);
}

void Exchange::attempt_ends() {
  if (!attempt_told_) return;
  attempt_told_ = false;
  const AttemptReport report = attempt_report();
  for (const ChainLink& link : decision_->chain().attempts())
    link.filter->on_attempt(call_of(link, *context_), report);
}

AttemptReport Exchange::attempt_report() const {
  static constexpr std::array<uint8_t, 8> none{};
  const RequestContext& context = *context_;
  const int64_t elapsed = static_cast<int64_t>(worker_.loop.now_ns() - attempt_ns_);
  return {.number = attempts_,
          .status = attempt_status_,
          .start_wall_ns = worker_.loop.wall_ns() - elapsed,
          .duration_ns = elapsed,
          .upstream = context.upstream_name,
          .endpoint = context.endpoint_address,
          .reason = attempt_reason_.empty() ? context.reason : attempt_reason_,
          .span_id = context.trace ? context.trace->attempt_id : none};
}

void Exchange::report_trace(Summary& summary) {
  const Trace& trace = *context_->trace;
  summary.trace_id = hex(context_->arena, trace.trace_id);
  summary.span_id = hex(context_->arena, trace.span_id);
  summary.sampled = trace.sampled;
}

}  // namespace penstock::proxy
