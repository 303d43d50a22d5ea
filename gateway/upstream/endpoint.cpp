#include "upstream/endpoint.h"

#include <cassert>

namespace penstock::upstream {

Attempt::~Attempt() {
  if (endpoint_) endpoint_->finish(*this, Outcome::neutral);
}

const std::string& name_of(const Endpoint& endpoint) { return endpoint.name(); }

Endpoint::Endpoint(net::Loop& loop, const EndpointInfo& info, ClusterShared& shared)
    : loop_(loop), shared_(shared), name_(info.name), state_(info.state), pool_(loop, *this, shared) {
  pool_.set_place(info.host, info.addresses);
}

http::Stream* Endpoint::acquire(Attempt& attempt, uint32_t connect_timeout_ms) {
  assert(!attempt.endpoint_);
  attempt.endpoint_ = this;
  attempt.acquire_ = Attempt::Acquire::open;
  attempt.begun_ms_ = loop_.now_ms();
  state_->active.add(shared_.worker, 1);
  ++shared_.attempts;
  ref();
  return pool_.acquire(attempt, connect_timeout_ms);
}

void Endpoint::finish(Attempt& attempt, Outcome outcome) {
  assert(attempt.endpoint_ == this);
  if (attempt.pending()) pool_.cancel(attempt);
  state_->active.remove(shared_.worker, 1);
  --shared_.attempts;
  if (attempt.acquire_ == Attempt::Acquire::open) count(outcome);
  if (outcome == Outcome::stale) pool_.close_idle_since(attempt.begun_ms_);
  attempt.endpoint_ = nullptr;
  unref();
}

void Endpoint::count(Outcome outcome) {
  constexpr auto relaxed = std::memory_order_relaxed;
  switch (outcome) {
    case Outcome::neutral:
    case Outcome::stale: return;
    case Outcome::success:
      // Read first: the lines are shared by all workers and stay clean while all is well.
      if (state_->consecutive_failures.load(relaxed) != 0) state_->consecutive_failures.store(0, relaxed);
      if (state_->resting_until_ms.load(relaxed) != 0) state_->resting_until_ms.store(0, relaxed);
      return;
    case Outcome::failure:
      // Not set back when the rest is over: the next failure is one over the limit and rests it again.
      uint32_t failures = state_->consecutive_failures.fetch_add(1, relaxed) + 1;
      if (shared_.failures_to_rest != 0 && failures >= shared_.failures_to_rest)
        state_->resting_until_ms.store(loop_.now_ms() + shared_.rest_ms, relaxed);
      return;
  }
}

void Endpoint::unref() {
  assert(references_ > 0);
  if (--references_ > 0) return;
  unlink();
  loop_.defer_delete(std::unique_ptr<net::Deferred>(this));
}

}  // namespace penstock::upstream
