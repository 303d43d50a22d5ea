#include "plugin/tickets.h"

#include <algorithm>
#include <utility>

namespace penstock::plugin {

void Tickets::Alarm::fire(void* self) {
  auto& alarm = *static_cast<Alarm*>(self);
  alarm.tickets.resume(alarm.ticket, alarm.data);  // posts: nothing is destroyed in here
}

const Tickets::Slot* Tickets::find(gw_ticket ticket) const {
  if (ticket.gen == 0 || ticket.slot >= slots_.size()) return nullptr;
  const Slot& slot = slots_[ticket.slot];
  return slot.state != State::free && slot.generation == ticket.gen ? &slot : nullptr;
}
Tickets::Slot* Tickets::find(gw_ticket ticket) {
  return const_cast<Slot*>(std::as_const(*this).find(ticket));
}

// Handed out so that it dies without the lock: timers and streams belong to the loop.
Tickets::Held Tickets::release(Slot& slot) {
  Held held{std::move(slot.alarm), std::move(slot.awaited)};
  slot.state = State::free;
  slot.request = nullptr;
  slot.loop = nullptr;
  free_.push_back(static_cast<uint32_t>(&slot - slots_.data()));
  return held;
}

gw_ticket Tickets::take(proxy::Resumable& request, net::Loop& loop) {
  forget(request);
  request.took_ticket = true;
  const std::lock_guard lock(mutex_);
  if (free_.empty()) {
    free_.push_back(static_cast<uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const uint32_t index = free_.back();
  free_.pop_back();
  Slot& slot = slots_[index];
  slot.state = State::waiting;
  slot.generation = next_generation_++;
  slot.request = &request;
  slot.loop = &loop;
  return {index, slot.generation};
}

bool Tickets::claim(Slot* slot) {
  if (slot == nullptr || slot->state != State::waiting) return false;
  slot->state = State::resumed;
  return true;
}

bool Tickets::resume(gw_ticket ticket, void* data) {
  const std::lock_guard lock(mutex_);
  Slot* slot = find(ticket);
  if (!claim(slot)) return false;
  // The slot is in use, so the request lives, and with it its loop.
  slot->loop->post([self = shared_from_this(), ticket, data] { self->deliver(ticket, data); });
  return true;
}

bool Tickets::resume_here(gw_ticket ticket, void* data) {
  {
    const std::lock_guard lock(mutex_);
    Slot* slot = find(ticket);
    if (!claim(slot)) return false;
  }
  deliver(ticket, data);
  return true;
}

bool Tickets::resume(gw_ticket ticket, std::shared_ptr<Parcel>& parcel) {
  const std::lock_guard lock(mutex_);
  Slot* slot = find(ticket);
  if (!claim(slot)) return false;
  slot->loop->post([self = shared_from_this(), ticket, parcel = std::move(parcel)] {
    parcel->taken = self->deliver(ticket, parcel->data);
  });
  return true;
}

bool Tickets::waits(gw_ticket ticket) const {
  const std::lock_guard lock(mutex_);
  const Slot* slot = find(ticket);
  return slot != nullptr && slot->state == State::waiting;
}

// False: nobody got it.
bool Tickets::deliver(gw_ticket ticket, void* data) {
  Held held;  // until the plugin has looked at `data`
  proxy::Resumable* request = nullptr;
  {
    const std::lock_guard lock(mutex_);
    Slot* slot = find(ticket);
    if (slot == nullptr) return false;  // the request went first
    request = slot->request;
    held = release(*slot);
  }
  held.alarm.reset();
  return request->resume(data);
}

bool Tickets::resume_after(gw_ticket ticket, int64_t after_ns, void* data) {
  const std::lock_guard lock(mutex_);
  Slot* slot = find(ticket);
  if (slot == nullptr || slot->state != State::waiting || slot->alarm != nullptr || after_ns < 0)
    return false;
  slot->alarm = std::make_unique<Alarm>(*this, *slot->loop, ticket, data);
  slot->alarm->timer.start(static_cast<uint64_t>(after_ns / 1'000'000) + (after_ns % 1'000'000 != 0 ? 1 : 0));
  return true;
}

bool Tickets::keep(gw_ticket ticket, std::unique_ptr<Awaited> awaited) {
  const std::lock_guard lock(mutex_);
  Slot* slot = find(ticket);
  if (slot == nullptr || slot->state != State::waiting || slot->awaited != nullptr) return false;
  slot->awaited = std::move(awaited);
  return true;
}

void Tickets::forget(proxy::Resumable& request) {
  if (!request.took_ticket) return;  // nearly all: no lock for them
  std::vector<Held> held;            // dies after the lock is given back
  const std::lock_guard lock(mutex_);
  for (Slot& slot : slots_) {
    if (slot.state != State::free && slot.request == &request) held.push_back(release(slot));
  }
}

size_t Tickets::waiting() const {
  const std::lock_guard lock(mutex_);
  return slots_.size() - free_.size();
}

}  // namespace penstock::plugin
