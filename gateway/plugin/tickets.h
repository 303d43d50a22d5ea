// Tickets of paused requests: values that any thread may hold for ever, and that lead to a request only while
// it waits. One slot a waiting request; taking a new ticket makes the older one stale. A lock, because
// pausing is rare and resuming comes from any thread; no request that never pauses comes here.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "net/loop.h"
#include "net/timer.h"
#include "penstock_plugin.h"
#include "proxy/request_context.h"

namespace penstock::plugin {

// What a paused request waits for, made elsewhere: exactly one of on_resume and discard gets it.
struct Parcel {
  explicit Parcel(void* what) : data(what) {}
  virtual ~Parcel() = default;  // any thread; discards what was not taken
  Parcel(const Parcel&) = delete;
  Parcel& operator=(const Parcel&) = delete;
  void* data;
  bool taken = false;  // by on_resume
};

class Tickets : public std::enable_shared_from_this<Tickets> {
 public:
  // What a request waits for and what dies with its wait: cancelled by its destructor, on the request's
  // worker. What on_resume is given may lie in it.
  struct Awaited {
    virtual ~Awaited() = default;
  };

  // The request's worker. A ticket whose gen is 0 leads nowhere.
  gw_ticket take(proxy::Resumable& request, net::Loop& loop);
  // Any thread. True: the request's worker will be told, unless the request ends first.
  bool resume(gw_ticket ticket, void* data);
  // The request's worker, outside of any hook: resumes before it returns, so `data` need not live longer.
  bool resume_here(gw_ticket ticket, void* data);
  // The same with data that has an owner: what nobody gets is discarded. `parcel` is taken when true.
  bool resume(gw_ticket ticket, std::shared_ptr<Parcel>& parcel);
  bool waits(gw_ticket ticket) const;  // any thread: a resume of this moment would be taken
  // The request's worker.
  bool resume_after(gw_ticket ticket, int64_t after_ns, void* data);
  // The request's worker. Kept until on_resume has returned, or the ticket goes stale. False: it is stale, or
  // has one already.
  bool keep(gw_ticket ticket, std::unique_ptr<Awaited> awaited);
  // The request's worker: this request waits no longer (it went on, or ended).
  void forget(proxy::Resumable& request);
  size_t waiting() const;

 private:
  enum class State : uint8_t { free, waiting, resumed };
  struct Alarm {
    Alarm(Tickets& all, net::Loop& loop, gw_ticket which, void* what)
        : tickets(all), ticket(which), data(what), timer(loop, &Alarm::fire, this) {}
    static void fire(void* self);
    Tickets& tickets;
    gw_ticket ticket;
    void* data;
    net::Timer timer;
  };
  struct Slot {
    State state = State::free;
    uint64_t generation = 0;
    proxy::Resumable* request = nullptr;
    net::Loop* loop = nullptr;
    // Made and destroyed on the request's worker.
    std::unique_ptr<Alarm> alarm;
    std::unique_ptr<Awaited> awaited;
  };
  struct Held {
    std::unique_ptr<Alarm> alarm;
    std::unique_ptr<Awaited> awaited;
  };
  const Slot* find(gw_ticket ticket) const;  // with the lock, like the next two
  Slot* find(gw_ticket ticket);
  bool claim(Slot* slot);
  Held release(Slot& slot);
  bool deliver(gw_ticket ticket, void* data);

  mutable std::mutex mutex_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
  uint64_t next_generation_ = 1;
};

}  // namespace penstock::plugin
