#include "http/http1/stream_base.h"

#include <utility>

namespace penstock::http::http1 {

StreamBase::StreamBase(net::Loop& loop, std::unique_ptr<net::Transport> transport, Side side,
                       HeadLimits limits)
    : loop_(loop),
      transport_(std::move(transport)),
      arena_(loop.blocks()),
      message_(arena_),
      trailers_(arena_),
      parser_(side, message_, trailers_, limits) {
  transport_->set_handler(this);
}

void StreamBase::send_data(std::string_view bytes) {
  if (can_send() && !writer_.data(*transport_, bytes)) break_off();
}

void StreamBase::send_trailers(const Headers& trailers) {
  if (!can_send()) return;
  if (writer_.kind() == BodyEnd::tunnel) return send_end();
  if (!writer_.trailers(*transport_, trailers)) break_off();
}

void StreamBase::send_end() {
  if (!can_send() || writer_.ended()) return;
  if (!writer_.end(*transport_)) return break_off();
  if (writer_.kind() != BodyEnd::tunnel) return;
  transport_->flush();
  transport_->shutdown();
}

void StreamBase::flush() {
  if (!can_send()) return;
  writer_.before_flush(*transport_);
  transport_->flush();
}

net::SpliceTo StreamBase::splice_to() {
  const uint64_t left = parser_.body_left();
  if (left < least_spliced || !handler_ || reading_waits()) return {};
  Stream* sink = handler_->splice_sink();
  return {sink ? sink->splice_end(left) : nullptr, left};
}

net::Transport* StreamBase::splice_end(uint64_t bytes) {
  return can_send() && writer_.left() == bytes ? transport_.get() : nullptr;
}

void StreamBase::pause(PauseReason reason) {
  if (!transport_ || !handler_ || pauses_.has(reason)) return;
  pauses_.set(reason);
  transport_->pause(reason);
}

void StreamBase::resume(PauseReason reason) {
  if (!transport_ || !handler_ || !pauses_.has(reason)) return;
  pauses_.clear(reason);
  transport_->resume(reason);
}

void StreamBase::on_drained() {
  if (handler_) handler_->on_drained();
}

void StreamBase::break_off() {
  broken_ = true;
  loop_.schedule(*this);
}

StreamHandler* StreamBase::take_handler() {
  ++epoch_;
  if (transport_ && pauses_.any())
    for (PauseReason reason :
         {PauseReason::sink_full, PauseReason::pipelined, PauseReason::waiting, PauseReason::plugin})
      if (pauses_.has(reason)) transport_->resume(reason);
  pauses_ = {};
  return std::exchange(handler_, nullptr);
}

void StreamBase::reset_stream() {
  parser_.reset();
  writer_.reset();
  message_.reset();
  trailers_.reset();
  arena_.reset();
  received_ = 0;
}

void StreamBase::deliver_data() {
  received_ += parser_.data().size();
  handler_->on_data(parser_.data());
}

void StreamBase::deliver_end() {
  uint32_t epoch = epoch_;
  if (!trailers_.empty()) handler_->on_trailers(trailers_);
  if (epoch == epoch_) handler_->on_end();
}

}  // namespace penstock::http::http1
