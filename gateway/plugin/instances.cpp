#include "plugin/instances.h"

#include <algorithm>

#include "net/loop.h"
#include "plugin/host.h"

// The plugin's code runs here for the last time; `library` goes after it.
gw_instance::~gw_instance() {
  if (host != nullptr) {
    host->events().leave(*this);
    host->fetches().forget(*this);
  }
  if (!configured || plugin->destroy == nullptr) return;
  const penstock::plugin::CodeRun run(code(penstock::plugin::CodeKind::destroy));
  try {
    plugin->destroy(inst);
  } catch (...) {
    host->log(penstock::plugin::LogLevel::error, this, {}, "destroy threw");
  }
}

namespace penstock::plugin {

Pin::Pin(gw_instance& instance) : instance_(&instance) {
  instance.users.fetch_add(1, std::memory_order_relaxed);
}

Pin::~Pin() {
  if (instance_ == nullptr) return;
  Instances& all = instance_->host->instances();  // read before the count: then it may be gone
  if (instance_->users.fetch_sub(1, std::memory_order_acq_rel) == 1) all.last_pin_gone(*instance_);
}

Instances::~Instances() = default;

// Its own use is the first; whoever takes the last one away ends it.
void Instances::retire(std::unique_ptr<gw_instance> instance) {
  const gw_instance* raw = instance.get();
  retired_.push_back(std::move(instance));
  if (retired_.back()->users.fetch_sub(1, std::memory_order_acq_rel) == 1) bury(raw);
}

void Instances::last_pin_gone(const gw_instance& instance) {
  if (main_ == nullptr) return;  // it goes with the host
  main_->post([this, &instance] { bury(&instance); });
}

void Instances::bury(const gw_instance* instance) {
  const auto it = std::ranges::find(retired_, instance, &std::unique_ptr<gw_instance>::get);
  if (it == retired_.end()) return;
  const auto gone = std::move(*it);  // destroy may come back here
  retired_.erase(it);
}

}  // namespace penstock::plugin
