#include "plugin/events.h"

#include <algorithm>

#include "net/loop.h"
#include "plugin/handles.h"
#include "plugin/host.h"

namespace penstock::plugin {
namespace {

constexpr uint64_t tick_ms = 1'000;

// The SDK catches inside the plugin; this is for those that do not use it.
template <class Call>
void guarded(const gw_instance& instance, const char* what, Call call) {
  const CodeRun run(instance.code(CodeKind::event));
  try {
    call();
  } catch (...) {
    instance.host->log(LogLevel::error, &instance, {}, std::string(what) + " threw");
  }
}

}  // namespace

Events::Events(net::Loop* main) : main_(main) {
  if (main_ != nullptr)
    ticks_.emplace(*main_, [](void* self) { static_cast<Events*>(self)->on_tick(); }, this);
}

void Events::tell(const Subscription& subscription, Event event) {
  const auto bit = static_cast<uint32_t>(event);
  if ((subscription.mask & bit) == 0) return;
  guarded(*subscription.instance, "an event's callback", [&] { subscription.fn(subscription.user, bit); });
}

void Events::notify(Event event) {
  const auto current = subscriptions_;  // a callback may not change what is walked
  for (const Subscription& subscription : current) {
    if (event == Event::tick && !subscription.started) continue;
    tell(subscription, event);
  }
}

void Events::start(const gw_instance& instance) {
  std::vector<Subscription> fresh;
  for (Subscription& subscription : subscriptions_) {
    if (subscription.instance != &instance || subscription.started) continue;
    subscription.started = true;
    fresh.push_back(subscription);
  }
  for (const Subscription& subscription : fresh) tell(subscription, Event::start);
  const bool ticking = std::ranges::any_of(
      fresh, [](const Subscription& subscription) { return (subscription.mask & GW_EVENT_TICK) != 0; });
  if (ticking && ticks_ && !ticks_->running()) ticks_->start(tick_ms);
}

void Events::on_tick() {
  const bool wanted = std::ranges::any_of(subscriptions_, [](const Subscription& subscription) {
    return (subscription.mask & GW_EVENT_TICK) != 0;
  });
  if (!wanted) return;  // who starts next begins anew
  ticks_->start(tick_ms);
  notify(Event::tick);
}

void Events::leave(gw_instance& instance) {
  instance.mailbox->open = false;
  std::erase_if(subscriptions_,
                [&](const Subscription& subscription) { return subscription.instance == &instance; });
}

gw_rc Events::post(gw_instance& instance, void (*fn)(void* user), void* user) {
  if (main_ == nullptr) return GW_ESTATE;
  const std::shared_ptr<Mailbox>& mailbox = instance.mailbox;
  if (mailbox->waiting.fetch_add(1, std::memory_order_relaxed) >=
      most_posts_.load(std::memory_order_relaxed)) {
    mailbox->waiting.fetch_sub(1, std::memory_order_relaxed);
    refused_posts_.fetch_add(1, std::memory_order_relaxed);
    return GW_ELIMIT;
  }
  main_->post([mailbox, fn, user, &instance] {
    mailbox->waiting.fetch_sub(1, std::memory_order_relaxed);
    if (!mailbox->open) return;  // and the instance is no more
    guarded(instance, "a posted call", [&] { fn(user); });
  });
  return GW_OK;
}

}  // namespace penstock::plugin
