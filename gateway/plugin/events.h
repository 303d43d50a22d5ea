// What plugins are told of on the main thread: START, a tick a second after it, reopened logs, a drain, and
// what they post there themselves from any thread. Owned by the Host. Nothing reaches an instance whose
// destroy has begun.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "net/timer.h"
#include "penstock_plugin.h"

namespace penstock::plugin {

enum class Event : uint8_t {
  reopen_logs = GW_EVENT_REOPEN_LOGS,
  drain = GW_EVENT_DRAIN,
  start = GW_EVENT_START,
  tick = GW_EVENT_TICK
};

class Events {
 public:
  struct Subscription {
    const gw_instance* instance;
    uint32_t mask;
    void (*fn)(void* user, uint32_t event);
    void* user;
    bool started = false;
  };
  // What a posted call finds of its instance when its turn comes.
  struct Mailbox {
    bool open = true;                  // main thread
    std::atomic<uint32_t> waiting{0};  // calls
  };

  // `main` null (check, explain): nothing starts, ticks or is posted.
  explicit Events(net::Loop* main);

  // --- main thread ---
  void subscribe(Subscription subscription) { subscriptions_.push_back(subscription); }
  void notify(Event event);
  void start(const gw_instance& instance);  // its configuration was taken
  void leave(gw_instance& instance);        // its destroy is about to begin

  // --- any thread ---
  gw_rc post(gw_instance& instance, void (*fn)(void* user), void* user);
  void set_most_posts(uint32_t most) { most_posts_.store(most, std::memory_order_relaxed); }
  uint64_t refused_posts() const { return refused_posts_.load(std::memory_order_relaxed); }

 private:
  void on_tick();
  void tell(const Subscription& subscription, Event event);

  net::Loop* main_;
  std::optional<net::Timer> ticks_;
  std::vector<Subscription> subscriptions_;
  std::atomic<uint32_t> most_posts_{1'000};
  std::atomic<uint64_t> refused_posts_{0};
};

}  // namespace penstock::plugin
