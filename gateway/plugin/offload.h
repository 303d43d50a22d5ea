// Slow work that plugins give to the thread pool for a paused request (gw.async offload): bounded, counted,
// and given back through the request's ticket or discarded. The instance, and with it the code that runs,
// lives until both are over. Owned by the Host.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>

#include "net/loop.h"
#include "plugin/tickets.h"

namespace penstock::plugin {

class Offload {
 public:
  struct Work {
    void (*run)(void* data);
    void (*discard)(void* data);  // null: nothing to do
    void* data;
  };
  explicit Offload(std::shared_ptr<Tickets> tickets) : tickets_(std::move(tickets)) {}

  // The loop's thread, which is that of the request.
  gw_rc run(net::Loop& loop, gw_instance& instance, gw_ticket ticket, const Work& work);
  // Any thread.
  void set_most(uint32_t most) { most_.store(most, std::memory_order_relaxed); }
  uint32_t pieces() const { return pieces_.load(std::memory_order_relaxed); }
  uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }

 private:
  bool admit();
  void work_through(const Work& work, gw_ticket ticket, std::shared_ptr<Parcel> parcel);

  std::shared_ptr<Tickets> tickets_;
  std::atomic<uint32_t> most_{256}, pieces_{0};
  std::atomic<uint64_t> refused_{0};
};

}  // namespace penstock::plugin
