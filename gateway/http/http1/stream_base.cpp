#include "http/http1/stream_base.h"

#include <utility>

namespace penstock::http::http1 {

StreamBase::StreamBase(net::Loop& loop, std::unique_ptr<net::Transport> transport, StreamState* state)
    : loop_(loop), transport_(std::move(transport)), state_(state) {
  transport_->set_handler(this);
}

void StreamState::run_task() { connection.run_task(); }

void StreamBase::send_data(std::string_view bytes) {
  if (can_send() && !state_->writer.data(*transport_, bytes)) break_off();
}

void StreamBase::send_trailers(const Headers& trailers) {
  if (!can_send()) return;
  if (state_->writer.kind() == BodyEnd::tunnel) return send_end();
  if (!state_->writer.trailers(*transport_, trailers)) break_off();
}

void StreamBase::send_end() {
  if (!can_send() || state_->writer.ended()) return;
  if (!state_->writer.end(*transport_)) return break_off();
  if (state_->writer.kind() != BodyEnd::tunnel) return;
  transport_->flush();
  transport_->shutdown();
}

void StreamBase::flush() {
  if (!can_send()) return;
  state_->writer.before_flush(*transport_);
  transport_->flush();
}

net::NextRead<net::Transport> StreamBase::next_read() {
  if (!state_ || !state_->parser.head_begun())
    return {.at_first = long_body_ && in_vain_ < most_in_vain ? first_read : 0};
  if (!handler_) return {};
  const uint64_t left = state_->parser.body_left();
  if (left < (long_body_ ? least_tail : least_spliced) || reading_waits()) return {};
  Stream* body = handler_->splice_sink();
  return {.sink = body ? body->splice_end(left) : nullptr, .most = left};
}

// Most connections carry more of what they carried before.
void StreamBase::foresee_length() {
  if (spliced_)
    in_vain_ = 0;
  else if (long_body_ && in_vain_ < most_in_vain)
    ++in_vain_;
  spliced_ = false;
  long_body_ = state_->parser.body_left() >= least_spliced + first_read;
}

net::Transport* StreamBase::splice_end(uint64_t bytes) {
  return can_send() && state_->writer.left() == bytes ? transport_.get() : nullptr;
}

void StreamBase::pause(PauseReason reason) {
  if (!transport_ || !handler_ || state_->pauses.has(reason)) return;
  state_->pauses.set(reason);
  transport_->pause(reason);
}

void StreamBase::resume(PauseReason reason) {
  if (!transport_ || !handler_ || !state_->pauses.has(reason)) return;
  state_->pauses.clear(reason);
  transport_->resume(reason);
}

void StreamBase::on_drained() {
  if (handler_) handler_->on_drained();
}

void StreamBase::break_off() {
  broken_ = true;
  loop_.schedule(*state_);
}

StreamHandler* StreamBase::take_handler() {
  ++epoch_;
  if (!handler_) return nullptr;
  if (transport_ && state_->pauses.any())
    for (PauseReason reason :
         {PauseReason::sink_full, PauseReason::pipelined, PauseReason::waiting, PauseReason::plugin})
      if (state_->pauses.has(reason)) transport_->resume(reason);
  state_->pauses = {};
  return std::exchange(handler_, nullptr);
}

void StreamBase::reset_stream() {
  state_->parser.reset();
  state_->writer.reset();
  state_->message.reset();
  state_->trailers.reset();
  state_->arena.reset();
  state_->received = 0;
}

void StreamBase::deliver_data() {
  state_->received += state_->parser.data().size();
  handler_->on_data(state_->parser.data());
}

void StreamBase::deliver_end() {
  uint32_t epoch = epoch_;
  if (!state_->trailers.empty()) handler_->on_trailers(state_->trailers);
  if (epoch == epoch_) handler_->on_end();
}

}  // namespace penstock::http::http1
